"""The settings of a training run: those of transformers, and those that all our trainers have."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import torch

from vicinal.core.inputs import check_choice
from vicinal.errors import InputError, InputTypeError, missing_extra
from vicinal.nn.training.autocast import bf16_by_default
from vicinal.nn.training.samplers import (
    DefaultBatchSampler,
    GroupByLabelBatchSampler,
    MultiDatasetDefaultBatchSampler,
    NoDuplicatesBatchSampler,
    ProportionalBatchSampler,
    RoundRobinBatchSampler,
)

try:
    from transformers import TrainingArguments
except ImportError as error:
    raise missing_extra("transformers", "a trainer", "train") from error


class BatchSamplers(str, Enum):
    """How rows are put together into batches."""

    BATCH_SAMPLER = "batch_sampler"
    NO_DUPLICATES = "no_duplicates"
    NO_DUPLICATES_HASHED = "no_duplicates_hashed"
    GROUP_BY_LABEL = "group_by_label"


class MultiDatasetBatchSamplers(str, Enum):
    """From which of several data sets the next batch comes."""

    ROUND_ROBIN = "round_robin"
    PROPORTIONAL = "proportional"


BATCH_SAMPLERS: dict[BatchSamplers, type[DefaultBatchSampler]] = {
    BatchSamplers.BATCH_SAMPLER: DefaultBatchSampler,
    BatchSamplers.NO_DUPLICATES: NoDuplicatesBatchSampler,
    BatchSamplers.NO_DUPLICATES_HASHED: NoDuplicatesBatchSampler,  # this one always hashes
    BatchSamplers.GROUP_BY_LABEL: GroupByLabelBatchSampler,
}
MULTI_DATASET_BATCH_SAMPLERS: dict[MultiDatasetBatchSamplers, type[MultiDatasetDefaultBatchSampler]] = {
    MultiDatasetBatchSamplers.ROUND_ROBIN: RoundRobinBatchSampler,
    MultiDatasetBatchSamplers.PROPORTIONAL: ProportionalBatchSampler,
}


@dataclass
class ModelTrainingArguments(TrainingArguments):
    """Settings of a run; all those of ``transformers.TrainingArguments``, and these.

    Dictionaries may be given as JSON, as command lines have them.

    Args:
        prompts: the text put before each text of the data: one for all; or column -> prompt; or data set ->
            prompt or such a dictionary.
        batch_sampler: ``"batch_sampler"`` (rows at random), ``"no_duplicates"`` (no text twice in a batch, for
            losses whose negatives are the other rows), ``"group_by_label"`` (each label at least twice in a
            batch); or a class or function that is called with (dataset, batch_size, drop_last,
            valid_label_columns, generator, seed).
        multi_dataset_batch_sampler: ``"proportional"`` (all batches of all data sets) or ``"round_robin"`` (in
            turn, until the smallest is used up).
        router_mapping: column -> route, for models that begin with a Router.
        learning_rate_mapping: regular expression -> rate of the parameters whose names it finds; the first
            that matches counts. Names are those of ``model.named_parameters()``; a loss's own begin with
            ``losses.``.
        warmup_ratio: share of the steps over which the rate rises.
        check_data: check all rows before the first step and show what each column is used for.

    Other defaults than transformers': ``bf16`` is on where the CPU, or the GPU, computes bfloat16
    natively (``bf16=False`` for float32), memory is not pinned where there is nothing to copy it to, and a loss
    that is NaN is not left out of means (``logging_nan_inf_filter``); training stops at it.
    """

    # None: decided by what the machine computes natively.
    bf16: bool | None = None
    # HfArgumentParser reads the types: of several it takes the enumeration, or the text where None comes second.
    prompts: str | None | dict[str, str] | dict[str, dict[str, str]] = field(  # noqa: RUF036
        default=None,
        metadata={"help": "What is put before each text: a text, or JSON, column or data set to text."},
    )
    batch_sampler: BatchSamplers | str | Callable[..., Any] = field(
        default=BatchSamplers.BATCH_SAMPLER, metadata={"help": "How rows are put together into batches."}
    )
    multi_dataset_batch_sampler: MultiDatasetBatchSamplers | str | Callable[..., Any] = field(
        default=MultiDatasetBatchSamplers.PROPORTIONAL,
        metadata={"help": "From which of several data sets the next batch comes."},
    )
    router_mapping: str | None | dict[str, str] | dict[str, dict[str, str]] = field(  # noqa: RUF036
        default_factory=dict,
        metadata={"help": "The route of each column, as JSON, for a model with a Router."},
    )
    learning_rate_mapping: str | None | dict[str, float] = field(  # noqa: RUF036
        default_factory=dict,
        metadata={"help": "Learning rates of parameters, as JSON: regular expression to rate."},
    )
    warmup_ratio: float | None = None
    check_data: bool = True
    logging_nan_inf_filter: bool = False

    def __post_init__(self) -> None:
        self.batch_sampler = _enumerated(BatchSamplers, self.batch_sampler, "batch_sampler")
        self.multi_dataset_batch_sampler = _enumerated(
            MultiDatasetBatchSamplers, self.multi_dataset_batch_sampler, "multi_dataset_batch_sampler"
        )
        self.prompts = _read_json(self.prompts)
        self.router_mapping = _mapping(self.router_mapping, "router_mapping")
        self.learning_rate_mapping = _mapping(self.learning_rate_mapping, "learning_rate_mapping")
        for pattern, rate in self.learning_rate_mapping.items():
            _check_rate(pattern, rate)
        if self.warmup_ratio is not None:
            if not 0 <= self.warmup_ratio <= 1:
                raise InputError(f"warmup_ratio={self.warmup_ratio!r} is not a share from 0 to 1")
            # transformers reads numbers below 1 as shares.
            self.warmup_steps = min(self.warmup_ratio, 1 - 1e-9)
        # Batches hold texts and names, which accelerate cannot hand from one process to others as it does with streams.
        config: Any = getattr(self, "accelerator_config", None)
        if config is None or isinstance(config, Mapping):
            self.accelerator_config = {"dispatch_batches": False, **(config or {})}
        old, new = getattr(self, "gradient_checkpointing", None), "activation_checkpointing"
        if (
            old is not None and getattr(self, new, False) is None
        ):  # the old name is a warning in transformers 5.23
            kwargs = getattr(self, "gradient_checkpointing_kwargs", None)
            self.__dict__.update({new: old, f"{new}_kwargs": kwargs})
            self.__dict__.update(gradient_checkpointing=None, gradient_checkpointing_kwargs=None)
        if not accelerator_is_available():
            self.use_cpu = True
        if self.use_cpu:
            self.dataloader_pin_memory = False
        if self.bf16 is None:
            device = "cpu" if self.use_cpu else "cuda" if torch.cuda.is_available() else "other"
            self.bf16 = not self.fp16 and bf16_by_default(device)
        super().__post_init__()

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON has them; classes and functions by their names."""
        found: dict[str, Any] = super().to_dict()
        for key in ("batch_sampler", "multi_dataset_batch_sampler"):
            value = found.get(key)
            if callable(value):
                found[key] = getattr(value, "__name__", type(value).__name__)
        return found


