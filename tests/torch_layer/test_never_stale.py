"""Whatever changes the module changes the vectors of the next encode."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import os
import pickle
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from vicinal import SentenceTransformer, models  # noqa: E402

pytestmark = pytest.mark.torch
TEXTS = ["the cat sat on the mat", "a dog", "hello world"]


@pytest.fixture
def model(tiny_bert: Path) -> SentenceTransformer:
    return SentenceTransformer(str(tiny_bert), device="cpu", dtype="float32")


def by_torch(model: SentenceTransformer) -> Any:
    """What the module says, past every engine."""
    model.eval()
    with torch.no_grad():
        return model(model.module[0].tokenize(TEXTS))["sentence_embedding"].float().numpy()


def a_step(model: SentenceTransformer) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    model.train()
    model(model.tokenize(TEXTS))["sentence_embedding"].square().sum().backward()
    optimizer.step()


def data_write(model: SentenceTransformer) -> None:
    model[0].auto_model.embeddings.word_embeddings.weight.data.mul_(1.5)


def one_number(model: SentenceTransformer) -> None:
    with torch.no_grad():
        model[0].auto_model.encoder.layer[1].output.dense.bias.view(-1)[3] += 1


def load_state(model: SentenceTransformer) -> None:
    model.load_state_dict({name: each * 0.7 for name, each in model.state_dict().items()})


def other_pooling(model: SentenceTransformer) -> None:
    model[1] = models.Pooling(16, "max")


def one_more(model: SentenceTransformer) -> None:
    torch.manual_seed(1)
    model.module.append(models.Dense(16, 5))


def shorter(model: SentenceTransformer) -> None:
    model.module[0].max_seq_length = 4


CHANGES = (a_step, data_write, one_number, load_state, other_pooling, one_more, shorter)


@pytest.mark.parametrize("backend", ["auto", "torch"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_shows(change: Callable[[Any], None], backend: str, tiny_bert: Path) -> None:
    model = SentenceTransformer(str(tiny_bert), device="cpu", dtype="float32", backend=backend)
    before, fingerprint = model.encode(TEXTS), model.fingerprint
    change(model)
    found = model.encode(TEXTS, on_truncate="ignore")
    assert found == pytest.approx(by_torch(model), abs=2e-5)
    assert found.shape != before.shape or np.abs(found - before).max() > 1e-4
    if change is not shorter:
        assert model.fingerprint != fingerprint
    assert model.get_embedding_dimension() == found.shape[1]


def test_prompts_left_out(model: SentenceTransformer) -> None:
    whole = model.encode(TEXTS, prompt="search query ")
    _ = model.module
    model.set_pooling_include_prompt(False)
    without = model.encode(TEXTS, prompt="search query ")
    assert np.abs(without - whole).max() > 1e-3
    torch_model = SentenceTransformer(modules=list(model.module), device="cpu", backend="torch")
    assert torch_model.encode(TEXTS, prompt="search query ") == pytest.approx(without, abs=2e-6)


@pytest.mark.parametrize("kind", ["half", "bfloat16"])
def test_sixteen_bits(kind: str, model: SentenceTransformer, tmp_path: Path) -> None:
    before = model.encode(TEXTS)
    getattr(model, kind)()
    found = model.encode(TEXTS)
    assert 0 < np.abs(found - before).max() < 0.1
    model.save(str(tmp_path))
    again = SentenceTransformer(str(tmp_path), device="cpu", dtype="float32")
    assert again.encode(TEXTS) == pytest.approx(found, abs=1e-6)
    assert model.float().encode(TEXTS) == pytest.approx(found, abs=1e-5)


def test_encode_drops_nothing_and_leaves_training_on(model: SentenceTransformer) -> None:
    model.train()
    assert np.array_equal(model.encode(TEXTS), model.encode(TEXTS))
    assert model.training and all(each.training for each in model.modules())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_independent(copied: Callable[[Any], Any], model: SentenceTransformer) -> None:
    _ = model.module
    data_write(model)
    before = model.encode(TEXTS)
    other = copied(model)
    data_write(model)
    assert other.encode(TEXTS) == pytest.approx(before, abs=1e-6)
    data_write(other)
    assert other.encode(TEXTS) == pytest.approx(model.encode(TEXTS), abs=1e-6)


def test_threads_encode_while_one_trains(model: SentenceTransformer) -> None:
    _ = model.module
    failures: list[Exception] = []
    stop = threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                assert np.isfinite(model.encode(TEXTS)).all()
                assert np.isfinite(model.encode(TEXTS[0], output_value="token_embeddings")).all()
        except Exception as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(8):
        a_step(model)
    stop.set()
    for reader in readers:
        reader.join()
    assert not failures
    assert model.encode(TEXTS) == pytest.approx(by_torch(model), abs=2e-5)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_encodes_and_the_parent_goes_on(model: SentenceTransformer) -> None:
    data_write(model)
    expected = model.encode(TEXTS)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=lambda: answers.put(model.encode(TEXTS)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python's, about forking with threads
        child.start()
    assert answers.get(timeout=60) == pytest.approx(expected, abs=1e-6)
    child.join(30)
    assert child.exitcode == 0
    # The child has removed nothing that the parent still reads.
    assert model.encode(TEXTS[0], output_value="token_embeddings").shape[1] == 16


def test_scratch_folders_go_away(tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model: Any = SentenceTransformer(str(tiny_bert), device="cpu")
    _ = model.module
    for _ in range(3):
        data_write(model)
        model.encode(TEXTS)
        gc.collect()
        assert len(list(tmp_path.iterdir())) == 1
    del model
    gc.collect()
    assert not list(tmp_path.iterdir())
