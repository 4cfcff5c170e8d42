"""From a name to a folder, over a real hub on 127.0.0.1."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fakehub import FakeHub
from safetensors.numpy import load_file
from tinymodel import NAME, NEEDED, files_in, model_files, weights

import vicinal
from vicinal.errors import HubError, ModelFormatError, ModelNotFoundError
from vicinal.hub.files import find_problems
from vicinal.hub.resolve import download, resolve_model

SECRET = "hf_abcdefghijklmnopqrstuvwxyz"


def test_only_the_needed_files_come(hub: FakeHub, cache: Path) -> None:
    folder = resolve_model(NAME, cache_folder=str(cache))
    assert files_in(folder) == NEEDED
    assert hub.fetched() == NEEDED
    for name in NEEDED:
        assert (folder / name).read_bytes() == model_files()[name]
    assert folder.parent.parent == cache / "models--acme--tiny-encoder"
    assert find_problems(folder) == []


def test_the_second_load_asks_nothing(hub: FakeHub, cache: Path) -> None:
    first = resolve_model(NAME, cache_folder=str(cache))
    hub.asked.clear()
    assert resolve_model(NAME, cache_folder=str(cache)) == first
    assert hub.asked == []


@pytest.mark.usefixtures("no_sockets")
def test_sockets_blocked_is_noticed(cache: Path) -> None:
    with pytest.raises(HubError, match="a connection was tried"):
        resolve_model(NAME, cache_folder=str(cache))


def test_a_cached_model_loads_with_sockets_blocked(
    hub: FakeHub, cache: Path, request: pytest.FixtureRequest
) -> None:
    first = resolve_model(NAME, cache_folder=str(cache))
    request.getfixturevalue("no_sockets")
    assert resolve_model(NAME, cache_folder=str(cache)) == first
    assert resolve_model(NAME, cache_folder=str(cache), revision=first.name) == first
    assert resolve_model(NAME, cache_folder=str(cache), local_files_only=True) == first


def test_a_cached_model_loads_without_importing_huggingface_hub(hub: FakeHub, cache: Path) -> None:
    first = resolve_model(NAME, cache_folder=str(cache))
    code = (
        "import sys; from vicinal.hub.resolve import resolve_model;"
        f"print(resolve_model({NAME!r}));"
        "assert 'huggingface_hub' not in sys.modules and 'numpy' not in sys.modules"
    )
    environment = {**os.environ, "HF_HUB_CACHE": str(cache), "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == first


def test_the_cache_is_huggingface_hubs_own(hub: FakeHub, cache: Path) -> None:
    from huggingface_hub import hf_hub_download, scan_cache_dir, try_to_load_from_cache

    folder = resolve_model(NAME, cache_folder=str(cache))
    assert try_to_load_from_cache(NAME, "config.json", cache_dir=cache) == str(folder / "config.json")
    offline = hf_hub_download(NAME, "model.safetensors", cache_dir=cache, local_files_only=True)
    assert offline == str(folder / "model.safetensors")
    (repo,) = scan_cache_dir(cache).repos
    assert repo.repo_id == NAME


def test_nothing_that_identifies_is_sent(hub: FakeHub, cache: Path) -> None:
    # In a process of its own: huggingface_hub's telemetry goes to the endpoint it saw at its import.
    code = f"from vicinal.hub.resolve import resolve_model; resolve_model({NAME!r})"
    environment = {**os.environ, "HF_HUB_CACHE": str(cache), "AI_AGENT": "someone"}
    for variable in ("HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        environment.pop(variable, None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    usual = {
        "host",
        "accept",
        "accept-encoding",
        "connection",
        "user-agent",
        "x-amzn-trace-id",  # random for each request
        "x-hf-download-counter",
    }
    traces = [asked.headers.get("x-amzn-trace-id") for asked in hub.asked]
    assert len(set(traces)) == len(traces)
    for asked in hub.asked:
        assert asked.headers["user-agent"] == "vicinal/" + vicinal.__version__
        assert set(asked.headers) <= usual
    assert all(f"/{NAME}/" in asked.path for asked in hub.asked)  # no other endpoint, such as a registry


def test_a_bare_name_means_the_sentence_transformers_organisation(hub: FakeHub, cache: Path) -> None:
    hub.add("sentence-transformers/all-Tiny", model_files(1))
    folder = resolve_model("all-Tiny", cache_folder=str(cache))
    assert folder.parent.parent.name == "models--sentence-transformers--all-Tiny"
    assert not any("/api/models/all-Tiny/" in asked.path for asked in hub.asked)


def test_a_bare_name_of_a_cross_encoder_means_the_cross_encoder_organisation(
    hub: FakeHub, cache: Path
) -> None:
    with pytest.raises(ModelNotFoundError):
        vicinal.CrossEncoder("ms-tiny", cache_folder=str(cache))
    asked = " ".join(each.path for each in hub.asked)
    assert "/cross-encoder/ms-tiny" in asked
    assert "sentence-transformers" not in asked


def test_a_bare_name_may_be_the_hubs_own(hub: FakeHub, cache: Path) -> None:
    hub.add("bert-tiny", model_files(2))
    folder = resolve_model("bert-tiny", cache_folder=str(cache))
    assert folder.parent.parent.name == "models--bert-tiny"
    hub.asked.clear()
    assert resolve_model("bert-tiny", cache_folder=str(cache)) == folder
    assert hub.asked == []


def test_a_bare_name_is_tried_twice_when_a_stranger_gets_401(hub: FakeHub, cache: Path) -> None:
    hub.add("bert-tiny", model_files(2))
    hub.fail("/sentence-transformers/bert-tiny/", 401)
    assert resolve_model("bert-tiny", cache_folder=str(cache)).is_dir()


def test_revision_by_branch_tag_and_commit(hub: FakeHub, cache: Path) -> None:
    repo = hub.repos[NAME]
    main = repo.refs["main"]
    old = repo.commit(model_files(1), "v1.0")
    pull = repo.commit(model_files(2), "refs/pr/1")
    for revision, commit in (("v1.0", old), ("refs/pr/1", pull), (main, main), (None, main)):
        folder = resolve_model(NAME, cache_folder=str(cache), revision=revision)
        assert folder.name == commit
        assert files_in(folder) == NEEDED
    hub.asked.clear()
    for revision, commit in (("v1.0", old), ("refs/pr/1", pull), (old, old), (None, main)):
        assert resolve_model(NAME, cache_folder=str(cache), revision=revision).name == commit
    assert hub.asked == []


def test_a_stale_copy_is_used_until_download_refreshes_it(hub: FakeHub, cache: Path) -> None:
    old = resolve_model(NAME, cache_folder=str(cache))
    new = hub.repos[NAME].commit(model_files(9))
    assert resolve_model(NAME, cache_folder=str(cache)) == old
    hub.asked.clear()
    fresh = download(NAME, cache_folder=str(cache))
    assert fresh.name == new
    assert hub.fetched() == {"config.json", "model.safetensors"}  # the other files are the same blobs
    assert resolve_model(NAME, cache_folder=str(cache)) == fresh


def test_download_of_a_whole_and_fresh_copy_fetches_nothing(hub: FakeHub, cache: Path) -> None:
    folder = download(NAME, cache_folder=str(cache))
    hub.asked.clear()
    assert download(NAME, cache_folder=str(cache)) == folder
    assert len(hub.asked) == 1
    assert hub.fetched() == set()


def test_force_fetches_every_file_again(hub: FakeHub, cache: Path) -> None:
    folder = download(NAME, cache_folder=str(cache))
    hub.asked.clear()
    assert download(NAME, cache_folder=str(cache), force=True) == folder
    assert hub.fetched() == NEEDED
    assert files_in(folder) == NEEDED


def test_the_token_is_sent(hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repos[NAME].token = SECRET
    resolve_model(NAME, cache_folder=str(cache / "a"), token=SECRET)
    assert {asked.headers.get("authorization") for asked in hub.asked} == {f"Bearer {SECRET}"}
    monkeypatch.setenv("HF_TOKEN", SECRET)
    resolve_model(NAME, cache_folder=str(cache / "b"))
    with pytest.raises(HubError):
        resolve_model(NAME, cache_folder=str(cache / "c"), token=False)
    assert "authorization" not in hub.asked[-1].headers


@pytest.mark.parametrize(
    ("variable", "inside"),
    [
        ("SENTENCE_TRANSFORMERS_HOME", ""),
        ("HF_HUB_CACHE", ""),
        ("HF_HOME", "hub"),
        ("XDG_CACHE_HOME", "huggingface/hub"),
    ],
)
def test_the_cache_folder_from_the_environment(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, inside: str
) -> None:
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    folder = resolve_model(NAME)
    assert folder.is_relative_to(tmp_path / "elsewhere" / inside / "models--acme--tiny-encoder")


def test_the_argument_goes_before_the_environment(
    hub: FakeHub, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path / "unused"))
    assert resolve_model(NAME, cache_folder=str(cache)).is_relative_to(cache)
    assert not (tmp_path / "unused").exists()


def test_the_endpoint_is_read_in_a_process_of_its_own(hub: FakeHub, cache: Path) -> None:
    code = f"from vicinal.hub.resolve import resolve_model; print(resolve_model({NAME!r}))"
    environment = {**os.environ, "SENTENCE_TRANSFORMERS_HOME": str(cache), "HF_ENDPOINT": hub.url + "/"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert files_in(Path(done.stdout.strip())) == NEEDED


def test_sharded_weights(hub: FakeHub, cache: Path) -> None:
    files = model_files()
    del files["model.safetensors"]
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = {"weight_map": {"a": shards[0], "b": shards[1]}}
    files |= {"model.safetensors.index.json": json.dumps(index).encode()}
    files |= {shards[0]: weights(1), shards[1]: weights(2)}
    hub.add("acme/sharded", files)
    folder = resolve_model("acme/sharded", cache_folder=str(cache))
    assert {*shards, "model.safetensors.index.json"} <= files_in(folder)
    (folder / shards[1]).unlink()
    hub.asked.clear()
    assert resolve_model("acme/sharded", cache_folder=str(cache)) == folder
    assert files_in(folder) >= set(shards)


def test_two_threads_download_the_same_model(hub: FakeHub, cache: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: resolve_model(NAME, cache_folder=str(cache)), range(8)))
    assert len(set(folders)) == 1
    assert files_in(folders[0]) == NEEDED
    assert load_file(folders[0] / "model.safetensors")
    assert find_problems(folders[0]) == []


# Plain models, and what other libraries leave in the cache --------------------------------------------------

PLAIN = {"config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "model.safetensors"}


def as_transformers_would(hub: FakeHub, name: str, cache: Path) -> Path:
    """Cache what a library fetches that knows nothing of modules.json."""
    from huggingface_hub import hf_hub_download

    for file in PLAIN:
        path = hf_hub_download(name, file, cache_dir=cache, endpoint=hub.url)
    hub.asked.clear()
    return Path(path).parent


def test_a_plain_model_is_not_asked_for_again(hub: FakeHub, cache: Path, request: Any) -> None:
    hub.add("acme/plain", {name: model_files()[name] for name in PLAIN})
    folder = resolve_model("acme/plain", cache_folder=str(cache))
    assert files_in(folder) == PLAIN
    request.getfixturevalue("no_sockets")
    assert resolve_model("acme/plain", cache_folder=str(cache)) == folder
    assert resolve_model("acme/plain", cache_folder=str(cache), local_files_only=True) == folder


def test_a_plain_model_from_another_library_is_asked_for_once(hub: FakeHub, cache: Path) -> None:
    hub.add("acme/plain", {name: model_files()[name] for name in PLAIN})
    folder = as_transformers_would(hub, "acme/plain", cache)
    assert resolve_model("acme/plain", cache_folder=str(cache)) == folder
    assert len(hub.asked) == 1
    assert resolve_model("acme/plain", cache_folder=str(cache)) == folder
    assert len(hub.asked) == 1


def test_the_pooling_that_another_library_left_out_is_fetched(hub: FakeHub, cache: Path) -> None:
    folder = as_transformers_would(hub, NAME, cache)
    hub.repos[NAME].commit(model_files(5))  # main has moved on; the cached commit is completed
    assert resolve_model(NAME, cache_folder=str(cache)) == folder
    assert files_in(folder) == NEEDED
    assert hub.fetched() == NEEDED - PLAIN


def test_it_is_said_when_the_pooling_cannot_be_known(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = as_transformers_would(hub, NAME, cache)
    with pytest.warns(UserWarning, match=r"without modules\.json.*must not be asked.*vicinal download"):
        assert resolve_model(NAME, cache_folder=str(cache), local_files_only=True) == folder
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.warns(UserWarning, match=r"could not be asked.*cannot be reached"):
        assert resolve_model(NAME, cache_folder=str(cache)) == folder


def test_a_cross_encoder_needs_no_pooling(hub: FakeHub, cache: Path, request: Any) -> None:
    config = json.dumps({"architectures": ["BertForSequenceClassification"]}).encode()
    hub.add("acme/ranker", {**{name: model_files()[name] for name in PLAIN}, "config.json": config})
    folder = as_transformers_would(hub, "acme/ranker", cache)
    request.getfixturevalue("no_sockets")
    assert resolve_model("acme/ranker", cache_folder=str(cache)) == folder


def test_a_listing_in_the_cache_is_proof_enough(hub: FakeHub, cache: Path) -> None:
    hub.add("acme/plain", {name: model_files()[name] for name in PLAIN})
    folder = as_transformers_would(hub, "acme/plain", cache)
    trees = folder.parent.parent / "trees"
    trees.mkdir()
    (trees / f"{folder.name}.json").write_text(
        json.dumps({"format_version": 1, "files": {"config.json": {}}})
    )
    assert resolve_model("acme/plain", cache_folder=str(cache), local_files_only=True) == folder


# Interrupted and damaged ------------------------------------------------------------------------------------


def test_a_connection_that_breaks_once_is_taken_up_again(hub: FakeHub, cache: Path) -> None:
    hub.cut("model.safetensors", after=500, times=1)
    folder = resolve_model(NAME, cache_folder=str(cache))
    assert (folder / "model.safetensors").read_bytes() == model_files()["model.safetensors"]


def test_a_large_file_is_resumed_where_it_broke(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub.repos[NAME].commit({**model_files(), "model.safetensors": weights(rows=4000)})
    hub.cut("model.safetensors", after=50_500, times=1)
    folder = resolve_model(NAME, cache_folder=str(cache))
    ranges = [a.headers["range"] for a in hub.asked if "range" in a.headers]
    assert ranges == ["bytes=50000-"]
    assert (folder / "model.safetensors").read_bytes() == weights(rows=4000)


def test_an_interrupted_download_never_passes_for_a_whole_one(hub: FakeHub, cache: Path) -> None:
    hub.cut("model.safetensors", after=500)
    commit = hub.repos[NAME].refs["main"]
    for revision in (None, commit):
        with pytest.raises(HubError, match="tiny-encoder"):
            resolve_model(NAME, cache_folder=str(cache), revision=revision)
    snapshot = cache / "models--acme--tiny-encoder" / "snapshots" / commit
    assert files_in(snapshot) == NEEDED - {"model.safetensors"}
    assert not list(cache.rglob("*.incomplete"))
    with pytest.raises(ModelNotFoundError):
        resolve_model(NAME, cache_folder=str(cache), local_files_only=True)
    with pytest.raises(ModelFormatError, match=r"model\.safetensors is missing"):
        resolve_model(NAME, cache_folder=str(cache), revision=commit, local_files_only=True)
    hub.faults.clear()
    hub.asked.clear()
    assert files_in(resolve_model(NAME, cache_folder=str(cache))) == NEEDED
    assert hub.fetched() == {"model.safetensors"}  # what had come before the break is kept


def test_weights_come_last_so_that_whoever_has_them_has_the_rest(hub: FakeHub, cache: Path) -> None:
    hub.fail("1_Pooling/config.json", 500)
    with pytest.raises(HubError):
        resolve_model(NAME, cache_folder=str(cache))
    assert "model.safetensors" not in hub.fetched()


@pytest.mark.parametrize("keep", [0, 4, 60, 900])
def test_a_truncated_file_in_the_cache_is_repaired(hub: FakeHub, cache: Path, keep: int) -> None:
    folder = resolve_model(NAME, cache_folder=str(cache))
    blob = (folder / "model.safetensors").resolve()
    blob.write_bytes(blob.read_bytes()[:keep])
    hub.asked.clear()
    assert resolve_model(NAME, cache_folder=str(cache)) == folder
    assert hub.fetched() == {"model.safetensors"}
    assert load_file(folder / "model.safetensors")


def test_a_truncated_file_is_named_when_offline(hub: FakeHub, cache: Path) -> None:
    folder = resolve_model(NAME, cache_folder=str(cache))
    blob = (folder / "model.safetensors").resolve()
    blob.write_bytes(blob.read_bytes()[:900])
    with pytest.raises(
        ModelFormatError, match=r"model\.safetensors is cut off: it has 900 bytes of 1,3"
    ) as e:
        resolve_model(NAME, cache_folder=str(cache), local_files_only=True)
    assert f"vicinal download {NAME}" in str(e.value)


def test_a_cache_without_links_is_repaired_too(hub: FakeHub, cache: Path) -> None:
    folder = resolve_model(NAME, cache_folder=str(cache))
    file = folder / "model.safetensors"
    content = file.read_bytes()
    file.resolve().unlink()
    file.unlink()
    file.write_bytes(content[:-1])
    assert resolve_model(NAME, cache_folder=str(cache)) == folder
    assert file.read_bytes() == content


def test_a_file_damaged_on_the_hub_is_not_fetched_for_ever(hub: FakeHub, cache: Path) -> None:
    hub.add(NAME, {**model_files(), "model.safetensors": weights()[:-3]})
    with pytest.raises(HubError, match=r"downloaded twice.*model\.safetensors is cut off"):
        resolve_model(NAME, cache_folder=str(cache))
    assert len([p for p in hub.paths("GET") if p.endswith("model.safetensors")]) == 2
    with pytest.raises(ModelNotFoundError):
        resolve_model(NAME, cache_folder=str(cache), local_files_only=True)


@pytest.mark.parametrize("name", ["../evil.json", "/etc/evil.json", "a/../../evil.json", "..\\evil.json"])
def test_a_listing_that_leaves_the_folder_is_refused(hub: FakeHub, cache: Path, name: str) -> None:
    hub.add(NAME, {**model_files(), name: b"{}"})
    with pytest.raises(HubError, match="outside the model's folder"):
        resolve_model(NAME, cache_folder=str(cache))
    assert hub.fetched() == set()
    assert not cache.exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"README.md": b"#"}, "neither modules.json nor config.json"),
        ({"config.json": b"{}", "tf_model.h5": b"x"}, r"no weights as safetensors.*tf_model\.h5"),
    ],
)
def test_a_repository_that_is_no_usable_model(
    hub: FakeHub, cache: Path, files: dict[str, bytes], message: str
) -> None:
    hub.add("acme/other", files)
    with pytest.raises(ModelFormatError, match=message):
        resolve_model("acme/other", cache_folder=str(cache))
    assert hub.fetched() == set()
