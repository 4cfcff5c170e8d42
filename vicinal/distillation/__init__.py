"""Static models made from transformers; :func:`distill` is the way in, ``vicinal distill`` the command."""

from vicinal.core.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __spec__)
