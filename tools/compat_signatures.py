"""Write tests/compat/signatures.json: what the public names of sentence-transformers take, for a test to compare with.

    PEER/bin/python tools/compat_signatures.py      # where sentence-transformers is installed

Names, parameters and simple defaults, no code. A parameter is written as in a signature: ``name``, ``name=None``,
``*``, ``**kwargs``; ``name=...`` has a default that is not a simple value.
"""

from __future__ import annotations

import inspect
import json
import pkgutil
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any

PACKAGE = "sentence_transformers"
DATA = Path(__file__).resolve().parents[1] / "tests" / "compat" / "signatures.json"

# Kinds of model that Vicinal does not have: the table of differences names them as a whole.
_ABSENT = ("sparse", "multi_vector")

# Members of these are written there, and not again with each class under them.
_BASES = ("Module", "InputModule", "BaseEvaluator")

_SIMPLE = (bool, int, float, str, type(None))


def main() -> None:
    """Take stock of the installed package."""
    package = import_module(PACKAGE)
    paths = [PACKAGE, *(found.name for found in pkgutil.walk_packages(package.__path__, f"{PACKAGE}."))]
    seen: dict[int, str] = {}
    modules: dict[str, dict[str, Any]] = {}
    for path in sorted(paths, key=lambda path: (path.count("."), path)):
        if any(word in path for word in _ABSENT):
            continue
        for name, value in _public(path):
            if id(value) in seen:
                continue
            seen[id(value)] = f"{path}.{name}"
            modules.setdefault(path, {})[name] = described(value)
    DATA.write_text(f'{{"version": "{package.__version__}",\n"modules": {{\n{_lines(modules)}\n}}}}\n')


def _lines(modules: dict[str, dict[str, Any]]) -> str:
    """JSON of one line per name, so that a difference can be read."""
    blocks = []
    for path, names in sorted(modules.items()):
        rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in names.items())
        blocks.append(f" {json.dumps(path)}: {{\n{rows}\n }}")
    return ",\n".join(blocks)


def _public(path: str) -> list[tuple[str, Any]]:
    """Names and values that a module exports, or defines itself where it does not say."""
    try:
        module = import_module(path)
    except ImportError:
        return []
    listed = getattr(module, "__all__", None)
    names = sorted(vars(module)) if listed is None else sorted(listed)
    found = []
    for name in names:
        value = getattr(module, name)
        own = getattr(value, "__module__", None) == path
        if not name.startswith("_") and not inspect.ismodule(value) and (own or listed is not None):
            found.append((name, value))
    return found


def described(value: Any) -> Any:
    """Parameters of a function; a dictionary of a class; None for another value."""
    if isinstance(value, type):
        members = {} if issubclass(value, Enum) else _members(value)
        known = [] if issubclass(value, Enum) else parameters(value)
        kept = [one for one in known or [] if not _is_transformers(value, one)]
        return {"": kept, **members}
    return parameters(value)


def _members(owner: type) -> dict[str, Any]:
    """What a class of the package adds to those of torch and transformers: parameters, or None for no method."""
    found = {}
    for name in dir(owner):
        holder = next((base for base in owner.__mro__ if name in vars(base)), object)
        if name.startswith("_") or not holder.__module__.startswith(PACKAGE):
            continue
        if holder is not owner and holder.__name__ in _BASES and owner.__name__ not in _BASES:
            continue
        static = vars(holder)[name]
        method = isinstance(static, (staticmethod, classmethod)) or inspect.isfunction(static)
        found[name] = parameters(getattr(owner, name), skip=inspect.isfunction(static)) if method else None
    return found


def _is_transformers(owner: type, parameter: str) -> bool:
    """Whether it is one of the hundred of transformers' own arguments for training."""
    if not owner.__name__.endswith("TrainingArguments"):
        return False
    from transformers import TrainingArguments

    return parameter.partition("=")[0] in inspect.signature(TrainingArguments).parameters


def parameters(value: Any, skip: bool = False) -> list[str] | None:
    """The parameters a callable is called with, but for ``self`` (``skip``); None for what is not called."""
    if not callable(value):
        return None
    try:
        known = list(inspect.signature(value).parameters.values())
    except (TypeError, ValueError):
        return None
    written, starred = [], False
    for one in known[1:] if skip else known:
        if one.kind is one.KEYWORD_ONLY and not starred:
            written.append("*")
            starred = True
        starred = starred or one.kind is one.VAR_POSITIONAL
        mark = {one.VAR_KEYWORD: "**", one.VAR_POSITIONAL: "*"}.get(one.kind, "")
        written.append(mark + one.name + _default(one))
    return written


def _default(one: inspect.Parameter) -> str:
    if one.default is one.empty:
        return ""
    value = one.default.value if isinstance(one.default, Enum) else one.default
    return f"={value!r}" if isinstance(value, _SIMPLE) else "=..."


if __name__ == "__main__":
    main()
