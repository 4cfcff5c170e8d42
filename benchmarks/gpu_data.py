"""Models and texts of ``benchmarks/gpu.py``, here or carried to a machine that has neither.

Both models together are 136 MB. Carried, each matrix is 8-bit numbers with one scale per row, 47 MB in all; what is
unpacked from these is another model by a little, but the same one for everything that is compared there.
"""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import common
import numpy as np
from safetensors.numpy import load_file, save_file

_WEIGHTS = "model.safetensors"
# For machines without the files of ../shared; also what random models of tests read.
HARD = [
    "the cat sat on the mat.",
    "",
    "A",
    "Zürich, naïve café",
    "你好，世界",
    "emoji 🙂 and\ttabs\nand lines",
    "x " * 300,
    "search query: how do I reset my password?",
]


@dataclass(frozen=True)
class Data:
    """What is computed with.

    Attributes:
        model: folder of the SentenceTransformer.
        cross_encoder: folder.
        hard: texts for parity.
        pairs: (a, b, similarity from 0 to 1) of STS-B, for training and as a source of texts.
    """

    model: Path
    cross_encoder: Path
    hard: list[str]
    pairs: list[tuple[str, str, float]]

    @cached_property
    def _sentences(self) -> list[str]:
        return [text for a, b, _ in self.pairs for text in (a, b)]

    def short(self, count: int) -> list[str]:
        """Different sentences, of about a dozen tokens."""
        chosen = random.Random(1).choices(self._sentences, k=count)
        return [f"{text} {number}" for number, text in enumerate(chosen)]

    def long(self, count: int) -> list[str]:
        """Different texts of 100 to 400 tokens; models cut them at their limit."""
        draw = random.Random(2)
        return [" ".join(draw.choices(self._sentences, k=draw.randint(8, 32))) for _ in range(count)]


def here(model: Path | None, cross_encoder: Path | None) -> Data:
    """From the folders given, the installed package and ../shared; without the latter, made-up texts."""
    stsb = common.SHARED / "data/stsb/train.tsv"
    texts = common.SHARED / "reference/texts.json"
    if stsb.exists():
        lines = [line.split("\t") for line in stsb.read_text(encoding="utf-8").splitlines()]
        pairs = [(row[5], row[6], float(row[4]) / 5) for row in lines]
    else:
        pairs = [(f"a cat and {n} dogs", f"{n} dogs with a cat", (n % 6) / 5) for n in range(400)]
    hard = HARD
    if texts.exists():
        found = json.loads(texts.read_text())
        hard = found if isinstance(found, list) else next(e for e in found.values() if isinstance(e, list))
    return Data(
        model or common.minilm(),
        cross_encoder or common.SHARED / "models/cross-encoder-stsb",
        hard,
        pairs,
    )


def pack(target: Path, model: Path | None, cross_encoder: Path | None) -> None:
    """Write everything into one small folder."""
    data = here(model, cross_encoder)
    target.mkdir(parents=True, exist_ok=True)
    for name, folder in (("model", data.model), ("cross-encoder", data.cross_encoder)):
        shutil.copytree(
            folder,
            target / name,
            ignore=shutil.ignore_patterns(
                "*.safetensors", "*.md", "data_config.json", "onnx", "openvino", "*.bin"
            ),
            dirs_exist_ok=True,
        )
        packed = {}
        for key, tensor in load_file(folder / _WEIGHTS).items():
            if tensor.ndim == 2 and tensor.dtype.kind == "f":
                scale = np.abs(tensor).max(1, keepdims=True).astype(np.float32) / 127
                packed[f"{key}:scale"] = scale
                packed[f"{key}:codes"] = np.rint(tensor / np.maximum(scale, 1e-30)).astype(np.int8)
            else:
                packed[key] = tensor
        (target / name).chmod(0o755)
        save_file(packed, target / name / "packed.safetensors")
    words = {"hard": data.hard, "pairs": data.pairs}
    (target / "texts.json").write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")


def unpacked(source: Path, scratch: Path) -> Data:
    """What :func:`pack` wrote, as model folders under ``scratch``."""
    for name in ("model", "cross-encoder"):
        shutil.copytree(source / name, scratch / name, ignore=shutil.ignore_patterns("packed.*"))
        packed = load_file(source / name / "packed.safetensors")
        weights = {key: each for key, each in packed.items() if ":" not in key}
        for key in packed:
            if key.endswith(":codes"):
                name_of = key.removesuffix(":codes")
                weights[name_of] = packed[key].astype(np.float32) * packed[f"{name_of}:scale"]
        save_file(weights, scratch / name / _WEIGHTS, metadata={"format": "pt"})
    words = json.loads((source / "texts.json").read_text(encoding="utf-8"))
    pairs = [(a, b, float(score)) for a, b, score in words["pairs"]]
    return Data(scratch / "model", scratch / "cross-encoder", words["hard"], pairs)
