"""encode and predict, computed by worker processes: the same results in the same order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from vicinal.core.inputs import as_texts
from vicinal.core.progress import progress_bar
from vicinal.errors import InputError, InputTypeError
from vicinal.models.workers import WorkerPool

__all__ = ["WorkerPool", "encode_in_pool", "predict_in_pool"]


def encode_in_pool(
    model: Any,
    sentences: str | Iterable[str],
    pool: WorkerPool | None = None,
    *,
    devices: Sequence[Any] | None = None,
    prompt_name: str | None = None,
    prompt: str | None = None,
    batch_size: int | None = None,
    chunk_size: int | None = None,
    show_progress_bar: bool | None = None,
    output_value: str | None = "sentence_embedding",
    precision: str = "float32",
    convert_to_numpy: bool = True,
    convert_to_tensor: bool = False,
    normalize_embeddings: bool = False,
    truncate_dim: int | None = None,
    on_truncate: str = "warn",
    task: str | None = None,
) -> Any:
    """What ``model.encode`` gives, computed by worker processes.

    Args:
        model: a ``SentenceTransformer``.
        pool: the workers of this model; None starts one worker a device for this call alone.
        devices: for these workers, as in :class:`WorkerPool`.
        chunk_size: texts that a worker gets at a time; None takes eight chunks a worker, of 64 to 5000 texts.

    Other arguments, result and errors as in ``SentenceTransformer.encode``; ``precision`` is measured over all
    vectors, as there, not chunk by chunk.

    Raises:
        InputError: the pool is closed or belongs to another model.
        VicinalError: a worker's process ended.
    """
    texts, single = as_texts(sentences)
    shared: dict[str, Any] = {
        "prompt": model._prompt(prompt, prompt_name),
        "batch_size": batch_size,
        "output_value": output_value,
        "normalize_embeddings": normalize_embeddings,
        "truncate_dim": truncate_dim if truncate_dim is not None else model.truncate_dim,
        "on_truncate": on_truncate,
        "task": task,
    }
    # Checks every argument before a text travels, and is the answer where there is none.
    kind = {"convert_to_numpy": convert_to_numpy, "convert_to_tensor": convert_to_tensor}
    empty = model.encode([], precision=precision, **kind, **shared)
    if not texts:
        return empty
    results = _gather(model, pool, devices, "encode", texts, chunk_size, shared, show_progress_bar)
    if output_value != "sentence_embedding":
        found = [each for part in results for each in part]
        if convert_to_tensor:
            found = [_as_tensor(each) for each in found]
        return found[0] if single else found
    rows = np.concatenate(results)
    if precision != "float32":
        from vicinal.vectors.quantization import quantize_embeddings

        rows = quantize_embeddings(rows, precision=precision)  # type: ignore[arg-type]
    value: Any = rows[0] if single else rows
    if convert_to_tensor:
        return _as_tensor(value)
    return value if convert_to_numpy or single else list(value)


def predict_in_pool(
    model: Any,
    pairs: Iterable[Any],
    pool: WorkerPool | None = None,
    *,
    devices: Sequence[Any] | None = None,
    batch_size: int | None = None,
    chunk_size: int | None = None,
    show_progress_bar: bool | None = None,
    activation_fn: Any = None,
    apply_softmax: bool = False,
    convert_to_numpy: bool = True,
    convert_to_tensor: bool = False,
    on_truncate: str = "warn",
) -> Any:
    """What ``CrossEncoder.predict`` gives, computed by worker processes.

    Args:
        model: a ``CrossEncoder``.
        pairs: pairs of texts, or one pair.
        pool, devices, chunk_size: as in :func:`encode_in_pool`.
        activation_fn: must be importable, as it travels to the workers by name.

    Other arguments, result and errors as in ``CrossEncoder.predict``.
    """
    from vicinal.models.pairs import as_pairs

    firsts, seconds, single = as_pairs(pairs)
    shared = {
        "batch_size": batch_size,
        "activation_fn": activation_fn,
        "apply_softmax": apply_softmax,
        "on_truncate": on_truncate,
    }
    empty = model.predict(
        [], convert_to_numpy=convert_to_numpy, convert_to_tensor=convert_to_tensor, **shared
    )
    if not firsts:
        return empty
    items = list(zip(firsts, seconds, strict=True))
    scores = np.concatenate(
        _gather(model, pool, devices, "predict", items, chunk_size, shared, show_progress_bar)
    )
    value: Any = scores[0] if single else scores
    if convert_to_tensor:
        return _as_tensor(np.asarray(value))
    return value if convert_to_numpy or single else list(value)


def _gather(
    model: Any,
    pool: WorkerPool | None,
    devices: Sequence[Any] | None,
    method: str,
    items: Sequence[Any],
    chunk_size: int | None,
    arguments: Mapping[str, Any],
    show_progress_bar: bool | None,
) -> list[Any]:
    """The results of all chunks, in order."""
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


def _as_tensor(found: Any) -> Any:
    from vicinal.core.torch import as_tensor

    if isinstance(found, dict):
        return {key: as_tensor(each) for key, each in found.items()}
    return as_tensor(found)
