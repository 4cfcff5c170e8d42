"""``model_kwargs`` as written for transformers: which keys have an effect here, which need none."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from vicinal.errors import InputError

#: keys that are obeyed
OBEYED = ("dtype", "torch_dtype", "file_name", "attn_implementation", "trust_remote_code", "device_map")

# How transformers loads or places weights: results do not depend on it.
_WITHOUT_EFFECT = frozenset(
    {
        "add_pooling_layer",  # the layer behind [CLS] is never computed
        "export",
        "force_download",
        "low_cpu_mem_usage",
        "max_memory",
        "offload_buffers",
        "offload_folder",
        "offload_state_dict",
        "provider",
        "provider_options",
        "resume_download",
        "use_cache",
        "use_flash_attention_2",
        "use_safetensors",
        "weights_only",
    }
)
# Ways to say "wherever there is room".
_ANYWHERE = ("auto", "balanced", "balanced_low_0", "sequential")


def check_model_kwargs(model_kwargs: Mapping[str, Any]) -> None:
    """Refuse keys that would have an effect in transformers and have none here; those that are None are left alone.

    Raises:
        InputError: such a key.
    """
    for key, value in model_kwargs.items():
        if key in OBEYED or key in _WITHOUT_EFFECT or value is None:
            continue
        near = difflib.get_close_matches(key, [*OBEYED, *_WITHOUT_EFFECT], 1)
        raise InputError(
            f"model_kwargs: {key!r} has no meaning here"
            + (f"; did you mean {near[0]!r}?" if near else "")
            + f"; known: {', '.join([*OBEYED, *sorted(_WITHOUT_EFFECT)])}"
        )


def device_of(device_map: Any) -> Any:
    """The device that a ``device_map`` means; None where it leaves the choice.

    Raises:
        InputError: it spreads the model over several devices.
    """
    if device_map is None or device_map in _ANYWHERE:
        return None
    if not isinstance(device_map, Mapping):
        return device_map
    devices = list(dict.fromkeys(device_map.values()))
    if len(devices) != 1:
        raise InputError(
            f"model_kwargs: device_map names {len(devices)} devices; a model lies on one. encode(device=[...]) shares "
            "texts among several"
        )
    return devices[0]
