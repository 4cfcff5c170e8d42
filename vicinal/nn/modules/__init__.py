"""The modules that models are made of; public as :mod:`vicinal.models`."""

from vicinal.core.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __spec__)
