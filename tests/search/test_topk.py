from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vicinal.vectors.topk import largest


def test_largest_is_stable():
    scores = np.array([1, 3, 3, 2, 3, -np.inf], np.float32)
    assert largest(scores, 2).tolist() == [1, 2]
    assert largest(scores, 4).tolist() == [1, 2, 4, 3]
    assert largest(scores, 6).tolist() == [1, 2, 4, 3, 0, 5]


@given(st.integers(1, 700), st.integers(1, 300), st.integers(0, 10**6))
@settings(max_examples=100, deadline=None)
def test_largest_is_a_stable_sort(n, k, seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-3, 40, n * int(rng.integers(1, 20))).astype(np.float32)
    scores[rng.random(len(scores)) < 0.3] = -np.inf
    assert largest(scores, k).tolist() == np.argsort(-scores, kind="stable")[:k].tolist()
