"""The rule of imports (docs/architecture.md): they point down only, and no file imports itself through others.

Every import counts: those inside functions and under TYPE_CHECKING, and those of the stubs that list the public
names. An import that needs an exception is a sign that something lies in the wrong place.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import vicinal

ROOT = Path(vicinal.__file__).parent

# From the bottom up. Packages of one line do not import each other.
LAYERS = [
    "errors",
    "core",
    "vectors hub folder readers",
    "tokens evaluation util datasets",
    "engine",
    "nn",
    "models",
    "index training distillation scale compat",
    "losses cross_encoder logging_handler torch server",
    "vicinal",  # the names of the package itself
    "cli",
    "__main__",
]
RANK = {name: rank for rank, line in enumerate(LAYERS) for name in line.split()}

# What may lie at the top of the package besides folders: the faces that the field knows, and what starts it.
TOP = {"__init__", "__main__", "datasets", "errors", "logging_handler", "losses", "torch", "util"}

# The one file through which each of these is reached; torch also in everything below nn.
GATES = {"openvino": "core/openvino.py", "torch": "core/torch.py"}


def files() -> dict[str, Path]:
    """Module name -> its file; a stub is named with ``.pyi`` at the end."""
    found = {}
    for path in sorted([*ROOT.rglob("*.py"), *ROOT.rglob("*.pyi")]):
        parts = ["vicinal", *path.relative_to(ROOT).with_suffix("").parts]
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts) + (".pyi" if path.suffix == ".pyi" else "")] = path
    return found


FILES = files()


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, anywhere in it; a module of a package counts as itself."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None, (
                f"{path}: relative imports hide where they lead"
            )
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in FILES else node.module


def ours(path: Path) -> set[str]:
    return {name for name in imported(path) if name.split(".")[0] == "vicinal"}


def place(name: str) -> str:
    """The package, or the file, at the top of ``vicinal`` that a module lies in."""
    parts = name.removesuffix(".pyi").split(".")
    return parts[1] if len(parts) > 1 else "vicinal"


@pytest.mark.parametrize("name", FILES)
def test_imports_point_down(name: str) -> None:
    here = place(name)
    for target in ours(FILES[name]):
        there = place(target)
        assert there in RANK, f"{target}: the rule of imports does not say where this is"
        assert there == here or RANK[there] < RANK[here], f"{name} imports {target}, which lies above it"


def test_no_file_imports_itself_through_others() -> None:
    graph = {name: ours(path) - {name, name.removesuffix(".pyi")} for name, path in FILES.items()}
    finished: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way[way.index(name) :], name])
        if name not in finished:
            for target in sorted(graph.get(name, ())):
                visit(target, (*way, name))
            finished.add(name)

    for name in graph:
        visit(name, ())


def test_only_faces_lie_at_the_top() -> None:
    assert {path.stem for path in ROOT.glob("*.py")} <= TOP
    assert {path.stem for path in ROOT.glob("*.pyi")} <= TOP


@pytest.mark.parametrize("name", FILES)
def test_each_foreign_library_has_one_gate(name: str) -> None:
    path = FILES[name]
    relative = path.relative_to(ROOT).as_posix()
    for target in imported(path):
        gate = GATES.get(target.split(".")[0])
        in_nn = target.split(".")[0] == "torch" and relative.startswith("nn/")
        assert gate in (None, relative) or in_nn, f"{relative} imports {target}; only {gate} does"


@pytest.mark.parametrize("name", [name for name in FILES if not name.endswith(".pyi")])
def test_no_long_file_without_a_reason(name: str) -> None:
    """A file over 400 lines is a sign of two concepts; its docstring says why it is one."""
    text = FILES[name].read_text(encoding="utf-8")
    if text.count("\n") > 400:
        assert "one file because" in (ast.get_docstring(ast.parse(text)) or "").lower(), FILES[name]
