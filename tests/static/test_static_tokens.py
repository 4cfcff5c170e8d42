"""Remembered words give the library's tokens, and nothing else."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from static_helpers import VOCABULARY, WORDS, tokenizer
from tokenizers import Tokenizer

from vicinal.errors import ModelFormatError
from vicinal.folder.specs import UNLIMITED, StaticEmbeddingSpec
from vicinal.tokens.static import StaticTokenizer, load_static_tokenizer
from vicinal.tokens.words import WordMemory

ascii_texts = st.text(st.characters(max_codepoint=127), max_size=40)
words = st.lists(st.sampled_from([*WORDS, "CAT", "[UNK]", "[sep]", "xx", "don't", "é", "日", "\t", "\x0b"]))
texts = st.lists(st.one_of(ascii_texts, st.text(max_size=20), words.map(" ".join)), max_size=12)


def by_library(backend: Tokenizer, given: list[str]) -> list[list[int]]:
    return [found.ids for found in backend.encode_batch(given, add_special_tokens=False)]


@settings(deadline=None, max_examples=300)
@given(texts)
def test_the_library_gives_the_same(texts: list[str]) -> None:
    split = StaticTokenizer(tokenizer())
    ragged = split(texts)
    found = [ragged.ids[a:b].tolist() for a, b in zip(ragged.starts[:-1], ragged.starts[1:], strict=True)]
    assert found == by_library(split.backend, texts)
    assert split.count(texts).tolist() == [len(ids) for ids in found]


@pytest.mark.parametrize("code", range(128))
def test_every_ascii_character(code: int) -> None:
    split = StaticTokenizer(tokenizer())
    given = [f"cat{chr(code)}dog", chr(code), f" {chr(code)}a", f"The{chr(code)}{chr(code)}"]
    ragged = split(given)
    assert ragged.ids.tolist() == [token for ids in by_library(split.backend, given) for token in ids]


def test_real_sentences(minilm_path: Path, shared_dir: Path) -> None:
    backend = Tokenizer.from_file(str(minilm_path / "tokenizer.json"))
    split = StaticTokenizer(backend)
    lines = (shared_dir / "data/stsb/dev.tsv").read_text(encoding="utf-8").splitlines()
    given = [text for line in lines for text in line.split("\t")[5:7]]
    assert split(given).ids.tolist() == [token for ids in by_library(backend, given) for token in ids]
    assert split._words is not None and len(split._words._known.numbers) > 3000


def test_case_matters_where_the_tokenizer_says_so() -> None:
    from tokenizers.normalizers import BertNormalizer

    backend = tokenizer()
    backend.normalizer = BertNormalizer(lowercase=False)
    assert StaticTokenizer(backend)(["cat CAT"]).ids.tolist() == [VOCABULARY.index("cat"), 1]


def test_other_tokenizers_are_left_to_the_library() -> None:
    from tokenizers.pre_tokenizers import Whitespace

    backend = tokenizer()
    backend.pre_tokenizer = Whitespace()
    assert WordMemory.of(backend) is None
    split = StaticTokenizer(backend)
    assert split(["cat's", ""]).ids.tolist() == by_library(backend, ["cat's"])[0]
    added = tokenizer()
    added.add_tokens(["two words"])
    assert WordMemory.of(added) is None


def test_limits_and_unknown_tokens() -> None:
    split = StaticTokenizer(tokenizer(), max_length=3, unknown_id=1)
    ragged = split(["cat zzz dog the a", "zzz", "cat", "", "cat the a"])
    assert ragged.lengths.tolist() == [2, 0, 1, 0, 3]
    # Cut to three tokens first, as model2vec does; the unknown one is not counted as cut.
    assert ragged.full_lengths.tolist() == [4, 0, 1, 0, 3]
    assert ragged.truncated.tolist() == [0]
    assert split([]).ids.tolist() == []


def test_many_texts_in_several_chunks() -> None:
    split = StaticTokenizer(tokenizer())
    random = np.random.default_rng(0)
    given = [" ".join(random.choice(WORDS, int(n))) for n in random.integers(0, 6, 5000)]
    given[4321] += " é"
    assert split(given).lengths.tolist() == [len(text.split()) for text in given]


def test_a_full_memory_is_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vicinal.tokens.words._MOST_WORDS", 3)
    split = StaticTokenizer(tokenizer())
    for _ in range(3):
        assert split(["the cat sat", "a dog ran home"]).lengths.tolist() == [3, 4]
        assert split(["red blue big"]).lengths.tolist() == [3]


def test_pickled() -> None:
    split = pickle.loads(pickle.dumps(StaticTokenizer(tokenizer(), max_length=2)))
    assert split(["cat dog mat"]).lengths.tolist() == [2]


def test_limits_of_a_folder(tmp_path: Path) -> None:
    backend = tokenizer()
    backend.save(str(tmp_path / "tokenizer.json"))
    assert load_static_tokenizer(StaticEmbeddingSpec(tmp_path)).max_length == UNLIMITED
    backend.enable_truncation(7)
    backend.enable_padding(length=20)
    backend.save(str(tmp_path / "tokenizer.json"))
    loaded = load_static_tokenizer(StaticEmbeddingSpec(tmp_path))
    assert loaded.max_length == 7 and loaded(["cat"]).lengths.tolist() == [1]
    assert load_static_tokenizer(StaticEmbeddingSpec(tmp_path, max_seq_length=5)).max_length == 5


def test_unknown_token_of_a_unigram_model(tmp_path: Path) -> None:
    from tokenizers.models import Unigram

    Tokenizer(Unigram([("<u>", 0.0), ("a", -1.0)], unk_id=0)).save(str(tmp_path / "tokenizer.json"))
    loaded = load_static_tokenizer(StaticEmbeddingSpec(tmp_path, drop_unknown=True))
    assert loaded(["abab"]).ids.tolist() == [1, 1]


@pytest.mark.parametrize("content", [None, "{", '{"model": 1}'])
def test_a_bad_tokenizer_file(tmp_path: Path, content: Any) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ModelFormatError, match=r"tokenizer\.json"):
        load_static_tokenizer(StaticEmbeddingSpec(tmp_path))
