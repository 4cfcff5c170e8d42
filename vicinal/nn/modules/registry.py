"""Which class a name in ``modules.json`` means, and by which name a class is written there.

A folder may come from anybody, so a name in it gets nothing constructed or called that the user did not choose:
without ``trust_remote_code`` a name means one of Vicinal's modules, a class of ``module_classes``, or a module that
the running script itself defines. What happens to be imported does not count.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from torch import nn

from vicinal.errors import InputTypeError, ModelFormatError, UnsupportedModelError, VicinalError
from vicinal.folder.specs import CustomSpec
from vicinal.nn import modules
from vicinal.nn.modules.base import load_any

# Where the field's classes lie; folders name them under all of these.
_FIELD = ("sentence_transformers", "vicinal")
# Names of the field's classes, as the stub of the package lists them.
_NAMES: list[str] = modules.__all__  # type: ignore[attr-defined]
# A file that names modules shows that a folder belongs to the model.
_MODEL_FILES = ("modules.json", "router_config.json")


def open_custom(
    spec: CustomSpec, module_classes: Iterable[type[nn.Module]], trust_remote_code: bool
) -> nn.Module:
    """A module that no graph can be built of, from its folder.

    Raises:
        InputTypeError: ``module_classes`` holds something that is not a class of modules.
        ModelFormatError: the class's ``load`` gives something that is not a module.
        UnsupportedModelError: its class cannot be found, may not be used, or is not one of modules.
    """
    classes = checked_classes(module_classes)
    return _load(_find_class(spec, classes, trust_remote_code), spec.folder, classes, trust_remote_code)


def open_like(module: nn.Module, folder: Path) -> nn.Module:
    """Another module of the same classes, inner ones included, from its folder.

    Raises:
        ModelFormatError, UnsupportedModelError: as :func:`open_custom`.
    """
    return _load(type(module), folder, tuple({type(each) for each in module.modules()}), False)


def _load(
    cls: type[nn.Module], folder: Path, classes: Sequence[type[nn.Module]], trust_remote_code: bool
) -> nn.Module:
    # A module that holds others hands these on; what a user's own load takes is not ours to say.
    wanted = {"module_classes": classes, "trust_remote_code": trust_remote_code}
    taken = inspect.signature(getattr(cls, "load", cls)).parameters
    options = {name: wanted[name] for name in wanted if name in taken}
    try:
        module = load_any(cls, folder, **options)
    except VicinalError:
        raise
    except Exception as error:
        if not cls.__module__.startswith("vicinal."):
            raise  # a user's own class says it in its own way
        raise ModelFormatError(f"{folder}: its files are not those of {cls.__name__} ({error})") from error
    if not isinstance(module, nn.Module):
        raise ModelFormatError(
            f"{folder}: {cls.__name__}.load gave {type(module).__name__}, not a torch.nn.Module"
        )
    return module


def checked_classes(module_classes: Iterable[type[nn.Module]]) -> tuple[type[nn.Module], ...]:
    """``module_classes`` as a tuple.

    Raises:
        InputTypeError: one is not a class that derives from ``torch.nn.Module``.
    """
    classes = tuple(module_classes)
    for place, each in enumerate(classes):
        if not _is_module_class(each):
            raise InputTypeError(
                f"module_classes[{place}] is {each!r}; give classes that derive from torch.nn.Module"
            )
    return classes


def _is_module_class(found: Any) -> TypeGuard[type[nn.Module]]:
    return isinstance(found, type) and issubclass(found, nn.Module)


def _find_class(
    spec: CustomSpec, given: Sequence[type[nn.Module]], trust_remote_code: bool
) -> type[nn.Module]:
    package, _, name = spec.type_name.rpartition(".")
    same = [each for each in given if each.__name__ == name]
    exact = [each for each in same if _named(each) == spec.type_name]
    if same:
        return (exact or same)[0]
    if package.split(".")[0] in _FIELD and name in _NAMES:
        ours = getattr(modules, name)
        if _is_module_class(ours) and not inspect.isabstract(ours):
            return ours
    if package == "__main__":
        own = getattr(sys.modules.get(package), name, None)
        # What the script imported is not its own.
        if _is_module_class(own) and own.__module__ == package:
            return own
    if not trust_remote_code:
        wanted = name if name.isidentifier() else "..."
        raise UnsupportedModelError(
            f"{spec.folder}: its class {spec.type_name!r} is not one of Vicinal's. Pass it as "
            f"module_classes=[{wanted}], or pass trust_remote_code=True, which runs code that the folder names"
        )
    found = getattr(sys.modules.get(package), name, None)
    if found is None:
        found = getattr(_import(package, spec), name, None)
    if not _is_module_class(found):
        kind = "no class" if found is None else "something else than a torch.nn.Module under the name"
        raise UnsupportedModelError(f"{spec.folder}: {kind} {name!r} in the module {package!r}")
    return found


def _import(package: str, spec: CustomSpec) -> Any:
    """A file of the model folder where there is one of that name, else a module on the path."""
    folder = spec.folder
    if not all(part.isidentifier() for part in package.split(".")):
        raise UnsupportedModelError(f"{folder}: its class {spec.type_name!r} names no module of Python")
    homes = [folder]
    if any((folder.parent / name).is_file() for name in _MODEL_FILES):  # else it lies outside the model
        homes.append(folder.parent)
    for home in homes:
        file = home / f"{package.rpartition('.')[2]}.py"
        if file.is_file():
            found = importlib.util.spec_from_file_location(package, file)
            assert found is not None and found.loader is not None
            module = importlib.util.module_from_spec(found)
            found.loader.exec_module(module)
            return module
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise UnsupportedModelError(
            f"{folder}: the module {package!r} cannot be imported ({error})"
        ) from error


def _named(cls: type[nn.Module]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def type_name(module: nn.Module) -> str:
    """How ``modules.json`` names a class: the field's classes by the name that all readers know."""
    cls = type(module)
    if cls.__name__ in _NAMES and cls.__module__.startswith("vicinal."):
        return f"sentence_transformers.models.{cls.__name__}"
    return _named(cls)
