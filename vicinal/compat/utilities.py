"""What old code takes from ``sentence_transformers.util`` beside the mathematics: files, names, packages, logs.

Nothing here is needed by Vicinal itself; each function does what the function of the same name does there.
"""

from __future__ import annotations

import csv
import importlib
import importlib.metadata
import importlib.util
import logging
import os
import platform
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from vicinal.core.files import check_path
from vicinal.core.torch import require_torch, torch_installed
from vicinal.errors import HubConnectionError, InputError, InputTypeError

_log = logging.getLogger(__name__)

_BLOCK = 1 << 20  # bytes read at a time


def __getattr__(name: str) -> Any:
    if name != "disabled_tqdm":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tqdm.auto import tqdm

    def start(self: Any, *args: Any, **options: Any) -> None:
        tqdm.__init__(self, *args, **{**options, "disable": True})

    silent = type("disabled_tqdm", (tqdm,), {"__init__": start, "__doc__": "A bar of tqdm that never shows."})
    globals()[name] = silent
    return silent


def http_get(url: str, path: str | os.PathLike[str]) -> None:
    """Download a file.

    Args:
        url: where from.
        path: where to; its folder is made. It appears when it is whole, and replaces what was there.

    Raises:
        HubConnectionError: the server does not answer, or not with the file; or there is no place for it.
        InputError: the address is none of http or https.
        InputTypeError: it is no text, or the path is none.
    """
    if not isinstance(url, str):
        raise InputTypeError(f"url is {type(url).__name__}; give an address, 'https://...'")
    if not url.lower().startswith(("http://", "https://")):
        raise InputError(f"url={url!r} is no address of the web; it begins with http:// or https://")
    if not isinstance(path, (str, os.PathLike)):
        raise InputTypeError(f"path is {type(path).__name__}; give the name of a file")
    check_path(os.fspath(path), "path")
    from tqdm.auto import tqdm

    target = Path(path)
    part = target.with_name(f"{target.name}_part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(url) as answer, part.open("wb") as file:
            length = answer.headers.get("Content-Length")
            with tqdm(unit="B", unit_scale=True, total=int(length) if length else None) as bar:
                while block := answer.read(_BLOCK):
                    file.write(block)
                    bar.update(len(block))
        if length and part.stat().st_size != int(length):
            raise HubConnectionError(
                f"{url}: {part.stat().st_size:,} of {int(length):,} bytes came; try again"
            )
        part.replace(target)
    except (OSError, ValueError) as error:
        if isinstance(error, HubConnectionError):
            raise
        raise HubConnectionError(f"{url} cannot be downloaded to {target}: {error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def load_file_path(
    model_name_or_path: str,
    filename: str | os.PathLike[str],
    subfolder: str = "",
    token: bool | str | None = None,
    cache_folder: str | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
) -> str | None:
    """One file of a model: its path in the folder, or in the cache, where it is downloaded to if need be.

    Returns:
        The path; None where the model has no such file, or there is no such model here.
    """
    here = Path(model_name_or_path, subfolder, filename)
    if here.exists():
        return str(here)
    if Path(model_name_or_path).is_dir():
        return None
    inner = Path(subfolder, filename)
    hub, errors = _hub()
    try:
        found: str = hub.hf_hub_download(
            model_name_or_path,
            filename=inner.as_posix(),
            revision=revision,
            token=token,
            cache_dir=cache_folder,
            local_files_only=local_files_only,
        )
    except (errors.EntryNotFoundError, errors.LocalEntryNotFoundError, errors.HFValidationError):
        return None
    return found


def load_dir_path(
    model_name_or_path: str,
    subfolder: str | os.PathLike[str],
    token: bool | str | None = None,
    cache_folder: str | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
) -> str | None:
    """A folder inside a model, likewise.

    Returns:
        The path; None where the model has no such folder, or there is no such model here.
    """
    here = Path(model_name_or_path, subfolder)
    if here.exists():
        return str(here)
    if Path(model_name_or_path).is_dir():
        return None
    hub, errors = _hub()
    inner = Path(subfolder).as_posix()
    try:
        snapshot = hub.snapshot_download(
            model_name_or_path,
            allow_patterns=f"{inner}/**" if inner != "." else None,
            revision=revision,
            token=token,
            cache_dir=cache_folder,
            local_files_only=local_files_only,
        )
    except (errors.LocalEntryNotFoundError, errors.HFValidationError):
        return None
    return str(Path(snapshot, inner))


def is_sentence_transformer_model(
    model_name_or_path: str,
    token: bool | str | None = None,
    cache_folder: str | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
) -> bool:
    """Whether a model's folder has a ``modules.json``, which lists the modules of a sentence encoder."""
    found = load_file_path(
        model_name_or_path,
        "modules.json",
        token=token,
        cache_folder=cache_folder,
        revision=revision,
        local_files_only=local_files_only,
    )
    return found is not None


def _hub() -> tuple[Any, Any]:
    from huggingface_hub import errors

    from vicinal.hub.fetch import import_hub

    return import_hub(), errors


def fullname(obj: Any) -> str:
    """Module and name of a class, or of an object's class; of a built-in one the name alone."""
    cls = obj if isinstance(obj, type) else type(obj)
    return cls.__name__ if cls.__module__ in (None, "builtins") else f"{cls.__module__}.{cls.__name__}"


def import_from_string(dotted_path: str) -> Any:
    """What a dotted path names: ``"package.module.Name"``.

    Raises:
        ImportError: there are no dots, no such module, or no such name in it.
    """
    if not isinstance(dotted_path, str):
        raise InputTypeError(
            f"dotted_path is {type(dotted_path).__name__}; give a text, 'package.module.Name'"
        )
    home, dot, name = dotted_path.rpartition(".")
    if not dot:
        raise ImportError(f"{dotted_path!r} is not a dotted path; give one such as 'package.module.Name'")
    module = importlib.import_module(home)
    try:
        return getattr(module, name)
    except AttributeError:
        raise ImportError(f"module {home!r} has no {name!r}") from None


def import_module_class(
    class_ref: str,
    model_name_or_path: str | None = None,
    *,
    trust_remote_code: bool = False,
    revision: str | None = None,
    code_revision: str | None = None,
    token: bool | str | None = None,
    cache_folder: str | None = None,
    local_files_only: bool = False,
) -> Any:
    """The class of a module, as ``modules.json`` names it; one that the model's folder brings runs its code.

    Raises:
        InputError: the class is not sentence-transformers' own, and ``trust_remote_code`` is not True.
        ImportError: there is no such class.
    """
    if class_ref.startswith("sentence_transformers.") or model_name_or_path is None:
        return import_from_string(class_ref)
    if not trust_remote_code:
        raise InputError(
            f"{model_name_or_path} names the class {class_ref!r}, which runs code that came with it or that is "
            "installed; look at it, and allow it with trust_remote_code=True"
        )
    require_torch("a module class of a model")
    dynamic = importlib.import_module("transformers.dynamic_module_utils")
    try:
        return dynamic.get_class_from_dynamic_module(
            class_ref,
            model_name_or_path,
            revision=revision,
            code_revision=code_revision,
            token=token,
            cache_dir=cache_folder,
            local_files_only=local_files_only,
        )
    except (OSError, ValueError):  # no such file there: it may be installed
        return import_from_string(class_ref)


def similarity_fct_name(similarity_fct: Callable[..., Any]) -> str:
    """The name of a similarity, with the arguments that are bound to it."""
    if isinstance(similarity_fct, partial):
        name = similarity_fct_name(similarity_fct.func)
        bound = ", ".join(f"{key}={value!r}" for key, value in similarity_fct.keywords.items())
        return f"{name}({bound})" if bound else name
    return str(getattr(similarity_fct, "__name__", type(similarity_fct).__name__))


def check_package_availability(package_name: str, owner: str) -> bool:
    """Whether a package is installed, and its home page is the owner's."""
    try:
        about: Any = importlib.metadata.metadata(package_name)
    except importlib.metadata.PackageNotFoundError:
        return False
    pages = [about["Home-page"] or "", *(about.get_all("Project-URL") or [])]
    return about["Name"] == package_name and any(owner in page for page in pages)


def is_accelerate_available() -> bool:
    """Whether accelerate is installed."""
    return importlib.util.find_spec("accelerate") is not None


def is_datasets_available() -> bool:
    """Whether datasets is installed."""
    return importlib.util.find_spec("datasets") is not None


def is_training_available() -> bool:
    """Whether the packages that the trainers need are installed: ``pip install 'vicinal[train]'``."""
    return is_accelerate_available() and is_datasets_available()


def get_installed_version(package_name: str) -> str | None:
    """The version of a package, or of ``"python"``; None if it is not installed."""
    if package_name == "python":
        return platform.python_version()
    loaded = getattr(sys.modules.get(package_name.replace("-", "_")), "__version__", None)
    if isinstance(loaded, str):
        return loaded
    try:
        return importlib.metadata.version(package_name)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_version_requirements(requirements: Mapping[str, Any] | None, source: str | None = None) -> None:
    """Hold versions against what a model asks for.

    Args:
        requirements: package, or ``"python"``, to a specifier such as ``">=5,<6"``, or to a dictionary of
            ``specifier`` and ``reason``. What is no specifier is logged and left out.
        source: the model, for the error.

    Raises:
        ImportError: a package is missing or of another version.
    """
    if not requirements:
        return
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    unmet = []
    for package, wanted in requirements.items():
        reason = wanted.get("reason", "") if isinstance(wanted, Mapping) else ""
        specifier = wanted.get("specifier", "") if isinstance(wanted, Mapping) else wanted
        package = "torch" if package == "pytorch" else package
        version = get_installed_version(package)
        try:
            if version is not None and SpecifierSet(specifier, prereleases=True).contains(version):
                continue
        except (InvalidSpecifier, TypeError, AttributeError):
            _log.warning("%s of %r is no version specifier: %r", package, source, specifier)
            continue
        there = "is not installed" if version is None else f"is {version}"
        unmet.append(f"{package}{specifier} (it {there}){': ' if reason else ''}{reason}")
    if unmet:
        raise ImportError(f"{source or 'this model'} needs {'; '.join(unmet)}")


def get_device_name() -> str:
    """The device that models are put on: ``"cuda:0"`` (of ``LOCAL_RANK``, if that is set), ``"mps"``, ``"cpu"``, ..."""
    if not torch_installed():
        return "cpu"
    torch = require_torch("get_device_name")
    if torch.cuda.is_available():
        return f"cuda:{int(os.environ.get('LOCAL_RANK', '0'))}"
    if torch.backends.mps.is_available():
        return "mps"
    for name in ("xpu", "npu", "hpu"):
        kind = getattr(torch, name, None)
        if kind is not None and kind.is_available():
            return name
    return "cpu"


@contextmanager
def disable_datasets_caching() -> Iterator[None]:
    """Inside, datasets keeps nothing of what it computes."""
    datasets: Any = importlib.import_module("datasets")
    before = datasets.is_caching_enabled()
    datasets.disable_caching()
    try:
        yield
    finally:
        if before:
            datasets.enable_caching()


@contextmanager
def disable_logging(highest_level: int = logging.CRITICAL) -> Iterator[None]:
    """Inside, no record of this level or below is logged, by anybody."""
    before = logging.root.manager.disable
    logging.disable(highest_level)
    try:
        yield
    finally:
        logging.disable(before)


def install_logger(
    given_logger: logging.Logger,
    level: int = logging.WARNING,
    fmt: str = "%(levelname)s:%(name)s:%(message)s",
) -> None:
    """Colour a logger's lines; it needs coloredlogs (``pip install coloredlogs``)."""
    coloredlogs: Any = importlib.import_module("coloredlogs")
    coloredlogs.install(logger=given_logger, level=level, fmt=fmt)


def append_to_last_row(csv_path: str | os.PathLike[str], additional_data: Sequence[Any]) -> bool:
    """Add values to the last line of a CSV file.

    Returns:
        False where the file has no line below that of the names; it stays as it is.
    """
    path = Path(csv_path)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    if len(rows) < 2:
        return False
    rows[-1] += [str(value) for value in additional_data]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return True
