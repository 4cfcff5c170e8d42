"""Ranking losses whose false negatives a second model finds: GISTEmbedLoss and its cached form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from vicinal.core.inputs import as_number, check_choice
from vicinal.errors import InputError, InputTypeError
from vicinal.nn.losses.base import Loss, refuse_scorer
from vicinal.nn.losses.distances import cos_sim, pairwise_cos_sim
from vicinal.nn.losses.embed import Features
from vicinal.nn.losses.gradient_cache import GradientCache, by_blocks
from vicinal.nn.losses.guide import GuideModel
from vicinal.nn.losses.ranking import gather

_INFINITY = float("inf")
Margin: TypeAlias = Literal["absolute", "relative"]


class GISTEmbedLoss(Loss):
    """MultipleNegativesRankingLoss without the negatives that a guide finds too similar: the cross-entropy of
    ``softmax(cos / temperature)`` of each anchor's positive among all texts, of which those are left out whose cosine,
    in the guide's vectors, exceeds that of the anchor and its positive, less the margin.

    Inputs: (anchor, positive) pairs, or (anchor, positive, negative, ...) tuples; no labels. An anchor is compared with
    all positives, all negatives and all other anchors; its positive with all other positives.

    Args:
        model: the model to train.
        guide: a trained model that judges, such as ``SentenceTransformer("all-MiniLM-L6-v2")``; it is not trained. One
            with another tokenizer gets the texts, read back from the tokens.
        temperature: cosines are divided by it.
        margin_strategy: ``"absolute"`` leaves out what exceeds ``positive - margin``, ``"relative"`` what exceeds
            ``positive - margin * |positive|``.
        margin: the margin; with 0 a negative is left out when it is more similar than the positive. A text is never
            compared with itself, whatever the margin.
        contrast_anchors: compare anchors with anchors.
        contrast_positives: compare positives with positives.
        gather_across_devices: the texts of all processes are negatives, as in one batch of their total size.

    Relation to the others: for data in which other rows' texts may well be right answers too; costs a second
    model's forward pass. CachedGISTEmbedLoss reaches any batch size in constant memory.

    Reference: Solatorio, 2024, "GISTEmbed: Guided In-sample Selection of Training Negatives", arXiv:2402.16829.

    Example::

        guide = SentenceTransformer("all-MiniLM-L6-v2")
        loss = losses.GISTEmbedLoss(model, guide)
        examples = [InputExample(texts=["How to boil eggs?", "Cook the eggs for 8 minutes."])]
        model.fit([(DataLoader(examples, batch_size=64, shuffle=True), loss)])

    Raises:
        InputError: an unknown ``margin_strategy``, or a temperature that is not positive.
        InputTypeError: ``guide`` is not a model.
    """

    columns = (2, None)
    citation = """@misc{solatorio2024gistembed, title={GISTEmbed: Guided In-sample Selection of Training Negatives for
Text Embedding Fine-tuning}, author={Aivin V. Solatorio}, year={2024}, eprint={2402.16829}, archivePrefix={arXiv}}"""

    def __init__(
        self,
        model: Any,
        guide: Any,
        temperature: float = 0.01,
        margin_strategy: Margin = "absolute",
        margin: float = 0.0,
        contrast_anchors: bool = True,
        contrast_positives: bool = True,
        gather_across_devices: bool = False,
    ) -> None:
        super().__init__(model)
        if not callable(guide):
            raise InputTypeError(
                f"guide={guide!r} is {type(guide).__name__}: give a model, e.g. SentenceTransformer('all-MiniLM-L6-v2')"
            )
        refuse_scorer(guide, "guide", self.name)
        check_choice(margin_strategy, ("absolute", "relative"), "margin_strategy")
        if not temperature > 0:
            raise InputError(f"temperature={temperature!r} is not positive: try 0.01 to 0.1")
        self._guide = GuideModel(guide)
        self.temperature = temperature
        self.margin_strategy = margin_strategy
        self.margin = as_number(margin, "margin", -_INFINITY, _INFINITY, "0 or a small number")
        self.contrast_anchors = contrast_anchors
        self.contrast_positives = contrast_positives
        self.gather_across_devices = gather_across_devices
        self._judged: list[Tensor] | None = None

    @property
    def guide(self) -> Any:
        """The model that judges; no submodule, since it is not trained."""
        return self._guide.model

    def _judge(self, features: list[Features]) -> list[Tensor]:
        """The guide's vectors of each column."""
        return self._guide.embed(self.model, features)

    def through(self, features: list[Features], function: Callable[[list[Tensor]], Tensor]) -> Tensor:
        self._judged = self._judge(features)
        try:
            return super().through(features, function)
        finally:
            self._judged = None

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        if self._judged is None:
            raise InputError(
                f"{self.name} got embeddings only, and its guide needs the texts: call it with sentence_features"
            )
        judged = [each.to(embeddings[0]) for each in self._judged]
        first = 0
        everything, all_judged = embeddings, judged
        if self.gather_across_devices:
            everything, first = gather(embeddings)
            all_judged, _ = gather(judged)

        def losses_of(block: slice) -> Tensor:
            return self._row_losses(
                [each[block] for each in embeddings[:2]],
                [each[block] for each in judged[:2]],
                everything,
                all_judged,
                first + block.start,
            )

        return self._rows(losses_of, len(embeddings[0])).mean()

    def _rows(self, losses_of: Callable[[slice], Tensor], rows: int) -> Tensor:
        """(rows,) losses."""
        return losses_of(slice(0, rows))

    def _row_losses(
        self,
        own: Sequence[Tensor],
        own_judged: Sequence[Tensor],
        everything: Sequence[Tensor],
        all_judged: Sequence[Tensor],
        first: int,
    ) -> Tensor:
        """(n,) losses of n rows, whose first is number ``first`` of all.

        Args:
            own: anchors and positives of the rows, (n, dim) each.
            own_judged: the guide's vectors of these.
            everything: (N, dim) for each column: anchors, positives, negatives.
            all_judged: the guide's vectors of these.
        """
        positive = pairwise_cos_sim(own_judged[0], own_judged[1])[:, None]
        allowance = self.margin if self.margin_strategy == "absolute" else self.margin * positive.abs()
        limit = positive - allowance
        rows = torch.arange(first, first + len(own[0]), device=own[0].device)[:, None]
        places = torch.arange(len(everything[0]), device=own[0].device)[None, :]
        itself = places == rows
        # (column of the row's text, column that it is compared with)
        compared = [(0, 1)]
        compared += [(0, 0)] * self.contrast_anchors + [(1, 1)] * self.contrast_positives
        compared += [(0, column) for column in range(2, len(everything))]
        parts = []
        for one, other in compared:
            false = cos_sim(own_judged[one], all_judged[other]) > limit
            if other == 1 and one == 0:
                false = false & ~itself
            elif other < 2:
                false = false | itself
            logits = cos_sim(own[one], everything[other]) / self.temperature
            parts.append(logits.masked_fill(false, float("-inf")))
        return torch.cat(parts, dim=1).logsumexp(dim=1) - parts[0].gather(1, rows)[:, 0]

    def sim_matrix(self, embed1: Tensor, embed2: Tensor) -> Tensor:
        """(n, m) cosines of the rows."""
        return cos_sim(embed1, embed2)

    def get_config_dict(self) -> dict[str, Any]:
        return {
            "guide": self.guide,
            "temperature": self.temperature,
            "margin_strategy": self.margin_strategy,
            "margin": self.margin,
            "contrast_anchors": self.contrast_anchors,
            "contrast_positives": self.contrast_positives,
            "gather_across_devices": self.gather_across_devices,
        }


