"""Queries made of documents: their answers are known, and not given away."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vicinal.errors import InputError, InputTypeError
from vicinal.evaluation.known_items import KnownItems, known_items


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def filler(topic: str, count: int = 5) -> str:
    """Sentences of which no five words in a row stand elsewhere."""
    return " ".join(
        f"{topic.title()}{n} is what the {n}th {topic} says of {topic}{n} things." for n in range(count)
    )


MARKDOWN = f"""# Tea ceremonies at home
{filler("kettle")}

{filler("cup")}

```sh
# not a heading here
{filler("shell")}
```

Watering wild orchids
---------------------
{filler("orchid")}
"""


def test_headings_ask_for_what_stands_under_them() -> None:
    found = known_items([MARKDOWN, filler("stone", 8)])
    assert found.queries[: found.headings] == [
        each for each in found.queries if each in ("Tea ceremonies at home", "Watering wild orchids")
    ]
    assert found.headings == 2
    for query, answers in zip(found.queries, found.answers, strict=True):
        inside = " ".join(found.passages[place] for place in answers)
        topic = {"Tea": "Kettle0", "Watering": "Orchid0"}.get(query.split()[0], "Stone")
        assert topic in inside
        assert query not in inside
    assert "# not a heading here" in " ".join(found.passages)


def test_a_sentence_is_taken_out_of_its_passage() -> None:
    text = filler("stone", 8)
    found = known_items([text])
    assert (len(found.queries), found.headings, found.answers) == (1, 0, [frozenset({0})])
    sentence = found.queries[0]
    assert sentence in text and sentence not in found.passages[0]
    assert sorted([*words(sentence), *words(found.passages[0])]) == sorted(words(text))


def test_texts_without_capitals_have_sentences() -> None:
    assert len(known_items([filler("stone", 8).lower()]).queries) == 1


def test_what_would_be_given_away_is_no_query() -> None:
    text = filler("stone", 8)
    with pytest.raises(InputError, match="give no query"):
        known_items([text, "Quite another start. " + text], queries=5)  # each sentence twice
    twice = [f"# The same title\n{filler(topic)}" for topic in ("cup", "kettle")]
    assert "The same title" not in known_items(twice).queries
    repeated = f"# Cats like warm places\n{filler('cat')} Cats like warm places."
    assert "Cats like warm places" not in known_items([repeated]).queries


@pytest.mark.parametrize(
    "code",
    [
        "````markdown\n```python\n# a comment in code\n```\n````",
        "```text\n```python\n# a comment in code\n```",
        "~~~\n```\n# a comment in code\n~~~",
        "```code``` is inline.",
    ],
)
def test_fences_are_read_as_commonmark_has_them(code: str) -> None:
    text = f"# Alpha heading here\n\n{code}\n\n{filler('cup')}\n\n# Second heading here\n\n{filler('kettle')}"
    found = known_items([text])
    assert sorted(found.queries[: found.headings]) == ["Alpha heading here", "Second heading here"]


def test_settings_of_a_page_are_left_out() -> None:
    found = known_items([f"---\ntitle: x\ntags: [a, b]\n---\n# Alpha heading here\n\n{filler('cup')}"])
    assert found.queries == ["Alpha heading here"] and "tags" not in " ".join(found.passages)
    ruled = known_items([f"---\n{filler('cup')}\n\n---\n# Alpha heading here\n\n{filler('kettle')}"])
    assert any("Cup" in each for each in ruled.passages)


def test_a_shared_passage_answers_no_heading_by_halves() -> None:
    shared, first, second = (filler(topic, 16) for topic in ("cup", "kettle", "stone"))
    found = known_items(
        [f"# Alpha settings here\n\n{shared}\n\n{first}", f"# Beta settings here\n\n{shared}\n\n{second}"]
    )
    assert found.queries[: found.headings] == ["Alpha settings here"]
    assert len(found.answers[0]) == sum("Cup" in each or "Kettle" in each for each in found.passages)


def test_limits_and_seeds() -> None:
    documents = [
        f"# All about {topic} making\n{filler(topic, 40)}" for topic in map("w{}x".format, range(30))
    ]
    small = known_items(documents, queries=10, passages=20)
    assert len(small.queries) == 10 and len(small.passages) <= 20 and small.headings == 5
    assert all(place < len(small.passages) for answers in small.answers for place in answers)
    assert small == known_items(documents, queries=10, passages=20)
    assert small != known_items(documents, queries=10, passages=20, seed=1)
    assert all(len(each.split()) <= 180 for each in small.passages)
    assert len(known_items(documents, passages=None).passages) >= 60


def test_what_is_refused() -> None:
    with pytest.raises(InputTypeError, match="documents is one text"):
        known_items("a text")
    with pytest.raises(InputTypeError, match=r"documents\[1\] is int"):
        known_items(["a", 1])  # type: ignore[list-item]
    with pytest.raises(InputError, match="the 2 documents give no query"):
        known_items(["too short", ""])
    with pytest.raises(InputError, match="queries=0"):
        known_items([MARKDOWN], queries=0)


_sentence = st.lists(
    st.sampled_from(["ab", "bc", "cd", "de", "ef", "fg", "gh", "hi", "ij", "jk"]), min_size=1, max_size=12
).map(lambda parts: " ".join(parts).capitalize() + ".")
_block = st.one_of(
    st.lists(_sentence, min_size=1, max_size=12).map(" ".join),
    st.sampled_from(
        ["# ab cdef gh", "## Bold title", "```", "Cdef efgh\n=========", "~~~", "---", "1. Numbered part"]
    ),
    st.text(max_size=40),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(_block, max_size=8).map("\n\n".join), min_size=1, max_size=6), st.integers(0, 3))
def test_no_query_stands_in_a_passage(documents: list[str], seed: int) -> None:
    try:
        found: KnownItems = known_items(documents, queries=20, passages=15, seed=seed)
    except InputError:
        return
    assert 0 < len(found.queries) == len(found.answers) <= 20 and 0 < len(found.passages) <= 15
    passages = [" ".join(words(each)) for each in found.passages]
    for query, answers in zip(found.queries, found.answers, strict=True):
        assert answers and max(answers) < len(passages)
        run = words(query)
        for start in range(len(run) - 4):
            piece = " ".join(run[start : start + 5])
            assert not any(f" {piece} " in f" {each} " for each in passages)
