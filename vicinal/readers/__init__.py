"""Readers of texts, tables and documents, from files or streams; and those that give training examples."""

from vicinal.core.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __spec__)
