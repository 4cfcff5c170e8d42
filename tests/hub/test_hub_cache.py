"""The cache as `vicinal models` and `vicinal cache` see it."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest
from fakehub import FakeHub
from tinymodel import NAME, NEEDED, model_files

from vicinal.errors import ModelNotFoundError
from vicinal.hub.resolve import clear_cached, default_cache_folder, download, list_cached


def test_what_is_cached(hub: FakeHub, cache: Path) -> None:
    folder = download(NAME, cache_folder=str(cache))
    other = hub.repos[NAME].commit(model_files(3), "v2")
    download(NAME, cache_folder=str(cache), revision=other)
    (found,) = list_cached(str(cache))
    assert found.name == NAME
    assert found.path == folder
    assert found.revisions == ("main", other)
    assert found.complete
    both = {content for seed in (0, 3) for name, content in model_files(seed).items() if name in NEEDED}
    blobs = sum(len(content) for content in both)
    assert blobs <= found.size_bytes <= blobs + 200  # and the notes of what main is
    assert abs((datetime.now(timezone.utc) - found.last_used).total_seconds()) < 3600


def test_an_incomplete_model_is_listed_as_such(hub: FakeHub, cache: Path) -> None:
    folder = download(NAME, cache_folder=str(cache))
    (folder / "model.safetensors").resolve().unlink()  # a dangling link stays
    (found,) = list_cached(str(cache))
    assert not found.complete


def test_only_encoders_are_listed(hub: FakeHub, cache: Path) -> None:
    download(NAME, cache_folder=str(cache))
    others = {
        "acme--generator": {"config.json": json.dumps({"architectures": ["LlamaForCausalLM"]})},
        "acme--pictures": {"model_index.json": "{}"},
        "acme--ranker": {"config.json": json.dumps({"architectures": ["BertForSequenceClassification"]})},
        "bare": {"config.json": "{not json"},
    }
    for repo, files in others.items():
        snapshot = cache / f"models--{repo}" / "snapshots" / ("a" * 40)
        snapshot.mkdir(parents=True)
        for name, content in files.items():
            (snapshot / name).write_text(content)
    (cache / "models--acme--empty").mkdir()
    (cache / "datasets--acme--data").mkdir()
    listed = {model.name: model for model in list_cached(str(cache))}
    assert list(listed) == ["acme/ranker", NAME, "bare"]
    assert listed["acme/ranker"].revisions == ("a" * 40,)
    assert not listed["acme/ranker"].complete


def test_no_cache_folder_is_an_empty_list(cache: Path) -> None:
    assert list_cached(str(cache)) == []


def test_clearing_frees_what_was_listed(hub: FakeHub, cache: Path) -> None:
    hub.add("sentence-transformers/all-Tiny", model_files(1))
    download("all-Tiny", cache_folder=str(cache))
    download(NAME, cache_folder=str(cache))
    sizes = {model.name: model.size_bytes for model in list_cached(str(cache))}
    assert clear_cached("all-Tiny", str(cache)) == sizes["sentence-transformers/all-Tiny"]
    assert [model.name for model in list_cached(str(cache))] == [NAME]
    assert clear_cached(NAME, str(cache)) == sizes[NAME]
    assert not list(cache.glob("models--*"))
    assert not list((cache / ".locks").glob("*"))


@pytest.mark.parametrize("name", ["acme/tiny-encodr", "tiny-encoder", "Acme/Tiny-Encoder2"])
def test_clearing_what_is_not_there_names_what_is_near(hub: FakeHub, cache: Path, name: str) -> None:
    download(NAME, cache_folder=str(cache))
    with pytest.raises(ModelNotFoundError, match=f"Nearest names there: {NAME}"):
        clear_cached(name, str(cache))


@pytest.mark.parametrize("name", ["", "..", "../models--acme--tiny-encoder", "/", "a/b/c"])
def test_clearing_never_leaves_the_cache(hub: FakeHub, cache: Path, name: str) -> None:
    folder = download(NAME, cache_folder=str(cache))
    with pytest.raises(ModelNotFoundError):
        clear_cached(name, str(cache))
    assert folder.is_dir()


def test_the_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_folder() == tmp_path / ".cache" / "huggingface" / "hub"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_folder() == tmp_path / "xdg" / "huggingface" / "hub"
    monkeypatch.setenv("HF_HOME", "~/hf")
    assert default_cache_folder() == tmp_path / "hf" / "hub"
    monkeypatch.setenv("HUGGINGFACE_HUB_CACHE", "$HOME/old")
    assert default_cache_folder() == tmp_path / "old"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "new"))
    assert default_cache_folder() == tmp_path / "new"
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path / "st"))
    assert default_cache_folder() == tmp_path / "st"
