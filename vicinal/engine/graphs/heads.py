"""What comes after the transformer, inside the same graph: pooling, dense layers, normalisation.

Only the finished sentence vectors leave the graph, so neither the hidden states nor the masks are copied
out of the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vicinal.engine.graphs.blocks import Blocks, Body, Node
from vicinal.engine.weights import Weights
from vicinal.errors import ModelFormatError
from vicinal.folder.kinds import kind_of
from vicinal.folder.specs import DenseSpec, DropoutSpec, LayerNormSpec, ModuleSpec, NormalizeSpec, PoolingSpec


def sentence_vector(blocks: Blocks, body: Body, modules: Sequence[ModuleSpec]) -> tuple[Node, int]:
    """Attach every module behind the transformer; gives the ``(B, dim)`` output and dim.

    Adds the scalar input ``prompt_length`` to ``body.inputs`` where the folder leaves prompts out of
    pooling.

    Raises:
        ModelFormatError: there is no pooling, or a module stands where it cannot work.
    """
    poolings = [place for place, module in enumerate(modules) if isinstance(module, PoolingSpec)]
    if len(poolings) != 1:
        raise ModelFormatError(f"{blocks.folder}: {len(poolings)} pooling modules; exactly one is needed")
    (place,) = poolings
    for module in modules[:place]:
        if not (isinstance(module, DropoutSpec) or getattr(module, "on_tokens", False)):
            raise _misplaced(blocks, module, "before")
    token_vectors(blocks, body, modules)
    spec = modules[place]
    assert isinstance(spec, PoolingSpec)
    vector, width = pooling(blocks, body, spec), body.hidden_size * len(spec.modes)
    for module in modules[place + 1 :]:
        if getattr(module, "on_tokens", False):
            raise _misplaced(blocks, module, "after")
        vector, width = _apply(blocks, vector, module, width)
    return vector, width


def token_vectors(blocks: Blocks, body: Body, modules: Sequence[ModuleSpec]) -> Node:
    """Attach the modules that work on token vectors; gives the ``(B, L, H)`` output, also in ``body``."""
    for module in modules:
        if getattr(module, "on_tokens", False):
            body.hidden, body.hidden_size = _apply(blocks, body.hidden, module, body.hidden_size)
    return body.hidden


def _misplaced(blocks: Blocks, module: ModuleSpec, where: str) -> ModelFormatError:
    return ModelFormatError(
        f"{blocks.folder}: {kind_of(module).name} stands {where} the pooling and cannot work there"
    )


def _apply(blocks: Blocks, x: Node, module: ModuleSpec, width: int) -> tuple[Node, int]:
    """One module on vectors along the last axis; gives the output and its width."""
    layer = LAYERS.get(type(module))
    if layer is None:
        raise ModelFormatError(f"{blocks.folder}: a second {kind_of(module).name} cannot work")
    return layer(blocks, x, module, width), kind_of(module).width(module, width)


def dense(blocks: Blocks, x: Node, spec: DenseSpec, width: int) -> Node:
    """``activation(x W^T + b)``, plus x where the module is residual."""
    weights = Weights.open(spec.folder)
    weight = weights["linear.weight"]
    if weight.shape != (spec.out_features, spec.in_features) or spec.in_features != width:
        raise ModelFormatError(
            f"{spec.folder}: weights of shape {weight.shape} and config.json "
            f"({spec.in_features} to {spec.out_features}) do not fit vectors of {width}"
        )
    y = blocks.linear_of(x, weight, weights["linear.bias"] if spec.bias else None)
    y = blocks.activation(y, spec.activation)
    return blocks.ops.add(x, y) if spec.residual else y


def _normalize(blocks: Blocks, x: Node, spec: NormalizeSpec, width: int) -> Node:
    return blocks.ops.normalize_l2(x, blocks.integers(-1), 1e-12, "max")


def _layer_norm(blocks: Blocks, x: Node, spec: LayerNormSpec, width: int) -> Node:
    return Blocks(Weights.open(spec.folder)).layer_norm(x, "norm", 1e-5)


def _same(blocks: Blocks, x: Node, spec: DropoutSpec, width: int) -> Node:
    return x


#: What each kind of module makes of vectors along the last axis: (blocks, x, spec, width of x) -> the output.
LAYERS: dict[type[Any], Callable[[Blocks, Node, Any, int], Node]] = {
    DenseSpec: dense,
    DropoutSpec: _same,
    LayerNormSpec: _layer_norm,
    NormalizeSpec: _normalize,
}

# Stands for "no token" under a maximum; behind the last matrix product numbers are float32.
_BELOW_ALL = -1e9


@dataclass(frozen=True)
class _Pooled:
    """What a pooling mode reads. Places and masks are integers: in bfloat16, 257 would equal 256.

    Attributes:
        hidden: ``(B, L, H)`` float32.
        counts: ``(B, L)`` bool, the tokens that take part.
        places: ``(1, L)`` int32: 0, 1, 2, ...; a text's first token is at 0, as batches are padded on the
            right.
    """

    blocks: Blocks
    hidden: Node
    counts: Node
    places: Node

    def weighted(self, weight: Node) -> Node:
        """Sum of the hidden states with a ``(B, L)`` weight.

        Multiply and add rather than a matrix product: the nodes behind a graph's last matrix product are
        left in float32 by the bfloat16 engine, and the last digits of a vector are decided here.
        """
        ops = self.blocks.ops
        column = ops.unsqueeze(weight, self.blocks.integers(2))
        return ops.reduce_sum(ops.multiply(self.hidden, column), self.blocks.integers(1))

    def total(self, weight: Node) -> Node:
        """``(B, 1)``, never 0: a text without tokens pools to 0 and not to NaN."""
        summed = self.blocks.ops.reduce_sum(weight, self.blocks.integers(1), True)
        return self.blocks.ops.maximum(summed, self.blocks.scalar(1e-9))

    def float_counts(self) -> Node:
        return self.blocks.ops.convert(self.counts, "f32")

    def token_at(self, place: Node) -> Node:
        """The token at ``(B, 1)`` places; the zero vector where no token has that place."""
        chosen = self.blocks.ops.equal(self.places, place)
        return self.weighted(self.blocks.ops.convert(chosen, "f32"))


def pooling(blocks: Blocks, body: Body, spec: PoolingSpec) -> Node:
    """``(B, L, H)`` to ``(B, H * modes)``."""
    ops = blocks.ops
    mask = body.inputs["attention_mask"]
    places = ops.unsqueeze(blocks.places(mask), blocks.integers(0))
    counts = ops.greater(mask, ops.convert_like(ops.constant(np.int32(0)), mask))  # ready graphs have int64
    if not spec.include_prompt:
        prompt = body.inputs.setdefault("prompt_length", blocks.input("prompt_length", ()))
        counts = ops.logical_and(counts, ops.greater_equal(places, prompt))
    pooled = _Pooled(blocks, body.hidden, counts, places)
    vectors = [_POOLINGS[mode](pooled) for mode in spec.modes]
    return vectors[0] if len(vectors) == 1 else ops.concat(vectors, 1)


def _mean(x: _Pooled) -> Node:
    weight = x.float_counts()
    return x.blocks.ops.divide(x.weighted(weight), x.total(weight))


def _mean_sqrt_len(x: _Pooled) -> Node:
    weight = x.float_counts()
    return x.blocks.ops.divide(x.weighted(weight), x.blocks.ops.sqrt(x.total(weight)))


def _weighted_mean(x: _Pooled) -> Node:
    """Later tokens weigh more, by their place counted from 1 (SGPT, Muennighoff 2022)."""
    ops = x.blocks.ops
    ranks = ops.add(ops.convert(x.places, "f32"), x.blocks.scalar(1.0))
    weight = ops.multiply(x.float_counts(), ranks)
    return ops.divide(x.weighted(weight), x.total(weight))


def _max(x: _Pooled) -> Node:
    ops = x.blocks.ops
    column = ops.unsqueeze(x.counts, x.blocks.integers(2))
    return ops.reduce_max(ops.select(column, x.hidden, x.blocks.scalar(_BELOW_ALL)), x.blocks.integers(1))


def _first(x: _Pooled) -> Node:
    never = x.blocks.ops.constant(np.int32(2**30))
    places = x.blocks.ops.select(x.counts, x.places, never)
    return x.token_at(x.blocks.ops.reduce_min(places, x.blocks.integers(1), True))


def _last(x: _Pooled) -> Node:
    never = x.blocks.ops.constant(np.int32(-1))
    places = x.blocks.ops.select(x.counts, x.places, never)
    return x.token_at(x.blocks.ops.reduce_max(places, x.blocks.integers(1), True))


_POOLINGS: dict[str, Callable[[_Pooled], Node]] = {
    "cls": _first,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len": _mean_sqrt_len,
    "weightedmean": _weighted_mean,
    "lasttoken": _last,
}
