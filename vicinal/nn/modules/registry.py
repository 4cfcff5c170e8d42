"""Which class a name in ``modules.json`` means, and by which name a class is written there."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from vicinal.errors import UnsupportedModelError
from vicinal.folder.specs import CustomSpec
from vicinal.nn import modules
from vicinal.nn.modules.base import load_any

# Where the field's classes lie; folders name them under all of these.
_FIELD = ("sentence_transformers", "vicinal")
# Names of the field's classes, as the stub of the package lists them.
_NAMES: list[str] = modules.__all__  # type: ignore[attr-defined]


def open_custom(
    spec: CustomSpec, module_classes: Iterable[type[nn.Module]], trust_remote_code: bool
) -> nn.Module:
    """A module that no graph can be built of, from its folder.

    Raises:
        UnsupportedModelError: its class cannot be found, or may not be imported.
    """
    classes = tuple(module_classes)
    cls = _find_class(spec, {each.__name__: each for each in classes}, trust_remote_code)
    # A module that holds others hands these on; what a user's own load takes is not ours to say.
    wanted = {"module_classes": classes, "trust_remote_code": trust_remote_code}
    taken = inspect.signature(getattr(cls, "load", cls)).parameters
    return load_any(cls, spec.folder, **{name: wanted[name] for name in wanted if name in taken})


def _find_class(
    spec: CustomSpec, known: Mapping[str, type[nn.Module]], trust_remote_code: bool
) -> type[nn.Module]:
    package, _, name = spec.type_name.rpartition(".")
    if name in known:
        return known[name]
    if package.split(".")[0] in _FIELD and name in _NAMES:
        cls: type[nn.Module] = getattr(modules, name)
        return cls
    loaded = sys.modules.get(package)
    found = getattr(loaded, name, None)
    if isinstance(found, type):
        return found
    if not trust_remote_code:
        raise UnsupportedModelError(
            f"{spec.folder}: its class {spec.type_name!r} is not one of Vicinal's. Import the file that defines "
            "it first, or pass module_classes=[...], or trust_remote_code=True, which runs code that the "
            "folder names"
        )
    found = getattr(_import(package, spec.folder), name, None)
    if not isinstance(found, type):
        raise UnsupportedModelError(f"{spec.folder}: no class {name!r} in the module {package!r}")
    return found


def _import(package: str, folder: Path) -> Any:
    """A file of the model folder where there is one of that name, else a module on the path."""
    for home in (folder, folder.parent):
        file = home / f"{package.rpartition('.')[2]}.py"
        if file.is_file():
            spec = importlib.util.spec_from_file_location(package, file)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise UnsupportedModelError(
            f"{folder}: the module {package!r} cannot be imported ({error})"
        ) from error


def type_name(module: nn.Module) -> str:
    """How ``modules.json`` names a class: the field's classes by the name that all readers know."""
    cls = type(module)
    if cls.__name__ in _NAMES and cls.__module__.startswith("vicinal."):
        return f"sentence_transformers.models.{cls.__name__}"
    return f"{cls.__module__}.{cls.__qualname__}"
