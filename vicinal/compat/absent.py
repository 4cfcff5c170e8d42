"""Names of sentence-transformers that Vicinal does not have, and that libraries import before they need them.

A library that supports every kind of model imports them all at its top, for ``isinstance`` and annotations. So
these names can be imported here, as classes of which nothing is an instance; making one says what is missing.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NoReturn

from vicinal.errors import UnsupportedModelError

_SPARSE = "Vicinal has no sparse encoders (its Index searches by words and vectors together)"
_MULTI = "Vicinal has no late-interaction encoders"
_EXPORT = "Vicinal writes no ONNX files; model.quantize() gives an int8 model for its own engine"
_CARD = "Vicinal writes the model card from what it sees of the training (docs/publish.md)"

# How such a name begins -> why it is not here.
_BEGINNINGS = {
    "Sparse": _SPARSE,
    "Splade": _SPARSE,
    "MultiVector": _MULTI,
    "export_": _EXPORT,
    "CLIPModel": "Vicinal reads text only, no images",
    "ModelCardCallback": _CARD,
    "SentenceTransformerModelCardCallback": _CARD,
    "CrossEncoderModelCardCallback": _CARD,
    "BaseModelCardCallback": _CARD,
}


def reason(name: str) -> str | None:
    """Why Vicinal does not have a name; None if nothing is known about it."""
    return next((why for start, why in _BEGINNINGS.items() if name.startswith(start)), None)


@cache
def placeholder(name: str) -> type | None:
    """A class that stands in for an absent name, the same one each time; None where there is no need of one."""
    why = reason(name)
    if why is None:
        return None

    def refuse(cls: type, *_: Any, **__: Any) -> NoReturn:
        raise UnsupportedModelError(f"{name}: {why}; what uses it needs sentence-transformers itself")

    return type(name, (), {"__new__": refuse, "__doc__": f"Not in Vicinal: {why}.", "__module__": __name__})
