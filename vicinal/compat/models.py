"""The models as old code knows them: torch modules that give tensors where sentence-transformers does."""

from __future__ import annotations

from functools import wraps
from typing import Any

from vicinal.compat.tensors import as_tensors
from vicinal.core.torch import require_torch
from vicinal.models import as_torch
from vicinal.models.encoding import EncodeOptions
from vicinal.models.workers import WorkerPool

torch: Any = require_torch("sentence_transformers")

# Where predict takes convert_to_numpy if it is given by its place.
_NUMPY_PLACE = 5


def _in_tensors(predict: Any) -> Any:
    """``predict``, whose results are tensors where no array is asked for."""

    @wraps(predict)
    def compute(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = predict(self, *args, **kwargs)
        place = _NUMPY_PLACE
        as_numpy = args[place] if len(args) > place else kwargs.get("convert_to_numpy", True)
        return found if as_numpy else as_tensors(found)

    return compute


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
        """The ``torch.dtype`` of the weights; float32 where the engine computes in less by its own choice."""
        if self._is_built:
            first = next(self.parameters(), None)
            if first is not None:
                return first.dtype
        return torch.float32


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
        if options.convert_to_numpy and options.output_value == "sentence_embedding":
            return found
        return as_tensors(found)


class CrossEncoder(_Facts, as_torch.CrossEncoder):
    """:class:`vicinal.torch.CrossEncoder`, whose lists of scores hold tensors."""

    predict = _in_tensors(as_torch.CrossEncoder.predict)
