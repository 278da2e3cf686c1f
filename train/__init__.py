"""Entry points for training; everything they do is in the package."""
