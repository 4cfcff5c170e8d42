"""The training loop behind ``fit``."""
