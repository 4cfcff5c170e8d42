"""The student: a BERT of three layers that begins as a matcher of similar words.

Its tokens' vectors come from vicinal-mini. The first layer looks, for each token of the query, for the most
similar token of the passage and measures how far they are apart; the second adds this up for [CLS], rare words
counting more; the classifier reads it. So the student ranks before it has learned anything, and learns from there.
The computation is BERT's own: the folder holds BERT weights, nothing else.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

LAYERS, HIDDEN, HEADS, INNER, POSITIONS = 3, 256, 4, 512, 512
SIZE = HIDDEN // HEADS
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNKNOWN, CLS, SEP, MASK = range(5)
#: what the dimensions hold at first: a token's main 60 and its further directions; its weight; query or passage;
#: special token; [CLS]; place; free ones for what is found
MAIN, CONTENT, WEIGHT, SIDE, MARK, FIRST, PLACE, FREE = 60, 208, 208, 209, 210, 211, 212, 228


class Layer(nn.Module):
    """A layer of BERT. Attention is written out: on CPUs its backward pass is three times as fast as the fused one."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(HIDDEN, HIDDEN) for _ in range(4))
        self.inner, self.outer = nn.Linear(HIDDEN, INNER), nn.Linear(INNER, HIDDEN)
        self.attended, self.norm = (nn.LayerNorm(HIDDEN, eps=1e-12) for _ in range(2))

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """``(B, L, H)`` from ``(B, L, H)``; the mask is added to the scores."""
        rows, length, _ = states.shape
        query, key, value = (
            linear(states).view(rows, length, HEADS, SIZE).transpose(1, 2)
            for linear in (self.query, self.key, self.value)
        )
        scores = (query / math.sqrt(SIZE)) @ key.transpose(2, 3)
        mixed = torch.softmax(scores + mask.to(scores.dtype), -1, dtype=scores.dtype) @ value
        states = self.attended(states + self.out(mixed.transpose(1, 2).reshape(rows, length, HIDDEN)))
        return self.norm(states + self.outer(functional.gelu(self.inner(states))))


