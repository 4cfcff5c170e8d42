"""Each public name of sentence-transformers 6.2 is there, with its members, its parameters, their order and defaults.

What is not, stands in tests/compat/signature_differences.py with a reason. The signatures
(tests/compat/signatures.json) are taken from the installed package by tools/compat_signatures.py.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from enum import Enum
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from vicinal.errors import UnsupportedModelError

HERE = Path(__file__).parent
SIGNATURES: dict[str, dict[str, Any]] = json.loads((HERE / "signatures.json").read_text())["modules"]

pytestmark = pytest.mark.torch


def differences(where: str, wanted: Any, ours: Any) -> Iterator[tuple[str, str]]:
    """What a name lacks: ``(where, what)``."""
    if not isinstance(wanted, dict):
        if wanted is not None:
            yield from _call_differences(where, wanted, ours)
        return
    if wanted[""]:
        yield from _call_differences(where, wanted[""], ours)
    for name, parameters in wanted.items():
        if name and not _has(ours, name):
            yield f"{where}.{name}", "missing"
        elif name and parameters is not None:
            yield from _call_differences(f"{where}.{name}", parameters, _member(ours, name), bound=True)


def _has(owner: Any, name: str) -> bool:
    return hasattr(owner, name) or name in getattr(owner, "__dataclass_fields__", ())


def _member(owner: Any, name: str) -> Any:
    static = inspect.getattr_static(owner, name, None)
    return getattr(owner, name) if not isinstance(static, property) else static


def _call_differences(
    where: str, wanted: list[str], ours: Any, bound: bool = False
) -> Iterator[tuple[str, str]]:
    if not callable(ours):
        yield where, "not callable"
        return
    try:
        known = list(inspect.signature(ours).parameters.values())
    except (TypeError, ValueError):
        return
    if bound and known and known[0].name in ("self", "_self"):
        known = known[1:]
    places = [one.name for one in known if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    named = {one.name: one for one in known}
    takes_all = any(one.kind is one.VAR_KEYWORD for one in known)
    takes_more = any(one.kind is one.VAR_POSITIONAL for one in known)
    positional = True
    for place, one in enumerate(wanted):
        if one.startswith("*"):
            positional = positional and one.startswith("**")
            continue
        name, has_default, default = one.partition("=")
        if name not in named:
            if not takes_all:
                yield f"{where}({name})", "no such parameter"
            continue
        if positional and not takes_more and (place >= len(places) or places[place] != name):
            yield f"{where}({name})", f"not parameter {place}"
        if has_default and default != "..." and not _same_default(default, named[name].default):
            yield f"{where}({name})", f"default {named[name].default!r}, there {default}"


def _same_default(written: str, ours: Any) -> bool:
    value = ours.value if isinstance(ours, Enum) else ours
    wanted = ast.literal_eval(written) if written not in ("=inf", "inf") else float("inf")
    return bool(value == wanted) and (value is None) == (wanted is None)


def found_differences() -> dict[str, str]:
    """Everything that is not as in sentence-transformers: where -> what."""
    found: dict[str, str] = {}
    for path, names in SIGNATURES.items():
        try:
            module = import_module(path)
        except ImportError:
            found[path] = "no such module"
            continue
        for name, wanted in names.items():
            where = f"{path.removeprefix('sentence_transformers').lstrip('.')}:{name}"
            if not hasattr(module, name):
                found[where] = "missing"
            elif not _stands_in(getattr(module, name)):
                found.update(differences(where, wanted, getattr(module, name)))
            else:
                found[where] = "stands in"
    return found


def _stands_in(value: Any) -> bool:
    """Whether it is a placeholder of something that Vicinal does not have."""
    if not isinstance(value, type) or value.__module__ != "vicinal.compat.absent":
        return False
    with pytest.raises(UnsupportedModelError):
        value()
    return True


@pytest.fixture(scope="module")
def found() -> Iterator[dict[str, str]]:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    pytest.importorskip("datasets")
    from vicinal.compat import install_as_sentence_transformers, uninstall

    assert install_as_sentence_transformers(replace=True)
    yield found_differences()
    uninstall()


def _table() -> dict[str, str]:
    from signature_differences import DIFFERENCES

    return DIFFERENCES


def test_signatures_are_those_of_sentence_transformers(found: dict[str, str]) -> None:
    table = _table()
    unexplained = {
        where: what
        for where, what in found.items()
        if not any(fnmatchcase(where, pattern) for pattern in table)
    }
    assert not unexplained, "mend it, or give a reason in signature_differences.py:\n" + "\n".join(
        f"{where}: {what}" for where, what in unexplained.items()
    )


def test_no_reason_is_left_of_what_is_mended(found: dict[str, str]) -> None:
    stale = [pattern for pattern in _table() if not any(fnmatchcase(where, pattern) for where in found)]
    assert not stale, f"delete from signature_differences.py: {stale}"


class _Theirs:
    def call(self, one: Any, two: Any = 1, *, three: Any = "a") -> None: ...

    @property
    def fact(self) -> int:
        return 1


class _Ours:
    def call(self, two: Any = 2, one: Any = None) -> None: ...


def test_the_walk_sees_what_differs() -> None:
    wanted = {"": [], "call": ["one", "two=1", "*", "three='a'"], "fact": None}
    assert dict(differences("C", wanted, _Theirs)) == {}
    assert list(differences("C", wanted, _Ours)) == [
        ("C.call(one)", "not parameter 0"),
        ("C.call(two)", "not parameter 1"),
        ("C.call(two)", "default 2, there 1"),
        ("C.call(three)", "no such parameter"),
        ("C.fact", "missing"),
    ]
    assert list(differences("f", ["x"], lambda *args, **kwargs: None)) == []
