from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vicinal.index.chunking import chunk_spans, counts_add_up


def words(texts):
    return [len(re.findall(r"\w+", text)) + 2 for text in texts]


def letters(texts):
    return [len(text.encode()) for text in texts]


ALPHABET = "ab .\n!?。é\t𝄞,\"'"


@given(
    st.lists(st.text(ALPHABET, max_size=300), max_size=4),
    st.integers(8, 40),
    st.integers(0, 30),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_chunks_cover_overlap_and_fit(texts, limit, overlap, by_letters):
    count = letters if by_letters else words
    for text, spans in zip(texts, chunk_spans(texts, count, limit, overlap), strict=True):
        if count([text])[0] <= limit:
            assert spans == [(0, len(text))]
            continue
        covered = set()
        for start, end in spans:
            assert 0 <= start < end <= len(text)
            piece = text[start:end]
            assert piece == piece.strip()
            assert count([piece])[0] <= limit or end - start == 1
            covered.update(range(start, end))
        assert all(text[i].isspace() for i in set(range(len(text))) - covered)
        assert all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(spans))


def test_a_chunk_begins_after_the_one_before_though_white_space_was_trimmed_off_that():
    (spans,) = chunk_spans(["\n??。?????????é"], letters, 16, 5)
    assert spans[0][0] == 1 and all(a[0] < b[0] for a, b in itertools.pairwise(spans))


def test_cuts_stand_at_sentence_ends():
    text = " ".join(f"This is sentence number {i}." for i in range(40))
    (spans,) = chunk_spans([text], words, 32, 8)
    pieces = [text[a:b] for a, b in spans]
    assert len(pieces) > 5
    assert all(piece.startswith("This") and piece.endswith(".") for piece in pieces)
    repeated = [a[1] - b[0] for a, b in itertools.pairwise(spans)]
    assert all(20 < length < 40 for length in repeated)  # one sentence of five words


def test_paragraph_ends_are_preferred():
    paragraph = "One two three four five. Six seven eight nine ten. "
    text = (paragraph * 2 + "\n\n") * 4
    (spans,) = chunk_spans([text], words, 32, 0)
    assert [text[b:].lstrip(" ")[:2] for _, b in spans[:-1]] == ["\n\n"] * 3


def test_a_sentence_longer_than_the_window_is_cut_between_words():
    text = " ".join(f"w{i}" for i in range(200))
    (spans,) = chunk_spans([text], words, 18, 0)
    assert all(re.fullmatch(r"w\d+( w\d+)*", text[a:b]) for a, b in spans)
    assert " ".join(text[a:b] for a, b in spans) == text


def test_one_endless_word_is_cut_anywhere():
    text = "x" * 1000
    (spans,) = chunk_spans([text], letters, 64, 16)
    assert spans[0][0] == 0 and spans[-1][1] == 1000
    assert max(b - a for a, b in spans) <= 64


@pytest.mark.parametrize("text", ["", " ", "\n\n", "short"])
def test_short_texts_are_one_chunk_untouched(text):
    assert chunk_spans([text], words, 8, 2) == [[(0, len(text))]]


def test_only_white_space_longer_than_the_window():
    assert chunk_spans([" " * 500], letters, 64, 0) == [[(0, 500)]]


# -- counting once -----------------------------------------------------------------------------------


class Counted:
    """Counts words, and the characters that it was asked for."""

    def __init__(self):
        self.characters = 0

    def __call__(self, texts):
        self.characters += sum(map(len, texts))
        return words(texts)


@pytest.mark.parametrize(
    "text", ["Many short sentences. " * 3000, "onelongline " * 6000, "a\n\nb c d.\n" * 5000]
)
def test_every_character_is_counted_once(text):
    count = Counted()
    (spans,) = chunk_spans([text], count, 64, 16, adds_up=True)
    assert len(spans) > 100
    assert count.characters <= 1.01 * len(text)
    count = Counted()
    chunk_spans([text], count, 64, 16)  # chunks are counted again where nothing is known of the tokenizer
    assert count.characters <= 2.7 * len(text)


def test_adding_up_changes_no_chunk():
    texts = [" ".join(f"Word {i} of text {n}." for i in range(50 * n)) for n in range(8)]
    assert chunk_spans(texts, words, 40, 10, adds_up=True) == chunk_spans(texts, words, 40, 10)


def test_a_tokenizer_that_joins_across_sentences_is_counted_again():
    def joining(texts):  # a whole has more tokens than its parts, as no tokenizer should
        return [len(re.findall(r"\w+", text)) + len(re.findall(r"\. +\w", text)) + 2 for text in texts]

    text = "One two three. " * 400
    (spans,) = chunk_spans([text], joining, 32, 8)
    assert max(joining([text[a:b] for a, b in spans])) <= 32


HOSTILE = [
    *(
        "a",
        "Word",
        "don't",
        ".",
        "?!",
        "…",
        "。",
        "é",
        "e\u0301",
        "\u0301",
        "日本",
        "123",
        "🙂",
        "ﬁ",
        "#",
        ")",
    ),
    *("\n", " ", "\t", "\x0c", "\x1c", "\x00", "\u00a0", "\u2028", "\u200b", "[CLS]", "[SEP]", "x" * 120),
]


@pytest.fixture(scope="module")
def mini():
    from vicinal import SentenceTransformer

    return SentenceTransformer("vicinal-mini")


@given(parts=st.lists(st.sampled_from(HOSTILE), min_size=20, max_size=120), limit=st.integers(8, 40))
@example(parts=["a\n", "a" * 18], limit=8)  # the halves of the long word have 4 tokens each, the whole has 9
@settings(max_examples=60, deadline=None)
def test_chunks_of_a_real_tokenizer_fit_though_none_is_counted_again(mini, parts, limit):
    assert counts_add_up(mini.count_tokens)
    text = "".join(parts)
    (spans,) = chunk_spans([text], mini.count_tokens, limit, 4, adds_up=True)
    longest = max(mini.count_tokens([text[a:b] for a, b in spans]))
    assert longest <= limit or all(b - a == 1 for a, b in spans)


def test_nothing_is_taken_for_granted_of_other_models(mini):
    class Other(type(mini)):
        def count_tokens(self, sentences):
            return super().count_tokens(sentences)

    other = Other.__new__(Other)
    other.__dict__.update(mini.__dict__)
    assert not counts_add_up(other.count_tokens)
    assert not counts_add_up(words)
    assert not counts_add_up(Counted())
