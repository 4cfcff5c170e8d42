"""Cross-encoders: the model, and what it is trained and measured with.

``from vicinal.cross_encoder import CrossEncoder, losses``: losses and trainer need PyTorch
(``pip install 'vicinal[train]'``), which is imported when one of their names is first used.
"""

from vicinal.core.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __spec__)
