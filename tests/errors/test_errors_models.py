"""A model that is nowhere, and a download that broke off, as the user of SentenceTransformer meets them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from vicinal import CrossEncoder, SentenceTransformer
from vicinal.errors import HubConnectionError, ModelFormatError, ModelNotFoundError


def test_nowhere(served: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    hub, cache = served
    SentenceTransformer("acme/tiny", cache_folder=cache)
    with pytest.raises(ModelNotFoundError) as caught:
        SentenceTransformer("acme/tyni", cache_folder=cache)
    text = str(caught.value)
    assert f"the folder {os.path.abspath('acme/tyni')}: not there" in text
    assert f"the cache {cache / 'models--acme--tyni'}: not there" in text
    assert f"{hub.url}/acme/tyni: 404, no such repository" in text
    assert "Nearest names in the cache: acme/tiny" in text
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for kind in (SentenceTransformer, CrossEncoder):
        with pytest.raises(ModelNotFoundError) as caught:
            kind("acme/tyni", cache_folder=cache)
        text = str(caught.value)
        assert "the hub: not asked, offline mode is on (HF_HUB_OFFLINE)" in text
        assert "Nearest names in the cache: acme/tiny" in text
        assert "`vicinal download acme/tyni` where there is a network" in text
        assert "cache_folder=... or SENTENCE_TRANSFORMERS_HOME" in text


def test_a_hub_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("vicinal.hub.fetch.time.sleep", lambda seconds: None)
    with pytest.raises(
        HubConnectionError, match=r"cannot be reached.*`vicinal download acme/tiny`.*copy the cache"
    ):
        SentenceTransformer("acme/tiny", cache_folder=tmp_path)


def test_a_broken_download_is_named_and_repaired(served: tuple[Any, Path]) -> None:
    _, cache = served
    expected = SentenceTransformer("acme/tiny", cache_folder=cache, dtype="float32").encode("the cat")
    (weights,) = cache.rglob("model.safetensors")
    blob = weights.resolve()
    blob.write_bytes(blob.read_bytes()[:2000])
    with pytest.raises(
        ModelFormatError, match=r"not whole: model\.safetensors is cut off: it has 2,000 bytes"
    ):
        SentenceTransformer("acme/tiny", cache_folder=cache, local_files_only=True)
    repaired = SentenceTransformer("acme/tiny", cache_folder=cache, dtype="float32")
    assert (repaired.encode("the cat") == expected).all()


@pytest.mark.parametrize("name", ["vicinal-minni", "vicinal_mini", "vicinal/vicinal-mini"])
def test_a_mistyped_bundled_model(
    served: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelNotFoundError, match="Did you mean 'vicinal-mini', which is part of Vicinal"):
        SentenceTransformer(name, cache_folder=served[1])
