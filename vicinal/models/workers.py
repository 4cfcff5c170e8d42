"""Worker processes that hold a copy of a model, one per device: the same results in the same order.

Items go to the workers in chunks, two at a time each, so that little waits in between.
"""

from __future__ import annotations

import copy
import math
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from itertools import islice
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any

from vicinal.core.cores import available_cores
from vicinal.core.inputs import caller_level, check_positive
from vicinal.core.progress import progress_bar
from vicinal.errors import InputError, InputTypeError, TruncationError, VicinalError

# Chunks that a worker has at hand: one in work, one waiting, so that it need not wait for this process.
_AHEAD = 2

# Texts per chunk: enough to sort by length within, few enough that the last chunks end together.
_SHORTEST_CHUNK, _LONGEST_CHUNK, _CHUNKS_A_WORKER = 64, 5000, 8

# As many workers as the field starts on a CPU; more share the memory's bandwidth to little use.
_MOST_CPU_WORKERS = 4

# What decides the threads of OpenVINO (through available_cores), torch, tokenizers and numpy's BLAS.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

# Seconds that a worker gets to finish what it computes when its pool is closed.
_GRACE = 5.0

_GUARD = (
    "A script that starts worker processes needs its work under `if __name__ == '__main__':`, because each "
    "worker imports the script"
)

_starting = threading.Lock()


