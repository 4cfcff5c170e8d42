"""Similarities as old code gets them: torch tensors, whatever was given.

Each function here is the one of ``vicinal.util`` with the same name, and computes the same; arrays and lists give
tensors too, which share the memory of the array that was computed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from vicinal.core.torch import require_torch
from vicinal.vectors import mining, pairwise, search, similarity


def as_tensors(value: Any) -> Any:
    """The same value, with each array in it as a tensor: in lists and dictionaries too."""
    torch = require_torch("sentence_transformers")
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, np.generic):
        return torch.tensor(value)
    if isinstance(value, list):
        return [as_tensors(each) for each in value]
    if isinstance(value, dict):
        return {key: as_tensors(each) for key, each in value.items()}
    return value


def _all_pairs(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    @wraps(function)
    def compute(a: Any, b: Any) -> Any:
        return as_tensors(function(a, b))

    setattr(compute, similarity.ANSWERS_FOR, (compute, function))
    compute.__module__ = __name__  # where a pickle finds it
    return compute


def _row_by_row(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    @wraps(function)
    def compute(*args: Any, **kwargs: Any) -> Any:
        found = as_tensors(function(*args, **kwargs))
        vectors = [*args, *kwargs.values()]
        # Two single vectors have one similarity, not a list of one.
        return found[0] if len(found) == 1 and all(_is_vector(each) for each in vectors) else found

    compute.__module__ = __name__
    return compute


def _is_vector(value: Any) -> bool:
    shape = getattr(value, "shape", None)
    if shape is not None:
        return len(shape) == 1
    return isinstance(value, (list, tuple)) and len(value) > 0 and np.ndim(value[0]) == 0


cos_sim = _all_pairs(similarity.cos_sim)
pytorch_cos_sim = _all_pairs(similarity.pytorch_cos_sim)
dot_score = _all_pairs(similarity.dot_score)
euclidean_sim = _all_pairs(similarity.euclidean_sim)
manhattan_sim = _all_pairs(similarity.manhattan_sim)
pairwise_cos_sim = _row_by_row(pairwise.pairwise_cos_sim)
pairwise_dot_score = _row_by_row(pairwise.pairwise_dot_score)
pairwise_euclidean_sim = _row_by_row(pairwise.pairwise_euclidean_sim)
pairwise_manhattan_sim = _row_by_row(pairwise.pairwise_manhattan_sim)
pairwise_angle_sim = _row_by_row(pairwise.pairwise_angle_sim)


def _scoring(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same search, whose ``score_function`` gets tensors if it is the caller's own."""
    parameters = inspect.signature(function)

    @wraps(function)
    def compute(*args: Any, **kwargs: Any) -> Any:
        given = parameters.bind(*args, **kwargs)
        score = given.arguments.get("score_function")
        if score is not None and not search.is_product(score):
            given.arguments["score_function"] = lambda a, b: as_tensors(score(as_tensors(a), as_tensors(b)))
        return function(*given.args, **given.kwargs)

    compute.__module__ = __name__
    return compute


semantic_search = _scoring(search.semantic_search)
information_retrieval = _scoring(search.information_retrieval)
paraphrase_mining = _scoring(mining.paraphrase_mining)
paraphrase_mining_embeddings = _scoring(mining.paraphrase_mining_embeddings)


def of_similarity_function() -> None:
    """Have the functions that ``SimilarityFunction`` gives by name answer in tensors too."""
    chosen: Any = similarity.SimilarityFunction
    chosen.to_similarity_fn = staticmethod(_to_similarity_fn)
    chosen.to_similarity_pairwise_fn = staticmethod(_to_similarity_pairwise_fn)


def back_to_arrays() -> None:
    """Undo :func:`of_similarity_function`."""
    chosen: Any = similarity.SimilarityFunction
    chosen.to_similarity_fn = staticmethod(similarity.all_pairs_function)
    chosen.to_similarity_pairwise_fn = staticmethod(similarity.pairwise_function)


@wraps(similarity.all_pairs_function)
def _to_similarity_fn(similarity_function: Any) -> Any:
    return globals()[similarity.all_pairs_function(similarity_function).__name__]


@wraps(similarity.pairwise_function)
def _to_similarity_pairwise_fn(similarity_function: Any) -> Any:
    return globals()[similarity.pairwise_function(similarity_function).__name__]
