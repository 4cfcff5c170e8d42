"""The models as old code knows them: torch modules that give tensors where sentence-transformers does."""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from typing import Any

import numpy as np

from vicinal.compat.tensors import as_tensors
from vicinal.core.torch import require_torch
from vicinal.models import as_torch
from vicinal.models.activations import Activation, GivenActivation, given_activation, name_of
from vicinal.models.encoding import EncodeOptions
from vicinal.models.workers import WorkerPool

torch: Any = require_torch("sentence_transformers")

_DTYPES = ("torch_dtype", "dtype")


def _in_type(found: Any, kind: Any) -> Any:
    """The same vectors in a type of torch; arrays, which have no bfloat16, keep their own then."""
    if isinstance(found, list):
        return [_in_type(each, kind) for each in found]
    if isinstance(found, dict):
        return {name: _in_type(each, kind) for name, each in found.items()}
    if isinstance(found, np.ndarray):
        return found if kind == torch.bfloat16 else found.astype(str(kind).removeprefix("torch."))
    if isinstance(found, torch.Tensor) and found.is_floating_point():
        return found.to(kind)
    return found


def _in_double(plain: Any) -> Any:
    """The constructor, which takes float64 in ``model_kwargs`` too: the modules compute in it, no engine does."""

    @wraps(plain)
    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        asked = kwargs.get("model_kwargs")
        wide = isinstance(asked, Mapping) and any(
            str(asked.get(name)).removeprefix("torch.") in ("float64", "double") for name in _DTYPES
        )
        if wide:
            others = {name: value for name, value in dict(asked or {}).items() if name not in _DTYPES}
            kwargs["model_kwargs"] = {**others, "torch_dtype": "float32"}
        plain(self, *args, **kwargs)
        if wide:
            self.double()

    return construct


class _Facts(as_torch.TorchModel):
    """Device and type as torch names them, and old names of methods."""

    def old_fit(self, *args: Any, **kwargs: Any) -> None:
        """The old name of ``fit``, which takes the same arguments."""
        self.fit(*args, **kwargs)

    def clear_placement_cache(self) -> None:
        """Nothing to do: where each module lies is looked up at every call."""

    @property
    def device(self) -> Any:
        """The ``torch.device`` where the model computes."""
        return torch.device(str(self._device))

    @property
    def _target_device(self) -> Any:
        return self.device

    @property
    def dtype(self) -> Any:
        """The ``torch.dtype`` of the weights, or that was asked for; what the engine chose by itself is not meant."""
        if self._is_built:
            first = next(self.parameters(), None)
            if first is not None:
                return first.dtype
        asked = self._options.dtype
        return getattr(torch, asked) if asked in ("float16", "bfloat16") else torch.float32


def _as_module(activation: Activation) -> Any:
    """An activation as the module of torch, or the caller's own function."""
    if isinstance(activation, GivenActivation):
        return activation.value
    name = name_of(activation)
    if name is None:
        return activation
    return torch.nn.Softmax(dim=-1) if name == "Softmax" else getattr(torch.nn, name)()


class SentenceTransformer(_Facts, as_torch.SentenceTransformer):
    """:class:`vicinal.torch.SentenceTransformer`, whose similarities, token vectors and lists hold tensors."""

    __init__ = _in_double(as_torch.SentenceTransformer.__init__)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """``(n, m)`` similarities of all pairs, a tensor."""
        return as_tensors(super().similarity(embeddings1, embeddings2))

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """``(n,)`` similarities of each row with its counterpart, a tensor."""
        return as_tensors(super().similarity_pairwise(embeddings1, embeddings2))

    def _encode(
        self, sentences: Any, options: EncodeOptions, pool: WorkerPool | None, chunk_size: int | None
    ) -> Any:
        self.eval()
        found = super()._encode(sentences, options, pool, chunk_size)
        as_arrays = options.convert_to_numpy and options.output_value == "sentence_embedding"
        if not as_arrays and not options.convert_to_tensor:
            found = as_tensors(found)
        kind = self.dtype
        if kind == torch.float32 or options.quantized_to != "float32":
            return found
        return _in_type(found, kind)


class CrossEncoder(_Facts, as_torch.CrossEncoder):
    """:class:`vicinal.torch.CrossEncoder`, whose lists hold tensors and whose activations are those of torch."""

    __init__ = _in_double(as_torch.CrossEncoder.__init__)

    @property
    def activation_fn(self) -> Any:
        """Turns raw scores, ``(n, labels)``, into reported ones: a torch module, or the function that was set."""
        return self._shown_activation

    @activation_fn.setter
    def activation_fn(self, value: Any) -> None:
        self._activation = self._read_activation(value)
        given = isinstance(value, torch.nn.Module)
        # Beside the attributes of a module, which would make it one more layer.
        self.__dict__["_shown_activation"] = value if given else _as_module(self._activation)

    @staticmethod
    def _read_activation(value: Any) -> Activation:
        return given_activation(value, gets_tensors=True)

    def get_default_activation_fn(self) -> Any:
        """The activation that the folder names: sigmoid for one label and none for several, if it names none."""
        return _as_module(super().get_default_activation_fn())

    def _scores(self, *args: Any) -> Any:
        self.eval()
        return super()._scores(*args)

    def _as_asked(self, scores: Any, single: bool, convert_to_numpy: bool, convert_to_tensor: bool) -> Any:
        if convert_to_numpy and not convert_to_tensor:
            return scores
        found = torch.as_tensor(np.asarray(scores))
        if self.dtype == torch.float64:
            found = found.to(torch.float64)
        return found if convert_to_tensor or single else list(found)
