"""Vicinal turns sentences into vectors and puts them to work."""

__version__ = "0.1.0"
