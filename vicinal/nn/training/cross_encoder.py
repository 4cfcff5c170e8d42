"""CrossEncoderTrainer and its settings: training of models that score pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vicinal.errors import InputError
from vicinal.nn.losses.cross_encoder.lists import as_labels
from vicinal.nn.training.arguments import ModelTrainingArguments
from vicinal.nn.training.columns import ColumnPlan
from vicinal.nn.training.model_trainer import ModelTrainer
from vicinal.nn.training.trained import LossLike


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
        # Batches hold texts, which accelerate cannot hand from one process to others, as it does with streams.
        config: Any = getattr(self, "accelerator_config", None)
        if config is None or isinstance(config, Mapping):
            self.accelerator_config = {"dispatch_batches": False, **(config or {})}
        super().__post_init__()


class CrossEncoderDataCollator:
    """Puts the columns of a batch side by side; the loss makes pairs of them and tokenises these.

    The batch is ``{"columns": [texts of each column], "label": tensor}`` (a list of tensors where the labels are lists
    of different lengths), and ``dataset_name`` where there are
    several data sets.

    Args:
        plans: data set -> what its columns are for.
    """

    def __init__(self, plans: Mapping[str | None, ColumnPlan]) -> None:
        self.plans = dict(plans)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """One batch of rows, all of one data set."""
        name = rows[0].get("dataset_name")
        plan = self.plans[name]
        batch: dict[str, Any] = {"columns": [[row[column] for row in rows] for _, column in plan.texts]}
        if plan.label is not None:
            batch["label"] = as_labels([row[plan.label] for row in rows])
        if name is not None:
            batch["dataset_name"] = name
        return batch


class CrossEncoderTrainer(ModelTrainer):
    """Trains a ``CrossEncoder`` on pairs, or on tuples whose first text goes with each of the others.

    Arguments, checks and reports are those of ``SentenceTransformerTrainer``; the default loss is
    BinaryCrossEntropyLoss for a model with one label, CrossEntropyLoss for one with several.
    """

    model_kind = "CrossEncoder"
    model_method = "predict"
    arguments_class = CrossEncoderTrainingArguments

    def default_loss(self) -> LossLike:
        """The loss where none is given."""
        from vicinal.nn.losses.cross_encoder import BinaryCrossEntropyLoss, CrossEntropyLoss

        return lambda model: (BinaryCrossEntropyLoss if model.num_labels == 1 else CrossEntropyLoss)(model)

    def make_collator(self, plans: Mapping[str | None, ColumnPlan]) -> Callable[[list[Any]], dict[str, Any]]:
        """What makes a batch of rows."""
        return CrossEncoderDataCollator(plans)

    def read_batch(self, batch: Mapping[str, Any]) -> tuple[list[Any], Any, str | None]:
        """What the loss is called with: columns, labels; and the name of the data set."""
        return batch["columns"], batch.get("label"), batch.get("dataset_name")

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
