"""The engine of models whose first module splits texts in its own way."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vicinal.core.native_calls import native_call
from vicinal.core.torch import note_computing, one_thread_after_forks, to_device
from vicinal.engine.base import Batch, Output, TextOutput
from vicinal.errors import InputError
from vicinal.nn.engine.tokens import evaluating, out_of_memory


class ModuleEngine:
    """Runs a ``Sequential`` from the texts on: its first module's ``tokenize``, then all of them, in float32.

    Args:
        module: the modules, on ``device``.
        dimension: length of a sentence vector.
        device: where they lie.
    """

    is_live = True
    precision = "float32"
    dtype = "float32"
    token_budget = None

    def __init__(self, module: nn.Sequential, dimension: int, device: str = "cpu") -> None:
        one_thread_after_forks()
        self.module = module
        self.device = device
        self.task: str | None = None
        self._dimension = dimension

    @property
    def dimension(self) -> int:
        """Length of a sentence vector."""
        return self._dimension

    @property
    def _first(self) -> Any:
        return self.module[0]

    def for_task(self, task: str | None) -> ModuleEngine:
        """This engine for texts of one task."""
        view = copy.copy(self)
        view.task = task
        return view

    def lengths(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int32] | None]:
        """Tokens of each text where the first module counts them, else characters and None."""
        count = getattr(self._first, "count_tokens", None)
        counts = None if count is None else count(texts, **self._task_of(count))
        if counts is None:
            return np.array([len(text) for text in texts], dtype=np.int32), None
        return np.array(counts, dtype=np.int32), np.array(counts, dtype=np.int32)

    @property
    def limit(self) -> int | None:
        """Tokens of a text that count on the way of this task."""
        if hasattr(self._first, "limit_of"):
            found: int | None = self._first.limit_of(self.task)
            return found
        return getattr(self._first, "max_seq_length", None)

    def run_texts(self, texts: Sequence[str], prompt: str = "", output: TextOutput = "sentence") -> Any:
        """``(n, dimension)`` float32, or what the modules made of each text, padding left out."""
        features = self._features(texts, prompt)
        if output == "sentence":
            return features["sentence_embedding"].float().cpu().numpy()
        arrays = {
            name: (each.float() if each.is_floating_point() else each).cpu().numpy()
            for name, each in features.items()
            if isinstance(each, Tensor) and each.ndim and len(each) == len(texts)
        }
        mask = arrays.get("attention_mask")
        found: list[dict[str, Any]] = []
        for row in range(len(texts)):
            facts = {name: array[row].copy() for name, array in arrays.items()}
            for name in ("input_ids", "attention_mask", "token_embeddings"):
                if mask is not None and name in facts:
                    facts[name] = facts[name][mask[row] > 0]
            found.append(facts)
        return found

    def _features(self, texts: Sequence[str], prompt: str) -> dict[str, Any]:
        if self.device == "cpu":
            note_computing()
        with native_call(), out_of_memory(len(texts)), torch.inference_mode(), evaluating(self.module):
            features = dict(self._first.tokenize(list(texts), **self._task_of(self._first.tokenize)))
            if self.task is not None:
                features["task"] = self.task
            if prompt:
                features["prompt_length"] = self._prompt_length(prompt)
            features = to_device(features, self.device)
            for each in self.module:
                features = each(features)
            return features

    def _task_of(self, function: Any) -> dict[str, Any]:
        return {"task": self.task} if "task" in inspect.signature(function).parameters else {}

    def _prompt_length(self, prompt: str) -> int:
        features = self._first.tokenize([prompt], **self._task_of(self._first.tokenize))
        mask = features.get("attention_mask")
        if mask is None:
            return 0
        length, ids = int(mask.sum()), features.get("input_ids")
        special = getattr(getattr(self._first, "tokenizer", None), "all_special_ids", ())
        return length - 1 if ids is not None and length and int(ids[0, length - 1]) in special else length

    def run(self, batch: Batch, output: Output = "sentence") -> NDArray[np.float32]:
        """Never called: there are no token ids."""
        raise InputError(f"{type(self._first).__name__} takes texts, not token ids")

    run_many = run


class ModuleTexts:
    """What a model asks its tokenizer, answered by a first module that has its own.

    Attributes:
        module: the first module.
    """

    pad_id = 0
    padding_side = "right"
    truncation_side = "right"

    def __init__(self, module: Any) -> None:
        self.module = module

    @property
    def backend(self) -> Any:
        """The module's ``tokenizer``, None where it has none."""
        return getattr(self.module, "tokenizer", None)

    @property
    def max_length(self) -> int:
        """Tokens of a text that count."""
        from vicinal.folder.specs import UNLIMITED

        found = getattr(self.module, "max_seq_length", None)
        return UNLIMITED if found is None else int(found)

    @max_length.setter
    def max_length(self, value: int) -> None:
        if getattr(self.module, "max_seq_length", None) is None:
            raise InputError(f"max_seq_length={value}: {type(self.module).__name__} has no limit to set")
        self.module.max_seq_length = value

    @property
    def sides(self) -> dict[str, str]:
        """Nothing that a file of the tokenizer would say."""
        return {}

    def count(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """``(n,)`` int32: tokens of each text.

        Raises:
            InputError: the module does not count.
        """
        count = getattr(self.module, "count_tokens", None)
        counts = None if count is None else count(texts)
        if counts is None:
            raise InputError(
                f"{type(self.module).__name__} does not count tokens; give it a method count_tokens(texts)"
            )
        return np.array(counts, dtype=np.int32)
