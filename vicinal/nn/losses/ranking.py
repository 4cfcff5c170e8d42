"""Losses that rank a query's own document above all others: MultipleNegativesRankingLoss and its symmetric kin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from vicinal.core.inputs import check_choice
from vicinal.errors import InputError, InputTypeError
from vicinal.nn.losses.base import Loss, function_name, needs_callable
from vicinal.nn.losses.distances import Similarity, cos_sim, plain

Direction: TypeAlias = Literal["query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"]
Partition: TypeAlias = Literal["joint", "per_direction"]
Hardness: TypeAlias = Literal["in_batch_negatives", "hard_negatives", "all_negatives"]

_DIRECTIONS = ("query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc")


class MultipleNegativesRankingLoss(Loss):
    """Each query shall find its own document among all of the batch: the cross-entropy of
    ``softmax(scale * sim(query_i, document_j))`` against ``j = i`` (InfoNCE).

    Inputs: (query, positive) pairs, or (query, positive, negative, ...) tuples with hard negatives; no labels.
    Every other row's documents are negatives as well, so a batch should not hold the same text twice (batch
    sampler "no duplicates"), and larger batches are better.

    Args:
        model: the model to train.
        scale: similarities are multiplied by it; the inverse of the temperature. 20 suits cosines, 1 dot products.
        similarity_fct: (n, dim), (m, dim) -> (n, m) similarities; None is the cosine.
        gather_across_devices: the documents of all processes are negatives, as in one batch of their total size.
        directions: what else competes with the positive: ``"query_to_query"`` the other queries,
            ``"doc_to_query"`` all queries, seen from the positive, ``"doc_to_doc"`` the other rows' documents,
            seen from the positive. ``"query_to_doc"`` must be among them.
        partition_mode: ``"joint"`` is one softmax over all directions; ``"per_direction"`` one each, averaged:
            only for the two directions between queries and documents.
        hardness_mode: which negatives of ``"query_to_doc"`` weigh more, the more similar they are:
            ``"in_batch_negatives"`` (other rows' documents), ``"hard_negatives"`` (the row's own), or
            ``"all_negatives"``. None: all weigh the same.
        hardness_strength: ``strength * similarity``, without gradient, is added to those logits.

    Relation to the others: the first choice for retrieval, and for pairs that are all similar. The cached
    variant reaches any batch size in constant memory; MultipleNegativesSymmetricRankingLoss also lets each
    document find its query; TripletLoss uses only the row's own negative.

    Reference: Henderson et al., 2017, arXiv:1705.00652 (section 4.4); van den Oord et al., 2018, arXiv:1807.03748.
    Hardness: Lan et al., 2025, arXiv:2503.04812.

    Example::

        loss = losses.MultipleNegativesRankingLoss(model)
        examples = [InputExample(texts=["How to boil eggs?", "Cook the eggs for 8 minutes."])]
        model.fit([(DataLoader(examples, batch_size=64, shuffle=True), loss)])

    Raises:
        InputError: the directions do not go together, or ``hardness_strength`` is negative.
    """

    columns = (2, None)
    citation = """@misc{henderson2017efficient, title={Efficient Natural Language Response Suggestion for Smart Reply},
author={Matthew Henderson and Rami Al-Rfou and Brian Strope and Yun-hsuan Sung and Laszlo Lukacs and Ruiqi Guo and
Sanjiv Kumar and Balint Miklos and Ray Kurzweil}, year={2017}, eprint={1705.00652}, archivePrefix={arXiv}}"""

    def __init__(
        self,
        model: Any,
        scale: float = 20.0,
        similarity_fct: Similarity | None = None,
        gather_across_devices: bool = False,
        directions: Sequence[Direction] = ("query_to_doc",),
        partition_mode: Partition = "joint",
        hardness_mode: Hardness | None = None,
        hardness_strength: float = 0.0,
    ) -> None:
        super().__init__(model)
        similarity_fct = cos_sim if similarity_fct is None else similarity_fct
        needs_callable(similarity_fct, "similarity_fct")
        if isinstance(directions, str):
            raise InputTypeError(f"directions={directions!r} is a text; give a tuple of names")
        for direction in directions:
            check_choice(direction, _DIRECTIONS, "directions")
        if "query_to_doc" not in directions:
            raise InputError(
                f"directions={directions!r} lacks 'query_to_doc', which holds the positives: add it"
            )
        check_choice(partition_mode, ("joint", "per_direction"), "partition_mode")
        if partition_mode == "per_direction" and {"query_to_query", "doc_to_doc"} & set(directions):
            raise InputError(
                f"directions={directions!r} holds some without a positive, which no softmax of its own can rank: "
                "leave them out, or set partition_mode='joint'"
            )
        check_choice(
            hardness_mode, (None, "in_batch_negatives", "hard_negatives", "all_negatives"), "hardness_mode"
        )
        if hardness_strength < 0:
            raise InputError(
                f"hardness_strength={hardness_strength!r} is negative; 0 switches it off, try 5 or 9"
            )
        self.scale = scale
        self.similarity_fct = similarity_fct
        self.gather_across_devices = gather_across_devices
        self.directions = tuple(directions)
        self.partition_mode = partition_mode
        self.hardness_mode = hardness_mode
        self.hardness_strength = hardness_strength

    @property
    def temperature(self) -> float:
        """1 / scale."""
        return 1.0 / self.scale

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        everything, first = self._gathered(embeddings)
        return self._row_losses(embeddings[0], embeddings[1], everything, first).mean()

    def _gathered(self, embeddings: list[Tensor]) -> tuple[list[Tensor], int]:
        """The columns of all processes, and the number of this one's first row among them."""
        if not self.gather_across_devices:
            return embeddings, 0
        return gather(embeddings)

    def _row_losses(self, queries: Tensor, positives: Tensor, everything: list[Tensor], first: int) -> Tensor:
        """(n,) losses of n rows, whose first is number ``first`` of all.

        Args:
            queries: (n, dim).
            positives: (n, dim).
            everything: (N, dim) for each column: queries, positives, hard negatives.
        """
        compare = plain(self.similarity_fct)
        all_queries, documents = everything[0], torch.cat(everything[1:])
        total = len(all_queries)
        rows = torch.arange(first, first + len(queries), device=queries.device)[:, None]
        # own[i, j]: document j belongs to query i, as its positive or as one of its hard negatives.
        places = torch.arange(len(documents), device=queries.device)[None, :]
        own = places % total == rows
        similarities = compare(queries, documents)
        logits = similarities * self.scale
        positive = logits.gather(1, rows)
        if self.hardness_mode is not None and self.hardness_strength:
            harder = {"in_batch_negatives": ~own, "hard_negatives": own, "all_negatives": places != rows}
            weighted = harder[self.hardness_mode] & (places != rows)
            logits = logits + self.hardness_strength * similarities.detach() * weighted
        parts = [logits]
        if "query_to_query" in self.directions:
            parts.append(_masked(compare(queries, all_queries) * self.scale, own[:, :total]))
        if "doc_to_query" in self.directions:
            parts.append(compare(positives, all_queries) * self.scale)
        if "doc_to_doc" in self.directions:
            parts.append(_masked(compare(positives, documents) * self.scale, own))
        if self.partition_mode == "joint":
            parts = [torch.cat(parts, dim=1)]
        return torch.stack([part.logsumexp(dim=1) - positive[:, 0] for part in parts]).mean(dim=0)

    def get_config_dict(self) -> dict[str, Any]:
        return {
            "scale": self.scale,
            "similarity_fct": function_name(self.similarity_fct),
            "gather_across_devices": self.gather_across_devices,
            "directions": self.directions,
            "partition_mode": self.partition_mode,
            "hardness_mode": self.hardness_mode,
            "hardness_strength": self.hardness_strength,
        }


