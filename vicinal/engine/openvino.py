"""The OpenVINO engine: a model folder as one compiled graph on the CPU.

Two compiled forms of each output exist, each made when it is first needed: one for a single batch, which
puts all cores on it (minimum delay), and one for many batches, which gives each core a batch of its own (no
waiting between cores at every layer; 5 to 10 % more texts per second on two cores).
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vicinal.core.cores import available_cores
from vicinal.core.native_calls import begun, ended, native_call
from vicinal.core.openvino import load_openvino, native_bfloat16, native_float16
from vicinal.engine.base import Batch, Output
from vicinal.errors import ModelFormatError, OutOfMemoryError, VicinalError

Tag = TypeVar("Tag")

# dtype -> what OpenVINO is told to compute in. int8 graphs compute the rest in the best float type.
_PRECISION = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}

# How the engine says that shapes don't fit each other: mostly a text that has more tokens than there are positions.
_NO_ROOM = ("shape infer", "Shape infer", "roadcast")
# How the engine's plain RuntimeErrors say that memory did not suffice.
_NO_MEMORY = ("Failed to allocate", "can't alloc", "bad_alloc", "not enough memory", "Cannot allocate memory")

# Every engine, for the fork hook below; also those that compile right now and hold their lock.
_live: weakref.WeakSet[OpenVINOEngine] = weakref.WeakSet()
_hooked = threading.Event()


def _after_fork_in_child() -> None:
    """Forget compiled graphs: their threads were not copied into this process.

    They must not be destroyed either, as the destructor waits for those threads for ever; so each keeps
    one reference too many.
    """
    for engine in list(_live):
        engine._abandon()


class OpenVINOEngine:
    """Runs a graph on the CPU.

    Args:
        build: makes the graph of an output, ``"sentence"`` or ``"tokens"``; called when first needed and
            again in another process, so it must be picklable.
        dimension: width of the sentence output.
        dtype: ``"auto"``, ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        threads: cores to use, None for all that the process may.
    """

    def __init__(
        self,
        build: Callable[[str], Any],
        dimension: int,
        dtype: str = "auto",
        threads: int | None = None,
    ) -> None:
        self._build = build
        self._dimension = dimension
        self.dtype = dtype
        self.threads = threads or available_cores()
        self._lock = threading.Lock()
        self._compiled: dict[tuple[str, Output], _Compiled] = {}
        # Kept for the other form: its constants lie in the same memory, and the files may be gone by then.
        self._models: dict[Output, Any] = {}
        self._watch_forks()

    def _watch_forks(self) -> None:
        _live.add(self)
        if not _hooked.is_set() and hasattr(os, "register_at_fork"):
            _hooked.set()
            os.register_at_fork(after_in_child=_after_fork_in_child)

    @property
    def dimension(self) -> int:
        """Length of a sentence vector."""
        return self._dimension

    def run(self, batch: Batch, output: Output = "sentence") -> NDArray[np.float32]:
        """The vectors of a batch, see :class:`vicinal.engine.base.Engine`, with all cores on this one."""
        with self._memory_given_back():
            return self._get("latency", output).run(batch)

    def run_many(
        self, batches: Iterable[tuple[Tag, Batch]], output: Output = "sentence"
    ) -> Iterator[tuple[Tag, NDArray[np.float32]]]:
        """Yield ``(tag, vectors)`` for each ``(tag, batch)`` in their order, one batch per core at a time."""
        with self._memory_given_back():
            yield from self._get("throughput", output).run_many(batches)

    @property
    def precision(self) -> str:
        """What the graph computes in: ``"float32"``, ``"bfloat16"`` or ``"float16"``."""
        names = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}
        openvino = load_openvino()
        return names[self._hint(openvino.Core())]

    def _hint(self, core: Any) -> str:
        if self.dtype == "float16" and not native_float16(core):
            return "f32"  # told f16 on such a CPU, OpenVINO computes in the coarser bfloat16
        if self.dtype in _PRECISION:
            return _PRECISION[self.dtype]
        return "bf16" if native_bfloat16(core) else "f32"

    @contextmanager
    def _memory_given_back(self) -> Iterator[None]:
        """Forget the compiled graphs after a lack of memory: they keep what their largest batch took."""
        try:
            yield
        except OutOfMemoryError:
            with self._lock:
                self._compiled = {}
            raise

    def _get(self, form: str, output: Output) -> _Compiled:
        if form == "throughput" and self.threads == 1:
            form = "latency"
        with native_call(), self._lock:
            if (form, output) not in self._compiled:
                self._compiled[form, output] = self._compile(form, output)
            return self._compiled[form, output]

    def _compile(self, form: str, output: Output) -> _Compiled:
        openvino = load_openvino()
        core = openvino.Core()
        streams = self._streams() if form == "throughput" else 1
        options = {
            "INFERENCE_PRECISION_HINT": self._hint(core),
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": self.threads,
            # Pinned threads of two processes would share one core while another idles.
            "ENABLE_CPU_PINNING": False,
        }
        if output not in self._models:
            try:
                self._models[output] = self._build(output)
            except RuntimeError as error:
                if isinstance(error, VicinalError):
                    raise
                raise _unfit(self._build, error) from error
        try:
            return _Compiled(core.compile_model(self._models[output], "CPU", options), streams)
        except RuntimeError as error:
            raise _explained(error) from error

    def _streams(self) -> int:
        # One thread per stream on small machines; on large ones a batch's working set must still fit the
        # caches that the cores of a stream share.
        return self.threads if self.threads <= 8 else max(8, self.threads // 4)

    def _abandon(self) -> None:
        for compiled in self._compiled.values():
            for owned in compiled.native_objects():
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(owned))
        self._lock = threading.Lock()
        self._compiled = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None, "_compiled": {}, "_models": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()
        self._watch_forks()


class _Compiled:
    """A compiled graph and its idle infer requests, which several threads may share."""

    def __init__(self, model: Any, streams: int) -> None:
        self.model = model
        self.streams = streams
        self.input_names = [port.get_any_name() for port in model.inputs]
        self.input_types = {port.get_any_name(): port.get_element_type().to_dtype() for port in model.inputs}
        self._idle: deque[Any] = deque()  # append and pop are atomic

    def __del__(self) -> None:
        try:  # `suppress` may be gone when this runs
            with native_call():
                self._idle.clear()
                self.model = None
        except Exception:  # the modules are gone, names of errors too, or the object was never whole
            pass

    def run(self, batch: Batch) -> NDArray[np.float32]:
        request = self._take()
        feed = self._feed(batch)
        try:
            with native_call():
                request.infer(feed, share_inputs=True)
        except RuntimeError as error:  # the request is dropped: what it holds is not known
            raise _explained(error, batch.input_ids.shape[1]) from error
        result = self._result(request)
        self._idle.append(request)
        return result

    def run_many(self, batches: Iterable[tuple[Tag, Batch]]) -> Iterator[tuple[Tag, NDArray[np.float32]]]:
        # One request more than streams: while we copy a result, no stream waits for work.
        running: deque[tuple[Tag, Any, dict[str, Any]]] = deque()
        try:
            for tag, batch in batches:
                if len(running) > self.streams:
                    yield self._finish(running)
                request, feed = self._take(), self._feed(batch)
                with native_call():
                    request.start_async(feed, share_inputs=True)
                    begun(request)
                running.append((tag, request, feed))  # the feed stays alive while it is read
            while running:
                yield self._finish(running)
        finally:
            for _, request, _ in running:
                with suppress(RuntimeError), native_call():  # one failure is being reported already
                    request.wait()
                    self._idle.append(request)
                ended(request)

    def _finish(self, running: deque[tuple[Tag, Any, dict[str, Any]]]) -> tuple[Tag, NDArray[np.float32]]:
        tag, request, feed = running[0]
        try:
            with native_call():
                request.wait()
        except RuntimeError as error:
            running.popleft()
            ended(request)
            raise _explained(error, feed["input_ids"].shape[1]) from error
        running.popleft()
        ended(request)
        result = self._result(request)
        self._idle.append(request)
        return tag, result

    def _take(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            with native_call():
                return self.model.create_infer_request()

    def _feed(self, batch: Batch) -> dict[str, Any]:
        values = {"input_ids": batch.input_ids}
        for name in self.input_names:
            if name == "attention_mask":
                values[name] = batch.attention_mask
            elif name == "token_type_ids":
                types = batch.token_type_ids
                values[name] = np.zeros_like(batch.input_ids) if types is None else types
            elif name == "prompt_length":
                values[name] = np.array(batch.prompt_length, dtype=np.int32)
            elif name == "position_ids":
                row = np.arange(batch.input_ids.shape[1], dtype=np.int32)
                values[name] = np.broadcast_to(row, batch.input_ids.shape)
        # asarray, as ascontiguousarray would make a vector of the scalar prompt_length
        return {
            name: np.asarray(values[name], dtype=self.input_types[name], order="C")
            for name in self.input_names
        }

    @staticmethod
    def _result(request: Any) -> NDArray[np.float32]:
        # A copy: the request's own memory is overwritten by its next batch.
        return np.array(request.get_output_tensor(0).data, dtype=np.float32)

    def native_objects(self) -> list[Any]:
        """What must outlive a fork: the compiled model and its requests."""
        return [self.model, *self._idle]


def _unfit(build: Any, error: RuntimeError) -> Exception:
    """The error of a graph whose parts do not fit each other."""
    folder = getattr(getattr(build, "spec", None), "folder", "the model")
    return ModelFormatError(
        f"{folder}: its weights and its configuration do not belong together ({str(error).strip().splitlines()[-1]}); "
        "download the model again"
    )


def _explained(error: RuntimeError, tokens: int = 0) -> Exception:
    """The error of a failed inference, told apart by its text: OpenVINO has one type for all.

    Args:
        error: what OpenVINO raised.
        tokens: of the longest text of the batch; 0 where there was none.
    """
    text = str(error).strip()
    if tokens and any(mark in text for mark in _NO_ROOM):
        return ModelFormatError(
            f"the graph does not take a text of {tokens} tokens ({text.splitlines()[-1]}): give the length that the "
            "model was made for, as max_length of a CrossEncoder or max_seq_length"
        )
    if any(mark in text for mark in _NO_MEMORY):
        return OutOfMemoryError(f"the batch did not fit into memory ({text.splitlines()[-1]})")
    return error
