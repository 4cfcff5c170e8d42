"""The scores of retrievers and of a reranker become one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# What the reranker counts, of 1 for itself and the retrievers together. Chosen on Cranfield and on paraphrases (STS-B
# dev) with ms-marco-MiniLM-L12-v2, and verified on Perl's documentation: there, too, it beats the reranker alone.
WEIGHT = 0.6
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
    shares = [*_shares(scores), *[0.0] * (len(fused) - len(scores))]
    return [(1 - WEIGHT) * score + WEIGHT * share for score, share in zip(fused, shares, strict=True)]


def _shares(scores: Sequence[float]) -> list[float]:
    """From 0 for the lowest to 1 for the highest."""
    if not scores:
        return []
    values = np.asarray(scores, dtype=np.float64)
    if values.min() >= 0 and values.max() <= 1:
        chances = np.clip(values, 1e-6, 1 - 1e-6)
        values = np.log(chances / (1 - chances))
    spread = max(float(np.ptp(values)), LEAST_SPREAD)
    return [float(share) for share in (values - values.min()) / spread]
