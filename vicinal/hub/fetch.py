"""From the hub into the cache, with huggingface_hub: only the needed files, repeated where that helps."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from vicinal.core.version import __version__
from vicinal.errors import HubError, ModelFormatError
from vicinal.hub.cache import is_commit, note_plain, remove_file, repo_folder, write_ref
from vicinal.hub.files import files_needed, find_problems, is_weights
from vicinal.hub.messages import (
    BROKEN_CONNECTION,
    NO_CONNECTION,
    RETRIED_STATUS,
    Request,
    header_of,
    joined,
    kinds_of,
    shown,
    status_of,
)

T = TypeVar("T")

_THREADS = 4
_API_TIMEOUT = 30.0


@dataclass(frozen=True)
class Retries:
    """How often, and after what wait, a request that failed in passing is made again.

    Attributes:
        attempts: how often a request is made at most.
        first_wait: seconds before the second attempt; it doubles from one to the next.
        longest_wait: the most seconds between two attempts, whatever ``Retry-After`` asks for.
    """

    attempts: int = 4
    first_wait: float = 1.0
    longest_wait: float = 60.0

    def wait(self, attempt: int, retry_after: str | None) -> float:
        """Seconds to wait after a failed attempt (the first is 0)."""
        asked = float(retry_after) if retry_after and re.fullmatch(r"\d+", retry_after.strip()) else 0.0
        return min(self.longest_wait, max(asked, self.first_wait * float(2**attempt)))


def fetch(request: Request, repo: str, *, retries: Retries, force: bool) -> Path:
    """Bring one repository's needed files into the cache and note which commit the revision is."""
    hub = import_hub()
    headers = {"user-agent": f"vicinal/{__version__}"}
    api = hub.HfApi(endpoint=request.endpoint, token=request.token, headers=headers)
    info = _retried(
        lambda: api.model_info(repo, revision=request.revision or "main", timeout=_API_TIMEOUT),
        retries,
        _passing,
    )
    commit = str(info.sha)
    if not is_commit(commit):
        raise HubError(f"{shown(request.endpoint)} names the commit {commit!r} for {repo}, which is none.")
    needed = files_needed([sibling.rfilename for sibling in info.siblings or []])
    _check_is_model(request, repo, [s.rfilename for s in info.siblings or []], needed)
    snapshot = repo_folder(request.root, repo) / "snapshots" / commit

    def fetch_file(file: str) -> None:
        _retried(
            lambda: hub.hf_hub_download(
                repo,
                file,
                revision=commit,
                cache_dir=str(request.root),
                endpoint=request.endpoint,
                token=request.token,
                headers=dict(headers),
            ),
            retries,
            _passing_in_file,
        )

    if force:
        for file in needed:
            remove_file(snapshot, file)
    for final in (False, True):
        for problem in find_problems(snapshot) if snapshot.is_dir() else []:
            if problem.damaged:
                remove_file(snapshot, problem.file)
        # Weights last: a snapshot that has them has everything else, even if this process dies here.
        _in_threads(fetch_file, [f for f in needed if not is_weights(f)])
        _in_threads(fetch_file, [f for f in needed if is_weights(f)])
        wrong = [p for p in find_problems(snapshot) if p.damaged or p.file in needed]
        if not wrong:
            break
        if final:
            raise HubError(
                f"Model {repo!r} was downloaded twice from {shown(request.endpoint)} and is still not whole: "
                f"{joined(wrong)} (in {snapshot}). The hub's copy seems damaged; try another revision."
            )
    if "modules.json" not in needed:
        note_plain(snapshot)
    write_ref(request.root, repo, request.revision or "main", commit)
    return snapshot


def import_hub() -> Any:
    """huggingface_hub, without its telemetry.

    Its user agent would otherwise name installed packages, and once a day it would ask the hub for a list of
    coding agents, to report which one started the process. The switch holds for the whole process.
    """
    import huggingface_hub
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_TELEMETRY = True
    return huggingface_hub


def _check_is_model(request: Request, repo: str, siblings: Sequence[str], needed: Sequence[str]) -> None:
    where = f"Model {repo!r} on {shown(request.endpoint)}"
    if "config.json" not in needed and "modules.json" not in needed:
        raise ModelFormatError(
            f"{where} has neither modules.json nor config.json, so it is no model that Vicinal reads. "
            "Nothing was downloaded: check the name."
        )
    if "config.json" in needed and not any(is_weights(file) for file in needed):
        others = [f for f in siblings if re.search(r"\.(h5|msgpack|ot|gguf|ckpt|pt|pth|bin)$", f)]
        found = f" (it has {', '.join(others[:4])})" if others else ""
        raise ModelFormatError(
            f"{where} has no weights as safetensors, pytorch_model.bin, OpenVINO or ONNX{found}. "
            "Nothing was downloaded: convert it to safetensors, or take another model."
        )


def _in_threads(work: Callable[[str], None], files: Sequence[str]) -> None:
    if len(files) < 2:  # in this thread, where Ctrl-C ends it at once
        for file in files:
            work(file)
        return
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        futures = [pool.submit(work, file) for file in files]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _retried(call: Callable[[], T], retries: Retries, passing: Callable[[BaseException], bool]) -> T:
    for attempt in range(retries.attempts - 1):
        try:
            return call()
        except Exception as error:
            if not passing(error):
                raise
            time.sleep(retries.wait(attempt, header_of(error, "Retry-After")))
    return call()


def _passing(error: BaseException) -> bool:
    """Whether a request may well succeed when it is made again."""
    kinds = kinds_of(error)
    return status_of(error) in RETRIED_STATUS or (
        bool(kinds & BROKEN_CONNECTION) and not kinds & NO_CONNECTION and status_of(error) is None
    )


def _passing_in_file(error: BaseException) -> bool:
    """The same for a file, of which huggingface_hub has already repeated what it repeats itself."""
    status, kinds = status_of(error), kinds_of(error)
    if "LocalEntryNotFoundError" in kinds or status in (408, 429):
        return False
    cut_off = "Consistency check failed" in str(error)
    return (
        cut_off
        or (status or 0) >= 500
        or bool(kinds & {"NetworkError", "ChunkedEncodingError"} and not kinds & NO_CONNECTION)
    )
