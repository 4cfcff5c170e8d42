"""Which files of an input are read, as what, and under which names; and which are left aside."""

from __future__ import annotations

import codecs
import gzip
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

from vicinal.errors import InputError
from vicinal.readers.lines import kind_of, shown_path

LINES = (".jsonl", ".ndjson")
TABLES = (".csv", ".tsv")
HTML = (".html", ".htm", ".xhtml")
MARKDOWN = (".md", ".markdown")
MANUAL = ".man"
_CODE = """
.py .pyi .pyx .ipy .r .jl .c .h .cc .cpp .cxx .hh .hpp .hxx .cs .java .kt .kts .scala .go .rs .swift .m .mm .js .mjs
.cjs .jsx .ts .tsx .vue .svelte .rb .php .pl .pm .pod .lua .hs .ml .mli .ex .exs .erl .clj .lisp .el .scm .sh .bash
.zsh .fish .ps1 .sql .css .scss .less .toml .yaml .yml .ini .cfg .conf .cmake .mk .proto .graphql .f .f90 .f95 .pas .d
.nim .zig .dart .groovy .gradle .tf .vim .vb .asm .s
"""
TEXTS = (".txt", ".rst", ".adoc", ".asciidoc", ".org", ".tex", ".texi", *_CODE.split())
# Files that are one text each.
WHOLE = (*TEXTS, *MARKDOWN, *HTML, MANUAL)
# Kinds by the ending of a file's name, which ``.gz`` may follow.
SUFFIXES = (*LINES, *TABLES, *WHOLE)
KINDS = "jsonl, csv, tsv, txt, md, html, rst, source code, man pages, each also with .gz behind it"
# What may be said of standard input, which has no name.
FORMATS: Mapping[str, str] = {
    "txt": ".txt", "jsonl": ".jsonl", "csv": ".csv", "tsv": ".tsv", "md": ".md", "html": ".html",
}  # fmt: skip

STANDARD_INPUT = "-"
_SECTION = re.compile(r"\.[1-9][a-z0-9]{0,8}")
# How a man page begins: a comment, or a macro that says its title or another page.
_ROFF = re.compile(rb"""\s*(?:['.]\\"|\.\s*(?:TH|Dd|so|ds|de|if|ie|nr|TP|SH)\b)""")
_HEAD = 1024
# Encodings other than UTF-8 that a page or a source file may say it has, at its beginning.
_DECLARED = re.compile(rb"""(?:charset|coding)\s*[:=]\s*["']?\s*([a-z0-9_-]+)""", re.IGNORECASE)
_ENCODINGS = re.compile(
    r"(?:iso-?8859-?\d{1,2}|windows-?125\d|cp-?125\d|koi8-?[ru]|shift-?jis|euc-?(?:jp|kr)|gbk|gb2312|gb18030|big5)"
)
_WESTERN = ("latin1", "iso88591", "usascii", "ascii")


