"""Search the documentation of Python's own standard library: a real collection that every machine has.

    python examples/stdlib_docs.py                  # build the index, answer three questions
    python examples/stdlib_docs.py "your question"  # answer yours

Docstrings of modules written in Python are read from their source; those written in C are imported and asked. A text
ends with the module it belongs to and what that is for: "insert a pause" alone does not say into what.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import re
import sys
import sysconfig
import textwrap
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from vicinal import Index

INDEX = Path(__file__).resolve().parent.parent / ".demo" / "stdlib.db"
BATCH = 1024
QUESTIONS = (
    "how do I pause the program for some seconds",
    "find all files that match a pattern in a folder",
    "a cache that forgets what was least recently used",
)
# Not library: tests, an editor, games, and two modules that act when they are imported.
LEFT_OUT = {
    "test",
    "tests",
    "idlelib",
    "turtledemo",
    "lib2to3",
    "distutils",
    "ensurepip",
    "site-packages",
    "__pycache__",
}
# Between what a text says and the module it belongs to.
BELONGS = "\n\nmodule "
NOT_IMPORTED = {"antigravity", "this", "_xxtestfuzz", "_testcapi", "_tkinter"}


def records() -> Iterator[dict[str, str]]:
    """``{"id", "text", "module"}`` for every documented public function and class, each once."""
    seen: set[str] = set()
    modules: dict[str, str] = {}
    for record in (*from_source(modules), *from_c_modules(modules)):
        if record["id"] not in seen:
            seen.add(record["id"])
            yield record


def from_source(modules: dict[str, str]) -> Iterator[dict[str, str]]:
    """Everything documented in the ``.py`` files of the standard library; ``modules`` gets what each is for."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if LEFT_OUT & set(parts) or any(part.startswith("_") and part != "__init__" for part in parts):
            continue
        module = ".".join(part for part in parts if part != "__init__")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # old escapes in old modules
                tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        modules[module] = _belonging(module, ast.get_docstring(tree))
        yield from _documented(tree, module, modules[module])


def _belonging(module: str, text: str | None) -> str:
    """A module's name and the first sentence of its docstring, titles left out."""
    paragraphs = (" ".join(part.split()) for part in (text or "").split("\n\n"))
    first = next((part for part in paragraphs if " " in part), "")[:150]
    sentence = re.split(r"(?<=[.!?])\s", first)[0]
    return f"{module}: {sentence}" if sentence else module


def _documented(node: ast.AST, prefix: str, belonging: str) -> Iterator[dict[str, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            name = f"{prefix}.{child.name}"
            text = ast.get_docstring(child)
            if text and not child.name.startswith("_"):
                yield _record(name, text, belonging)
            if isinstance(child, ast.ClassDef):
                yield from _documented(child, name, belonging)


def _record(name: str, text: str, belonging: str) -> dict[str, str]:
    return {"id": name, "text": f"{name}: {text}{BELONGS}{belonging}", "module": belonging.partition(":")[0]}


def from_c_modules(modules: dict[str, str]) -> Iterator[dict[str, str]]:
    """Functions, classes and methods of modules that have no Python source; ``modules`` says what others are for."""
    folder = Path(sysconfig.get_paths()["stdlib"]) / "lib-dynload"
    names = set(sys.builtin_module_names) | {path.name.split(".")[0] for path in folder.glob("*.so")}
    for name in sorted(names - NOT_IMPORTED):
        if name.startswith(("_test", "_xx")):
            continue
        try:
            module = importlib.import_module(name)
        except Exception:  # a system library that this machine lacks
            continue
        called = name.lstrip("_")
        yield from _members(module, called, modules.get(called) or _belonging(called, module.__doc__))


def _members(owner: ModuleType | type, prefix: str, belonging: str) -> Iterator[dict[str, str]]:
    for name, value in sorted(vars(owner).items()):
        if name.startswith("_") or not (inspect.isroutine(value) or inspect.isclass(value)):
            continue
        text = inspect.getdoc(value)
        if text:
            yield _record(f"{prefix}.{name}", text, belonging)
        if inspect.isclass(value) and isinstance(owner, ModuleType):
            yield from _members(value, f"{prefix}.{name}", belonging)


def build(index: Index) -> None:
    """Add what is not there yet; an interrupted build goes on where it stopped."""
    found = list(records())
    known = index.digests(record["id"] for record in found)
    missing = [record for record in found if record["id"] not in known]
    if not missing:
        return
    print(f"indexing {len(missing):,} functions and classes of Python's standard library ...")
    start = time.perf_counter()
    for first in range(0, len(missing), BATCH):
        batch = missing[first : first + BATCH]
        index.add(
            [record["text"] for record in batch],
            ids=[record["id"] for record in batch],
            metadatas=[{"module": record["module"]} for record in batch],
        )
    seconds = time.perf_counter() - start
    print(f"done in {seconds:.1f} s: {INDEX.parent.name}/{INDEX.name}")


def answer(index: Index, question: str) -> None:
    """Print the best three answers."""
    start = time.perf_counter()
    hits = index.search(question, top_k=3, mode="hybrid")
    milliseconds = 1000 * (time.perf_counter() - start)
    print(f"\n{question.rstrip('?')}?  ({milliseconds:.0f} ms)")
    for hit in hits:
        about = " ".join(hit.text.partition(": ")[2].split(BELONGS)[0].split())
        print(f"  {hit.id:32} {textwrap.shorten(about, 78, placeholder=' ...')}")


def main() -> None:
    """Build the index if it is not whole, then answer."""
    parser = argparse.ArgumentParser(description="Search the documentation of Python's own standard library.")
    parser.add_argument("question", nargs="*", help="in quotes, one or more; without any, three are answered")
    asked = parser.parse_args().question
    INDEX.parent.mkdir(exist_ok=True)
    with Index(INDEX) as index:
        build(index)
        for question in asked or QUESTIONS:
            answer(index, question)
    if not asked:
        print(
            '\nAsk it something yourself:\n  .venv/bin/vicinal search .demo/stdlib.db "how do I ..." --mode hybrid'
        )


if __name__ == "__main__":
    main()
