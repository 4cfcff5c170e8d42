"""Vicinal turns sentences into vectors and puts them to work.

Importing it is cheap: every public name is loaded when it is first used (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from vicinal import evaluation as evaluation
    from vicinal import losses as losses
    from vicinal import util as util
    from vicinal.errors import VicinalError as VicinalError
    from vicinal.index import Index as Index
    from vicinal.input_example import InputExample as InputExample
    from vicinal.models.cross_encoder import CrossEncoder as CrossEncoder
    from vicinal.models.sentence_transformer import SentenceTransformer as SentenceTransformer
    from vicinal.pipeline import SearchPipeline as SearchPipeline
    from vicinal.similarity import SimilarityFunction as SimilarityFunction
    from vicinal.training import SentenceTransformerTrainer as SentenceTransformerTrainer
    from vicinal.training import (
        SentenceTransformerTrainingArguments as SentenceTransformerTrainingArguments,
    )

# public name -> the module that holds it; a module of the same name is the value itself
_PUBLIC = {
    "CrossEncoder": "vicinal.models.cross_encoder",
    "Index": "vicinal.index",
    "InputExample": "vicinal.input_example",
    "SearchPipeline": "vicinal.pipeline",
    "SentenceTransformer": "vicinal.models.sentence_transformer",
    "SentenceTransformerTrainer": "vicinal.training",
    "SentenceTransformerTrainingArguments": "vicinal.training",
    "SimilarityFunction": "vicinal.similarity",
    "VicinalError": "vicinal.errors",
    "evaluation": "vicinal.evaluation",
    "losses": "vicinal.losses",
    "util": "vicinal.util",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'vicinal' has no attribute {name!r}")
    module = import_module(_PUBLIC[name])
    value = module if _PUBLIC[name] == f"vicinal.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
