"""models, download and cache, on a cache of links and a hub on 127.0.0.1."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cli_shell import COMMIT, Shell, put_into_cache


@pytest.fixture
def full(vicinal: Shell, minilm_path: Path, cross_encoder: str) -> Shell:
    """A cache with an encoder, a reranker, and a model without weights."""
    put_into_cache(vicinal.cache, "sentence-transformers/all-MiniLM-L6-v2", minilm_path)
    put_into_cache(vicinal.cache, "cross-encoder/stsb", Path(cross_encoder))
    put_into_cache(vicinal.cache, "org/broken", minilm_path, only="modules.json")
    return vicinal


def test_empty_cache(vicinal: Shell) -> None:
    for command in (["cache"], ["cache", "list"]):
        done = vicinal(*command)
        assert (done.code, done.out) == (0, "")
        assert str(vicinal.cache) in done.err


def test_models_that_come_with_vicinal(vicinal: Shell) -> None:
    done = vicinal("models")
    assert done.code == 0, done.err
    assert [row[:4] for row in done.rows[1:]] == [["vicinal-mini", "encoder", "256", "-"]]
    assert "vicinal-mini comes with Vicinal; in " in done.err and str(vicinal.cache) in done.err
    assert "`vicinal download all-MiniLM-L6-v2`" in done.err and "download vicinal-mini" not in done.err
    found = json.loads(vicinal("models", "--json").out)
    assert [(model["name"], model["bundled"]) for model in found] == [("vicinal-mini", True)]
    assert found[0]["bytes"] > 8e6
    there = vicinal.quick("download", "vicinal-mini")
    assert (there.code, there.out.strip()) == (0, found[0]["path"])
    gone = vicinal.quick("cache", "clear", "vicinal-mini", "--yes")
    assert gone.code == 1 and "comes with Vicinal" in gone.err


def test_models(full: Shell) -> None:
    done = full("models")
    assert done.code == 0, done.err
    assert done.rows[0] == ["model", "kind", "dim", "tokens", "bytes"]
    assert [row[:4] for row in done.rows[2:]] == [
        ["cross-encoder/stsb", "reranker", "-", "256"],
        ["org/broken", "incomplete", "-", "-"],
        ["sentence-transformers/all-MiniLM-L6-v2", "encoder", "384", "256"],
    ]
    assert "note: org/broken: not whole; `vicinal download org/broken`" in done.err


def test_models_measured_in_a_terminal(full: Shell) -> None:
    shown = full.pretty("models", "--bench")
    assert all(len(line.rstrip()) <= 60 for line in shown.out.splitlines())
    row = next(line.split() for line in shown.out.splitlines() if "MiniLM" in line)
    assert row[:4] == ["all-MiniLM-L6-v2", "encoder", "384", "256"]
    assert float(row[-1].replace(",", "")) > 10


def test_cached_model_by_its_bare_name(full: Shell) -> None:
    assert full.quick("similarity", "a", "b").code == 0


def test_cache_list_and_clear(full: Shell) -> None:
    done = full("cache")
    assert [row[0] for row in done.rows[1:]] == [
        "cross-encoder/stsb",
        "org/broken",
        "sentence-transformers/all-MiniLM-L6-v2",
    ]
    assert {row[3] for row in done.rows[1:]} == {"main"}
    assert done.err.startswith("3 models, ")
    assert json.loads(full("cache", "list", "--json").out)[0]["revisions"] == ["main"]

    refused = full("cache", "clear", "all-MiniLM-L6-v2")
    assert (refused.code, "add --yes" in refused.err) == (1, True)
    done = full("cache", "clear", "all-MiniLM-L6-v2", "--yes")
    assert done.code == 0
    assert done.err.startswith("sentence-transformers/all-MiniLM-L6-v2 removed, ")
    assert done.err.rstrip().endswith("freed")
    assert len(full("cache", "list").rows) == 3

    absent = full("cache", "clear", "all-MiniLM-L6-v2", "--yes")
    assert (absent.code, "is not in the cache" in absent.err) == (1, True)


@pytest.fixture
def hub(hub_helpers: tuple[ModuleType, ModuleType]) -> Iterator[Any]:
    fakehub, tinymodel = hub_helpers
    with fakehub.running_hub() as hub:
        hub.add(tinymodel.NAME, tinymodel.model_files())
        yield hub


def test_download(vicinal: Shell, hub: Any) -> None:
    online = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1"}
    done = vicinal("download", "acme/tiny-encoder", **online)
    assert done.code == 0, done.err
    folder = Path(done.out.strip())
    assert (folder / "modules.json").is_file()
    assert "acme/tiny-encoder is in the cache: " in done.err
    assert [row[0] for row in vicinal("cache").rows[1:]] == ["acme/tiny-encoder"]

    absent = vicinal("download", "acme/none", **online)
    assert (absent.code, absent.out) == (1, "")
    assert absent.err.startswith("error: ") and "acme/none" in absent.err
    revision = vicinal("download", "acme/tiny-encoder", "--revision", COMMIT, **online)
    assert (revision.code, COMMIT in revision.err) == (1, True)


def test_download_offline(vicinal: Shell) -> None:
    done = vicinal("download", "acme/tiny-encoder")
    assert done.code == 1
    assert "offline mode is on" in done.err


def test_a_narrow_terminal_shows_names_whole(vicinal: Shell) -> None:
    done = vicinal.pretty("models", "--bench", columns=40)
    assert done.code == 0 and "vicinal-mini\n  encoder, dim 256," in done.out
