"""What a folder leaves open: the caller says it, or the habit of the field is taken and the log says so."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from vicinal.core.inputs import check_choice
from vicinal.errors import InputError
from vicinal.folder.specs import POOLING_FLAGS, ModelSpec, PoolingSpec

_log = logging.getLogger(__name__)


def pooled(spec: ModelSpec, mode: str | None) -> ModelSpec:
    """A model whose token vectors become one by ``mode``, if its folder does not say how.

    Args:
        spec: the folder.
        mode: one of ``POOLING_FLAGS``; None for what the folder says, else the mean.

    Raises:
        InputError: no such mode, or the folder says it itself.
    """
    if mode is None:
        if spec.pooling_assumed:
            _log.warning(
                "%s does not say how its token vectors become one: their mean is taken. Pass pooling_mode='cls' if "
                "the model was trained with its first token (as those of BGE), or pooling_mode='mean' to be sure.",
                spec.folder,
            )
        return spec
    check_choice(mode, tuple(POOLING_FLAGS), "pooling_mode")
    if not spec.pooling_assumed:
        raise InputError(
            f"pooling_mode={mode!r}: {spec.folder} says itself how its token vectors become one (modules.json); "
            "leave pooling_mode out, or put the model together with modules=[...]"
        )
    return replace(spec, modules=(spec.modules[0], PoolingSpec(modes=(mode,))))


def say_activation(spec: ModelSpec, activation: Any) -> None:
    """Log that nothing in a folder of a ready graph says what its scores become."""
    if spec.transformer.has_only_graphs and spec.activation_fn is None:
        _log.warning(
            "%s does not say what its raw scores become: %s is taken. Pass activation_fn to choose, for example "
            "'Identity' for the scores as they are.",
            spec.folder,
            "a sigmoid" if getattr(activation, "__name__", "") == "sigmoid" else "nothing",
        )
