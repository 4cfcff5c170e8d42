"""The torch engine: runs the modules where OpenVINO does not, on accelerators and with custom modules."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vicinal.core.native_calls import native_call
from vicinal.core.torch import note_computing, one_thread_after_forks
from vicinal.engine.base import Batch, Output
from vicinal.engine.weights import is_finite
from vicinal.errors import OutOfMemoryError
from vicinal.nn.engine.packed import Packed, packed
from vicinal.nn.modules.memory import check_finite
from vicinal.nn.modules.static_embedding import StaticEmbedding
from vicinal.nn.modules.transformer import Transformer

Tag = TypeVar("Tag")

# Padded tokens per batch on an accelerator: enough to fill it, with room left on the smallest ones.
_ACCELERATOR_BUDGET = 65_536
# Batches whose results are still on their way to the host.
_IN_FLIGHT = 3


class TorchEngine:
    """Runs a ``Sequential`` whose first module reads token ids.

    On an accelerator the transformer computes in half precision, on a copy of the weights; what comes behind
    it stays in float32. On the CPU the modules themselves run, in float32.

    Args:
        module: the modules, on ``device``.
        dimension: length of a sentence vector.
        device: where they lie.
        dtype: ``"auto"`` (bfloat16 or float16 on an accelerator), ``"float32"``, ``"bfloat16"``,
            ``"float16"``.
    """

    #: Which of the modules' features each output is.
    keys: ClassVar[Mapping[str, str]] = {"sentence": "sentence_embedding", "tokens": "token_embeddings"}

    def __init__(
        self, module: nn.Sequential, dimension: int, device: str = "cpu", dtype: str = "auto"
    ) -> None:
        one_thread_after_forks()
        self.module = module
        self.device = device
        self._dimension = dimension
        self.dtype = dtype
        self.precision = _precision(device, dtype)
        self.token_budget = None if device == "cpu" else _ACCELERATOR_BUDGET
        self.task: str | None = None
        self._views: dict[str | None, TorchEngine] = {}
        self._half: nn.Module | None = None
        first = module[0]
        if not self.is_live_on(module, device, dtype):
            self._half = copy.deepcopy(first).to(getattr(torch, self.precision)).eval()
        self._packed = self._without_padding()

    def _without_padding(self) -> Packed | None:
        if not isinstance(self._half, Transformer):
            return None
        with native_call(), out_of_memory(1):
            return packed(self._half, self._send)

    @property
    def dimension(self) -> int:
        """Length of a sentence vector."""
        return self._dimension

    @property
    def attention(self) -> str:
        """How texts of different lengths are computed: ``"padded"``, or ``"packed (flash)"``, say."""
        return "padded" if self._packed is None else f"packed ({self._packed.kernel})"

    def for_task(self, task: str | None) -> TorchEngine:
        """This engine for texts of one task, which modules such as a ``Router`` read."""
        if task == self.task:
            return self
        if task not in self._views:
            self._views[task] = copy.copy(self)
            self._views[task].task = task
        return self._views[task]

    @staticmethod
    def is_live_on(module: nn.Sequential, device: str, dtype: str) -> bool:
        """Whether an engine with these arguments would run the modules themselves, and no copy of them."""
        return _precision(device, dtype) == "float32" or not isinstance(module[0], Transformer)

    @property
    def is_live(self) -> bool:
        """Whether the modules themselves run, and no copy of them."""
        return self._half is None

    def run(self, batch: Batch, output: Output = "sentence") -> NDArray[np.float32]:
        """The vectors of a batch, see :class:`vicinal.engine.base.Engine`."""
        array: NDArray[np.float32] = self._vectors(batch, output).cpu().numpy()
        return self._checked(array)

    def run_many(
        self, batches: Iterable[tuple[Tag, Batch]], output: Output = "sentence"
    ) -> Iterator[tuple[Tag, NDArray[np.float32]]]:
        """Yield ``(tag, vectors)`` for each ``(tag, batch)``; copies to the host overlap with computing."""
        waiting: deque[tuple[Tag, Tensor, Any]] = deque()
        for tag, batch in batches:
            waiting.append((tag, *_sent(self._vectors(batch, output))))
            if len(waiting) > _IN_FLIGHT:
                yield self._arrived(*waiting.popleft())
        while waiting:
            yield self._arrived(*waiting.popleft())

    def _arrived(self, tag: Tag, tensor: Tensor, event: Any) -> tuple[Tag, NDArray[np.float32]]:
        if event is not None:
            event.synchronize()
        return tag, self._checked(tensor.numpy())

    def _checked(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """The vectors; where some are not finite and the weights are why, an error."""
        if not is_finite(vectors):
            check_finite(self.module, type(self).__name__)
        return vectors

    def _vectors(self, batch: Batch, output: Output) -> Tensor:
        vectors: Tensor = self._features(batch)[self.keys[output]]
        return vectors.float()

    def _features(self, batch: Batch) -> dict[str, Any]:
        if self.device == "cpu":
            note_computing()
        with (
            native_call(),
            out_of_memory(len(batch.lengths)),
            torch.inference_mode(),
            evaluating(self.module),
        ):
            if self._packed is not None:
                return self._behind_packed(self._packed, batch)
            features = self._inputs(batch)
            if self.task is not None:
                features["task"] = self.task
            if batch.token_type_ids is not None:
                features["token_type_ids"] = self._to_device(batch.token_type_ids)
            if batch.prompt_length:
                features["prompt_length"] = batch.prompt_length
            for place, each in enumerate(self.module):
                if place == 0 and self._half is not None:
                    features = self._half(features)
                    if "token_embeddings" in features:
                        features["token_embeddings"] = features["token_embeddings"].float()
                else:
                    features = each(features)
            return features

    def _behind_packed(self, run: Packed, batch: Batch) -> dict[str, Any]:
        """What all modules make of a batch whose texts go through the first one without padding."""
        features: dict[str, Any] = {
            key: value.float() if value.is_floating_point() else value
            for key, value in run(batch, self._send).items()
        }
        if self.task is not None:
            features["task"] = self.task
        if batch.prompt_length:
            features["prompt_length"] = batch.prompt_length
        for each in list(self.module)[1:]:
            features = each(features)
        return features

    def _inputs(self, batch: Batch) -> dict[str, Any]:
        if isinstance(self.module[0], StaticEmbedding):
            rows = [row[:length] for row, length in zip(batch.input_ids, batch.lengths, strict=True)]
            starts = np.cumsum(batch.lengths) - batch.lengths
            return {
                "input_ids": self._to_device(np.concatenate(rows)),
                "offsets": self._to_device(starts.astype(np.int32)),
            }
        return {
            "input_ids": self._to_device(batch.input_ids),
            "attention_mask": self._to_device(batch.attention_mask),
        }

    def _to_device(self, ids: NDArray[np.int32]) -> Tensor:
        return self._send(ids.astype(np.int64))

    def _send(self, ids: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(ids)
        if self.device == "cpu":
            return tensor
        pinned = tensor.pin_memory() if self.device.startswith("cuda") else tensor
        return pinned.to(self.device, non_blocking=True)


def _precision(device: str, dtype: str) -> str:
    if device == "cpu" or dtype == "float32":
        return "float32"
    if dtype != "auto":
        return dtype
    return "bfloat16" if device.startswith("cuda") and torch.cuda.is_bf16_supported() else "float16"


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Within the block modules run without dropout; what was training before trains again afterwards."""
    training = [each for each in module.modules() if each.training]
    if not training:
        yield
        return
    module.eval()
    try:
        yield
    finally:
        for each in training:
            each.training = True


@contextmanager
def out_of_memory(texts: int) -> Iterator[None]:
    """Turn torch's out-of-memory errors into ours, which make the batches smaller.

    Raises:
        OutOfMemoryError: torch ran out of memory within the block.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        text = str(error).lower()
        # The CPU allocator and some back ends have no class of their own for it.
        said = "out of memory" in text or "can't allocate memory" in text
        if not (said or isinstance(error, (torch.OutOfMemoryError, MemoryError))):
            raise
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        raise OutOfMemoryError(f"torch ran out of memory with {texts} texts in a batch") from error


def _sent(tensor: Tensor) -> tuple[Tensor, Any]:
    """Start the copy to the host; gives the target and what to wait for."""
    if tensor.device.type != "cuda":
        return tensor.cpu(), None
    target = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    target.copy_(tensor, non_blocking=True)
    event = torch.cuda.Event()
    event.record()
    return target, event
