"""The teacher: a BERT cross-encoder, out of its int8 ONNX graph if need be, and its scores of lists.

An int8 graph rounds activations in every layer, which takes four to six times as long as the same weights in bfloat16
where the CPU multiplies that. The folder with float weights is for training and is not shipped.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reranker_parts.lists import Asked

#: passages in a list: the query's own, the best that were found, some further ones, and now and then a random one
LIST, NEAR = 8, 4
_PARTS = (
    "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
    "intermediate.dense", "output.dense",
)  # fmt: skip


def float_folder(source: Path, target: Path) -> Path:
    """Write the weights of ``source/model.onnx`` (BERT, int8) to ``target`` in float32; a plain folder stays."""
    if not (source / "model.onnx").is_file() or (source / "model.safetensors").is_file():
        return source
    if (target / "model.safetensors").is_file():
        return target
    from openvino import Core
    from safetensors.numpy import save_file

    constants: dict[str, Any] = {}
    for node in Core().read_model(source / "model.onnx").get_ordered_ops():
        if node.get_type_name() == "Constant":
            constants[node.get_friendly_name()] = node.data

    def floats(name: str) -> Any:
        zero = np.asarray(constants.get(f"{name}_zero_point", 0), dtype=np.float32)
        scale = np.asarray(constants[f"{name}_scale"], dtype=np.float32)
        return (constants[f"{name}_quantized"].astype(np.float32) - zero) * scale

    kept = re.compile(r"(bert\..*|classifier)\.(bias|LayerNorm\.weight)")
    weights = {name: np.array(value, np.float32) for name, value in constants.items() if kept.fullmatch(name)}
    for name in ("word", "position", "token_type"):
        key = f"bert.embeddings.{name}_embeddings.weight"
        weights[key] = floats(key)
    # The linear layers have numbers for names, in the order of the graph; they are stored (inputs, outputs).
    numbered = [re.fullmatch(r"(onnx::MatMul_(\d+))_quantized", name) for name in constants]
    in_order = sorted((int(found[2]), found[1]) for found in numbered if found)
    for place, (_, name) in enumerate(in_order):
        layer, part = divmod(place, len(_PARTS))
        weights[f"bert.encoder.layer.{layer}.{_PARTS[part]}.weight"] = floats(name).T.copy()
    for name in ("bert.pooler.dense.weight", "classifier.weight"):
        weights[name] = floats(name).T.copy()
    layers, hidden = len(in_order) // len(_PARTS), weights["classifier.weight"].shape[1]
    target.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "hidden_size": hidden,
        "intermediate_size": weights["bert.encoder.layer.0.intermediate.dense.bias"].shape[0],
        "num_hidden_layers": layers,
        "num_attention_heads": 12,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "vocab_size": weights["bert.embeddings.word_embeddings.weight"].shape[0],
        "pad_token_id": 0,
        "id2label": {"0": "LABEL_0"},
    }
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(source / name, target / name)
    save_file(weights, str(target / "model.safetensors"))
    return target


def choose(asked: Asked, passages: int, chance: random.Random) -> list[int]:
    """The numbers of a list's passages, the query's own first."""
    others = [place for place in asked.found if place != asked.passage]
    rest = others[NEAR:]
    chosen = [asked.passage, *others[:NEAR], *chance.sample(rest, min(LIST - 1 - NEAR, len(rest)))]
    if chance.random() < 0.25:
        chosen.pop()
    while len(chosen) < LIST:
        chosen.append(chance.randrange(passages))
    return chosen


def scored_lists(
    teacher: Any, asked: Sequence[Asked], passages: Sequence[str], kept: Path, seed: int = 0
) -> list[tuple[list[int], list[float]]]:
    """The teacher's logits for each list; what is in the file ``kept`` already is not computed again.

    Args:
        teacher: a ``CrossEncoder`` that gives logits.
        asked: the queries.
        passages: what their numbers mean.
        kept: one list a line, in the order of ``asked``; goes on after an interruption.
        seed: chooses the passages.
    """
    lists = [choose(one, len(passages), random.Random(seed * 1_000_003 + at)) for at, one in enumerate(asked)]
    done = [json.loads(line) for line in kept.read_text("utf-8").splitlines()] if kept.exists() else []
    start, fresh = time.perf_counter(), len(done)
    with kept.open("a", encoding="utf-8") as file:
        while len(done) < len(asked):
            at = len(done)
            some = lists[at : at + 64]
            pairs = [
                (one.query, passages[place])
                for one, numbers in zip(asked[at:], some, strict=False)
                for place in numbers
            ]
            scores = teacher.predict(pairs, show_progress_bar=False, on_truncate="ignore")
            for numbers, row in zip(some, np.asarray(scores).reshape(-1, LIST), strict=True):
                done.append([numbers, [round(float(score), 3) for score in row]])
                file.write(json.dumps(done[-1]) + "\n")
            file.flush()
            if at // 64 % 50 == 0:
                speed = LIST * (len(done) - fresh) / (time.perf_counter() - start)
                print(f"teacher: {len(done)} of {len(asked)} lists, {speed:.0f} pairs/s", flush=True)
    for numbers, (stored, _) in zip(lists, done, strict=False):
        if numbers != stored:
            raise SystemExit(f"{kept} belongs to other lists: remove it")
    return [(numbers, scores) for numbers, scores in done[: len(asked)]]
