"""Forward passes without padding: the tokens of a batch lie one behind another, and attention keeps texts apart.

This is for accelerators, where a transformer computes on a copy of its weights that belongs to the engine. The copy
gets an attention of its own, which reads where each text begins. With torch's variable-length flash attention no
padding is computed at all; elsewhere the attention alone is padded. Whether it gives what the network gives for
padded texts is looked at before it is used, on the device, and it is left out where it does not.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from vicinal.engine.base import Batch
from vicinal.errors import OutOfMemoryError
from vicinal.nn.modules.classifier import Classifier
from vicinal.nn.modules.customised import is_customised
from vicinal.nn.modules.packed_pairs import HEADS
from vicinal.nn.modules.packing import BEHIND_PADDING
from vicinal.nn.modules.transformer import Transformer

Kernel = Literal["flash", "padded"]
Sent = Callable[[NDArray[np.int32]], Tensor]

# Architectures whose attention is the one that is put in, and which take the positions of the tokens.
_FAMILIES = frozenset(
    {
        *("albert", "bert", "camembert", "distilbert", "electra", "eurobert", "modernbert", "nomic_bert"),
        *("qwen3", "roberta", "xlm-roberta"),
    }
)
_NAME = "vicinal_packed"
# Rows of the matrices are a multiple of this: tensor cores want multiples of 8, and kernels are chosen by shape.
_STEP = 128
# Lengths of texts whose vectors are compared, once per engine; short, as models may have few positions.
_PROBE = (7, 3, 12, 1)
# How far vectors of the probe may be apart, by the size of the largest: some units in the last place, a few
# layers deep. Texts that see each other, or a wrong position, give differences of 0.1 and more.
_CLOSE = {torch.float64: 1e-6, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 6e-2}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Texts:
    """Where the texts of a batch lie among its tokens.

    Attributes:
        starts: ``(n + 2,)`` int32, on the device: first token of each text, of the filling, and the end.
        places: ``(tokens,)`` places of the tokens, the filling included, in the flattened ``(n + 1, longest)`` table.
        longest: tokens of the longest text, or of the filling.
        lengths: ``(n + 1,)`` on the device.
        kernel: which attention computes.
    """

    starts: Tensor
    places: Tensor
    longest: int
    lengths: Tensor
    kernel: Kernel


_texts: ContextVar[Texts] = ContextVar("texts of the batch that is computed")


class Packed:
    """Runs the transformer of a module without padding.

    Args:
        module: a :class:`Transformer` or a :class:`Classifier` that nobody else uses: its attention is replaced.
    """

    def __init__(self, module: Transformer, kernel: Kernel) -> None:
        self._module = module
        self.kernel = kernel
        self._scores = HEADS[module.config.model_type] if isinstance(module, Classifier) else None

    @cached_property
    def _first_position(self) -> int:
        config = self._module.config
        return int(config.pad_token_id) + 1 if config.model_type in BEHIND_PADDING else 0

    def __call__(self, batch: Batch, send: Sent) -> dict[str, Any]:
        """The features of this batch after the module's ``forward``, floats in the module's type.

        Args:
            batch: the texts.
            send: brings a flat array of int32 to the device, without waiting.
        """
        lengths, width = batch.lengths, batch.input_ids.shape[1]
        real = np.arange(width) < lengths[:, None]
        places = np.flatnonzero(real)
        count = len(places)
        filling = -count % _STEP
        total = count + filling
        longest = max(int(lengths.max(initial=1)), filling, 1)
        pad = np.int32(self._module.config.pad_token_id or 0)
        rows, positions = np.divmod(places, width)
        zeros = np.zeros(filling, dtype=np.int32)
        starts = np.zeros(len(lengths) + 2, dtype=np.int32)
        np.cumsum(lengths, out=starts[1:-1])
        starts[-1] = total
        reads_types = batch.token_type_ids is not None and "token_type_ids" in self._module._reads
        # All in one copy to the device: each has a fixed cost there.
        parts = [
            batch.input_ids.ravel()[places],
            np.full(filling, pad, dtype=np.int32),
            positions + self._first_position,
            zeros + self._first_position,
            rows * longest + positions,
            len(lengths) * longest + np.arange(filling),
            batch.token_type_ids.ravel()[places] if reads_types else zeros[:0],  # type: ignore[union-attr]
            zeros if reads_types else zeros[:0],
            starts,
        ]
        sent = send(np.concatenate([part.astype(np.int32, copy=False) for part in parts]))
        ids, position_ids, table = sent[:total], sent[total : 2 * total], sent[2 * total : 3 * total]
        bounds = sent[-len(starts) :]
        inputs = {"input_ids": ids.long()[None], "position_ids": position_ids.long()[None]}
        if reads_types:
            inputs["token_type_ids"] = sent[3 * total : 4 * total].long()[None]
        lengths_there = bounds[1:] - bounds[:-1]
        texts = Texts(bounds, table.long(), longest, lengths_there, self.kernel)
        network = self._module.auto_model if self._scores is None else self._module.auto_model.base_model
        with _now(texts):
            hidden = network(**inputs, return_dict=True).last_hidden_state[0]

        def unpacked(tokens: Tensor, fill: int) -> Tensor:
            """(n, width, ...) of what there is for each token."""
            out = tokens.new_full(((len(lengths) + 1) * longest, *tokens.shape[1:]), fill)
            out[texts.places] = tokens
            return out.view(len(lengths) + 1, longest, *tokens.shape[1:])[:-1, :width]

        features = {
            "input_ids": unpacked(inputs["input_ids"][0], int(pad)),
            "attention_mask": (torch.arange(width, device=hidden.device) < lengths_there[:-1, None]).long(),
        }
        if reads_types:
            features["token_type_ids"] = unpacked(inputs["token_type_ids"][0], 0)
        vectors = unpacked(hidden, 0)
        if self._scores is None:
            return {**features, "token_embeddings": vectors}
        return {**features, "scores": self._scores(self._module.auto_model, vectors)}


def packed(module: Transformer, send: Sent) -> Packed | None:
    """The module made to run without padding; None, and the module as it was, where it cannot.

    Args:
        module: in evaluation mode, on its device; nobody else uses it.
        send: as :class:`Packed` takes it.
    """
    config = module.config
    family = config.model_type
    if (
        family not in _FAMILIES
        or (isinstance(module, Classifier) and family not in HEADS)
        or config.output_hidden_states
        or config.output_attentions
        or getattr(config, "is_decoder", False)
        or getattr(config, "position_embedding_type", None) not in (None, "absolute")
        or is_customised(module)
    ):
        return None
    batch = _probe(module)
    parameter = next(module.parameters())
    kernels: Sequence[Kernel] = ("flash", "padded") if _has_flash(parameter) else ("padded",)
    with torch.inference_mode():
        wanted = _padded(module, batch, parameter.device)
        for kernel in kernels:
            try:
                _register()
                with _attention(module, _NAME) as keep:
                    run = Packed(module, kernel)
                    found = run(batch, send)
                    if _agree(found, wanted, batch, parameter.dtype):
                        keep()
                        return run
                    reason = "its results differ from padded ones"
            except (OutOfMemoryError, torch.OutOfMemoryError):
                raise
            except Exception as error:  # whatever a version of torch or transformers does not take
                reason = f"{type(error).__name__}: {error}"
            _log.info("no %s attention without padding for %s: %s", kernel, family, reason)
    return None


def _padded(module: Transformer, batch: Batch, device: Any) -> dict[str, Any]:
    features: dict[str, Any] = {
        "input_ids": torch.from_numpy(batch.input_ids).long().to(device),
        "attention_mask": torch.from_numpy(batch.attention_mask).long().to(device),
    }
    if batch.token_type_ids is not None:
        features["token_type_ids"] = torch.from_numpy(batch.token_type_ids).long().to(device)
    made: dict[str, Any] = module(features)
    return made


def _agree(found: dict[str, Any], wanted: dict[str, Any], batch: Batch, dtype: Any) -> bool:
    name = "scores" if "scores" in wanted else "token_embeddings"
    a, b = found[name].float(), wanted[name].float()
    if name == "token_embeddings":
        real = wanted["attention_mask"].bool()
        a, b = a[real], b[real]
    # Written so that NaN is a difference.
    return bool((a - b).abs().max() <= _CLOSE[dtype] * b.abs().max().clamp(min=1e-6))


def _probe(module: Transformer) -> Batch:
    limit = module.max_seq_length or max(_PROBE)
    lengths = np.minimum(np.array(_PROBE, dtype=np.int32), limit)
    size = int(module.auto_model.get_input_embeddings().weight.shape[0])
    ids = np.random.default_rng(0).integers(0, size, (len(lengths), int(lengths.max())), dtype=np.int32)
    types = np.zeros_like(ids)
    if getattr(module.config, "type_vocab_size", 0) > 1:
        types[:, 2:] = 1
    pad = module.config.pad_token_id or 0
    ids[ids == pad] = (pad + 1) % size  # some architectures number positions by which tokens are padding
    real = np.arange(ids.shape[1]) < lengths[:, None]
    return Batch(np.where(real, ids, np.int32(pad)), lengths, np.where(real, types, np.int32(0)))


@contextmanager
def _now(texts: Texts) -> Iterator[None]:
    token = _texts.set(texts)
    try:
        yield
    finally:
        _texts.reset(token)


@contextmanager
def _attention(module: Transformer, name: str) -> Iterator[Callable[[], None]]:
    """Within the block the network computes with another attention; afterwards too once what it gives is called."""
    configs: dict[int, Any] = {}
    for each in module.auto_model.modules():
        config = getattr(each, "config", None)
        if hasattr(config, "_attn_implementation"):
            configs[id(config)] = config
    before = {key: config._attn_implementation for key, config in configs.items()}
    kept: list[bool] = []
    for config in configs.values():
        config._attn_implementation = name
    try:
        yield lambda: kept.append(True)
    finally:
        if not kept:
            for key, config in configs.items():
                config._attn_implementation = before[key]


def _register() -> None:
    """Tell transformers of the attention. A name that it knows no mask for gets none."""
    from transformers import AttentionInterface

    AttentionInterface.register(_NAME, packed_attention)


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    is_causal: bool | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it, of the texts of the batch that is computed.

    Args:
        module: the layer; its ``is_causal`` counts where the argument is None.
        query: ``(1, heads, tokens, width)``.
        key: the same, maybe with fewer heads.
        value: like ``key``.
        attention_mask: None.
        dropout: 0.
        scaling: of the products; default 1 / sqrt(width).
        sliding_window: how many tokens of each side a token sees, itself included.
        is_causal: whether a token sees only those before it.

    Returns:
        ``(1, tokens, heads, width)``.
    """
    texts = _texts.get()
    causal = bool(getattr(module, "is_causal", False)) if is_causal is None else is_causal
    reach = -1 if sliding_window is None else sliding_window - 1
    q, k, v = (each[0].transpose(0, 1) for each in (query, key, value))
    if k.shape[1] != q.shape[1]:
        k, v = (each.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for each in (k, v))
    attend = _flash if texts.kernel == "flash" else _by_text
    return attend(q, k, v, texts, scaling, (reach, 0 if causal else reach))[None], None


