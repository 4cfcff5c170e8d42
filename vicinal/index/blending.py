"""The scores of retrievers and of a reranker become one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# What the reranker counts, of 1 for itself and the retrievers together. Chosen on Cranfield and on paraphrases (STS-B
# dev) with ms-marco-MiniLM-L12-v2, and verified on Perl's documentation: there, too, it beats the reranker alone.
WEIGHT = 0.6
# Where the reranker contradicts the retrievers, it counts less, and nothing at this correlation with their scores: a
# good one does so for few queries, one that was made for something else (similar sentences, say) for many. Fewer
# candidates tell nothing of that.
CONTRADICTION, TELLING = -0.3, 8
# Logits that lie closer together than this are not pulled apart to 0 and 1: the reranker sees no difference.
LEAST_SPREAD = 2.0


def blended(fused: Sequence[float], scores: Sequence[float]) -> list[float]:
    """What candidates are ordered by: the retrievers' score and the reranker's, on a common scale.

    Args:
        fused: of all candidates, 0 to 1, best first.
        scores: of the reranker, of the first of them; logits, or probabilities, which are made logits.

    Returns:
        A number from 0 to 1 for each candidate. Those that the reranker did not read stay behind those that it did.
    """
    shares = np.array([*_shares(scores), *[0.0] * (len(fused) - len(scores))])
    weight = WEIGHT * _trust(np.array(fused[: len(scores)]), shares[: len(scores)])
    return [float(score) for score in (1 - weight) * np.array(fused) + weight * shares]


def _trust(fused: NDArray[np.float64], shares: NDArray[np.float64]) -> float:
    """1, and down to 0 as the reranker contradicts the retrievers."""
    if len(fused) < TELLING or not np.ptp(fused) or not np.ptp(shares):
        return 1.0
    agreement = float(np.corrcoef(fused, shares)[0, 1])
    return min(1.0, max(0.0, 1 - agreement / CONTRADICTION))


def _shares(scores: Sequence[float]) -> list[float]:
    """From 0 for the lowest to 1 for the highest."""
    if not scores:
        return []
    values = np.asarray(scores, dtype=np.float64)
    if values.min() >= 0 and values.max() <= 1:
        chances = np.clip(values, 1e-6, 1 - 1e-6)
        values = np.log(chances / (1 - chances))
    # A difference of logits beyond this is one; their spread stays a number.
    values = np.clip(values, -1e300, 1e300)
    spread = max(float(np.ptp(values)), LEAST_SPREAD)
    return [float(share) for share in (values - values.min()) / spread]
