"""Out of memory on the torch engine: the work goes on, and one warning names the batch that fitted."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from vicinal import SentenceTransformer
from vicinal.errors import OutOfMemoryError

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytestmark = pytest.mark.torch

TEXTS = ["the cat " * (1 + number % 7) for number in range(96)]


@pytest.fixture
def model(plain_path: Path) -> SentenceTransformer:
    return SentenceTransformer(str(plain_path), backend="torch")


def limit(model: SentenceTransformer, tokens: int) -> list[int]:
    """Let batches of more padded tokens run out of memory, as CUDA does; gives the list of those that ran."""
    first, ran = model.module[0], []
    forward = first.forward

    def limited(features: dict[str, object], **kwargs: object) -> object:
        size = features["input_ids"].numel()
        if size > tokens:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        ran.append(size)
        return forward(features, **kwargs)

    first.forward = limited
    return ran


def test_one_warning_names_what_fitted(model: SentenceTransformer) -> None:
    expected = model.encode(TEXTS)
    ran = limit(model, 150)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        vectors = model.encode(TEXTS)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    (warning,) = caught
    assert warning.category is RuntimeWarning
    assert warning.filename == __file__
    found = re.search(
        r"out of memory with a batch of (\d+) texts of up to 16 tokens; a batch of (\d+) texts of up to (\d+) tokens "
        "fitted, and nothing was lost",
        str(warning.message),
    )
    assert found, warning.message
    failed, fitted, length = map(int, found.groups())
    assert failed * 16 > 150 >= fitted * length
    assert fitted * length == max(ran)


def test_the_size_that_fitted_is_kept(model: SentenceTransformer) -> None:
    limit(model, 150)
    with pytest.warns(RuntimeWarning, match="out of memory"):
        model.encode(TEXTS)
    assert model.encode(TEXTS).shape == (96, 16)  # a second warning would be an error


def test_a_batch_size_of_ones_own_is_halved(model: SentenceTransformer) -> None:
    ran = limit(model, 200)
    with pytest.warns(RuntimeWarning, match=r"batch of 64 texts .* batch_size=8 saves the attempts"):
        model.encode(TEXTS, batch_size=64)
    assert max(ran) <= 200


def test_a_text_that_does_not_fit_alone(model: SentenceTransformer) -> None:
    limit(model, 10)
    with pytest.raises(
        OutOfMemoryError, match=r"a single text of 16 tokens .* lower model\.max_seq_length"
    ) as caught:
        model.encode(TEXTS)
    assert isinstance(caught.value, MemoryError)
