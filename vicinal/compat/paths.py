"""Which submodules ``sentence_transformers`` has, in the layouts of all years, and where their names live here.

The package changed its layout twice (a file a class; then ``sentence_transformer/``, ``cross_encoder/`` and
``base/``). A path is known if its parts are known words in a known place, or if it ends in the name of a class
that its parent holds (``losses.CosineSimilarityLoss``, a file of that class alone).
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from vicinal.compat.naming import MODELS, as_there, model_class, model_home
from vicinal.compat.star import listed
from vicinal.errors import MissingExtraError

PACKAGE = "sentence_transformers"

#: The release whose names and paths are offered.
VERSION = "6.2.0"

# What the folder of each kind of model holds.
_KIND = (
    "data_collator",
    "evaluation",
    "fit_mixin",
    "losses",
    "model",
    "model_card",
    "modules",
    "trainer",
    "training_args",
)

# First word of a path -> words that may follow; files of one class are not listed.
_WORDS: dict[str, tuple[str, ...]] = {
    "backend": ("load", "optimize", "quantize", "utils"),
    "base": (
        "data_collator",
        "evaluation",
        "losses",
        "model",
        "model_card",
        "modules",
        "peft_mixin",
        "sampler",
        "trainer",
        "training_args",
    ),
    "cross_encoder": (*_KIND, "util"),
    "data_collator": (),
    "datasets": (),
    "evaluation": (),
    "fit_mixin": (),
    "losses": (),
    "model_card": (),
    "models": ("tokenizer",),
    "multi_vector_encoder": _KIND,
    "peft_mixin": (),
    "quantization": (),
    "readers": (),
    "sampler": (),
    "sentence_transformer": (*_KIND, "datasets", "readers"),
    "similarity_functions": (),
    "sparse_encoder": (*_KIND, "callbacks", "search_engines"),
    "trainer": (),
    "training_args": (),
    "util": (
        "dataset",
        "decorators",
        "distributed",
        "environment",
        "file_io",
        "hard_negatives",
        "logging",
        "misc",
        "quantization",
        "retrieval",
        "similarity",
        "tensor",
    ),
}

# Word of a path -> the modules that hold its names; under cross_encoder the second table goes first.
_HOMES = {
    "datasets": ("vicinal.datasets",),
    "evaluation": ("vicinal.evaluation",),
    "losses": ("vicinal.losses",),
    "model_card": ("vicinal.models.card_data",),
    "models": ("vicinal.models",),
    "modules": ("vicinal.models",),
    "quantization": ("vicinal.util",),
    "readers": ("vicinal.readers",),
    "sampler": ("vicinal.training",),
    "trainer": ("vicinal.training",),
    "training_args": ("vicinal.training",),
    "similarity_functions": ("vicinal.vectors.similarity",),
    "util": (
        "vicinal.util",
        "vicinal.compat.utilities",
        "vicinal.compat.tensor_rows",
        "vicinal.compat.decorators",
        "vicinal.compat.teachers",
    ),
}
_CROSS_HOMES = {
    "evaluation": ("vicinal.cross_encoder.evaluation",),
    "losses": ("vicinal.cross_encoder.losses",),
}
# Names with an underscore that packages import from ``util`` all the same.
_PRIVATE = ("_convert_to_batch", "_convert_to_batch_tensor", "_convert_to_tensor", "_move_tensors_to_cpu")
# Where a name is looked for in the end.
_EVERYWHERE = (
    "vicinal",
    "vicinal.training",
    "vicinal.logging_handler",
    "vicinal.util",
    "vicinal.vectors.similarity",
    "vicinal.datasets",
    "vicinal.readers",
    "vicinal.evaluation",
    "vicinal.models",
    "vicinal.losses",
    "vicinal.cross_encoder",
    "vicinal.models.card_data",
    "vicinal.compat.bases",
)


def homes(path: str) -> tuple[str, ...]:
    """The modules of Vicinal where the names of a submodule live, the likeliest first.

    Args:
        path: the submodule without the package's name, ``""`` for the package itself.
    """
    words = path.split(".") if path else []
    found: list[str] = []
    if "cross_encoder" in words:
        for word in words:
            found += _CROSS_HOMES.get(word, ())
        found.append("vicinal.cross_encoder")
    for word in words:
        found += _HOMES.get(word, ())
    return tuple(dict.fromkeys([*found, *_EVERYWHERE]))


def exists(path: str) -> bool:
    """Whether ``sentence_transformers.<path>`` is a submodule in any layout."""
    words = path.split(".")
    if words[0] not in _WORDS:
        return len(words) == 1 and _names_class("", words[0])
    if len(words) == 1:
        return True
    parent, last = ".".join(words[:-1]), words[-1]
    if last in _WORDS[words[0]] and len(words) == 2:
        return True
    if not exists(parent):
        return False
    if last == "tokenizer" and words[-2] == "modules":
        return True
    if words[-2] == "tokenizer" and last in ("whitespace", "word"):
        return True
    return _names_class(parent, last) or _names_class(parent, _camel(parent, last))


def _camel(parent: str, name: str) -> str:
    """The class that the newest layout keeps in a file: ``losses.cosine_similarity`` -> CosineSimilarityLoss."""
    ending = {"losses": "Loss", "evaluation": "Evaluator"}.get(parent.rpartition(".")[2], "")
    wanted = (name.replace("_", "") + ending).lower()
    for home in homes(parent):
        for known in _names(home):
            if known.lower() in (wanted, wanted.removesuffix(ending.lower())):
                return known
    return name


def _names(home: str) -> list[str]:
    try:
        return dir(import_module(home))
    except ImportError:
        return []


def _names_class(path: str, name: str) -> bool:
    return name in MODELS or is_class(
        lookup(path, name)
    )  # the models are not loaded, with torch, to know that


def is_class(value: Any) -> bool:
    """Whether a value found by :func:`lookup` is one that a file may be named after."""
    return isinstance(value, type) and value is not Missing


class Missing:
    """What :func:`lookup` gives where there is no such name."""


def lookup(path: str, name: str) -> Any:
    """The value of a name in a submodule; :class:`Missing` (the class itself) if Vicinal has none.

    Raises:
        MissingExtraError: the name is there and needs a package that is not installed.
    """
    if name.startswith("_") and name not in _PRIVATE:
        return Missing
    if name in MODELS:
        return model_class(name)
    for home in homes(path):
        try:
            module = import_module(home)
        except ModuleNotFoundError as error:
            if error.name is not None and home.startswith(error.name):
                continue
            raise
        try:
            value = getattr(module, name)
        except AttributeError:
            continue
        if not isinstance(value, ModuleType):  # submodules are found by their path
            return as_there(name, value)
    return Missing


def names(path: str) -> list[str]:
    """The names of a submodule that Vicinal has: what ``from ... import *`` brings.

    They are those that the submodule itself lists there; where it lists none, what Vicinal's module of that name has.
    """
    wanted = listed(path)
    if wanted is None:
        home = import_module(homes(path)[0])
        # Where all names need torch, vicinal's own list leaves them out.
        wanted = getattr(home, "__all__", None) or [name for name in dir(home) if not name.startswith("_")]
    return [name for name in wanted if _is_there(path, name)]


def _is_there(path: str, name: str) -> bool:
    try:
        return lookup(path, name) is not Missing
    except MissingExtraError:
        return False


# Where the models' classes say that they are.
_OTHER_PATH = {"SentenceTransformer": "sentence_transformer.model", "CrossEncoder": "cross_encoder.model"}


def file_of(path: str) -> str | None:
    """The file where the names of a submodule are defined, for those who look into it; None if there is none."""
    model = next((name for name in MODELS if _OTHER_PATH[name] == path), None)
    home = homes(path)[0] if model is None else model_home(model)
    spec = find_spec(home)
    return None if spec is None else spec.origin
