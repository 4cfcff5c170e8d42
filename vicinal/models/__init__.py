"""The models: SentenceTransformer and its relatives; and the modules to put models together from.

``from vicinal import models; models.Transformer(...)``: the modules need torch, which is imported when the
first of them is asked for.
"""

from vicinal.core.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __spec__)
