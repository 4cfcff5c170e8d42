"""Contrastive tension: two copies of a model learn, from bare sentences, which two texts are the same."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from vicinal.core.inputs import check_positive
from vicinal.errors import InputError, InputTypeError
from vicinal.nn.losses.base import Loss, function_name, needs_callable
from vicinal.nn.losses.distances import Similarity, cos_sim, pairwise_dot_score, plain
from vicinal.nn.losses.embed import Features
from vicinal.readers.input_example import InputExample


class _TwoModels(Loss):
    """The model, and a copy of it that is trained beside it and dropped after training."""

    citation = """@inproceedings{carlsson2021semantic, title={Semantic Re-tuning with Contrastive Tension},
author={Fredrik Carlsson and Amaru Cuba Gyllensten and Evangelia Gogoulou and Erik Ylip{\\"a}{\\"a} Hellqvist and
Magnus Sahlgren}, booktitle={International Conference on Learning Representations}, year={2021},
url={https://openreview.net/forum?id=Ov_sMNau-PF}}"""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        # The module of a plain model, so that torch sees the copy's weights.
        self.model1 = copy.deepcopy(model if isinstance(model, nn.Module) else model.module)

    @property
    def model2(self) -> Any:
        """The model itself, which is kept."""
        return self.model

    def _both(self, first: Features, second: Features) -> list[Tensor]:
        """The copy's embeddings of the first, the model's of the second; neither is changed."""
        return [
            model(dict(each))["sentence_embedding"]
            for model, each in ((self.model1, first), (self.model, second))
        ]


class ContrastiveTensionLoss(_TwoModels):
    """Two copies of a model shall agree about a sentence and disagree about two: the binary cross-entropy of
    ``sigmoid(u . v)`` against the label, summed over the batch, with u of one copy and v of the other.

    Inputs: two texts; 1 (the same sentence twice) or 0 (two different ones), which is found out where there are no
    labels: the texts are the same if their tokens are. ContrastiveTensionDataLoader makes both of bare sentences.

    Args:
        model: the model to train; its copy is ``model1``.

    Relation to the others: for domain adaptation without labels. ContrastiveTensionLossInBatchNegatives needs fewer
    steps; DenoisingAutoEncoderLoss is usually stronger.

    Reference: Carlsson et al., 2021, "Semantic Re-tuning with Contrastive Tension",
    https://openreview.net/forum?id=Ov_sMNau-PF.

    Example::

        loader = losses.ContrastiveTensionDataLoader(sentences, batch_size=16, pos_neg_ratio=8)
        model.fit([(loader, losses.ContrastiveTensionLoss(model))], epochs=1)
    """

    labels = "binary"

    def completed_labels(self, features: list[Features], labels: Any) -> Any:
        if labels is not None:
            return labels
        self.check_columns(len(features))
        first, second = map(_token_rows, features)
        if first is None or second is None:
            raise InputError(f"{self.name} got no labels, and no token ids to tell which texts are the same")
        return torch.tensor(
            [one == other for one, other in zip(first, second, strict=True)], dtype=torch.float32
        )

    def check_labels(
        self, labels: Any, columns: int | None = None, name: str = "labels", first: int = 0
    ) -> None:
        if labels is not None:
            super().check_labels(labels, columns, name, first)

    def embed(self, sentence_features: Any) -> list[Tensor]:
        features = list(sentence_features)
        self.check_columns(len(features))
        return self._both(features[0], features[1])

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        assert labels is not None
        scores = pairwise_dot_score(embeddings[0], embeddings[1])
        return binary_cross_entropy_with_logits(scores, labels.to(scores.dtype), reduction="sum")


def _token_rows(features: Features) -> list[list[int]] | None:
    """The token ids of each text, without padding; None where there are none."""
    ids, mask, offsets = (features.get(name) for name in ("input_ids", "attention_mask", "offsets"))
    if not isinstance(ids, Tensor):
        return None
    if ids.ndim == 1 and isinstance(offsets, Tensor):  # texts one behind another
        ends = [*offsets.tolist()[1:], len(ids)]
        return [ids[start:end].tolist() for start, end in zip(offsets.tolist(), ends, strict=True)]
    if not isinstance(mask, Tensor):
        return [row.tolist() for row in ids]
    return [row[kept].tolist() for row, kept in zip(ids, mask.bool(), strict=True)]


class ContrastiveTensionLossInBatchNegatives(_TwoModels):
    """Two copies of a model shall find each sentence among all of the batch, in both directions: the mean of the two
    cross-entropies of ``softmax(scale * sim(u_i, v_j))`` against ``j = i``, with u of one copy and v of the other.

    Inputs: one text; no labels. Further columns are not read: both copies embed the first.

    Args:
        model: the model to train; its copy is ``model1``.
        scale: similarities are multiplied by it at first; it is trained, as ``logit_scale``, its logarithm.
        similarity_fct: (n, dim), (m, dim) -> (n, m) similarities; None is the cosine.

    Relation to the others: ContrastiveTensionLoss with all other sentences of the batch as negatives.

    Reference: Carlsson et al., 2021, "Semantic Re-tuning with Contrastive Tension",
    https://openreview.net/forum?id=Ov_sMNau-PF.

    Example::

        examples = [InputExample(texts=[sentence]) for sentence in sentences]
        loss = losses.ContrastiveTensionLossInBatchNegatives(model)
        model.fit([(DataLoader(examples, batch_size=32, shuffle=True), loss)], epochs=1)

    Raises:
        InputError: ``scale`` is not positive.
    """

    columns = (1, None)

    def __init__(self, model: Any, scale: float = 20.0, similarity_fct: Similarity | None = None) -> None:
        super().__init__(model)
        similarity_fct = cos_sim if similarity_fct is None else similarity_fct
        needs_callable(similarity_fct, "similarity_fct")
        if not scale > 0:
            raise InputError(f"scale={scale!r} is not positive: 20 suits cosines")
        self.similarity_fct = similarity_fct
        self.scale = scale
        device = getattr(model, "device", None)
        self.logit_scale = nn.Parameter(
            torch.tensor(math.log(scale), device=None if device is None else str(device))
        )

    def embed(self, sentence_features: Any) -> list[Tensor]:
        features = list(sentence_features)
        self.check_columns(len(features))
        return self._both(features[0], features[0])

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        scores = plain(self.similarity_fct)(embeddings[0], embeddings[1]) * self.logit_scale.exp()
        own = torch.arange(len(scores), device=scores.device)
        return (cross_entropy(scores, own) + cross_entropy(scores.T, own)) / 2

    def get_config_dict(self) -> dict[str, Any]:
        return {"scale": self.scale, "similarity_fct": function_name(self.similarity_fct)}


class ContrastiveTensionDataLoader:
    """Batches of InputExample for ContrastiveTensionLoss, out of bare sentences: one sentence twice, label 1, then
    ``pos_neg_ratio - 1`` pairs of different ones, label 0, and so on.

    Each round is in a new random order, drawn from Python's generator.

    Args:
        sentences: the sentences, each of which should come once.
        batch_size: pairs per batch; a multiple of ``pos_neg_ratio``.
        pos_neg_ratio: pairs to one with label 1, that one included.

    Raises:
        InputError: ``batch_size`` is no multiple of ``pos_neg_ratio``, or there are too few sentences for a batch.
    """

    def __init__(self, sentences: Sequence[str], batch_size: int, pos_neg_ratio: int = 8) -> None:
        if isinstance(sentences, str):
            raise InputTypeError("sentences is a text; give a list of texts")
        check_positive(batch_size, "batch_size")
        check_positive(pos_neg_ratio, "pos_neg_ratio")
        if batch_size % pos_neg_ratio:
            raise InputError(
                f"batch_size={batch_size} is no multiple of pos_neg_ratio={pos_neg_ratio}: "
                f"take {max(1, round(batch_size / pos_neg_ratio)) * pos_neg_ratio}"
            )
        self.sentences = list(sentences)
        self.batch_size = int(batch_size)
        self.pos_neg_ratio = int(pos_neg_ratio)
        self.collate_fn: Callable[[list[Any]], Any] | None = None

    def __len__(self) -> int:
        return len(self.sentences) // (2 * self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        random.shuffle(self.sentences)
        batch: list[Any] = []
        place = 0
        while place + 1 < len(self.sentences):
            first = self.sentences[place]
            same = len(batch) % self.pos_neg_ratio == 0
            place += not same
            batch.append(InputExample(texts=[first, self.sentences[place]], label=int(same)))
            place += 1
            if len(batch) == self.batch_size:
                yield batch if self.collate_fn is None else self.collate_fn(batch)
                batch = []
