"""What callers hand in, made canonical once."""

from __future__ import annotations

import datetime
import json
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vicinal.core.inputs import check_unicode, listed, plain, shown
from vicinal.errors import InputError, InputTypeError
from vicinal.index.results import Span
from vicinal.index.stores.base import NewDocument
from vicinal.index.stores.texts import content_digest
from vicinal.index.values import check_depth, check_number


def canonical_texts(texts: str | Iterable[str]) -> list[str]:
    """One text or several as a list of texts that can be stored.

    Raises:
        InputTypeError: something is no string.
        InputError: a text holds half a surrogate pair, which no encoding can write.
    """
    given = [texts] if isinstance(texts, str) else listed(texts, "texts")
    for i, text in enumerate(given):
        if not isinstance(text, str):
            raise InputTypeError(f"texts[{i}] must be a string, got {type(text).__name__}")
        check_unicode(text, f"texts[{i}]")
    return [plain(text) for text in given]


def canonical_ids(ids: str | Iterable[str], name: str = "ids") -> list[str]:
    """One id or several as a list of non-empty strings."""
    given = [ids] if isinstance(ids, str) else listed(ids, name)
    for i, id in enumerate(given):
        if not isinstance(id, str):
            raise InputTypeError(f"{name}[{i}] must be a string, got {shown(id)} ({type(id).__name__})")
        if not id:
            raise InputError(f"{name}[{i}] is empty: give every document an id, or no ids at all")
        check_unicode(id, f"{name}[{i}]")
    return [plain(id) for id in given]


def canonical_prefix(prefix: str) -> str:
    """What ids begin with; empty for all."""
    if not isinstance(prefix, str):
        raise InputTypeError(f"prefix must be a string, got {shown(prefix)} ({type(prefix).__name__})")
    check_unicode(prefix, "prefix")
    return plain(prefix)


def new_ids(ids: Iterable[str] | str | None, n: int) -> list[str]:
    """The ids of ``n`` new documents, made up if there are none.

    Raises:
        InputError: their number is wrong, or one comes twice.
    """
    if ids is None:
        return [secrets.token_hex(10) for _ in range(n)]
    given = canonical_ids(ids)
    if len(given) != n:
        raise InputError(f"ids has {len(given)} entries for {n} texts: give one for each")
    if len(set(given)) != n:
        twice = next(id for id, count in Counter(given).items() if count > 1)
        raise InputError(f"ids holds {twice!r} twice: every document needs an id of its own")
    return given


def canonical_metadatas(metadatas: Any, n: int) -> list[dict[str, Any]]:
    """The metadata of ``n`` documents: one mapping or None for each.

    Raises:
        InputTypeError: a value has no JSON type.
        InputError: their number is wrong, or a key or number cannot be stored.
    """
    if metadatas is None:
        return [{}] * n
    if isinstance(metadatas, Mapping):
        if n != 1:
            raise InputError(f"metadatas is one mapping for {n} texts: give a list with one for each")
        metadatas = [metadatas]
    given = _rows(metadatas)
    if len(given) != n:
        raise InputError(f"metadatas has {len(given)} entries for {n} texts: give one (or None) for each")
    return [{} if m is None else canonical_metadata(m, f"metadatas[{i}]") for i, m in enumerate(given)]


def canonical_metadata(metadata: Any, where: str) -> dict[str, Any]:
    """One document's metadata with nothing but JSON types in it."""
    check_depth(metadata, where)
    return _json_object(metadata, where)


def _json_object(metadata: Any, where: str) -> dict[str, Any]:
    if not isinstance(metadata, Mapping):
        raise InputTypeError(f"{where} must be a dictionary or None, got {type(metadata).__name__}")
    result = {}
    for key, value in metadata.items():
        if not isinstance(key, str):
            raise InputTypeError(f"{where}: keys are strings, got {shown(key)} ({type(key).__name__})")
        if not key or key.startswith("$"):
            raise InputError(f"{where}: key {key!r} is empty or begins with '$', as operators do: rename it")
        check_unicode(key, f"{where}: a key")
        result[plain(key)] = _json_value(value, f"{where}[{key!r}]")
    return result


def _json_value(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        check_unicode(value, where)
        return plain(value)
    if isinstance(value, (int, float)):
        return check_number(plain(value), where)
    if isinstance(value, Mapping):
        return _json_object(value, where)
    if isinstance(value, (list, tuple)):
        return [_json_value(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return _json_value(value.tolist(), where)
    if isinstance(value, (datetime.date, datetime.datetime)):
        raise InputTypeError(
            f"{where} is a {type(value).__name__}: store value.isoformat(), it sorts rightly"
        )
    raise InputTypeError(
        f"{where} is a {type(value).__name__}: use str, int, float, bool, None, list or dict"
    )


def metadata_json(metadata: Mapping[str, Any]) -> str | None:
    """Canonical JSON, None for an empty mapping."""
    if not metadata:
        return None
    return json.dumps(metadata, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def new_documents(
    ids: Sequence[str],
    texts: Sequence[str],
    metadatas: Sequence[Mapping[str, Any]],
    spans: Sequence[Sequence[Span]],
) -> list[NewDocument]:
    """Canonical parts put together."""
    documents = []
    for id, text, metadata, cuts in zip(ids, texts, metadatas, spans, strict=True):
        packed = metadata_json(metadata)
        documents.append(NewDocument(id, text, metadata, packed, content_digest(text, packed), cuts))
    return documents


def refuse_taken(path: str, taken: Sequence[str]) -> None:
    """Raise if ids of new documents are taken.

    Raises:
        InputError: names the first of them.
    """
    if taken:
        more = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        raise InputError(f"index {path!r} already holds id {min(taken)!r}{more}: upsert() replaces documents")


def _rows(metadatas: Any) -> list[Any]:
    if hasattr(metadatas, "columns") and hasattr(metadatas, "dtypes"):
        raise InputTypeError(
            f"metadatas is a {type(metadatas).__name__}: give its rows as dictionaries, "
            "metadatas.to_dict('records') of pandas or metadatas.to_dicts() of polars"
        )
    if isinstance(getattr(metadatas, "column_names", None), list):  # rows are dictionaries already
        return list(metadatas.to_pylist() if hasattr(metadatas, "to_pylist") else metadatas)
    return listed(metadatas, "metadatas")
