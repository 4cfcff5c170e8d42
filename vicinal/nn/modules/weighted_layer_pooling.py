"""WeightedLayerPooling: a learned mean over the last layers of a transformer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vicinal.core.inputs import check_positive
from vicinal.errors import InputError, InputTypeError
from vicinal.nn.modules.base import Features, Module


class WeightedLayerPooling(Module):
    """Token vectors become the weighted mean of what the layers give.

    Args:
        embedding_dimension: width of a token's vector; ``word_embedding_dimension`` is its old name.
        num_hidden_layers: layers of the transformer, the embeddings not counted; default 12.
        layer_start: the first layer that counts, 0 for the embeddings; default 4.
        layer_weights: ``(num_hidden_layers + 1 - layer_start,)`` at the start, default ones. They are trained,
            and divided by their sum.

    Reads ``all_layer_embeddings``, which ``Transformer(..., config_kwargs={"output_hidden_states": True})``
    writes, each ``(n, length, width)``; replaces ``token_embeddings``.
    """

    config_keys = ("embedding_dimension", "layer_start", "num_hidden_layers")

    def __init__(
        self,
        embedding_dimension: int | None = None,
        num_hidden_layers: int = 12,
        layer_start: int = 4,
        layer_weights: Tensor | None = None,
        *,
        word_embedding_dimension: int | None = None,
    ) -> None:
        super().__init__()
        width = embedding_dimension if embedding_dimension is not None else word_embedding_dimension
        if width is None:
            raise InputTypeError("embedding_dimension is missing: give the width of a token's vector")
        check_positive(width, "embedding_dimension")
        check_positive(num_hidden_layers, "num_hidden_layers")
        if not 0 <= layer_start <= num_hidden_layers:
            raise InputError(
                f"layer_start={layer_start}: the layers are numbered from 0 to {num_hidden_layers}"
            )
        self.embedding_dimension = width
        self.num_hidden_layers = num_hidden_layers
        self.layer_start = layer_start
        weights = torch.ones(num_hidden_layers + 1 - layer_start) if layer_weights is None else layer_weights
        self.layer_weights = nn.Parameter(torch.as_tensor(weights, dtype=torch.float32).clone())

    def get_embedding_dimension(self) -> int:
        """Width of the token vectors."""
        return self.embedding_dimension

    get_word_embedding_dimension = get_embedding_dimension

    def forward(self, features: Features) -> Features:
        """Replace ``token_embeddings``."""
        if "all_layer_embeddings" not in features:
            raise InputError(
                "WeightedLayerPooling: the layers' vectors are missing; make the transformer with "
                "Transformer(..., config_kwargs={'output_hidden_states': True})"
            )
        layers = torch.stack(list(features["all_layer_embeddings"])[self.layer_start :])
        if len(layers) != len(self.layer_weights):
            raise InputError(
                f"num_hidden_layers={self.num_hidden_layers}, but the transformer has "
                f"{len(layers) + self.layer_start - 1}"
            )
        features["token_embeddings"] = torch.einsum("k,knlw->nlw", self.layer_weights, layers) / (
            self.layer_weights.sum()
        )
        return features