def _flash(
    q: Tensor, k: Tensor, v: Tensor, texts: Texts, scale: float | None, window: tuple[int, int]
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    found: Tensor = varlen_attn(
        *(each.contiguous() for each in (q, k, v)),
        texts.starts,
        texts.starts,
        texts.longest,
        texts.longest,
        scale=scale,
        window_size=window,
    )
    return found


def _by_text(
    q: Tensor, k: Tensor, v: Tensor, texts: Texts, scale: float | None, window: tuple[int, int]
) -> Tensor:
    """``(tokens, heads, width)`` by torch's usual attention, on a table of one text per row."""
    rows, longest = len(texts.lengths), texts.longest

    def table(tokens: Tensor) -> Tensor:
        out = tokens.new_zeros(rows * longest, *tokens.shape[1:])
        out[texts.places] = tokens
        return out.view(rows, longest, *tokens.shape[1:]).transpose(1, 2)

    numbers = torch.arange(longest, device=q.device)
    mask = (numbers < texts.lengths[:, None])[:, None, None, :]
    left, right = window
    if (left, right) != (-1, -1):
        apart = numbers[None, :] - numbers[:, None]  # of the key behind the query
        near = torch.ones_like(apart, dtype=torch.bool)
        if left >= 0:
            near &= apart >= -left
        if right >= 0:
            near &= apart <= right
        mask = mask & (near | (apart == 0))
    found = scaled_dot_product_attention(table(q), table(k), table(v), attn_mask=mask, scale=scale)
    return found.transpose(1, 2).reshape(rows * longest, *q.shape[1:])[texts.places]


def _has_flash(parameter: Tensor) -> bool:
    """Whether torch has a flash attention for texts of different lengths on this device and in this type."""
    if parameter.device.type != "cuda" or parameter.dtype not in (torch.float16, torch.bfloat16):
        return False
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return False
    return {"scale", "window_size"} <= inspect.signature(varlen_attn).parameters.keys()
