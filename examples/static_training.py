"""Training the rows of a static model with several objectives at once, in numpy.

A text's vector is the average of its tokens' rows, scaled to length 1. Each objective takes the vectors of its texts
of a step and gives its loss and the loss's gradient for them; one sparse step of Adam for all of them follows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vicinal.distillation.row_steps import Adam, gradient_of_rows, tokens_of
from vicinal.engine.ragged_sums import ragged_sums
from vicinal.tokens.text import Ragged

Floats = NDArray[np.float32]


class Objective(Protocol):
    """Something to learn.

    Attributes:
        texts: all its texts.
        count: how many items it has; :meth:`batch` says which texts an item uses.
        size: items of a step.
    """

    texts: Ragged
    count: int
    size: int

    def batch(self, items: NDArray[np.intp]) -> NDArray[np.intp]:
        """The numbers of the texts that these items need."""

    def loss(self, items: NDArray[np.intp], vectors: Floats) -> tuple[float, Floats]:
        """The loss of these items, and its gradient for the vectors of their texts."""


class Contrast:
    """A query finds its passage among those of the step, and a passage its query (InfoNCE both ways).

    Args:
        texts: queries, then as many passages.
        groups: a number per passage, the same for the same passage; these are no negatives of each other.
        size: pairs of a step.
        temperature: similarities are divided by it.
        weight: of this objective.
    """

    def __init__(
        self, texts: Ragged, groups: NDArray[np.int64], size: int, temperature: float, weight: float
    ) -> None:
        self.texts, self.count, self.size = texts, len(groups), size
        self._groups, self._temperature, self._weight = groups, temperature, weight

    def batch(self, items: NDArray[np.intp]) -> NDArray[np.intp]:
        return np.concatenate([items, items + self.count])

    def loss(self, items: NDArray[np.intp], vectors: Floats) -> tuple[float, Floats]:
        n = len(items)
        queries, passages = vectors[:n], vectors[n:]
        logits = queries @ passages.T
        logits /= np.float32(self._temperature)
        groups = self._groups[items]
        same = groups[:, None] == groups[None, :]
        np.fill_diagonal(same, False)
        logits[same] = -1e4
        right = np.arange(n)
        across = np.exp(logits - logits.max(axis=1, keepdims=True))
        across /= across.sum(axis=1, keepdims=True)
        down = np.exp(logits - logits.max(axis=0, keepdims=True))
        down /= down.sum(axis=0, keepdims=True)
        floor = np.float32(1e-20)
        loss = (
            -float(np.log(across[right, right] + floor).mean() + np.log(down[right, right] + floor).mean())
            / 2
        )
        change = across
        change += down
        change[right, right] -= 2.0
        change *= np.float32(self._weight / (2 * n * self._temperature))
        return self._weight * loss, np.concatenate([change @ passages, change.T @ queries])


class Imitation:
    """Vectors point where the teacher's targets point, and are as similar to each other as the teachers find.

    Args:
        texts: n texts.
        targets: ``(n, dim)`` unit vectors.
        teachers: ``(n, any)`` arrays; the wanted similarity is the sum of their products.
        size: texts of a step.
        likeness: weight of the similarities beside the directions.
        weight: of this objective.
    """

    def __init__(
        self,
        texts: Ragged,
        targets: Floats,
        teachers: Sequence[Floats],
        size: int,
        likeness: float,
        weight: float,
    ) -> None:
        self.texts, self.count, self.size = texts, len(texts), size
        self._targets, self._teachers = targets, teachers
        self._likeness, self._weight = likeness, weight

    def batch(self, items: NDArray[np.intp]) -> NDArray[np.intp]:
        return items

    def loss(self, items: NDArray[np.intp], vectors: Floats) -> tuple[float, Floats]:
        n = len(items)
        targets = self._targets[items]
        loss = 1.0 - float(np.einsum("ij,ij->", vectors, targets)) / n
        gradient: Floats = targets * np.float32(-self._weight / n)
        if self._likeness:
            difference = vectors @ vectors.T
            for teacher in self._teachers:
                part = teacher[items]
                difference -= part @ part.T
            np.fill_diagonal(difference, 0.0)
            pairs = float(n * max(n - 1, 1))
            loss += self._likeness * float(np.einsum("ij,ij->", difference, difference)) / pairs
            gradient += (difference @ vectors) * np.float32(4.0 * self._likeness * self._weight / pairs)
        return self._weight * loss, gradient


class Similarities:
    """Pairs are as similar as is wanted: the mean of ``(cos - wanted)^2``.

    Args:
        texts: first texts, then as many second ones.
        wanted: one cosine per pair.
        size: pairs of a step.
        weight: of this objective.
    """

    def __init__(self, texts: Ragged, wanted: Floats, size: int, weight: float) -> None:
        self.texts, self.count, self.size = texts, len(wanted), size
        self._wanted, self._weight = wanted, weight

    def batch(self, items: NDArray[np.intp]) -> NDArray[np.intp]:
        return np.concatenate([items, items + self.count])

    def loss(self, items: NDArray[np.intp], vectors: Floats) -> tuple[float, Floats]:
        n = len(items)
        first, second = vectors[:n], vectors[n:]
        off = np.einsum("ij,ij->i", first, second) - self._wanted[items]
        change = (off * np.float32(2 * self._weight / n))[:, None]
        return self._weight * float((off * off).mean()), np.concatenate([change * second, change * first])


class Grades:
    """The order of pairs by similarity is that of their grades (CoSENT).

    The loss is ``log(1 + sum exp(scale * (cos_i - cos_j)))`` over all i, j of the step where pair j has the higher
    grade.

    Args:
        texts: first texts, then as many second ones.
        grades: one per pair.
        size: pairs of a step.
        scale: of similarities.
        weight: of this objective.
    """

    def __init__(self, texts: Ragged, grades: Floats, size: int, scale: float, weight: float) -> None:
        self.texts, self.count, self.size = texts, len(grades), size
        self._grades, self._scale, self._weight = grades, scale, weight

    def batch(self, items: NDArray[np.intp]) -> NDArray[np.intp]:
        return np.concatenate([items, items + self.count])

    def loss(self, items: NDArray[np.intp], vectors: Floats) -> tuple[float, Floats]:
        n = len(items)
        first, second = vectors[:n], vectors[n:]
        similar = np.einsum("ij,ij->i", first, second) * np.float32(self._scale)
        grades = self._grades[items]
        wrong = np.where(grades[:, None] < grades[None, :], similar[:, None] - similar[None, :], -np.inf)
        most = max(float(wrong.max()), 0.0)
        shares = np.exp(wrong - np.float32(most))
        total = float(shares.sum()) + math.exp(-most)
        loss = most + math.log(total)
        shares /= np.float32(total)
        change = (shares.sum(axis=1) - shares.sum(axis=0)) * np.float32(self._scale * self._weight)
        return self._weight * loss, np.concatenate([change[:, None] * second, change[:, None] * first])


def train(
    rows: Floats,
    objectives: Sequence[Objective],
    *,
    steps: int,
    learning_rate: float,
    seed: int = 0,
    warm_up: int = 100,
    average_from: float = 0.5,
    report: Callable[[int, list[float], Floats], None] | None = None,
    every: int = 500,
) -> Floats:
    """The rows after training: the average of those after each twentieth step of the last part.

    Args:
        rows: ``(vocabulary, dim)`` float32, unchanged.
        objectives: what to learn; each gives a batch to every step.
        steps: of Adam.
        learning_rate: of Adam, in units of the rows' typical number; falls to 0 along half a cosine.
        seed: of the order of items.
        warm_up: steps in which the learning rate rises.
        average_from: where the last part begins, as a share of the steps.
        report: called ``every`` steps with the step, the mean losses since then, and the rows.
        every: see ``report``.
    """
    random = np.random.default_rng(seed)
    rows = rows.copy()
    adam = Adam(rows, learning_rate)
    orders = [_Order(each.count, each.size, random) for each in objectives]
    mean = np.zeros_like(rows)
    averaged, losses = 0, np.zeros(len(objectives))
    for step in range(steps):
        factor = min(1.0, (step + 1) / warm_up) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        losses += _step(rows, objectives, [order() for order in orders], adam, factor)
        if not np.isfinite(losses).all():
            raise ValueError(f"the losses are {losses} at step {step + 1}: take a lower learning rate")
        if step >= average_from * steps and step % 20 == 19:
            mean += rows
            averaged += 1
        if report is not None and (step + 1) % every == 0:
            report(step + 1, (losses / every).tolist(), rows)
            losses[:] = 0
    if averaged:
        rows = mean / np.float32(averaged)
    return rows


class _Order:
    """Batches of items in random order, over and over."""

    def __init__(self, count: int, size: int, random: np.random.Generator) -> None:
        self._count, self._size, self._random = count, min(size, count), random
        self._waiting = np.zeros(0, dtype=np.intp)

    def __call__(self) -> NDArray[np.intp]:
        if len(self._waiting) < self._size:
            self._waiting = self._random.permutation(self._count)
        batch, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
        return batch


def _step(
    rows: Floats, objectives: Sequence[Objective], batches: list[NDArray[np.intp]], adam: Adam, factor: float
) -> NDArray[np.float64]:
    ids_of, lengths_of = [], []
    for each, items in zip(objectives, batches, strict=True):
        ids, lengths = tokens_of(each.texts, each.batch(items))
        ids_of.append(ids)
        lengths_of.append(lengths)
    ids, lengths = np.concatenate(ids_of), np.concatenate(lengths_of)
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    sums = ragged_sums(rows, ids, starts, lengths)
    norms = np.maximum(np.sqrt(np.einsum("ij,ij->i", sums, sums)), np.float32(1e-6))[:, None]
    vectors = sums / norms
    losses, gradients, first = np.zeros(len(objectives)), [], 0
    for place, (each, items, part) in enumerate(zip(objectives, batches, lengths_of, strict=True)):
        losses[place], found = each.loss(items, vectors[first : first + len(part)])
        gradients.append(found)
        first += len(part)
    gradient: Floats = np.concatenate(gradients)
    # Through the scaling to length 1; an average and a sum have the same direction.
    gradient -= np.einsum("ij,ij->i", gradient, vectors)[:, None] * vectors
    gradient /= norms
    used, summed = gradient_of_rows(gradient, ids, lengths)
    adam.step(used, summed, factor)
    return losses
