"""Engines that call the model itself, hooks and all: for models whose computation the caller has changed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vicinal.core.torch import to_device
from vicinal.engine.base import Batch
from vicinal.nn.build import dimension_of
from vicinal.nn.engine.pairs import TorchScorer
from vicinal.nn.engine.texts import ModuleEngine
from vicinal.nn.engine.tokens import TorchEngine, evaluating, out_of_memory


class LiveEngine(TorchEngine):
    """Vectors by the modules themselves, in float32, where a module inside was changed."""

    def __init__(self, module: nn.Sequential, device: str) -> None:
        super().__init__(module, dimension_of(module), device, "float32")

    def _inputs(self, batch: Batch) -> dict[str, Any]:
        features = super()._inputs(batch)
        first: Any = self.module[0]
        names = getattr(getattr(first, "tokenizer", None), "model_input_names", ())
        if "token_type_ids" in names:  # hooks read what the tokenizer gives, zeros too
            features["token_type_ids"] = torch.zeros_like(features["input_ids"])
        return features


class CalledEngine(ModuleEngine):
    """Vectors by ``model.tokenize``, or an overridden ``preprocess``, and ``model(features)``, in float32.

    Args:
        model: a model that is a torch module.
        count: tokens of each text, where the model can count them.
    """

    def __init__(self, model: Any, device: str, count: Any) -> None:
        super().__init__(model, 0, device)
        self._count = count

    @cached_property
    def _measured(self) -> int:
        return int(self.run_texts(["a"]).shape[-1])

    @property
    def dimension(self) -> int:
        """Length of a sentence vector, as one text shows it: a caller's ``forward`` may give any."""
        return self._measured

    def lengths(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int32] | None]:
        """Tokens of each text where the model counts them, else characters and None."""
        if self._count is None:
            return super().lengths(texts)
        counts = self._count(list(texts))
        return counts, counts

    def _preprocesses(self) -> bool:
        """Whether the caller overrode ``preprocess``, the newer name of ``tokenize``."""
        model: Any = self.module
        own = type(model).preprocess is not model._own_class().preprocess
        return own or "preprocess" in vars(model)

    def _features(self, texts: Sequence[str], prompt: str) -> dict[str, Any]:
        model: Any = self.module
        with out_of_memory(len(texts)), torch.inference_mode(), evaluating(model):
            read = model.preprocess if self._preprocesses() else model.tokenize
            features = dict(read(list(texts), **self._task_of(read)))
            if self.task is not None:
                features["task"] = self.task
            if prompt:
                features["prompt_length"] = self._prompt_length(prompt)
            found: dict[str, Any] = model(to_device(features, self.device))
            return found


class CalledScorer(TorchScorer):
    """Scores by ``model(features)``, in float32.

    Args:
        model: a cross-encoder that is a torch module.
    """

    def __init__(self, model: Any, labels: int, device: str) -> None:
        super().__init__(nn.Sequential(model), labels, device, "float32")
