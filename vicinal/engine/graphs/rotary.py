"""Rotary position embeddings (Su et al. 2021): queries and keys are turned by an angle for their place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vicinal.engine.graphs.blocks import Blocks, Node


@dataclass(frozen=True)
class Rotary:
    """Cosines and sines of the first L places, each ``(1, 1, L, size)``."""

    blocks: Blocks
    cosine: Node
    sine: Node
    half: int

    @classmethod
    def of(cls, blocks: Blocks, ids: Node, size: int, theta: float, longest: int) -> Rotary:
        """For heads of ``size`` and texts of up to ``longest`` tokens.

        The tables are constants (4 MiB at 8192 places of 64, 20 MiB at 40960 of 128): angles computed in the
        graph would be rounded to bfloat16 with everything else. Both halves of a head turn by the same
        angles, so one is stored.
        """
        frequencies = theta ** -(np.arange(0, size, 2, dtype=np.float64) / size)
        angles = np.arange(longest, dtype=np.float64)[None, None, :, None] * frequencies
        halves = (blocks.first_rows(turn(angles).astype(np.float32), ids, 2) for turn in (np.cos, np.sin))
        cosine, sine = (blocks.ops.concat([part, part], -1) for part in halves)
        return cls(blocks, cosine, sine, size // 2)

    def turn(self, x: Node) -> Node:
        """``(B, heads, L, size)`` of queries or keys; written in the form that the engine fuses."""
        ops = self.blocks.ops
        parts = ops.variadic_split(x, ops.constant(np.int64(3)), self.blocks.integers(self.half, self.half))
        negated = ops.multiply(parts.output(1), self.blocks.scalar(-1.0))
        turned = ops.concat([negated, parts.output(0)], -1)
        return ops.add(ops.multiply(x, self.cosine), ops.multiply(turned, self.sine))


def rope_theta(
    blocks: Blocks, config: Mapping[str, Any], default: float, key: str = "rope_theta", layers: str = ""
) -> float:
    """The base of the angles, in the format of transformers 5 (``rope_parameters``) or of earlier ones.

    Args:
        default: where ``config.json`` says nothing.
        key: its name in the earlier format.
        layers: the kind of layers, where ``rope_parameters`` tells several kinds apart.

    Raises:
        UnsupportedModelError: the angles are rescaled for longer texts, or turn a part of a head only.
    """
    theta = default if config.get(key) is None else float(config[key])
    for name in ("rope_scaling", "rope_parameters"):
        found = config.get(name) or {}
        found = found.get(layers, found) or {}
        kind = found.get("rope_type", found.get("type", "default"))
        if kind != "default":
            raise blocks.unsupported(config, f"{name} of type {kind!r}", "'default'")
        blocks.require({**config, **found}, "partial_rotary_factor", 1.0, None)
        theta = float(found.get("rope_theta") or theta)
    return theta
