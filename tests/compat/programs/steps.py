"""What the programs share: numbered steps whose results are recorded, and tiny models that are the same everywhere.

A program knows nothing of Vicinal. Its steps are functions in the order of the file; what one returns is recorded as
JSON: numbers of tensors and arrays with their type, shape and a few values, an exception by its name. The last line
that a program prints is the record of all its steps.
"""

from __future__ import annotations

import enum
import functools
import io
import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch

_TEXT = """
a the cat dog bird fish sat ran flew swam on under over mat tree pond fast slow big small red blue green one two three
four five six seven eight nine ten man woman child plays eats reads guitar food book is in park
"""
WORDS = _TEXT.split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SENTENCES = [
    "a cat sat on the mat",
    "the dog ran fast in the park",
    "a bird flew over the tree",
    "the fish swam in a small pond",
    "a man plays the guitar",
    "a woman reads a red book",
    "the cat sat under a tree",
    "a big dog ran in the park",
]

_STEPS: list[tuple[str, float | None, Callable[[], Any]]] = []
#: What programs give a model, or a transformer, to compute in float32.
EXACT = {"torch_dtype": torch.float32}
_SCRATCH = tempfile.TemporaryDirectory(prefix="programs-")


def step(function: Any = None, *, near: float | None = None) -> Any:
    """Register a step; ``near`` is how far its numbers may be from those of sentence-transformers (see :func:`run`)."""
    if function is None:
        return functools.partial(step, near=near)
    _STEPS.append((function.__name__, near, function))
    return function


def scratch(name: str) -> str:
    """A path in a folder that is removed when the program ends."""
    return str(Path(_SCRATCH.name) / name)


def minilm() -> str:
    """The folder of the real all-MiniLM-L6-v2, which the program is given."""
    return sys.argv[1]


def plain(value: Any) -> Any:
    """A value as JSON: types by name, numbers rounded, of long arrays a few."""
    if value is None or (isinstance(value, (bool, int, str)) and not isinstance(value, enum.Enum)):
        return value
    if isinstance(value, torch.Tensor):
        facts: dict[str, Any] = {"tensor": str(value.dtype), "shape": list(value.shape)}
        if value.requires_grad:
            facts["grad"] = True
        return facts | _numbers(value.detach().to(torch.float64).cpu().numpy())
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "OUS":
            return {"array": value.dtype.kind, "shape": list(value.shape)}
        return {"array": str(value.dtype), "shape": list(value.shape)} | _numbers(value.astype(np.float64))
    if isinstance(value, (float, np.floating)):
        return round(float(value), 6)
    if isinstance(value, (np.integer, np.bool_)):
        return value.item()
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(map(plain, value))
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, (torch.dtype, torch.device)):
        return str(value)
    return f"<{type(value).__name__}>"


def _numbers(values: np.ndarray) -> dict[str, Any]:
    flat = values.reshape(-1)
    if not len(flat):
        return {}
    places = np.unique(np.linspace(0, len(flat) - 1, 12).astype(int))
    return {
        "values": [round(float(flat[place]), 6) for place in places],
        "mean": round(float(flat.mean()), 6),
        "size": round(float(np.abs(flat).mean()), 6),
    }


def run(near: float) -> None:
    """Run all steps of the program and print what they gave as one line of JSON.

    Args:
        near: tolerance of the numbers of all steps that name none. Programs that say nothing of a precision need
            3e-3 for cosines: Vicinal's default is bfloat16 where the CPU has it.
    """
    os.chdir(_SCRATCH.name)  # fit and the trainers write beside where they run
    torch.set_num_threads(1)
    logging.getLogger().setLevel(logging.ERROR)
    found: dict[str, Any] = {}
    for name, own, function in _STEPS:
        torch.manual_seed(11)
        np.random.seed(11)  # noqa: NPY002  old code draws from the global generator
        try:
            with redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found[name] = {"near": near if own is None else own, "gives": plain(function())}
        except Exception as error:
            kinds = [kind.__name__ for kind in type(error).__mro__ if issubclass(kind, Exception)]
            found[name] = {"raises": kinds, "says": str(error)[:300]}
    print(json.dumps(found))


def fill(module: Any, seed: int = 5, scale: float = 0.2) -> Any:
    """Give a module weights that depend on nothing but the seed and the order of its parameters."""
    draw = np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(
                torch.from_numpy(draw.normal(0, scale, tuple(parameter.shape)).astype(np.float32))
            )
    return module


def _bert(folder: Path, head: str, labels: int = 1) -> None:
    from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizer

    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=labels,
    )
    model = (BertForSequenceClassification if head else BertModel)(config)
    draw = np.random.default_rng(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = draw.normal(0, 0.15, tuple(parameter.shape)).astype(np.float32)
            parameter.copy_(torch.from_numpy(values + ("LayerNorm.weight" in name)))
    model.save_pretrained(folder)
    BertTokenizer(vocab=vocabulary, model_max_length=32).save_pretrained(folder)


@functools.cache
def bert() -> str:
    """A BERT of two layers and width 24, as transformers writes it: no modules.json."""
    folder = Path(scratch("bert"))
    _bert(folder, "")
    return str(folder)


def bert_scorer(labels: int = 1) -> str:
    """The same with a classification head: a cross-encoder."""
    folder = Path(scratch(f"scorer{labels}"))
    if not folder.exists():
        _bert(folder, "classifier", labels)
    return str(folder)


@functools.cache
def tiny() -> str:
    """A sentence model of the years before v3: modules.json, mean pooling."""
    return old_folder("tiny", pooling_mode_mean_tokens=True)


def old_folder(name: str, *kinds: str, **pooling: Any) -> str:
    """A model folder as v2 wrote it."""
    folder = Path(scratch(name))
    _bert(folder, "")
    entries = [
        ("", "Transformer"),
        ("1_Pooling", "Pooling"),
        *((f"{i}_{k}", k) for i, k in enumerate(kinds, 2)),
    ]
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (path, kind) in enumerate(entries)
    ]
    for path, _ in entries[1:]:
        (folder / path).mkdir()
    config = {"word_embedding_dimension": 24, **pooling}
    for file, content in (
        ("modules.json", modules),
        ("1_Pooling/config.json", config),
        ("sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": False}),
        ("config_sentence_transformers.json", {"__version__": {"sentence_transformers": "2.2.2"}}),
    ):
        (folder / file).write_text(json.dumps(content), encoding="utf-8")
    return str(folder)
