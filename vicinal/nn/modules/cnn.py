"""CNN: convolutions over the token vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from vicinal.core.inputs import check_positive
from vicinal.errors import InputError, InputTypeError
from vicinal.nn.modules.base import Features, Module


class CNN(Module):
    """Token vectors become those of their neighbourhoods, by convolutions of several widths side by side.

    Args:
        in_embedding_dimension: width of a token's vector; ``in_word_embedding_dimension`` is its old name.
        out_channels: numbers that each convolution gives a token; default 256.
        kernel_sizes: tokens that each convolution sees, odd; default ``[1, 3, 5]``.
        stride_sizes: steps of each, default 1. Those that are longer would change the number of tokens.

    Replaces ``token_embeddings`` ``(n, length, width)`` by ``(n, length, out_channels * convolutions)``. The
    padding of a batch is seen by the convolutions, as in sentence-transformers.
    """

    config_keys = ("in_embedding_dimension", "out_channels", "kernel_sizes", "stride_sizes")
    config_file_name = "cnn_config.json"

    def __init__(
        self,
        in_embedding_dimension: int | None = None,
        out_channels: int = 256,
        kernel_sizes: Sequence[int] = (1, 3, 5),
        stride_sizes: Sequence[int] | None = None,
        *,
        in_word_embedding_dimension: int | None = None,
    ) -> None:
        super().__init__()
        width = in_embedding_dimension if in_embedding_dimension is not None else in_word_embedding_dimension
        if width is None:
            raise InputTypeError("in_embedding_dimension is missing: give the width of a token's vector")
        check_positive(width, "in_embedding_dimension")
        check_positive(out_channels, "out_channels")
        self.in_embedding_dimension = width
        self.out_channels = out_channels
        self.kernel_sizes = list(kernel_sizes)
        self.stride_sizes = [1] * len(self.kernel_sizes) if stride_sizes is None else list(stride_sizes)
        if len(self.stride_sizes) != len(self.kernel_sizes):
            raise InputError(
                f"stride_sizes={self.stride_sizes} and kernel_sizes={self.kernel_sizes}: as many of each"
            )
        if not self.kernel_sizes or any(size % 2 == 0 for size in self.kernel_sizes):
            raise InputError(f"kernel_sizes={self.kernel_sizes}: give odd widths, else the tokens shift")
        self.convs = nn.ModuleList(
            nn.Conv1d(width, out_channels, size, stride=stride, padding=size // 2)
            for size, stride in zip(self.kernel_sizes, self.stride_sizes, strict=True)
        )

    def get_embedding_dimension(self) -> int:
        """Width of the token vectors that leave."""
        return self.out_channels * len(self.convs)

    get_word_embedding_dimension = get_embedding_dimension

    def forward(self, features: Features) -> Features:
        """Replace ``token_embeddings``."""
        channels = features["token_embeddings"].transpose(1, 2)  # (n, width, length)
        seen = [conv(channels) for conv in self.convs]
        features["token_embeddings"] = torch.cat(seen, 1).transpose(1, 2)
        return features
