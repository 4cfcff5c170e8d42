"""The trainer of sentence models, its settings, samplers and collator; see ``docs/training.md``.

They need PyTorch and transformers (``pip install 'vicinal[train]'``), which are imported when a name is first
used.
"""

from vicinal.core.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __spec__)
