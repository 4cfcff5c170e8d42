"""Push a model to a hub, load it from there by name, and what is said when that cannot be."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from fakehub import FakeHub
from huggingface_hub import constants
from tokenizers import Tokenizer, models, pre_tokenizers

from vicinal import SentenceTransformer
from vicinal.errors import (
    HubAccessError,
    HubConnectionError,
    HubError,
    InputError,
    InputTypeError,
    ModelNotFoundError,
)
from vicinal.folder.static import write_static
from vicinal.hub.publish import push_to_hub, save_to_hub
from vicinal.hub.resolve import Retries

TOKEN = "hf_abcdefghijklmnopqrstuvwxyz"
TEXTS = ["the cat sat", "a dog", "hello"]


@pytest.fixture
def home(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """A hub on which the account ``me`` may write, with a stored token."""
    hub.writers[TOKEN] = "me"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return hub


@pytest.fixture
def model(tmp_path: Path) -> SentenceTransformer:
    return make_model(tmp_path / "local")


def make_model(folder: Path, seed: int = 0) -> SentenceTransformer:
    """A small static model."""
    words = ["[PAD]", "[UNK]", "the", "a", "cat", "dog", "sat", "hello"]
    rows = np.random.default_rng(seed).standard_normal((len(words), 6)).astype(np.float32)
    tokenizer = Tokenizer(
        models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    write_static(folder, rows, json.loads(tokenizer.to_str()))
    module = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.StaticEmbedding"}
    (folder / "modules.json").write_text(json.dumps([module]))
    return SentenceTransformer(str(folder))


def state_of(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def files_on(hub: FakeHub, name: str = "me/mini", revision: str = "main") -> dict[str, bytes]:
    repo = hub.repos[name]
    return repo.commits[repo.refs[revision]]


def load(name: str, cache: Path, **more: str | None) -> SentenceTransformer:
    return SentenceTransformer(name, cache_folder=cache, **more)  # type: ignore[arg-type]


@pytest.mark.filterwarnings(
    "ignore:Use 'content:DeprecationWarning"
)  # huggingface_hub's own, on the way of LFS
@pytest.mark.parametrize("lfs", [False, True])
def test_a_pushed_model_gives_the_same_vectors(
    home: FakeHub, model: SentenceTransformer, cache: Path, lfs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lfs:
        home.large = re.compile(r"\.safetensors$")
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    model.prompts["query"] = "the "
    address = push_to_hub(model, "me/mini")
    sha = home.repos["me/mini"].refs["main"]
    assert address == f"{home.url}/me/mini/commit/{sha}"
    assert bool(home.blobs) == lfs
    assert home.messages == ["Add new model"]
    loaded = load("me/mini", cache)
    np.testing.assert_array_equal(loaded.encode(TEXTS), model.encode(TEXTS))
    assert loaded.prompts == {"query": "the "}
    assert "SentenceTransformer('me/mini')" in files_on(home)["README.md"].decode()
    assert home.repos["me/mini"].token is None
    agents = {a.headers["user-agent"] for a in home.asked if a.method == "POST"}
    assert all(agent.startswith("vicinal/") for agent in agents), agents


def test_private_needs_the_token(home: FakeHub, model: SentenceTransformer, tmp_path: Path) -> None:
    push_to_hub(model, "mini", private=True, token=TOKEN)  # the account's own name is put before it
    with pytest.raises(HubAccessError):
        SentenceTransformer("me/mini", cache_folder=tmp_path / "a", token=False)
    found = SentenceTransformer("me/mini", cache_folder=tmp_path / "b", token=TOKEN)
    np.testing.assert_array_equal(found.encode(TEXTS), model.encode(TEXTS))


def test_an_existing_repository(
    home: FakeHub, model: SentenceTransformer, tmp_path: Path, cache: Path
) -> None:
    push_to_hub(model, "me/mini")
    before = files_on(home)
    other = make_model(tmp_path / "other", seed=1)
    with pytest.raises(HubError, match=r"'me/mini' was not pushed: the repository exists .* exist_ok=True"):
        push_to_hub(other, "me/mini")
    assert files_on(home) == before
    home.repos["me/mini"].commit(
        {
            **before,
            "README.md": b"# Mine\n",
            "notes.txt": b"kept",
            "model-00001-of-00002.safetensors": b"old",
            "pytorch_model.bin": b"old",
            "onnx/model.onnx": b"old",
            "adapter_model.safetensors": b"kept",
        }
    )
    push_to_hub(other, "me/mini", exist_ok=True, commit_message="Better")
    now = files_on(home)
    assert set(now) == {*before, "notes.txt", "adapter_model.safetensors"}
    assert now["README.md"] == b"# Mine\n"
    assert home.messages[-1] == "Better"
    np.testing.assert_array_equal(load("me/mini", cache).encode(TEXTS), other.encode(TEXTS))
    push_to_hub(other, "me/mini", exist_ok=True, replace_model_card=True)
    assert files_on(home)["README.md"].startswith(b"---\n")


def test_branches_and_pull_requests(home: FakeHub, model: SentenceTransformer, tmp_path: Path) -> None:
    push_to_hub(model, "me/mini")
    before = files_on(home)
    other = make_model(tmp_path / "other", seed=1)
    push_to_hub(other, "me/mini", revision="dev", exist_ok=True)
    assert files_on(home) == before
    home.add("them/mini", before)
    address = push_to_hub(other, "them/mini", create_pr=True)
    assert address == f"{home.url}/them/mini/discussions/1"
    assert files_on(home, "them/mini") == before
    for name, revision in (("me/mini", "dev"), ("them/mini", "refs/pr/1")):
        found = load(name, tmp_path / "cache", revision=revision)
        np.testing.assert_array_equal(found.encode(TEXTS), other.encode(TEXTS))


def test_a_folder_as_it_is_and_the_old_name(home: FakeHub, tmp_path: Path) -> None:
    folder = tmp_path / "given"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.txt").write_text("a")
    (folder / "b.txt").write_text("b")
    push_to_hub(None, "me/given", local_model_path=folder)
    assert files_on(home, "me/given") == {".gitattributes": b"", "sub/a.txt": b"a", "b.txt": b"b"}
    save_to_hub(None, "old", "me", local_model_path=folder)
    assert files_on(home, "me/old") == files_on(home, "me/given")
    with pytest.raises(InputError, match="organization='me' is not that of repo_id='you/old'"):
        save_to_hub(None, "you/old", "me")


def test_data_sets_go_into_the_card(home: FakeHub, model: SentenceTransformer) -> None:
    push_to_hub(model, "me/mini", train_datasets=["sentence-transformers/stsb", "it's/ünïcode"])
    front = yaml.safe_load(files_on(home)["README.md"].decode().split("---")[1])
    assert front["datasets"] == ["sentence-transformers/stsb", "it's/ünïcode"]
    assert front["library_name"] == "sentence-transformers"


# What goes wrong -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "status", "tries"),
    [("repos/create", 500, 1), ("preupload", 400, 1), ("/commit/", 503, 4), ("/commit/", 413, 1)],
)
def test_a_hub_that_fails_in_the_middle(
    home: FakeHub, model: SentenceTransformer, tmp_path: Path, pattern: str, status: int, tries: int
) -> None:
    before, expected = state_of(tmp_path / "local"), model.encode(TEXTS)
    home.fail(pattern, status)
    with pytest.raises(HubError, match=rf"'me/mini' was not pushed: .* answered {status} .* untouched") as e:
        push_to_hub(model, "me/mini")
    assert ("Push again later" in str(e.value)) == (status >= 500)
    assert sum(pattern in path for path in home.paths("POST")) >= tries
    assert state_of(tmp_path / "local") == before
    np.testing.assert_array_equal(model.encode(TEXTS), expected)
    assert "me/mini" not in home.repos or files_on(home) == {".gitattributes": b""}
    home.faults.clear()
    push_to_hub(model, "me/mini", exist_ok=True)
    assert "model.safetensors" in files_on(home)


def test_a_failure_in_passing_is_repeated(
    home: FakeHub, model: SentenceTransformer, waits: list[float]
) -> None:
    home.fail("/commit/", 503, times=2)
    push_to_hub(model, "me/mini", retries=Retries(attempts=3))
    assert "model.safetensors" in files_on(home)
    assert len(waits) >= 2


def test_tokens(home: FakeHub, model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = "hf_wrongwrongwrong"
    with pytest.raises(HubAccessError, match=r"does not accept the token \(401: Invalid username") as e:
        push_to_hub(model, "me/mini", token=wrong)
    assert wrong not in str(e.value) and "hf auth login" in str(e.value)
    with pytest.raises(HubAccessError, match=r"the token may not write there \(.* 403: You don't have"):
        push_to_hub(model, "them/mini")
    home.add("them/theirs", {"a": b""})
    with pytest.raises(HubError, match="not pushed"):
        push_to_hub(model, "them/theirs", exist_ok=True)
    monkeypatch.delenv("HF_TOKEN")
    asked = len(home.asked)
    for token in (None, True):
        with pytest.raises(HubAccessError, match=r"no hub token is stored\. .*hf auth login"):
            push_to_hub(model, "me/mini", token=token)
    assert len(home.asked) == asked and "me/mini" not in home.repos


def test_nobody_there(model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HubConnectionError, match=r"127\.0\.0\.1:9 cannot be reached .* push again"):
        push_to_hub(model, "me/mini", token=TOKEN)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HubConnectionError, match="offline mode is on"):
        push_to_hub(model, "me/mini", token=TOKEN)


def test_bad_arguments(model: SentenceTransformer, tmp_path: Path) -> None:
    with pytest.raises(InputTypeError, match="repo_id is int"):
        push_to_hub(model, 3)  # type: ignore[arg-type]
    for name in ("", "a/b/c", "../x", "a b"):
        with pytest.raises(InputError, match="is no name of a repository"):
            push_to_hub(model, name, token=TOKEN)
    with pytest.raises(InputError, match="token=False"):
        push_to_hub(model, "me/mini", token=False)
    with pytest.raises(InputError, match="create_pr=True opens a pull request against main"):
        push_to_hub(model, "me/mini", token=TOKEN, create_pr=True, revision="dev")
    with pytest.raises(ModelNotFoundError, match="is no folder; nothing was pushed"):
        push_to_hub(model, "me/mini", token=TOKEN, local_model_path=tmp_path / "none")
