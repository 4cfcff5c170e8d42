"""One contract for results: any engine, any output, any sink; every text in its place, also short of memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tinyfolder import VOCAB, WIDTH

from vicinal import SentenceTransformer
from vicinal.engine.base import Batch, Engine, Output
from vicinal.engine.batching import pad, run_all, run_all_texts
from vicinal.engine.sinks import DenseRows, FeatureRows, SparseRows, TokenRows
from vicinal.errors import OutOfMemoryError
from vicinal.tokens.text import Ragged

BUDGET = 40
RNG = np.random.default_rng(3)
LISTS = [RNG.integers(5, len(VOCAB), length).tolist() for length in [3, 1, 9, 12, 2, 2, 30, 5, 17, 1, 8, 4]]
TEXTS = ["the cat sat on the mat.", "a dog", "", "hello world, search the passage!", "mat", "search " * 12]


def ragged_of(lists: list[list[int]]) -> Ragged:
    starts = np.cumsum([0, *map(len, lists)]).astype(np.int64)
    ids = np.array([each for ids in lists for each in ids], dtype=np.int32)
    return Ragged(ids, starts, np.diff(starts).astype(np.int32))


class FakeEngine:
    """A token's vector is its row of a table, most of which is 0; a text's is their sum."""

    dimension = WIDTH

    def __init__(self) -> None:
        rng = np.random.default_rng(8)
        self.table = rng.standard_normal((len(VOCAB), WIDTH)).astype(np.float32)
        self.table[rng.random(self.table.shape) < 0.9] = 0

    def run(self, batch: Batch, output: Output = "sentence") -> NDArray[np.float32]:
        tokens = self.table[batch.input_ids]
        if output == "tokens":
            return tokens + 7 * (
                1 - batch.attention_mask[:, :, None].astype(np.float32)
            )  # padding is garbage
        return np.stack([row[:length].sum(0) for row, length in zip(tokens, batch.lengths, strict=True)])

    def run_many(
        self, batches: Iterable[tuple[Any, Batch]], output: Output = "sentence"
    ) -> Iterator[tuple[Any, NDArray[np.float32]]]:
        for tag, batch in list(batches)[::-1]:  # any order is allowed
            yield tag, self.run(batch, output)


def static_folder(folder: Path) -> Path:
    from safetensors.numpy import save_file
    from tinyfolder import wordpiece

    folder.mkdir()
    wordpiece().save(str(folder / "tokenizer.json"))
    save_file({"embedding.weight": FakeEngine().table}, folder / "model.safetensors")
    module = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.StaticEmbedding"}
    (folder / "modules.json").write_text(f"[{module}]".replace("'", '"'))
    return folder


@pytest.fixture(params=["fake", "openvino", "static", pytest.param("torch", marks=pytest.mark.torch)])
def engine(request: pytest.FixtureRequest, tiny_path: Path, tmp_path: Path) -> Any:
    if request.param == "fake":
        return FakeEngine()
    if request.param == "static":
        return SentenceTransformer(str(static_folder(tmp_path / "static")))._engine
    if request.param == "torch":
        pytest.importorskip("torch")
        pytest.importorskip("transformers")
        return SentenceTransformer(str(tiny_path), backend="torch", device="cpu")._engine
    return SentenceTransformer(str(tiny_path), dtype="float32")._engine


def one_by_one(engine: Engine, output: Output) -> list[NDArray[np.float32]]:
    ragged = ragged_of(LISTS)
    return [engine.run(pad(ragged, np.array([row]), 0), output)[0] for row in range(len(LISTS))]


def test_sentences_of_every_engine(engine: Any) -> None:
    out = np.full((len(LISTS), engine.dimension), np.nan, dtype=np.float32)
    run_all(engine, ragged_of(LISTS), DenseRows(out), pad_id=0, token_budget=BUDGET)
    np.testing.assert_allclose(out, np.stack(one_by_one(engine, "sentence")), atol=1e-5)


def test_tokens_of_every_engine(engine: Any) -> None:
    sink, finished = TokenRows(len(LISTS)), []
    run_all(
        engine,
        ragged_of(LISTS),
        sink,
        pad_id=0,
        token_budget=BUDGET,
        output="tokens",
        progress=finished.append,
    )
    assert [len(each) for each in sink.found] == [len(ids) for ids in LISTS]
    assert sum(finished) == len(LISTS)
    for found, wanted in zip(sink.found, one_by_one(engine, "tokens"), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        assert found.base is None  # no text keeps the array of its whole batch alive


def test_a_single_batch_and_many_give_the_same(engine: Any) -> None:
    batches = [(row, pad(ragged_of(LISTS), np.array([row, row + 1]), 0)) for row in range(4)]
    outputs: tuple[Output, ...] = ("sentence", "tokens")
    for output in outputs:
        found = dict(engine.run_many(iter(batches), output))
        assert sorted(found) == [0, 1, 2, 3]
        for row, batch in batches:
            alone = engine.run(batch, output)
            assert alone.dtype == found[row].dtype == np.float32
            inside = batch.attention_mask.astype(bool) if output == "tokens" else slice(None)
            np.testing.assert_allclose(found[row][inside], alone[inside], atol=1e-5)
        assert alone.shape == ((2, engine.dimension) if output == "sentence" else (2, 12, WIDTH))


def limited(engine: Any, texts: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Let the engine run out of memory above some texts per batch; gives the refused outputs and sizes."""
    refused: list[tuple[str, int]] = []
    run = engine.run

    def run_limited(batch: Batch, output: Output = "sentence") -> Any:
        if len(batch.lengths) > texts:
            refused.append((output, len(batch.lengths)))
            raise OutOfMemoryError("too much")
        return run(batch, output)

    def run_many(batches: Any, output: Output = "sentence") -> Any:
        for tag, batch in batches:
            yield tag, run_limited(batch, output)

    monkeypatch.setattr(engine, "run", run_limited)
    monkeypatch.setattr(engine, "run_many", run_many)
    return refused


