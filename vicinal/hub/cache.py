"""The model cache on disk: where it is, what is in it, and how a model leaves it.

The layout is huggingface_hub's own (``models--org--name/snapshots/<commit>``), shared with the other
libraries. It is read directly, so a cached model is found without importing huggingface_hub.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from vicinal.core.names import is_hub_name
from vicinal.errors import ModelNotFoundError
from vicinal.hub.files import find_problems, is_inside

_COMMIT = re.compile(r"[0-9a-f]{40}")
DEFAULT_ORGANISATION = "sentence-transformers"


@dataclass(frozen=True)
class CachedModel:
    """A model in the cache.

    Attributes:
        name: the hub name, ``org/name``.
        path: the snapshot folder that loading without a revision takes, or else the newest one.
        size_bytes: what the model takes on disk, all its revisions together.
        revisions: the branches and tags that are cached, and the commits that none of them points to.
        complete: whether ``path`` holds all that loading needs.
        last_used: when a file of ``path`` was last read, as far as the file system keeps that.
    """

    name: str
    path: Path
    size_bytes: int
    revisions: tuple[str, ...]
    complete: bool
    last_used: datetime


def default_cache_folder() -> Path:
    """The folder of cached models when no ``cache_folder`` is given.

    ``SENTENCE_TRANSFORMERS_HOME``, else ``HF_HUB_CACHE``, else ``HF_HOME``/hub, else
    ``XDG_CACHE_HOME``/huggingface/hub, else ``~/.cache/huggingface/hub``; read anew at each call.
    """
    for variable in ("SENTENCE_TRANSFORMERS_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if value := os.environ.get(variable):
            return _expanded(value)
    if value := os.environ.get("HF_HOME"):
        return _expanded(value) / "hub"
    return _expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface" / "hub"


def _expanded(value: str | os.PathLike[str]) -> Path:
    return Path(os.path.abspath(os.path.expandvars(os.path.expanduser(value))))


def cache_root(cache_folder: str | os.PathLike[str] | None) -> Path:
    """The argument as an absolute path, or the default folder."""
    return _expanded(cache_folder) if cache_folder else default_cache_folder()


def hub_names(name: str, organisation: str = DEFAULT_ORGANISATION) -> list[str]:
    """The hub names that a model name may mean, in the order to try them; empty if it is no legal name."""
    if not is_hub_name(name):
        return []
    return [name] if "/" in name else [f"{organisation}/{name}", name]


def repo_folder(root: Path, repo: str) -> Path:
    """Where a repository lies in the cache."""
    return root / f"models--{repo.replace('/', '--')}"


def is_commit(revision: str) -> bool:
    """Whether a revision is a full commit hash."""
    return _COMMIT.fullmatch(revision) is not None


def cached_snapshot(root: Path, repo: str, revision: str | None) -> Path | None:
    """The snapshot folder of a revision, if the cache knows that revision; whole or not."""
    folder = repo_folder(root, repo)
    commit: str | None = revision or "main"
    if revision is None or not is_commit(revision):
        commit = _read_ref(folder / "refs" / (revision or "main"))
    snapshot = folder / "snapshots" / commit if commit else None
    return snapshot if snapshot and snapshot.is_dir() else None


def _read_ref(file: Path) -> str | None:
    try:
        commit = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return commit if is_inside(commit) else None


def write_ref(root: Path, repo: str, revision: str, commit: str) -> None:
    """Note which commit a branch or tag points to; a reader sees the old note or the new one."""
    if is_commit(revision):
        return
    ref = repo_folder(root, repo) / "refs" / revision
    if _read_ref(ref) == commit:
        return
    ref.parent.mkdir(parents=True, exist_ok=True)
    scratch = ref.with_name(f".{ref.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    scratch.write_text(commit, encoding="utf-8")
    os.replace(scratch, ref)


def architectures(snapshot: Path) -> list[str]:
    """The class names in ``config.json``; empty if it has none or cannot be read."""
    try:
        config = json.loads((snapshot / "config.json").read_bytes())
        return [str(name) for name in config.get("architectures") or []]
    except (OSError, ValueError, AttributeError, TypeError):
        return []


def is_surely_plain(snapshot: Path) -> bool:
    """Whether a snapshot without ``modules.json`` is known to have none on the hub either.

    A library that reads plain transformers folders leaves ``modules.json`` out of the cache, and with it the
    model's pooling. The proof is huggingface_hub's own note of absent files, or its listing of the commit. A
    cross-encoder has no pooling to miss.
    """
    repo = snapshot.parent.parent
    named = architectures(snapshot)
    if named and all(name.endswith("ForSequenceClassification") for name in named):
        return True
    if (repo / ".no_exist" / snapshot.name / "modules.json").exists():
        return True
    try:
        listing = json.loads((repo / "trees" / f"{snapshot.name}.json").read_bytes())
        return "modules.json" not in listing["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def note_plain(snapshot: Path) -> None:
    """Note that the hub has no ``modules.json`` for a commit."""
    note = snapshot.parent.parent / ".no_exist" / snapshot.name / "modules.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.touch()


def remove_file(snapshot: Path, file: str) -> None:
    """Take one file out of a snapshot, with the blob behind it."""
    pointer = snapshot / file
    if pointer.is_symlink():
        blob = Path(os.path.abspath(pointer.parent / os.readlink(pointer)))
        if blob.parent == snapshot.parent.parent / "blobs":
            blob.unlink(missing_ok=True)
    pointer.unlink(missing_ok=True)


def revisions_of(folder: Path) -> tuple[str, ...]:
    """The cached branches and tags of a repository folder, and its commits without a name."""
    refs = {
        file.relative_to(folder / "refs").as_posix(): _read_ref(file)
        for file in sorted((folder / "refs").rglob("*"))
        if file.is_file() and not file.name.endswith(".tmp")
    }
    snapshots = sorted(s.name for s in (folder / "snapshots").glob("*") if s.is_dir())
    named = [ref for ref, commit in refs.items() if commit in snapshots]
    return (*named, *(s for s in snapshots if s not in refs.values()))


def _repositories(root: Path) -> Iterator[tuple[str, Path]]:
    for folder in sorted(root.glob("models--*")):
        if folder.is_dir():
            yield folder.name.removeprefix("models--").replace("--", "/"), folder


def _snapshot_of(root: Path, name: str, folder: Path) -> Path | None:
    main = cached_snapshot(root, name, None)
    others = sorted((folder / "snapshots").glob("*"), key=lambda s: s.stat().st_mtime)
    return main or next((s for s in reversed(others) if s.is_dir()), None)


def _is_encoder(snapshot: Path) -> bool:
    """Whether a snapshot looks like an encoder or a cross-encoder; text generators do not."""
    if (snapshot / "modules.json").exists():
        return True
    generators = ("ForCausalLM", "ForConditionalGeneration")
    named = architectures(snapshot)
    return (snapshot / "config.json").exists() and not (named and all(a.endswith(generators) for a in named))


def size_of(folder: Path) -> int:
    """Bytes that the files below a folder take; a link counts as nothing."""
    sizes = 0
    for parent, _, files in os.walk(folder):
        for file in files:
            path = os.path.join(parent, file)
            sizes += 0 if os.path.islink(path) else os.path.getsize(path)
    return sizes


def _last_used(snapshot: Path) -> datetime:
    times = [snapshot.stat().st_mtime]
    for file in snapshot.rglob("*"):
        if file.is_file():  # follows the link; a dangling one is not a file
            times.append(file.stat().st_atime)
    return datetime.fromtimestamp(max(times), tz=timezone.utc)


def list_cached(cache_folder: str | os.PathLike[str] | None = None) -> list[CachedModel]:
    """List the encoders and cross-encoders in the cache, by name. No network, no imports.

    Args:
        cache_folder: the cache to read; None means :func:`default_cache_folder`.

    Returns:
        One entry a model; empty if the folder does not exist.
    """
    root = cache_root(cache_folder)
    found = []
    for name, folder in _repositories(root):
        snapshot = _snapshot_of(root, name, folder)
        if snapshot and _is_encoder(snapshot):
            complete = not find_problems(snapshot)
            found.append(
                CachedModel(
                    name, snapshot, size_of(folder), revisions_of(folder), complete, _last_used(snapshot)
                )
            )
    return sorted(found, key=lambda model: model.name.lower())


def nearest_names(name: str, root: Path) -> list[str]:
    """Up to three names in the cache that resemble a name."""
    names = [repo for repo, _ in _repositories(root)]
    by_key = {key.lower(): repo for repo in names for key in (repo.rpartition("/")[2], repo)}
    keys = [name.lower(), name.lower().rpartition("/")[2]]
    hits = [by_key[hit] for key in keys for hit in difflib.get_close_matches(key, by_key, n=3, cutoff=0.6)]
    return list(dict.fromkeys(hits))[:3]


def clear_cached(name: str, cache_folder: str | os.PathLike[str] | None = None) -> int:
    """Remove a model from the cache, with all its revisions.

    Args:
        name: ``org/name``, or a bare name as in :func:`vicinal.hub.resolve.resolve_model`.
        cache_folder: the cache; None means :func:`default_cache_folder`.

    Returns:
        The bytes that were freed.

    Raises:
        ModelNotFoundError: the cache does not hold the model; the message lists the nearest names.
    """
    root = cache_root(cache_folder)
    repo = next((r for r in hub_names(name) if repo_folder(root, r).is_dir()), None)
    if repo is None:
        nearest = nearest_names(name, root)
        hint = f"Nearest names there: {', '.join(nearest)}." if nearest else "`vicinal cache list` shows it."
        raise ModelNotFoundError(f"Model {name!r} is not in the cache {root}. {hint}")
    folder = repo_folder(root, repo)
    freed = size_of(folder)
    # The notes go first: who loads the model meanwhile finds it absent, not half there.
    for part in (folder / "refs", folder / "snapshots", folder, root / ".locks" / folder.name):
        if part.exists():
            shutil.rmtree(part)
    return freed
