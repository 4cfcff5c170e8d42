"""Tiny random transformers of every family, saved as folders, and what torch computes with them.

Sizes are chosen to differ from each other and from powers of two, and no weight is trivially 0 or 1, so
that a swapped or forgotten tensor changes the result.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vicinal.engine.graphs import build_body
from vicinal.engine.graphs.blocks import Blocks, Body
from vicinal.engine.graphs.heads import sentence_vector
from vicinal.folder.json_files import read_json
from vicinal.folder.specs import PoolingSpec, TransformerSpec

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VOCABULARY = 83
CLS, SEP = 5, 6
POSITIONS = 40
MODES = ("mean", "cls", "max", "lasttoken")

_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 50,
    "max_position_embeddings": POSITIONS,
    "pad_token_id": 0,
    "bos_token_id": CLS,
    "eos_token_id": SEP,
}
_COUNTED: dict[str, Any] = {"pad_token_id": 1, "max_position_embeddings": POSITIONS + 2}


@dataclass(frozen=True)
class Tiny:
    """One architecture.

    Attributes:
        stem: what transformers' classes are called before ``Config``, ``Model``, ``For...``.
        settings: of its config, over those common to all.
        language_model: its class with a language head.
        token_types: whether it reads them.
        renamed: common keys under its own names.
    """

    stem: str
    settings: dict[str, Any]
    language_model: str = "ForMaskedLM"
    token_types: bool = False
    renamed: tuple[tuple[str, str], ...] = ()

    def config(self, **changes: Any) -> Any:
        """A config of transformers."""
        if not hasattr(transformers, f"{self.stem}Config"):
            pytest.skip(f"transformers {transformers.__version__} has no {self.stem}")
        names = dict(self.renamed)
        common = {names.get(key, key): value for key, value in _SIZES.items()}
        return getattr(transformers, f"{self.stem}Config")(**{**common, **self.settings, **changes})

    def model(self, kind: str = "Model", **changes: Any) -> Any:
        """A random model."""
        config = self.config(**changes)
        torch.manual_seed(7)
        model = getattr(transformers, self.stem + kind)(config).eval().float()
        randomise(model)
        return model

    def load(self, folder: Path, dtype: Any = torch.float32) -> Any:
        """What torch makes of a folder; unlike ``model.to(dtype)`` it leaves rotary angles alone."""
        return getattr(transformers, f"{self.stem}Model").from_pretrained(folder, dtype=dtype).eval()


_MODERNBERT: dict[str, Any] = {
    "num_hidden_layers": 4,
    "local_attention": 10,
    "cls_token_id": CLS,
    "sep_token_id": SEP,
}
_QWEN3: dict[str, Any] = {
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 10,
    "rope_parameters": {"rope_type": "default", "rope_theta": 900.0},
}
_DISTILBERT_NAMES = (
    ("hidden_size", "dim"),
    ("num_hidden_layers", "n_layers"),
    ("num_attention_heads", "n_heads"),
    ("intermediate_size", "hidden_dim"),
)

TINIES: dict[str, Tiny] = {
    "bert": Tiny("Bert", {}, token_types=True),
    "roberta": Tiny("Roberta", {**_COUNTED, "type_vocab_size": 1}),
    "xlm-roberta": Tiny("XLMRoberta", {**_COUNTED, "type_vocab_size": 1}),
    "camembert": Tiny("Camembert", {**_COUNTED, "type_vocab_size": 1}),
    "distilbert": Tiny("DistilBert", {}, renamed=_DISTILBERT_NAMES),
    "mpnet": Tiny("MPNet", _COUNTED),
    "albert": Tiny(
        "Albert",
        {"embedding_size": 14, "num_hidden_layers": 5, "num_hidden_groups": 2, "inner_group_num": 2},
        token_types=True,
    ),
    "electra": Tiny("Electra", {"embedding_size": 14}, token_types=True),
    "modernbert": Tiny("ModernBert", _MODERNBERT),
    "nomic_bert": Tiny("NomicBert", {}, token_types=True),
    "qwen3": Tiny("Qwen3", _QWEN3, language_model="ForCausalLM"),
}


def randomise(model: Any) -> None:
    """Weights of a trained model's size: norms around 1, everything else spread, no bias 0."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape)
            if parameter.ndim == 1:
                is_scale = name.endswith("weight")
                parameter.copy_(1 + 0.3 * noise if is_scale else 0.2 * noise)
            elif "embed" in name and "mapping" not in name and "project" not in name:
                parameter.copy_(0.7 * noise)
            elif "relative_attention_bias" in name:
                parameter.copy_(1.5 * noise)
            else:
                parameter.copy_(1.4 * noise / parameter.shape[-1] ** 0.5)


