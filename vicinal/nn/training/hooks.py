"""What subclasses of a trainer override: how data, losses, samplers and collators are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from vicinal.errors import InputError
from vicinal.nn.training.arguments import (
    BATCH_SAMPLERS,
    MULTI_DATASET_BATCH_SAMPLERS,
    BatchSamplers,
    ModelTrainingArguments,
    MultiDatasetBatchSamplers,
)
from vicinal.nn.training.reached import ReachedTrainer
from vicinal.nn.training.trained import ready_loss

_RESERVED = ("dataset_name", "return_loss")


class HookedTrainer(ReachedTrainer):
    """The steps of a ``ModelTrainer`` that a subclass may replace."""

    training_args_class: ClassVar[type[ModelTrainingArguments]]
    data_collator_class: ClassVar[Any]

    args: Any
    train_dataset: Any
    eval_dataset: Any

    # losses

    def get_default_loss(self, model: Any) -> nn.Module:
        """The loss where none is given."""
        raise NotImplementedError(f"{type(self).__name__} has no get_default_loss(model)")

    def prepare_loss(self, loss: Any, model: Any) -> Any:
        """The loss that is used, of the given one or of what makes it of the model.

        Args:
            loss: a loss, or a class or function that makes one of a model.
            model: the model that is trained.
        """
        made = ready_loss(loss, model)
        return made.to(self.args.device) if isinstance(made, nn.Module) else made

    # data

    def validate_column_names(self, dataset: Any, dataset_name: str | None = None) -> None:
        """Refuse names of columns that a trainer uses itself.

        Args:
            dataset: a data set, or a dictionary of them.
            dataset_name: its name in errors.

        Raises:
            InputError: there is such a column.
        """
        if isinstance(dataset, Mapping):
            for name, each in dataset.items():
                self.validate_column_names(each, name)
            return
        for name in _RESERVED:
            if name in (getattr(dataset, "column_names", None) or ()):
                where = f"the data set {dataset_name!r}" if dataset_name else "the data set"
                raise InputError(f"{where} has a column {name!r}, a name that is taken; rename_column() it")

    def preprocess_dataset(self, dataset: Any = None, dataset_name: str | None = None) -> Any:
        """The data that are used, of those that were given; called when the trainer is made.

        Args:
            dataset: data in every form that the trainer takes; None if there are none.
            dataset_name: ``"train"`` or ``"eval"``.
        """
        if dataset is not None:
            self.validate_column_names(dataset, dataset_name)
        return dataset

    def _preprocess_data(self, train: Any, evaluation: Any) -> None:
        if train is not None:
            found = self.preprocess_dataset(train, dataset_name="train")
            if found is not train:
                self.train_dataset = found
        if evaluation is not None:
            found = self.preprocess_dataset(evaluation, dataset_name="eval")
            if found is not evaluation:
                self.eval_dataset = found

    def get_data_collator(self, model: Any, args: Any, processing_class: Any = None) -> Any:
        """What makes a batch of rows; used where no ``data_collator`` is given."""
        return self.data_collator_class(
            preprocess_fn=model.preprocess,
            router_mapping=args.router_mapping or {},
            prompts=args.prompts or {},
        )

    def get_batch_sampler(
        self,
        dataset: Any,
        batch_size: int,
        drop_last: bool,
        valid_label_columns: Sequence[str] | None = None,
        generator: torch.Generator | None = None,
        seed: int = 0,
    ) -> Any:
        """Which rows of a data set make a batch: lists of row numbers. Not used for streams.

        Args:
            dataset: the data set.
            batch_size: rows a batch.
            drop_last: leave out a last batch that is not full.
            valid_label_columns: columns that are labels and not texts.
            generator: what draws.
            seed: of the first epoch.
        """
        kind: Any = self.args.batch_sampler
        if isinstance(kind, BatchSamplers):
            kind = BATCH_SAMPLERS[kind]
        return kind(
            dataset,
            batch_size=batch_size,
            drop_last=drop_last,
            valid_label_columns=valid_label_columns,
            generator=generator,
            seed=seed,
        )

    def get_multi_dataset_batch_sampler(
        self,
        dataset: Any,
        batch_samplers: Sequence[Any],
        generator: torch.Generator | None = None,
        seed: int | None = 0,
    ) -> Any:
        """From which of several data sets the next batch comes.

        Args:
            dataset: the data sets one behind another.
            batch_samplers: one for each.
            generator: what draws.
            seed: of the first epoch.
        """
        kind: Any = self.args.multi_dataset_batch_sampler
        if isinstance(kind, MultiDatasetBatchSamplers):
            kind = MULTI_DATASET_BATCH_SAMPLERS[kind]
        return kind(dataset, batch_samplers=batch_samplers, generator=generator, seed=seed)

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Called once, when the trainer is made. It does nothing here: the model card is written from what the
        trainer records.

        Args:
            default_args_dict: nothing.
        """
