"""The texts that vicinal-mini learns from: what every machine with Python has, and three public data sets.

The evaluation sets (STS-B dev, Cranfield) are not among them.
"""

from __future__ import annotations

import ast
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


def stsb(data: Path) -> list[str]:
    """The sentences of STS-B train."""
    lines = (data / "stsb/train.tsv").read_text(encoding="utf-8").splitlines()
    return [text for line in lines for text in line.split("\t")[5:7]]


def sick(data: Path) -> list[str]:
    """The sentences of SICK train."""
    lines = (data / "sick/train.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return [text for line in lines for text in line.split("\t")[1:3]]


def titles(data: Path) -> list[str]:
    """Titles of questions on programming."""
    return (data / "stackoverflow/titles.txt").read_text(encoding="utf-8").splitlines()


def docstrings() -> Iterator[str]:
    """Every docstring and long comment of this Python's standard library, in the order of the files."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for file in sorted(root.rglob("*.py")):
        inside = file.relative_to(root).parts
        if inside[0] in ("site-packages", "dist-packages", "lib2to3"):
            continue
        try:
            source = file.read_text(encoding="utf-8")
            tree = ast.parse(source)
        except (SyntaxError, ValueError, OSError):  # files that are wrong on purpose, for Python's own tests
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                text = ast.get_docstring(node)
                if text:
                    yield text
        for block in re.findall(r"(?:^[ \t]*# .*\n){2,}", source, re.MULTILINE):
            yield re.sub(r"^[ \t]*# ?", "", block, flags=re.MULTILINE)


def passages(texts: Iterator[str], longest: int = 1200) -> list[str]:
    """Paragraphs of prose: white space made single, code and tables left out."""
    found = []
    for text in texts:
        for paragraph in re.split(r"\n\s*\n", text):
            plain = " ".join(paragraph.split())
            letters = sum(c.isalpha() or c == " " for c in plain)
            if len(plain) >= 20 and letters >= 0.85 * len(plain) and ">>>" not in plain:
                found.append(plain[:longest])
    return found


def sentences(paragraphs: list[str]) -> list[str]:
    """The sentences of paragraphs that have more than one."""
    cut = (_SENTENCE_END.split(paragraph) for paragraph in paragraphs)
    return [sentence for parts in cut if len(parts) > 1 for sentence in parts if len(sentence) >= 20]


def joined(texts: list[str], count: int, seed: int, most: int = 10) -> list[str]:
    """Longer texts: some neighbouring ones in a row, so that one subject often stays."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        length = int(random.integers(2, most + 1))
        first = int(random.integers(0, max(len(texts) - length, 1)))
        found.append(" ".join(texts[first : first + length]))
    return found


def unique(texts: list[str]) -> list[str]:
    """Each text once, in order."""
    return list(dict.fromkeys(text.strip() for text in texts if text.strip()))
