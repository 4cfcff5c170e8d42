"""CrossEncoder: reads two texts together and scores them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vicinal.core.inputs import (
    caller_level,
    check_choice,
    check_flag,
    check_options,
    check_positive,
    explains_keywords,
)
from vicinal.core.progress import progress_bar
from vicinal.engine import batching
from vicinal.engine.graphs import check_variant
from vicinal.engine.graphs.classifier_source import ClassifierGraph, choose_scorer_file
from vicinal.engine.opening import read_options, read_tokenizer
from vicinal.engine.sinks import DenseRows
from vicinal.errors import NewHeadWarning
from vicinal.folder.card_records import ModelFacts, facts_of
from vicinal.models.activations import folder_activation, softmax, written_name
from vicinal.models.device import is_usual_device, one_or_several
from vicinal.models.fitting import PairFit
from vicinal.models.heads import read_head
from vicinal.models.old_calls import PREDICT_ORDER, takes_old_calls
from vicinal.models.outputs import check_results
from vicinal.models.pairs import as_pairs
from vicinal.models.scoring import PairModel
from vicinal.models.truncation import ON_TRUNCATE, Truncations
from vicinal.models.unsaid import say_activation

if TYPE_CHECKING:
    from vicinal.core.torch import nn
    from vicinal.models.workers import WorkerPool
    from vicinal.nn.engine.live import Renewed

# Padded tokens a batch; see the note at SentenceTransformer's.
_TOKEN_BUDGET = 768


class CrossEncoder(PairModel, PairFit):
    """Scores pairs of texts.

    It reads both texts at once, which is more exact than comparing two vectors and much slower: use it on
    the few candidates that a search has found. Like ``SentenceTransformer`` it is no ``torch.nn.Module``;
    :class:`vicinal.torch.CrossEncoder` is.

    A model without a classification head (any encoder, a ``SentenceTransformer``'s too) gets a new one, drawn
    from torch's random numbers, which has to be trained: see :meth:`fit`.

    Args:
        model_name_or_path: a model folder, or a hub name (``org/name``).
        num_labels: scores per pair. A folder with a head decides itself; for a new head the default is 1.
        max_length: tokens of a pair that count, default the folder's.
        activation_fn: turns raw scores into reported ones: a function of an array, a torch module, or a
            name; default the folder's, else sigmoid for one label and none for several.
            ``default_activation_function`` is its old name.
        device: ``"cpu"``, ``"cuda"``, ...; None takes an NVIDIA GPU where torch can use one.
        prompts: name -> text put before the first text of each pair (the query); added to the folder's prompts.
        default_prompt_name: the prompt for calls that name none.
        model_kwargs: as for ``SentenceTransformer``; ``ignore_mismatched_sizes=True`` as well, which makes a new
            head where the folder's has another number of labels. ``automodel_args`` is its old name.
        classifier_dropout: dropout before a new head, while it is trained: the same as in ``config_kwargs``.
        model_card_data: a ``CrossEncoderModelCardData``: what the model card shall say beside what the model knows.
        cache_folder, revision, local_files_only, token, trust_remote_code, dtype, backend, processor_kwargs
            (older: tokenizer_kwargs, tokenizer_args), config_kwargs: as for ``SentenceTransformer``.

    Raises:
        ModelNotFoundError, HubError: the name leads nowhere.
        ModelFormatError: the folder is damaged, or holds no classification head and torch is not installed.
        UnsupportedModelError: its architecture has no graph here and torch is not installed.
        InputError: the folder's head has another number of labels.

    Warns:
        NewHeadWarning: the head is new.
    """

    kind = "CrossEncoder"
    model_type = "CrossEncoder"
    default_huggingface_organization = "cross-encoder"

    _elsewhere: ClassVar[Mapping[str, str]] = {
        "encode": "it scores pairs of texts, with predict() or rank(); SentenceTransformer(...) gives vectors"
    }

    @takes_old_calls(
        renamed={
            "model_name": "model_name_or_path",
            "cache_dir": "cache_folder",
            "config_args": "config_kwargs",
        }
    )
    @explains_keywords
    def __init__(
        self,
        model_name_or_path: str | os.PathLike[str],
        num_labels: int | None = None,
        max_length: int | None = None,
        activation_fn: Callable[..., Any] | str | None = None,
        device: Any = None,
        *,
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        cache_folder: str | os.PathLike[str] | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        local_files_only: bool = False,
        token: bool | str | None = None,
        dtype: str = "auto",
        backend: str = "auto",
        model_kwargs: Mapping[str, Any] | None = None,
        processor_kwargs: Mapping[str, Any] | None = None,
        tokenizer_kwargs: Mapping[str, Any] | None = None,
        config_kwargs: Mapping[str, Any] | None = None,
        automodel_args: Mapping[str, Any] | None = None,
        tokenizer_args: Mapping[str, Any] | None = None,
        default_activation_function: Callable[..., Any] | str | None = None,
        classifier_dropout: float | None = None,
        model_card_data: Any = None,
    ) -> None:
        if device is None and is_usual_device(activation_fn):
            activation_fn, device = None, activation_fn  # the order of version 2
        if classifier_dropout is not None:
            config_kwargs = {**(config_kwargs or {}), "classifier_dropout": classifier_dropout}
        check_positive(num_labels, "num_labels")
        check_options(
            model_kwargs=model_kwargs,
            automodel_args=automodel_args,
            processor_kwargs=processor_kwargs,
            tokenizer_kwargs=tokenizer_kwargs,
            tokenizer_args=tokenizer_args,
            config_kwargs=config_kwargs,
        )
        model_options = {**(automodel_args or {}), **(model_kwargs or {})}
        may_differ = bool(model_options.pop("ignore_mismatched_sizes", False))
        options = read_options(dtype=dtype, backend=backend, model_kwargs=model_options)
        super().__init__(
            model_name_or_path,
            device=device,
            options=options,
            tokenizer_settings=(tokenizer_args, tokenizer_kwargs, processor_kwargs),
            trust_remote_code=trust_remote_code or bool(model_options.get("trust_remote_code")),
            cache_folder=cache_folder,
            revision=revision,
            local_files_only=local_files_only,
            token=token,
            config_kwargs=config_kwargs,
            model_card_data=model_card_data,
        )
        self._config_kwargs = dict(config_kwargs or {})
        self._set_prompts(self._spec, prompts, default_prompt_name)
        spec = self._spec
        file = None
        if not self._on_torch:
            file = choose_scorer_file(
                spec.transformer, options.dtype, options.file_name, options.backend == "onnx"
            )
        self._dimension, self.head_is_new = read_head(spec, num_labels, may_differ, file)
        if self.head_is_new:
            # The limit of a model of vectors is one for single texts, by the habit of its training.
            transformer = replace(spec.transformer, max_seq_length=None)
            self._spec = replace(spec, modules=(transformer, *spec.modules[1:]))
        self._texts = read_tokenizer(self._spec.transformer, self._tokenizer_settings)
        if max_length is not None:
            self.max_length = max_length
        if self.head_is_new or self._on_torch:
            self._open()
        else:
            from vicinal.engine.openvino import OpenVINOEngine

            if file is None:
                check_variant(spec.transformer, head=True)
            self._graph = ClassifierGraph(spec.transformer, file)
            self._engine = OpenVINOEngine(self._graph, self._dimension, options.dtype)
        if activation_fn is None:
            activation_fn = default_activation_function
        if activation_fn is None:
            activation_fn = folder_activation(
                spec.activation_fn, spec.transformer.config, self.num_labels, str(spec.folder)
            )
            say_activation(spec, activation_fn)
        self.activation_fn = activation_fn

    # the torch side

    def _open(self) -> None:
        """Make the module at once, and say so where its head is new."""
        new = self.head_is_new
        self._module = self.module
        if new:
            warnings.warn(
                f"{self.name_or_path}: it holds no head for {self.num_labels} label"
                f"{'s' * (self.num_labels > 1)}, so this CrossEncoder got a new one: train it before its scores "
                "are used",
                NewHeadWarning,
                stacklevel=caller_level(),
            )

    def _make_module(self) -> nn.Sequential:
        from vicinal.nn.modules.classifier import classifier_module

        module, new = classifier_module(
            self._spec.transformer,
            self._dimension,
            max_length=self._texts.max_length,
            trust_remote_code=self.trust_remote_code,
            config_kwargs=self._config_kwargs,
            processor_kwargs=self._tokenizer_settings,
            model_kwargs=self._options.torch_options,
        )
        self.head_is_new = self.head_is_new or new
        return module

    def _renewed(self) -> Renewed:
        from vicinal.nn.engine.pairs import renewed

        return renewed(self._module, self._options.dtype, self._device, self._on_torch)

    @property
    def model(self) -> Any:
        """The network of transformers, for training; made when it is first asked for.

        Raises:
            MissingExtraError: torch or transformers is not installed.
        """
        first: Any = self.module[0]
        return first.auto_model

    # predict

    @takes_old_calls(
        renamed={"activation_fct": "activation_fn"},
        without_effect=("num_workers",),
        order=PREDICT_ORDER,
    )
    @explains_keywords
    def predict(
        self,
        sentences: Sequence[Any] | Iterable[Any],
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        activation_fn: Callable[..., Any] | str | None = None,
        apply_softmax: bool = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: Any = None,
        pool: WorkerPool | None = None,
        chunk_size: int | None = None,
        *,
        on_truncate: str = "warn",
    ) -> Any:
        """Score pairs.

        Args:
            sentences: pairs of texts, or one pair.
            batch_size: pairs per batch; None fills batches up to a number of tokens, which is faster.
            show_progress_bar: None shows one after two seconds of work in a terminal.
            activation_fn: for this call, instead of the model's.
            apply_softmax: for several labels: shares that add up to 1.
            convert_to_numpy: an array (default); otherwise a list.
            convert_to_tensor: a torch tensor; needs torch.
            prompt_name: which of ``model.prompts`` to put before the first text of each pair, as
                sentence-transformers does; default ``model.default_prompt_name``.
            prompt: the text to put there; wins over ``prompt_name``.
            device: moves the model there first; several devices share the work, one process each.
            on_truncate: a pair is longer than ``max_length`` (the longer text is cut first): ``"warn"``
                once per call, ``"error"`` or ``"ignore"``.
            pool: processes that do the work (:meth:`start_multi_process_pool`).
            chunk_size: pairs that a process takes at a time, default a fair share.

        Returns:
            ``(n,)`` float32 for one label, ``(n, labels)`` for several; for a single pair, one row of it.

        Raises:
            InputTypeError: something that is not a pair of texts, with its position.
            TruncationError: ``on_truncate="error"`` and a pair is too long.
        """
        firsts, seconds, single = as_pairs(sentences)
        check_positive(batch_size, "batch_size")
        check_choice(on_truncate, ON_TRUNCATE, "on_truncate")
        check_flag(show_progress_bar, "show_progress_bar")
        check_flag(apply_softmax, "apply_softmax")
        check_flag(convert_to_numpy, "convert_to_numpy")
        check_flag(convert_to_tensor, "convert_to_tensor")
        device, devices = one_or_several(device)
        if device is not None and pool is None:
            self.to(device)
        self._refresh()
        activation = self._activation if activation_fn is None else self._read_activation(activation_fn)
        if convert_to_tensor:
            from vicinal.core.torch import require_torch

            require_torch("convert_to_tensor=True")
        text = self._prompt(prompt, prompt_name)
        if firsts and (pool is not None or devices is not None):
            from vicinal.models.workers import by_workers

            arguments = {
                "batch_size": batch_size,
                "activation_fn": activation_fn,
                "apply_softmax": apply_softmax,
                "prompt": text,
                "on_truncate": on_truncate,
            }
            pairs = list(zip(firsts, seconds, strict=True))
            parts = by_workers(
                self, "predict", pairs, arguments, pool, devices, chunk_size, show_progress_bar
            )
            scores = np.concatenate(parts)
        else:
            self.hints.script(seconds, self._texts)
            cut = Truncations(on_truncate, self.max_length, "sentences")
            prompted = [text + first for first in firsts] if text else firsts
            scores = activation(self._scores(prompted, seconds, batch_size, show_progress_bar, cut))
            if apply_softmax and self.num_labels > 1:
                scores = softmax(scores)
            if self.num_labels == 1:
                scores = scores[:, 0]
            cut.report()
        return self._as_asked(scores[0] if single else scores, single, convert_to_numpy, convert_to_tensor)

    def _scores(
        self,
        firsts: list[str],
        seconds: list[str],
        batch_size: int | None,
        show_progress_bar: bool | None,
        cut: Truncations,
    ) -> NDArray[np.float32]:
        """``(n, labels)`` raw scores."""
        engine = self._engine
        assert engine is not None
        out = np.empty((len(firsts), engine.dimension), dtype=np.float32)
        ragged = self._texts.pairs(firsts, seconds)
        cut.add(ragged, 0)
        with progress_bar(len(firsts), show_progress_bar, "Scoring", "pairs") as progress:
            batching.run_all(
                engine,
                ragged,
                DenseRows(out),
                pad_id=self._texts.pad_id,
                token_budget=_TOKEN_BUDGET,
                batch_size=batch_size,
                progress=progress,
            )
        check_results(out, self.name_or_path, engine)
        return out

    def _write(self, folder: Path) -> None:
        from vicinal.models.saving import (
            save_cross_encoder,
            saved_activation,
            write_activation,
            write_prompts,
            write_tokenizer_settings,
        )

        if self._module is None:
            graphs = isinstance(self._graph, ClassifierGraph) and self._graph.file is not None
            save_cross_encoder(self._spec, folder, max_length=self.max_length, graphs=graphs)
            write_tokenizer_settings(folder, self._tokenizer_settings)
            if self._activation is not saved_activation(folder, self.num_labels):
                write_activation(folder, written_name(self._activation, folder))
        else:
            from vicinal.nn.modules.classifier import save_classifier

            save_classifier(self._module[0], folder, written_name(self._activation, folder))
        write_prompts(folder, self.prompts, self.default_prompt_name)

    def _facts(self, name: str) -> ModelFacts:
        config = self._spec.transformer.config if self._module is None else self.model.config.to_dict()
        labels = config.get("id2label") or {}
        return facts_of(
            self._spec,
            name,
            max_length=self.max_length,
            labels=[str(label) for label in labels.values()] if self.num_labels > 1 else (),
            prompts=self.prompts,
        )

    def __repr__(self) -> str:
        labels, length = self.num_labels, self.max_length
        return f"CrossEncoder({self.name_or_path!r}, num_labels={labels}, max_length={length})"
