"""The small models and the hub of the other tests, for the errors that people meet with them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
for folder in ("encode", "hub"):  # where tinyfolder and fakehub lie
    if str(TESTS / folder) not in sys.path:
        sys.path.append(str(TESTS / folder))


@pytest.fixture(scope="session")
def plain_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model without normalisation: its vectors have different lengths."""
    from tinyfolder import POOLING, TRANSFORMER, make_folder

    return make_folder(tmp_path_factory.mktemp("plain") / "tiny", modules=[TRANSFORMER, POOLING])


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[object, Path]]:
    """A hub that has the small model as acme/tiny, and an empty cache folder."""
    from fakehub import running_hub
    from tinyfolder import make_folder

    folder = make_folder(tmp_path / "tiny")
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    for variable in ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "SENTENCE_TRANSFORMERS_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    with running_hub() as hub:
        hub.add("acme/tiny", files)
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub, tmp_path / "cache"
