"""Of a page its content is read, whatever its HTML; nothing that a reader sees is lost without a choice."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vicinal.readers.pages import markdown_title, page_of, underlined_title

AROUND = (
    "<body><header>Site name</header><nav>Home News</nav>{content}<aside>Advertisement</aside>"
    "<footer>Imprint</footer><script>var x;</script><style>p {{}}</style></body>"
)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("<main><h1>Tea</h1><p>Hot water.</p></main><div>Related</div>", "Tea Hot water."),
        ("<article>One.</article><div>Between</div><article>Two.</article>", "One. Two."),
        ("<main><header><h1>Tea</h1></header><nav>Contents</nav>Text<footer>Tags</footer></main>", "Tea Text"),
        ("<article><header>By Ann</header>Text<aside>Box</aside></article>", "By Ann Text"),
        ("<main>Text <article>inner</article> more</main>", "Text inner more"),
        ("<div role='main'><div>Text</div></div><div>Outside</div>", "Text"),
        ("<div role='navigation'><div>a</div><div>b</div></div><p>Text</p>", "Text"),
        ("<div><p>No landmarks</p></div>", "No landmarks"),
        ("<main></main><div>The main element is empty</div>", "The main element is empty"),
        ("<main><nav>Only links</nav></main><p>Body</p>", "Body"),
        ("<p>a<template>t</template><svg><title>icon</title><text>s</text></svg><noscript>n</noscript>b</p>", "ab"),
        ("<MAIN><P>Upper</P></MAIN>", "Upper"),
        ("<main>a &amp; b&nbsp;c<br>d</main>", "a & b c d"),
        ("<main>unclosed", "unclosed"),
        ("<main><!-- <a --><p>a <b class='x'>b</b> <a title='1 > 0'>c</a><!-- <b> -->d</p></main>", "a b cd"),
    ],
)  # fmt: skip
def test_the_main_content(content: str, words: str) -> None:
    text, _ = page_of(AROUND.format(content=content))
    assert " ".join(text.split()) == words


@pytest.mark.parametrize(
    ("page", "text", "title"),
    [
        ("<head><title> A &amp;\n B </title></head><body>x</body>", "x", "A & B"),
        ("<title>No head</title><p>x", "x", "No head"),
        ("<html><head><title>T</title><meta charset=utf-8><body><p>open head</p>", "open head", "T"),
        ("<head><title>T</title>text without tags", "text without tags", "T"),
        ("<title>a <b>c</b></title><p>x</p>", "x", "a c"),
        ("<body><svg><title>icon</title></svg><p>x</p>", "x", ""),
        ("<title>First</title><title>Second</title><p>x</p>", "x", "First"),
        ("plain text", "plain text", ""),
        ("<nav>All there is</nav>", "All there is", ""),
        ("<p>before</p><nav><a>never closed</a><p>after</p>", "before\n\nnever closed\nafter", ""),
        ("</p></main></div>x", "x", ""),
        ("", "", ""),
        ("<script>only()</script>", "", ""),
    ],
)
def test_pages_as_they_are_found(page: str, text: str, title: str) -> None:
    found, named = page_of(page)
    assert found.split() == text.split()
    assert re.sub(r"\s+", "", named) == re.sub(r"\s+", "", title)


TAGS = [
    "p",
    "div",
    "main",
    "article",
    "nav",
    "header",
    "footer",
    "aside",
    "section",
    "head",
    "body",
    "title",
    "b",
    "ul",
    "li",
]
PIECES = st.one_of(
    st.sampled_from([f"<{tag}>" for tag in TAGS] + [f"</{tag}>" for tag in TAGS]),
    st.sampled_from(["one ", "two ", "<br/>", "<div role=main>", "<div role=navigation>"]),
    st.sampled_from(["&lt;", "<!-- c -->", "<!-- <b -->", "< ", ">", "<a title='>'>", "</a>"]),
)


@given(st.lists(PIECES, max_size=30))
def test_any_soup_is_read_and_no_page_with_text_becomes_empty(pieces: list[str]) -> None:
    soup = "".join(pieces)
    text, title = page_of(soup)
    assert "\n\n\n" not in text and text == text.strip()
    words = re.findall("one|two", re.sub(r"<!--.*?-->", "", soup))
    if words:
        assert text or title


@pytest.mark.parametrize(
    "piece", ["<nav>", "<div role=navigation><div>", "<main>", "<article>", "<svg>", "</p>", "<b", "&#"]
)
def test_deep_and_broken_pages_end(piece: str) -> None:
    text, _ = page_of(piece * 10_000 + "<p>end</p>")
    assert isinstance(text, str)


def test_titles_of_markup() -> None:
    assert markdown_title("```sh\n# a comment\n```\n\n## The title ##\n") == "The title"
    assert markdown_title("no heading") == ""
    assert underlined_title("Intro.\n\nThe title\n=========\n\ntext") == "The title"
    assert underlined_title("=====\nOver\n=====\n") == "Over"
    assert underlined_title("a long line of text\n---\n") == ""
