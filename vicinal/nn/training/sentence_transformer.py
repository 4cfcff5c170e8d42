"""SentenceTransformerTrainer and its settings: training of models that give vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from vicinal.errors import InputTypeError
from vicinal.nn.training.arguments import ModelTrainingArguments
from vicinal.nn.training.collator import SentenceTransformerDataCollator, check_names, split_batch
from vicinal.nn.training.columns import ColumnPlan
from vicinal.nn.training.model_trainer import ModelTrainer
from vicinal.nn.training.trained import LossLike


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
    arguments_class = SentenceTransformerTrainingArguments

    def default_loss(self) -> LossLike:
        """The loss where none is given."""
        from vicinal.nn.losses.scores import CoSENTLoss

        return CoSENTLoss

    def make_collator(self, plans: Mapping[str | None, ColumnPlan]) -> Callable[[list[Any]], dict[str, Any]]:
        """What makes a batch of rows.

        Raises:
            InputError: a prompt or a route for a column or data set that does not exist.
        """
        all_plans = [*self.plans.items(), *self.eval_plans.items()]
        check_names(self.args.prompts, all_plans, "prompts")
        check_names(self.args.router_mapping, all_plans, "router_mapping")
        first = self.owner.module[0]
        skips_prompt = any(getattr(each, "include_prompt", True) is False for each in self.owner.module)
        return SentenceTransformerDataCollator(
            first.tokenize,
            plans,
            self.args.prompts,
            partial(_prompt_length, first) if skips_prompt else None,
            self.args.router_mapping,
        )

    def read_batch(self, batch: Mapping[str, Any]) -> tuple[list[Any], Any, str | None]:
        """What the loss is called with: columns, labels; and the name of the data set."""
        return split_batch(batch)


def _prompt_length(first: Any, prompt: str) -> int:
    """Tokens that a prompt takes at the start of a text, special tokens in front of it included."""
    ids = first.tokenize([prompt])["input_ids"][0].tolist()
    special = set(getattr(first.tokenizer, "all_special_ids", ()))
    while ids and ids[-1] in special:
        ids.pop()
    return len(ids)


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
