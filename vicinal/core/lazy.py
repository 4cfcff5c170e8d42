"""Public names are loaded when they are first used (PEP 562), and each is listed once: in a stub.

A package that only hands on names has a stub beside it (``__init__.pyi``, or ``losses.pyi`` for ``losses.py``)
with one line per name, which type checkers and editors read too::

    from vicinal.nn.losses.scores import CosineSimilarityLoss as CosineSimilarityLoss
    from vicinal.nn.modules import *            # all names of another such package
    from vicinal import losses as losses        # in vicinal/__init__.pyi: a submodule

and the module itself has one line::

    __getattr__, __dir__, __all__ = attach(__name__, __spec__)
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import ModuleSpec
from typing import Any, NamedTuple

# Names that lie below this need PyTorch.
_TORCH = "vicinal.nn."
_ONLY_AST = 0x400  # ast.PyCF_ONLY_AST, without the 5 ms that importing ast takes


class Attached(NamedTuple):
    """What a module binds to the names of PEP 562."""

    getattr: Callable[[str], Any]
    dir: Callable[[], list[str]]
    all: list[str]


def attach(module: str, spec: ModuleSpec | None, *, star_with_torch: bool = True) -> Attached:
    """Make a module hand on the names of its stub.

    Args:
        module: its ``__name__``. spec: its ``__spec__``.
        star_with_torch: whether ``from module import *`` brings names that need PyTorch too.

    Returns:
        ``__getattr__``, ``__dir__`` and ``__all__``. Asking for a name that needs PyTorch where that is not
        installed raises :class:`vicinal.errors.MissingExtraError`.
    """
    homes = _homes(module, spec)

    def load(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if home.startswith(_TORCH):
            from vicinal.core.torch import require_torch

            # "losses.MSELoss", wherever the name lies inside
            require_torch(f"{module}.{name}".removeprefix("vicinal.").removeprefix("nn."))
        value = import_module(home) if home == f"{module}.{name}" else getattr(import_module(home), name)
        setattr(sys.modules[module], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[module]), *homes})

    starred = [name for name in homes if star_with_torch or not homes[name].startswith(_TORCH)]
    return Attached(load, names, sorted(starred))


def _homes(module: str, spec: ModuleSpec | None) -> dict[str, str]:
    """Each name of the stub and the module that holds it."""
    assert spec is not None and spec.origin is not None
    stub = spec.origin.rpartition(".")[0] + ".pyi"
    loader: Any = spec.loader
    tree: Any = compile(loader.get_data(stub), stub, "exec", _ONLY_AST)
    found: dict[str, str] = {}
    for line in tree.body:
        if type(line).__name__ != "ImportFrom":
            continue  # the docstring and what is not loaded lazily
        for alias in line.names:
            if alias.name == "*":
                found |= dict.fromkeys(import_module(line.module).__all__, line.module)
            else:
                found[alias.asname or alias.name] = (
                    f"{module}.{alias.name}" if line.module == module else line.module
                )
    return found
