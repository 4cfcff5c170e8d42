"""Files of tests have names of their own: of two modules of one name Python imports the first that it finds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent


def test_no_name_stands_twice() -> None:
    files = [file for file in TESTS.rglob("*.py") if not (file.parent / "__init__.py").exists()]
    # Those in "clients" are run as scripts, by their paths.
    imported = [file for file in files if file.name != "conftest.py" and file.parent.name != "clients"]
    names = Counter(file.stem for file in imported)
    assert not [name for name, count in names.items() if count > 1]
