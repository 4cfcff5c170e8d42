"""CrossEncoder: reads two texts together and scores them."""

from __future__ import annotations

import importlib.util
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vicinal.core.inputs import as_texts, caller_level, check_choice, check_positive, explains_keywords
from vicinal.core.progress import progress_bar
from vicinal.engine import batching
from vicinal.engine.base import Engine
from vicinal.engine.graphs.classifier_source import ClassifierGraph
from vicinal.engine.graphs.classifiers import HEADS, has_head
from vicinal.engine.opening import position_limit, read_options, read_spec, read_tokenizer
from vicinal.errors import InputError, InputTypeError, ModelFormatError, NewHeadWarning, UnsupportedModelError
from vicinal.folder.specs import ModelSpec
from vicinal.models.activations import Activation, folder_activation, given_activation, softmax, written_name
from vicinal.models.device import read_device
from vicinal.models.pairs import as_pairs
from vicinal.models.sharing import Sharing, check_safe
from vicinal.models.torch_side import TorchSide
from vicinal.models.truncation import Truncations

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from vicinal.models.workers import WorkerPool

_ON_TRUNCATE = ("warn", "error", "ignore")

# Padded tokens a batch; see the note at SentenceTransformer's.
_TOKEN_BUDGET = 1024


class CrossEncoder(TorchSide, Sharing):
    """Scores pairs of texts.

    It reads both texts at once, which is more exact than comparing two vectors and much slower: use it on
    the few candidates that a search has found.

    A model without a classification head (any encoder, a ``SentenceTransformer``'s too) gets a new one, drawn
    from torch's random numbers, which has to be trained: see :meth:`fit`.

    Args:
        model_name_or_path: a model folder, or a hub name (``org/name``).
        num_labels: scores a pair. A folder with a head decides itself; for a new head the default is 1.
        max_length: tokens of a pair that count, default the folder's.
        activation_fn: turns raw scores into reported ones: a function of an array, a torch module, or a
            name; default the folder's, else sigmoid for one label and none for several.
            ``default_activation_function`` is its old name.
        device: ``"cpu"``, ``"cuda"``, ...; None takes an NVIDIA GPU where torch can use one.
        model_kwargs: as for ``SentenceTransformer``; ``ignore_mismatched_sizes=True`` as well, which makes a new
            head where the folder's has another number of labels. ``automodel_args`` is its old name.
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

    _engine: Engine | None
    _renewal: threading.RLock

    @explains_keywords
    def __init__(
        self,
        model_name_or_path: str | os.PathLike[str],
        num_labels: int | None = None,
        max_length: int | None = None,
        activation_fn: Callable[..., Any] | str | None = None,
        device: Any = None,
        *,
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
    ) -> None:
        check_positive(num_labels, "num_labels")
        model_options = {**(automodel_args or {}), **(model_kwargs or {})}
        may_differ = bool(model_options.pop("ignore_mismatched_sizes", False))
        options = read_options(dtype=dtype, backend=backend, model_kwargs=model_options)
        if options.dtype == "int8" or options.file_name is not None:
            raise InputError(
                f"dtype={options.dtype!r}, file_name={options.file_name!r}: a CrossEncoder is built from float "
                "weights; use dtype='auto', 'float32' or 'bfloat16'"
            )
        self.__setstate__({"_engine": None, "_mark": None})
        self._device = read_device(device)
        self._options = options
        self._config_kwargs = dict(config_kwargs or {})
        self._tokenizer_settings = {
            **(tokenizer_args or {}),
            **(tokenizer_kwargs or {}),
            **(processor_kwargs or {}),
        }
        self.trust_remote_code = trust_remote_code
        spec = read_spec(
            model_name_or_path,
            cache_folder=cache_folder,
            revision=revision,
            local_files_only=local_files_only,
            token=token,
            config_kwargs=config_kwargs,
        )
        if spec.default_prompt_name is not None:
            raise UnsupportedModelError(
                f"{spec.folder}: it puts the prompt {spec.default_prompt_name!r} before its texts, which "
                "CrossEncoder does not do; its scores would be wrong"
            )
        self.name_or_path = os.fspath(model_name_or_path)
        self._spec = spec
        self._labels, self.head_is_new = self._read_head(num_labels, may_differ)
        # The limit of a model of vectors is one for single texts, by the habit of its training.
        limit = None if self.head_is_new else spec.transformer.max_seq_length
        self._transformer = replace(spec.transformer, max_seq_length=limit)
        self._texts = read_tokenizer(self._transformer, self._tokenizer_settings)
        if max_length is not None:
            self.max_length = max_length
        if self.head_is_new or self._on_torch:
            self._open()
        else:
            from vicinal.engine.openvino import OpenVINOEngine

            self._engine = OpenVINOEngine(ClassifierGraph(spec.transformer), self._labels, options.dtype)
        if activation_fn is None:
            activation_fn = default_activation_function
        self.activation_fn = (
            given_activation(activation_fn)
            if activation_fn is not None
            else folder_activation(
                spec.activation_fn, spec.transformer.config, self.num_labels, str(spec.folder)
            )
        )

    def _read_head(self, asked: int | None, may_differ: bool) -> tuple[int, bool]:
        """How many labels there are, and whether their head is still to be made.

        Raises:
            InputError: the folder's head has another number of labels than was asked for.
            ModelFormatError, UnsupportedModelError: there is no head, and no torch to make one.
        """
        transformer = self._spec.transformer
        graph = ClassifierGraph(transformer)
        if has_head(transformer):
            labels = graph.labels
        elif not _has_torch():
            try:
                labels = graph.labels
            except ModelFormatError as error:
                raise ModelFormatError(f"{error}: pip install 'vicinal[train]'") from None
        elif transformer.model_type in HEADS or not _says_head(self._spec):
            return asked or 1, True
        else:  # only torch knows the architecture
            labels = int(
                transformer.config.get("num_labels", len(transformer.config.get("id2label") or "ab"))
            )
        if asked in (None, labels):
            return labels, False
        if not may_differ:
            raise InputError(
                f"num_labels={asked}: {self._spec.folder} scores {labels} labels; leave num_labels out, or pass "
                "model_kwargs={'ignore_mismatched_sizes': True} for a new head, to be trained"
            )
        return int(asked or 1), True

    # the torch side

    @property
    def _on_torch(self) -> bool:
        """Whether torch computes the scores, and not OpenVINO."""
        if self._options.backend == "torch" or self._device != "cpu":
            if self._options.backend not in ("auto", "torch"):
                raise InputError(
                    f"backend={self._options.backend!r} runs on the processor; with device={str(self._device)!r} "
                    "leave it out"
                )
            return True
        return self._spec.transformer.model_type not in HEADS

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

    def _build_module(self) -> Any:
        from vicinal.core.torch import require_torch

        require_torch("CrossEncoder.module")
        from vicinal.nn.engine.live import marks
        from vicinal.nn.modules.classifier import classifier_module

        module, new = classifier_module(
            self._transformer,
            self._labels,
            max_length=self._texts.max_length,
            trust_remote_code=self.trust_remote_code,
            config_kwargs=self._config_kwargs,
            processor_kwargs=self._tokenizer_settings,
            model_kwargs=self._options.torch_options,
        )
        self.head_is_new = self.head_is_new or new
        if self._engine is not None:
            self._mark = marks(module, self._engine)
        return module

    def _refresh(self) -> None:
        """Make engine and tokenizer those of the module, if there is one and it changed since."""
        if self._module is None and not self._on_torch:
            return
        from vicinal.nn.engine.live import marks
        from vicinal.nn.engine.pairs import renewed

        with self._renewal:
            module = self.module
            if self._engine is None or self._mark is None or self._mark != marks(module, self._engine):
                found = renewed(
                    module, self._options.dtype, self._device, self._on_torch, self._tokenizer_settings
                )
                self._texts, self._engine = found.texts, found.engine
                self._labels = found.engine.dimension
                self._mark = found.mark
            self._texts.max_length = self.max_length

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state.pop("_renewal", None)
        if self._module is not None:  # the engine may read a folder that is not the copy's
            state["_mark"] = state["_engine"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _renewal=threading.RLock())

    @property
    def model(self) -> Any:
        """The network of transformers, for training; made when it is first asked for.

        Raises:
            MissingExtraError: torch or transformers is not installed.
        """
        first: Any = self.module[0]
        return first.auto_model

    @explains_keywords
    def tokenize(self, texts: Any) -> dict[str, Any]:
        """What :meth:`forward` reads: tensors of pairs of texts, ``(n, length)``, padded to the longest.

        Raises:
            InputTypeError: something that is not a pair of texts, with its position.
            MissingExtraError: torch or transformers is not installed.
        """
        firsts, seconds, _ = as_pairs(texts)
        first: Any = self.module[0]
        features: dict[str, Any] = first.tokenize(list(zip(firsts, seconds, strict=True)))
        return features

    preprocess = tokenize

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
    ) -> None:
        """Train on examples; needs the extra ``train``.

        Args:
            train_dataloader: a ``torch.utils.data.DataLoader`` over ``InputExample(texts=[a, b], label=x)``.
            evaluator: called with the model before training, every ``evaluation_steps`` and after each epoch.
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
            callback: called with (score, epoch, steps) at each evaluation.
            show_progress_bar: show batches and loss.

        Raises:
            MissingExtraError: torch or transformers is not installed.
            InputError, InputTypeError: an example that the loss cannot mean, named by its row; a loss that is
                not a number, named by its step.

        Warns:
            UserWarning: the score fell; ``warmup_steps`` exceeds the run.
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
            optimizer_params={"lr": 2e-5, **(optimizer_params or {})},
            weight_decay=weight_decay,
            evaluation_steps=evaluation_steps,
            output_path=output_path,
            save_best_model=save_best_model,
            max_grad_norm=max_grad_norm,
            use_amp=use_amp,
            callback=callback,
            show_progress_bar=show_progress_bar,
        )
        fit(self, train_dataloader, loss_of(self, loss_fct, activation), evaluator, settings)
        self.head_is_new = False

    # predict

    @explains_keywords
    def predict(
        self,
        sentences: Sequence[Any] | Iterable[Any],
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        activation_fn: Callable[..., Any] | str | None = None,
        apply_softmax: bool = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        *,
        device: Any = None,
        on_truncate: str = "warn",
        pool: WorkerPool | None = None,
        chunk_size: int | None = None,
    ) -> Any:
        """Score pairs.

        Args:
            sentences: pairs of texts, or one pair.
            batch_size: pairs a batch; None fills batches up to a number of tokens, which is faster.
            show_progress_bar: None shows one after two seconds of work in a terminal.
            activation_fn: for this call, instead of the model's.
            apply_softmax: for several labels: shares that add up to 1.
            convert_to_numpy: an array (default); otherwise a list.
            convert_to_tensor: a torch tensor; needs torch.
            device: moves the model there first; several devices work in turn, a process each.
            on_truncate: a pair is longer than ``max_length`` (the longer text is cut first): ``"warn"``
                once a call, ``"error"`` or ``"ignore"``.
            pool: processes that do the work (:meth:`start_multi_process_pool`).
            chunk_size: pairs that a process takes at a time, default a fair share.

        Returns:
            ``(n,)`` float32 for one label, ``(n, labels)`` for several; for a single pair, one row of it.

        Raises:
            InputTypeError: something that is not a pair of texts, with its position.
            TruncationError: ``on_truncate="error"`` and a pair is too long.
        """
        if isinstance(device, (list, tuple)) and len(device) == 1:
            device = device[0]
        if pool is not None or isinstance(device, (list, tuple)):
            from vicinal.models.pool import predict_in_pool

            return predict_in_pool(
                self,
                sentences,
                pool,
                devices=None if pool is not None else device,
                batch_size=batch_size,
                chunk_size=chunk_size,
                show_progress_bar=show_progress_bar,
                activation_fn=activation_fn,
                apply_softmax=apply_softmax,
                convert_to_numpy=convert_to_numpy,
                convert_to_tensor=convert_to_tensor,
                on_truncate=on_truncate,
            )
        firsts, seconds, single = as_pairs(sentences)
        check_positive(batch_size, "batch_size")
        check_choice(on_truncate, _ON_TRUNCATE, "on_truncate")
        if device is not None:
            self.to(device)
        self._refresh()
        activation = self.activation_fn if activation_fn is None else given_activation(activation_fn)
        if convert_to_tensor:
            from vicinal.core.torch import require_torch

            require_torch("convert_to_tensor=True")
        self.hints.script(seconds, self._texts)
        cut = Truncations(on_truncate, self.max_length, "sentences")
        scores = self._scores(firsts, seconds, batch_size, show_progress_bar, cut)
        scores = activation(scores)
        if apply_softmax and self.num_labels > 1:
            scores = softmax(scores)
        if self.num_labels == 1:
            scores = scores[:, 0]
        cut.report()
        result: Any = scores[0] if single else scores
        if convert_to_tensor:
            from vicinal.core.torch import as_tensor

            return as_tensor(np.asarray(result))
        return result if convert_to_numpy or single else list(result)

    @explains_keywords
    def rank(
        self,
        query: str,
        documents: Iterable[str],
        top_k: int | None = None,
        return_documents: bool = False,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        activation_fn: Callable[..., Any] | str | None = None,
        apply_softmax: bool = False,
        *,
        device: Any = None,
        on_truncate: str = "warn",
    ) -> list[dict[str, Any]]:
        """Order documents by their score with a query.

        Args:
            query: one text.
            documents: the candidates.
            top_k: keep the best; None keeps all.
            return_documents: put each document's text into its result.

        Other arguments and errors as in :meth:`predict`.

        Returns:
            ``[{"corpus_id", "score"}]`` with the highest score first, ``"text"`` as well if asked for.
            Equal scores stay in the order of the documents.

        Raises:
            InputError: the model gives several scores a pair, which have no order.
        """
        if self.num_labels != 1:
            raise InputError(
                f"rank() needs a model with one label; {self.name_or_path} has {self.num_labels}"
            )
        if not isinstance(query, str):
            raise InputTypeError(f"query is {type(query).__name__}, not a text")
        if isinstance(documents, str):
            raise InputTypeError("documents is a single text; rank() takes a list of texts")
        check_positive(top_k, "top_k")
        texts, _ = as_texts(documents, "documents")
        scores = self.predict(
            [(query, text) for text in texts],
            batch_size,
            show_progress_bar,
            activation_fn,
            apply_softmax,
            device=device,
            on_truncate=on_truncate,
        )
        order = np.argsort(-scores, kind="stable")[:top_k]
        return [
            {"corpus_id": int(place), "score": float(scores[place])}
            | ({"text": texts[place]} if return_documents else {})
            for place in order
        ]

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
                out,
                pad_id=self._texts.pad_id,
                token_budget=getattr(engine, "token_budget", None) or _TOKEN_BUDGET,
                batch_size=batch_size,
                progress=progress,
            )
        return out

    @property
    def num_labels(self) -> int:
        """Scores a pair."""
        return self._labels

    @property
    def activation_fn(self) -> Activation:
        """Turns raw scores, ``(n, labels)`` float32, into reported ones."""
        return self._activation

    @activation_fn.setter
    def activation_fn(self, value: Callable[..., Any] | str) -> None:
        self._activation = given_activation(value)

    @property
    def max_length(self) -> int:
        """Tokens of a pair that count, special tokens included."""
        if self._module is not None:
            return int(self._module[0].max_seq_length or self._texts.max_length)
        return self._texts.max_length

    @max_length.setter
    def max_length(self, value: int) -> None:
        check_positive(value, "max_length")
        limit = position_limit(self._spec.transformer)
        if limit is not None and value > limit:
            raise InputError(f"max_length={value}: this architecture has positions for {limit} tokens")
        self._texts.max_length = int(value)
        if self._module is not None:
            self._module[0].max_seq_length = int(value)

    @property
    def max_seq_length(self) -> int:
        """The same as :attr:`max_length`."""
        return self.max_length

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        self.max_length = value

    @property
    def tokenizer(self) -> Tokenizer:
        """The ``tokenizers.Tokenizer``; truncation and padding are done elsewhere."""
        return self._texts.backend

    @property
    def config(self) -> Mapping[str, Any]:
        """The transformer's ``config.json``."""
        if self._module is not None:
            found: Mapping[str, Any] = self.model.config.to_dict()
            return found
        return self._spec.transformer.config

    def save(
        self,
        path: str | os.PathLike[str],
        model_name: str | None = None,
        create_model_card: bool = True,
        *,
        safe_serialization: bool = True,
    ) -> None:
        """Write a model folder that Vicinal and sentence-transformers load.

        Args:
            path: the folder, made if absent; files of the same names are replaced.
            model_name: the title of the model card, default the folder's name.
            create_model_card: write README.md.
            safe_serialization: True; weights are written as safetensors only.

        Raises:
            InputError: ``path`` is a file.
        """
        check_safe(safe_serialization)
        from vicinal.folder.card import write_card
        from vicinal.folder.card_records import facts_of
        from vicinal.models.saving import save_cross_encoder

        target = Path(path)
        if target.exists() and not target.is_dir():
            raise InputError(f"{target} is a file; save takes a folder")
        if self._module is None:
            save_cross_encoder(self._spec, target, max_length=self.max_length)
        else:
            self._save_module(target)
        if not create_model_card:
            return
        labels = self.config.get("id2label") or {}
        facts = facts_of(
            self._spec,
            model_name or target.name,
            max_length=self.max_length,
            labels=[str(label) for label in labels.values()] if self.num_labels > 1 else (),
        )
        original = self._spec.folder if self._module is None else None
        write_card(target, facts, self.training_record, original=original)

    def _save_module(self, target: Path) -> None:
        from vicinal.nn.modules.classifier import save_classifier

        name = written_name(self.activation_fn)
        if name is None:
            warnings.warn(
                f"activation_fn={self.activation_fn!r} has no name that a folder could hold; pass it again when "
                f"{target} is loaded",
                UserWarning,
                stacklevel=caller_level(),
            )
        save_classifier(self._module[0], target, name)

    save_pretrained = save

    def __repr__(self) -> str:
        return (
            f"CrossEncoder({self.name_or_path!r}, num_labels={self.num_labels}, max_length={self.max_length})"
        )


def _has_torch() -> bool:
    try:
        return importlib.util.find_spec("torch") is not None
    except ImportError:
        return False


def _says_head(spec: ModelSpec) -> bool:
    """Whether a folder says of itself that it has a classification head."""
    names = spec.transformer.config.get("architectures") or [""]
    return spec.model_type == "CrossEncoder" or str(names[0]).endswith("ForSequenceClassification")


def load_scorer(name_or_path: str | os.PathLike[str], dtype: str = "auto") -> CrossEncoder:
    """A cross-encoder that is to score at once, and so must have been trained.

    Raises:
        ModelFormatError: the folder holds no classification head, as a model for vectors does not.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NewHeadWarning)
        scorer = CrossEncoder(name_or_path, dtype=dtype)
    if scorer.head_is_new:
        raise ModelFormatError(
            f"{os.fspath(name_or_path)} has no classification head, so it scores nothing: give a cross-encoder such "
            "as cross-encoder/ms-marco-MiniLM-L6-v2, or train one with CrossEncoder(...).fit(...)"
        )
    return scorer
