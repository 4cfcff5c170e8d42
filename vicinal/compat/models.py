"""The models as old code knows them: torch modules that give tensors where sentence-transformers does."""

from __future__ import annotations

from typing import Any

import numpy as np

from vicinal.compat.tensors import as_tensors
from vicinal.core.torch import require_torch
from vicinal.models import as_torch
from vicinal.models.encoding import EncodeOptions
from vicinal.models.workers import WorkerPool

torch: Any = require_torch("sentence_transformers")


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


class _Facts(as_torch.TorchModel):
    """Device and type as torch names them."""

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


class SentenceTransformer(_Facts, as_torch.SentenceTransformer):
    """:class:`vicinal.torch.SentenceTransformer`, whose similarities, token vectors and lists hold tensors."""

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """``(n, m)`` similarities of all pairs, a tensor."""
        return as_tensors(super().similarity(embeddings1, embeddings2))

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """``(n,)`` similarities of each row with its counterpart, a tensor."""
        return as_tensors(super().similarity_pairwise(embeddings1, embeddings2))

    def _encode(
        self, sentences: Any, options: EncodeOptions, pool: WorkerPool | None, chunk_size: int | None
    ) -> Any:
        found = super()._encode(sentences, options, pool, chunk_size)
        as_arrays = options.convert_to_numpy and options.output_value == "sentence_embedding"
        if not as_arrays and not options.convert_to_tensor:
            found = as_tensors(found)
        kind = self.dtype
        if kind == torch.float32 or options.precision not in (None, "float32"):
            return found
        return _in_type(found, kind)


class CrossEncoder(_Facts, as_torch.CrossEncoder):
    """:class:`vicinal.torch.CrossEncoder`, whose lists of scores hold tensors."""

    def _as_asked(self, scores: Any, single: bool, convert_to_numpy: bool, convert_to_tensor: bool) -> Any:
        if convert_to_numpy and not convert_to_tensor:
            return scores
        found = torch.as_tensor(np.asarray(scores))
        if self.dtype == torch.float64:
            found = found.to(torch.float64)
        return found if convert_to_tensor or single else list(found)
