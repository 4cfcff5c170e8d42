"""``CrossEncoderTrainingArguments`` under the path that the field knows."""

from vicinal.core.lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __spec__)
