"""Tokenising ahead of an accelerator changes no result, no warning and no error."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from vicinal import SentenceTransformer, models  # noqa: E402
from vicinal.errors import ModelFormatError, TruncationError, TruncationWarning  # noqa: E402
from vicinal.models import ahead, encoding  # noqa: E402

pytestmark = pytest.mark.torch
TEXTS = [f"the cat {number} sat" + " on the mat" * (number % 7) for number in range(103)]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny products on several threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def model(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """As on an accelerator, with windows of 10, 20, 32, 32 and 9 texts."""
    monkeypatch.setattr(ahead, "AHEAD_FROM", 10)
    monkeypatch.setattr(encoding, "AHEAD_FROM", 10)
    monkeypatch.setattr(encoding, "_WINDOW", 32)
    model: Any = SentenceTransformer(str(tiny_bert), device="cpu", backend="torch")
    model._engine.token_budget = 200
    return model


def plain(folder: Path) -> Any:
    return SentenceTransformer(str(folder), device="cpu", backend="torch")


def test_windows() -> None:
    for count in (1, 4096, 4097, 200_000):
        parts = list(ahead.windows(count, 32_768))
        assert parts[0].start == 0 and parts[-1].stop == count
        assert all(a.stop == b.start for a, b in itertools.pairwise(parts))
        assert max(each.stop - each.start for each in parts) <= 32_768
    assert [each.stop for each in ahead.windows(30_000, 32_768)] == [4096, 12_288, 28_672, 30_000]


def test_results(model: Any, tiny_bert: Path) -> None:
    wanted = plain(tiny_bert).encode(TEXTS, normalize_embeddings=True)
    splitting: list[str] = []
    tokenized = encoding.Forward.tokenized

    def watched(self: Any, *arguments: Any) -> Any:
        splitting.append(threading.current_thread().name)
        return tokenized(self, *arguments)

    encoding.Forward.tokenized = watched  # type: ignore[method-assign]
    try:
        found = model.encode(TEXTS, normalize_embeddings=True)
    finally:
        encoding.Forward.tokenized = tokenized  # type: ignore[method-assign]
    assert found == pytest.approx(wanted, abs=1e-6)
    assert len(splitting) == 5 and all(name.startswith("tokenise") for name in splitting)
    assert np.concatenate(list(map(np.atleast_2d, model.encode_iter(TEXTS)))) == pytest.approx(
        plain(tiny_bert).encode(TEXTS), abs=1e-6
    )


def test_truncation_is_said_once(model: Any, tiny_bert: Path) -> None:
    facts = []
    for each in (model, plain(tiny_bert)):
        each.max_seq_length = 12
        with pytest.warns(TruncationWarning) as said:
            each.encode(TEXTS)
        (warning,) = [one.message for one in said]
        facts.append((warning.count, warning.first, warning.longest, str(warning)))  # type: ignore[union-attr]
    assert facts[0] == facts[1]
    with pytest.raises(TruncationError, match=r"sentences\[60\]"):
        model.encode([*["a cat"] * 60, TEXTS[6], *["a cat"] * 20], on_truncate="error")


def test_the_first_error_is_the_one_of_the_first_text(tiny_bert: Path, model: Any) -> None:
    class Spoils(torch.nn.Module):
        def forward(self, features: dict[str, Any]) -> dict[str, Any]:
            spoilt = features["attention_mask"].sum(1) > 30
            features["sentence_embedding"][spoilt] = torch.nan
            return features

    chain = [models.Transformer(str(tiny_bert)), models.Pooling(16), Spoils()]
    spoilt: Any = SentenceTransformer(modules=chain, device="cpu", backend="torch")
    spoilt._engine.token_budget = 200
    texts = [*["a cat"] * 40, "cat " * 40, *["a cat"] * 40]
    with pytest.raises(ModelFormatError, match="text 40"):
        spoilt.encode(texts)
    spoilt.max_seq_length = 50
    with pytest.raises(ModelFormatError, match="text 40"):
        spoilt.encode([*texts, "cat " * 80], on_truncate="error")


def test_out_of_memory(model: Any, tiny_bert: Path) -> None:
    compute, refused = model._engine._features, []

    def once(batch: Any) -> Any:
        if len(batch.lengths) > 2 and len(refused) < 3:
            refused.append(len(batch.lengths))
            from vicinal.nn.engine.tokens import out_of_memory

            with out_of_memory(len(batch.lengths)):
                raise torch.OutOfMemoryError("CUDA out of memory")
        return compute(batch)

    model._engine._features = once
    with pytest.warns(RuntimeWarning, match="out of memory"):
        found = model.encode(TEXTS)
    assert len(refused) == 3 and model._engine.token_budget < 200
    assert found == pytest.approx(plain(tiny_bert).encode(TEXTS), abs=1e-6)
