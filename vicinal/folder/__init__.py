"""The on-disk format of a model folder: read, written, and its card."""
