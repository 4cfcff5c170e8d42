"""A model becomes a repository on the hub, in one commit: all of it or nothing."""

from __future__ import annotations

import fnmatch
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from vicinal.core.version import __version__
from vicinal.errors import (
    HubAccessError,
    HubConnectionError,
    HubError,
    InputError,
    InputTypeError,
    ModelNotFoundError,
    VicinalError,
)
from vicinal.hub.cache import cache_root, hub_names
from vicinal.hub.fetch import Retries, _passing, _retried, import_hub
from vicinal.hub.messages import (
    BROKEN_CONNECTION,
    NO_CONNECTION,
    Request,
    _first_line,
    _redacted,
    header_of,
    kinds_of,
    leaks,
    shown,
    status_of,
)
from vicinal.hub.resolve import _offline

T = TypeVar("T")

# What decides the vectors: left over from an older model, such a file would be read in place of the new ones.
_WEIGHTS = (
    "model*.safetensors",
    "model*.safetensors.index.json",
    "pytorch_model*.bin",
    "pytorch_model*.bin.index.json",
    "openvino_model*",
    "model*.onnx",
)

_LOGIN = "Give token=..., set HF_TOKEN, or run `hf auth login`; the token needs the right to write"


def push_to_hub(
    model: Any,
    repo_id: str,
    *,
    token: str | bool | None = None,
    private: bool | None = None,
    commit_message: str | None = None,
    local_model_path: str | os.PathLike[str] | None = None,
    exist_ok: bool = False,
    replace_model_card: bool = False,
    train_datasets: Sequence[str] | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    retries: Retries | None = None,
) -> str:
    """Save a model to a repository of the hub (``HF_ENDPOINT``).

    The model is saved to a temporary folder and sent as one commit. Weights that the repository has from
    before, under names that the new model does not use, are deleted in the same commit; every other file stays.

    Args:
        model: what has ``save(folder)``; not needed with ``local_model_path``.
        repo_id: ``org/name``, or ``name`` for the account of the token.
        token: a token that may write; None or True takes the stored one.
        private: who sees a new repository; None leaves that to the account's settings. A repository that is
            there keeps its visibility.
        commit_message: default "Add new model".
        local_model_path: send this folder as it is, instead of saving the model.
        exist_ok: add to a repository that is there already (``create_pr`` implies it).
        replace_model_card: send the new README.md although the repository has one.
        train_datasets: names of data sets on the hub, for the card's metadata.
        revision: the branch, made if absent; default ``main``.
        create_pr: open a pull request instead of writing to the branch ``main``.
        retries: how often the commit is sent again after a failure in passing.

    Returns:
        The address of the commit, or of the pull request.

    Raises:
        HubAccessError: there is no token, or it may not write there.
        HubConnectionError: the hub cannot be reached, or offline mode is on.
        HubError: the repository exists already, or the hub refused or failed. The local model is untouched.
        InputError, InputTypeError: an argument cannot be meant.
    """
    _check(repo_id, token, revision, create_pr)
    hub = import_hub()
    if token in (None, True) and hub.get_token() is None:
        raise HubAccessError(f"Model {repo_id!r} was not pushed: no hub token is stored. {_LOGIN}.")
    request = Request(repo_id, cache_root(None), revision, token)
    headers = {"user-agent": f"vicinal/{__version__}"}
    api = hub.HfApi(endpoint=request.endpoint, token=token, headers=headers)

    def send(folder: Path) -> str:
        repo = _told(request, lambda: _made(api, repo_id, private, exist_ok or create_pr))
        if revision is not None:
            _told(request, lambda: api.create_branch(repo, branch=revision, exist_ok=True))
        there = _told(request, lambda: _files_of(api, repo, revision))
        operations = _operations(hub, folder, there, replace_model_card)
        message = commit_message or "Add new model"
        # The library marks what it has sent, so each attempt gets operations of its own.
        commit = _told(
            request,
            lambda: _retried(
                lambda: api.create_commit(
                    repo, operations(), commit_message=message, revision=revision, create_pr=create_pr
                ),
                retries or Retries(),
                _passing,
            ),
        )
        return str(commit.pr_url if create_pr else commit.commit_url)

    if local_model_path is not None:
        given = Path(local_model_path)
        if not given.is_dir():
            raise ModelNotFoundError(f"local_model_path={str(given)!r} is no folder; nothing was pushed")
        return send(given)
    with tempfile.TemporaryDirectory(prefix="vicinal-push-") as scratch:
        folder = Path(scratch) / repo_id.rpartition("/")[2]
        model.save(folder, model_name=repo_id)
        if train_datasets:
            _name_datasets(folder / "README.md", train_datasets)
        return send(folder)


def save_to_hub(
    model: Any,
    repo_id: str,
    organization: str | None = None,
    *,
    token: str | bool | None = None,
    private: bool | None = None,
    commit_message: str = "Add new model.",
    local_model_path: str | os.PathLike[str] | None = None,
    exist_ok: bool = False,
    replace_model_card: bool = False,
    train_datasets: Sequence[str] | None = None,
) -> str:
    """The old name of :func:`push_to_hub`; ``organization`` is what stands before the ``/`` today.

    Raises:
        InputError: ``organization`` and ``repo_id`` name different ones.
    """
    if organization:
        owner, _, name = repo_id.rpartition("/")
        if owner not in ("", organization):
            raise InputError(
                f"organization={organization!r} is not that of repo_id={repo_id!r}; leave it out"
            )
        repo_id = f"{organization}/{name}"
    return push_to_hub(
        model,
        repo_id,
        token=token,
        private=private,
        commit_message=commit_message,
        local_model_path=local_model_path,
        exist_ok=exist_ok,
        replace_model_card=replace_model_card,
        train_datasets=train_datasets,
    )


