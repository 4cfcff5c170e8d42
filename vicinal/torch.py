"""The models as torch modules, for code that trains, hooks, wraps or subclasses them as such.

``vicinal.torch.SentenceTransformer`` and ``vicinal.torch.CrossEncoder`` are real ``nn.Sequential``; see
``docs/modules.md``. They need PyTorch (``pip install 'vicinal[train]'``), which is imported when a name is first used.
"""

from vicinal.core.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __spec__)
