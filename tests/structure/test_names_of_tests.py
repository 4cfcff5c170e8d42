"""Test files have names of their own: pytest takes two modules of one name for one, and runs neither whole."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent


def test_no_name_stands_twice() -> None:
    files = [file for file in TESTS.rglob("*.py") if not (file.parent / "__init__.py").exists()]
    names = Counter(file.stem for file in files if file.name.startswith("test_"))
    assert not [name for name, count in names.items() if count > 1]
