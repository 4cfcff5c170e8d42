"""A module's files, by the names of folders or of the hub: what custom modules call in their own ``load``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from vicinal.folder.json_files import read_json


class ModuleFiles:
    """Base of the modules: finds and reads files of a model's folder.

    ``subfolder`` lies inside the model's folder; ``token``, ``cache_folder``, ``revision`` and ``local_files_only`` are
    for models on the hub, as in ``SentenceTransformer``.
    """

    config_file_name: ClassVar[str] = "config.json"
    #: former names of the keys of ``config.json`` -> their names
    config_key_renames: ClassVar[Mapping[str, str]] = {}

    @staticmethod
    def load_dir_path(
        model_name_or_path: str,
        subfolder: str = "",
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
    ) -> str:
        """The folder of a module."""
        from vicinal.hub.resolve import resolve_model

        folder = resolve_model(
            model_name_or_path,
            cache_folder=cache_folder,
            revision=revision,
            local_files_only=local_files_only,
            token=token,
        )
        return str(folder / subfolder)

    @classmethod
    def load_file_path(
        cls,
        model_name_or_path: str,
        filename: str,
        subfolder: str = "",
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
    ) -> str | None:
        """A file in a module's folder; None where there is none."""
        folder = cls.load_dir_path(
            model_name_or_path, subfolder, token, cache_folder, revision, local_files_only
        )
        path = Path(folder) / filename
        return str(path) if path.is_file() else None

    @classmethod
    def load_config(
        cls,
        model_name_or_path: str,
        subfolder: str = "",
        config_filename: str | None = None,
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
    ) -> dict[str, Any]:
        """The content of ``config.json``, former names of its keys replaced; empty where there is none."""
        path = cls.load_file_path(
            model_name_or_path,
            config_filename or cls.config_file_name,
            subfolder,
            token,
            cache_folder,
            revision,
            local_files_only,
        )
        found = read_json(Path(path)) if path is not None else {}
        return {cls.config_key_renames.get(key, key): value for key, value in found.items()}
