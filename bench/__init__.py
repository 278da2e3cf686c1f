"""Measurements of speed: one script, one table each. None of them is a test."""
