"""The JSON files of a model folder, and the counts in them, with errors that name the file."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vicinal.errors import ModelFormatError

_LONGEST_NAME = 1000


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ModelFormatError: the file is missing, is not JSON, or holds something else than an object.
    """
    value = read_value(path)
    if not isinstance(value, dict):
        raise ModelFormatError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def read_optional(path: Path) -> dict[str, Any]:
    """Read a JSON object; an empty one where there is no such file.

    Raises:
        ModelFormatError: the file is not JSON, or holds something else than an object.
    """
    return read_json(path) if path.is_file() else {}


def read_value(path: Path) -> Any:
    """Read JSON of any form.

    Raises:
        ModelFormatError: the file is missing, or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ModelFormatError(f"{path}: this file of the model folder is missing") from error
    except OSError as error:
        raise ModelFormatError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(
            f"{path}: cannot be read as JSON ({error}); download the model again"
        ) from error


def count_in(settings: Mapping[str, Any], key: str, file: Path) -> int | None:
    """A positive whole number, or None where the key is absent, null or 0.

    Raises:
        ModelFormatError: it is something else.
    """
    value = settings.get(key)
    if value is None or (value == 0 and not isinstance(value, bool)):
        return None
    whole = isinstance(value, (int, float)) and not isinstance(value, bool) and 1 <= value < math.inf
    if not whole or value != int(value):
        raise ModelFormatError(
            f"{file}: {key!r} must be a positive whole number, found {reprlib.repr(value)}; correct it"
        )
    return int(value)


def needed_count(settings: Mapping[str, Any], key: str, file: Path) -> int:
    """A positive whole number that must be there.

    Raises:
        ModelFormatError: it is absent, or something else.
    """
    value = count_in(settings, key, file)
    if value is None:
        raise ModelFormatError(f"{file}: the key {key!r} is missing or 0; it must be a positive whole number")
    return value


def flag_in(settings: Mapping[str, Any], key: str, default: bool, file: Path) -> bool:
    """True or false; ``default`` where the key is absent, and false where it is null.

    Raises:
        ModelFormatError: it is something else.
    """
    value = settings.get(key, default)
    if not isinstance(value, bool) and value not in (None, 0, 1):
        raise ModelFormatError(
            f"{file}: {key!r} must be true or false, found {reprlib.repr(value)}; correct it"
        )
    return bool(value)


def text_in(settings: Mapping[str, Any], key: str, where: Path | str) -> str | None:
    """A text, or None where the key is absent, null or empty.

    Raises:
        ModelFormatError: it is something else, or longer than any name.
    """
    value = settings.get(key)
    if value is not None and (not isinstance(value, str) or len(value) > _LONGEST_NAME):
        raise ModelFormatError(f"{where}: {key!r} must be a text, found {reprlib.repr(value)}; correct it")
    return value or None