class WorkerPool:
    """Processes that each hold a copy of a model.

    Args:
        model: a ``SentenceTransformer`` or ``CrossEncoder``. The workers keep it as it is now: what is
            trained or set later needs a new pool (prompts, ``truncate_dim`` and ``max_seq_length`` are passed
            on with each call).
        devices: one worker for each, e.g. ``["cuda:0", "cuda:1"]`` or ``["cpu"] * 4``; the workers share the
            cores of this process evenly. None means every accelerator of the model's kind, or on the
            CPU one worker per core, 4 at most.

    A pool is ready when it is made and ends with :meth:`close` or its ``with`` block. It serves any number of
    calls, from several threads too. In the oldest code a pool was a dictionary of queues; this one is an
    object to hand to ``encode(pool=...)``, ``encode_multi_process`` and ``stop_multi_process_pool``.

    Raises:
        InputError: no devices, a model that cannot be pickled, or a pool started by a script that is being
            imported by a worker.
        VicinalError: a worker ended before the model was loaded.
    """

    def __init__(self, model: Any, devices: Sequence[Any] | str | None = None) -> None:
        _refuse_import_of_main()
        self.model = model
        self.devices = _as_devices(devices, model)
        self._workers: list[_Worker] = []
        payload = _packed(model)
        try:
            with _threads_of_children(max(1, available_cores() // len(self.devices))):
                self._workers += [_Worker(device, payload) for device in self.devices]
            for number, worker in enumerate(self._workers):
                worker.found(self._get(number, worker.ready))
        except BaseException:
            self.close()
            raise

    @property
    def processes(self) -> tuple[int, ...]:
        """Process ids of the workers, in the order of :attr:`devices`."""
        return tuple(worker.pid for worker in self._workers)

    def run(
        self, method: str, items: Sequence[Any], chunk_size: int | None, arguments: Mapping[str, Any]
    ) -> Iterator[tuple[int, Any]]:
        """Call ``model.method(chunk, **arguments)`` for each chunk of ``items`` in some worker.

        Yields:
            The place of a chunk's first item and the chunk's result, as they are done.

        Raises:
            InputError: the pool is closed, or an argument cannot be pickled.
            VicinalError: a worker's process ended.
            Exception: whatever the method raised.
        """
        check_positive(chunk_size, "chunk_size")
        if not self._workers:
            raise InputError("the pool is closed; start_multi_process_pool() gives a new one")
        try:
            pickle.dumps(arguments)
        except Exception as error:
            raise InputError(
                f"an argument cannot be sent to worker processes ({type(error).__name__}: {error}); give a "
                "function that can be imported, not a lambda"
            ) from error
        size = chunk_size or _chunk_size(len(items), len(self._workers))
        starts = iter(range(0, len(items), size))
        settings = {"max_seq_length": self.model.max_seq_length}
        pending: dict[Future[Any], tuple[int, int]] = {}
        warned = _Warnings()

        def submit(number: int) -> None:
            for start in islice(starts, 1):
                future = self._submit(number, method, items[start : start + size], arguments, settings)
                pending[future] = number, start

        try:
            for _ in range(_AHEAD):
                for number in range(len(self._workers)):
                    submit(number)
            while pending:
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    number, start = pending.pop(future)
                    where = f"items {start} to {min(start + size, len(items)) - 1}"
                    try:
                        result, said = self._get(number, future)
                    except TruncationError as error:  # it counts from the start of its chunk
                        raise TruncationError(f"{where}: {error}") from error
                    warned.add(said, where, start)
                    submit(number)
                    yield start, result
            warned.report()
        finally:
            for future in pending:
                future.cancel()

    def close(self) -> None:
        """End the workers. A second call does nothing."""
        workers, self._workers = self._workers, []
        threads = [threading.Thread(target=worker.end) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"WorkerPool({list(self.devices)!r}, {'open' if self._workers else 'closed'})"

    def _submit(self, number: int, *task: Any) -> Future[Any]:
        try:
            return self._workers[number].executor.submit(_call, *task)
        except BrokenProcessPool as error:
            raise self._death(number) from error

    def _get(self, number: int, future: Future[Any]) -> Any:
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise self._death(number) from error

    def _death(self, number: int) -> VicinalError:
        worker = self._workers[number]
        who = f"worker {number + 1} of {len(self.devices)} on {worker.device!r}"
        if worker.process is None:
            return VicinalError(
                f"{who} ended before it had loaded the model; its own message stands above. {_GUARD} (and a "
                "script that is read from standard input cannot be imported: put it into a file)"
            )
        worker.executor.shutdown(wait=True)  # its thread notes the exit code
        code = worker.process.exitcode or 0
        reason = f"killed by signal {-code}" if code < 0 else f"with exit code {code}"
        remedy = (
            "Signal 9 is how the system answers a lack of memory: use fewer workers or a smaller batch_size"
            if code == -9
            else "Its own message, if it left one, is on the standard error output"
        )
        return VicinalError(
            f"{who} (process {worker.pid}) ended in the middle of the work, {reason}. {remedy}. The pool is "
            "of no use any more: stop it and start a new one"
        )


def by_workers(
    model: Any,
    method: str,
    items: Sequence[Any],
    arguments: Mapping[str, Any],
    pool: WorkerPool | None,
    devices: Sequence[Any] | None,
    chunk_size: int | None,
    show_progress_bar: bool | None,
) -> list[Any]:
    """What ``model.method(chunk, **arguments)`` gives for each chunk of ``items``, in order.

    Args:
        pool: the workers of this model; None starts one for each of ``devices``, for this call alone.
        chunk_size: items that a worker gets at a time; None gives each worker eight chunks, of 64 to 5000 items.

    Raises:
        InputError: the pool is closed or belongs to another model.
        VicinalError: a worker's process ended.
    """
    if pool is not None and not isinstance(pool, WorkerPool):
        raise InputTypeError(
            f"pool is {type(pool).__name__}; give what model.start_multi_process_pool() returns"
        )
    if pool is not None and pool.model is not model:
        raise InputError(
            f"the pool was started by another model ({pool.model!r}); its workers would answer for that one. "
            "Start a pool of this model"
        )
    done: dict[int, Any] = {}
    word = "Encoding" if method == "encode" else "Scoring"
    with nullcontext(pool) if pool is not None else WorkerPool(model, devices) as workers:
        with progress_bar(len(items), show_progress_bar, word) as progress:
            for start, result in workers.run(method, items, chunk_size, arguments):
                done[start] = result
                if progress is not None:
                    progress(len(result))
    return [done[start] for start in sorted(done)]


class _Worker:
    """One process, which does one thing at a time."""

    def __init__(self, device: str, payload: bytes) -> None:
        self.device = device
        self.process: BaseProcess | None = None
        self.executor = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        self.ready = self.executor.submit(_load, payload, device)

    def found(self, pid: int) -> None:
        """Note which process this is, for its exit code."""
        self.pid = pid
        self.process = next((each for each in multiprocessing.active_children() if each.pid == pid), None)

    def end(self) -> None:
        """Wait for the process, and end it when it takes too long. Only its executor reaps it."""
        late = threading.Timer(_GRACE, self._terminate)
        late.start()
        self.executor.shutdown(wait=True, cancel_futures=True)
        late.cancel()

    def _terminate(self) -> None:
        if self.process is not None:
            self.process.terminate()


class _Warnings:
    """What the workers warned of; each kind is said once, here, where it can be seen and caught."""

    def __init__(self) -> None:
        self._said: dict[type[Warning], list[tuple[int, str]]] = {}

    def add(self, said: Iterable[tuple[type[Warning], str]], where: str, start: int) -> None:
        for category, message in said:
            self._said.setdefault(category, []).append((start, f"{where}: {message}"))

    def report(self) -> None:
        for category, found in self._said.items():
            (_, message), more = min(found), len(found) - 1  # chunks may end in any order
            warnings.warn(
                message + (f" ({more} more such warnings from other chunks)" if more else ""),
                category,
                stacklevel=caller_level(),
            )


# In the worker ------------------------------------------------------------------------------------------------

# The model and the device of a worker process: tasks that come one by one have no other place to keep them.
_held: dict[str, Any] = {}


def _load(payload: bytes, device: str) -> int:
    """Keep the model; gives the process id."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process, which then ends this one
    _held["model"], _held["device"] = pickle.loads(payload), device
    return os.getpid()


def _call(
    method: str, items: Sequence[Any], arguments: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[Any, list[tuple[type[Warning], str]]]:
    """The method's result for some items, and what it warned of."""
    model = _held["model"]
    for name, value in settings.items():
        if getattr(model, name) != value:
            setattr(model, name, value)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = getattr(model, method)(
            items, device=_held["device"], show_progress_bar=False, convert_to_numpy=True, **arguments
        )
    return result, [(each.category, str(each.message)) for each in caught]


# Before it starts ---------------------------------------------------------------------------------------------


def _packed(model: Any) -> bytes:
    """The model as bytes, its weights on the CPU: else each worker would first fill this one's GPU."""
    try:
        return pickle.dumps(model if str(model.device) == "cpu" else copy.deepcopy(model).to("cpu"))
    except Exception as error:
        raise InputError(
            f"the model cannot be sent to worker processes ({type(error).__name__}: {error}): its classes "
            "must be importable, so none made in a function or by lambda"
        ) from error


def _as_devices(devices: Sequence[Any] | str | None, model: Any) -> tuple[str, ...]:
    if devices is None:
        return _all_devices(str(model.device))
    names = (devices,) if isinstance(devices, str) else tuple(str(each) for each in devices)
    if not names:
        raise InputError("target_devices is empty; give one device per worker, such as ['cpu', 'cpu']")
    return names


def _all_devices(device: str) -> tuple[str, ...]:
    """Every accelerator of the kind that the model computes on, else workers on the CPU."""
    kind = device.partition(":")[0]
    if kind == "cpu":
        return ("cpu",) * min(_MOST_CPU_WORKERS, available_cores())
    count = getattr(getattr(sys.modules.get("torch"), kind, None), "device_count", None)  # mps has one
    return tuple(f"{kind}:{number}" for number in range(count())) if count is not None else (device,)


def _chunk_size(items: int, workers: int) -> int:
    size = math.ceil(items / (workers * _CHUNKS_A_WORKER))
    # A chunk is no longer than an even share: a small job still goes to all workers.
    return max(1, min(_LONGEST_CHUNK, max(size, _SHORTEST_CHUNK), math.ceil(items / workers)))


@contextmanager
def _threads_of_children(threads: int) -> Iterator[None]:
    """Processes that are started inside the block use no more than this many threads each.

    Libraries read the variables when they are first imported, which in a spawned process comes before anything
    that this module could run there; so they are set here, for as long as the start takes.
    """
    with _starting:
        before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
        for name, value in before.items():
            wanted = int(value) if value and value.isdigit() and int(value) > 0 else threads
            os.environ[name] = str(min(threads, wanted))
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def _refuse_import_of_main() -> None:
    """A worker imports the main script; if that starts a pool again, processes would have no end."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == "__mp_main__" and frame.f_code.co_name == "<module>":
            raise InputError(f"{_GUARD}; {frame.f_code.co_filename}, line {frame.f_lineno}, is not")
        frame = frame.f_back  # type: ignore[assignment]
