"""The evaluators of cross-encoders, under the path that the field knows."""

from __future__ import annotations

from vicinal.evaluation.cross_encoder import *  # noqa: F403
from vicinal.evaluation.cross_encoder import __all__ as __all__
