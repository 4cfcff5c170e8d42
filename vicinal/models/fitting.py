"""fit: the short way to train a model; the trainers are the long one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vicinal.core.inputs import explains_keywords


class SentenceFit:
    """Base of models that are trained by losses on vectors."""

    @explains_keywords
    def fit(
        self,
        train_objectives: Iterable[tuple[Any, Any]],
        evaluator: Any = None,
        epochs: int = 1,
        steps_per_epoch: int | None = None,
        scheduler: str = "WarmupLinear",
        warmup_steps: int = 10_000,
        optimizer_class: Any = None,
        optimizer_params: Mapping[str, Any] | None = None,
        weight_decay: float = 0.01,
        evaluation_steps: int = 0,
        output_path: str | os.PathLike[str] | None = None,
        save_best_model: bool = True,
        max_grad_norm: float | None = 1.0,
        use_amp: bool | None = None,
        callback: Callable[[float, int, int], Any] | None = None,
        show_progress_bar: bool = True,
        checkpoint_path: str | os.PathLike[str] | None = None,
        checkpoint_save_steps: int = 500,
        checkpoint_save_total_limit: int = 0,
        resume_from_checkpoint: bool | str | os.PathLike[str] = False,
    ) -> None:
        """Train the model; the short way, :class:`SentenceTransformerTrainer` is the long one.

        Afterwards :meth:`encode` uses the new weights; they are those of the last step, also where
        ``output_path`` holds better ones.

        Args:
            train_objectives: pairs of a torch ``DataLoader`` over InputExample and a loss. Each step takes one
                batch of each pair in turn and updates the weights after each; short loaders begin anew.
            evaluator: called with the model before training, after each epoch and every ``evaluation_steps``;
                gives a number or a dictionary of numbers. None or an empty dictionary is no score: without any, the
                last model is saved.
            epochs: how often to go through the data.
            steps_per_epoch: default the batches of the shortest loader.
            scheduler: ``"constantlr"``, ``"warmupconstant"``, ``"warmuplinear"``, ``"warmupcosine"`` or
                ``"warmupcosinewithhardrestarts"``.
            warmup_steps: steps in which the learning rate grows from 0. If they are more than the run has, a
                tenth of the run is taken, with a warning.
            optimizer_class: default ``torch.optim.AdamW``, the fused one.
            optimizer_params: its arguments; the default of ``lr`` is 2e-5.
            weight_decay: of all weights but biases and norms.
            evaluation_steps: steps between evaluations; 0 for the end of each epoch only.
            output_path: where the model is saved; evaluators write into its folder ``eval``.
            save_best_model: save whenever the evaluator finds a better one; if False, or without an evaluator,
                the last one is saved.
            max_grad_norm: gradients are scaled down to this norm; None leaves them.
            use_amp: matrix products in bfloat16; None does so where the device computes them natively.
            callback: called with (score, epoch, steps) after each evaluation that gave a score, except the one
                before training.
            show_progress_bar: a bar with the loss and examples a second.
            checkpoint_path: folder for ``checkpoint-STEP``, from which a run goes on as if never interrupted.
            checkpoint_save_steps: steps between checkpoints.
            checkpoint_save_total_limit: how many to keep, the newest; 0 keeps all.
            resume_from_checkpoint: True takes the newest in ``checkpoint_path``, if there is one; or its folder.

        Raises:
            InputError, InputTypeError: examples that the loss cannot mean, named, before the first step; a loss
                or gradient that is no number, with its step, before it harms the weights.
            MissingExtraError: torch or transformers is not installed.

        Warns:
            UserWarning: the evaluator's score fell, or it gave none; or ``warmup_steps`` exceeds the run.
        """
        from vicinal.core.torch import require_torch

        require_torch("fit")
        from vicinal.nn.fit.loop import Settings
        from vicinal.nn.fit.sentence_transformer import fit

        settings = Settings(
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
            scheduler=scheduler,
            warmup_steps=warmup_steps,
            optimizer_class=optimizer_class,
            optimizer_params=optimizer_params,
            weight_decay=weight_decay,
            evaluation_steps=evaluation_steps,
            output_path=output_path,
            save_best_model=save_best_model,
            max_grad_norm=max_grad_norm,
            use_amp=use_amp,
            callback=callback,
            show_progress_bar=show_progress_bar,
            checkpoint_path=checkpoint_path,
            checkpoint_save_steps=checkpoint_save_steps,
            checkpoint_save_total_limit=checkpoint_save_total_limit,
            resume_from_checkpoint=resume_from_checkpoint,
        )
        fit(self, train_objectives, evaluator, settings)


class PairFit:
    """Base of models that are trained by losses on the scores of pairs."""

    #: whether the head is a new one, and not trained yet
    head_is_new: bool

    @explains_keywords
    def fit(
        self,
        train_dataloader: Any,
        evaluator: Any = None,
        epochs: int = 1,
        loss_fct: Any = None,
        activation_fct: Any = None,
        scheduler: str = "WarmupLinear",
        warmup_steps: int = 10000,
        optimizer_class: Any = None,
        optimizer_params: Mapping[str, Any] | None = None,
        weight_decay: float = 0.01,
        evaluation_steps: int = 0,
        output_path: str | os.PathLike[str] | None = None,
        save_best_model: bool = True,
        max_grad_norm: float = 1.0,
        use_amp: bool | None = None,
        callback: Callable[[float, int, int], None] | None = None,
        show_progress_bar: bool = True,
        *,
        activation_fn: Any = None,
        steps_per_epoch: int | None = None,
        checkpoint_path: str | os.PathLike[str] | None = None,
        checkpoint_save_steps: int = 500,
        checkpoint_save_total_limit: int = 0,
        resume_from_checkpoint: bool | str | os.PathLike[str] = False,
    ) -> None:
        """Train on examples; needs the extra ``train``.

        Args:
            train_dataloader: a ``torch.utils.data.DataLoader`` over ``InputExample(texts=[a, b], label=x)``.
            evaluator: called with the model before training, every ``evaluation_steps`` and after each epoch;
                gives a number or a dictionary of numbers. None or an empty dictionary is no score: without any, the
                last model is saved.
            epochs: times that all examples are seen.
            loss_fct: a loss of ``vicinal.cross_encoder.losses``, or a function of raw scores and labels such as
                ``torch.nn.BCEWithLogitsLoss()``; default the cross-entropy of one label or of several.
            activation_fct: what raw scores go through before the loss, default nothing; ``activation_fn`` is the
                same. A loss of ``vicinal.cross_encoder.losses`` has its own.
            scheduler: of the learning rate: ``"constantlr"``, ``"warmupconstant"``, ``"warmuplinear"``,
                ``"warmupcosine"`` or ``"warmupcosinewithhardrestarts"``, in any case.
            warmup_steps: in which the rate rises; more than the run has become a tenth of it, with a warning.
            optimizer_class: default ``torch.optim.AdamW``, fused.
            optimizer_params: for it; the default of ``lr`` is 2e-5.
            weight_decay: of all weights but biases and normalisations.
            evaluation_steps: batches between evaluations; 0 for none within an epoch.
            output_path: the folder for the model and, in ``eval``, the evaluator's files.
            save_best_model: save the model of the best score; otherwise, and without an evaluator, the last one.
            max_grad_norm: gradients are scaled down to this length.
            use_amp: compute in bfloat16 where that is safe; None where the device does so natively.
            callback: called with (score, epoch, steps) after each evaluation that gave a score, except the one
                before training.
            show_progress_bar: show batches and loss.
            steps_per_epoch: default the batches of the loader.
            checkpoint_path: folder for ``checkpoint-STEP``, from which a run goes on as if never interrupted.
            checkpoint_save_steps: steps between checkpoints.
            checkpoint_save_total_limit: how many to keep, the newest; 0 keeps all.
            resume_from_checkpoint: True takes the newest in ``checkpoint_path``, if there is one; or its folder.

        Raises:
            MissingExtraError: torch or transformers is not installed.
            InputError, InputTypeError: an example that the loss cannot mean, named by its row; a loss that is
                not a number, named by its step.

        Warns:
            UserWarning: the score fell, or the evaluator gave none; ``warmup_steps`` exceeds the run.
        """
        from vicinal.core.torch import require_torch

        require_torch("CrossEncoder.fit")
        from vicinal.nn.fit.cross_encoder import fit, loss_of
        from vicinal.nn.fit.loop import Settings

        activation = activation_fct if activation_fct is not None else activation_fn
        settings = Settings(
            epochs=epochs,
            scheduler=scheduler,
            warmup_steps=warmup_steps,
            optimizer_class=optimizer_class,
            optimizer_params=optimizer_params,
            weight_decay=weight_decay,
            evaluation_steps=evaluation_steps,
            output_path=output_path,
            save_best_model=save_best_model,
            max_grad_norm=max_grad_norm,
            use_amp=use_amp,
            callback=callback,
            show_progress_bar=show_progress_bar,
            steps_per_epoch=steps_per_epoch,
            checkpoint_path=checkpoint_path,
            checkpoint_save_steps=checkpoint_save_steps,
            checkpoint_save_total_limit=checkpoint_save_total_limit,
            resume_from_checkpoint=resume_from_checkpoint,
        )
        fit(self, train_dataloader, loss_of(self, loss_fct, activation), evaluator, settings)
        self.head_is_new = False
