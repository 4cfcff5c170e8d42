"""Worker processes: the same vectors as without them, and clear words when one dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tinyfolder import BERT, ROOT, WIDTH, bert_weights, make_plain, write_json

from vicinal import CrossEncoder, SentenceTransformer
from vicinal.core.cores import available_cores
from vicinal.errors import InputError, InputTypeError, TruncationError, TruncationWarning, VicinalError
from vicinal.models.workers import WorkerPool

TEXTS = [f"the cat {number} sat on the mat" + " hello" * (number % 7) for number in range(300)]
LONG = "hello " * 200


@pytest.fixture(scope="module")
def model(tiny_path: Path) -> SentenceTransformer:
    return SentenceTransformer(str(tiny_path), dtype="float32")


@pytest.fixture(scope="module")
def pool(model: SentenceTransformer) -> Iterator[WorkerPool]:
    with WorkerPool(model, ["cpu", "cpu"]) as pool:
        yield pool


def encode_in_pool(model: Any, texts: Any, pool: Any = None, devices: Any = None, **arguments: Any) -> Any:
    return model.encode(texts, pool=pool, device=devices, **arguments)


def predict_in_pool(model: CrossEncoder, pairs: Any, pool: WorkerPool, **arguments: Any) -> Any:
    return model.predict(pairs, pool=pool, **arguments)


def assert_same(found: Any, expected: Any) -> None:
    """Equal types, shapes and numbers, to the bottom of lists and dictionaries."""
    assert type(found) is type(expected)
    if isinstance(expected, (list, dict)):
        assert len(found) == len(expected)
        for key in expected if isinstance(expected, dict) else range(len(expected)):
            assert_same(found[key], expected[key])
        return
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"chunk_size": 1},
        {"chunk_size": 1000},
        {"batch_size": 3, "prompt_name": "query"},
        {"prompt": "passage: ", "normalize_embeddings": True, "truncate_dim": 5},
        {"precision": "ubinary"},
        {"convert_to_numpy": False},
        {"output_value": "token_embeddings"},
        {"output_value": None, "truncate_dim": 4},
    ],
)
def test_equals_encode(model: SentenceTransformer, pool: WorkerPool, arguments: dict[str, Any]) -> None:
    plain = {key: value for key, value in arguments.items() if key != "chunk_size"}
    for texts in (TEXTS, TEXTS[:1], TEXTS[0], []):
        assert_same(encode_in_pool(model, texts, pool, **arguments), model.encode(texts, **plain))
    generated = encode_in_pool(model, (text for text in TEXTS[:5]), pool, **arguments)
    assert_same(generated, model.encode(TEXTS[:5], **plain))


def test_ranges_of_int8_are_those_of_all_vectors(model: SentenceTransformer, pool: WorkerPool) -> None:
    found = encode_in_pool(model, TEXTS, pool, precision="int8", chunk_size=7)
    expected = model.encode(TEXTS, precision="int8")
    assert found.dtype == np.int8
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1  # a rounding that tips over


@pytest.mark.torch
def test_tensors(model: SentenceTransformer, pool: WorkerPool) -> None:
    torch = pytest.importorskip("torch")
    found = encode_in_pool(model, TEXTS[:9], pool, convert_to_tensor=True)
    torch.testing.assert_close(found, model.encode(TEXTS[:9], convert_to_tensor=True), atol=1e-5, rtol=0)


def test_devices_for_one_call(model: SentenceTransformer) -> None:
    assert_same(encode_in_pool(model, TEXTS, devices=["cpu", "cpu"]), model.encode(TEXTS))
    assert (
        not multiprocessing.active_children() or len(multiprocessing.active_children()) <= 2
    )  # the fixture's


def test_what_is_set_after_the_start_counts(tiny_path: Path) -> None:
    model = SentenceTransformer(str(tiny_path), dtype="float32")
    with WorkerPool(model, ["cpu"]) as pool:
        model.max_seq_length, model.truncate_dim = 5, 3
        model.prompts["new"], model.default_prompt_name = "dog ", "new"
        with pytest.warns(TruncationWarning):
            expected = model.encode(TEXTS)
        with pytest.warns(TruncationWarning):
            assert_same(encode_in_pool(model, TEXTS, pool), expected)


def test_truncation_is_said_once(model: SentenceTransformer, pool: WorkerPool) -> None:
    with pytest.warns(
        TruncationWarning, match=r"items 0 to 9: 10 of 10 texts .*\(9 more such warnings"
    ) as caught:
        with WorkerPool(model, ["cpu"]) as single:  # two may end in another order
            encode_in_pool(model, [LONG] * 100, single, chunk_size=10)
    assert len(caught) == 1
    with pytest.raises(TruncationError, match=r"items 20 to 29: sentences\[3\] has 202 tokens"):
        encode_in_pool(model, [*TEXTS[:23], LONG, *TEXTS[:20]], pool, chunk_size=10, on_truncate="error")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(encode_in_pool(model, TEXTS, pool), model.encode(TEXTS))  # the pool goes on


def test_progress_is_shown(
    model: SentenceTransformer, pool: WorkerPool, capfd: pytest.CaptureFixture[str]
) -> None:
    encode_in_pool(model, TEXTS, pool, show_progress_bar=True)
    assert "Encoding: 100%" in capfd.readouterr().err
    encode_in_pool(model, TEXTS, pool)
    assert capfd.readouterr().err == ""


def test_two_threads_share_a_pool(model: SentenceTransformer, pool: WorkerPool) -> None:
    from concurrent.futures import ThreadPoolExecutor

    expected = model.encode(TEXTS)
    with ThreadPoolExecutor(3) as threads:
        for found in threads.map(lambda _: encode_in_pool(model, TEXTS, pool, chunk_size=20), range(3)):
            assert_same(found, expected)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_workers_share_the_cores(
    model: SentenceTransformer, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYON_NUM_THREADS", "1")
    before = dict(os.environ)
    share = max(1, available_cores() // count)
    with WorkerPool(model, ["cpu"] * count) as pool:
        for worker in pool._workers:
            assert worker.executor.submit(available_cores).result() == share
            assert worker.executor.submit(os.getenv, "RAYON_NUM_THREADS").result() == "1"
        assert len(set(pool.processes)) == count
    assert dict(os.environ) == before


def test_default_devices(model: SentenceTransformer) -> None:
    with WorkerPool(model) as pool:
        assert pool.devices == ("cpu",) * min(4, available_cores())


class OnADevice:
    """Stands in for a model on an accelerator: says where it was when it came to the worker."""

    max_seq_length = 8

    def __init__(self, device: str) -> None:
        self.device = device

    def to(self, device: str) -> OnADevice:
        self.device = device
        return self

    def encode(self, sentences: list[str], device: str, **more: Any) -> list[tuple[str, str]]:
        return [(self.device, device)] * len(sentences)


def test_a_model_on_an_accelerator_travels_by_the_processor() -> None:
    model = OnADevice("gpu:0")
    with WorkerPool(model, ["gpu:0", "gpu:1"]) as pool:
        found = {each for _, part in pool.run("encode", ["a"] * 40, 1, {}) for each in part}
    assert found <= {("cpu", "gpu:0"), ("cpu", "gpu:1")} and found
    assert model.device == "gpu:0"


@pytest.mark.torch
@pytest.mark.slow
def test_trained_weights_travel(tiny_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    model = SentenceTransformer(str(tiny_path), dtype="float32")
    before = model.encode(TEXTS[:20])
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.3)
    expected = model.encode(TEXTS[:20])
    assert np.abs(expected - before).max() > 1e-2
    with WorkerPool(model, ["cpu"]) as pool:
        np.testing.assert_allclose(encode_in_pool(model, TEXTS[:20], pool), expected, atol=1e-5)


# What goes wrong -----------------------------------------------------------------------------------------


def test_errors_travel_back(model: SentenceTransformer, pool: WorkerPool, tiny_path: Path) -> None:
    with WorkerPool(model, ["cpu", "nowhere:7"]) as bad:
        assert bad.devices == ("cpu", "nowhere:7")
        with pytest.raises((InputError, RuntimeError), match="nowhere:7"):
            encode_in_pool(model, TEXTS, bad)
    with pytest.raises(InputError, match="'quary': the model has no prompt of this name"):
        encode_in_pool(model, TEXTS, pool, prompt_name="quary")
    with pytest.raises(InputError, match="precision='int4' is not one of"):
        encode_in_pool(model, TEXTS, pool, precision="int4")
    with pytest.raises(InputError, match="chunk_size=0 must be 1 or more"):
        encode_in_pool(model, TEXTS, pool, chunk_size=0)
    with pytest.raises(InputTypeError, match=r"sentences\[1\] is None"):
        encode_in_pool(model, ["a", None], pool)
    with pytest.raises(InputTypeError, match="pool is dict; give what model"):
        encode_in_pool(model, TEXTS, {"input": None})
    other = SentenceTransformer(str(tiny_path))
    with pytest.raises(InputError, match="the pool was started by another model"):
        encode_in_pool(other, TEXTS, pool)
    with pytest.raises(InputError, match="target_devices is empty"):
        WorkerPool(model, [])


class Unpicklable:
    device, max_seq_length = "cpu", 8

    def __reduce__(self) -> Any:
        raise TypeError("no way to pickle me")


def test_a_model_that_does_not_travel() -> None:
    with pytest.raises(InputError, match=r"cannot be sent to worker processes \(TypeError: no way"):
        WorkerPool(Unpicklable(), ["cpu"])


class FailsInTheWorker:
    """Unpickling raises, or ends the process."""

    device, max_seq_length = "cpu", 8

    def __init__(self, how: str) -> None:
        self.how = how

    def __setstate__(self, state: dict[str, str]) -> None:
        if state["how"] == "raise":
            raise FileNotFoundError("the weights are gone")
        os._exit(3)


def test_a_model_that_does_not_load_in_the_worker() -> None:
    with pytest.raises(FileNotFoundError, match="the weights are gone"):
        WorkerPool(FailsInTheWorker("raise"), ["cpu", "cpu"])
    with pytest.raises(VicinalError, match=r"worker 1 of 1 on 'cpu' ended before it had loaded the model"):
        WorkerPool(FailsInTheWorker("exit"), ["cpu"])


def test_a_killed_worker_is_no_hang(model: SentenceTransformer) -> None:
    pool = WorkerPool(model, ["cpu", "cpu"])
    os.kill(pool.processes[1], signal.SIGKILL)
    with pytest.raises(VicinalError, match=r"worker 2 of 2 on 'cpu' .* signal 9\. .* lack of memory"):
        encode_in_pool(model, TEXTS * 20, pool, chunk_size=10)
    pool.close()
    with pytest.raises(InputError, match="the pool is closed"):
        encode_in_pool(model, TEXTS, pool)


def test_a_worker_killed_at_work(model: SentenceTransformer) -> None:
    with WorkerPool(model, ["cpu", "cpu"]) as pool:
        results = pool.run("encode", TEXTS * 50, 20, {})
        next(results)
        os.kill(pool.processes[0], signal.SIGKILL)
        with pytest.raises(VicinalError, match=r"worker 1 of 2 on 'cpu' .* killed by signal 9"):
            list(results)


def test_nothing_is_left_after_closing(model: SentenceTransformer) -> None:
    before = set(multiprocessing.active_children())
    pool = WorkerPool(model, ["cpu", "cpu"])
    results = pool.run("encode", TEXTS * 50, 50, {})
    next(results)  # and the rest is wanted by nobody
    results.close()
    assert set(multiprocessing.active_children()) - before
    pool.close()
    pool.close()
    assert repr(pool) == "WorkerPool(['cpu', 'cpu'], closed)"
    assert not set(multiprocessing.active_children()) - before


# Scripts --------------------------------------------------------------------------------------------------

WORK = """
    model = SentenceTransformer(sys.argv[1], dtype="float32")
    texts = [f"the cat {number}" for number in range(100)]
    pool = WorkerPool(model, ["cpu", "cpu"])
    print("rows", len(model.encode(texts, pool=pool)))
