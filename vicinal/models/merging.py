"""Several models become one."""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from vicinal.core.torch import require_torch
from vicinal.errors import InputError, InputTypeError

Self = TypeVar("Self", bound="Merging")


class Merging:
    """Base of the models."""

    module: Any

    @classmethod
    def merge(
        cls: type[Self],
        models: Sequence[str | os.PathLike[str] | Self],
        method: str = "linear",
        *,
        base_model: str | os.PathLike[str] | Self | None = None,
        parameters: Mapping[str, Any] | None = None,
        dtype: Any = "float32",
        out_dtype: Any = None,
        device: Any = "cpu",
        batch_options: Any = None,
        **load_kwargs: Any,
    ) -> Self:
        """Merge models that were trained from the same one.

        Modules, their settings, vocabularies and the names and shapes of the weights must be the same. Every weight of
        every module is merged, heads and projections too. Prompts, ``max_seq_length`` and all other settings are those
        of the first model. The models given are not changed; all of them are in memory at once.

        Args:
            models: two or more: models, folders or names.
            method: ``"linear"``, the mean of the weights, is computed here. All others (``"slerp"``, ``"ties"``,
                ``"dare_ties"``, ``"task_arithmetic"``, ``"model_stock"``, ...) are those of mergekit:
                ``pip install 'vicinal[merge]'``.
            base_model: the model that the others were trained from, for methods that merge differences to it; one of
                ``models`` or another. ``"slerp"`` starts from the first model without it.
            parameters: of the method. ``{"weight": [0.6, 0.4]}`` gives each model its share, 1 each by default;
                ``{"t": 0.3}`` is how far ``"slerp"`` goes from its base (0) to the other model (1), 0.5 by default.
                Values for each model are a sequence in their order or a mapping by their number; a separate base has
                the number ``len(models)``.
            dtype: what the weights are converted to before merging: ``"float16"``, ``"bfloat16"``, ``"float32"`` or
                ``"float64"``, or the ``torch.dtype``; None keeps their own.
            out_dtype: what the merged weights are rounded to; None keeps what the method gives.
            device: where to merge, and where the result computes.
            batch_options: ``mergekit.merge_methods.BatchOptions``; "linear" goes weight by weight without it.
            load_kwargs: arguments of the constructor, for models that are given as folders or names.

        Returns:
            A new model.

        Raises:
            InputError: fewer than two models, models that differ, or an invalid method or parameter.
            InputTypeError: something that is neither a model of this class nor a folder or name, or a keyword that the
                constructor does not know.
            MissingExtraError: torch, or for methods other than "linear" mergekit, is not installed.
        """
        require_torch(f"{cls.__name__}.merge")
        from vicinal.nn.merging import check_alike, merge_modules

        if not isinstance(method, str):
            raise InputTypeError(f"method must be the name of a method, not {type(method).__name__}")
        if isinstance(models, (str, bytes, os.PathLike, cls)) or not isinstance(models, Sequence):
            raise InputTypeError(
                f"models must be a list of models, folders or names, not {type(models).__name__}"
            )
        _check_keywords(cls, load_kwargs)
        if len(models) < 2:
            raise InputError(f"merge needs at least two models, not {len(models)}")
        loaded = [_opened(cls, each, f"models[{place}]", load_kwargs) for place, each in enumerate(models)]
        base = None
        if base_model is not None:
            base = next(
                (place for place, each in enumerate(models) if _is_same(each, base_model)), len(loaded)
            )
            if base == len(loaded):
                loaded.append(_opened(cls, base_model, "base_model", load_kwargs))
        for place, each in enumerate(loaded[1:], 1):
            check_alike(
                loaded[0].module, each.module, f"models[{place}]" if place < len(models) else "base_model"
            )
        merged: Any = copy.deepcopy(loaded[0])
        merged.to(device)
        merge_modules(
            [each.module for each in loaded],
            merged.module,
            method,
            base=base,
            parameters=parameters,
            dtype=dtype,
            out_dtype=out_dtype,
            device=str(merged.device),
            batch_options=batch_options,
        )
        # The card is that of a new model: how the first one was trained is not how this one was made.
        merged.training_record = merged._card_data = None
        result: Self = merged.eval()
        return result


def _check_keywords(cls: Any, load_kwargs: Mapping[str, Any]) -> None:
    """Refuse a misspelt argument, which nothing would read where all models are loaded already."""
    known = inspect.signature(cls).parameters
    unknown = sorted(load_kwargs.keys() - known.keys())
    if unknown and all(each.kind is not each.VAR_KEYWORD for each in known.values()):
        raise InputTypeError(
            f"merge has no argument {unknown[0]!r}, and {cls.__name__} none for loading a model"
        )


def _opened(cls: Any, model: Any, name: str, load_kwargs: Mapping[str, Any]) -> Any:
    if isinstance(model, cls):
        return model
    if not isinstance(model, (str, os.PathLike)):
        raise InputTypeError(
            f"{name} must be a {cls.__name__}, a folder or a name, not {type(model).__name__}"
        )
    return cls(model, **{"device": "cpu", **load_kwargs})


def _is_same(model: Any, other: Any) -> bool:
    if isinstance(model, (str, os.PathLike)) and isinstance(other, (str, os.PathLike)):
        return os.fspath(model) == os.fspath(other)
    return model is other
