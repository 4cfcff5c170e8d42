"""What docs/errors.md shows is what users see."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tinyfolder import ROOT

from vicinal import CrossEncoder, SentenceTransformer, util

PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
NAN = np.array([[np.nan, 1.0]])


def said(action: Callable[[], Any]) -> str:
    """The message of the error or of the only warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            action()
        except Exception as error:
            return str(error)
    (warning,) = caught
    return str(warning.message)


SENTENCES: list[Callable[[SentenceTransformer], Any]] = [
    lambda m: m.encode("Сегодня мы гуляли в парке"),
    lambda m: m.predict([("a", "b")]),
    lambda m: m.encode([("a", "b")]),
    lambda m: m.to("gpu"),
    lambda m: m.encode(["a", None]),
    lambda m: m.encode("a", prompt_name="query"),
    lambda m: util.cos_sim(np.ones((1, 2)), np.ones((1, 3))),
    lambda m: util.semantic_search(NAN, np.ones((1, 2))),
]


@pytest.mark.parametrize("action", SENTENCES)
def test_messages(action: Callable[[SentenceTransformer], Any]) -> None:
    model = SentenceTransformer("vicinal-mini")
    assert said(lambda: action(model)) in PAGE


def test_the_beginning_of_a_long_one() -> None:
    found = said(lambda: SentenceTransformer("vicinal-mini").encode("a", batchsize=1))
    assert found.partition(" Valid:")[0] in PAGE


def test_max_seq_length(minilm_path: Path) -> None:
    model = SentenceTransformer(minilm_path)
    assert said(lambda: setattr(model, "max_seq_length", 600)) in PAGE


def test_cross_encoders(shared_dir: Path) -> None:
    folder = shared_dir / "models" / "cross-encoder-stsb"
    assert said(lambda: SentenceTransformer(str(folder))).replace(str(folder), "./cross-encoder-stsb") in PAGE
    scorer = CrossEncoder(str(folder))
    assert said(lambda: scorer.encode("a")) in PAGE
    assert said(lambda: scorer.predict(["a", "b", "c"])) in PAGE


@pytest.mark.torch
def test_labels(plain_path: Path) -> None:
    pytest.importorskip("torch")
    from vicinal import losses

    loss = losses.CosineSimilarityLoss(SentenceTransformer(str(plain_path)))
    assert said(lambda: loss.check_labels([1, 4.5])) in PAGE


@pytest.mark.torch
def test_memory(plain_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    model = SentenceTransformer(str(plain_path), backend="torch")
    forward = model.module[0].forward

    def limited(features: dict[str, Any], **kwargs: Any) -> Any:
        if len(features["input_ids"]) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(features, **kwargs)

    model.module[0].forward = limited
    found = said(lambda: model.encode(["the cat " * 7] * 64, batch_size=64))
    assert found in PAGE
