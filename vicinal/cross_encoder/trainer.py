"""``CrossEncoderTrainer``; it needs PyTorch and transformers, which are imported when the name is first used."""

from vicinal.core.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __spec__)
