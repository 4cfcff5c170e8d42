"""The import hook behind :func:`install_as_sentence_transformers`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import warnings
from collections.abc import Iterable, Sequence
from email.message import Message
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.readers import FileReader
from types import ModuleType, SimpleNamespace
from typing import Any

from vicinal.compat.absent import placeholder
from vicinal.compat.naming import MODELS, give_names_back, take_names
from vicinal.compat.paths import PACKAGE, VERSION, Missing, exists, file_of, is_class, lookup, names


def install_as_sentence_transformers(*, replace: bool = False) -> bool:
    """Make ``import sentence_transformers``, and all its public submodules, mean Vicinal in this process.

    Call it before the code that imports them; calling it again changes nothing. ``python -m vicinal run
    script.py`` calls it for a script that shall stay as it is.

    Args:
        replace: also where the real package is installed; without it that one is left alone.

    Returns:
        Whether the name means Vicinal now.
    """
    if is_installed():
        return True
    if not replace and (PACKAGE in sys.modules or importlib.util.find_spec(PACKAGE) is not None):
        return False
    if PACKAGE in sys.modules:
        warnings.warn(
            f"{PACKAGE} was imported before and is replaced now: what was taken from it stays the real one's",
            RuntimeWarning,
            stacklevel=2,
        )
        _forget()
    take_names()
    sys.meta_path.insert(0, _Finder())
    return True


def is_installed() -> bool:
    """Whether ``sentence_transformers`` means Vicinal."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


def uninstall() -> None:
    """Take the name back, for tests; what was imported by it stays what it is."""
    if is_installed():
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
        give_names_back()
        _forget()


def _forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


class _Module(ModuleType):
    """A module whose names are looked up in Vicinal when they are asked for."""

    def __getattr__(self, name: str) -> Any:
        path = self.__name__.partition(".")[2]
        if name == "__version__" and not path:
            return VERSION
        if name == "__all__":
            return names(path)
        value = lookup(path, name)
        if value is Missing:
            inner = f"{path}.{name}" if path else name
            if not name.startswith("_") and exists(inner):
                return importlib.import_module(f"{PACKAGE}.{inner}")
            value = placeholder(name)
        if value is None:
            raise AttributeError(
                f"module {self.__name__!r} has no attribute {name!r} (here it means Vicinal; "
                "docs/names.md lists what Vicinal has)"
            )
        self.__dict__[name] = value
        if name in MODELS and isinstance(value, type):
            importlib.import_module(value.__module__)  # inspect looks for a class's file there
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system binds a submodule to its parent; but where file and class share a name
        # (sentence_transformers.SentenceTransformer), everybody means the class.
        if isinstance(value, _Module) and not name.islower():
            path = self.__name__.partition(".")[2]
            found = lookup(path, name)
            if is_class(found):
                value = found
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *names(self.__name__.partition(".")[2])})


class _Loader(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__doc__ = "Vicinal, under the name of sentence-transformers."

    def get_resource_reader(self, fullname: str) -> FileReader:
        """For importlib.resources: the folder of the module's file."""
        loader: Any = SimpleNamespace(path=file_of(fullname.partition(".")[2]))
        return FileReader(loader)


class _Distribution(importlib.metadata.Distribution):
    """Some clients ask for the version of the installed package before they import it."""

    def read_text(self, filename: str) -> str | None:
        if filename != "METADATA":
            return None
        message = Message()
        message["Metadata-Version"] = "2.1"
        message["Name"] = "sentence-transformers"
        message["Version"] = VERSION
        return message.as_string()

    def locate_file(self, path: Any) -> Any:
        raise FileNotFoundError(f"{path}: {PACKAGE} is Vicinal here and has no files of its own")


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, inner = fullname.partition(".")
        if package != PACKAGE or (inner and not exists(inner)):
            return None
        # Every module may have submodules: in one layout or another it has.
        file = file_of(inner)
        spec = ModuleSpec(fullname, _Loader(), origin=file or "vicinal", is_package=True)
        spec.has_location = file is not None  # gives the module its __file__
        return spec

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context | None = None
    ) -> Iterable[importlib.metadata.Distribution]:
        """The package's metadata, for those who ask for its version."""
        name = (getattr(context, "name", None) or "").lower().replace("_", "-")
        return [_Distribution()] if name in ("sentence-transformers", "") else []
