"""Files that are one text each: plain text, markup and source code, with the title that they state."""

from __future__ import annotations

import html.parser
import re
from collections.abc import Set

_BLOCKS = """
address article aside blockquote br dd details div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header
hgroup hr legend li main nav ol optgroup option p pre section select summary table tbody td tfoot th thead tr ul
"""
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]
)
# Without text for readers, wherever they stand.
_SILENT = frozenset(
    ["script", "style", "noscript", "template", "svg", "iframe", "object", "canvas", "head", "title"]
)
# What stands around the content of a page.
_AROUND = frozenset(("nav", "aside", "footer"))
_ROLES = {
    "navigation": "nav",
    "complementary": "aside",
    "contentinfo": "footer",
    "banner": "header",
    "search": "nav",
}
_CONTENT = frozenset(("main", "article"))
_INLINE = frozenset(
    [
        "a",
        "abbr",
        "b",
        "br",
        "code",
        "em",
        "i",
        "kbd",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "tt",
        "u",
        "var",
        "wbr",
    ]
)
# Tags of elements that change nothing of a text: most of all tags, and quicker dropped than parsed. What would end a
# comment is no part of one.
_INLINE_TAGS = re.compile(
    r"""</?(?:a|abbr|b|code|em|i|kbd|small|span|strong|sub|sup|tt|u|var)
    (?:\s(?:[^<>"'-]|-(?!-)|"[^"<>]*"|'[^'<>]*')*)?>""",
    re.VERBOSE | re.IGNORECASE,
)
# Elements that stand in the head of a page; any other begins its body, for pages that leave out the tags.
_OF_HEAD = frozenset(
    ["head", "title", "meta", "link", "script", "style", "base", "noscript", "template", "html"]
)
# Elements inside of one another that are kept in mind; no page has more, and what is broken shall not take for ever.
_DEEPEST = 200
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
_UNDERLINED = re.compile(r"^(?![=\-~^\"'`#*+.:_\s])(\S.*)\n([=\-~^\"'`#*+.:_])\2{2,}[ \t]*$", re.MULTILINE)
_BLANKS = re.compile(r"\s+")
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def markdown_title(text: str) -> str:
    """The first heading of a markdown text, outside of code; "" if there is none."""
    found = _HEADING.search(_FENCE.sub("", text))
    return found.group(1) if found else ""


def underlined_title(text: str) -> str:
    """The first heading of a reStructuredText: a line with a line of marks below it; "" if there is none."""
    found = next((each for each in _UNDERLINED.finditer(text) if _covers(each)), None)
    return found.group(1).strip() if found else ""


def _covers(found: re.Match[str]) -> bool:
    """Marks must be as long as the heading; shorter ones are a transition or a table."""
    return len(found.group(0).rpartition("\n")[2].rstrip()) >= len(found.group(1).rstrip())


def page_of(text: str) -> tuple[str, str]:
    """Text and title of an HTML page.

    The text is the page's main content: what stands in ``<main>``, else in its ``<article>`` elements, else in
    its body. Navigation, asides and footers are left out everywhere, and a ``<header>`` unless it is that of the
    main content or an article; scripts and styles always. A page of nothing else gives all its visible text.

    Args:
        text: the HTML.

    Returns:
        The text, a line for each block, and the content of ``<title>``.
    """
    text = _INLINE_TAGS.sub("", text)
    page = _Page({tag for tag in (*_AROUND, "header") if _unclosed(text, tag)})
    page.feed(text)
    page.close()
    for parts in (page.main, page.articles, page.body, page.visible):
        found = _joined(parts)
        if found:
            return found, " ".join(page.title.split())
    return "", " ".join(page.title.split())


def _unclosed(text: str, tag: str) -> bool:
    """Whether elements are left open: nobody can tell what is inside of them, so nothing is left out for them."""
    starts = len(re.findall(rf"<{tag}[\s>]", text, re.IGNORECASE))
    return starts > len(re.findall(rf"</{tag}[\s>]", text, re.IGNORECASE))