"""
HEAD = "import sys\nfrom vicinal import SentenceTransformer\nfrom vicinal.models.workers import WorkerPool\n"


def run_file(path: Path, source: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    path.write_text(source)
    return subprocess.run(
        [sys.executable, "-W", "error", str(path), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_script_that_forgets_to_stop_the_pool(tiny_path: Path, tmp_path: Path) -> None:
    done = run_file(tmp_path / "good.py", HEAD + "if __name__ == '__main__':" + WORK, tiny_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "rows 100\n", "")


def test_a_script_without_the_guard(tiny_path: Path, tmp_path: Path) -> None:
    done = run_file(tmp_path / "bad.py", HEAD + "if True:" + WORK, tiny_path)
    assert done.returncode == 1 and done.stdout == ""
    assert "needs its work under `if __name__ == '__main__':`" in done.stderr.splitlines()[-1]
    assert "bad.py, line 7, is not" in done.stderr


# CrossEncoder ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> CrossEncoder:
    """A small cross-encoder with two labels."""
    folder = make_plain(tmp_path_factory.mktemp("models") / "scorer")
    labels = {"id2label": {"0": "no", "1": "yes"}, "architectures": ["BertForSequenceClassification"]}
    write_json(folder / "config.json", {**BERT, **labels})
    rng = np.random.default_rng(3)
    shapes = {
        "bert.pooler.dense.weight": (WIDTH, WIDTH),
        "bert.pooler.dense.bias": (WIDTH,),
        "classifier.weight": (2, WIDTH),
        "classifier.bias": (2,),
    }
    weights = {f"bert.{name}": value for name, value in bert_weights().items()}
    weights |= {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return CrossEncoder(str(folder), dtype="float32")


def test_cross_encoder(scorer: CrossEncoder) -> None:
    pairs = list(zip(TEXTS, reversed(TEXTS), strict=True))
    with WorkerPool(scorer, ["cpu", "cpu"]) as pool:
        for given in (pairs, pairs[:1], pairs[0], []):
            assert_same(predict_in_pool(scorer, given, pool), scorer.predict(given))
        assert_same(
            predict_in_pool(scorer, pairs, pool, apply_softmax=True, batch_size=5),
            scorer.predict(pairs, apply_softmax=True, batch_size=5),
        )
        assert_same(
            predict_in_pool(scorer, pairs, pool, activation_fn="Sigmoid", chunk_size=11),
            scorer.predict(pairs, activation_fn="Sigmoid"),
        )
        with pytest.raises(InputError, match="an argument cannot be sent to worker processes"):
            predict_in_pool(scorer, pairs, pool, activation_fn=lambda scores: scores)
        with pytest.raises(InputTypeError, match=r"sentences\[0\] is a single text"):
            predict_in_pool(scorer, ["a", "b", "c"], pool)
