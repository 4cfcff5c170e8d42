"""Docstrings of the running Python's standard library and of the packages that are installed beside it."""

from __future__ import annotations

import ast
import re
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from text_sources.pieces import Pair, cut, first_and_rest, is_prose, passage_of, single_spaced, words_of

_DIRECTIVE = re.compile(r":[a-z:]+:`~?([^`<]*?)(?:\s*<[^>]*>)?`|``([^`]*)``|`([^`]*)`")


def installed(packages: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Name and folder of the standard library, and of those packages that are installed."""
    paths = sysconfig.get_paths()
    yield "stdlib", Path(paths["stdlib"])
    for name in packages:
        if (Path(paths["purelib"]) / name).is_dir():
            yield name, Path(paths["purelib"]) / name


def python_files(folder: Path) -> Iterator[Path]:
    """The source files below a folder; tests, and what is installed below the standard library, are passed over."""
    for file in sorted(folder.rglob("*.py")):
        inside = file.relative_to(folder).parts
        if inside[0] in ("site-packages", "dist-packages", "lib2to3"):
            continue
        if not any(part in ("test", "tests", "testing") or part.startswith("test_") for part in inside):
            yield file


def documented(source: str) -> Iterator[tuple[str, str]]:
    """Name and docstring of each module (without a name), class and function of a source text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in old modules
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "name", ""), text


def docstring_paragraphs(text: str) -> list[str]:
    """Paragraphs of prose, without the marks of reStructuredText."""
    found = []
    for part in re.split(r"\n\s*\n", text):
        lines = [line for line in part.splitlines() if not re.fullmatch(r"\s*[-=~^*]{3,}\s*", line)]
        plain = single_spaced(
            _DIRECTIVE.sub(lambda match: next(filter(None, match.groups()), ""), " ".join(lines))
        )
        if is_prose(plain):
            found.append(plain)
    return found


def docstring_pairs(name: str, text: str) -> Iterator[Pair]:
    """First sentence -> the rest; the words of the name -> the docstring."""
    paragraphs = docstring_paragraphs(text)
    if not paragraphs:
        return
    yield from first_and_rest("python:first", cut(" ".join(paragraphs)))
    words = words_of(name)
    if " " in words and not name.startswith("__"):
        yield Pair("python:name", words, passage_of(paragraphs))