class Student(nn.Module):
    """Scores pairs of token ids."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.words, self.places, self.sides = (nn.Embedding(n, HIDDEN) for n in (tokens, POSITIONS, 2))
        self.norm = nn.LayerNorm(HIDDEN, eps=1e-12)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.pooler, self.classifier = nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, 1)

    def forward(self, ids: Tensor, sides: Tensor, places: Tensor) -> Tensor:
        """``(B,)`` logits from ``(B, L)`` ids, 0 or 1 for query or passage, and positions."""
        states = self.norm(self.words(ids) + self.places(places) + self.sides(sides))
        mask = torch.zeros(ids.shape, device=ids.device).masked_fill(ids == PAD, -1e4)[:, None, None, :]
        for layer in self.layers:
            states = layer(states, mask)
        return self.classifier(torch.tanh(self.pooler(states[:, 0]))).squeeze(-1).float()

    def weights(self) -> dict[str, np.ndarray[Any, Any]]:
        """The weights by the names of ``BertForSequenceClassification``, float16."""
        of_model = {
            "words": "bert.embeddings.word_embeddings",
            "places": "bert.embeddings.position_embeddings",
            "sides": "bert.embeddings.token_type_embeddings",
            "norm": "bert.embeddings.LayerNorm",
            "pooler": "bert.pooler.dense",
            "classifier": "classifier",
        }
        of_layer = {
            "query": "attention.self.query",
            "key": "attention.self.key",
            "value": "attention.self.value",
            "out": "attention.output.dense",
            "attended": "attention.output.LayerNorm",
            "inner": "intermediate.dense",
            "outer": "output.dense",
            "norm": "output.LayerNorm",
        }
        found = {}
        for name, value in self.state_dict().items():
            parts = name.split(".")
            if parts[0] == "layers":
                called = f"bert.encoder.layer.{parts[1]}.{of_layer[parts[2]]}"
            else:
                called = of_model[parts[0]]
            found[f"{called}.{parts[-1]}"] = value.detach().cpu().numpy().astype(np.float16)
        return found


def begin(rows: np.ndarray[Any, Any], seed: int = 0) -> Student:
    """The student before training.

    Args:
        rows: ``(V, n)`` with n >= 208, static vectors of its tokens, their lengths telling how much a token matters.
        seed: of everything that has no meaning yet.
    """
    torch.manual_seed(seed)
    student = Student(len(rows))
    with torch.no_grad():
        for name, value in student.named_parameters():
            if value.dim() > 1:
                value.normal_(0, 0.02 if name.endswith(("query.weight", "key.weight")) else 0.01)
            elif name.endswith("bias"):
                value.zero_()
        _begin_tokens(student, torch.tensor(rows, dtype=torch.float32))
        _begin_layers(student)
    return student


def _begin_tokens(student: Student, rows: Tensor) -> None:
    """Rows of length 1 or so: the layer norm multiplies them by 16."""
    real, table = slice(len(SPECIAL), None), student.words.weight
    lengths = rows.norm(dim=1).clamp(min=1e-3)
    directions = rows / lengths[:, None]
    directions = directions - directions[real].mean(0)  # what all have in common tells nothing
    axes = torch.linalg.eigh(directions[real].T @ directions[real])[1].flip(1)  # the widest first
    turned = directions @ axes
    table.zero_()
    table[:, :MAIN] = 0.72 * functional.normalize(turned[:, :MAIN], dim=1)
    table[:, MAIN:CONTENT] = 0.58 * functional.normalize(turned[:, MAIN:CONTENT], dim=1)
    weights = lengths.log()
    table[:, WEIGHT] = 0.08 * (weights - weights[real].mean()).clamp(-2.5, 2.5)
    table[: len(SPECIAL)] = 0
    table[[CLS, SEP], MARK] = 0.8
    table[CLS, FIRST] = 0.5
    table[:, FREE:].normal_(0, 0.005)
    student.sides.weight.zero_()
    student.sides.weight[:, SIDE] = torch.tensor([0.12, -0.12])
    angles = torch.arange(POSITIONS)[:, None] * torch.tensor([1, 0.5, 0.25, 0.12, 0.06, 0.03, 0.015, 0.007])
    student.places.weight.zero_()
    student.places.weight[:, PLACE:FREE] = 0.05 * torch.cat([angles.sin(), angles.cos()], 1)


def _begin_layers(student: Student) -> None:
    first, second, _ = student.layers
    # Head 0: the most similar token of the other side, never a special one. Its main directions are taken from the
    # token's own, and the inner layer adds up the absolute differences: |x| is gelu(x) + gelu(-x), for large x.
    _looks_for_similar(first, 0, slice(0, MAIN), 1.15, special=-13)
    for at in range(MAIN):
        first.value.weight[at, at] += 1
        first.out.weight[at, at] -= 1
        first.inner.weight[2 * at, at] += 1.5
        first.inner.weight[2 * at + 1, at] -= 1.5
        first.outer.weight[FREE, 2 * at : 2 * at + 2] -= 0.025
    # Head 1: the same beside special tokens, which draw what has nothing similar.
    _looks_for_similar(first, 1, slice(0, MAIN), 1.15, special=13)
    first.value.weight[SIZE, MARK] += 0.2
    first.out.weight[FREE + 1, SIZE] -= 1
    _looks_for_similar(second, 0, slice(MAIN, 2 * MAIN), 1.4, special=8)
    # [CLS] gathers what the query's tokens found, by their weights.
    for head, found in ((2, FREE), (3, FREE + 1)):
        at = head * SIZE
        second.query.weight[at, FIRST] += 1
        second.key.weight[at, SIDE] += 1
        second.key.weight[at, WEIGHT] += 0.8
        second.key.weight[at, MARK] -= 1
        second.value.weight[at, found] += 1
        second.out.weight[found + 2, at] += 1.5
        student.pooler.weight[head - 2, found + 2] = 0.5
    student.classifier.weight[0, :2] = torch.tensor([5, 0.5])


def _looks_for_similar(layer: Layer, head: int, part: slice, scale: float, special: float) -> None:
    """A head whose scores are similarities, and higher for the other side; special tokens get ``special``."""
    for linear, side in ((layer.query, 6.0), (layer.key, -6.0)):
        rows = linear.weight[head * SIZE : (head + 1) * SIZE]
        rows *= 0.2
        rows[:MAIN, part] += scale * torch.eye(MAIN)
        rows[MAIN, SIDE] += side
    layer.query.bias[head * SIZE + MAIN + 1] = special * math.sqrt(SIZE) / 12
    layer.key.weight[head * SIZE + MAIN + 1, MARK] += 1


def cut_tokenizer(
    tokenizer: dict[str, Any], counts: np.ndarray[Any, Any], size: int
) -> tuple[dict[str, Any], list[int]]:
    """A WordPiece tokenizer with fewer entries, and the old ids of those it keeps.

    Args:
        tokenizer: the contents of a ``tokenizer.json`` (BERT's: frequent words of English have low ids).
        counts: how often each entry stands in the texts.
        size: how many to keep; special tokens and single letters always are.
    """
    bonus = ((5_000, 4.0), (10_000, 2.5), (15_000, 1.2))
    always, others = [], []
    for text, old in tokenizer["model"]["vocab"].items():
        bare = text.removeprefix("##")
        if text in SPECIAL:
            continue
        if len(bare) == 1 and ord(bare) < 0x250:
            always.append(old)
        elif not text.startswith("[unused") and (bare.isascii() or counts[old] >= 20):
            extra = next((extra for under, extra in bonus if old < under), 0.0)
            others.append((-math.log1p(counts[old]) - extra, old))
    chosen = sorted(always + [old for _, old in sorted(others)[: size - len(always) - len(SPECIAL)]])
    names = {old: text for text, old in tokenizer["model"]["vocab"].items()}
    kept = [tokenizer["model"]["vocab"][text] for text in SPECIAL] + chosen
    cut = json.loads(json.dumps(tokenizer))
    cut["model"]["vocab"] = {names[old]: new for new, old in enumerate(kept)}
    for token in cut["added_tokens"]:
        token["id"] = SPECIAL.index(token["content"])
    for name, token in cut["post_processor"]["special_tokens"].items():
        token["ids"] = [SPECIAL.index(name)]
    return cut, kept


def write_folder(folder: Path, student: Student, tokenizer: dict[str, Any], card: str = "") -> None:
    """Write what ``CrossEncoder(folder)`` loads, with float16 weights."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(student.weights(), str(folder / "model.safetensors"), metadata={"format": "pt"})
    config = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "vocab_size": student.words.num_embeddings,
        "pad_token_id": PAD,
        "id2label": {"0": "LABEL_0"},
        "dtype": "float16",
        "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "5.0.0"},
    }
    of_tokenizer = {"tokenizer_class": "BertTokenizer", "model_max_length": POSITIONS, "do_lower_case": True}
    of_tokenizer |= {f"{text[1:-1].lower()}_token": text for text in SPECIAL}
    for name, content in (
        ("config.json", config),
        ("tokenizer.json", tokenizer),
        ("tokenizer_config.json", of_tokenizer),
    ):
        text = json.dumps(content, ensure_ascii=False, indent=None if name == "tokenizer.json" else 2)
        (folder / name).write_text(text + "\n", encoding="utf-8")
    if card:
        (folder / "README.md").write_text(card, encoding="utf-8")