class CachedGISTEmbedLoss(GISTEmbedLoss, GradientCache):
    """GISTEmbedLoss with the same value and gradients in the memory of a small batch, by a gradient cache.

    Inputs: (anchor, positive) pairs, or (anchor, positive, negative, ...) tuples; no labels.

    Args:
        model: the model to train.
        guide, temperature, margin_strategy, margin, contrast_anchors, contrast_positives, gather_across_devices: as in
            GISTEmbedLoss.
        mini_batch_size: texts that are embedded, and rows that are compared, at a time: what bounds the memory.
        mini_batch_num_tokens: if given, texts are cut into mini-batches by this number of tokens instead.
        show_progress_bar: show the mini-batches of each step.

    Relation to the others: take the plain loss while the batch fits into memory.

    Reference: Solatorio, 2024, arXiv:2402.16829; Gao, Zhang, Han and Callan, 2021, arXiv:2101.06983.

    Example::

        loss = losses.CachedGISTEmbedLoss(model, guide, mini_batch_size=32)
        examples = [InputExample(texts=["How to boil eggs?", "Cook the eggs for 8 minutes."])]
        model.fit([(DataLoader(examples, batch_size=2048, shuffle=True), loss)])
    """

    uncached = "GISTEmbedLoss"

    def __init__(
        self,
        model: Any,
        guide: Any,
        temperature: float = 0.01,
        mini_batch_size: int = 32,
        mini_batch_num_tokens: int | None = None,
        show_progress_bar: bool = False,
        margin_strategy: Margin = "absolute",
        margin: float = 0.0,
        contrast_anchors: bool = True,
        contrast_positives: bool = True,
        gather_across_devices: bool = False,
    ) -> None:
        super().__init__(
            model,
            guide,
            temperature,
            margin_strategy,
            margin,
            contrast_anchors,
            contrast_positives,
            gather_across_devices,
        )
        self._set_mini_batches(mini_batch_size, mini_batch_num_tokens, show_progress_bar)

    def _judge(self, features: list[Features]) -> list[Tensor]:
        parts: list[list[Tensor]] = [[] for _ in features]
        for each in self.mini_batches(features):
            parts[each.column] += super()._judge([each.of(features)])
        return [torch.cat(part) for part in parts]

    def _rows(self, losses_of: Callable[[slice], Tensor], rows: int) -> Tensor:
        return by_blocks(losses_of, rows, self.mini_batch_size)

    def get_config_dict(self) -> dict[str, Any]:
        return {
            **super().get_config_dict(),
            "mini_batch_size": self.mini_batch_size,
            "mini_batch_num_tokens": self.mini_batch_num_tokens,
        }
