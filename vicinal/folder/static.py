"""A static model becomes files: its rows in one of three precisions, and its tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.core.inputs import check_choice
from vicinal.folder.json_files import read_json
from vicinal.folder.specs import UNLIMITED
from vicinal.folder.write import write_bytes

PRECISIONS = ("float32", "float16", "int8")


def row_tensors(rows: NDArray[np.float32], precision: str) -> dict[str, NDArray[Any]]:
    """The tensors of ``model.safetensors``.

    Args:
        rows: ``(vocabulary, width)``.
        precision: ``"float32"`` and ``"float16"`` are read by sentence-transformers too; ``"int8"`` (each row
            times 127 over its largest number, rounded, so wrong by at most 1/254 of that number) only by
            Vicinal, whose ``model.save`` writes float32 from it.

    Raises:
        InputError: another precision.
    """
    check_choice(precision, PRECISIONS, "precision")
    if precision != "int8":
        return {"embedding.weight": np.ascontiguousarray(rows, dtype=precision)}
    scales = (np.abs(rows).max(axis=1, initial=0.0) / 127.0).astype(np.float32)
    divisors = np.where(scales > 0, scales, np.float32(1))
    quantised = np.clip(np.rint(rows / divisors[:, None]), -127, 127).astype(np.int8)
    return {"embedding.rows": quantised, "embedding.scales": scales}


def write_static(
    folder: Path,
    rows: NDArray[np.float32],
    tokenizer: Mapping[str, Any],
    *,
    precision: str = "float32",
    max_seq_length: int = UNLIMITED,
) -> None:
    """Write ``model.safetensors`` and ``tokenizer.json``; ``modules.json`` is the caller's to write.

    Args:
        folder: where to.
        rows: ``(vocabulary, width)``.
        tokenizer: the content of a ``tokenizer.json``; its padding is taken out and its truncation set.
        precision: as in :func:`row_tensors`.
        max_seq_length: tokens of a text that count.
    """
    from safetensors.numpy import save

    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / "model.safetensors", save(row_tensors(rows, precision)))
    truncation = None
    if max_seq_length < UNLIMITED:
        truncation = {
            "direction": "Right",
            "max_length": max_seq_length,
            "strategy": "LongestFirst",
            "stride": 0,
        }
    content = {**tokenizer, "truncation": truncation, "padding": None}
    write_bytes(
        folder / "tokenizer.json", json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    )


def tokenizer_of(folder: Path) -> dict[str, Any]:
    """The content of a folder's ``tokenizer.json``."""
    return read_json(folder / "tokenizer.json")
