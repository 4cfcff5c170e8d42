"""A hint, once a model, when vectors of different lengths are multiplied that were meant for the cosine.

The dot product of such vectors favours the long ones, whatever they say. Lengths alone do not show the
mistake, as some models are trained for the dot product. So the arrays that come fresh out of a model which
compares by cosine are remembered, by weak references, and only these are looked at.
"""

from __future__ import annotations

import sys
import warnings
import weakref
from typing import Any, NamedTuple

import numpy as np

from vicinal.core.arrays import is_tensor
from vicinal.core.inputs import caller_level

# Lengths further from 1, and from one another, than normalising in half precision leaves them.
_CLEARLY = 0.02
# Rows that are looked at.
_ROWS = 256


class DotProductWarning(UserWarning):
    """Vectors that were meant for the cosine have different lengths and went into a dot product."""


class _Origin(NamedTuple):
    array: weakref.ref[Any]
    model: weakref.ref[Any]


# Address of an array's first number -> where it came from; an entry goes when its array does.
_origins: dict[int, _Origin] = {}


def remember(vectors: Any, model: Any) -> None:
    """Note that an array came from a model that compares by cosine."""
    address = int(vectors.__array_interface__["data"][0])
    gone = weakref.ref(vectors, lambda _: _origins.pop(address, None))
    _origins[address] = _Origin(gone, weakref.ref(model))


def hint_lengths(*embeddings: Any) -> None:
    """Warn if these go into a dot product by the user's own wish and were not meant for it; once a model.

    To be called from the function that the user calls; what Vicinal itself calls is no mistake of theirs.
    """
    if not _origins or sys._getframe(2).f_globals.get("__name__", "").partition(".")[0] == "vicinal":
        return
    model = next((found for each in embeddings if (found := _model_of(each)) is not None), None)
    if model is None:
        return
    lengths = np.concatenate([_lengths(each) for each in embeddings])
    low, high = float(lengths.min(initial=np.inf)), float(lengths.max(initial=0.0))
    if high - low <= _CLEARLY * high or max(abs(low - 1), abs(high - 1)) <= _CLEARLY:
        return
    for address in [place for place, origin in list(_origins.items()) if origin.model() is model]:
        _origins.pop(address, None)
    model.hints.lengths = False
    warnings.warn(
        f"a dot product of vectors of different lengths ({low:.3g} to {high:.3g}) from "
        f"{model.name_or_path or 'a model'}, which compares by cosine: long vectors win whatever they say. Use "
        "util.cos_sim, or encode(..., normalize_embeddings=True). Where the model is meant for dot products, say "
        "SentenceTransformer(..., similarity_fn_name='dot')",
        DotProductWarning,
        stacklevel=caller_level(),
    )


def _model_of(embeddings: Any) -> Any:
    """The model that an array, a tensor or a part of them came from, if it is known."""
    if is_tensor(embeddings):
        if embeddings.device.type != "cpu" or str(embeddings.layout) != "torch.strided":
            return None
        address = int(embeddings.untyped_storage().data_ptr())
    elif isinstance(embeddings, np.ndarray):
        while isinstance(embeddings.base, np.ndarray):
            embeddings = embeddings.base
        address = int(embeddings.__array_interface__["data"][0])
    else:
        return None
    origin = _origins.get(address)
    return None if origin is None else origin.model()


def _lengths(embeddings: Any) -> Any:
    """Lengths of some of the rows; none for what has no rows."""
    if is_tensor(embeddings):
        embeddings = embeddings.detach().numpy() if str(embeddings.dtype) == "torch.float32" else None
    if not isinstance(embeddings, np.ndarray) or embeddings.ndim not in (1, 2) or not embeddings.size:
        return np.zeros(0)
    return np.linalg.norm(np.atleast_2d(embeddings)[:_ROWS].astype(np.float64), axis=1)
