"""The models: SentenceTransformer and its relatives; and the modules to put models together from.

``from vicinal import models; models.Transformer(...)``: the modules need torch, which is imported when the
first of them is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vicinal.nn.modules.base import InputModule as InputModule
    from vicinal.nn.modules.base import Module as Module
    from vicinal.nn.modules.bow import BoW as BoW
    from vicinal.nn.modules.cnn import CNN as CNN
    from vicinal.nn.modules.dense import Dense as Dense
    from vicinal.nn.modules.heads import Dropout as Dropout
    from vicinal.nn.modules.heads import LayerNorm as LayerNorm
    from vicinal.nn.modules.heads import Normalize as Normalize
    from vicinal.nn.modules.lstm import LSTM as LSTM
    from vicinal.nn.modules.pooling import Pooling as Pooling
    from vicinal.nn.modules.router import Asym as Asym
    from vicinal.nn.modules.router import Router as Router
    from vicinal.nn.modules.static_embedding import StaticEmbedding as StaticEmbedding
    from vicinal.nn.modules.transformer import Transformer as Transformer
    from vicinal.nn.modules.weighted_layer_pooling import WeightedLayerPooling as WeightedLayerPooling
    from vicinal.nn.modules.word_embeddings import WordEmbeddings as WordEmbeddings
    from vicinal.nn.modules.word_tokenizers import WhitespaceTokenizer as WhitespaceTokenizer
    from vicinal.nn.modules.word_weights import WordWeights as WordWeights

#: class -> the file of vicinal.nn.modules that holds it
MODULES = {
    "Asym": "router",
    "BoW": "bow",
    "CNN": "cnn",
    "Dense": "dense",
    "Dropout": "heads",
    "InputModule": "base",
    "LSTM": "lstm",
    "LayerNorm": "heads",
    "Module": "base",
    "Normalize": "heads",
    "Pooling": "pooling",
    "Router": "router",
    "StaticEmbedding": "static_embedding",
    "Transformer": "transformer",
    "WeightedLayerPooling": "weighted_layer_pooling",
    "WhitespaceTokenizer": "word_tokenizers",
    "WordEmbeddings": "word_embeddings",
    "WordWeights": "word_weights",
}

__all__ = sorted(MODULES)


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module 'vicinal.models' has no attribute {name!r}")
    from vicinal.nn.tensors import require_torch

    require_torch(f"models.{name}")
    return getattr(import_module(f"vicinal.nn.modules.{MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *MODULES})
