from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vicinal.index.chunking import chunk_spans


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
