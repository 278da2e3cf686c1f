"""The web: REST over one classifier and one queue. Nothing here computes a score."""