def accelerator_is_available() -> bool:
    """Whether torch has a GPU or the like to compute on."""
    return bool(torch.cuda.is_available() or torch.backends.mps.is_available()) or _other_accelerator()


def _other_accelerator() -> bool:
    found = getattr(torch, "accelerator", None)  # torch 2.6
    return bool(found is not None and found.is_available())


def _enumerated(kind: type[Enum], value: Any, argument: str) -> Any:
    if isinstance(value, str) and not isinstance(value, Enum):
        check_choice(value, [each.value for each in kind], argument)
        return kind(value)
    if not isinstance(value, kind) and not callable(value):
        raise InputTypeError(
            f"{argument}={value!r} is {type(value).__name__}; give one of "
            f"{', '.join(repr(each.value) for each in kind)}, or a class or function that makes a sampler"
        )
    return value


def _read_json(value: Any) -> Any:
    """What a text says that is a JSON object; anything else as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith("{"):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise InputError(f"{value!r} begins like JSON and is none ({error})") from error


def _mapping(value: Any, argument: str) -> dict[str, Any]:
    found = _read_json(value) or {}
    if not isinstance(found, Mapping):
        error = InputError if isinstance(found, str) else InputTypeError
        raise error(f"{argument}={value!r} is {type(value).__name__}; give a dictionary, or one as JSON")
    return dict(found)


def _check_rate(pattern: Any, rate: Any) -> None:
    try:
        re.compile(pattern)
    except (re.error, TypeError) as error:
        raise InputError(f"learning_rate_mapping: {pattern!r} is no regular expression ({error})") from error
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or rate < 0:
        raise InputError(f"learning_rate_mapping[{pattern!r}]={rate!r} is not a learning rate")