@pytest.mark.parametrize("size", [None, 8])
@pytest.mark.parametrize("output", ["sentence", "tokens"])
def test_out_of_memory_halves_for_both_outputs(
    output: Output, size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine()
    wanted = one_by_one(engine, output)
    refused = limited(engine, 2, monkeypatch)
    out = np.empty((len(LISTS), WIDTH), dtype=np.float32)
    tokens = TokenRows(len(LISTS))
    with pytest.warns(RuntimeWarning, match="out of memory with a batch of .* nothing was lost"):
        fitted = run_all(
            engine,
            ragged_of(LISTS),
            DenseRows(out) if output == "sentence" else tokens,
            pad_id=0,
            token_budget=400,
            output=output,
            batch_size=size,
        )
    assert refused
    assert fitted == (None if size is None else 2)
    for found, right in zip(out if output == "sentence" else tokens.found, wanted, strict=True):
        np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("output_value", ["sentence_embedding", "token_embeddings", None])
def test_encode_recovers_whatever_it_is_asked_for(
    output_value: Any, tiny: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = tiny.encode(TEXTS, output_value=output_value)
    refused = limited(tiny._engine, 2, monkeypatch)
    with pytest.warns(RuntimeWarning, match="out of memory with a batch of 6 texts") as caught:
        found = tiny.encode(TEXTS, output_value=output_value, batch_size=6)
    assert [size for _, size in refused] == [6, 3]  # what fitted is kept for the second output of None
    assert len(caught) == 1 and caught[0].filename == __file__
    for mine, right in zip(found, wanted, strict=True):
        if output_value is not None:
            np.testing.assert_allclose(mine, right, atol=1e-5)
        else:
            assert mine.keys() == right.keys()
            for name in right:
                np.testing.assert_allclose(mine[name], right[name], atol=1e-5)


def test_one_text_too_large_for_its_token_vectors(
    tiny: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(tiny._engine, 0, monkeypatch)
    with pytest.raises(OutOfMemoryError, match=r"a single text of \d+ tokens .*max_seq_length"):
        tiny.encode(TEXTS, output_value="token_embeddings")


class FakeTextEngine:
    """Splits texts into letters; refuses batches of more texts than it may have."""

    dimension, limit, most = 1, None, 2

    def lengths(self, texts: Any) -> Any:
        return np.array([len(text) for text in texts], dtype=np.int32), None

    def run_texts(self, texts: Any, prompt: str = "", output: str = "sentence") -> Any:
        if len(texts) > self.most:
            raise OutOfMemoryError("too much")
        if output == "features":
            return [{"token_embeddings": np.array([[ord(each)] for each in text])} for text in texts]
        return np.array([[len(text)] for text in texts], dtype=np.float32)


@pytest.mark.parametrize("output", ["sentence", "features"])
def test_text_engines_halve_for_both_outputs(output: Any) -> None:
    engine = FakeTextEngine()
    out, features = np.empty((len(TEXTS), 1), dtype=np.float32), FeatureRows(len(TEXTS))
    with pytest.warns(RuntimeWarning, match="out of memory"):
        size = run_all_texts(
            engine,
            TEXTS,
            engine.lengths(TEXTS)[0],
            DenseRows(out) if output == "sentence" else features,
            prompt="",
            batch_size=8,
            output=output,
        )
    assert size == 1 or size == 2
    if output == "sentence":
        assert out[:, 0].tolist() == [len(text) for text in TEXTS]
    else:
        assert [len(each["token_embeddings"]) for each in features.found] == [len(text) for text in TEXTS]


@given(data=st.data())
@settings(deadline=None)
def test_sparse_rows_are_what_is_not_zero(data: st.DataObject) -> None:
    numbers = st.sampled_from([0.0, 0.0, 0.0, -0.0, 1.5, -2.0])
    count, width = data.draw(st.integers(0, 9)), data.draw(st.integers(1, 6))
    dense = np.array(
        data.draw(
            st.lists(st.lists(numbers, min_size=width, max_size=width), min_size=count, max_size=count)
        ),
        dtype=np.float32,
    ).reshape(count, width)
    order = data.draw(st.permutations(range(count)))
    sink = SparseRows(count)
    for first in range(0, count, 2):  # in any order, some at a time
        rows = np.array(order[first : first + 2], dtype=np.intp)
        sink.write(rows, dense[rows], np.ones(len(rows), dtype=np.int32))
    values, columns, starts = sink.csr()
    assert (values.dtype, columns.dtype, starts.dtype) == (np.float32, np.int32, np.int64)
    assert len(starts) == count + 1 and starts[-1] == np.count_nonzero(dense) == len(values) == len(columns)
    again = np.zeros_like(dense)
    for row in range(count):
        inside = slice(starts[row], starts[row + 1])
        assert (np.diff(columns[inside]) > 0).all()
        again[row, columns[inside]] = values[inside]
    np.testing.assert_array_equal(again, dense)


def test_sparse_rows_through_the_loop() -> None:
    engine, sink = FakeEngine(), SparseRows(len(LISTS))
    run_all(engine, ragged_of(LISTS), sink, pad_id=0, token_budget=BUDGET)
    values, columns, starts = sink.csr()
    dense = np.stack(one_by_one(engine, "sentence"))
    for row, wanted in enumerate(dense):
        inside = slice(starts[row], starts[row + 1])
        np.testing.assert_array_equal(columns[inside], np.flatnonzero(wanted))
        np.testing.assert_array_equal(values[inside], wanted[np.flatnonzero(wanted)])


@pytest.mark.parametrize("output_value", ["token_embeddings", None])
def test_encode_no_texts(output_value: Any, tiny: SentenceTransformer) -> None:
    assert tiny.encode([], output_value=output_value) == []


def test_no_texts() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokens, sparse = TokenRows(0), SparseRows(0)
        run_all(FakeEngine(), ragged_of([]), tokens, pad_id=0, token_budget=9, output="tokens")
        run_all(FakeEngine(), ragged_of([]), sparse, pad_id=0, token_budget=9)
    assert tokens.found == []
    assert [len(each) for each in sparse.csr()] == [0, 0, 1]
