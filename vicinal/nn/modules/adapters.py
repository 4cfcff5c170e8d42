"""Adapters of the peft library: which of them are active, and weights with them written in."""

from __future__ import annotations

import copy
import sys
import warnings
from typing import Any

from torch import nn

from vicinal.errors import UnsupportedModelError


def adapter_state(model: Any) -> tuple[str, ...]:
    """Names of a model's adapters that are on; none where peft was never used."""
    if not getattr(model, "_hf_peft_config_loaded", False):
        return ()
    from peft.tuners.tuners_utils import BaseTunerLayer

    layer = next((each for each in model.modules() if isinstance(each, BaseTunerLayer)), None)
    if layer is None or layer.disable_adapters:
        return ()
    return tuple(layer.active_adapters)


def add_adapter(model: Any, config: Any, name: str | None) -> None:
    """Add a new adapter to a transformers model; peft's warning that it is not the first is left out."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config`")
        model.add_adapter(config, name)


def load_adapter(model: Any, folder: str | None, name: str | None, options: dict[str, Any]) -> None:
    """Add a trained adapter to a transformers model, without its progress bars."""
    from vicinal.nn.modules.pretrained import quiet

    known = {key: value for key, value in options.items() if value is not None}
    with quiet(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config`")
        model.load_adapter(folder, adapter_name=name, **known)


def merged_copy(model: Any) -> Any:
    """A copy of a transformers model with its active adapters written into the weights; itself if it has none.

    Raises:
        UnsupportedModelError: a kind of adapter that cannot be written into weights.
    """
    if "peft" not in sys.modules:
        return model
    from peft.tuners.tuners_utils import BaseTunerLayer

    # Layers stay wrapped after their last adapter was deleted.
    if not any(isinstance(each, BaseTunerLayer) for each in model.modules()):
        return model
    active = adapter_state(model)
    merged = copy.deepcopy(model)
    for name, layer in list(merged.named_modules()):
        if not isinstance(layer, BaseTunerLayer):
            continue
        if active:
            try:
                layer.merge()
            except NotImplementedError as error:
                raise UnsupportedModelError(
                    f"{type(layer).__name__} of {name!r} cannot be written into the weights; use backend='torch'"
                ) from error
        _replace(merged, name, layer.get_base_layer())
    merged._hf_peft_config_loaded = False
    merged.__dict__.pop("peft_config", None)
    # How load_adapter renamed what it read; save_pretrained would rename the whole model in the same way.
    merged.__dict__.pop("_weight_conversions", None)
    return merged


def _replace(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent) if parent else model, last, layer)
