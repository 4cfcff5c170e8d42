"""The models say that they are sentence-transformers', for code that looks at their type's name.

KeyBERT and BERTopic ask whether ``"sentence_transformers" in str(type(model))``, and take another model, silently,
if it is not. So both classes carry the module's name that they have in the real package while the name means
Vicinal. Pickles go on naming Vicinal: they may be read where the name means something else.
"""

from __future__ import annotations

import copyreg
from typing import Any

_HOMES = {
    "SentenceTransformer": (
        "vicinal.models.sentence_transformer",
        "sentence_transformers.sentence_transformer.model",
    ),
    "CrossEncoder": ("vicinal.models.cross_encoder", "sentence_transformers.cross_encoder.model"),
}


def take_names() -> None:
    """Give the models' classes their other name."""
    for cls, _, other in _classes():
        cls.__module__ = other
        copyreg.pickle(cls, _reduce)


def give_names_back() -> None:
    """Undo :func:`take_names`."""
    for cls, home, _ in _classes():
        cls.__module__ = home
        copyreg.dispatch_table.pop(cls, None)


def _classes() -> list[tuple[type, str, str]]:
    from vicinal.models.cross_encoder import CrossEncoder
    from vicinal.models.sentence_transformer import SentenceTransformer

    return [(cls, *_HOMES[cls.__name__]) for cls in (SentenceTransformer, CrossEncoder)]


def _reduce(model: Any) -> Any:
    _, _, *state = model.__reduce_ex__(
        2
    )  # the class is its second item, by a name that may not be known there
    return _blank, (type(model).__name__,), *state


def _blank(name: str) -> Any:
    cls: Any = next(cls for cls, _, _ in _classes() if cls.__name__ == name)
    return cls.__new__(cls)
