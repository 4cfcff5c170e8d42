"""What is imported, when, and by whom; and that nothing is ever sent anywhere."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tinyfolder import ROOT

import vicinal

PACKAGE = ROOT / "vicinal"
HEAVY = ("torch", "transformers", "openvino", "scipy", "sklearn", "huggingface_hub", "tokenizers")


def test_import_is_cheap(run_script: Callable[..., str]) -> None:
    """Time is not measured: what would take it is not there."""
    script = (
        "import sys\nbefore = set(sys.modules)\nimport vicinal\n"
        "new = set(sys.modules) - before\n"
        "print(sorted(name for name in new if name.partition('.')[0] not in sys.stdlib_module_names))"
    )
    ours = ["vicinal", "vicinal.core", "vicinal.core.lazy", "vicinal.core.version"]
    assert run_script(script).strip() == str(ours)


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


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# nn needs its extra whatever it does.
LIGHT = [
    file
    for file in sorted(PACKAGE.rglob("*.py"))
    if not module_of(file).startswith(("vicinal.nn", "vicinal.server"))
]


@pytest.mark.parametrize("file", LIGHT, ids=module_of)
def test_nothing_heavy_at_the_top(file: Path) -> None:
    """What is optional or slow is imported where it is used."""
    heavy = {*HEAVY, "nncf", "tqdm", "matplotlib", "datasets", "pandas"}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        found = {name.partition(".")[0] for name in names} & heavy
        assert not found or file.parent.name == "hub", f"{file}: {found}"


def test_telemetry_is_not_brought_back(tiny_path: Path, run_script: Callable[..., str]) -> None:
    if "openvino_telemetry" in sys.modules:
        pytest.skip("something else in this process imported it")
    script = (
        "import sys\nfrom vicinal.core.openvino import load_openvino\n"
        "load_openvino(); load_openvino()\n"
        "import openvino\nprint('openvino_telemetry' in sys.modules)"
    )
    assert run_script(script).strip() == "False"
