"""MatryoshkaLoss: any other loss, on several prefixes of the embeddings at once."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from vicinal.core.inputs import check_positive
from vicinal.errors import InputError, InputTypeError
from vicinal.nn.losses.base import Loss
from vicinal.nn.losses.embed import Features


class MatryoshkaLoss(Loss):
    """Embeddings that may be cut short: ``sum(weight * loss(normalised first dim numbers))`` over some dims.

    Inputs: those of the inner loss.

    Args:
        model: the model to train.
        loss: the inner loss, of the same model.
        matryoshka_dims: numbers of dimensions to train for; the model's own should be among them.
        matryoshka_weights: a weight each; None is 1 each.
        n_dims_per_step: train for so many of them at a step, chosen at random; -1 for all. Faster with many.

    Relation to the others: wraps any of them, the cached ones too; the texts are embedded once, so that it
    costs hardly more than the inner loss. Use the result with ``truncate_dim``.

    Reference: Kusupati et al., 2022, "Matryoshka Representation Learning", arXiv:2205.13147.

    Example::

        inner = losses.MultipleNegativesRankingLoss(model)
        loss = losses.MatryoshkaLoss(model, inner, matryoshka_dims=[384, 256, 128, 64])
        model.fit([(loader, loss)], output_path="model")
        short = SentenceTransformer("model", truncate_dim=64)

    Raises:
        InputError: dims and weights differ in number, or a dim exceeds the embedding's.
        InputTypeError: ``loss`` is not a loss that works on embeddings.
    """

    citation = """@misc{kusupati2024matryoshka, title={Matryoshka Representation Learning},
author={Aditya Kusupati and Gantavya Bhatt and Aniket Rege and Matthew Wallingford and Aditya Sinha and
Vivek Ramanujan and William Howard-Snyder and Kaifeng Chen and Sham Kakade and Prateek Jain and Ali Farhadi},
year={2022}, eprint={2205.13147}, archivePrefix={arXiv}}"""

    def __init__(
        self,
        model: Any,
        loss: Loss,
        matryoshka_dims: Sequence[int],
        matryoshka_weights: Sequence[float] | None = None,
        n_dims_per_step: int = -1,
    ) -> None:
        super().__init__(model)
        if not isinstance(loss, Loss):
            raise InputTypeError(
                f"loss is {type(loss).__name__}, not a vicinal.losses loss: derive it from vicinal.nn.losses.Loss"
            )
        dims = tuple(matryoshka_dims)
        if not dims:
            raise InputError("matryoshka_dims is empty: give some numbers of dimensions, e.g. [384, 128, 64]")
        for dim in dims:
            check_positive(dim, "matryoshka_dims")
        weights = (1,) * len(dims) if matryoshka_weights is None else tuple(matryoshka_weights)
        if len(weights) != len(dims):
            raise InputError(
                f"matryoshka_weights has {len(weights)} numbers for {len(dims)} matryoshka_dims: give one each"
            )
        if n_dims_per_step != -1:
            check_positive(n_dims_per_step, "n_dims_per_step")
        ask = getattr(model, "get_sentence_embedding_dimension", None)
        if ask is not None:
            _check_dims(dims, ask())
        self.loss = loss
        self.columns = loss.columns
        self.labels = loss.labels
        self.num_labels = loss.num_labels
        self.matryoshka_dims = dims
        self.matryoshka_weights = weights
        self.n_dims_per_step = n_dims_per_step

    def through(self, features: list[Features], function: Callable[[list[Tensor]], Tensor]) -> Tensor:
        return self.loss.through(features, function)

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        _check_dims(self.matryoshka_dims, embeddings[0].shape[1])
        chosen = list(zip(self.matryoshka_dims, self.matryoshka_weights, strict=True))
        if 0 < self.n_dims_per_step < len(chosen):
            chosen = random.sample(chosen, self.n_dims_per_step)
        parts = []
        for dim, weight in chosen:
            short = [normalize(each[:, :dim], dim=-1) for each in embeddings]
            parts.append(weight * self.loss.compute_loss_from_embeddings(short, labels))
        return torch.stack(parts).sum()

    def check_labels(
        self, labels: Any, columns: int | None = None, name: str = "labels", first: int = 0
    ) -> None:
        self.loss.check_labels(labels, columns, name, first)

    def check_columns(self, count: int) -> None:
        self.loss.check_columns(count)

    def get_config_dict(self) -> dict[str, Any]:
        return {
            "loss": type(self.loss).__name__,
            "matryoshka_dims": self.matryoshka_dims,
            "matryoshka_weights": self.matryoshka_weights,
            "n_dims_per_step": self.n_dims_per_step,
        }


def _check_dims(dims: Sequence[int], width: int | None) -> None:
    if width is not None and max(dims) > width:
        raise InputError(
            f"matryoshka_dims holds {max(dims)}, but embeddings have {width} dimensions: leave it out"
        )
