"""AdaptiveLayerLoss and Matryoshka2dLoss: any other loss, on the outputs of several layers at once."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div

from vicinal.core.inputs import check_choice, check_positive
from vicinal.errors import InputError, InputTypeError
from vicinal.nn.losses.base import Loss, total
from vicinal.nn.losses.embed import Features, embed_columns
from vicinal.nn.losses.guided import GISTEmbedLoss
from vicinal.nn.losses.matryoshka import MatryoshkaLoss, reads_embeddings

LayerWeighting: TypeAlias = Literal["uniform", "log", "linear"] | Callable[[int], float]


class AdaptiveLayerLoss(Loss):
    """Models whose last layers may be left out: the inner loss of the last layer's embeddings, plus the mean of that of
    some earlier layers' (pooled as the last), plus the divergence of these from the last.

    With T the ``kl_temperature`` it is ``last_layer_weight * loss(last) + prior_layers_weight * mean_i(weight(i) *
    loss(i)) + kl_div_weight * T * sum_i KL(softmax(last / T) || softmax(layer_i / T))``, where the last layer
    gets no gradient of the divergence, which is a mean over all texts.

    Inputs: those of the inner loss.

    Args:
        model: the model to train; its first module is a transformer.
        loss: the inner loss, of the same model: one of this module that is a function of embeddings. A cached one has
            its value and gradients, but not its small memory.
        n_layers_per_step: train so many earlier layers at a step, chosen at random; -1 for all. Layer 0 is the
            output of the token embeddings.
        last_layer_weight: weight of the last layer's loss.
        prior_layers_weight: weight of the earlier layers'.
        kl_div_weight: weight of the divergence.
        kl_temperature: its temperature; 0 leaves it out.
        layer_weighting: how much layer i counts: ``"uniform"`` 1, ``"log"`` ``1 / (1 + ln(1 + i))``, ``"linear"``
            ``1 / (1 + i)``, or a function of i.

    Relation to the others: MatryoshkaLoss shortens vectors in place of models; Matryoshka2dLoss does both.

    Reference: Li et al., 2024, "2D Matryoshka Sentence Embeddings", arXiv:2402.14776.

    Example::

        inner = losses.MultipleNegativesRankingLoss(model)
        model.fit([(loader, losses.AdaptiveLayerLoss(model, inner))], output_path="model")

    Raises:
        InputError: ``n_layers_per_step``, ``kl_temperature`` or ``layer_weighting`` is impossible.
        InputTypeError: ``loss`` is not a function of embeddings, or the model has no transformer.
    """

    citation = """@misc{li20242d, title={2D Matryoshka Sentence Embeddings}, author={Xianming Li and Zongxi Li and
Jing Li and Haoran Xie and Qing Li}, year={2024}, eprint={2402.14776}, archivePrefix={arXiv}}"""

    def __init__(
        self,
        model: Any,
        loss: nn.Module,
        n_layers_per_step: int = 1,
        last_layer_weight: float = 1.0,
        prior_layers_weight: float = 1.0,
        kl_div_weight: float = 1.0,
        kl_temperature: float = 0.3,
        layer_weighting: LayerWeighting = "uniform",
    ) -> None:
        super().__init__(model)
        innermost = loss
        while isinstance(innermost, MatryoshkaLoss):
            innermost = innermost.loss
        if (
            not reads_embeddings(loss)
            or type(innermost).embed is not Loss.embed
            or isinstance(innermost, GISTEmbedLoss)
        ):
            raise InputTypeError(
                f"{self.name} cannot be put around {type(innermost).__name__}: give a loss that is a function of "
                "embeddings alone, such as MultipleNegativesRankingLoss or CoSENTLoss"
            )
        if n_layers_per_step != -1:
            check_positive(n_layers_per_step, "n_layers_per_step")
        if kl_temperature < 0:
            raise InputError(f"kl_temperature={kl_temperature!r} is negative: 0 leaves the divergence out")
        if not callable(layer_weighting):
            check_choice(layer_weighting, ("uniform", "log", "linear"), "layer_weighting")
        self.loss: Loss = loss
        self.columns = self.loss.columns
        self.labels = self.loss.labels
        self.num_labels = self.loss.num_labels
        self.n_layers_per_step = n_layers_per_step
        self.last_layer_weight = last_layer_weight
        self.prior_layers_weight = prior_layers_weight
        self.kl_div_weight = kl_div_weight
        self.kl_temperature = kl_temperature
        self.layer_weighting = layer_weighting

    def forward(self, sentence_features: Iterable[Features], labels: Tensor | None = None) -> Tensor:
        features = list(sentence_features)
        self.check_columns(len(features))
        # (n, layers, dim) for each column; the last layer is the last.
        found = [
            each if each.dtype == torch.float64 else each.float()
            for each in embed_columns(self._layers_of, features)
        ]
        with torch.autocast(found[0].device.type, enabled=False):
            return self._combined(found, labels)

    def _combined(self, columns: list[Tensor], labels: Tensor | None) -> Tensor:
        """The loss of (n, layers, dim) columns."""
        value = self.last_layer_weight * self._at(columns, -1, labels)
        earlier = self._chosen(columns[0].shape[1] - 1)
        for layer in earlier:
            share = self.prior_layers_weight * self.get_layer_weight(layer) / len(earlier)
            value = value + share * self._at(columns, layer, labels)
            if self.kl_temperature > 0:
                divergence = _divergence(torch.cat(columns), layer, self.kl_temperature)
                value = value + self.kl_div_weight * self.kl_temperature * divergence
        return value

    def _at(self, columns: list[Tensor], layer: int, labels: Tensor | None) -> Tensor:
        """The inner loss of a layer."""
        return total(self.loss.compute_loss_from_embeddings([each[:, layer] for each in columns], labels))

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        raise InputError(f"{self.name} needs all layers' embeddings: call it with sentence_features")

    def _chosen(self, count: int) -> Sequence[int]:
        """The earlier layers of this step."""
        if 0 < self.n_layers_per_step < count:
            return random.sample(range(count), self.n_layers_per_step)
        return range(count)

    def get_layer_weight(self, layer_idx: int) -> float:
        """How much an earlier layer counts; 0 is the output of the token embeddings."""
        if not isinstance(self.layer_weighting, str):
            return self.layer_weighting(layer_idx)
        if self.layer_weighting == "log":
            return 1 / (1 + math.log(1 + layer_idx))
        return 1 / (1 + layer_idx) if self.layer_weighting == "linear" else 1.0

    def _layers_of(self, features: Features) -> Features:
        """The embeddings of all layers, (n, layers, dim), each pooled as the last one."""
        modules = list(self.model if isinstance(self.model, nn.Module) else self.model.module)
        transformer, rest = modules[0], modules[1:]
        config = getattr(transformer, "config", None)
        if config is None or not hasattr(config, "output_hidden_states"):
            raise InputTypeError(
                f"{self.name} needs a model whose first module is a Transformer, not {type(transformer).__name__}"
            )
        before = config.output_hidden_states
        config.output_hidden_states = True
        try:
            answer = transformer(dict(features))
        finally:
            config.output_hidden_states = before
        layers = [*answer["all_layer_embeddings"][:-1], answer["token_embeddings"]]
        pooled = []
        for tokens in layers:
            features = {**answer, "token_embeddings": tokens}
            for module in rest:
                features = module(features)
            pooled.append(features["sentence_embedding"])
        return {"sentence_embedding": torch.stack(pooled, dim=1)}

    def check_labels(
        self, labels: Any, columns: int | None = None, name: str = "labels", first: int = 0
    ) -> None:
        self.loss.check_labels(labels, columns, name, first)

    def check_columns(self, count: int) -> None:
        self.loss.check_columns(count)

    def get_config_dict(self) -> dict[str, Any]:
        weighting = self.layer_weighting
        return {
            "loss": type(self.loss).__name__,
            "n_layers_per_step": self.n_layers_per_step,
            "last_layer_weight": self.last_layer_weight,
            "prior_layers_weight": self.prior_layers_weight,
            "kl_div_weight": self.kl_div_weight,
            "kl_temperature": self.kl_temperature,
            "layer_weighting": weighting if isinstance(weighting, str) else weighting.__name__,
        }


class Matryoshka2dLoss(AdaptiveLayerLoss):
    """AdaptiveLayerLoss around MatryoshkaLoss: models that may lose their last layers, and vectors that may be cut
    short.

    Inputs: those of the inner loss.

    Args:
        model: the model to train; its first module is a transformer.
        loss: the inner loss, as in AdaptiveLayerLoss.
        matryoshka_dims, matryoshka_weights, n_dims_per_step: as in MatryoshkaLoss.
        n_layers_per_step, last_layer_weight, prior_layers_weight, kl_div_weight, kl_temperature, layer_weighting: as in
            AdaptiveLayerLoss.

    Relation to the others: MatryoshkaLoss alone if the whole model will be run anyway.

    Reference: Li et al., 2024, "2D Matryoshka Sentence Embeddings", arXiv:2402.14776.

    Example::

        inner = losses.MultipleNegativesRankingLoss(model)
        loss = losses.Matryoshka2dLoss(model, inner, matryoshka_dims=[384, 256, 128, 64])
        model.fit([(loader, loss)], output_path="model")
    """

    def __init__(
        self,
        model: Any,
        loss: nn.Module,
        matryoshka_dims: Sequence[int],
        matryoshka_weights: Sequence[float] | None = None,
        n_layers_per_step: int = 1,
        n_dims_per_step: int = 1,
        last_layer_weight: float = 1.0,
        prior_layers_weight: float = 1.0,
        kl_div_weight: float = 1.0,
        kl_temperature: float = 0.3,
        layer_weighting: LayerWeighting = "uniform",
    ) -> None:
        super().__init__(
            model,
            MatryoshkaLoss(model, loss, matryoshka_dims, matryoshka_weights, n_dims_per_step),
            n_layers_per_step,
            last_layer_weight,
            prior_layers_weight,
            kl_div_weight,
            kl_temperature,
            layer_weighting,
        )

    def get_config_dict(self) -> dict[str, Any]:
        return {**super().get_config_dict(), **self.loss.get_config_dict()}


def _divergence(embeddings: Tensor, layer: int, temperature: float) -> Tensor:
    """Mean over the texts of the divergence of a layer from the last, of (n, layers, dim)."""
    last = (embeddings[:, -1] / temperature).softmax(dim=-1).detach()
    return kl_div((embeddings[:, layer] / temperature).log_softmax(dim=-1), last, reduction="batchmean")
