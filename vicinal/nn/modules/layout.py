"""Which parts a network of transformers has, beside its weights, and whether they are those that its config names.

The engine's graph is made of ``config.json`` and the weights. Old code changes the network itself: it takes layers
out, puts another activation into each, sets ``eps`` of a norm or the number of heads.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

# Attributes that say nothing about what is computed, or no more than the shapes of the weights do.
_IGNORED = {
    "embedding_dim",
    "gradient_checkpointing",
    "in_features",
    "layer_idx",  # where a cache keeps what a layer saw
    "max_seq_len_cached",
    "name_or_path",
    "num_embeddings",
    "original_max_seq_len",
    "out_features",
    "padding_idx",  # matters to gradients alone
    "training",
    "vocab_size",
}
_BUFFERS = "_vicinal_buffers"
_PLAIN = (bool, int, float, str, type(None))

Layout = tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...]


def layout_of(network: nn.Module) -> Layout:
    """Name, class and plain settings of each part; adapters, which are merged into the weights, aside."""
    return tuple(
        (name, f"{type(each).__module__}.{type(each).__qualname__}", tuple(_settings(each)))
        for name, each in _parts("", network)
    )


def is_as_configured(network: nn.Module) -> bool:
    """Whether a network made anew from ``network.config`` has the same parts.

    Weights are not made for it. Where the class cannot be made from its config alone, nothing is known: False.
    """
    config: Any = getattr(network, "config", None)
    if config is None:
        return False
    try:
        with torch.device("meta"):
            configured = type(network)(copy.deepcopy(config))
    except Exception:  # constructors of all kinds
        return False
    return keeps_buffers(network) and layout_of(network) == layout_of(configured)


def remember_buffers(network: nn.Module) -> None:
    """Note the buffers that no file holds (numbers of positions, angles), as they are when a network was loaded."""
    network.__dict__[_BUFFERS] = {name: each.clone() for name, each in _own_buffers(network)}


def keeps_buffers(network: nn.Module) -> bool:
    """Whether these are still as they were noted; of a network whose buffers nobody noted, nothing is known: True."""
    noted = network.__dict__.get(_BUFFERS)
    if noted is None:
        return True
    found = dict(_own_buffers(network))
    return found.keys() == noted.keys() and all(_equal(found[name], each) for name, each in noted.items())


def _own_buffers(network: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    for prefix, module in network.named_modules():
        for name in sorted(module._non_persistent_buffers_set):
            value = module._buffers.get(name)
            if value is not None:
                yield f"{prefix}.{name}", value.detach().cpu()


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape != other.shape:
        return False
    if not one.is_floating_point():
        return bool(torch.equal(one, other))
    # half() rounds them.
    return bool(torch.allclose(one.double(), other.double(), rtol=1e-2, atol=0))


def _parts(prefix: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    if type(module).__module__.startswith("peft."):
        inner = getattr(module, "base_layer", None)
        if isinstance(inner, nn.Module):
            yield from _parts(prefix, inner)
        return
    yield prefix, module
    for name, child in module._modules.items():  # named_children() gives a layer that is used twice once
        if child is not None and (prefix or name != "pooler"):  # whose output is not used
            yield from _parts(f"{prefix}.{name}" if prefix else name, child)


def _settings(module: nn.Module) -> Iterator[tuple[str, str]]:
    yield "weights", " ".join(sorted(name for name, value in module._parameters.items() if value is not None))
    for name, value in sorted(module.__dict__.items()):
        if name.startswith("_") or name in _IGNORED:
            continue
        if isinstance(value, _PLAIN) or (
            isinstance(value, tuple) and all(isinstance(each, _PLAIN) for each in value)
        ):
            yield name, repr(value)
        elif hasattr(value, "__qualname__"):  # a function, such as an activation
            yield name, str(value.__qualname__)
