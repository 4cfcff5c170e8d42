"""What a user is told when a model cannot be had: the object, the value, the remedy, and never the token."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from fakehub import FakeHub
from tinymodel import NAME, NEEDED, files_in, model_files

from vicinal.errors import (
    HubAccessError,
    HubConnectionError,
    HubError,
    InputError,
    InputTypeError,
    ModelFormatError,
    ModelNotFoundError,
)
from vicinal.hub.resolve import Retries, download, resolve_model

SECRET = "hf_abcdefghijklmnopqrstuvwxyz"
API = f"/api/models/{NAME}/"


def test_an_unknown_repository(hub: FakeHub, cache: Path) -> None:
    resolve_model(NAME, cache_folder=str(cache))
    with pytest.raises(ModelNotFoundError) as e:
        resolve_model("acme/tiny-encodr", cache_folder=str(cache))
    text = str(e.value)
    assert os.path.abspath("acme/tiny-encodr") in text
    assert str(cache / "models--acme--tiny-encodr") in text
    assert f"{hub.url}/acme/tiny-encodr: 404" in text
    assert "Nearest names in the cache: acme/tiny-encoder" in text
    assert isinstance(e.value, FileNotFoundError)


def test_an_unknown_bare_name_lists_both_places(hub: FakeHub, cache: Path) -> None:
    with pytest.raises(ModelNotFoundError) as e:
        resolve_model("all-Nothing", cache_folder=str(cache))
    assert f"{hub.url}/sentence-transformers/all-Nothing: 404" in str(e.value)
    assert f"{hub.url}/all-Nothing: 404" in str(e.value)
    assert len(hub.asked) == 2


def test_an_unknown_revision(hub: FakeHub, cache: Path) -> None:
    resolve_model(NAME, cache_folder=str(cache))
    with pytest.raises(ModelNotFoundError, match=r"no revision 'v9'.*Cached revisions: main"):
        resolve_model(NAME, cache_folder=str(cache), revision="v9")


def test_an_unknown_revision_of_a_bare_name(hub: FakeHub, cache: Path) -> None:
    hub.add("bert-tiny", model_files())
    with pytest.raises(ModelNotFoundError, match="'bert-tiny' has no revision 'v9'"):
        resolve_model("bert-tiny", cache_folder=str(cache), revision="v9")


def test_a_private_model_without_a_token(hub: FakeHub, cache: Path) -> None:
    hub.repos[NAME].token = SECRET
    with pytest.raises(HubAccessError, match=r"private or gated.*401.*token=.*HF_TOKEN") as e:
        resolve_model(NAME, cache_folder=str(cache))
    assert isinstance(e.value, PermissionError)


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("hf_notallowedtoseethis", 403)])
def test_a_gated_model(hub: FakeHub, cache: Path, token: str | None, status: int) -> None:
    hub.repos[NAME].token, hub.repos[NAME].gated = SECRET, True
    with pytest.raises(HubAccessError, match=rf"gated.*{status}.*Ask for access"):
        resolve_model(NAME, cache_folder=str(cache), token=token)


def test_a_token_that_is_not_valid(hub: FakeHub, cache: Path) -> None:
    headers = {"X-Error-Message": "Invalid credentials in Authorization header"}
    hub.fail(API, 401, headers=headers)
    with pytest.raises(HubAccessError, match=r"does not accept the token.*token=False"):
        resolve_model(NAME, cache_folder=str(cache), token=SECRET)


def test_no_stored_token(hub: FakeHub, cache: Path) -> None:
    with pytest.raises(HubAccessError, match="no token is stored"):
        resolve_model(NAME, cache_folder=str(cache), token=True)
    assert hub.asked == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_the_token_is_never_shown(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_environmentsecret")
    for token in (SECRET, None):  # a hub that echoes the token is the worst case
        hub.faults.clear()
        sent = token or "hf_environmentsecret"
        hub.fail(API, status, headers={"X-Error-Message": f"no good: {sent}"})
        with pytest.raises((HubError, ModelNotFoundError)) as e:
            resolve_model(NAME, cache_folder=str(cache), token=token)
        shown = "".join(traceback.format_exception(e.type, e.value, e.value.__traceback__))
        assert sent not in shown


def test_the_password_of_a_mirror_is_never_shown(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url.replace("//", "//me:s3cretpass@"))
    for status in (404, 500):
        hub.faults.clear()
        hub.fail(API, status)
        with pytest.raises((HubError, ModelNotFoundError)) as e:
            resolve_model(NAME, cache_folder=str(cache))
        shown = "".join(traceback.format_exception(e.type, e.value, e.value.__traceback__))
        assert "s3cretpass" not in shown


# Failures that pass, and those that do not ------------------------------------------------------------------


def test_too_many_requests_are_waited_for(hub: FakeHub, cache: Path, waits: list[float]) -> None:
    hub.fail(API, 429, times=2, headers={"Retry-After": "7"})
    assert files_in(resolve_model(NAME, cache_folder=str(cache))) == NEEDED
    assert waits == [7, 7]


def test_too_many_requests_for_a_file(hub: FakeHub, cache: Path, waits: list[float]) -> None:
    hub.fail("resolve.*model.safetensors", 429, times=2, headers={"Retry-After": "3"})
    assert files_in(resolve_model(NAME, cache_folder=str(cache))) == NEEDED
    assert 3 <= max(waits) <= 4  # huggingface_hub adds a second


def test_too_many_requests_for_ever(hub: FakeHub, cache: Path, waits: list[float]) -> None:
    hub.fail(API, 429, headers={"Retry-After": "86400"})
    with pytest.raises(HubError, match=r"answered 429.*Try again after 86400 s"):
        resolve_model(NAME, cache_folder=str(cache), retries=Retries(attempts=3, longest_wait=20))
    assert waits == [20, 20]
    assert len(hub.asked) == 3


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("where", [API, "resolve.*model.safetensors", "resolve.*tokenizer.json"])
def test_a_server_error_that_passes(
    hub: FakeHub, cache: Path, waits: list[float], status: int, where: str
) -> None:
    hub.fail(where, status, times=2)
    assert files_in(resolve_model(NAME, cache_folder=str(cache))) == NEEDED
    assert waits


@pytest.mark.parametrize("more", [{}, {"method": "GET"}, {"method": "HEAD"}])
@pytest.mark.parametrize("where", [API, "resolve.*model.safetensors"])
def test_a_server_error_that_stays(
    hub: FakeHub, cache: Path, waits: list[float], where: str, more: dict[str, Any]
) -> None:
    if where == API and more.get("method") == "HEAD":
        return  # the listing is never asked for with HEAD
    hub.fail(where, 500, **more)
    with pytest.raises(HubError, match=r"answered 500.*Try again later"):
        resolve_model(NAME, cache_folder=str(cache))
    assert sum(waits) < 60
    with pytest.raises(ModelNotFoundError):
        resolve_model(NAME, cache_folder=str(cache), local_files_only=True)


def test_waits_grow_and_are_bounded() -> None:
    retries = Retries(first_wait=1, longest_wait=5)
    assert [retries.wait(n, None) for n in range(4)] == [1, 2, 4, 5]
    assert retries.wait(0, "4") == 4
    assert retries.wait(0, "900") == 5
    assert retries.wait(0, "Wed, 21 Oct 2026 07:28:00 GMT") == 1


def test_a_hub_that_cannot_be_reached(cache: Path, waits: list[float]) -> None:
    with pytest.raises(HubConnectionError, match=r"127\.0\.0\.1:9 cannot be reached.*HF_ENDPOINT") as e:
        resolve_model(NAME, cache_folder=str(cache))
    assert isinstance(e.value, ConnectionError)
    assert waits == []  # refused at once is refused
    assert f"vicinal download {NAME}" in str(e.value)


def test_a_hub_that_breaks_off(hub: FakeHub, cache: Path) -> None:
    hub.cut(API, after=10)
    with pytest.raises(HubConnectionError, match="broke off"):
        resolve_model(NAME, cache_folder=str(cache), retries=Retries(attempts=2))
    assert len(hub.asked) == 2
    hub.faults.clear()
    hub.cut(API, after=10, times=1)
    assert resolve_model(NAME, cache_folder=str(cache)).is_dir()


def test_an_endpoint_that_is_no_hub(hub: FakeHub, cache: Path) -> None:
    hub.fail(API, 200)
    with pytest.raises(HubError):
        resolve_model(NAME, cache_folder=str(cache))
    assert not cache.exists()


def test_an_error_of_the_caller_is_not_taken_for_the_hubs(hub: FakeHub, cache: Path) -> None:
    class Theirs(Exception):
        class response:
            status_code = 403

    try:
        raise Theirs
    except Theirs:
        with pytest.raises(ModelNotFoundError):
            resolve_model("acme/absent", cache_folder=str(cache))


# Offline ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_mode(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch, variable: str, no_sockets: None
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(ModelNotFoundError, match=r"offline mode is on") as e:
        resolve_model(NAME, cache_folder=str(cache))
    assert f"vicinal download {NAME}" in str(e.value)
    assert "cache_folder" in str(e.value)
    with pytest.raises(HubConnectionError, match="offline mode is on"):
        download(NAME, cache_folder=str(cache))
    assert hub.asked == []


def test_offline_mode_in_a_process_of_its_own(hub: FakeHub, cache: Path) -> None:
    folder = resolve_model(NAME, cache_folder=str(cache))
    code = (
        "from vicinal.hub.resolve import resolve_model\n"
        f"print(resolve_model({NAME!r}))\n"
        "try: resolve_model('acme/other')\n"
        "except FileNotFoundError as e: print('offline mode is on' in str(e))"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache)}
    hub.asked.clear()
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == [str(folder), "True"], done.stderr
    assert hub.asked == []


def test_local_files_only_names_the_revisions_there_are(hub: FakeHub, cache: Path) -> None:
    commit = hub.repos[NAME].refs["main"]
    resolve_model(NAME, cache_folder=str(cache), revision=commit)
    with pytest.raises(ModelNotFoundError, match=rf"revisions {commit} only"):
        resolve_model(NAME, cache_folder=str(cache), local_files_only=True)


def test_local_files_only_with_missing_files(hub: FakeHub, cache: Path) -> None:
    folder = resolve_model(NAME, cache_folder=str(cache))
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(ModelFormatError, match=r"1_Pooling/config\.json is missing"):
        resolve_model(NAME, cache_folder=str(cache), local_files_only=True)
    assert resolve_model(NAME, cache_folder=str(cache)) == folder  # and online it is fetched
    assert files_in(folder) == NEEDED


# Paths and other arguments ----------------------------------------------------------------------------------


def test_an_existing_folder_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_sockets: None
) -> None:
    (tmp_path / "org" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    names: list[str | Path] = ["org/model", "./org/model", "~/org/model", str(tmp_path / "org/model")]
    for name in [*names, Path("org/model")]:
        assert resolve_model(name) == tmp_path / "org" / "model"


@pytest.mark.parametrize(
    "name",
    [
        "./model",
        "../model",
        "/no/such/model",
        "~/model",
        "a/b/c",
        "org/",
        "C:\\models\\m",
        "org\\m",
        "with space",
        "a--b",
        "org/a..b",
        "x" * 120,
        ".",
        Path("org/name"),
    ],
)
def test_a_path_is_never_asked_of_the_hub(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    if name == ".":
        assert resolve_model(name) == tmp_path
        return
    with pytest.raises(ModelNotFoundError, match="no hub was asked"):
        resolve_model(name)
    assert hub.asked == []


def test_a_file_is_no_model_folder(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.touch()
    with pytest.raises(ModelNotFoundError, match="is a file, not a folder"):
        resolve_model(file)


def test_a_file_is_not_asked_of_the_hub(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("notes.txt", "data/more.jsonl"):
        (tmp_path / name).touch()
        with pytest.raises(ModelNotFoundError, match="is a file, not a folder"):
            resolve_model(name)
    assert hub.asked == []


@pytest.mark.parametrize("name", ["", "  ", "a\0b"])
def test_an_impossible_name(name: str) -> None:
    with pytest.raises(InputError):
        resolve_model(name)


@pytest.mark.parametrize("name", [None, 3, b"org/name"])
def test_a_name_of_the_wrong_type(name: Any) -> None:
    with pytest.raises(InputTypeError, match=type(name).__name__):
        resolve_model(name)


@pytest.mark.parametrize("revision", ["", "../../x", "/etc", "a\\b"])
def test_an_impossible_revision(hub: FakeHub, revision: str) -> None:
    with pytest.raises(InputError, match="revision="):
        resolve_model(NAME, revision=revision)
    assert hub.asked == []


def test_download_wants_a_hub_name() -> None:
    with pytest.raises(ModelNotFoundError, match="not a hub name"):
        download("./folder")
