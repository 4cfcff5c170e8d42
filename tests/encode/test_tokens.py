"""Our special tokens, truncation and pairs against those of the tokenizers library itself."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tinyfolder import SPECIAL, VOCAB, make_plain, wordpiece, write_json
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing

from vicinal.errors import ModelFormatError
from vicinal.folder.read import read_model_spec
from vicinal.tokens.folder import load_tokenizer
from vicinal.tokens.text import Ragged, TextTokenizer, longest_first

# Every character but half ones, with words of the vocabulary and literal special tokens among them.
PIECES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["the cat", " ", "query", "[SEP]", "[PAD]", "[CLS]x", "\0", "é", "ﷺ", "\u200b", "中文"]),
)
TEXTS = st.lists(PIECES, max_size=6).map("".join)
relaxed = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def rows_of(ragged: Ragged) -> list[list[int]]:
    return [ragged.ids[ragged.starts[row] : ragged.starts[row + 1]].tolist() for row in range(len(ragged))]


def types_of(ragged: Ragged) -> list[list[int]]:
    assert ragged.type_ids is not None
    return [
        ragged.type_ids[ragged.starts[row] : ragged.starts[row + 1]].tolist() for row in range(len(ragged))
    ]


def unigram() -> Tokenizer:
    """A tokenizer without special tokens around a text, as decoders have."""
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def roberta() -> Tokenizer:
    """Two separators between the texts of a pair, and one type."""
    tokenizer = wordpiece()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return tokenizer


def last_only() -> Tokenizer:
    """One token behind the text, as Qwen3's embedding models have."""
    tokenizer = wordpiece()
    tokenizer.post_processor = TemplateProcessing(
        single="$A [SEP]", pair="$A [SEP] $B:1 [SEP]:1", special_tokens=[("[SEP]", 3)]
    )
    return tokenizer


KINDS = {"bert": wordpiece, "none": unigram, "roberta": roberta, "last": last_only}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", ["right", "left"])
@given(texts=st.lists(TEXTS, max_size=5), limit=st.integers(3, 24))
@relaxed
def test_single_texts(kind: str, side: str, texts: list[str], limit: int) -> None:
    ours = TextTokenizer(KINDS[kind](), max_length=limit, truncation_side=side)
    theirs = KINDS[kind]()
    full = theirs.encode_batch(texts)
    theirs.enable_truncation(limit, direction=side)
    cut = theirs.encode_batch(texts)
    ragged = ours(texts)
    assert rows_of(ragged) == [each.ids for each in cut]
    assert ragged.full_lengths.tolist() == [len(each.ids) for each in full]
    assert ours.count(texts).tolist() == ragged.full_lengths.tolist()
    assert ragged.lengths.tolist() == [len(each.ids) for each in cut]
    expected = [place for place, each in enumerate(full) if len(each.ids) > limit]
    assert ragged.truncated.tolist() == expected
    assert ragged.ids.dtype == np.int32


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", ["right", "left"])
@given(pairs=st.lists(st.tuples(TEXTS, TEXTS), max_size=5), limit=st.integers(5, 24))
@relaxed
def test_pairs(kind: str, side: str, pairs: list[tuple[str, str]], limit: int) -> None:
    ours = TextTokenizer(KINDS[kind](), max_length=limit, truncation_side=side)
    theirs = KINDS[kind]()
    full = theirs.encode_batch(list(pairs))
    theirs.enable_truncation(limit, strategy="longest_first", direction=side)
    cut = theirs.encode_batch(list(pairs))
    ragged = ours.pairs([first for first, _ in pairs], [second for _, second in pairs])
    assert rows_of(ragged) == [each.ids for each in cut]
    assert types_of(ragged) == [each.type_ids for each in cut]
    assert ragged.full_lengths.tolist() == [len(each.ids) for each in full]


def by_hand(first: int, second: int, room: int) -> tuple[int, int]:
    """One token at a time from the longer text; on a tie from the first."""
    while first + second > room:
        if second > first:
            second -= 1
        else:
            first -= 1
    return first, second


