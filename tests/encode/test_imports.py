"""What is imported, when, and by whom; and that nothing is ever sent anywhere."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tinyfolder import ROOT

import vicinal

PACKAGE = ROOT / "vicinal"
HEAVY = ("torch", "transformers", "openvino", "scipy", "sklearn", "huggingface_hub", "tokenizers")


def test_import_is_cheap(run_script: Callable[..., str]) -> None:
    script = (
        "import sys, time\nimport numpy\n"  # numpy is everyone's; what is ours counts
        "start = time.process_time()\nimport vicinal\nspent = time.process_time() - start\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], spent < 0.2, spent)"
    )
    said = run_script(script)
    assert said.startswith("[] True"), said


def test_import_with_numpy_is_cheap(run_script: Callable[..., str]) -> None:
    script = "import time\nstart = time.process_time()\nimport vicinal\nprint(time.process_time() - start)"
    assert min(float(run_script(script)) for _ in range(3)) < 0.2


OFFLINE = """
import socket, sys
def refuse(*_, **__):
    raise AssertionError("a connection was tried")
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
socket.getaddrinfo = socket.create_connection = refuse
from vicinal import SentenceTransformer
model = SentenceTransformer(sys.argv[1])
vectors = model.encode(["the cat", "the dog"])
model.similarity(vectors, vectors)
model.encode(["the cat"] * 3000)
heavy = ("torch", "transformers", "scipy", "sklearn", "nncf", "pandas", "openvino_telemetry")
print([name for name in heavy if name in sys.modules])
"""


def test_encode_is_offline_and_light(tiny_path: Path, run_script: Callable[..., str]) -> None:
    assert run_script(OFFLINE, tiny_path).strip() == "[]"


def test_public_names() -> None:
    assert len(set(vicinal.__all__)) == len(vicinal.__all__)
    for name in vicinal.__all__:
        assert getattr(vicinal, name) is not None
        assert name in dir(vicinal)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        vicinal.nonsense  # noqa: B018


# the walk over the imports


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path) -> Iterator[tuple[str, int]]:
    """Modules that a file imports when it runs; those under TYPE_CHECKING do not count."""

    def walk(node: ast.AST) -> Iterator[tuple[str, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                for other in child.orelse:
                    yield from walk(other)
            elif isinstance(child, ast.Import):
                yield from ((alias.name, child.lineno) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert not child.level, f"{file}:{child.lineno}: relative import"
                yield str(child.module), child.lineno
                if child.module == "vicinal" or str(child.module).startswith("vicinal."):
                    for alias in child.names:
                        if (
                            (PACKAGE / Path(*f"{child.module}.{alias.name}".split(".")[1:]))
                            .with_suffix(".py")
                            .is_file()
                        ):
                            yield f"{child.module}.{alias.name}", child.lineno
            else:
                yield from walk(child)

    yield from walk(ast.parse(file.read_text(encoding="utf-8")))


FILES = sorted(PACKAGE.rglob("*.py"))
CORE = (
    "vicinal.config",
    "vicinal.config_write",
    "vicinal.hub",
    "vicinal.tokens",
    "vicinal.batching",
    "vicinal.inputs",
    "vicinal.progress",
    "vicinal.cores",
    "vicinal.engine",
    "vicinal.models",
    "vicinal.nn",
)
ABOVE = (
    "vicinal.index",
    "vicinal.server",
    "vicinal.cli",
    "vicinal.scale",
    "vicinal.evaluation",
    "vicinal.compat",
)
# From the foundation up; a group may import its own and the earlier ones.
ORDER = (
    ("vicinal.errors",),
    ("vicinal.inputs", "vicinal.cores", "vicinal.progress"),
    ("vicinal.config", "vicinal.hub"),
    ("vicinal.config_write", "vicinal.tokens"),
)


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == each or name.startswith((each + ".", each + "_")) for each in packages)


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_edges(file: Path) -> None:
    name, wrong = module_of(file), []
    for target, line in imports(file):
        top = target.partition(".")[0]
        if top in ("torch", "transformers", "accelerate", "datasets") and not within(name, ("vicinal.nn",)):
            wrong.append(f"line {line}: {target} outside vicinal.nn")
        if top == "openvino" and name != "vicinal.engine.runtime":
            wrong.append(f"line {line}: openvino outside engine/runtime.py, which keeps its telemetry away")
        if within(name, CORE) and within(target, ABOVE):
            wrong.append(f"line {line}: the core imports {target}")
        if within(name, ("vicinal.engine",)) and within(target, ("vicinal.models",)):
            wrong.append(f"line {line}: the engine imports {target}")
        if name == "vicinal.errors" and top == "vicinal":
            wrong.append(f"line {line}: errors imports {target}")
        level = next((place for place, group in enumerate(ORDER) if name in group), None)
        if level is not None and target.startswith("vicinal."):
            allowed = tuple(each for group in ORDER[: level + 1] for each in group)
            if not within(target, allowed):
                wrong.append(f"line {line}: {name} imports {target}, which stands above it")
    assert not wrong


# nn needs its extra whatever it does.
LIGHT = [file for file in FILES if not within(module_of(file), ("vicinal.nn", "vicinal.server"))]


@pytest.mark.parametrize("file", LIGHT, ids=module_of)
def test_nothing_heavy_at_the_top(file: Path) -> None:
    """What is optional or slow is imported where it is used."""
    heavy = {*HEAVY, "nncf", "tqdm", "matplotlib", "datasets", "pandas"}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        found = {name.partition(".")[0] for name in names} & heavy
        assert not found or "hub" in file.name, f"{file}: {found}"


def test_telemetry_is_not_brought_back(tiny_path: Path, run_script: Callable[..., str]) -> None:
    if "openvino_telemetry" in sys.modules:
        pytest.skip("something else in this process imported it")
    script = (
        "import sys\nfrom vicinal.engine.runtime import load_openvino\n"
        "load_openvino(); load_openvino()\n"
        "import openvino\nprint('openvino_telemetry' in sys.modules)"
    )
    assert run_script(script).strip() == "False"
