"""Vicinal turns sentences into vectors and puts them to work.

Importing it is cheap: every public name is loaded when it is first used (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from vicinal import cross_encoder as cross_encoder
    from vicinal import datasets as datasets
    from vicinal import evaluation as evaluation
    from vicinal import losses as losses
    from vicinal import models as models
    from vicinal import readers as readers
    from vicinal import util as util
    from vicinal.compat import install_as_sentence_transformers as install_as_sentence_transformers
    from vicinal.cross_encoder.trainer import CrossEncoderTrainer as CrossEncoderTrainer
    from vicinal.cross_encoder.training_args import (
        CrossEncoderTrainingArguments as CrossEncoderTrainingArguments,
    )
    from vicinal.errors import VicinalError as VicinalError
    from vicinal.index import Index as Index
    from vicinal.input_example import InputExample as InputExample
    from vicinal.models.cross_encoder import CrossEncoder as CrossEncoder
    from vicinal.models.sentence_transformer import SentenceTransformer as SentenceTransformer
    from vicinal.pipeline import SearchPipeline as SearchPipeline
    from vicinal.quantization import quantize_embeddings as quantize_embeddings
    from vicinal.similarity import SimilarityFunction as SimilarityFunction
    from vicinal.training import SentenceTransformerTrainer as SentenceTransformerTrainer
    from vicinal.training import (
        SentenceTransformerTrainingArguments as SentenceTransformerTrainingArguments,
    )

# public name -> the module that holds it; a module of the same name is the value itself
_PUBLIC = {
    "CrossEncoder": "vicinal.models.cross_encoder",
    "CrossEncoderTrainer": "vicinal.cross_encoder.trainer",
    "CrossEncoderTrainingArguments": "vicinal.cross_encoder.training_args",
    "Index": "vicinal.index",
    "InputExample": "vicinal.input_example",
    "SearchPipeline": "vicinal.pipeline",
    "SentenceTransformer": "vicinal.models.sentence_transformer",
    "SentenceTransformerTrainer": "vicinal.training",
    "SentenceTransformerTrainingArguments": "vicinal.training",
    "SimilarityFunction": "vicinal.similarity",
    "VicinalError": "vicinal.errors",
    "cross_encoder": "vicinal.cross_encoder",
    "datasets": "vicinal.datasets",
    "evaluation": "vicinal.evaluation",
    "install_as_sentence_transformers": "vicinal.compat",
    "losses": "vicinal.losses",
    "models": "vicinal.models",
    "quantize_embeddings": "vicinal.quantization",
    "readers": "vicinal.readers",
    "util": "vicinal.util",
}

# The trainers need torch; `from vicinal import *` must not.
_NEED_TORCH = tuple(name for name in _PUBLIC if name.endswith(("Trainer", "TrainingArguments")))

__all__ = ["__version__", *sorted(name for name in _PUBLIC if name not in _NEED_TORCH)]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'vicinal' has no attribute {name!r}")
    module = import_module(_PUBLIC[name])
    value = module if _PUBLIC[name] == f"vicinal.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
