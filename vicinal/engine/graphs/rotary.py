"""Rotary position embeddings (Su et al. 2021): queries and keys are turned by an angle for their place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.engine.graphs.blocks import Blocks, Node
from vicinal.engine.graphs.variants import Uncovered, require

# "dynamic" rescales only texts longer than max_position_embeddings, which are cut before.
_TYPES = ("default", "dynamic", "linear", "llama3", "yarn")

_NEEDED: dict[str, tuple[str, ...]] = {
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
    "yarn": ("factor",),
}


@dataclass(frozen=True)
class Rope:
    """How the angles of a kind of layer are made.

    Attributes:
        theta: their base.
        kind: how they are rescaled for longer texts; one of ``_TYPES``.
        settings: of the rescaling.
        longest: tokens that the model was first trained on.
    """

    theta: float
    kind: str
    settings: Mapping[str, Any]
    longest: int

    @classmethod
    def of(cls, config: Mapping[str, Any], default: float, key: str = "rope_theta", layers: str = "") -> Rope:
        """As ``config.json`` says, in the format of transformers 5 (``rope_parameters``) or of earlier ones.

        Args:
            default: the base where it says nothing.
            key: the base's name in the earlier format.
            layers: the kind of layers, where ``rope_parameters`` tells several kinds apart.
        """
        found = _parameters(config, layers)
        theta = found.get("rope_theta") or config.get(key) or default
        longest = config.get("original_max_position_embeddings") or found.get(
            "original_max_position_embeddings", config.get("max_position_embeddings", 0)
        )
        return cls(float(theta), _kind(found), found, int(longest))

    def frequencies(self, size: int) -> NDArray[np.float64]:
        """``(size / 2,)``: radians per place."""
        plain: NDArray[np.float64] = self.theta ** -(np.arange(0, size, 2, dtype=np.float64) / size)
        if self.kind == "linear":
            plain /= float(self.settings["factor"])
        if self.kind == "llama3":
            return self._llama3(plain)
        return self._yarn(plain, size) if self.kind == "yarn" else plain

    @property
    def scale(self) -> float:
        """What cosines and sines are multiplied by: YaRN's temperature, else 1."""
        if self.kind != "yarn":
            return 1.0
        given, factor = self.settings.get("attention_factor"), float(self.settings["factor"])
        if given is not None:
            return float(given)
        own, every = self.settings.get("mscale"), self.settings.get("mscale_all_dim")
        if own and every:
            return _temperature(factor, float(own)) / _temperature(factor, float(every))
        return _temperature(factor, 1.0)

    def _llama3(self, plain: NDArray[np.float64]) -> NDArray[np.float64]:
        """Slow angles are stretched, fast ones stay, those between are blended (Llama 3.1)."""
        factor = float(self.settings["factor"])
        low, high = (float(self.settings[f"{name}_freq_factor"]) for name in ("low", "high"))
        turns = self.longest * plain / (2 * math.pi)
        blend = np.clip((turns - low) / (high - low), 0, 1)
        return (1 - blend) * plain / factor + blend * plain

    def _yarn(self, plain: NDArray[np.float64], size: int) -> NDArray[np.float64]:
        """As above, but blended by dimension (Peng et al. 2023, "by parts")."""

        def dimension(turns: float) -> float:
            return size * math.log(self.longest / (turns * 2 * math.pi)) / (2 * math.log(self.theta))

        low = dimension(float(self.settings.get("beta_fast") or 32))
        high = dimension(float(self.settings.get("beta_slow") or 1))
        if self.settings.get("truncate", True):
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, size - 1)
        ramp: NDArray[np.float64] = np.clip(
            (np.arange(size // 2) - low) / (high - low if high != low else 0.001), 0, 1
        )
        stretched: NDArray[np.float64] = plain / float(self.settings["factor"])
        return stretched * ramp + plain * (1 - ramp)


def _temperature(factor: float, weight: float) -> float:
    return 0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0


def _parameters(config: Mapping[str, Any], layers: str) -> Mapping[str, Any]:
    """The settings of a kind of layers; the older key wins, as it does in transformers."""
    new, old = (
        found if isinstance(found, Mapping) else {}
        for found in (config.get("rope_parameters"), config.get("rope_scaling"))
    )
    if not layers:
        return old or new
    own = new.get(layers, new)
    # transformers reads this one key at the top level alone
    own = {key: value for key, value in own.items() if key != "truncate"} if isinstance(own, Mapping) else {}
    return {"rope_type": "default", **own, **old}


def _kind(found: Mapping[str, Any]) -> str:
    return str(found.get("rope_type", found.get("type", "default")))


def uncovered_angles(config: Mapping[str, Any], layers: str = "") -> Iterator[Uncovered]:
    """Angles that are rescaled by the length of a text, or that turn a part of a head only."""
    found = _parameters(config, layers)
    kind = _kind(found)
    if kind not in _TYPES:
        yield Uncovered(f"rope_parameters of type {kind!r}", ", ".join(map(repr, _TYPES)))
    for key in _NEEDED.get(kind, ()):
        value = found.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            yield Uncovered(f"{key} = {value!r} of rope_parameters", "a positive number")
    yield from require({**config, **found}, "partial_rotary_factor", 1.0, None)


@dataclass(frozen=True)
class Rotary:
    """Cosines and sines of the first L places, each ``(1, 1, L, size)``."""

    blocks: Blocks
    cosine: Node
    sine: Node
    half: int

    @classmethod
    def of(cls, blocks: Blocks, ids: Node, size: int, rope: Rope, longest: int) -> Rotary:
        """For heads of ``size`` and texts of up to ``longest`` tokens.

        The tables are constants (4 MiB at 8192 places of 64, 20 MiB at 40960 of 128): angles computed in the
        graph would be rounded to bfloat16 with everything else. Both halves of a head turn by the same
        angles, so one is stored.
        """
        angles = np.arange(longest, dtype=np.float64)[None, None, :, None] * rope.frequencies(size)
        tables = ((rope.scale * turn(angles)).astype(np.float32) for turn in (np.cos, np.sin))
        halves = (blocks.first_rows(table, ids, 2) for table in tables)
        cosine, sine = (blocks.ops.concat([part, part], -1) for part in halves)
        return cls(blocks, cosine, sine, size // 2)

    def turn(self, x: Node) -> Node:
        """``(B, heads, L, size)`` of queries or keys; written in the form that the engine fuses."""
        ops = self.blocks.ops
        parts = ops.variadic_split(x, ops.constant(np.int64(3)), self.blocks.integers(self.half, self.half))
        negated = ops.multiply(parts.output(1), self.blocks.scalar(-1.0))
        turned = ops.concat([negated, parts.output(0)], -1)
        return ops.add(ops.multiply(x, self.cosine), ops.multiply(turned, self.sine))