def _check(repo_id: object, token: object, revision: str | None, create_pr: bool) -> None:
    if not isinstance(repo_id, str):
        raise InputTypeError(f"repo_id is {type(repo_id).__name__}; give 'org/name'")
    if not hub_names(repo_id):
        raise InputError(f"repo_id={repo_id!r} is no name of a repository: give 'org/name'")
    if token is False:
        raise InputError("token=False sends none, and the hub takes no model from a stranger; leave it out")
    if create_pr and revision not in (None, "main"):
        raise InputError(
            f"create_pr=True opens a pull request against main; leave revision={revision!r} out, or push to it"
        )
    if _offline():
        raise HubConnectionError(
            f"Model {repo_id!r} was not pushed: offline mode is on (HF_HUB_OFFLINE). Unset it to push."
        )


def _made(api: Any, repo_id: str, private: bool | None, exist_ok: bool) -> str:
    """The whole name of the repository, which is made if absent."""
    # Asked first, as many a token may write to a repository, or propose to, and make none beside it.
    if exist_ok and "/" in repo_id and api.repo_exists(repo_id):
        return repo_id
    return str(api.create_repo(repo_id, private=private, exist_ok=exist_ok).repo_id)


def _files_of(api: Any, repo: str, revision: str | None) -> set[str]:
    info = api.model_info(repo, revision=revision or "main")
    return {sibling.rfilename for sibling in info.siblings or []}


def _operations(hub: Any, folder: Path, there: set[str], replace_card: bool) -> Callable[[], list[Any]]:
    """What a commit adds and deletes, to be made as often as it is sent."""
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    files = {name: file for name, file in files.items() if not name.startswith((".git/", ".cache/"))}
    if "README.md" in there and not replace_card:
        files.pop("README.md", None)
    stale = [name for name in sorted(there - set(files)) if _is_weights(name)]

    def make() -> list[Any]:
        added = [hub.CommitOperationAdd(name, str(file)) for name, file in sorted(files.items())]
        return added + [hub.CommitOperationDelete(name) for name in stale]

    return make


def _is_weights(name: str) -> bool:
    """Weights and graphs of the model itself; those of adapters and other folders stay."""
    folder, _, file = name.rpartition("/")
    return folder in ("", "onnx", "openvino") and any(fnmatch.fnmatch(file, each) for each in _WEIGHTS)


def _name_datasets(card: Path, names: Sequence[str]) -> None:
    """Add data sets to a card's metadata."""
    from huggingface_hub import ModelCard

    if card.is_file():
        found = ModelCard(card.read_text(encoding="utf-8"), ignore_metadata_errors=True)
        known = found.data.get("datasets") or []
        listed = [known] if isinstance(known, str) else list(known)
        found.data["datasets"] = list(dict.fromkeys([*listed, *names]))
        card.write_text(str(found), encoding="utf-8")


def _told(request: Request, call: Callable[[], T]) -> T:
    try:
        return call()
    except Exception as error:
        told = _explained(request, error)
        raise told from (None if told is error or leaks(request, error) else error)


def _explained(request: Request, error: Exception) -> VicinalError:
    """Vicinal's error for what went wrong on the way to the hub."""
    if isinstance(error, VicinalError):
        return error
    status, kinds, hub = status_of(error), kinds_of(error), shown(request.endpoint)
    name = f"Model {request.name!r}"
    said = header_of(error, "X-Error-Message") or _first_line(error)
    detail = _redacted(request, said)
    untouched = "The model here is untouched, and the hub has all of a push or nothing of it"
    if status == 409:
        return HubError(
            f"{name} was not pushed: the repository exists already on {hub}. Give exist_ok=True to add a commit "
            "to it, create_pr=True to propose one, or another name."
        )
    if status == 401:
        return HubAccessError(
            f"{name} was not pushed: {hub} does not accept the token (401: {detail}). {_LOGIN}."
        )
    if status == 403:
        return HubAccessError(
            f"{name} was not pushed: the token may not write there ({hub} answered 403: {detail}). Take a token "
            "with the right to write to this account or organisation, or create_pr=True for someone else's model."
        )
    if status == 404:
        return HubError(
            f"{name} was not pushed: {hub} answered 404 ({detail}). Check the name, the revision, and that the "
            "token may see the repository, if it is private."
        )
    if status is not None:
        remedy = (
            "Push again later" if status >= 500 or status in (408, 429) else "The answer says what to change"
        )
        more = "; exist_ok=True if the repository was made" if status >= 500 else ""
        return HubError(
            f"{name} was not pushed: {hub} answered {status} ({detail}). {untouched}. {remedy}{more}."
        )
    if kinds & (NO_CONNECTION | BROKEN_CONNECTION):
        return HubConnectionError(
            f"{name} was not pushed: {hub} cannot be reached or broke off ({detail}). {untouched}. Check the "
            "network and HF_ENDPOINT and push again."
        )
    return HubError(
        f"{name} was not pushed to {hub} ({type(error).__name__}: {detail.rstrip('.')}). {untouched}. A hub "
        "without Xet storage needs HF_HUB_DISABLE_XET=1"
    )
