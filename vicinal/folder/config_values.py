"""What ``config.json`` of a transformer may say: defaults of the known architectures, and values that are possible."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vicinal.errors import ModelFormatError

# The largest count that is believed: more than any model has of anything, and less than what fills memory by itself.
_MOST = 1 << 31

_BERT: dict[str, Any] = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}

#: architecture -> what transformers takes where its ``config.json`` does not say
DEFAULTS: dict[str, dict[str, Any]] = {
    "albert": {
        **_BERT,
        "vocab_size": 30000,
        "embedding_size": 128,
        "hidden_size": 4096,
        "num_attention_heads": 64,
        "intermediate_size": 16384,
        "num_hidden_groups": 1,
        "inner_group_num": 1,
    },
    "bert": _BERT,
    "camembert": _BERT,
    "distilbert": {
        "vocab_size": 30522,
        "dim": 768,
        "n_layers": 6,
        "n_heads": 12,
        "hidden_dim": 3072,
        "max_position_embeddings": 512,
    },
    "electra": {
        **_BERT,
        "embedding_size": 128,
        "hidden_size": 256,
        "num_attention_heads": 4,
        "intermediate_size": 1024,
    },
    "modernbert": {
        "vocab_size": 50368,
        "hidden_size": 768,
        "num_hidden_layers": 22,
        "num_attention_heads": 12,
        "intermediate_size": 1152,
        "max_position_embeddings": 8192,
    },
    "mpnet": {key: value for key, value in _BERT.items() if key != "type_vocab_size"} | {"vocab_size": 30527},
    "nomic_bert": {**_BERT, "vocab_size": 30528, "max_position_embeddings": 2048},
    "qwen3": {
        "vocab_size": 151936,
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "intermediate_size": 22016,
        "head_dim": 128,
        "max_position_embeddings": 32768,
    },
    "roberta": {**_BERT, "vocab_size": 50265},
    "xlm-roberta": _BERT,
}


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """A ``config.json`` with the defaults of its architecture for what it leaves out."""
    if "n_embd" in config:  # Nomic's own format, which has other names for all of it
        return dict(config)
    return {**DEFAULTS.get(str(config.get("model_type", "")).lower(), {}), **config}


def check_values(config: Mapping[str, Any], path: Path) -> None:
    """Refuse values that no model has, before anything is computed from them.

    Args:
        config: the content of ``config.json``.
        path: the file, for errors.

    Raises:
        ModelFormatError: one is of the wrong type, negative, not finite or absurdly large.
    """
    known = str(config.get("model_type", "")).lower() in DEFAULTS
    for key, (possible, words) in _CHECKS.items():
        if key not in config:
            continue
        value = config[key]
        if not known and key not in _ALWAYS and not isinstance(value, (int, float)):
            continue  # what another architecture means by its lists and nulls is not ours to judge
        if not possible(value):
            raise ModelFormatError(
                f"{path}: {key!r} must be {words}, found {reprlib.repr(value)}; correct it, or download the model again"
            )


def is_count(value: Any, least: int = 1) -> bool:
    """Whether a value is a whole number from ``least`` to the largest that is believed."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and least <= value < _MOST and value == int(value)


def _is_number(value: Any, least: float) -> bool:
    fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    return fits and abs(value) < 1e38 and value >= least


def _or_null(possible: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or possible(value)


def _is_rope(entry: tuple[str, Any]) -> bool:
    """Whether a setting of rotary positions is possible; some are given for each kind of layers."""
    key, value = entry
    if key.endswith("_attention"):
        return value is None or (isinstance(value, dict) and all(map(_is_rope, value.items())))
    if key in ("rope_type", "type"):
        return value is None or isinstance(value, str)
    return key != "rope_theta" or value is None or _is_number(value, 1e-30)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


_COUNT = (is_count, "a positive whole number")
_COUNT_OR_NULL = (_or_null(is_count), "a positive whole number or null")
_FROM_ZERO = (lambda value: is_count(value, 0), "a whole number, 0 or more")
_TOKEN = (_or_null(lambda value: is_count(value, -1)), "a token's number or null")
_EPSILON = (lambda value: _is_number(value, 0.0), "a number, 0 or more")
_BASE = (_or_null(lambda value: _is_number(value, 1e-30)), "a positive number or null")
_ROPE = (
    _or_null(lambda value: isinstance(value, dict) and all(map(_is_rope, value.items()))),
    "an object of rope settings (rope_type a text, rope_theta a positive number), or null",
)
_MAP = (_or_null(lambda value: isinstance(value, dict)), "an object or null")
_TEXT = (lambda value: isinstance(value, str), "a text")
_TEXTS = (_or_null(_is_texts), "a list of texts or null")
_FLAG = (_or_null(lambda value: isinstance(value, bool) or value in (0, 1)), "true or false")

# What decides which architecture it is.
_ALWAYS = ("architectures", "model_type")

# key -> whether a value is possible, and what to call those that are
_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "architectures": _TEXTS,
    "activation": _TEXT,
    "dim": _COUNT,
    "embedding_size": _COUNT,
    "global_attn_every_n_layers": _COUNT,
    "global_rope_theta": _BASE,
    "head_dim": _COUNT_OR_NULL,
    "hidden_act": _TEXT,
    "hidden_activation": _TEXT,
    "hidden_dim": _COUNT,
    "hidden_size": _COUNT,
    "id2label": _MAP,
    "inner_group_num": _COUNT,
    "intermediate_size": _COUNT,
    "is_decoder": _FLAG,
    "layer_norm_eps": _EPSILON,
    "layer_norm_epsilon": _EPSILON,
    "layer_types": _TEXTS,
    "local_attention": _COUNT,
    "local_rope_theta": _BASE,
    "max_position_embeddings": _COUNT,
    "model_type": _TEXT,
    "n_embd": _COUNT,
    "n_head": _COUNT,
    "n_heads": _COUNT,
    "n_inner": _COUNT_OR_NULL,
    "n_layer": _COUNT,
    "n_layers": _COUNT,
    "n_positions": _COUNT,
    "norm_eps": _EPSILON,
    "num_attention_heads": _COUNT,
    "num_hidden_groups": _COUNT,
    "num_hidden_layers": _COUNT,
    "num_key_value_heads": _COUNT_OR_NULL,
    "num_labels": _COUNT,
    "pad_token_id": _TOKEN,
    "position_embedding_type": (_or_null(lambda value: isinstance(value, str)), "a text or null"),
    "pruned_heads": _MAP,
    "relative_attention_num_buckets": _COUNT,
    "rms_norm_eps": _EPSILON,
    "rope_parameters": _ROPE,
    "rope_scaling": _ROPE,
    "rope_theta": _BASE,
    "rotary_emb_base": _BASE,
    "type_vocab_size": _FROM_ZERO,
    "vocab_size": _COUNT,
}
