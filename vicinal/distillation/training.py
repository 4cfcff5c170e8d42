"""Rows of a static model are trained until its averages point where a teacher's vectors point.

Plain numpy: averages and their gradients are sums over ragged lists, so a step on 1,024 texts takes some
hundredths of a second, and only the rows that the texts use are touched.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vicinal.distillation.row_steps import Adam, gradient_of_rows, tokens_of
from vicinal.engine.ragged_sums import ragged_sums
from vicinal.errors import InputError
from vicinal.tokens.text import Ragged

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Settings:
    """How rows are trained.

    Attributes:
        epochs: passes over the texts at most.
        patience: stop after this many epochs without a better score on the texts that are held out.
        batch_size: texts a step; each is compared with all others of its step.
        learning_rate: of Adam (Kingma and Ba 2015), in units of the rows' typical number; it falls to 0
            along half a cosine.
        likeness: weight of the similarities between the texts of a step, beside each text's own direction.
        pull: how strongly a touched row is drawn back to where it began.
        seed: of the order of texts.
    """

    epochs: int = 16
    patience: int = 3
    batch_size: int = 1024
    learning_rate: float = 0.1
    likeness: float = 0.5
    pull: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Lesson:
    """Texts and what the teacher says of them.

    Attributes:
        texts: token ids of n texts.
        targets: ``(n, width)`` float32 unit vectors, the teacher's in the width of the rows.
        teacher: ``(n, any)`` float32 unit vectors, whose products are the similarities to learn.
    """

    texts: Ragged
    targets: Floats
    teacher: Floats

    def __len__(self) -> int:
        return len(self.texts)


def train(
    rows: Floats,
    lesson: Lesson,
    held_out: Lesson,
    settings: Settings,
    report: Callable[[str], None] | None = None,
) -> Floats:
    """The rows after training, those of the epoch that did best on ``held_out``.

    The loss of a step is ``mean(1 - cos(s_i, t_i)) + likeness * mean((s_i.s_j - T_i.T_j)^2)``: every
    student's vector ``s_i`` points where the teacher's ``t_i`` points, and is as similar to the other
    texts of the step as the teacher finds them.

    Args:
        rows: ``(vocabulary, width)``, unchanged.
        lesson: what to learn.
        held_out: what to be judged by (:func:`agreement`).
        settings: how.
        report: called with a line an epoch.

    Raises:
        InputError: the loss is no finite number any longer.
    """
    random = np.random.default_rng(settings.seed)
    begun = rows
    rows = rows.copy()
    adam = Adam(rows, settings.learning_rate)
    steps = max(len(lesson) // settings.batch_size, 1)
    best: Floats = rows.copy()
    best_score, since = agreement(rows, held_out), 0
    if report is not None:
        report(f"before: agreement {best_score:.4f}")
    for epoch in range(settings.epochs):
        order = random.permutation(len(lesson))
        loss = 0.0
        for step in range(steps):
            progress = (epoch * steps + step) / (settings.epochs * steps)
            batch = order[step * settings.batch_size : (step + 1) * settings.batch_size]
            found = _step(rows, begun, lesson, batch, adam, 0.5 + 0.5 * np.cos(np.pi * progress), settings)
            if not math.isfinite(found):
                raise InputError(
                    f"distillation: the loss is {found} at step {epoch * steps + step + 1} of "
                    f"{settings.epochs * steps} (learning rate {settings.learning_rate:.2g}): take a lower one"
                )
            loss += found
        score = agreement(rows, held_out)
        if report is not None:
            report(f"epoch {epoch + 1}: loss {loss / steps:.4f}, agreement {score:.4f}")
        since += 1
        if score > best_score:
            best, best_score, since = rows.copy(), score, 0
        if since >= settings.patience:
            break
    return best


def averages(rows: Floats, texts: Ragged) -> Floats:
    """``(n, width)``: each text's average; 0 where it has no tokens."""
    lengths = texts.lengths
    sums = ragged_sums(rows, texts.ids, texts.starts[:-1], lengths)
    sums /= np.maximum(lengths, 1).astype(np.float32)[:, None]
    return sums


def unit(rows: Floats) -> Floats:
    """Rows of length 1; a zero row stays zero."""
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    scaled: Floats = rows / np.maximum(norms, np.float32(1e-12))[:, None]
    return scaled


def agreement(rows: Floats, lesson: Lesson, size: int = 2000) -> float:
    """How well students' similarities follow the teacher's: the correlation over all pairs of texts.

    Pairs that are much alike are rare among all pairs and matter most, so each text's pair with the text
    that the teacher finds nearest to it is counted as often as all others together.
    """
    students = unit(averages(rows, lesson.texts))[:size]
    teacher = lesson.teacher[:size]
    found, wanted = students @ students.T, teacher @ teacher.T
    np.fill_diagonal(wanted, -2.0)
    near = np.argmax(wanted, axis=1)
    above = np.triu_indices(len(wanted), 1)
    every = _correlation(found[above], wanted[above])
    places = np.arange(len(wanted))
    nearest = _correlation(found[places, near], wanted[places, near])
    return 0.5 * (every + nearest)


def _correlation(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt(np.dot(a, a) * np.dot(b, b)))
    return float(np.dot(a, b)) / size if size > 0 else 0.0


def _step(
    rows: Floats,
    begun: Floats,
    lesson: Lesson,
    batch: NDArray[np.intp],
    adam: Adam,
    rate: float,
    settings: Settings,
) -> float:
    """One step of gradient descent, in place; gives the loss before it."""
    ids, lengths = tokens_of(lesson.texts, batch)
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    means = ragged_sums(rows, ids, starts, lengths)
    means /= np.maximum(lengths, 1).astype(np.float32)[:, None]
    norms = np.maximum(np.sqrt(np.einsum("ij,ij->i", means, means)), np.float32(1e-6))[:, None]
    students = means / norms
    targets, teacher = lesson.targets[batch], lesson.teacher[batch]
    count = len(batch)
    loss = 1.0 - float(np.einsum("ij,ij->", students, targets)) / count
    gradient: Floats = targets * np.float32(-1.0 / count)
    if settings.likeness:
        difference = students @ students.T
        difference -= teacher @ teacher.T
        np.fill_diagonal(difference, 0.0)
        pairs = float(count * max(count - 1, 1))
        loss += settings.likeness * float(np.einsum("ij,ij->", difference, difference)) / pairs
        gradient += (difference @ students) * np.float32(4.0 * settings.likeness / pairs)
    # Through the normalisation, then through the average.
    gradient -= np.einsum("ij,ij->i", gradient, students)[:, None] * students
    gradient /= norms * np.maximum(lengths, 1).astype(np.float32)[:, None]
    used, summed = gradient_of_rows(gradient, ids, lengths)
    adam.step(used, summed, rate)
    if settings.pull:
        rows[used] += np.float32(settings.pull * rate) * (begun[used] - rows[used])
    return loss
