"""The losses of sentence models; public as :mod:`vicinal.losses`."""

from vicinal.core.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __spec__)
