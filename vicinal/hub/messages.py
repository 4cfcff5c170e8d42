"""What went wrong with the hub, in Vicinal's own errors: the object, the value and the remedy.

huggingface_hub's exceptions are told apart by the answer they carry and by the names of their classes,
because it has changed its HTTP library from one major version to the next.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from vicinal.errors import (
    HubAccessError,
    HubConnectionError,
    HubError,
    ModelFormatError,
    ModelNotFoundError,
    VicinalError,
)
from vicinal.hub.bundled import nearest_bundled
from vicinal.hub.cache import nearest_names, repo_folder, revisions_of
from vicinal.hub.files import Problem

RETRIED_STATUS = {408, 429, 500, 502, 503, 504}
NO_CONNECTION = {
    "ConnectError",
    "ConnectTimeout",
    "ProxyError",
    "OfflineModeIsEnabled",
    "ConnectionRefusedError",
    "gaierror",
}
BROKEN_CONNECTION = {
    "TimeoutException",
    "Timeout",
    "NetworkError",
    "ProtocolError",
    "ChunkedEncodingError",
    "ConnectionError",
}


@dataclass(frozen=True)
class Request:
    """What was asked for; shared by all steps of one resolution."""

    name: str
    root: Path
    revision: str | None
    token: str | bool | None

    @property
    def endpoint(self) -> str:
        return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and its stated causes (not the context, which may be the caller's own trouble)."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__


def kinds_of(error: BaseException) -> set[str]:
    """The class names of an exception, its causes and all their bases."""
    return {kind.__name__ for e in chain_of(error) for kind in type(e).__mro__}


def response_of(error: BaseException) -> Any:
    """The hub's answer that an exception carries, if it got one."""
    return next((r for e in chain_of(error) if (r := getattr(e, "response", None)) is not None), None)


def status_of(error: BaseException) -> int | None:
    """The HTTP status of that answer."""
    response = response_of(error)
    return None if response is None else int(response.status_code)


def header_of(error: BaseException, name: str) -> str | None:
    """A header of that answer."""
    response = response_of(error)
    value = None if response is None else response.headers.get(name)
    return None if value is None else str(value)


def explained(request: Request, repo: str, error: Exception) -> VicinalError:
    """Vicinal's error for what huggingface_hub raised."""
    if isinstance(error, VicinalError):
        return error
    status, code, kinds = status_of(error), header_of(error, "X-Error-Code"), kinds_of(error)
    hub = shown(request.endpoint)
    if code == "RevisionNotFound":
        cached = revisions_of(repo_folder(request.root, repo))
        known = f" Cached revisions: {', '.join(cached)}." if cached else ""
        return ModelNotFoundError(
            f"Model {repo!r} has no revision {request.revision or 'main'!r} on {hub} (404). "
            f"Give a branch, a tag or a full commit hash that exists.{known}"
        )
    if status == 403 or code == "GatedRepo":
        return HubAccessError(
            f"Model {repo!r} is gated or private: {hub} answered {status}. Ask for access on its page, then "
            "give token=... or set HF_TOKEN to a token of an account that has it."
        )
    if "LocalTokenNotFoundError" in kinds:
        return HubAccessError(
            f"Model {repo!r} was asked for with token=True, and no token is stored. "
            "Run `hf auth login`, set HF_TOKEN, or give the token itself."
        )
    if status == 401 and "Invalid credentials" in (header_of(error, "X-Error-Message") or ""):
        return HubAccessError(
            f"Model {repo!r} was refused: {hub} does not accept the token that was sent (401). Give a valid "
            "token=..., renew HF_TOKEN or `hf auth login`, or give token=False for a public model."
        )
    if status == 401 and code != "RepoNotFound":
        return HubAccessError(
            f"Model {repo!r} is private or gated, or is not there under this name: {hub} answered 401. "
            f"Check the name; give token=... or set HF_TOKEN if it needs one.{nearest(request)}"
        )
    if status in (401, 404) and code != "EntryNotFound":
        return not_on_hub(request, [repo], status, None)
    detail = _redacted(request, _first_line(error))
    if status is not None:
        asked = header_of(error, "Retry-After")
        later = f" after {asked} s" if asked else " later"
        remedy = f"Try again{later}" if status in RETRIED_STATUS else "Check HF_ENDPOINT and the name"
        return HubError(
            f"Model {repo!r} could not be downloaded: {hub} answered {status} ({detail}). {remedy}."
        )
    if kinds & (NO_CONNECTION | BROKEN_CONNECTION):
        return HubConnectionError(
            f"Model {repo!r} could not be downloaded: {hub} cannot be reached or broke off ({detail}). "
            f"Check the network and HF_ENDPOINT, or run `vicinal download {repo}` where there is a network "
            f"and copy the cache {request.root}."
        )
    return HubError(f"Model {repo!r} could not be downloaded from {hub}: {type(error).__name__}: {detail}")


