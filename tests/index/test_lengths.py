"""Models whose vectors are extremely long or short."""

from __future__ import annotations

import re

import numpy as np
import pytest

from vicinal.errors import InputError
from vicinal.index import Index

from .fakes import FakeModel

TEXTS = ["a red kettle on the table", "the window is open", "two chairs", "tea from a kettle"]


class Scaled(FakeModel):
    """Gives its vectors lengths of their own."""

    def __init__(self, documents: float, queries: float, similarity: str = "cosine"):
        super().__init__()
        self.scales = documents, queries
        self.similarity_fn_name = similarity

    def encode_document(self, texts):
        return super().encode_document(texts) * np.float32(self.scales[0])

    def encode_query(self, texts):
        return super().encode_query(texts) * np.float32(self.scales[1])


def found(path, model):
    with Index(path, model) as index:
        index.add(TEXTS, list("abcd"))
        return index.search("red kettle", mode="dense")


@pytest.mark.parametrize(("documents", "queries"), [(1e25, 1e37), (1e-25, 1e-30), (1e38, 1e-37)])
def test_cosines_do_not_depend_on_lengths(path, tmp_path, documents, queries):
    wanted = found(path, FakeModel())
    hits = found(tmp_path / "scaled.db", Scaled(documents, queries))
    assert [hit.id for hit in hits] == [hit.id for hit in wanted]
    np.testing.assert_allclose([hit.score for hit in hits], [hit.score for hit in wanted], atol=1e-5)


@pytest.mark.parametrize("wild", [1e30, 1e-30])
def test_dot_products_that_float32_does_not_hold_are_refused(path, wild):
    with Index(path, Scaled(wild, 1.0, "dot")) as index:
        with pytest.raises(
            InputError, match=f"text 0 a vector of length {re.escape(f'{wild:.0e}')}: .* range"
        ):
            index.add(TEXTS)
        assert index.count() == 0
    with Index(path, Scaled(1.0, wild, "dot")) as index:
        index.add(TEXTS)
        with pytest.raises(InputError, match="leave the range of float32"):
            index.search("red kettle", mode="dense")
        assert index.search("red kettle", mode="lexical")


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_float64_vectors_are_scaled_before_they_are_rounded(path, tmp_path, scale):
    class Wide(FakeModel):
        def encode(self, texts):
            return super().encode(texts).astype(np.float64) * scale

    wanted = found(path, FakeModel())
    hits = found(tmp_path / "wide.db", Wide())
    np.testing.assert_allclose([hit.score for hit in hits], [hit.score for hit in wanted], atol=1e-5)


def test_long_vectors_within_reach_are_compared_by_dot_products(path, tmp_path):
    wanted = found(path, FakeModel())
    hits = found(tmp_path / "long.db", Scaled(1e14, 1e14, "dot"))
    assert [hit.id for hit in hits] == [hit.id for hit in wanted]
    np.testing.assert_allclose([hit.score for hit in hits], [1e28 * hit.score for hit in wanted], rtol=1e-4)
