"""Texts that look the same to a reader are folded to the same, and places lead back into the original."""

from __future__ import annotations

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vicinal.index.folding import Folded, fold, query_words

OLD = unicodedata.ucd_3_2_0
# Characters that Unicode 3.2 knows: their normal forms are the same in every Python.
KNOWN = st.characters(max_codepoint=0x2FFFF, exclude_categories=("Cs", "Cn", "Cf")).filter(
    lambda char: OLD.category(char) not in ("Cn", "Cf")
)
MIXED = st.text(
    st.one_of(
        KNOWN,
        st.sampled_from("abc XY \u0301\u0323\u00ad\u200bß東京日本ｶﾞ한ㄱ한ไทยมึงမြန်មាស"),
    ),
    max_size=30,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Tie\u0302\u0301ng Vie\u0323\u0302t", ["Tiếng", "Việt"]),
        ("ﬁle soft\u00adware zero\u200bwidth", ["file", "software", "zerowidth"]),
        ("Ｆｕｌｌ　ｗｉｄｔｈ １２３", ["Full", "width", "123"]),
        ("Straße GROẞ", ["Strasse", "GROss"]),
        ("x\u0302y", ["xy"]),
        ("שָׁלוֹם", ["שלום"]),
        ("مُحَمَّد محمـــد", ["محمد", "محمد"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("ﾊﾟｿｺﾝ", ["パソ", "ソコ", "コン"]),
        ("東京都庁", ["東京", "京都", "都庁"]),
        ("水", ["水"]),
        ("iPhone手机", ["iPhone", "手机"]),
        ("\u1112\u1161\u11ab\u1100\u116e\u11a8", ["한국"]),
        ("Vicinal™ 1½", ["Vicinal", "1½"]),
        ("snake_case, it's", ["snake", "case", "it", "s"]),
    ],
)
def test_the_words_of_a_query(text, words):
    assert query_words(text) == words


def test_a_document_has_single_characters_too_where_nothing_stands_between_words():
    assert fold("水の音").split() == ["水", "水の", "の", "の音", "音"]
    assert fold("水の音", pairs=False) == "水の音"


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_never_touched(text):
    assert fold(text) is text and Folded.of(text).text is text


@given(MIXED, st.booleans())
def test_canonically_equal_texts_are_folded_to_the_same(text, pairs):
    composed, decomposed = OLD.normalize("NFC", text), OLD.normalize("NFD", text)
    assert fold(composed, pairs) == fold(decomposed, pairs)


@given(MIXED)
def test_a_folded_text_stays_as_it_is(text):
    assert fold(fold(text, pairs=False), pairs=False) == fold(text, pairs=False)


@given(MIXED, st.booleans(), st.data())
def test_places_lead_back_into_the_original(text, pairs, data):
    folded = Folded.of(text, pairs)
    assert folded.text == fold(text, pairs)
    cuts = data.draw(st.lists(st.integers(0, len(folded.text)), max_size=8, unique=True).map(sorted))
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    found = folded.original(spans)
    assert all(0 <= a < b <= len(text) for a, b in found if a != b)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(found))
    for start, end in spans:
        piece = folded.text[start:end]
        places = folded.original([(start, end)])
        if piece.strip():
            ((a, b),) = places
            # What was found is in what is marked, folded again.
            assert piece.split()[0] in fold(text[a:b], pairs) or not piece.isalnum()


def test_marks_without_end():
    assert fold("a" + 300_000 * "\u0301") == "á"
    assert len(fold(300_000 * "\u0e49")) >= 300_000
