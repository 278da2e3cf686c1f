"""Articles: who says what about whom."""
