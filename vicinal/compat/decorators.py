"""The decorators of ``sentence_transformers.util.decorators``, for subclasses that wrap their own methods in them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

Function = Callable[..., Any]


def deprecated_kwargs(**renames: str | None) -> Callable[[Function], Function]:
    """Decorator: keywords that were renamed go on working, with a DeprecationWarning.

    Args:
        renames: old name to new one; where both are given, the new one counts.
    """

    def decorate(function: Function) -> Function:
        @wraps(function)
        def wrapper(*args: Any, **given: Any) -> Any:
            for old in [name for name in given if name in renames]:
                value, new = given.pop(old), renames[old]
                told = f"use {new!r}" if new else "it has no effect"
                warnings.warn(f"the argument {old!r} is deprecated: {told}", DeprecationWarning, stacklevel=2)
                if new:
                    given.setdefault(new, value)
            return function(*args, **given)

        return wrapper

    return decorate


def cross_encoder_init_args_decorator(func: Function) -> Function:
    """Old keywords and positions of a cross-encoder's ``__init__``."""
    renamed = deprecated_kwargs(
        model_name="model_name_or_path",
        automodel_args="model_kwargs",
        tokenizer_args="processor_kwargs",
        tokenizer_kwargs="processor_kwargs",
        config_args="config_kwargs",
        cache_dir="cache_folder",
        default_activation_function="activation_fn",
    )(func)

    @wraps(func)
    def wrapper(self: Any, *args: Any, **given: Any) -> Any:
        if len(args) > 1:
            given |= dict(
                zip(("num_labels", "max_length", "activation_fn", "device"), args[1:], strict=False)
            )
            _warn("arguments after the model's name are keywords now")
        dropout = given.pop("classifier_dropout", None)
        if dropout is not None:
            _warn("classifier_dropout is deprecated: use config_kwargs={'classifier_dropout': ...}")
        result = given
        if dropout is not None:
            key = "config_args" if given.get("config_args") else "config_kwargs"
            result = {**given, key: {**(given.get(key) or {}), "classifier_dropout": dropout}}
        return renamed(self, *args[:1], **result)

    return wrapper


def cross_encoder_predict_rank_args_decorator(func: Function) -> Function:
    """Old keywords of ``predict`` and ``rank``."""
    return deprecated_kwargs(sentences="inputs", activation_fct="activation_fn", num_workers=None)(func)


def transformer_kwargs_decorator(func: Function) -> Function:
    """Old keywords of ``Transformer.__init__``; ``cache_dir`` goes into the options of all three parts."""
    renamed = deprecated_kwargs(
        model_args="model_kwargs", tokenizer_args="processor_kwargs", config_args="config_kwargs"
    )(func)
    parts = {
        "model_kwargs": "model_args",
        "processor_kwargs": "tokenizer_args",
        "config_kwargs": "config_args",
    }

    @wraps(func)
    def wrapper(self: Any, *args: Any, **given: Any) -> Any:
        folder = given.pop("cache_dir", None)
        if folder is not None:
            _warn("cache_dir is deprecated: give it in model_kwargs, processor_kwargs and config_kwargs")
            for new, old in parts.items():
                key = old if old in given else new
                given[key] = {"cache_dir": folder, **(given.get(key) or {})}
        return renamed(self, *args, **given)

    return wrapper


def save_to_hub_args_decorator(func: Function) -> Function:
    """``repo_name`` and the old positions of ``save_to_hub``, from before it had a ``token``."""

    @wraps(func)
    def wrapper(self: Any, *args: Any, **given: Any) -> Any:
        if "repo_name" in given:
            _warn("repo_name is deprecated: use repo_id")
            given.setdefault("repo_id", given.pop("repo_name"))
            given.pop("repo_name", None)
        if len(args) >= 2:  # repo_id, organization, then token
            args = (*args[:2], None, *args[2:])
        return func(self, *args, **given)

    return wrapper


def _warn(text: str) -> None:
    warnings.warn(text, DeprecationWarning, stacklevel=3)
