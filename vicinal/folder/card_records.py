"""What a model card knows: what a model is, what it was trained on and how well it does."""

from __future__ import annotations

import math
import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from vicinal.core.names import is_hub_name
from vicinal.core.version import __version__
from vicinal.folder.kinds import kind_of
from vicinal.folder.specs import UNLIMITED, ModelSpec, StaticEmbeddingSpec

# Rows that are read for the numbers of a column; more would not change their three digits.
_ROWS_MEASURED = 1000
_EXAMPLES = 3
_EXAMPLE_LENGTH = 160

_PACKAGES = ("vicinal", "torch", "transformers", "accelerate", "datasets", "tokenizers", "peft")


@dataclass(frozen=True)
class ModelFacts:
    """What a model is, trained here or not.

    Attributes:
        name: the title, and what the examples load; a hub name where it has one.
        cross_encoder: it scores pairs and gives no vectors.
        architecture: the family, e.g. ``"bert"``.
        modules: names of the modules in their order.
        max_length: tokens that count, None for no limit.
        dimension: numbers a vector. similarity: name of the function between vectors.
        labels: names of a cross-encoder's scores.
        prompts: name -> text.
        language, license: codes as the hub has them, e.g. ``("en",)``, ``"apache-2.0"``.
        title: of the card; default the name.
        task: what the model is for, in words.
        tags: of its user, beside those that the kind of model has.
        datasets: names on the hub of what it was trained on. base_model: likewise, of what it was trained from.
    """

    name: str
    cross_encoder: bool = False
    architecture: str = ""
    modules: tuple[str, ...] = ()
    max_length: int | None = None
    dimension: int | None = None
    similarity: str | None = None
    labels: tuple[str, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    language: tuple[str, ...] = ()
    license: str | None = None
    title: str = ""
    task: str = ""
    tags: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    base_model: str | None = None


@dataclass
class DatasetRecord:
    """A data set that was trained or evaluated on; see :func:`describe_dataset`.

    Attributes:
        rows: how many there are. columns: their names.
        examples: the first rows, long texts cut.
        statistics: column -> what it holds (``"text"``, ``"number"``, ...) and its least, mean and largest
            value or length.
        loss: name of the loss. loss_arguments: what it was made with.
        hub_name: its name on the hub, for the card's metadata.
    """

    name: str
    rows: int
    columns: list[str] = field(default_factory=list)
    examples: list[dict[str, Any]] = field(default_factory=list)
    statistics: dict[str, dict[str, Any]] = field(default_factory=dict)
    loss: str | None = None
    loss_arguments: dict[str, Any] = field(default_factory=dict)
    hub_name: str | None = None


@dataclass
class EvaluatorRecord:
    """An evaluator: metrics whose names start with ``name_`` are its own.

    Attributes:
        name: as in its metrics, e.g. ``"sts-dev"``.
        task: the hub's name of the task, e.g. ``"semantic-similarity"``, ``"information-retrieval"``.
    """

    name: str
    task: str


@dataclass
class TrainingRecord:
    """What a trainer knows when it is done; ``dataclasses.asdict`` of it is JSON.

    Attributes:
        base_model: the hub name of what training started from; None if that has none (:func:`name_on_hub`).
        datasets, evaluation_datasets: what was trained and evaluated on.
        arguments: hyper-parameters that differ from the defaults, as :func:`changed_arguments` gives them.
        evaluators: whose metrics ``before``, ``after`` and ``evaluations`` hold.
        evaluations: ``(epoch, step, {metric: value})`` in the order of the steps.
        before, after: metrics of the untrained and the finished model.
        seconds: of training. examples_per_second: likewise.
        versions: package -> version, see :func:`versions`.
    """

    base_model: str | None = None
    datasets: list[DatasetRecord] = field(default_factory=list)
    evaluation_datasets: list[DatasetRecord] = field(default_factory=list)
    arguments: dict[str, Any] = field(default_factory=dict)
    evaluators: list[EvaluatorRecord] = field(default_factory=list)
    evaluations: list[tuple[float, int, dict[str, float]]] = field(default_factory=list)
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None
    examples_per_second: float | None = None
    versions: dict[str, str] = field(default_factory=dict)


# What a card may name -------------------------------------------------------------------------------------------

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_URL = re.compile(r"file:", re.IGNORECASE)


def name_on_hub(
    name: str | os.PathLike[str] | None, folder: str | os.PathLike[str] | None = None
) -> str | None:
    """A name as a card may show it: that of a model or data set on the hub; None for anything else.

    A card is read on other machines, where a path means nothing, and tells more than its author may want. As when
    a model is loaded, the name of an existing folder or file is a path.

    Args:
        name: ``"org/name"`` or ``"name"``, or anything else.
        folder: what ``name`` was loaded from, if that is known: a name that is the end of this path is a path
            too, whatever exists now.
    """
    if not isinstance(name, str) or not is_hub_name(name) or os.path.exists(name):
        return None
    parts = tuple(name.split("/"))
    if folder is not None and Path(folder).parts[-len(parts) :] == parts:
        return None
    return name


def base_model_of(model: Any) -> str | None:
    """The hub name that a model was loaded by; None where that was a path, or there is none."""
    folder = getattr(getattr(model, "_spec", None), "folder", None)
    return name_on_hub(getattr(model, "name_or_path", None), folder)


def is_local_path(value: object) -> bool:
    """Whether a value is a path that means something on this machine only, as far as that can be told."""
    if isinstance(value, os.PathLike):
        return True
    if not isinstance(value, str) or not value or "\n" in value:
        return False
    if value.startswith(("/", "~/", "~\\", "./", "../", ".\\", "..\\", "\\\\")) or value in ("~", ".", ".."):
        return True
    if _DRIVE.match(value) or _URL.match(value):
        return True
    return ("/" in value or os.sep in value) and os.path.exists(value)


def title_of(folder: str | os.PathLike[str]) -> str:
    """The title of a card: the name of the folder that it will lie in."""
    return Path(os.path.abspath(folder)).name or "model"


# Filling the records --------------------------------------------------------------------------------------------


def facts_of(
    spec: ModelSpec,
    name: str,
    *,
    max_length: int,
    dimension: int | None = None,
    similarity: str | None = None,
    labels: Sequence[str] = (),
    prompts: Mapping[str, str] | None = None,
) -> ModelFacts:
    """The facts of a model that was read from a folder; one without ``dimension`` is a cross-encoder."""
    static = isinstance(spec.source, StaticEmbeddingSpec)
    return ModelFacts(
        name=name,
        cross_encoder=dimension is None,
        architecture="static embeddings" if static else spec.transformer.model_type,
        modules=tuple(kind_of(module).name for module in spec.modules) if dimension is not None else (),
        max_length=None if max_length >= UNLIMITED else max_length,
        dimension=dimension,
        similarity=similarity,
        labels=tuple(labels),
        prompts=dict(prompts or {}),
    )


def describe_dataset(
    name: str,
    rows: int,
    sample: Iterable[Mapping[str, Any]],
    *,
    count_tokens: Callable[[list[str]], list[int]] | None = None,
    loss: str | None = None,
    loss_arguments: Mapping[str, Any] | None = None,
    hub_name: str | None = None,
) -> DatasetRecord:
    """Examples and statistics of a data set.

    Args:
        rows: how many it has.
        sample: its rows, column -> value; the first 1000 are read.
        count_tokens: lengths of texts in tokens (``model.count_tokens``); None counts characters.
        loss, loss_arguments: what it was trained with.
        hub_name: its name on the hub; anything else is left out (:func:`name_on_hub`).
    """
    measured: list[Mapping[str, Any]] = []
    for row in sample:
        measured.append(row)
        if len(measured) == _ROWS_MEASURED:
            break
    columns = list(measured[0]) if measured else []
    return DatasetRecord(
        name=title_of(name) if is_local_path(name) else name,
        rows=rows,
        columns=columns,
        examples=[{key: _plain(row.get(key)) for key in columns} for row in measured[:_EXAMPLES]],
        statistics={key: _statistics([row.get(key) for row in measured], count_tokens) for key in columns},
        loss=loss,
        loss_arguments=shown_arguments(loss_arguments or {}),
        hub_name=name_on_hub(hub_name),
    )


def changed_arguments(arguments: object, hidden: Iterable[str] = ()) -> dict[str, Any]:
    """Fields of a dataclass that differ from their defaults, as values that JSON has.

    Tokens and keys, paths that mean something on one machine only, and what is ``hidden`` are left out.
    """
    if not is_dataclass(arguments):
        return {}
    unwanted = {"output_dir", "logging_dir", "run_name", "local_rank", *hidden}
    changed = {}
    for each in fields(arguments):
        secret = each.name.endswith(("token", "key", "secret", "password"))
        if each.name in unwanted or each.name.startswith("_") or secret or not each.init:
            continue
        value = getattr(arguments, each.name)
        default = each.default_factory() if each.default_factory is not MISSING else each.default
        if _plain(value) != _plain(default):
            changed[each.name] = value
    return shown_arguments(changed)


def shown_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as values that JSON has; local paths are left out, also those inside of other values."""
    return {
        key: _plain(_without_paths(value)) for key, value in arguments.items() if not is_local_path(value)
    }


def _without_paths(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_paths(each) for key, each in value.items() if not is_local_path(each)}
    if isinstance(value, (list, tuple)):
        return [_without_paths(each) for each in value if not is_local_path(each)]
    return value


def versions() -> dict[str, str]:
    """Python's version and those of the packages that are in use."""
    found = {"python": platform.python_version(), "vicinal": __version__}
    for package in _PACKAGES:
        if package in sys.modules and package not in found:
            try:
                found[package] = metadata.version(package)
            except metadata.PackageNotFoundError:
                continue
    return found


def _statistics(values: list[Any], count_tokens: Callable[[list[str]], list[int]] | None) -> dict[str, Any]:
    if values and all(isinstance(value, str) for value in values):
        lengths = count_tokens(values) if count_tokens is not None else [len(value) for value in values]
        return {"type": "text", "unit": "characters" if count_tokens is None else "tokens", **_range(lengths)}
    numbers = [value for value in values if isinstance(value, (int, float)) and math.isfinite(value)]
    if numbers and len(numbers) == len(values):
        return {"type": "number", "unit": "", **_range(numbers)}
    if values and all(isinstance(value, (list, tuple)) for value in values):
        return {"type": "list", "unit": "items", **_range([len(value) for value in values])}
    return {"type": type(values[0]).__name__ if values else "nothing", "unit": ""}


def _range(numbers: Sequence[float]) -> dict[str, float]:
    return {"min": min(numbers), "mean": round(sum(numbers) / len(numbers), 3), "max": max(numbers)}


def _plain(value: Any) -> Any:
    """The value as JSON has it, short: long texts and lists are cut."""
    if value is None or type(value) in (bool, int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, str):
        text = str(getattr(value, "value", value))  # an enumeration of texts
        return text if len(text) <= _EXAMPLE_LENGTH else text[: _EXAMPLE_LENGTH - 1] + "…"
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value[:8]] + (["…"] if len(value) > 8 else [])
    if hasattr(value, "item") and getattr(value, "size", None) == 1:  # numpy's numbers
        return _plain(value.item())
    inner = getattr(value, "value", None)  # an enumeration
    if isinstance(inner, (int, str)):
        return inner
    return _plain(str(getattr(value, "__name__", value)))
