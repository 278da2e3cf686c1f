"""Public sources and authored statements made into one corpus: ``python -m data.build``."""
