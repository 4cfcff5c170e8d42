"""Manual pages (roff) and HTML documentation, as sections."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from text_sources.pieces import Pair, heading, is_prose, passage_of, section_pairs, single_spaced, words_of

Sections = list[tuple[str, list[str]]]

_ESCAPES = (
    (re.compile(r"\\f(?:\[[^\]]*\]|\(..|.)"), ""),
    (re.compile(r"\\s[+-]?\d+"), ""),
    (re.compile(r"\\\*?\((?:lq|rq|dq)|\\\[(?:lq|rq|dq)\]"), '"'),
    (re.compile(r"\\\((?:aq|cq|oq)|\\\[(?:aq|cq|oq)\]"), "'"),
    (re.compile(r"\\\(em|\\\[em\]"), " - "),
    (re.compile(r"\\\((?:hy|mi|en)|\\\[(?:hy|mi|en)\]|\\-"), "-"),
    (re.compile(r"\\[&|^/,%:c]"), ""),
    (re.compile(r"\\[ ~0]"), " "),
    (re.compile(r"\\\*?(?:\(..|\[[^\]]*\])"), " "),
    (re.compile(r"\\e|\\\\"), r"\\"),
    (re.compile(r'\\".*$'), ""),
)
_WORDS = re.compile(r'"([^"]*)"|(\S+)')
_FONTS = {
    "B",
    "I",
    "R",
    "SM",
    "SB",
    "Nm",
    "Ar",
    "Pa",
    "Fl",
    "Xr",
    "Em",
    "Sy",
    "Dv",
    "Va",
    "Fn",
    "Ic",
    "Cm",
    "Li",
}
_MIXED_FONTS = {"BR", "RB", "IR", "RI", "BI", "IB"}
_BREAKS = {"PP", "P", "LP", "Pp", "sp", "RS", "RE", "br", "TP", "IP", "HP", "It", "TQ"}
_NO_ANSWERS = {
    "NAME", "SYNOPSIS", "SEE ALSO", "COLOPHON", "AUTHOR", "AUTHORS", "COPYRIGHT", "REPORTING BUGS", "VERSIONS",
    "STANDARDS", "CONFORMING TO", "HISTORY", "ATTRIBUTES", "BUGS",
}  # fmt: skip
_LITERAL = {"nf": "fi", "EX": "EE", "TS": "TE", "Bd": "Ed"}


def man_sections(page: str) -> Sections:
    """The sections of a manual page's source: titles, and paragraphs without code."""
    sections: Sections = []
    literal = ""
    for raw in page.splitlines():
        if literal:
            literal = "" if raw.startswith("." + literal) else literal
            continue
        if raw.startswith(("'", '.\\"', "'\\\"")):
            continue
        macro, text = "", raw
        if raw.startswith("."):
            macro, _, text = raw[1:].strip().partition(" ")
        literal = _LITERAL.get(macro, "")
        if macro in ("SH", "SS", "Sh", "Ss"):
            sections.append((_plain(" ".join(_arguments(text))).strip(), [""]))
            continue
        if not sections or literal:
            continue
        paragraphs = sections[-1][1]
        if macro in _BREAKS or not raw.strip():
            paragraphs.append("")
        elif macro == "Nd":
            paragraphs[-1] += " - " + _plain(text)
        elif macro in _MIXED_FONTS:
            paragraphs[-1] += " " + _plain("".join(_arguments(text)))
        elif macro in _FONTS:
            paragraphs[-1] += " " + _plain(" ".join(_arguments(text)))
        elif not macro:
            paragraphs[-1] += " " + _plain(text)
    return [(title, [single_spaced(part) for part in parts if part.strip()]) for title, parts in sections]


def _arguments(text: str) -> list[str]:
    return [found[0] or found[1] for found in _WORDS.findall(text)]


def _plain(text: str) -> str:
    for pattern, instead in _ESCAPES:
        text = pattern.sub(instead, text)
    return text


def man_pairs(source: str, page: str) -> Iterator[Pair]:
    """What a page is for -> its description, its name -> what it is for, section heading -> section."""
    sections = man_sections(page)
    named = next((parts for title, parts in sections if title.upper() == "NAME" and parts), None)
    if named is None:
        return
    names, _, purpose = " ".join(named).partition(" - ")
    names, purpose = names.strip(), purpose.strip()
    described = passage_of(next((parts for title, parts in sections if title.upper() == "DESCRIPTION"), []))
    first = words_of(names.split(",")[0])
    if purpose and len(described) >= 40:
        yield Pair(f"{source}:purpose", purpose, described)
        yield Pair(f"{source}:named", f"{first} {purpose}", described)
    if purpose and is_prose(purpose, 12):
        yield Pair(f"{source}:name", first, purpose)
    others = [(title.capitalize(), parts) for title, parts in sections if title.upper() not in _NO_ANSWERS]
    yield from section_pairs(f"{source}:section", first, others)


