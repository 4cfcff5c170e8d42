"""Cutting documentation into (query, passage) pairs and plain texts; ``examples/training_texts.py`` is the way in."""
