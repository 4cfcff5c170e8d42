"""ModelTrainer: transformers' Trainer for our models; what all kinds of trainers share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from vicinal.core.inputs import explains_keywords
from vicinal.errors import InputError, InputTypeError, missing_extra
from vicinal.folder.card_records import title_of
from vicinal.nn.training.arguments import ModelTrainingArguments
from vicinal.nn.training.collator import BaseDataCollator
from vicinal.nn.training.columns import LABEL_COLUMNS, ColumnPlan, Columns, check_sources, plan_sources, show
from vicinal.nn.training.hooks import HookedTrainer
from vicinal.nn.training.loaders import joined_rows, make_loader
from vicinal.nn.training.moments import Moments
from vicinal.nn.training.rates import apply_rates
from vicinal.nn.training.rows import Sources, check_length, is_stream, read_sources
from vicinal.nn.training.run_record import run_record
from vicinal.nn.training.scores import Scores
from vicinal.nn.training.trained import (
    LossLike,
    TrainedModel,
    make_losses,
    read_losses,
    read_modules,
    whole_model,
    write_losses,
)

try:
    from transformers.trainer_utils import speed_metrics
except ImportError as error:
    raise missing_extra("transformers", "a trainer", "train") from error


class ModelTrainer(HookedTrainer):
    """Base of the trainers: data, losses, evaluators, checkpoints and the record of a run, for any kind of model.

    A kind of trainer states the attributes below and overrides :meth:`get_default_loss` and :meth:`read_batch`.
    ``SentenceTransformerTrainer`` explains the arguments.

    Attributes:
        model_kind: name of the class of models that it trains.
        model_method: a method that all of these have, and models of other kinds do not.
        training_args_class: the settings of its runs.
        data_collator_class: what makes its batches.
    """

    model_kind: ClassVar[str]
    model_method: ClassVar[str]

    args: Any
    control: Any

    @explains_keywords
    def __init__(
        self,
        model: Any = None,
        args: ModelTrainingArguments | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        loss: LossLike | Mapping[str, LossLike] | None = None,
        evaluator: Any = None,
        data_collator: Callable[[list[Any]], dict[str, Any]] | None = None,
        processing_class: Any = None,
        model_init: Callable[..., Any] | None = None,
        compute_metrics: Callable[..., Any] | None = None,
        callbacks: Sequence[Any] | None = None,
        optimizers: tuple[Any, Any] = (None, None),
        optimizer_cls_and_kwargs: tuple[type[Any], dict[str, Any]] | None = None,
        preprocess_logits_for_metrics: Callable[..., Any] | None = None,
        columns: Columns | Mapping[str, Columns] | None = None,
        *,
        tokenizer: Any = None,
    ) -> None:
        if (model is None) == (model_init is None):
            raise InputTypeError(
                "model and model_init: give the model, or a function that makes it, one of the two"
            )
        if compute_metrics is not None or preprocess_logits_for_metrics is not None:
            raise InputError(
                "compute_metrics: this model has no logits to compute metrics of; evaluator= measures it"
            )
        args = args if args is not None else self.training_args_class(output_dir="trainer_output")
        if not isinstance(args, self.training_args_class):
            raise InputTypeError(
                f"args is {type(args).__name__}; give {self.training_args_class.__name__}(...)"
            )
        if args.n_gpu > 1:  # DataParallel would copy the module and not the model that the losses call
            args._n_gpu = 1
        self._given_loss = loss if loss is not None else self.get_default_loss
        self._tokenizer = processing_class if processing_class is not None else tokenizer
        self._first_owner: Any = None
        self.args = args  # methods that a subclass overrides are called before Trainer sets it
        self._args_device = str(args.device)
        self._columns = columns
        self._label_columns = getattr(data_collator, "valid_label_columns", None) or LABEL_COLUMNS
        self.sources: Sources = read_sources(train_dataset, "train_dataset")
        self.eval_sources: Sources = read_sources(eval_dataset, "eval_dataset")
        check_length(self.sources, args.max_steps)
        self.plans = self._plans_of(self.sources, "train_dataset")
        self.eval_plans = self._plans_of(self.eval_sources, "eval_dataset")
        self.evaluator = evaluator
        self.scores = Scores(self, evaluator)
        self._sampler: Any = None
        self._checked = False
        self._ready = False
        super().__init__(
            model=None if model is None else self.trained_model(model),
            args=args,
            train_dataset=joined_rows(self.sources, self.plans),
            # Not None, so that evaluation is allowed where only an evaluator measures.
            eval_dataset=eval_dataset
            if eval_dataset is not None
            else ({} if evaluator is not None else None),
            data_collator=data_collator or list,  # replaced below, where the model is known
            model_init=model_init,
            callbacks=list(callbacks or ()),
            optimizers=optimizers,
            optimizer_cls_and_kwargs=optimizer_cls_and_kwargs,
        )
        self.add_callback(Moments(self))
        self._hand_out_owner()
        self._ready = True
        self._preprocess_data(train_dataset, eval_dataset)
        self._makes_collator = data_collator is None
        if data_collator is None:
            self.data_collator = self.get_data_collator(self.owner, self.args, self._tokenizer)
        self.add_model_card_callback({})

    # what may be assigned between making the trainer and train(), as SetFit does

    @property
    def train_dataset(self) -> Any:
        """The rows to train on; data in every form that the argument takes may be assigned."""
        return self._train_rows

    @train_dataset.setter
    def train_dataset(self, data: Any) -> None:
        if self._ready:
            self.sources = read_sources(data, "train_dataset")
            self.plans = self._plans_of(self.sources, "train_dataset")
            data = joined_rows(self.sources, self.plans)
            self._checked = False
        self._train_rows = data

    @property
    def eval_dataset(self) -> Any:
        """The data that are evaluated on; data in every form that the argument takes may be assigned."""
        return self._eval_data

    @eval_dataset.setter
    def eval_dataset(self, data: Any) -> None:
        if self._ready:
            self.eval_sources = read_sources(data, "eval_dataset")
            self.eval_plans = self._plans_of(self.eval_sources, "eval_dataset")
            self._checked = False
        self._eval_data = data

    # what a kind of trainer overrides

    def read_batch(self, batch: Mapping[str, Any]) -> tuple[list[Any], Any, str | None]:
        """What the loss is called with: columns, labels; and the name of the data set."""
        raise NotImplementedError

    # the model

    @property
    def owner(self) -> Any:
        """The model that is trained, in place."""
        return self.trained.owner

    @property
    def trained(self) -> TrainedModel:
        """The module that is trained, without what wraps it for several processes."""
        found: TrainedModel = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)
        return found

    def trained_model(self, owner: Any) -> TrainedModel:
        """Model and losses as the module that Trainer trains."""
        if not hasattr(owner, self.model_method) or not hasattr(owner, "module"):
            raise InputTypeError(
                f"model is {type(owner).__name__}; {type(self).__name__} trains a {self.model_kind}: give one"
            )
        owner.to(self._args_device)
        if self._tokenizer is not None:
            owner.module[0].tokenizer = self._tokenizer
        losses = make_losses(
            self._given_loss, owner, [*self.sources, *self.eval_sources], self._first_owner, self.prepare_loss
        )
        return TrainedModel(owner, losses)

    def call_model_init(self, trial: Any = None) -> TrainedModel:
        """A new model, with losses that start as they were given."""
        owner = super().call_model_init(trial)
        if self._first_owner is None:
            given = self._given_loss
            some = next(iter(given.values()), None) if isinstance(given, Mapping) else given
            self._first_owner = getattr(some, "model", None)
        return self.trained_model(owner)

    # data

    def _loader(
        self, rows: Any, plans: Mapping[str | None, ColumnPlan], batch_size: int, training: bool
    ) -> DataLoader[Any]:
        if self._makes_collator and isinstance(self.data_collator, BaseDataCollator):
            self.data_collator.know(plans)
        loader = make_loader(self, rows, plans, batch_size, self.data_collator, training=training)
        if training:
            self._sampler = loader.batch_sampler
        return self.accelerator.prepare(loader)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches of the training data."""
        if self.train_dataset is None:
            raise InputError("train_dataset is missing: there is nothing to train on")
        return self._loader(self.train_dataset, self.plans, self._train_batch_size, training=True)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        """Batches of an evaluation data set: its name, or the data."""
        sources = self.eval_sources
        if isinstance(eval_dataset, str):
            sources = {eval_dataset: self.eval_sources[eval_dataset]}
        elif eval_dataset is not None:
            sources = read_sources(eval_dataset, "eval_dataset")
        return self._eval_loader(sources)

    def _eval_loader(self, sources: Sources) -> DataLoader[Any]:
        plans = self._plans_of(sources, "eval_dataset")
        return self._loader(joined_rows(sources, plans), plans, self.args.eval_batch_size, training=False)

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader[Any]:
        """Batches of data to test on."""
        return self.get_eval_dataloader(test_dataset)

    def _plans_of(self, sources: Sources, argument: str) -> dict[str | None, ColumnPlan]:
        return plan_sources(sources, self._columns, argument, self._label_columns)

    def check_data(self) -> None:
        """Read all rows; show on stderr what each column is used for.

        Raises:
            InputError, InputTypeError: a row that cannot work; row and column are named.
        """
        losses = {name: self.trained.loss_of(name) for name in [*self.sources, *self.eval_sources]}
        findings = check_sources(self.sources, self.plans, losses, "train_dataset")
        if self.is_world_process_zero():
            show(findings)
        findings += check_sources(self.eval_sources, self.eval_plans, losses, "eval_dataset")
        for found in findings:
            if found.error is not None:
                raise found.error
        self._checked = True

    # training

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: Any = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> Any:
        """Train, and report the evaluator's score before and after.

        Args:
            resume_from_checkpoint: a folder ``checkpoint-N``, or True for the last one in ``output_dir``; the
                rest of the run is what it would have been without the interruption.
            trial: of a hyper-parameter search.
            ignore_keys_for_eval: has no meaning here; as transformers has it.

        Raises:
            InputError, InputTypeError: all weights are frozen, or the data cannot work (see ``args.check_data``).
        """
        self.refuse_useless()
        if self.args.check_data and not self._checked:
            self.check_data()
        start, self._trial = time.time(), trial
        self.scores.begin(enabled=trial is None)
        resume = None if resume_from_checkpoint is False else resume_from_checkpoint
        try:
            result = super().train(resume, trial, ignore_keys_for_eval)
        finally:
            self.owner.module.eval()
        best = self.args.load_best_model_at_end and self.state.best_model_checkpoint is not None
        step = self.state.best_global_step if best else self.state.global_step
        self.scores.finish(step)
        if trial is None and self.is_world_process_zero():
            self.owner.training_record = run_record(self, result.metrics, time.time() - start)
        return result

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Mapping[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The loss of a batch."""
        columns, labels = self.collect_features(inputs)
        loss: Tensor = model(columns, labels, inputs.get("dataset_name"))
        return (loss, {}) if return_outputs else loss

    def prediction_step(
        self, model: nn.Module, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[Tensor, None, None]:
        """The loss of a batch of evaluation data."""
        with torch.no_grad(), self.compute_loss_context_manager():
            loss: Tensor = self.compute_loss(model, self._prepare_inputs(inputs))
        return loss.detach().mean(), None, None

    def create_optimizer(self, model: nn.Module | None = None) -> Any:
        """The optimizer, with the rates of ``learning_rate_mapping``."""
        given = self.optimizer is not None
        optimizer = super().create_optimizer(model) if model is not None else super().create_optimizer()
        if self.args.learning_rate_mapping and not given:
            apply_rates(optimizer, model or self.model, self.args.learning_rate_mapping)
        return optimizer

    # evaluation

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """The loss on the evaluation data, and what the evaluator finds, by name."""
        given = self.preprocess_dataset(eval_dataset, "eval")
        sources = self.eval_sources if given is None else read_sources(given, "eval_dataset")
        if not sources and self.evaluator is None:
            raise InputError("eval_dataset and evaluator are missing: there is nothing to evaluate")
        metrics: dict[str, float] = {}
        for name, dataset in sources.items():
            prefix = metric_key_prefix if name is None else f"{metric_key_prefix}_{name}"
            start = time.time()
            loader = self._eval_loader({name: dataset})
            output = self.evaluation_loop(loader, "Evaluation", True, ignore_keys, prefix)
            metrics |= output.metrics
            metrics |= speed_metrics(
                prefix,
                start,
                num_samples=output.num_samples,
                num_steps=len(loader) if not is_stream(dataset) else None,
            )
        if self.evaluator is not None:
            # Outside of training, weights may have changed without a step.
            found = self.scores.at(self.state.global_step) if self.is_in_train else self.scores.now()
            # By data set too, as sentence-transformers names them where there are several.
            for prefix in [metric_key_prefix, *(f"{metric_key_prefix}_{name}" for name in sources if name)]:
                metrics |= {f"{prefix}_{key}": value for key, value in found.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        """Whether the model is the best yet; without a score it is not, and nothing is an error."""
        if self.scores.evaluators and not self.scores.at(self.state.global_step):
            wanted = str(self.args.metric_for_best_model)
            if f"eval_{wanted.removeprefix('eval_')}" not in metrics:
                return False
        best: bool = super()._determine_best_metric(metrics, trial)
        return best

    # checkpoints

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        if not self.args.should_save:
            return
        folder = Path(output_dir if output_dir is not None else self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        owner = self.owner
        gathered = state_dict if self.is_fsdp_enabled or self.is_deepspeed_enabled else None
        if gathered:
            owner = whole_model(owner, gathered)
        owner.save(str(folder), model_name=title_of(folder))
        write_losses(self.trained, folder, gathered)
        (folder / "training_args.json").write_text(self.args.to_json_string(), encoding="utf-8")

    def _read(self, folder: Path) -> None:
        read_modules(self.owner.module, folder)
        read_losses(self.trained, folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        if self.is_fsdp_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            self._read(Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_best_model()
        else:
            self._read(Path(str(self.state.best_model_checkpoint)))
