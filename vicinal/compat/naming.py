"""The models say that they are sentence-transformers', for code that looks at their type's name.

KeyBERT and BERTopic ask whether ``"sentence_transformers" in str(type(model))``, and take another model, silently,
if it is not. So the models' classes carry the module's name that they have in the real package while the name means
Vicinal. Pickles go on naming Vicinal: they may be read where the name means something else.
"""

from __future__ import annotations

import copyreg
import sys
from importlib import import_module
from typing import Any

from vicinal.core.torch import torch_installed

_OTHER = {
    "SentenceTransformer": "sentence_transformers.sentence_transformer.model",
    "CrossEncoder": "sentence_transformers.cross_encoder.model",
}
# Where the classes are, without torch and with it.
_PLAIN = {
    "SentenceTransformer": "vicinal.models.sentence_transformer",
    "CrossEncoder": "vicinal.models.cross_encoder",
}
_AS_TORCH = "vicinal.compat.models"
# Their bases, which users of Vicinal may have made models of.
_BASES = "vicinal.models.as_torch"

_TENSORS = "vicinal.compat.tensors"

# Names whose results are tensors.
_GIVING_TENSORS = (
    "SimilarityFunction",
    "cos_sim",
    "dot_score",
    "euclidean_sim",
    "manhattan_sim",
    "pairwise_angle_sim",
    "pairwise_cos_sim",
    "pairwise_dot_score",
    "semantic_search",
    "information_retrieval",
    "paraphrase_mining",
    "paraphrase_mining_embeddings",
    "pairwise_euclidean_sim",
    "pairwise_manhattan_sim",
    "pytorch_cos_sim",
)

#: The names of the models.
MODELS = tuple(_OTHER)


def model_class(name: str) -> type:
    """A model as old code knows it: a torch module wherever torch is installed, the plain one elsewhere."""
    home = model_home(name)
    found: type = getattr(import_module(home), name)
    _rename(found)
    if home == _AS_TORCH:
        _rename(_class(_BASES, name))
    return found


def model_home(name: str) -> str:
    """The module of a model's class, with torch or without."""
    return _AS_TORCH if torch_installed() else _PLAIN[name]


def as_there(name: str, value: Any) -> Any:
    """A value of ``vicinal.util`` as old code expects it: wherever torch is installed, similarities are tensors."""
    if name not in _GIVING_TENSORS or not torch_installed():
        return value
    from vicinal.compat import tensors

    if name == "SimilarityFunction":
        tensors.of_similarity_function()
        return value
    return getattr(tensors, name)


def take_names() -> None:
    """Give the models' classes their other name; those that need torch get it when they are loaded."""
    for home, name in _loaded():
        _rename(_class(home, name))


def give_names_back() -> None:
    """Undo :func:`take_names`."""
    for home, name in _loaded():
        cls = _class(home, name)
        cls.__module__ = home
        copyreg.dispatch_table.pop(cls, None)
    if _TENSORS in sys.modules:
        sys.modules[_TENSORS].back_to_arrays()


def _loaded() -> list[tuple[str, str]]:
    """Home and name of each class that exists by now."""
    later = [(home, name) for home in (_AS_TORCH, _BASES) if home in sys.modules for name in MODELS]
    return [*((home, name) for name, home in _PLAIN.items()), *later]


def _class(home: str, name: str) -> Any:
    return getattr(import_module(home), name)


def _rename(cls: type) -> None:
    if cls.__module__ != _OTHER[cls.__name__]:
        cls.__module__ = _OTHER[cls.__name__]
        copyreg.pickle(cls, _reduce)


def _reduce(model: Any) -> Any:
    # The class is the second item, by a name that may not be known where this is read.
    _, _, *state = model.__reduce_ex__(2)
    home = next(home for home, name in _loaded() if _class(home, name) is type(model))
    return _blank, (type(model).__name__, home), *state


def _blank(name: str, home: str | None = None) -> Any:
    cls = _class(home or _PLAIN[name], name)
    return cls.__new__(cls)
