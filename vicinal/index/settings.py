"""The arguments of an index, checked before anything is made, so that a wrong one leaves no empty file behind."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from vicinal.core.files import check_path
from vicinal.core.inputs import shown
from vicinal.errors import InputError, InputTypeError
from vicinal.index.segments import STORAGES
from vicinal.index.values import check_flag, integer_from, seconds


class Settings(NamedTuple):
    """Arguments of :class:`vicinal.index.index.Index`, canonical."""

    path: str
    timeout: float
    chunk_tokens: int | None
    chunk_overlap: int


def check_settings(
    path: Any,
    read_only: Any,
    timeout: Any,
    storage: Any,
    tokenizer: Any,
    chunk_tokens: Any,
    chunk_overlap: Any,
) -> Settings:
    """Refuse what cannot be meant.

    Raises:
        InputError, InputTypeError: names the argument.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputTypeError(f"path must be a path, got {type(path).__name__}")
    file = os.fspath(path)
    check_path(file, "path")
    if not file or file == ":memory:":
        raise InputError(f"path {file!r} names no file: an index lives in one, give for example 'texts.db'")
    if not isinstance(storage, str) or storage not in STORAGES:
        raise InputError(f"storage must be one of {', '.join(map(repr, STORAGES))}, got {shown(storage)}")
    if not isinstance(tokenizer, str):
        raise InputTypeError(f"tokenizer must be a string such as 'trigram', got {shown(tokenizer)}")
    check_flag(read_only, "read_only")
    return Settings(
        file,
        seconds(timeout, "timeout"),
        None if chunk_tokens is None else integer_from(8, chunk_tokens, "chunk_tokens"),
        integer_from(0, chunk_overlap, "chunk_overlap"),
    )
