"""Variants of an architecture that its graph does not compute, told by ``config.json`` alone.

Each family has a function ``uncovered(config)`` that yields them. They are asked for before anything is built, so that
another engine can take the model over, and the graphs themselves need no checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vicinal.engine.graphs.activations import BY_NAME


@dataclass(frozen=True)
class Uncovered:
    """What a ``config.json`` asks for and the graph does not compute.

    Attributes:
        found: the key and its value.
        covered: what the graph computes instead.
        in_torch: whether transformers computes it; False where it would leave the key out of account.
    """

    found: str
    covered: str
    in_torch: bool = True


def nothing(config: Mapping[str, Any]) -> Iterator[Uncovered]:
    """Of a part without variants."""
    return iter(())


def require(config: Mapping[str, Any], key: str, *covered: Any, in_torch: bool = True) -> Iterator[Uncovered]:
    """One key that must have one of some values.

    Args:
        config: the folder's ``config.json``.
        key: what it may say.
        covered: the values that the graph covers; an absent key means the first one.
        in_torch: whether transformers computes the other values.
    """
    value = config.get(key, covered[0])
    if value not in covered:
        yield Uncovered(f"{key} = {value!r}", " or ".join(repr(each) for each in covered), in_torch)


def require_activation(config: Mapping[str, Any], key: str) -> Iterator[Uncovered]:
    """The activation that a key names, if it names one."""
    value = config.get(key, "gelu")
    if not isinstance(value, str) or value not in BY_NAME:
        yield Uncovered(f"{key} = {value!r}", ", ".join(sorted(BY_NAME)))


def require_kinds(config: Mapping[str, Any], depth: int, *covered: str) -> Iterator[Uncovered]:
    """``layer_types``, if it is given: one of the covered kinds for each layer."""
    kinds = config.get("layer_types")
    if not kinds:
        return
    if not isinstance(kinds, list) or len(kinds) != depth:
        yield Uncovered(f"layer_types = {kinds!r}", f"one kind for each of the {depth} layers")
        return
    for kind in kinds:
        if kind not in covered:
            yield Uncovered(f"layer_types with {kind!r}", " and ".join(repr(each) for each in covered))
            return