def save(model: Any, folder: Path, config_changes: dict[str, Any] | None = None, **options: Any) -> Path:
    """Write the folder of a model; ``None`` among the changes takes a key of config.json away."""
    model.save_pretrained(folder, **options)
    if config_changes:
        change_config(folder, config_changes)
    return folder


def change_config(folder: Path, changes: dict[str, Any]) -> None:
    """Edit ``config.json``."""
    config = read_json(folder / "config.json")
    for key, value in changes.items():
        config.pop(key, None)
        if value is not None:
            config[key] = value
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def spec_of(folder: Path) -> TransformerSpec:
    """The folder as the graphs' builders take it."""
    return TransformerSpec(folder, read_json(folder / "config.json"))


# texts


def texts_of(lengths: Sequence[int], seed: int = 3) -> list[list[int]]:
    """Random ids between CLS and SEP; a length of 2 is the empty text."""
    rng = np.random.default_rng(seed)
    return [[CLS, *rng.integers(SEP + 1, VOCABULARY, length - 2).tolist(), SEP] for length in lengths]


BATCHES: dict[str, list[list[int]]] = {
    "short": texts_of([6, 6, 6]),
    "mixed": texts_of([3, 29, 11, 2, 18]),
    "over-long": [[*text[: POSITIONS - 1], SEP] for text in texts_of([POSITIONS + 9, POSITIONS, 7])],
    "empty": texts_of([2]),
}


def padded(texts: Sequence[Sequence[int]], padding: int, left: bool = False) -> tuple[Any, Any]:
    """Ids and mask, ``(n, length)`` int32."""
    longest = max(len(text) for text in texts)
    ids = np.full((len(texts), longest), padding, dtype=np.int32)
    mask = np.zeros_like(ids)
    for row, text in enumerate(texts):
        place = slice(longest - len(text), None) if left else slice(0, len(text))
        ids[row, place], mask[row, place] = text, 1
    return ids, mask


# torch's answers


def torch_run(model: Any, ids: Any, mask: Any, types: Any = None) -> Any:
    """The model's output object."""
    inputs = {"input_ids": ids, "attention_mask": mask} | ({} if types is None else {"token_type_ids": types})
    with torch.no_grad():
        return model(**{name: torch.tensor(array, dtype=torch.long) for name, array in inputs.items()})


def hidden_of(model: Any, ids: Any, mask: Any, types: Any = None) -> Any:
    """``(n, length, width)`` float64."""
    return torch_run(model, ids, mask, types).last_hidden_state.double().numpy()


def pool(hidden: Any, mask: Any, mode: str) -> Any:
    """Pooling one text after the other, in float64."""
    texts = [vectors[row_mask > 0] for vectors, row_mask in zip(hidden, mask, strict=True)]
    return np.stack([_POOLINGS[mode](tokens) for tokens in texts])


_POOLINGS: dict[str, Callable[[Any], Any]] = {
    "mean": lambda tokens: tokens.mean(0),
    "cls": lambda tokens: tokens[0],
    "max": lambda tokens: tokens.max(0),
    "lasttoken": lambda tokens: tokens[-1],
}


def pooled(hidden: Any, mask: Any, modes: Sequence[str] = MODES) -> Any:
    """All modes, side by side."""
    return np.concatenate([pool(hidden, mask, mode) for mode in modes], axis=1)


# our answers


def compiled(blocks: Blocks, node: Any, body: Body, hint: str = "f32") -> Callable[..., Any]:
    """The graph as a function of named arrays."""
    model = blocks.openvino.Model([node], list(body.inputs.values()), "tiny")
    request = blocks.openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint})
    return lambda **arrays: request(arrays)[0].copy()


def vectors_of(
    folder: Path, modules: Sequence[Any] = (PoolingSpec(MODES),), hint: str = "f32", token_types: bool = False
) -> Callable[..., Any]:
    """The graph of a folder with these modules behind it."""
    blocks, body = build_body(spec_of(folder), token_types)
    node, _ = sentence_vector(blocks, body, modules)
    return compiled(blocks, node, body, hint)
