"""CrossEncoderTrainer and its settings: training of models that score pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from vicinal.errors import InputError
from vicinal.nn.losses.cross_encoder.lists import as_labels
from vicinal.nn.training.arguments import ModelTrainingArguments
from vicinal.nn.training.collator import BaseDataCollator
from vicinal.nn.training.model_trainer import ModelTrainer


@dataclass
class CrossEncoderTrainingArguments(ModelTrainingArguments):
    """Settings of a run: all those of ``transformers.TrainingArguments``, and those of every trainer of ours
    (:class:`ModelTrainingArguments`), but for ``prompts`` and ``router_mapping``, which a CrossEncoder does not have.

    Raises:
        InputError: one of these two is given.
    """

    def __post_init__(self) -> None:
        for argument in ("prompts", "router_mapping"):
            if getattr(self, argument):
                raise InputError(
                    f"{argument}={getattr(self, argument)!r}: a CrossEncoder reads pairs as they are; put the prompt "
                    "into the data, or leave it out"
                )
        super().__post_init__()


@dataclass
class CrossEncoderDataCollator(BaseDataCollator):
    """Gives the texts of each column; the loss makes pairs of them and tokenises these.

    The batch is ``{column: texts}`` with ``label``, and ``dataset_name`` where there are several data sets.
    """

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """One batch of rows, all of one data set."""
        if not features:
            return {}
        plan = self.plan_of(features[0])
        batch: dict[str, Any] = {role: [row[column] for row in features] for role, column in plan.texts}
        if plan.label is not None:
            batch["label"] = self.labels([row[plan.label] for row in features])
        if "dataset_name" in features[0]:
            batch["dataset_name"] = features[0]["dataset_name"]
        return batch

    def labels(self, values: list[Any]) -> Any:
        """The labels as one tensor: (n,) or (n, k); as a list of tensors where rows have different numbers of them."""
        return as_labels(values)


class CrossEncoderTrainer(ModelTrainer):
    """Trains a ``CrossEncoder`` on pairs, or on tuples whose first text goes with each of the others.

    Arguments, checks and reports are those of ``SentenceTransformerTrainer``; the default loss is
    BinaryCrossEntropyLoss for a model with one label, CrossEntropyLoss for one with several.
    """

    model_kind = "CrossEncoder"
    model_method = "predict"
    training_args_class = CrossEncoderTrainingArguments
    data_collator_class = CrossEncoderDataCollator

    def get_default_loss(self, model: Any) -> nn.Module:
        """The loss where none is given."""
        from vicinal.nn.losses.cross_encoder import BinaryCrossEntropyLoss, CrossEntropyLoss

        return (BinaryCrossEntropyLoss if model.num_labels == 1 else CrossEntropyLoss)(model)

    def read_batch(self, batch: Mapping[str, Any]) -> tuple[list[Any], Any, str | None]:
        """What the loss is called with: columns, labels; and the name of the data set."""
        columns = [
            value for key, value in batch.items() if key != "label" and isinstance(value, (list, tuple))
        ]
        return columns, batch.get("label"), batch.get("dataset_name")

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: Any = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> Any:
        """As in the base; a head that was made for the model is not new afterwards."""
        result = super().train(resume_from_checkpoint, trial, ignore_keys_for_eval)
        self.owner.head_is_new = False
        return result
