"""Every kind of module: what is written is read back, and each engine has a row for it or says that it has none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tinyfolder import BERT

from vicinal.engine.graphs.heads import LAYERS
from vicinal.engine.static_heads import HEADS
from vicinal.folder.kinds import KINDS, kind_of, read_module, width_after
from vicinal.folder.specs import (
    CustomSpec,
    DenseSpec,
    DropoutSpec,
    LayerNormSpec,
    NormalizeSpec,
    PoolingSpec,
    StaticEmbeddingSpec,
    TransformerSpec,
)

HERE = Path("here")
# Specs of every kind, with the width that each makes of vectors of 8.
SPECS: list[tuple[Any, int]] = [
    (TransformerSpec(HERE, BERT, 12, True), 8),
    (StaticEmbeddingSpec(HERE), 8),
    (StaticEmbeddingSpec(HERE, drop_unknown=True), 8),
    (PoolingSpec(("mean",), 8), 8),
    (PoolingSpec(("cls", "max"), 8, include_prompt=False), 16),
    (PoolingSpec(("mean_sqrt_len", "cls", "max"), 8), 24),
    (DenseSpec(HERE, 8, 3), 3),
    (DenseSpec(HERE, 8, 8, bias=False, activation="Identity", residual=True, on_tokens=True), 8),
    (NormalizeSpec(), 8),
    (NormalizeSpec(on_tokens=True), 8),
    (LayerNormSpec(HERE, 8), 8),
    (DropoutSpec(0.3), 8),
]


def test_every_kind_is_tried_here() -> None:
    assert {kind_of(spec).name for spec, _ in SPECS} == {kind.name for kind in KINDS}
    assert {kind_of(spec).spec for spec, _ in SPECS} == {kind.spec for kind in KINDS}


@pytest.mark.parametrize(("spec", "width"), SPECS)
def test_what_is_written_is_read_back(spec: Any, width: int, tmp_path: Path) -> None:
    kind = kind_of(spec)
    for name, content in kind.files(spec, 12).items():
        (tmp_path / name).write_text(json.dumps(content))
    found = read_module(f"sentence_transformers.models.{kind.name}", tmp_path)
    assert type(found) is type(spec)
    for name, value in vars(spec).items():
        if name == "files":  # what lies there, and nothing that was written
            continue
        assert getattr(found, name) == (tmp_path if name == "folder" else value)
    assert width_after([spec], 8) == width


@pytest.mark.parametrize(
    "type_name", ["mine.Pooling", "sentence_transformers.models.WordEmbeddings", "Pooling", ""]
)
def test_all_else_is_custom(type_name: str, tmp_path: Path) -> None:
    found = read_module(type_name, tmp_path)
    assert found == CustomSpec(tmp_path, type_name)
    assert kind_of(found).name == "Custom"
    assert width_after([found], 8) == 8


def test_engines_have_a_row_for_every_kind() -> None:
    """A first module and the pooling have places of their own in the graph and the numpy engine."""
    kinds = {kind.spec for kind in KINDS}
    assert set(LAYERS) == set(HEADS) == kinds - {TransformerSpec, StaticEmbeddingSpec, PoolingSpec}


@pytest.mark.torch
def test_torch_has_a_row_for_every_kind() -> None:
    pytest.importorskip("torch")
    from vicinal.nn.build import BUILDERS

    assert set(BUILDERS) == {kind.spec for kind in KINDS} | {CustomSpec}
