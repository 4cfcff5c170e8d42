"""Perl's documentation as sets for retrieval: Debian's package perl-doc, which no model of ours was trained with.

The package is downloaded once (``apt-get download``, no root needed) into ``.bench/perl-doc`` and unpacked there. The
other way to have it is a ``perl-doc_*.deb`` in that folder.
"""

from __future__ import annotations

import html
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import common

FOLDER = common.ROOT / ".bench" / "perl-doc"
# Tables of contents: they repeat every heading, the questions too, and answer none.
CONTENTS = {"perltoc", "perlfaq"}


class Section(NamedTuple):
    """What stands under one heading, up to the next."""

    page: str
    level: int
    heading: str
    text: str


@cache
def sections() -> list[Section]:
    """All sections with a heading and a text, in the order of pages and places."""
    return [section for path in _pages() for section in _sections(path)]


def questions() -> dict[str, tuple[str, str]]:
    """Of the nine pages of questions: id of the section -> (question, answer without the question)."""
    found = {}
    for number, section in enumerate(sections()):
        if re.fullmatch(r"perlfaq\d", section.page) and section.level == 2:
            found[str(number)] = (section.heading, without(section.text, section.heading))
    return found


def without(text: str, heading: str) -> str:
    """The text without the heading, however its words are spaced, quoted or written large."""
    words = re.findall(r"\w+", heading)
    pattern = r"\W+".join(map(re.escape, words))
    return re.sub(rf"\b{pattern}\b\W?", "", text, flags=re.IGNORECASE).strip() if words else text


def _pages() -> list[Path]:
    root = FOLDER / "root"
    if not root.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        if not list(FOLDER.glob("perl-doc_*.deb")):
            subprocess.run(["apt-get", "download", "-q", "perl-doc"], cwd=FOLDER, check=True)
        package = sorted(FOLDER.glob("perl-doc_*.deb"))[-1]
        scratch = FOLDER / "unpacking"
        subprocess.run(["dpkg-deb", "-x", str(package), str(scratch)], check=True)
        scratch.rename(root)
    return [path for path in sorted(root.rglob("*.pod")) if path.stem not in CONTENTS]


def _sections(path: Path) -> Iterator[Section]:
    heading, level, parts = "", 0, []
    for command, body in [*_paragraphs(path), ("head1", "")]:
        if command is not None and command.startswith("head"):
            text = "\n\n".join(parts)
            if heading and text:
                yield Section(path.stem, level, heading, text)
            heading, level, parts = body, int(command[4:]), []
        elif body:
            parts.append(body)


def _paragraphs(path: Path) -> Iterator[tuple[str | None, str]]:
    """The paragraphs of a page as plain text, each with its command (``head2``, ``item``, ``back``), None for text."""
    raw = path.read_bytes()
    named = re.search(rb"^=encoding\s+(\S+)", raw, re.MULTILINE)
    text = raw.decode(named[1].decode() if named else "latin-1", "replace")
    hidden = False
    for paragraph in re.split(r"\n[ \t]*\n+", text.replace("\r\n", "\n")):
        paragraph = paragraph.strip("\n")
        command = re.match(r"=([a-z]\w*)[ \t]*", paragraph)
        if command is None:
            if hidden or not paragraph.strip():
                continue
            verbatim = paragraph[0] in " \t"
            yield None, paragraph if verbatim else _plain(paragraph)
            continue
        name = command[1]
        hidden = name == "begin" or (hidden and name != "end")
        if hidden or name in ("end", "for", "encoding", "over", "pod", "cut"):
            continue
        body = _plain(paragraph[command.end() :])
        yield name, "" if body == "*" else body


def _plain(text: str) -> str:
    """Text without formatting codes: ``C<<< x >>>``, ``L<text|page/"section">``, ``E<gt>``, ``X<index>``."""
    parts, at = [], 0
    for start in re.finditer(r"[A-Z](<(?:<+\s)?)", text):
        if start.start() < at:
            continue
        angles = start[1].count("<")
        stop = _end(text, start.end(), angles)
        parts.append(text[at : start.start()])
        inside = text[start.end() : stop].strip() if angles > 1 else text[start.end() : stop]
        parts.append(_code(text[start.start()], inside))
        at = stop + angles
    return re.sub(r"\s+", " ", "".join([*parts, text[at:]])).strip()


def _end(text: str, at: int, angles: int) -> int:
    """Where the code that began before ``at`` ends."""
    if angles > 1:
        closing = re.compile(r"\s" + ">" * angles).search(text, at)
        return closing.start() + 1 if closing else len(text)
    depth = 1
    for found in re.compile(r"[A-Z]<|>").finditer(text, at):
        depth += 1 if found[0] != ">" else -1
        if not depth:
            return found.start()
    return len(text)


def _code(letter: str, inside: str) -> str:
    if letter in "XZ":
        return ""
    if letter == "E":
        names = {"lt": "<", "gt": ">", "verbar": "|", "sol": "/"}
        if re.fullmatch(r"\d+", inside):
            return chr(int(inside))
        return names.get(inside) or html.unescape(f"&{inside};")
    if letter == "L":
        shown, bar, target = inside.rpartition("|")
        if bar:
            return _plain(shown)
        if re.match(r"\w+://", target):
            return target
        page, slash, place = target.partition("/")
        place = place.strip('"')
        return _plain(f"{place} in {page}" if page and slash else place or page.strip('"'))
    return _plain(inside)
