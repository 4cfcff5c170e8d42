"""The losses that a cross-encoder is trained with; see ``docs/train-cross-encoder.md`` for which to take.

They need PyTorch (``pip install 'vicinal[train]'``), which is imported when a name is first used.
"""

from vicinal.core.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __spec__)