@given(first=st.integers(0, 40), second=st.integers(0, 40), room=st.integers(0, 60))
@settings(max_examples=500, deadline=None)
def test_longest_first_keeps_what_taking_away_one_by_one_keeps(first: int, second: int, room: int) -> None:
    kept = longest_first(np.array([first]), np.array([second]), room)
    found, expected = (int(kept[0][0]), int(kept[1][0])), by_hand(first, second, room)
    assert sum(found) == sum(expected) == min(first + second, room)
    assert found[0] <= first and found[1] <= second
    # Who keeps the odd token is the library's choice; the amounts are not.
    assert sorted(found) == sorted(expected)


def test_many_texts_over_several_chunks() -> None:
    texts = [f"the cat {number}" for number in range(3000)]
    ours = TextTokenizer(wordpiece(), max_length=64)
    assert rows_of(ours(texts)) == [each.ids for each in wordpiece().encode_batch(texts)]
    ragged = ours.pairs(texts, texts[::-1])
    theirs = wordpiece().encode_batch(list(zip(texts, texts[::-1], strict=True)))
    assert rows_of(ragged) == [each.ids for each in theirs]


def test_nothing_in_nothing_out() -> None:
    ours = TextTokenizer(wordpiece(), max_length=64)
    for ragged in (ours([]), ours.pairs([], [])):
        assert len(ragged) == 0
        assert ragged.ids.shape == (0,)
        assert ragged.starts.tolist() == [0]
        assert not len(ragged.truncated)
    assert ours.count([]).shape == (0,)


def test_room_for_special_tokens_only() -> None:
    ours = TextTokenizer(wordpiece(), max_length=2)
    assert rows_of(ours(["the cat", ""])) == [[2, 3], [2, 3]]
    assert ours(["the cat", ""]).truncated.tolist() == [0]


def test_truncation_and_padding_of_tokenizer_json_are_switched_off(tmp_path: Path) -> None:
    folder = make_plain(tmp_path)
    tokenizer = wordpiece()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=20)
    tokenizer.save(str(folder / "tokenizer.json"))
    ragged = load_tokenizer(read_model_spec(folder).transformer)(["the cat sat on the mat"])
    assert ragged.lengths.tolist() == [8]


def test_lower_case_leaves_special_tokens_alone() -> None:
    cased = wordpiece(lowercase=False)
    ours = TextTokenizer(cased, max_length=64, lower=True)
    assert rows_of(ours(["The CAT [SEP] Sat"])) == [wordpiece().encode("the cat [SEP] sat").ids]
    again = pickle.loads(pickle.dumps(ours))
    assert rows_of(again(["The CAT"])) == rows_of(ours(["the cat"]))


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_copies(clone: object) -> None:
    ours = TextTokenizer(wordpiece(), max_length=9, pad_id=7, truncation_side="left", padding_side="left")
    other = clone(ours)  # type: ignore[operator]
    texts = ["the cat sat on the mat and more", "x"]
    assert rows_of(other(texts)) == rows_of(ours(texts))
    assert (other.max_length, other.pad_id, other.padding_side) == (9, 7, "left")
    assert types_of(other.pairs(texts, texts)) == types_of(ours.pairs(texts, texts))


@pytest.mark.parametrize("lowercase", [True, False])
def test_vocabulary_alone_equals_tokenizer_json(tmp_path: Path, lowercase: bool) -> None:
    whole, bare = make_plain(tmp_path / "whole"), make_plain(tmp_path / "bare")
    wordpiece(lowercase).save(str(whole / "tokenizer.json"))
    write_json(whole / "tokenizer_config.json", {"do_lower_case": lowercase})
    (bare / "tokenizer.json").unlink()
    (bare / "vocab.txt").write_text("\n".join(VOCAB) + "\n", encoding="utf-8")
    write_json(bare / "tokenizer_config.json", {"do_lower_case": lowercase, "model_max_length": 64})
    first, second = (load_tokenizer(read_model_spec(folder).transformer) for folder in (whole, bare))
    texts = ["the cat", "", "Hello, World!", "[MASK] é 中文 \0 \t", "a" * 200, *SPECIAL]
    assert rows_of(first(texts)) == rows_of(second(texts))
    pairs = (texts, texts[::-1])
    assert types_of(first.pairs(*pairs)) == types_of(second.pairs(*pairs))
    assert second.max_length == 64


