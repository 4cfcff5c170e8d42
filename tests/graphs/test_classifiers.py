"""Heads of cross-encoders beside torch's logits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from tinytransformers import (
    BATCHES,
    CLS,
    SEP,
    TINIES,
    compiled,
    padded,
    save,
    spec_of,
    texts_of,
    torch_run,
)

from vicinal.engine.graphs import build_body, classifiers
from vicinal.errors import ModelFormatError, UnsupportedModelError

pytestmark = pytest.mark.torch
Make = Callable[..., "tuple[Path, Any]"]
KIND = "ForSequenceClassification"


def logits_of(folder: Path, token_types: bool = False, hint: str = "f32") -> tuple[Callable[..., Any], int]:
    spec = spec_of(folder)
    blocks, body = build_body(spec, token_types)
    node, labels = classifiers.logits(blocks, body, spec)
    return compiled(blocks, node, body, hint), labels


def compare(folder: Path, model: Any, texts: Any = BATCHES["mixed"]) -> None:
    ids, mask = padded(texts, model.config.pad_token_id)
    run, labels = logits_of(folder)
    ours = run(input_ids=ids, attention_mask=mask)
    theirs = torch_run(model, ids, mask).logits.double().numpy()
    assert ours.shape == theirs.shape == (len(texts), labels)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)


def test_every_family_has_a_head() -> None:
    assert set(classifiers.HEADS) == set(TINIES)


@pytest.mark.parametrize("family", TINIES)
def test_two_labels(family: str, tiny_folder: Make) -> None:
    compare(*tiny_folder(family, KIND))


@pytest.mark.parametrize(
    ("family", "labels"), [*((family, 1) for family in TINIES), ("bert", 3), ("qwen3", 3)]
)
def test_other_numbers_of_labels(family: str, labels: int, tmp_path: Path) -> None:
    model = TINIES[family].model(KIND, num_labels=labels)
    compare(save(model, tmp_path), model, texts_of([7, 12]))


@pytest.mark.parametrize("family", [name for name, tiny in TINIES.items() if tiny.token_types])
def test_pairs_with_token_types(family: str, tiny_folder: Make) -> None:
    folder, model = tiny_folder(family, KIND)
    first, second = texts_of([9, 4, 2]), texts_of([5, 14, 8], seed=8)
    ids, mask = padded([[*a, *b[1:]] for a, b in zip(first, second, strict=True)], 0)
    types = np.zeros_like(ids)
    for row, (a, b) in enumerate(zip(first, second, strict=True)):
        types[row, len(a) : len(a) + len(b) - 1] = 1
    run, _ = logits_of(folder, token_types=True)
    ours = run(input_ids=ids, attention_mask=mask, token_type_ids=types)
    np.testing.assert_allclose(ours, torch_run(model, ids, mask, types).logits.numpy(), rtol=0, atol=1e-4)
    untyped = logits_of(folder)[0](input_ids=ids, attention_mask=mask)
    assert np.abs(untyped - ours).max() > 1e-3


@pytest.mark.parametrize(
    "changes",
    [
        {"classifier_pooling": "mean"},
        {"classifier_bias": True, "norm_bias": True, "classifier_activation": "silu"},
    ],
)
def test_modernbert_variants(changes: dict[str, Any], tmp_path: Path) -> None:
    model = TINIES["modernbert"].model(KIND, **changes)
    compare(save(model, tmp_path), model)


def test_modernbert_with_another_pooling(tmp_path: Path, tiny_folder: Make) -> None:
    folder = save(tiny_folder("modernbert", KIND)[1], tmp_path, {"classifier_pooling": "max"})
    with pytest.raises(UnsupportedModelError, match="classifier_pooling = 'max'"):
        logits_of(folder)


def test_qwen3_text_that_ends_in_the_padding_token(tiny_folder: Make) -> None:
    """transformers reads the last token that is not padding, by its id and not by the mask."""
    folder, model = tiny_folder("qwen3", KIND)
    pad = model.config.pad_token_id
    compare(folder, model, [[CLS, 20, 21, pad], [CLS, 30, pad, 31, SEP], [CLS, 22, SEP]])


@pytest.mark.parametrize("family", TINIES)
def test_a_checkpoint_without_a_head(family: str, tiny_folder: Make) -> None:
    folder, _ = tiny_folder(family)
    with pytest.raises(ModelFormatError, match=r"not a cross-encoder.*no classification head") as caught:
        logits_of(folder)
    assert str(folder) in str(caught.value)


def test_real_cross_encoder_in_bfloat16_and_float32(shared_dir: Path) -> None:
    """Trained weights: the scores of the two precisions are close."""
    folder = shared_dir / "models" / "cross-encoder-stsb"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    rng = np.random.default_rng(0)
    ids, mask = padded([[101, *rng.integers(1000, 20000, length), 102] for length in (12, 40, 7)], 0)
    types = np.zeros_like(ids)
    exact, rounded = (
        logits_of(folder, token_types=True, hint=hint)[0](
            input_ids=ids, attention_mask=mask, token_type_ids=types
        )
        for hint in ("f32", "bf16")
    )
    assert exact.shape == (3, 1)
    np.testing.assert_allclose(rounded, exact, rtol=0, atol=0.05)
