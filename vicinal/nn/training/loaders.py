"""Data sets become batches: rows one behind another, a sampler over them, and what torch's loader is told."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from vicinal.nn.training.arguments import (
    BATCH_SAMPLERS,
    MULTI_DATASET_BATCH_SAMPLERS,
    BatchSamplers,
    MultiDatasetBatchSamplers,
    SentenceTransformerTrainingArguments,
)
from vicinal.nn.training.columns import LABEL_COLUMNS, ColumnPlan
from vicinal.nn.training.rows import Rows, Sources, is_stream


def joined_rows(sources: Sources, plans: Mapping[str | None, ColumnPlan]) -> Any:
    """All data sets as one, with the columns that are read; a stream as it is; None if there are none."""
    if not sources:
        return None
    only = next(iter(sources.values()))
    if is_stream(only):
        return only
    # A transform of the user's may need columns that the plan does not name.
    return Rows(
        {
            name: each if each.format["type"] == "custom" else each.select_columns(plans[name].names)
            for name, each in sources.items()
        }
    )


def batch_sampler(
    args: SentenceTransformerTrainingArguments,
    rows: Rows,
    plans: Mapping[str | None, ColumnPlan],
    batch_size: int,
    *,
    drop_last: bool,
    training: bool,
) -> Any:
    """The sampler that the settings ask for; evaluation keeps the order of the rows."""
    seed = args.data_seed if args.data_seed is not None else args.seed
    shuffle = training and getattr(args, "train_sampling_strategy", "random") != "sequential"
    kind: Any = args.batch_sampler
    if isinstance(kind, BatchSamplers):
        kind = partial(BATCH_SAMPLERS[kind], shuffle=shuffle)
    samplers = []
    for name, dataset in zip(rows.names, rows.datasets, strict=True):
        label = plans[name].label
        labels = list(LABEL_COLUMNS) if label is None else [label]
        samplers.append(kind(dataset, batch_size, drop_last, labels, torch.Generator(), seed))
    if rows.names == [None]:
        return samplers[0]
    multiple: Any = args.multi_dataset_batch_sampler
    if isinstance(multiple, MultiDatasetBatchSamplers):
        multiple = MULTI_DATASET_BATCH_SAMPLERS[multiple]
    return multiple(rows, samplers, torch.Generator(), seed)


def loader_options(args: SentenceTransformerTrainingArguments) -> dict[str, Any]:
    """What the settings say about torch's loader."""
    if args.dataloader_num_workers:
        # Workers are forks, in which the threads of the tokenizers do not exist.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return {
        "num_workers": args.dataloader_num_workers,
        "pin_memory": args.dataloader_pin_memory,
        "persistent_workers": args.dataloader_persistent_workers,
        "prefetch_factor": args.dataloader_prefetch_factor,
    }
