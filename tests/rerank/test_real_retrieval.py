"""Real models for retrieval, int8 graphs without their weights: beside what ONNX Runtime 1.32 computes of them.

Both engines round activations to integers in their own way, so that numbers agree to that rounding and no better.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vicinal import CrossEncoder, SentenceTransformer
from vicinal.errors import ModelFormatError, TruncationWarning

QUERY = "How many people live in Berlin?"
PAIRS = [
    (QUERY, "Berlin has a population of 3,520,031 registered inhabitants."),
    (QUERY, "New York City is famous for the Metropolitan Museum of Art."),
    (QUERY, "Berlin is well known for its museums."),
    ("what is python", "Python is a programming language that lets you work quickly. " * 60),
    ("", "a"),
]
SCORES = [9.2631, -11.1912, -4.1319, 9.6345, 8.1747]
TEXTS = ["A man is eating food.", "Someone eats a meal.", "The sky is blue.", "import numpy as np"]
COSINES = [
    [1.0000, 0.8829, 0.5274, 0.4008],
    [0.8829, 1.0000, 0.6082, 0.4140],
    [0.5274, 0.6082, 1.0000, 0.4438],
    [0.4008, 0.4140, 0.4438, 1.0000],
]


@pytest.mark.parametrize("dtype", ["auto", "float32"])
def test_a_reranker(dtype: str, retrieval_models: Path) -> None:
    model = CrossEncoder(
        retrieval_models / "reranker_en", activation_fn="Identity", dtype=dtype, device="cpu"
    )
    assert (model.num_labels, model.max_length) == (1, 512)
    with pytest.warns(TruncationWarning, match="1 of 5 texts were cut to 512 tokens"):
        scores = model.predict(PAIRS)
    np.testing.assert_allclose(scores, SCORES, atol=0.4)
    ranked = model.rank(QUERY, [second for _, second in PAIRS[:3]])
    assert [hit["corpus_id"] for hit in ranked] == [0, 2, 1]


@pytest.mark.parametrize("dtype", ["auto", "float32"])
def test_a_model_of_vectors(dtype: str, retrieval_models: Path) -> None:
    folder = retrieval_models / "bge_small_en"
    model = SentenceTransformer(folder, pooling_mode="cls", dtype=dtype, device="cpu")
    vectors = model.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(vectors @ vectors.T, COSINES, atol=0.025)


def test_a_text_that_is_longer_than_the_graph_has_positions(retrieval_models: Path) -> None:
    """Nothing but the graph knows how many there are."""
    model = CrossEncoder(retrieval_models / "reranker_en", max_length=600, device="cpu")
    pairs = [("hot water", "water " * 3000), ("hot water", "tea")]
    for some in (pairs, pairs[:1]):
        with pytest.raises(ModelFormatError, match=r"does not take a text of 600 tokens.*max_length"):
            model.predict(some)
    assert len(model.predict(pairs[1:])) == 1