def not_on_hub(
    request: Request, repos: Sequence[str], status: int | None, told: VicinalError | None
) -> VicinalError:
    """The hub knows none of the names."""
    answer = (
        f"{status}, no such repository" if status in (404, None) else f"{status}: absent, private or gated"
    )
    looked = [_folder_line(request.name), *_cache_lines(request, repos)]
    looked += [f"  {shown(request.endpoint)}/{repo}: {answer}" for repo in repos]
    kind = HubAccessError if isinstance(told, HubAccessError) else ModelNotFoundError
    return kind(
        f"Model {request.name!r} was not found. Looked for:\n"
        + "\n".join(looked)
        + f"\n{nearest(request)[1:]} "
        "Check the spelling; a private model needs token=... or HF_TOKEN."
    )


def not_cached(
    request: Request,
    repos: Sequence[str],
    broken: dict[str, tuple[Path, list[Problem]]],
    local_files_only: bool,
) -> VicinalError:
    """The cache does not hold the model whole, and the hub must not be asked."""
    why = "local_files_only=True" if local_files_only else "offline mode is on (HF_HUB_OFFLINE)"
    for repo, (snapshot, problems) in broken.items():
        return ModelFormatError(
            f"Model {repo!r} in the cache is not whole: {joined(problems)} (in {snapshot}), and {why}, so it "
            f"cannot be repaired. Go online and run `vicinal download {repo}`."
        )
    revision = f" at revision {request.revision!r}" if request.revision else ""
    looked = [_folder_line(request.name), *_cache_lines(request, repos), f"  the hub: not asked, {why}"]
    return ModelNotFoundError(
        f"Model {request.name!r}{revision} was not found. Looked for:\n" + "\n".join(looked) + "\n"
        f"{nearest(request)[1:]} Run `vicinal download {repos[0]}` where there is a network, or point "
        "cache_folder=... or SENTENCE_TRANSFORMERS_HOME at the cache that has it."
    )


def no_such_path(name: str, folder: Path) -> ModelNotFoundError:
    """A path that is no folder."""
    if folder.is_file():
        return ModelNotFoundError(
            f"Model folder {str(folder)!r} is a file, not a folder. Give the folder that holds the model's files, "
            "or a hub name such as 'org/name'."
        )
    parent = next((p for p in folder.parents if p.is_dir()), None)
    exists = f" {parent} exists." if parent and not folder.exists() else ""
    return ModelNotFoundError(
        f"Model folder {str(folder)!r} does not exist, and {name!r} is no hub name, so no hub was asked.{exists} "
        "Check the path, or give a hub name such as 'org/name'."
    )


def _folder_line(name: str) -> str:
    return f"  the folder {os.path.abspath(name)}: not there"


def _cache_lines(request: Request, repos: Iterable[str]) -> list[str]:
    lines = []
    for repo in repos:
        folder = repo_folder(request.root, repo)
        cached = revisions_of(folder)
        lines.append(
            f"  the cache {folder}: {'revisions ' + ', '.join(cached) + ' only' if cached else 'not there'}"
        )
    return lines


def nearest(request: Request) -> str:
    """A sentence with the names that resemble the one asked for: bundled or cached."""
    bundled, names = nearest_bundled(request.name), nearest_names(request.name, request.root)
    told = f" Did you mean {bundled!r}, which is part of Vicinal?" if bundled else ""
    if names:
        told += f" Nearest names in the cache: {', '.join(names)}."
    return told or " No cached model has a similar name."


def joined(problems: Sequence[Problem]) -> str:
    """Problems as part of a sentence."""
    return "; ".join(str(problem) for problem in problems)


def shown(endpoint: str) -> str:
    """An endpoint without the password that a mirror's address may carry."""
    parts = urlsplit(endpoint)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _first_line(error: Exception) -> str:
    deepest = list(chain_of(error))[-1] if status_of(error) is None else error
    text = str(deepest).strip() or type(deepest).__name__
    return text.splitlines()[0][:200]


def _secrets(request: Request) -> list[str]:
    values = [request.token, os.environ.get("HF_TOKEN"), os.environ.get("HUGGING_FACE_HUB_TOKEN")]
    values.append(urlsplit(request.endpoint).password)
    return [value for value in values if isinstance(value, str) and value]


def _redacted(request: Request, text: str) -> str:
    for secret in _secrets(request):
        text = text.replace(secret, "***")
    return re.sub(r"\bhf_[A-Za-z0-9]{8,}", "hf_***", text)


def leaks(request: Request, error: BaseException) -> bool:
    """Whether an exception's text, or that of its causes, shows a token or password."""
    texts = [str(e) for e in chain_of(error)]
    return any(_redacted(request, text) != text for text in texts)
