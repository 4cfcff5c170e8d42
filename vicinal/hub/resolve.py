"""A model's name becomes a local folder: an existing folder, else the cache, else the hub.

A model that lies whole in the cache is found without a network call and without importing
huggingface_hub. The hub is asked through huggingface_hub, whose telemetry is switched off.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vicinal.errors import (
    HubConnectionError,
    InputError,
    InputTypeError,
    ModelNotFoundError,
)
from vicinal.hub.bundled import BUNDLED
from vicinal.hub.cache import (
    DEFAULT_ORGANISATION,
    CachedModel,
    cache_root,
    cached_snapshot,
    clear_cached,
    default_cache_folder,
    hub_names,
    is_surely_plain,
    list_cached,
)
from vicinal.hub.fetch import Retries, fetch
from vicinal.hub.files import Problem, files_needed, find_problems, is_inside
from vicinal.hub.messages import (
    Request,
    explained,
    header_of,
    leaks,
    no_such_path,
    not_cached,
    not_on_hub,
    status_of,
)

__all__ = [
    "CachedModel",
    "Retries",
    "clear_cached",
    "default_cache_folder",
    "download",
    "files_needed",
    "list_cached",
    "resolve_model",
]

_TRUE = {"1", "ON", "YES", "TRUE"}


def resolve_model(
    name_or_path: str | os.PathLike[str],
    *,
    cache_folder: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
    retries: Retries | None = None,
    organisation: str = DEFAULT_ORGANISATION,
) -> Path:
    """Turn a model's name or path into the local folder that holds it.

    ``vicinal-mini`` lies in the package. An existing folder is returned as it is. Otherwise the name is
    looked for in the cache, and on the hub only if the cache does not hold a whole copy (or holds one
    that another library left without ``modules.json``, so that the pooling is not known: the hub is then
    asked once). A bare name such as ``all-MiniLM-L6-v2`` means ``sentence-transformers/all-
    MiniLM-L6-v2``, and failing that the hub's own bare name (``bert-base-uncased``). What looks like a
    path is never asked of the hub.

    Args:
        name_or_path: a folder, or a hub name.
        cache_folder: the cache; None means :func:`default_cache_folder`.
        revision: a branch, tag or full commit hash; None means ``main``.
        local_files_only: never ask the hub (as ``HF_HUB_OFFLINE=1`` does).
        token: a hub token; True asks for the stored one, False sends none, None sends it if there is one.
        retries: how requests that failed in passing are repeated.
        organisation: what a bare name is looked for in first.

    Returns:
        The folder, as an absolute path.

    Raises:
        ModelNotFoundError: neither a folder, nor cached, nor on the hub (or the revision is not).
        ModelFormatError: the cached copy is incomplete or damaged and the hub must not be asked; or the hub's
            copy is not a model that Vicinal reads.
        HubAccessError: the hub wants a token, or refuses the one it got.
        HubConnectionError: the hub cannot be reached.
        HubError: the hub kept failing, or sent something unusable.
        InputError, InputTypeError: an argument cannot be meant.
    """
    name = _as_text(name_or_path)
    if name in BUNDLED:
        return BUNDLED[name]
    folder = Path(os.path.abspath(os.path.expanduser(name)))
    if folder.is_dir():
        return folder
    repos = [] if _looks_like_path(name_or_path) or folder.is_file() else hub_names(name, organisation)
    if not repos:
        raise no_such_path(name, folder)
    _check_revision(revision)
    request = Request(name, cache_root(cache_folder), revision, token)
    offline = local_files_only or _offline()
    broken: dict[str, tuple[Path, list[Problem]]] = {}
    for repo in repos:
        snapshot = cached_snapshot(request.root, repo, revision)
        if snapshot is not None:
            problems = find_problems(snapshot)
            if not problems:
                if (snapshot / "modules.json").exists() or is_surely_plain(snapshot):
                    return snapshot
                return _asked_for_modules(request, repo, snapshot, retries or Retries(), offline)
            broken[repo] = (snapshot, problems)
    if offline:
        raise not_cached(request, repos, broken, local_files_only)
    return _first_on_hub(request, list(broken) or repos, retries=retries or Retries(), force=False)


def download(
    name: str,
    *,
    revision: str | None = None,
    cache_folder: str | os.PathLike[str] | None = None,
    token: str | bool | None = None,
    force: bool = False,
    retries: Retries | None = None,
) -> Path:
    """Fetch a model into the cache, or bring the cached one up to date.

    The hub is always asked which commit the revision points to; files that the cache already has whole are
    not fetched again.

    Args:
        name: a hub name, as in :func:`resolve_model`.
        revision: a branch, tag or full commit hash; None means ``main``.
        cache_folder: the cache; None means :func:`default_cache_folder`.
        token: as in :func:`resolve_model`.
        force: fetch every file again.
        retries: how requests that failed in passing are repeated.

    Returns:
        The snapshot folder.

    Raises:
        ModelNotFoundError, ModelFormatError, HubAccessError, HubConnectionError, HubError, InputError: as
            :func:`resolve_model`; offline mode raises HubConnectionError.
    """
    name = _as_text(name)
    repos = [] if _looks_like_path(name) else hub_names(name)
    if not repos:
        raise ModelNotFoundError(
            f"Model {name!r} cannot be downloaded: it is not a hub name. Give 'org/name' or a bare name."
        )
    _check_revision(revision)
    if _offline():
        raise HubConnectionError(
            f"Model {name!r} was not downloaded: offline mode is on (HF_HUB_OFFLINE). Unset it to download."
        )
    request = Request(name, cache_root(cache_folder), revision, token)
    return _first_on_hub(request, repos, retries=retries or Retries(), force=force)


def _asked_for_modules(request: Request, repo: str, snapshot: Path, retries: Retries, offline: bool) -> Path:
    """A snapshot that another library left, whole but for a ``modules.json`` that the hub may have.

    Without it the pooling is a guess, so the hub is asked once (the answer is noted in the cache). If it
    cannot be asked, the model loads as a plain one, with a warning.
    """
    reason = "the hub must not be asked"
    if not offline:
        try:
            fetch(replace(request, revision=snapshot.name), repo, retries=retries, force=False)
            return snapshot
        except Exception as error:
            reason = "the hub could not be asked: " + str(explained(request, repo, error)).partition("\n")[0]
    warnings.warn(
        f"Model {repo!r} lies in the cache without modules.json, as other libraries leave it, and {reason}. "
        f"It is taken for a plain transformers model; `vicinal download {repo}` makes sure.",
        stacklevel=3,
    )
    return snapshot


# Arguments -------------------------------------------------------------------------------------------------


def _as_text(name: str | os.PathLike[str]) -> str:
    text = os.fspath(name) if isinstance(name, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise InputTypeError(f"A model's name or path is a str or a Path, not {type(name).__name__}.")
    if not text.strip() or "\0" in text:
        raise InputError(f"{text!r} is no model name: give a folder or a hub name such as 'org/name'.")
    return text


def _looks_like_path(name: str | os.PathLike[str]) -> bool:
    if not isinstance(name, str):
        return True
    return name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1 or name.endswith("/")


def _check_revision(revision: str | None) -> None:
    if revision is not None and (not isinstance(revision, str) or not is_inside(revision)):
        raise InputError(f"revision={revision!r} is no branch, tag or commit hash.")


def _offline() -> bool:
    return any(os.environ.get(v, "").upper() in _TRUE for v in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def _first_on_hub(request: Request, repos: Sequence[str], *, retries: Retries, force: bool) -> Path:
    """The snapshot of the first of the names that the hub knows."""
    absent: list[str] = []
    for repo in repos:
        try:
            return fetch(request, repo, retries=retries, force=force)
        except Exception as error:
            told = explained(request, repo, error)
            # The public hub answers 401, and not 404, to a stranger who asks for a name it does not know.
            code = header_of(error, "X-Error-Code")
            if status_of(error) in (401, 404) and code in (None, "RepoNotFound"):
                absent.append(repo)
                if repo != repos[-1]:
                    continue
                if len(absent) > 1:
                    told = not_on_hub(request, absent, status_of(error), told)
            raise told from (None if told is error or leaks(request, error) else error)
    raise AssertionError("unreachable: the last name returns or raises")
