"""Small modules behind the pooling: Normalize, LayerNorm, Dropout."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from vicinal.core.inputs import check_positive
from vicinal.nn.modules.base import Features, Module, read_feature


class Normalize(Module):
    """Scales vectors to length 1.

    Args:
        module_input_name: the key that is read, default ``"sentence_embedding"``.
        module_output_name: the key that is written, default the same.
    """

    def __init__(
        self, module_input_name: str = "sentence_embedding", module_output_name: str | None = None
    ) -> None:
        super().__init__()
        self.module_input_name = module_input_name
        self.module_output_name = module_output_name or module_input_name

    def forward(self, features: Features) -> Features:
        """Replace the vectors by unit vectors."""
        vectors = read_feature(features, self.module_input_name, self)
        features[self.module_output_name] = nn.functional.normalize(vectors, p=2, dim=-1)
        return features

    def get_config_dict(self) -> dict[str, Any]:
        """Nothing, unless the keys are others than usual: the oldest readers know none here."""
        names = (self.module_input_name, self.module_output_name)
        if names == ("sentence_embedding", "sentence_embedding"):
            return {}
        return {"module_input_name": names[0], "module_output_name": names[1]}


class LayerNorm(Module):
    """Layer normalisation of the sentence vector (Ba, Kiros, Hinton 2016).

    Args:
        dimension: length of the vectors.
    """

    config_keys = ("dimension",)

    def __init__(self, dimension: int) -> None:
        super().__init__()
        check_positive(dimension, "dimension")
        self.dimension = dimension
        self.norm = nn.LayerNorm(dimension)

    def get_embedding_dimension(self) -> int:
        """Length of the vectors."""
        return self.dimension

    get_sentence_embedding_dimension = get_embedding_dimension

    def forward(self, features: Features) -> Features:
        """Replace ``sentence_embedding``."""
        features["sentence_embedding"] = self.norm(features["sentence_embedding"])
        return features


class Dropout(Module):
    """Sets numbers of the sentence vector to 0 at random while training.

    Args:
        dropout: which share of them, default 0.2.
    """

    config_keys = ("dropout",)

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.dropout = dropout

    def forward(self, features: Features) -> Features:
        """Replace ``sentence_embedding``."""
        vectors: torch.Tensor = features["sentence_embedding"]
        features["sentence_embedding"] = nn.functional.dropout(vectors, self.dropout, self.training)
        return features
