"""What mining has found, in a few lines of text."""

from __future__ import annotations

import numpy as np

from vicinal.core.arrays import Matrix
from vicinal.util.choosing import Limits
from vicinal.util.mining_rows import Negatives, Pairs

_ROWS = ("count", "mean", "median", "std", "min", "25%", "75%", "max")


def report(
    pairs: Pairs,
    pair_scores: Matrix,
    negatives: Negatives,
    limits: Limits,
    left_out: dict[str, int],
    looked_at: int,
) -> str:
    """The report.

    Args:
        pairs: the anchors and positives.
        pair_scores: (pairs,) scores of the positives.
        negatives: what was chosen.
        limits: of scores and ranks.
        left_out: name of a limit -> candidates that it took away.
        looked_at: candidates in all.
    """
    wanted = negatives.ids.shape[1] * len(pairs.anchors)
    found = int(negatives.counts.sum())
    lines = [
        f"Mined {found:,} negatives for {_several(len(pairs.anchors), 'anchor')} with "
        f"{_several(len(pairs.anchor), 'positive')}, from {_several(len(pairs.documents), 'text')}."
    ]
    lines += _table(pairs, pair_scores, negatives)
    for name, count in left_out.items():
        if count:
            lines.append(
                f"{name}={getattr(limits, name)} excluded {_several(count, 'candidate')} of {looked_at:,} "
                f"({count / max(looked_at, 1):.1%})."
            )
    if found < wanted:
        remedies = ["raise range_max", "give a larger corpus"]
        if limits.range_min:
            remedies.append("lower range_min")
        remedies += [f"relax {name}" for name, count in left_out.items() if count]
        short = int(np.count_nonzero(negatives.counts < negatives.ids.shape[1]))
        lines.append(
            f"{_several(wanted - found, 'negative')} of {wanted:,} are missing, for {_several(short, 'anchor')}. "
            f"To find more: {', or '.join(remedies)}."
        )
    return "\n".join(lines)


def _table(pairs: Pairs, pair_scores: Matrix, negatives: Negatives) -> list[str]:
    """Scores of positives and negatives, and how far each negative lies below a positive of its anchor."""
    there = np.arange(negatives.ids.shape[1]) < negatives.counts[:, np.newaxis]
    of_pairs = there[pairs.anchor]
    scores = negatives.scores[pairs.anchor].astype(np.float64)
    positives = pair_scores.astype(np.float64)
    columns = [
        _measures(positives),
        _measures(negatives.scores[there].astype(np.float64)),
        _measures((positives[:, np.newaxis] - scores)[of_pairs]),
    ]
    lines = [f"{'score':10}{'positives':>12}{'negatives':>12}{'difference':>12}"]
    for row, values in zip(_ROWS, zip(*columns, strict=True), strict=True):
        lines.append(f"{row:10}" + "".join(f"{value:>12}" for value in values))
    return lines


def _measures(values: Matrix) -> list[str]:
    if not len(values):
        return ["0"] + ["-"] * (len(_ROWS) - 1)
    quarters = np.percentile(values, [50, 25, 75])
    measures = [values.mean(), quarters[0], values.std(), values.min(), *quarters[1:], values.max()]
    return [f"{len(values):,}", *(f"{value:.4f}" for value in measures)]


def _several(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