@dataclass(frozen=True, slots=True)
class Source:
    """One file to read.

    Attributes:
        path: the file.
        name: its name in ids: relative to the folder that was given, or the file's own name.
        size: in bytes, 0 if not known.
        kind: what it is read as, one of :data:`SUFFIXES`; "" goes by its name.
        stream: read in place of the file, such as standard input.
    """

    path: Path
    name: str
    size: int
    kind: str = ""
    stream: BinaryIO | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """What an input holds.

    Attributes:
        sources: the files to read, in a fixed order.
        skipped: how many files of each kind are left aside, by the ending of their names.
    """

    sources: list[Source]
    skipped: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes to read."""
        return sum(source.size for source in self.sources)

    def skipped_text(self, most: int = 8) -> str:
        """``"3 files: .png (2), .pdf"``, the most frequent kinds first; "" if nothing is left aside."""
        kinds = sorted(self.skipped.items(), key=lambda item: (-item[1], item[0]))
        total = sum(self.skipped.values())
        if not total:
            return ""
        named = [kind if count == 1 else f"{kind} ({count:,})" for kind, count in kinds[:most]]
        more = [f"{len(kinds) - most} more kinds"] if len(kinds) > most else []
        return f"{total:,} file{'s' * (total > 1)}: {', '.join([*named, *more])}"


def find_sources(inputs: Sequence[str | os.PathLike[str]]) -> list[Source]:
    """The files of some inputs, in a fixed order; see :func:`survey`."""
    return survey(inputs).sources


def survey(
    inputs: Sequence[str | os.PathLike[str]],
    *,
    include: Sequence[str] = (),
    as_text: bool = False,
    own: str | os.PathLike[str] | None = None,
) -> Survey:
    """The files of some inputs, and what is left aside.

    A folder with a ``corpus.jsonl`` is a BEIR corpus: only that file is read. Of another folder, every file
    of a known kind is taken, at any depth; hidden ones are passed over, as are folders behind links. A file that
    is given twice is read once. Where two files would have the same name, the later one's is the path as given.

    Args:
        inputs: files and folders.
        include: patterns such as ``*.md`` or ``docs/*``; of a folder, only files are taken whose name, or path below
            the folder, fits one. None given takes all.
        as_text: read files of unknown kinds as plain text.
        own: a database that may lie among the inputs, which is neither read nor counted.

    Returns:
        The files and the kinds that were skipped.

    Raises:
        InputError: an input does not exist, is of an unknown kind, or is a folder without any file to read.
    """
    skipped: Counter[str] = Counter()
    found: list[tuple[Source, str]] = []
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            before = len(found), skipped.total()
            found += (
                (source, f"{shown_path(path)}/{source.name}")
                for source in _folder(path, include, as_text, own, skipped)
            )
            if len(found) == before[0]:
                raise InputError(_nothing_in(path, include, skipped.total() > before[1]))
        else:
            found.append((_file(path, as_text), shown_path(path)))
    return Survey(_distinct(found), dict(skipped))


def _nothing_in(folder: Path, include: Sequence[str], skips: bool) -> str:
    where = f"input {shown_path(folder)!r} holds no file"
    if include and not skips:
        return f"{where} that fits {' or '.join(map(repr, include))}"
    return f"{where} of a known kind ({KINDS}); `vicinal index --as-text` reads any file as plain text"


def _file(path: Path, as_text: bool) -> Source:
    if not os.path.lexists(path):
        raise InputError(f"input {shown_path(path)!r} does not exist: give files or folders")
    kind = _known_kind(path)
    if not kind and not as_text:
        hint = "; with one object per line it is a .jsonl" if kind_of(path) == ".json" else ""
        raise InputError(
            f"input {shown_path(path)!r} is of an unknown kind: use .jsonl, .csv, .tsv, .txt, .md, .html, .rst, source "
            f"code or man pages, each also with .gz behind it{hint}; `vicinal index --as-text` reads any file as text"
        )
    return Source(path, shown_path(path.name), path.stat().st_size, kind or ".txt")


def _folder(
    folder: Path,
    include: Sequence[str],
    as_text: bool,
    own: str | os.PathLike[str] | None,
    skipped: Counter[str],
) -> Iterator[Source]:
    corpus = folder / "corpus.jsonl"
    if corpus.is_file():
        yield Source(corpus, corpus.name, corpus.stat().st_size, ".jsonl")
        return
    database = None if own is None else os.path.realpath(own)

    def closed(error: OSError) -> None:
        skipped["folders that cannot be opened"] += 1

    for root, folders, files in os.walk(folder, onerror=closed):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if not include:
            skipped.update("linked folders" for name in folders if Path(root, name).is_symlink())
        for name in sorted(files):
            path = Path(root, name)
            below = path.relative_to(folder).as_posix()
            if name.startswith(".") or (include and not _fits(below, include)):
                continue
            if database is not None and _belongs(path, database):
                continue
            if not path.is_file():
                skipped["broken links and special files"] += 1
                continue
            kind = _known_kind(path) or (".txt" if as_text else "")
            if kind:
                yield Source(path, shown_path(below), path.stat().st_size, kind)
            else:
                skipped[shown_path(kind_of(path)) or "without an ending"] += 1


def _fits(below: str, include: Sequence[str]) -> bool:
    name = below.rpartition("/")[2]
    return any(fnmatchcase(name, each) or fnmatchcase(below, each) for each in include)


def _belongs(path: Path, database: str) -> bool:
    real = os.path.realpath(path)
    return real == database or real in (f"{database}-wal", f"{database}-shm", f"{database}-journal")


def _known_kind(path: Path) -> str:
    """The kind of a file by its name, and of man pages by their beginning too; "" if it is unknown."""
    kind = kind_of(path)
    if kind in SUFFIXES:
        return kind
    return MANUAL if _SECTION.fullmatch(kind) and _ROFF.match(_head(path)) else ""


def _head(path: Path) -> bytes:
    if not path.is_file():  # a pipe gives its bytes only once
        return b""
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(path) as file:
                return file.read(_HEAD)
        with path.open("rb") as file:
            return file.read(_HEAD)
    except (OSError, EOFError, zlib.error):
        return b""


def declared_encoding(path: Path) -> str | None:
    """What a file that is not UTF-8 says of its encoding, as browsers read it; None if it says nothing known."""
    found = _DECLARED.search(_head(path))
    name = "" if found is None else found[1].decode("ascii").lower().replace("_", "-")
    if name.replace("-", "") in _WESTERN:
        return "cp1252"
    try:
        return codecs.lookup(name).name if _ENCODINGS.fullmatch(name) else None
    except LookupError:
        return None


def _distinct(found: Sequence[tuple[Source, str]]) -> list[Source]:
    """Each file once, each under a name of its own."""
    sources: list[Source] = []
    read: set[str] = set()
    names: set[str] = set()
    for source, given in found:
        real = os.path.realpath(source.path)
        if real in read:
            continue
        read.add(real)
        name = next((each for each in (source.name, given, shown_path(real)) if each not in names), real)
        names.add(name)
        sources.append(source if name == source.name else replace(source, name=name))
    return sources


def standard_input(stream: BinaryIO, kind: str = "") -> Source:
    """Standard input as a source.

    Args:
        stream: its bytes.
        kind: a value of :data:`FORMATS`; "" is jsonl if the first line is a JSON object, else txt.
    """
    return Source(Path(STANDARD_INPUT), "stdin", 0, kind or STANDARD_INPUT, stream)
