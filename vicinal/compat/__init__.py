"""Old code runs: ``import sentence_transformers`` means Vicinal, once :func:`install_as_sentence_transformers` ran."""

from __future__ import annotations

from vicinal.compat.finder import install_as_sentence_transformers as install_as_sentence_transformers
from vicinal.compat.finder import is_installed as is_installed
from vicinal.compat.finder import uninstall as uninstall

__all__ = ["install_as_sentence_transformers", "is_installed", "uninstall"]
