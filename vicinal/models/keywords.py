"""Dictionaries of options that are handed on: a key that would do nothing is refused by its name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from vicinal.errors import InputError
from vicinal.folder.json_files import read_optional
from vicinal.folder.specs import ModelSpec, StaticEmbeddingSpec, TransformerSpec
from vicinal.tokens.folder import check_settings

# Keys of config.json that architectures read where the file says nothing, by their default.
_CONFIG_KEYS = frozenset(
    {
        "attention_bias",
        "attention_dropout",
        "attention_probs_dropout_prob",
        "chunk_size_feed_forward",
        "classifier_dropout",
        "classifier_pooling",
        "dropout",
        "gradient_checkpointing",
        "head_dim",
        "hidden_act",
        "hidden_dropout",
        "hidden_dropout_prob",
        "id2label",
        "label2id",
        "layer_norm_eps",
        "max_position_embeddings",
        "num_key_value_heads",
        "num_labels",
        "output_attentions",
        "output_hidden_states",
        "pad_token_id",
        "position_embedding_type",
        "problem_type",
        "reference_compile",
        "rms_norm_eps",
        "rope_parameters",
        "rope_scaling",
        "rope_theta",
        "seq_classif_dropout",
        "sliding_window",
        "tokenizer_class",
        "type_vocab_size",
        "use_cache",
        "vocab_size",
    }
)


def check_keywords(
    spec: ModelSpec, config_kwargs: Mapping[str, Any] | None, processor_kwargs: Mapping[str, Any]
) -> None:
    """Refuse keys that the folder's first module does not obey.

    Raises:
        InputError: such a key, or an invalid value.
    """
    source = spec.source
    if processor_kwargs:
        _check_processor(spec, processor_kwargs)
    if not config_kwargs:
        return
    if "trust_remote_code" in config_kwargs:
        raise InputError("config_kwargs: trust_remote_code is an argument of its own: trust_remote_code=True")
    if not isinstance(source, TransformerSpec):
        raise InputError(
            f"config_kwargs: {next(iter(config_kwargs))!r} has no effect: {spec.folder} is no transformer, whose "
            "config.json it could replace a key of; leave it out"
        )
    known = set(read_optional(source.folder / "config.json")) | _CONFIG_KEYS
    for key in config_kwargs:
        if key not in known:
            raise InputError(
                f"config_kwargs: {key!r} is no key of {source.folder / 'config.json'}, and no architecture reads it"
                + _meant(key, known)
            )


def _check_processor(spec: ModelSpec, settings: Mapping[str, Any]) -> None:
    source = spec.source
    if isinstance(source, TransformerSpec):
        check_settings(source, settings)
        return
    for key in settings:
        if not isinstance(source, StaticEmbeddingSpec):
            raise InputError(
                f"processor_kwargs: {key!r} has no effect: the first module of {spec.folder} splits texts in its own "
                "way; leave it out"
            )
        if key != "model_max_length":
            raise InputError(
                f"processor_kwargs: {key!r} has no effect on a static model ({spec.folder}); what has one: "
                "model_max_length"
            )


def refuse_with_modules(options: Mapping[str, Any]) -> None:
    """Refuse options for a folder where modules are given, which were made already.

    Raises:
        InputError: one of them is set.
    """
    for name, value in options.items():
        if value:
            raise InputError(
                f"{name} has no effect on modules that are made already: give it to models.Transformer(...) instead"
            )


def _meant(key: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, sorted(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""
