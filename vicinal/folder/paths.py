"""Paths that files of a model folder name, none of which may lead out of it."""

from __future__ import annotations

from pathlib import Path

from vicinal.errors import ModelFormatError


def inside(folder: Path, relative: object, file: str) -> Path:
    """The file or folder ``relative`` of ``folder``; the folder itself for an empty one.

    Only the path itself is judged: files of a hub cache are links to a blob store outside the folder.

    Args:
        file: the file of the folder that names the path, for the error.

    Raises:
        ModelFormatError: it lies outside the folder, or is not a path.
    """
    if not isinstance(relative, str):
        raise ModelFormatError(f"{folder}/{file}: the path {relative!r} is not a text")
    if (
        relative.startswith(("/", "\\"))
        or ".." in Path(relative.replace("\\", "/")).parts
        or set(":\0") & set(relative)
    ):
        raise ModelFormatError(f"{folder}/{file}: the path {relative!r} leaves the model folder")
    return folder / relative if relative else folder