def _joined(parts: list[str]) -> str:
    """Without runs of blanks and empty lines."""
    lines = "".join(parts).split("\n")
    joined = "\n".join(re.sub(r"[ \t]+", " ", line).strip() for line in lines)
    return re.sub(r"\n{3,}", "\n\n", joined).strip()


class _Page(html.parser.HTMLParser):
    """Gathers the visible text of a page, four times: main content, articles, body, and everything.

    Only elements that decide what is read are kept on the stack. An end tag closes the last element of its
    name and what was left open inside of it; one that was never opened is passed over.

    Args:
        ignored: elements that mean nothing here.
    """

    BLOCKS = frozenset(_BLOCKS.split())

    def __init__(self, ignored: Set[str]) -> None:
        super().__init__(convert_charrefs=True)
        self._ignored = ignored
        self.main: list[str] = []
        self.articles: list[str] = []
        self.body: list[str] = []
        self.visible: list[str] = []
        self.title = ""
        self._open: list[str] = []
        self._titled = False
        # Which lists take the text that comes now; made when elements open and close, for text is more frequent.
        self._takers: tuple[list[str], ...] = (self.visible, self.body)
        self._counted: frozenset[str] = frozenset()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if "title" in self._open and not self._inside("svg"):
            if tag in _INLINE:
                return
            self._close("title")  # it was not closed: a title holds no elements
        if tag not in _OF_HEAD and "head" in self._open and not self._inside("svg", "template", "noscript"):
            self._close("head")
        role = dict(attrs).get("role") or ""
        name = "main" if role == "main" else _ROLES.get(role, tag)
        if name == "main":  # what was left open before it is not around it
            self._set_open([each for each in self._open if each == "article"])
        self._break(tag)
        if tag in _VOID or tag in self._ignored:
            return
        decides = name in _SILENT or name in _AROUND or name in _CONTENT or name == "header"
        # Inside of <div role="navigation"> other <div>s are counted, to know which end tag is its own.
        if (decides or tag in self._counted) and len(self._open) < _DEEPEST:
            self._set_open([*self._open, name if name == tag else f"{tag} {name}"])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # HTML knows no empty elements but its own: <script/> and <div/> are open. In svg they are closed.
        if self._inside("svg") or tag in _VOID:
            self._break(tag)
        else:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag == "title" and "title" in self._open and not self._inside("svg"):
            self._titled = True
        if tag == "body":
            self._set_open([])
        self._break(tag)
        self._close(tag)

    def handle_data(self, data: str) -> None:
        if "title" in self._open and not self._inside("svg"):
            if not self._titled:
                self.title += data
            return
        if self._open[-1:] == ["head"] and data.strip():
            self._close("head")
        if self._takers:
            self._add(_BLANKS.sub(" ", data))

    def _break(self, tag: str) -> None:
        if tag in self.BLOCKS:
            self._add("\n")

    def _add(self, text: str) -> None:
        for taker in self._takers:
            taker.append(text)

    def _set_open(self, elements: list[str]) -> None:
        self._open = elements
        self._counted = frozenset(each.partition(" ")[0] for each in elements if " " in each)
        names = [each.rpartition(" ")[2] for each in elements]
        content = next((place for place, each in enumerate(names) if each in _CONTENT), None)
        if any(each in _SILENT for each in names):
            self._takers = ()
        elif any(each in _AROUND for each in names) or "header" in names[:content]:
            self._takers = (self.visible,)
        else:
            some = [self.main] * ("main" in names) + [self.articles] * ("article" in names)
            self._takers = (self.visible, self.body, *some)

    def _inside(self, *tags: str) -> bool:
        return any(tag in self._open for tag in tags)

    def _close(self, tag: str) -> None:
        for place in range(len(self._open) - 1, -1, -1):
            if self._open[place].partition(" ")[0] == tag:
                self._set_open(self._open[:place])
                return