def man_pages(folder: Path) -> Iterator[str]:
    """The English manual pages below a folder, each once."""
    for file in sorted(folder.rglob("*.gz")):
        if re.fullmatch(r"man\d", file.parent.name) and file.parent.parent.name == "man" and file.is_file():
            yield gzip.decompress(file.read_bytes()).decode("utf-8", "replace")


_HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
_BLOCKS = {
    "p",
    "li",
    "dd",
    "div",
    "section",
    "table",
    "tr",
    "td",
    "blockquote",
    "ul",
    "ol",
    "dl",
    "article",
    "main",
    "br",
}
_DROPPED = {"script", "style", "nav", "header", "footer", "pre", "table", "head", "form", "button"}
_LINKS = re.compile(r"(?:Next|Previous|Prev|Up): ")  # what texinfo puts above each section
_VOID = {"br", "img", "hr", "meta", "link", "input", "col", "wbr", "area", "base", "source"}
_DROPPED_CLASS = re.compile(
    r"sidebar|\bnav|navbar|navigation|related|footer|\btoc\b|contents|indextable|breadcrumb|highlight|copyright"
)
# Doxygen calls the text of a page its contents, marks headings, and says where in the source each thing stands.
_DOXYGEN_TEXT = "contents"
_DOXYGEN_MARKS = re.compile(r"^◆ ?| ?\[\d+/\d+\]$")
_DOXYGEN_PLACES = re.compile(r"(?:Definition at line|References|Referenced by|Implements|Reimplemented) .*")


class _Reader(HTMLParser):
    """Collects the sections of a page while it is parsed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.sections: Sections = []
        self._open: list[tuple[str, bool]] = []  # tags that are open, and whether each is dropped
        self._dropped = 0
        self._into: str | None = None  # the heading or term that is being read
        self._heading = ""
        self._in_title = False
        self.doxygen = False
        self._outer = ""  # the heading above a list of terms

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title":
            self._in_title = True
        if tag == "meta" and (dict(attrs).get("content") or "").startswith("Doxygen"):
            self.doxygen = True
        if tag in _VOID:
            self._break(tag)
            return
        named = " ".join(value or "" for name, value in attrs if name in ("class", "id", "role"))
        dropped = tag in _DROPPED or (
            tag in ("div", "ul", "span", "section")
            and bool(_DROPPED_CLASS.search(named.lower()))
            and not (self.doxygen and named == _DOXYGEN_TEXT)
        )
        self._open.append((tag, dropped))
        self._dropped += dropped
        if self._dropped:
            return
        if tag in _HEADINGS or tag == "dt":
            self._into, self._heading = tag, ""
        self._break(tag)

    def _break(self, tag: str) -> None:
        if tag in _BLOCKS and self.sections and not self._dropped:
            self.sections[-1][1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        if not any(tag == each for each, _ in self._open):
            return
        while self._open:
            each, dropped = self._open.pop()
            self._dropped -= dropped
            if each == tag:
                break
        if self._into == tag:
            self._into = None
            title = single_spaced(self._heading)
            if tag != "dt":
                self._outer = title
            self.sections.append((title, [""]))
        elif tag == "dl" and not self._dropped:
            self.sections.append((self._outer, [""]))
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        elif self._dropped:
            return
        elif self._into is not None:
            self._heading += data
        elif self.sections:
            self.sections[-1][1][-1] += data


def html_sections(page: str) -> tuple[str, Sections]:
    """The title of an HTML page and its sections; terms of definition lists are sections too."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    found = [
        (title, [single_spaced(part) for part in parts if part.strip()]) for title, parts in reader.sections
    ]
    found = [(title, [part for part in parts if not _LINKS.match(part)]) for title, parts in found]
    if reader.doxygen:
        found = [
            (_DOXYGEN_MARKS.sub("", title), [part for part in parts if not _DOXYGEN_PLACES.fullmatch(part)])
            for title, parts in found
        ]
    title = heading(re.split(r" [—–|-] | ?\(", single_spaced(reader.title))[0])
    return title, [(name, parts) for name, parts in found if parts]


def html_pairs(source: str, page: str) -> Iterator[Pair]:
    """Heading or term -> text; the name of a function is taken apart into words."""
    title, sections = html_sections(page)
    named = []
    for name, parts in sections:
        called = (
            re.match(r"[\w.]*?([A-Za-z_]\w+)(?:\s*\(|$)", name) if " " not in name.split("(")[0] else None
        )
        named.append((words_of(called.group(1)) if called and "(" in name else name, parts))
    yield from section_pairs(source, title, named)


def html_files(folder: Path) -> Iterator[Path]:
    """The English pages below a folder: names and folders of other languages are passed over."""
    language = re.compile(r"^(?!en)[a-z]{2}([-_][A-Za-z]{2,4})?$")
    for file in sorted(folder.rglob("*.html*")):
        inside = file.relative_to(folder).parts
        endings = file.name.split(".")[1:-1]
        if any(language.match(part) for part in (*inside[:-1], *endings)) or not file.is_file():
            continue
        if re.search(
            r"genindex|search|-index|copyright|license|changelog|_sources|py-modindex", str(file).lower()
        ):
            continue
        if file.name.endswith((".html", ".html.en", ".htm")):
            yield file
