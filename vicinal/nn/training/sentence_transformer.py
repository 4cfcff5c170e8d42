"""SentenceTransformerTrainer and its settings: training of models that give vectors."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from vicinal.errors import InputError, InputTypeError
from vicinal.nn.training.arguments import ModelTrainingArguments
from vicinal.nn.training.collator import SentenceTransformerDataCollator, check_names, split_batch
from vicinal.nn.training.model_trainer import ModelTrainer


@dataclass
class SentenceTransformerTrainingArguments(ModelTrainingArguments):
    """Settings of a run: all those of ``transformers.TrainingArguments``, and those of every trainer of ours
    (:class:`ModelTrainingArguments`).

    Raises:
        InputTypeError: a prompt that is not a text.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_prompts(self.prompts)


class SentenceTransformerTrainer(ModelTrainer):
    """Trains a SentenceTransformer on pairs, triplets, labelled texts, ...: what the loss asks for.

    It is transformers' Trainer, so logging, callbacks, schedules, accumulation of gradients, checkpoints and
    several processes work as its documentation says. ``trainer.model`` is a torch module that holds the model's
    modules and the losses; ``trainer.model.owner`` is the SentenceTransformer, trained in place.

    Args:
        model: the model.
        args: settings of the run.
        train_dataset: a ``datasets.Dataset`` or ``IterableDataset``, a list of dictionaries or of
            InputExample; or a dictionary of such by name.
        eval_dataset: likewise; the loss on it is ``eval_loss``, or ``eval_{name}_loss``.
        loss: a loss, its class, or a function that makes it of the model; or data set -> one of these. Default
            CoSENTLoss.
        evaluator: called with the model whenever it is evaluated, once before training and once after; several
            in a list. Its metrics get the prefix ``eval_``.
        data_collator: makes batches of rows; default tokenises each text column.
        processing_class: a tokenizer to use in place of the model's; ``tokenizer`` is its old name.
        model_init: makes a new model for each run, in place of ``model``; for ``hyperparameter_search``.
        callbacks, optimizers, optimizer_cls_and_kwargs: as transformers has them.
        compute_metrics, preprocess_logits_for_metrics: not for these models, which have no logits.
        columns: which columns to use, in which order and role: a list, or role -> column, as in
            ``{"anchor": "question", "positive": "answer", "label": "y"}``; or data set -> one of these. Default
            all: the first of ``label``, ``labels``, ``score``, ``scores`` is the label, the others are texts.

    Raises:
        InputError, InputTypeError: an argument that cannot be meant; columns that the data do not have.
    """

    model_kind = "SentenceTransformer"
    model_method = "encode"
    training_args_class = SentenceTransformerTrainingArguments
    data_collator_class = SentenceTransformerDataCollator

    def get_default_loss(self, model: Any) -> nn.Module:
        """The loss where none is given."""
        from vicinal.nn.losses.scores import CoSENTLoss

        return CoSENTLoss(model)

    def get_data_collator(self, model: Any, args: Any, processing_class: Any = None) -> Any:
        """What makes a batch of rows; a subclass may give its own.

        Raises:
            InputError: a prompt or a route for a column or data set that does not exist; routes for a model
                without any.
        """
        all_plans = [*self.plans.items(), *self.eval_plans.items()]
        check_names(args.prompts, all_plans, "prompts")
        check_names(args.router_mapping, all_plans, "router_mapping")
        if args.router_mapping and "task" not in inspect.signature(model.module[0].tokenize).parameters:
            raise InputError(
                f"router_mapping={dict(args.router_mapping)!r}: the model does not begin with a Router, which alone "
                "has routes; leave it out"
            )
        return super().get_data_collator(model, args, processing_class)

    def read_batch(self, batch: Mapping[str, Any]) -> tuple[list[Any], Any, str | None]:
        """What the loss is called with: columns, labels; and the name of the data set."""
        return split_batch(batch)


def _check_prompts(prompts: Any) -> None:
    if prompts is None or isinstance(prompts, str):
        return
    if not isinstance(prompts, Mapping):
        raise InputTypeError(f"prompts={prompts!r} is {type(prompts).__name__}; give a text or a dictionary")
    for name, prompt in prompts.items():
        if isinstance(prompt, Mapping):
            _check_prompts(prompt)
        elif not isinstance(prompt, str):
            raise InputTypeError(f"prompts[{name!r}]={prompt!r} is {type(prompt).__name__}, not a text")
