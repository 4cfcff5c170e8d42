"""CrossEncoder: reads two texts together and scores them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vicinal import batching
from vicinal.engine.base import Engine
from vicinal.engine.graphs.classifier_source import ClassifierGraph
from vicinal.errors import InputError, InputTypeError, UnsupportedModelError
from vicinal.inputs import as_texts, check_choice, check_positive, explains_keywords
from vicinal.models.activations import folder_activation, given_activation, softmax
from vicinal.models.loading import check_device, position_limit, read_options, read_spec, read_tokenizer
from vicinal.models.truncation import Truncations
from vicinal.progress import progress_bar

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_ON_TRUNCATE = ("warn", "error", "ignore")

# Padded tokens a batch; see the note at SentenceTransformer's.
_TOKEN_BUDGET = 1024


class CrossEncoder:
    """Scores pairs of texts.

    It reads both texts at once, which is more exact than comparing two vectors and much slower: use it on
    the few candidates that a search has found.

    Args:
        model_name_or_path: a model folder, or a hub name (``org/name``).
        num_labels: scores a pair; only checked, as the folder decides.
        max_length: tokens of a pair that count, default the folder's.
        activation_fn: turns raw scores into reported ones: a function of an array, a torch module, or a
            name; default the folder's, else sigmoid for one label and none for several.
        device: ``"cpu"`` or None.
        cache_folder, revision, local_files_only, token, trust_remote_code, dtype, backend, model_kwargs,
            processor_kwargs (older: tokenizer_kwargs), config_kwargs: as for ``SentenceTransformer``.

    Raises:
        ModelNotFoundError, HubError: the name leads nowhere.
        ModelFormatError: the folder is damaged, or holds no classification head.
        UnsupportedModelError: its architecture has no graph here.
    """

    @explains_keywords
    def __init__(
        self,
        model_name_or_path: str | os.PathLike[str],
        num_labels: int | None = None,
        max_length: int | None = None,
        activation_fn: Callable[..., Any] | str | None = None,
        device: str | None = None,
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
    ) -> None:
        from vicinal.engine.openvino import OpenVINOEngine

        options = read_options(device=device, dtype=dtype, backend=backend, model_kwargs=model_kwargs)
        if options.dtype == "int8" or options.file_name is not None:
            raise InputError(
                f"dtype={options.dtype!r}, file_name={options.file_name!r}: a CrossEncoder is built from float "
                "weights; use dtype='auto', 'float32' or 'bfloat16'"
            )
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
        self._spec = spec
        self._graph = ClassifierGraph(spec.transformer)
        self.num_labels = self._graph.labels
        if num_labels is not None and num_labels != self.num_labels:
            raise InputError(
                f"num_labels={num_labels}: {spec.folder} scores {self.num_labels} labels; leave num_labels out"
            )
        self._texts = read_tokenizer(
            spec.transformer, {**(processor_kwargs or {}), **(tokenizer_kwargs or {})}
        )
        self.trust_remote_code = trust_remote_code
        if max_length is not None:
            self.max_length = max_length
        self.activation_fn = (
            given_activation(activation_fn)
            if activation_fn is not None
            else folder_activation(
                spec.activation_fn, spec.transformer.config, self.num_labels, str(spec.folder)
            )
        )
        self._engine: Engine = OpenVINOEngine(self._graph, self.num_labels, options.dtype)

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
        device: str | None = None,
        on_truncate: str = "warn",
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
            device: ``"cpu"`` or None.
            on_truncate: a pair is longer than ``max_length`` (the longer text is cut first): ``"warn"``
                once a call, ``"error"`` or ``"ignore"``.

        Returns:
            ``(n,)`` float32 for one label, ``(n, labels)`` for several; for a single pair, one row of it.

        Raises:
            InputTypeError: something that is not a pair of texts, with its position.
            TruncationError: ``on_truncate="error"`` and a pair is too long.
        """
        firsts, seconds, single = _as_pairs(sentences)
        check_positive(batch_size, "batch_size")
        check_choice(on_truncate, _ON_TRUNCATE, "on_truncate")
        check_device(device)
        activation = self.activation_fn if activation_fn is None else given_activation(activation_fn)
        if convert_to_tensor:
            from vicinal.nn.tensors import require_torch

            require_torch("convert_to_tensor=True")
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
            from vicinal.nn.tensors import as_tensor

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
        device: str | None = None,
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
                f"rank() needs a model with one label; {self._spec.folder} has {self.num_labels}"
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
        out = np.empty((len(firsts), self.num_labels), dtype=np.float32)
        ragged = self._texts.pairs(firsts, seconds)
        cut.add(ragged, 0)
        with progress_bar(len(firsts), show_progress_bar, "Scoring", "pairs") as progress:
            batching.run_all(
                self._engine,
                ragged,
                out,
                pad_id=self._texts.pad_id,
                token_budget=_TOKEN_BUDGET,
                batch_size=batch_size,
                progress=progress,
            )
        return out

    @property
    def max_length(self) -> int:
        """Tokens of a pair that count, special tokens included."""
        return self._texts.max_length

    @max_length.setter
    def max_length(self, value: int) -> None:
        check_positive(value, "max_length")
        limit = position_limit(self._spec.transformer)
        if limit is not None and value > limit:
            raise InputError(f"max_length={value}: this architecture has positions for {limit} tokens")
        self._texts.max_length = int(value)

    @property
    def max_seq_length(self) -> int:
        """The same as :attr:`max_length`."""
        return self.max_length

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        self.max_length = value

    @property
    def device(self) -> str:
        """Where predict computes: ``"cpu"``."""
        return "cpu"

    @property
    def tokenizer(self) -> Tokenizer:
        """The ``tokenizers.Tokenizer``; truncation and padding are done elsewhere."""
        return self._texts.backend

    @property
    def config(self) -> Mapping[str, Any]:
        """The transformer's ``config.json``."""
        return self._spec.transformer.config

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a model folder that Vicinal and sentence-transformers load.

        Raises:
            InputError: ``path`` is a file.
        """
        from vicinal.models.saving import save_cross_encoder

        save_cross_encoder(self._spec, Path(path), max_length=self.max_length)

    save_pretrained = save

    def __repr__(self) -> str:
        return (
            f"CrossEncoder({str(self._spec.folder)!r}, num_labels={self.num_labels}, "
            f"max_length={self.max_length})"
        )


def _as_pairs(sentences: object) -> tuple[list[str], list[str], bool]:
    """First and second texts, and whether a single pair was given.

    Raises:
        InputTypeError: an item is not a pair of texts; its position is named.
    """
    if isinstance(sentences, (str, bytes)) or sentences is None or not isinstance(sentences, Iterable):
        raise InputTypeError(
            f"sentences is {type(sentences).__name__}; predict takes pairs of texts: [(query, document), ...]"
        )
    items = sentences if isinstance(sentences, (list, tuple)) else list(sentences)
    if len(items) == 2 and all(isinstance(item, str) for item in items):
        return [items[0]], [items[1]], True
    for place, item in enumerate(items):
        if isinstance(item, str):
            raise InputTypeError(
                f"sentences[{place}] is a single text; a CrossEncoder scores pairs: [(query, document), ...]. "
                "SentenceTransformer encodes single texts"
            )
        if not isinstance(item, Sequence) and not isinstance(item, np.ndarray):
            raise InputTypeError(f"sentences[{place}] is {type(item).__name__}, not a pair of texts")
        if len(item) != 2 or not all(isinstance(text, str) for text in item):
            shown = ", ".join(type(text).__name__ for text in item)
            raise InputTypeError(f"sentences[{place}] holds ({shown}), not two texts")
    return [item[0] for item in items], [item[1] for item in items], False
