"""MatryoshkaLoss: any other loss, on several prefixes of the embeddings at once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from vicinal.core.inputs import check_positive
from vicinal.errors import InputError, InputTypeError
from vicinal.nn.losses.base import Loss, total
from vicinal.nn.losses.embed import Features


class MatryoshkaLoss(Loss):
    """Embeddings that may be cut short: ``sum(weight * loss(normalised first dim numbers))`` over some dims.

    Inputs: those of the inner loss.

    Args:
        model: the model to train.
        loss: the inner loss, of the same model. A custom one that calls the model in its ``forward`` is called once for
            each dim, and the model answers with shortened embeddings; the texts are embedded once here too.
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
        InputTypeError: ``loss`` is not a torch module, or it calls a model that is none.
    """

    citation = """@misc{kusupati2024matryoshka, title={Matryoshka Representation Learning},
author={Aditya Kusupati and Gantavya Bhatt and Aniket Rege and Matthew Wallingford and Aditya Sinha and
Vivek Ramanujan and William Howard-Snyder and Kaifeng Chen and Sham Kakade and Prateek Jain and Ali Farhadi},
year={2022}, eprint={2205.13147}, archivePrefix={arXiv}}"""

    def __init__(
        self,
        model: Any,
        loss: nn.Module,
        matryoshka_dims: Sequence[int],
        matryoshka_weights: Sequence[float] | None = None,
        n_dims_per_step: int = -1,
    ) -> None:
        super().__init__(model)
        if not isinstance(loss, nn.Module):
            raise InputTypeError(f"loss is {type(loss).__name__}, not a loss: give a torch module")
        if not reads_embeddings(loss) and not isinstance(getattr(loss, "model", model), nn.Module):
            raise InputTypeError(
                f"loss is {type(loss).__name__}, whose forward calls the model itself: give it one of vicinal.torch, "
                "or derive it from vicinal.nn.losses.Loss"
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
        self.columns = getattr(loss, "columns", (1, None))
        self.labels = getattr(loss, "labels", "any")
        self.num_labels = getattr(loss, "num_labels", None)
        self.matryoshka_dims = dims
        self.matryoshka_weights = weights
        self.n_dims_per_step = n_dims_per_step

    def forward(self, sentence_features: Iterable[Features], labels: Tensor | None = None) -> Tensor:
        if reads_embeddings(self.loss):
            return super().forward(sentence_features, labels)
        columns = list(sentence_features)
        model = getattr(self.loss, "model", self.model)
        with _Shortened(model) as shortened:
            parts = []
            for dim, weight in self._chosen():
                shortened.dim = dim
                parts.append(weight * total(self.loss(columns, labels)))
        return torch.stack(parts).sum()

    def completed_labels(self, features: list[Features], labels: Any) -> Any:
        return self.loss.completed_labels(features, labels)

    def through(self, features: list[Features], function: Callable[[list[Tensor]], Tensor]) -> Tensor:
        return self.loss.through(features, function)

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor | None = None) -> Tensor:
        embeddings = [torch.as_tensor(each) for each in embeddings]
        _check_dims(self.matryoshka_dims, embeddings[0].shape[1])
        # The norms of prefixes need float32, as losses do.
        with torch.autocast(embeddings[0].device.type, enabled=False):
            wide = [each if each.dtype == torch.float64 else each.float() for each in embeddings]
            parts = []
            for dim, weight in self._chosen():
                short = [normalize(each[:, :dim], dim=-1) for each in wide]
                parts.append(weight * total(self.loss.compute_loss_from_embeddings(short, labels)))
            return torch.stack(parts).sum()

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        return self.compute_loss_from_embeddings(embeddings, labels)

    def _chosen(self) -> list[tuple[int, float]]:
        """Dims and weights of this step."""
        chosen = list(zip(self.matryoshka_dims, self.matryoshka_weights, strict=True))
        if 0 < self.n_dims_per_step < len(chosen):
            chosen = random.sample(chosen, self.n_dims_per_step)
        return chosen

    def check_labels(
        self, labels: Any, columns: int | None = None, name: str = "labels", first: int = 0
    ) -> None:
        if hasattr(self.loss, "check_labels"):
            self.loss.check_labels(labels, columns, name, first)

    def check_columns(self, count: int) -> None:
        if hasattr(self.loss, "check_columns"):
            self.loss.check_columns(count)

    def get_config_dict(self) -> dict[str, Any]:
        return {
            "loss": type(self.loss).__name__,
            "matryoshka_dims": self.matryoshka_dims,
            "matryoshka_weights": self.matryoshka_weights,
            "n_dims_per_step": self.n_dims_per_step,
        }


def reads_embeddings(loss: nn.Module) -> bool:
    """Whether all that a loss does with texts is a function of their embeddings."""
    if isinstance(loss, MatryoshkaLoss):
        return type(loss).forward is MatryoshkaLoss.forward and reads_embeddings(loss.loss)
    return isinstance(loss, Loss) and type(loss).forward is Loss.forward


class _Shortened:
    """While it is entered, a model answers with the first ``dim`` numbers of its embeddings, normalised.

    The same features are embedded once, whatever the dim.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.dim = 0
        self._answers: dict[int, tuple[Features, Features]] = {}

    def __enter__(self) -> _Shortened:
        self._before = vars(self.model).get("forward")
        self._forward = self.model.forward
        self.model.forward = self._answer
        return self

    def __exit__(self, *_: object) -> None:
        del self.model.forward
        if self._before is not None:
            self.model.forward = self._before

    def _answer(self, features: Features, **options: Any) -> Features:
        # With its answer the input is kept, so that no other one gets its id.
        key = id(features)
        if key not in self._answers:
            self._answers[key] = features, self._forward(dict(features), **options)
        answer = dict(self._answers[key][1])
        width = answer["sentence_embedding"].shape[-1]
        _check_dims([self.dim], width)
        for name in ("sentence_embedding", "token_embeddings"):
            tensor = answer.get(name)
            if isinstance(tensor, Tensor) and tensor.shape[-1] == width:
                answer[name] = normalize(tensor[..., : self.dim], dim=-1)
        return answer


def _check_dims(dims: Sequence[int], width: int | None) -> None:
    if width is not None and max(dims) > width:
        raise InputError(
            f"matryoshka_dims holds {max(dims)}, but embeddings have {width} dimensions: leave it out"
        )
