"""Data sets become batches: rows one behind another, a sampler over them, and what torch's loader is told."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader

from vicinal.errors import InputError
from vicinal.nn.training.arguments import (
    BATCH_SAMPLERS,
    BatchSamplers,
    ModelTrainingArguments,
    MultiDatasetBatchSamplers,
)
from vicinal.nn.training.columns import LABEL_COLUMNS, ColumnPlan
from vicinal.nn.training.rows import Rows, Sources, is_stream
from vicinal.nn.training.samplers import DefaultBatchSampler


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


def make_loader(
    trainer: Any,
    rows: Any,
    plans: Mapping[str | None, ColumnPlan],
    batch_size: int,
    collate: Callable[[list[Any]], dict[str, Any]],
    *,
    training: bool,
) -> DataLoader[Any]:
    """Batches of the rows that :func:`joined_rows` gave, as the trainer's samplers choose them.

    Raises:
        InputError: there are not enough rows for one batch.
    """
    args = trainer.args
    options = {**loader_options(args), "collate_fn": collate}
    if is_stream(rows):
        return DataLoader(rows, batch_size=batch_size, drop_last=args.dataloader_drop_last, **options)
    # Several processes fill up a last batch with rows that may be of another data set than the batch.
    drop_last = training and (args.dataloader_drop_last or args.world_size > 1)
    sampler = _sampler_of(trainer, rows, plans, batch_size, drop_last=drop_last, training=training)
    if training and hasattr(sampler, "__len__") and not len(sampler):
        raise InputError(
            f"per_device_train_batch_size={batch_size}: the {len(rows)} rows do not fill one batch, and "
            "batches that are not full are dropped; use a smaller one"
        )
    return DataLoader(rows, batch_sampler=sampler, **options)


def _sampler_of(
    trainer: Any,
    rows: Rows,
    plans: Mapping[str | None, ColumnPlan],
    batch_size: int,
    *,
    drop_last: bool,
    training: bool,
) -> Any:
    """The sampler that the trainer gives; evaluation keeps the order of the rows, unless a sampler of the user's
    has another.

    Raises:
        InputError: the trainer's methods give none.
    """
    args = trainer.args
    seed = args.data_seed if args.data_seed is not None else args.seed
    shuffle = training and getattr(args, "train_sampling_strategy", "random") != "sequential"
    samplers = []
    for name, dataset in zip(rows.names, rows.datasets, strict=True):
        label = plans[name].label
        sampler = trainer.get_batch_sampler(
            dataset,
            batch_size=batch_size,
            drop_last=drop_last,
            valid_label_columns=list(LABEL_COLUMNS) if label is None else [label],
            generator=torch.Generator().manual_seed(seed or 0),
            seed=seed,
        )
        if sampler is None:
            raise InputError(
                f"{type(trainer).__name__}.get_batch_sampler gave None: return a sampler, or super().get_batch_sampler"
            )
        if type(sampler) in BATCH_SAMPLERS.values() and isinstance(args.batch_sampler, BatchSamplers):
            sampler.shuffle = shuffle
        samplers.append(sampler)
    if rows.names == [None]:
        return samplers[0]
    generator = torch.Generator().manual_seed(seed or 0)
    if isinstance(args.multi_dataset_batch_sampler, MultiDatasetBatchSamplers):
        # As in sentence-transformers, where all draw from one generator: otherwise data sets of one length would
        # be mixed in one order.
        for each in samplers:
            if isinstance(each, DefaultBatchSampler):
                each.continue_draws(generator)
    return trainer.get_multi_dataset_batch_sampler(
        dataset=rows,
        batch_samplers=samplers,
        generator=generator,
        seed=seed,
    )


def loader_options(args: ModelTrainingArguments) -> dict[str, Any]:
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
