"""The tokenizer that a model hands out is a copy; what is documented to change vectors does."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tinyfolder import VOCAB, make_folder, wordpiece
from tokenizers import Tokenizer, normalizers
from tokenizers.processors import TemplateProcessing

from vicinal import SentenceTransformer
from vicinal.errors import InputTypeError

TEXTS = ["the cat sat", "The dog", "the cat " * 9, ""]


def cut_and_pad(tokenizer: Tokenizer) -> None:
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=50, direction="left")


def add(tokenizer: Tokenizer) -> None:
    tokenizer.add_tokens(["the cat"])
    tokenizer.add_special_tokens(["dog"])


def rebuild(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Replace("cat", "dog")
    tokenizer.post_processor = TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])


@pytest.mark.parametrize("change", [cut_and_pad, add, rebuild])
def test_changes_to_the_tokenizer_change_no_vector(
    tmp_path: Path, change: Callable[[Tokenizer], None]
) -> None:
    model = SentenceTransformer(make_folder(tmp_path))
    before, counts = model.encode(TEXTS), model.count_tokens(TEXTS)
    plain = model.tokenizer.to_str()
    change(model.tokenizer)
    assert model.tokenizer.to_str() != plain  # it is the same object each time, and its owner's
    assert np.array_equal(model.encode(TEXTS), before) and model.count_tokens(TEXTS) == counts
    for other in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert np.array_equal(other.encode(TEXTS), before)
        assert other.tokenizer.to_str() == plain
    model.save(tmp_path / "saved")
    assert np.array_equal(SentenceTransformer(tmp_path / "saved").encode(TEXTS), before)


def test_a_copy_has_a_limit_of_its_own(tmp_path: Path) -> None:
    model = SentenceTransformer(make_folder(tmp_path))
    for other in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        other.max_seq_length = 4
        assert (model.max_seq_length, other.max_seq_length) == (64, 4)
        assert other.encode(TEXTS, on_truncate="ignore").shape == model.encode(TEXTS).shape


def test_max_seq_length_changes_vectors(tmp_path: Path) -> None:
    model = SentenceTransformer(make_folder(tmp_path))
    model.max_seq_length = 4
    np.testing.assert_allclose(
        model.encode(TEXTS[2], on_truncate="ignore"), model.encode("the cat"), atol=1e-6
    )


def fast(tokenizer: Tokenizer) -> Any:
    transformers = pytest.importorskip("transformers")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=64
    )


def test_another_tokenizer_is_used_by_encode_training_and_saving(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    model = SentenceTransformer(make_folder(tmp_path), dtype="float32")
    cased = fast(wordpiece(lowercase=False))
    before = model.encode(["The cat", "the cat"])
    model.tokenizer = cased
    after = model.encode(["The cat", "the cat"])
    np.testing.assert_allclose(after[1], before[1], atol=1e-5)
    assert not np.allclose(after[0], before[0], atol=1e-2)
    assert model.module[0].tokenizer is cased
    ids = model.module[0].tokenize(["The cat"])["input_ids"].tolist()
    assert np.asarray(model.tokenize(["The cat"])["input_ids"]).tolist() == ids
    model.save(tmp_path / "saved")
    again = SentenceTransformer(tmp_path / "saved", dtype="float32")
    np.testing.assert_allclose(again.encode(["The cat", "the cat"]), after, atol=1e-5)


def test_tokens_added_to_the_modules_tokenizer_are_noticed(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = SentenceTransformer(make_folder(tmp_path), dtype="float32")
    first = model.module[0]
    before = model.encode("the <new> cat")
    first.tokenizer.add_tokens(["<new>"])
    first.auto_model.resize_token_embeddings(len(first.tokenizer))
    with torch.no_grad():
        first.auto_model.get_input_embeddings().weight[-1] = 1.0
    after = model.encode("the <new> cat")
    assert not np.allclose(after, before, atol=1e-2)
    assert model.tokenizer.token_to_id("<new>") == len(VOCAB)
    with torch.inference_mode():
        found = model.module(first.tokenize(["the <new> cat"]))["sentence_embedding"][0].numpy()
    np.testing.assert_allclose(found, after, atol=1e-4)


@pytest.mark.parametrize("value", [None, "bert", wordpiece()])
def test_what_is_no_tokenizer_is_refused(tmp_path: Path, value: Any) -> None:
    pytest.importorskip("torch")
    model = SentenceTransformer(make_folder(tmp_path))
    with pytest.raises(InputTypeError, match=f"tokenizer is {type(value).__name__}.*PreTrainedTokenizerFast"):
        model.tokenizer = value