def test_vocab_json_with_merges(tmp_path: Path) -> None:
    folder = make_plain(tmp_path, model_type="roberta", pad_token_id=1)
    (folder / "tokenizer.json").unlink()
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "c", "a", "t", "s", "Ġ", "ca", "cat", "Ġcat"]
    write_json(folder / "vocab.json", {token: place for place, token in enumerate(vocabulary)})
    (folder / "merges.txt").write_text("#version: 0.2\nc a\nca t\nĠ cat\n", encoding="utf-8")
    write_json(folder / "tokenizer_config.json", {"model_max_length": 30, "pad_token": {"content": "<pad>"}})
    ours = load_tokenizer(read_model_spec(folder).transformer)
    assert rows_of(ours(["cat cat", "cats", "<s>cat", ""])) == [
        [0, 11, 12, 2],
        [0, 11, 8, 2],
        [0, 0, 11, 2],
        [0, 2],
    ]
    assert rows_of(ours.pairs(["cat"], ["cats"])) == [[0, 11, 2, 2, 11, 8, 2]]
    assert types_of(ours.pairs(["cat"], ["cats"])) == [[0] * 7]
    assert ours.pad_id == 1
    assert ours.max_length == 30


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"model": 3}', "\x00\x01"])
def test_damaged_tokenizer(tmp_path: Path, content: str) -> None:
    folder = make_plain(tmp_path)
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(ModelFormatError, match=r"tokenizer cannot be read.*download the model again"):
        load_tokenizer(read_model_spec(folder).transformer)


def test_no_tokenizer(tmp_path: Path) -> None:
    folder = make_plain(tmp_path)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelFormatError, match=r"no tokenizer\.json.*save_pretrained"):
        load_tokenizer(read_model_spec(folder).transformer)


@pytest.mark.parametrize(
    ("key", "value"), [("model_max_length", "many"), ("truncation_side", "up"), ("padding_side", 3)]
)
def test_impossible_settings(tmp_path: Path, key: str, value: object) -> None:
    folder = make_plain(tmp_path)
    write_json(folder / "tokenizer_config.json", {key: value})
    with pytest.raises(ModelFormatError, match=key):
        load_tokenizer(read_model_spec(folder).transformer)


def test_ids_without_a_vector_are_refused() -> None:
    ours = TextTokenizer(wordpiece(), max_length=20, vocabulary=VOCAB.index("cat"))
    assert len(ours(["a"])) == 1
    for call in (lambda: ours(["the cat"]), lambda: ours.pairs(["a"], ["cat"])):
        with pytest.raises(ModelFormatError, match=r"'cat'.*do not belong together"):
            call()


def test_limits(tmp_path: Path) -> None:
    spec = read_model_spec(make_plain(tmp_path)).transformer
    assert load_tokenizer(spec).max_length == 64
    assert load_tokenizer(spec, position_limit=32).max_length == 32
    assert load_tokenizer(spec, settings={"model_max_length": 10}).max_length == 10
    assert load_tokenizer(spec, settings={"model_max_length": int(1e30)}).max_length == 512
    assert load_tokenizer(spec, settings={"model_max_length": 1e30}, position_limit=99).max_length == 99


def test_no_unknown_token() -> None:
    tokenizer = Tokenizer(models.WordLevel({"[CLS]": 0, "[SEP]": 1, "yes": 2}))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 0), ("[SEP]", 1)],
    )
    ours = TextTokenizer(tokenizer, max_length=9)
    assert rows_of(ours(["yes", ""])) == [[0, 2, 1], [0, 1]]
    ragged = ours.pairs(["yes"], [""])
    assert rows_of(ragged) == [[0, 2, 1, 1]]
    assert types_of(ragged) == [[0, 0, 0, 1]]
    with pytest.raises(ModelFormatError, match="cannot split"):
        ours(["no"])


def test_unknown_token_id() -> None:
    assert TextTokenizer(wordpiece(), max_length=20).unknown_token_id == VOCAB.index("[UNK]")
