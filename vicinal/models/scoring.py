"""What is common to models that score pairs: ranking, their texts, limits, labels and activation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from vicinal.core.inputs import (
    array_items,
    as_texts,
    check_flag,
    check_positive,
    explains_keywords,
    plain,
)
from vicinal.core.media import refuse_media
from vicinal.engine.opening import transformer_needs_torch
from vicinal.errors import InputError, InputTypeError
from vicinal.models.activations import Activation, folder_activation, given_activation
from vicinal.models.base import Model
from vicinal.models.old_calls import RANK_ORDER, takes_old_calls
from vicinal.models.pairs import as_pairs

if TYPE_CHECKING:
    from vicinal.models.workers import WorkerPool


class PairModel(Model):
    """Base of models that score pairs of texts; a kind says how in its own ``predict``."""

    predict: Callable[..., Any]
    _activation: Activation

    @takes_old_calls(
        renamed={"activation_fct": "activation_fn"},
        without_effect=("num_workers", "convert_to_numpy", "convert_to_tensor"),
        order=RANK_ORDER,
    )
    @explains_keywords
    def rank(
        self,
        query: str,
        documents: Iterable[str],
        top_k: int | None = None,
        return_documents: bool = False,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        activation_fn: Callable[..., Any] | str | None = None,
        device: Any = None,
        pool: WorkerPool | None = None,
        chunk_size: int | None = None,
        *,
        apply_softmax: bool = False,
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
            InputError: the model gives several scores per pair, which have no order.
        """
        if self.num_labels != 1:
            raise InputError(
                f"rank() needs a model with one label; {self.name_or_path} has {self.num_labels}"
            )
        refuse_media(query, "query")
        if not isinstance(query, str):
            raise InputTypeError(f"query is {type(query).__name__}, not a text")
        if isinstance(documents, str):
            raise InputTypeError("documents is a single text; rank() takes a list of texts")
        query = plain(query)
        check_positive(top_k, "top_k")
        check_flag(return_documents, "return_documents")
        texts, _ = as_texts(documents, "documents")
        scores = self.predict(
            [(query, text) for text in texts],
            batch_size=batch_size,
            show_progress_bar=show_progress_bar,
            activation_fn=activation_fn,
            apply_softmax=apply_softmax,
            prompt_name=prompt_name,
            prompt=prompt,
            device=device,
            on_truncate=on_truncate,
            pool=pool,
            chunk_size=chunk_size,
        )
        order = np.argsort(-scores, kind="stable")[:top_k]
        return [
            {"corpus_id": int(place), "score": float(scores[place])}
            | ({"text": texts[place]} if return_documents else {})
            for place in order
        ]

    @property
    def _on_torch(self) -> bool:
        """Whether torch computes the scores, and not OpenVINO."""
        return transformer_needs_torch(
            self._spec.transformer,
            self._options,
            self._device,
            trust_remote_code=self.trust_remote_code,
            head=True,
        )

    @property
    def num_labels(self) -> int:
        """Scores per pair."""
        return self._dimension

    @staticmethod
    def _read_activation(value: Any) -> Activation:
        return given_activation(value)

    @property
    def activation_fn(self) -> Activation:
        """Turns raw scores, ``(n, labels)`` float32, into reported ones."""
        return self._activation

    @activation_fn.setter
    def activation_fn(self, value: Callable[..., Any] | str) -> None:
        self._activation = self._read_activation(value)

    @property
    def default_activation_function(self) -> Activation:
        """The old name of :attr:`activation_fn`."""
        return self.activation_fn

    @default_activation_function.setter
    def default_activation_function(self, value: Callable[..., Any] | str) -> None:
        self.activation_fn = value

    def get_default_activation_fn(self) -> Activation:
        """The activation that the folder names: sigmoid for one label and none for several, if it names none."""
        spec = self._spec
        return folder_activation(
            spec.activation_fn, spec.transformer.config, self.num_labels, str(spec.folder)
        )

    @property
    def max_length(self) -> int:
        """The same as :attr:`max_seq_length`: tokens of a pair that count, special tokens included."""
        return self.max_seq_length

    @max_length.setter
    def max_length(self, value: int) -> None:
        self._limit_length(value, "max_length")

    @explains_keywords
    def tokenize(self, texts: Any) -> dict[str, Any]:  # type: ignore[override]
        """What :meth:`forward` reads: ids of pairs of texts, ``(n, length)``, padded to the longest.

        These are torch tensors in a process that has imported torch, else arrays.

        Raises:
            InputTypeError: something that is not a pair of texts, with its position.
        """
        firsts, seconds, _ = as_pairs(texts)
        return super().tokenize(list(zip(firsts, seconds, strict=True)))

    def is_singular_input(self, inputs: Any) -> bool:
        """Whether something is one pair, or a part of one, of which ``predict`` gives one score."""
        items = array_items(inputs)
        return super().is_singular_input(inputs) or (bool(items) and isinstance(items[0], str))  # type: ignore[index]

    def count_tokens(self, sentences: Any) -> Any:
        """Tokens of a pair, or of each pair, before truncation and with special tokens; without any prompt.

        Compare with :attr:`max_length` to see what would be cut.

        Args:
            sentences: pairs of texts, or one pair, as :meth:`predict` takes them.

        Returns:
            A list of integers; one integer for a single pair.

        Raises:
            InputTypeError: something that is not a pair of texts, with its position.
        """
        firsts, seconds, single = as_pairs(sentences)
        counts = self._texts.pairs(firsts, seconds).full_lengths.tolist()
        return counts[0] if single else counts

    def _as_asked(self, scores: Any, single: bool, convert_to_numpy: bool, convert_to_tensor: bool) -> Any:
        """Scores of pairs, or of a single one, in the form that the caller wants."""
        if convert_to_tensor:
            from vicinal.core.torch import as_tensor

            return as_tensor(np.asarray(scores))
        return scores if convert_to_numpy or single else list(scores)