class MultipleNegativesSymmetricRankingLoss(MultipleNegativesRankingLoss):
    """MultipleNegativesRankingLoss in both directions, averaged: each query finds its document among all
    documents, and each document its query among all queries.

    Inputs: (query, positive) pairs or tuples with hard negatives; no labels.

    Args:
        model: the model to train.
        scale: similarities are multiplied by it; the inverse of the temperature.
        similarity_fct: (n, dim), (m, dim) -> (n, m) similarities; None is the cosine.
        gather_across_devices: the texts of all processes are negatives.

    Relation to the others: for pairs whose sides are of one kind (questions and questions); for short queries
    and long documents the one-sided loss is enough. It is
    ``MultipleNegativesRankingLoss(directions=("query_to_doc", "doc_to_query"), partition_mode="per_direction")``.

    Reference: Radford et al., 2021, arXiv:2103.00020 (section 2.3), for images and texts.

    Example::

        loss = losses.MultipleNegativesSymmetricRankingLoss(model)
        examples = [InputExample(texts=["How old are you?", "What is your age?"])]
        model.fit([(DataLoader(examples, batch_size=64, shuffle=True), loss)])
    """

    def __init__(
        self,
        model: Any,
        scale: float = 20.0,
        similarity_fct: Similarity | None = None,
        gather_across_devices: bool = False,
    ) -> None:
        super().__init__(
            model,
            scale,
            similarity_fct,
            gather_across_devices,
            directions=("query_to_doc", "doc_to_query"),
            partition_mode="per_direction",
        )


def gather(embeddings: list[Tensor]) -> tuple[list[Tensor], int]:
    """The columns of all processes, one after the other, and the number of this process's first row.

    Gradients flow back to the process that a row came from. Without torch.distributed nothing changes.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return embeddings, 0
    from torch.distributed.nn.functional import all_gather

    columns = [torch.cat(all_gather(each.contiguous())) for each in embeddings]
    return columns, torch.distributed.get_rank() * len(embeddings[0])


def _masked(logits: Tensor, mask: Tensor) -> Tensor:
    return logits.masked_fill(mask, float("-inf"))
