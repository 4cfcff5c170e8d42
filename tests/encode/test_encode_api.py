"""What encode takes and gives, and how it says what is wrong."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tinyfolder import ROOT, WIDTH, WITHOUT_TORCH, make_folder, write_json

from vicinal import SentenceTransformer
from vicinal.errors import InputError, InputTypeError, TruncationError, TruncationWarning

TEXTS = ["the cat sat", "hello world, the dog", "", "query", "on the mat . . ."]


class Series:
    """Iterable with a length and an index of its own, like a pandas Series."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, key: Any) -> Any:
        raise KeyError(key)


# shapes and kinds of input


@pytest.mark.parametrize(
    ("given", "shape"),
    [("a", (WIDTH,)), (["a"], (1, WIDTH)), (TEXTS, (5, WIDTH)), ([], (0, WIDTH)), ((), (0, WIDTH))],
)
def test_shapes(tiny: SentenceTransformer, given: Any, shape: tuple[int, ...]) -> None:
    found = tiny.encode(given)
    assert isinstance(found, np.ndarray)
    assert found.shape == shape
    assert found.dtype == np.float32
    assert found.flags["C_CONTIGUOUS"] and found.flags["WRITEABLE"]


@pytest.mark.parametrize(
    "kind", [tuple, np.array, iter, Series, lambda x: (t for t in x), dict.fromkeys, list]
)
def test_kinds_of_input(tiny: SentenceTransformer, kind: Callable[[list[str]], Any]) -> None:
    given = kind(TEXTS)
    if isinstance(given, dict):
        with pytest.raises(InputTypeError, match="sentences is dict"):
            tiny.encode(given)
        given = given.keys()
    np.testing.assert_array_equal(tiny.encode(given), tiny.encode(TEXTS))


def test_objects_and_numpy_strings(tiny: SentenceTransformer) -> None:
    np.testing.assert_array_equal(tiny.encode(np.array(TEXTS, dtype=object)), tiny.encode(TEXTS))
    np.testing.assert_array_equal(tiny.encode(np.str_("a")), tiny.encode("a"))


def test_order_of_arguments(tiny: SentenceTransformer) -> None:
    found = tiny.encode(
        TEXTS, "query", None, 2, False, "sentence_embedding", "binary", True, False, "cpu", True, 8
    )
    assert found.shape == (5, 1)
    assert found.dtype == np.int8


@pytest.mark.parametrize("size", [2, np.int64(3)])
def test_a_number_in_second_place_is_the_batch_size(tiny: SentenceTransformer, size: Any) -> None:
    np.testing.assert_allclose(tiny.encode(TEXTS, size), tiny.encode(TEXTS), atol=1e-6)
    with pytest.raises(InputTypeError, match=r"prompt_name=.*not a name"):
        tiny.encode(TEXTS, size, batch_size=3)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 100, None])
def test_batch_size_changes_nothing(tiny: SentenceTransformer, batch_size: int | None) -> None:
    texts = [f"{text} {number}" for number, text in enumerate(TEXTS * 6)]
    np.testing.assert_allclose(tiny.encode(texts, batch_size=batch_size), tiny.encode(texts), atol=1e-6)


BAD: list[tuple[Any, str]] = [
    (None, r"sentences is None"),
    (5, r"sentences is int \(5\)"),
    (b"text", r"sentences is bytes.*decode"),
    (["a", None], r"sentences\[1\] is None.*drop it"),
    (["a", "b", 3.5], r"sentences\[2\] is float \(3\.5\)"),
    (["a", b"x"], r"sentences\[1\] is bytes.*decode"),
    ([["a", "b"]], r"sentences\[0\] is list.*CrossEncoder"),
    ([("a", "b")], r"sentences\[0\] is tuple.*CrossEncoder"),
    (np.array([["a"]]), r"sentences\[0\] is ndarray"),
    (np.array("a"), r"array of no dimensions"),
    ({"a": 1}, r"sentences is dict"),
    ([{"text": "a"}], r"sentences\[0\] is dict"),
    (float("nan"), r"sentences is float"),
    (["a", float("nan")], r"sentences\[1\] is float \(nan\)"),
]


@pytest.mark.parametrize(("given", "message"), BAD)
def test_bad_input(tiny: SentenceTransformer, given: Any, message: str) -> None:
    for call in (tiny.encode, tiny.encode_query, tiny.encode_document, tiny.count_tokens):
        with pytest.raises(InputTypeError, match=message):
            call(given)


def test_half_characters(tiny: SentenceTransformer) -> None:
    with pytest.raises(
        InputError, match=r"sentences\[1\] holds the lone surrogate '\\ud800' at place 2.*replace"
    ):
        tiny.encode(["é", "a \ud800"])
    with pytest.raises(InputError, match=r"sentences holds the lone surrogate"):
        tiny.encode("\udfff")
    assert np.isfinite(tiny.encode("😀 whole ones are fine")).all()


@pytest.mark.parametrize(
    "text", ["\0", "\0a\0", "a" * 1_000_000, " " * 10_000, "\n\t\r", "\ufeff", "a\u0301" * 500]
)
@pytest.mark.filterwarnings("ignore::vicinal.errors.UnknownScriptWarning")
def test_odd_texts(tiny: SentenceTransformer, text: str) -> None:
    found = tiny.encode([text, "the cat"], on_truncate="ignore")
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[1], tiny.encode("the cat"), atol=1e-6)


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"batch_size": 0}, ValueError, "batch_size=0 must be 1 or more"),
    ({"batch_size": -1}, ValueError, "batch_size=-1"),
    ({"batch_size": 2.0}, TypeError, r"batch_size=2\.0 is float"),
    ({"batch_size": True}, TypeError, "batch_size=True is bool"),
    ({"truncate_dim": 0}, ValueError, "truncate_dim=0"),
    ({"truncate_dim": "8"}, TypeError, "truncate_dim='8' is str"),
    ({"precision": "int4"}, ValueError, "precision='int4' is not one of 'float32'"),
    ({"output_value": "tokens"}, ValueError, "output_value='tokens'"),
    ({"on_truncate": "cut"}, ValueError, "on_truncate='cut'"),
    ({"device": "cuda:0"}, ValueError, r"device='cuda:0'.*device='cpu'"),
    ({"prompt_name": "nope"}, ValueError, "prompt_name='nope'.*'query', 'passage', 'empty'"),
    ({"prompt_name": ["query"]}, TypeError, "prompt_name=.*is list, not a name"),
    ({"prompt_name": True}, TypeError, "prompt_name=True is bool"),
    ({"prompt": 3}, TypeError, "prompt=3 is int"),
    ({"output_value": "token_embeddings", "precision": "int8"}, ValueError, "precision='int8'"),
    (
        {"normalise_embeddings": True},
        TypeError,
        "did you mean 'normalize_embeddings'.*Valid: sentences, prompt_name",
    ),
    ({"xyz": 1}, TypeError, r"encode\(\) has no argument 'xyz'\. Valid: "),
]


@pytest.mark.parametrize(("options", "error", "message"), WRONG)
def test_wrong_options(tiny: SentenceTransformer, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tiny.encode(TEXTS, **options)


# prompts


def test_prompts(tiny: SentenceTransformer) -> None:
    expected = tiny.encode(["query: " + text for text in TEXTS])
    np.testing.assert_array_equal(tiny.encode(TEXTS, prompt_name="query"), expected)
    np.testing.assert_array_equal(tiny.encode(TEXTS, prompt="query: "), expected)
    np.testing.assert_array_equal(tiny.encode(TEXTS, prompt="query: ", prompt_name="passage"), expected)
    np.testing.assert_array_equal(tiny.encode_query(TEXTS), expected)
    np.testing.assert_array_equal(tiny.encode_query(TEXTS, prompt=""), tiny.encode(TEXTS))
    np.testing.assert_array_equal(tiny.encode_query(TEXTS, prompt_name="empty"), tiny.encode(TEXTS))
    np.testing.assert_array_equal(
        tiny.encode_document(TEXTS), tiny.encode(["passage: " + text for text in TEXTS])
    )


@pytest.mark.parametrize(
    ("prompts", "used"),
    [
        ({"document": "d ", "passage": "p ", "corpus": "c "}, "d "),
        ({"passage": "p ", "corpus": "c "}, "p "),
        ({"corpus": "c "}, "c "),
        ({"document": "", "passage": "p "}, "p "),
        ({}, ""),
        ({"query": "q "}, ""),
    ],
)
def test_prompt_of_documents(tiny_path: Path, tmp_path: Path, prompts: dict[str, str], used: str) -> None:
    model = SentenceTransformer(make_folder(tmp_path, extra={"prompts": prompts}), dtype="float32")
    np.testing.assert_array_equal(model.encode_document(TEXTS), model.encode([used + text for text in TEXTS]))


def test_default_prompt(tiny_path: Path) -> None:
    model = SentenceTransformer(
        tiny_path, default_prompt_name="query", prompts={"mine": "hello "}, dtype="float32"
    )
    plain = SentenceTransformer(tiny_path, dtype="float32")
    np.testing.assert_array_equal(model.encode("a"), plain.encode("query: a"))
    np.testing.assert_array_equal(model.encode("a", prompt=""), plain.encode("a"))
    np.testing.assert_array_equal(model.encode("a", prompt_name="mine"), plain.encode("hello a"))
    assert list(model.prompts) == ["query", "passage", "empty", "mine"]
    with pytest.raises(InputError, match="'nope'"):
        SentenceTransformer(tiny_path, default_prompt_name="nope")


def test_prompts_left_out_of_pooling(tmp_path: Path) -> None:
    pooling = {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True, "include_prompt": False}
    model = SentenceTransformer(make_folder(tmp_path, pooling=pooling), dtype="float32")
    tokens = model.encode("query: the cat", output_value="token_embeddings")
    assert len(tokens) == 6  # [CLS] query : the cat [SEP]
    expected = tokens[3:].mean(0)
    np.testing.assert_allclose(
        model.encode("the cat", prompt="query: "), expected / np.linalg.norm(expected), atol=1e-5
    )
    expected = tokens.mean(0)
    np.testing.assert_allclose(model.encode("query: the cat"), expected / np.linalg.norm(expected), atol=1e-5)
    before = model.fingerprint
    model.set_pooling_include_prompt(True)
    np.testing.assert_allclose(
        model.encode("the cat", prompt="query: "), expected / np.linalg.norm(expected), atol=1e-5
    )
    assert model.fingerprint != before
    model.max_seq_length = 3
    model.set_pooling_include_prompt(False)
    assert np.isfinite(
        model.encode("a", prompt="the query: ", on_truncate="ignore")
    ).all()  # nothing left to pool


# what comes out


def test_token_embeddings(tiny: SentenceTransformer) -> None:
    found = tiny.encode(TEXTS, output_value="token_embeddings", batch_size=2)
    assert [len(each) for each in found] == tiny.count_tokens(TEXTS)
    single = tiny.encode(TEXTS[0], output_value="token_embeddings")
    np.testing.assert_allclose(single, found[0], atol=1e-5)
    mean = single.mean(0)
    np.testing.assert_allclose(mean / np.linalg.norm(mean), tiny.encode(TEXTS[0]), atol=1e-5)
    assert tiny.encode([], output_value="token_embeddings") == []


def test_everything(tiny: SentenceTransformer) -> None:
    found = tiny.encode(TEXTS, output_value=None, truncate_dim=4, normalize_embeddings=True)
    expected = tiny.encode(TEXTS, truncate_dim=4, normalize_embeddings=True)
    for facts, vector, text in zip(found, expected, TEXTS, strict=True):
        assert list(facts) == [
            "input_ids",
            "attention_mask",
            "token_type_ids",
            "token_embeddings",
            "sentence_embedding",
        ]
        assert facts["token_type_ids"].tolist() == [0] * len(facts["input_ids"])
        np.testing.assert_allclose(facts["sentence_embedding"], vector, atol=1e-6)
        assert len(facts["input_ids"]) == len(facts["attention_mask"]) == tiny.count_tokens(text)
        assert facts["input_ids"].tolist() == tiny.tokenizer.encode(text).ids


def test_normalize(tmp_path: Path) -> None:
    model = SentenceTransformer(make_folder(tmp_path, modules=None), truncate_dim=5)
    norms = np.linalg.norm(model.encode(TEXTS), axis=1)
    assert (norms < 0.999).any()
    np.testing.assert_allclose(
        np.linalg.norm(model.encode(TEXTS, normalize_embeddings=True), axis=1), 1, atol=1e-6
    )


@pytest.mark.parametrize(
    ("precision", "dtype", "width"),
    [("int8", np.int8, 16), ("uint8", np.uint8, 16), ("binary", np.int8, 2), ("ubinary", np.uint8, 2)],
)
def test_precision(tiny: SentenceTransformer, precision: Any, dtype: type, width: int) -> None:
    for texts in (TEXTS * 30, []):
        found = tiny.encode(texts, precision=precision)
        assert found.dtype == dtype
        assert found.shape == (len(texts), width)


def test_ubinary_is_the_sign(tiny: SentenceTransformer) -> None:
    np.testing.assert_array_equal(
        tiny.encode(TEXTS, precision="ubinary"), np.packbits(tiny.encode(TEXTS) > 0, axis=1)
    )


def test_truncate_dim(tiny_path: Path, tiny: SentenceTransformer) -> None:
    whole = tiny.encode(TEXTS)
    model = SentenceTransformer(tiny_path, truncate_dim=7, dtype="float32")
    np.testing.assert_array_equal(model.encode(TEXTS), whole[:, :7])
    np.testing.assert_array_equal(model.encode(TEXTS, truncate_dim=3), whole[:, :3])
    with pytest.warns(UserWarning, match=rf"truncate_dim=900, but .* have {whole.shape[1]} dimensions: all"):
        np.testing.assert_array_equal(model.encode(TEXTS, truncate_dim=900), whole)
    np.testing.assert_array_equal(model.encode(TEXTS, truncate_dim=901), whole)  # said once
    with model.truncate_sentence_embeddings(4):
        assert model.encode([]).shape == (0, 4)
        assert model.get_sentence_embedding_dimension() == 4
        with pytest.raises(InputTypeError), model.truncate_sentence_embeddings(2):
            model.encode(None)  # type: ignore[arg-type]
        assert model.truncate_dim == 4
    with model.truncate_sentence_embeddings(None):
        assert model.encode("a").shape == (WIDTH,)
    assert model.truncate_dim == 7
    with pytest.raises(InputError, match="truncate_dim=0"), model.truncate_sentence_embeddings(0):
        pass


def test_tensors(tiny: SentenceTransformer) -> None:
    torch = pytest.importorskip("torch")
    found = tiny.encode(TEXTS, convert_to_tensor=True)
    assert isinstance(found, torch.Tensor) and found.dtype == torch.float32
    np.testing.assert_array_equal(found.numpy(), tiny.encode(TEXTS))
    assert tiny.encode("a", convert_to_tensor=True).shape == (WIDTH,)
    assert tiny.encode([], convert_to_tensor=True).shape == (0, WIDTH)
    tokens = tiny.encode("a", output_value="token_embeddings", convert_to_tensor=True)
    assert isinstance(tokens, torch.Tensor)
    everything = tiny.encode(["a"], output_value=None, convert_to_tensor=True)
    assert all(isinstance(value, torch.Tensor) for value in everything[0].values())
    similar = tiny.similarity(found, found)
    assert isinstance(similar, torch.Tensor)


def test_tensors_without_torch(tiny_path: Path, run_script: Callable[..., str]) -> None:
    script = WITHOUT_TORCH + (
        "from vicinal import SentenceTransformer\n"
        "model = SentenceTransformer(sys.argv[1])\n"
        "assert model.encode(['a', 'b']).shape == (2, 16)\n"
        "try:\n    model.encode('a', convert_to_tensor=True)\n"
        "except ImportError as error:\n    print(type(error).__name__, error)\n"
    )
    said = run_script(script, tiny_path)
    assert "MissingExtraError convert_to_tensor=True needs 'torch'" in said
    assert "pip install 'vicinal[train]'" in said


def test_a_list_of_rows(tiny: SentenceTransformer) -> None:
    found = tiny.encode(TEXTS, convert_to_numpy=False)
    assert isinstance(found, list) and len(found) == len(TEXTS)
    np.testing.assert_array_equal(np.stack(found), tiny.encode(TEXTS))


# length


def test_truncation(tiny: SentenceTransformer) -> None:
    tiny.max_seq_length = 5
    texts = ["the cat", "the cat sat on the mat", "hello world hello world"]
    with pytest.warns(
        TruncationWarning,
        match=r"2 of 3 texts were cut to 5 tokens \(the longest had 8; the first is text 1\)",
    ) as caught:
        cut = tiny.encode(texts)
    assert caught[0].filename == __file__
    with pytest.warns(TruncationWarning) as caught:
        tiny.encode_query(texts)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(tiny.encode(texts, on_truncate="ignore"), cut)
    np.testing.assert_allclose(cut[1], tiny.encode("the cat sat"), atol=1e-6)
    with pytest.raises(TruncationError, match=r"sentences\[1\] has 8 tokens, the model reads 5"):
        tiny.encode(texts, on_truncate="error")
    with pytest.warns(TruncationWarning):
        tiny.encode(texts, output_value="token_embeddings")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny.encode(texts[:1])


def test_count_tokens(tiny: SentenceTransformer) -> None:
    assert tiny.count_tokens("the cat") == 4
    assert tiny.count_tokens(["the cat", "", "a" * 500]) == [4, 2, 3]
    assert tiny.count_tokens("the " * 500) == 502
    assert tiny.count_tokens([]) == []


def test_max_seq_length(tiny: SentenceTransformer) -> None:
    assert tiny.max_seq_length == tiny.get_max_seq_length() == 64
    tiny.max_seq_length = np.int64(10)  # type: ignore[assignment]
    assert tiny.max_seq_length == 10
    with pytest.raises(InputError, match="max_seq_length=65: this architecture has positions for 64 tokens"):
        tiny.max_seq_length = 65
    with pytest.raises(InputError, match="max_seq_length=0"):
        tiny.max_seq_length = 0
    for value in (None, "long", 5.5):
        with pytest.raises(InputTypeError, match="max_seq_length="):
            tiny.max_seq_length = value  # type: ignore[assignment]
    assert tiny.max_seq_length == 10


def test_tokenize(tiny_path: Path, tiny: SentenceTransformer, tmp_path: Path) -> None:
    found = tiny.tokenize(["the cat", ""])
    the, cat = tiny.tokenizer.token_to_id("the"), tiny.tokenizer.token_to_id("cat")
    assert found["input_ids"].tolist() == [[2, the, cat, 3], [2, 3, 0, 0]]
    assert found["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    left = SentenceTransformer(tiny_path, tokenizer_kwargs={"padding_side": "left"}).tokenize(["the cat", ""])
    assert left["input_ids"].tolist() == [[2, the, cat, 3], [0, 0, 2, 3]]
    assert left["attention_mask"].tolist() == [[1, 1, 1, 1], [0, 0, 1, 1]]
    assert tiny.tokenize("the")["input_ids"].tolist() == [[2, the, 3]]
    assert tiny.tokenize([])["input_ids"].shape[0] == 0
    assert tiny.tokenize(["the " * 100])["input_ids"].shape == (1, 64)


# iterators


def test_encode_iter(tiny: SentenceTransformer) -> None:
    texts = [f"{text} {number}" for number, text in enumerate(TEXTS * 5)]
    for size in (1, 3, 25, 4096):
        found = list(
            tiny.encode_iter(iter(texts), chunk_size=size, normalize_embeddings=True, truncate_dim=4)
        )
        expected = tiny.encode(texts, normalize_embeddings=True, truncate_dim=4)
        np.testing.assert_allclose(np.stack(found), expected, atol=1e-6)
    assert list(tiny.encode_iter([])) == []
    with_prompt = next(tiny.encode_iter(["a"], "query"))
    np.testing.assert_array_equal(with_prompt, tiny.encode("a", "query"))


def test_encode_iter_reads_no_further_than_it_must(tiny: SentenceTransformer) -> None:
    read = itertools.count()
    endless = (f"text {next(read)}" for _ in itertools.repeat(None))
    vectors = tiny.encode_iter(endless, chunk_size=8)
    for number, vector in zip(range(20), vectors, strict=False):
        np.testing.assert_allclose(vector, tiny.encode(f"text {number}"), atol=1e-6)
    assert next(read) <= 32


def test_encode_iter_errors(tiny: SentenceTransformer) -> None:
    with pytest.raises(InputTypeError, match="single text"):
        tiny.encode_iter("a text")
    with pytest.raises(InputTypeError, match="int, not an iterable"):
        tiny.encode_iter(5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="chunk_size=0"):
        tiny.encode_iter(["a"], chunk_size=0)
    with pytest.raises(InputError, match="'nope'"):
        tiny.encode_iter(["a"], "nope")
    with pytest.raises(InputError, match="on_truncate='x'"):
        tiny.encode_iter(["a"], on_truncate="x")  # type: ignore[arg-type]
    with pytest.raises(
        TypeError, match=r"encode_iter\(\) has no argument 'chunksize'; did you mean 'chunk_size'"
    ):
        tiny.encode_iter(["a"], chunksize=3)  # type: ignore[call-arg]
    found = tiny.encode_iter(["a", "b", "c", "d", None], chunk_size=2)  # type: ignore[list-item]
    assert len(list(itertools.islice(found, 4))) == 4
    with pytest.raises(InputTypeError, match=r"sentences\[4\] is None"):
        next(found)
    long = tiny.encode_iter(["a", "b", "the " * 100], chunk_size=2, on_truncate="error")
    with pytest.raises(TruncationError, match=r"sentences\[2\] has 102 tokens"):
        list(long)


# progress, similarity, facts


def test_progress(tiny: SentenceTransformer, capfd: pytest.CaptureFixture[str]) -> None:
    tiny.encode(TEXTS)
    assert capfd.readouterr() == ("", "")
    tiny.encode(TEXTS, show_progress_bar=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "Encoding" in err and "5/5" in err
    tiny.encode(TEXTS, show_progress_bar=False)
    assert capfd.readouterr().err == ""


def test_no_stderr_at_all(tiny: SentenceTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert tiny.encode("a").shape == (WIDTH,)


@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean", "manhattan"])
def test_similarity(tiny_path: Path, name: str) -> None:
    model = SentenceTransformer(tiny_path, similarity_fn_name=name, dtype="float32")
    a, b = model.encode(TEXTS), model.encode(TEXTS[::-1])
    expected = {
        "cosine": lambda: a @ b.T / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1),
        "dot": lambda: a @ b.T,
        "euclidean": lambda: -np.linalg.norm(a[:, None] - b[None], axis=2),
        "manhattan": lambda: -np.abs(a[:, None] - b[None]).sum(2),
    }[name]()
    np.testing.assert_allclose(model.similarity(a, b), expected, atol=2e-3 if name == "euclidean" else 1e-5)
    np.testing.assert_allclose(
        model.similarity_pairwise(a, b), np.diagonal(expected), atol=2e-3 if name == "euclidean" else 1e-5
    )


def test_similarity_fn_name(tiny: SentenceTransformer) -> None:
    from vicinal import SimilarityFunction

    assert tiny.similarity_fn_name == "cosine"
    for given, name in (
        ("dot_product", "dot"),
        (SimilarityFunction.EUCLIDEAN, "euclidean"),
        (None, "cosine"),
    ):
        tiny.similarity_fn_name = given  # type: ignore[assignment]
        assert tiny.similarity_fn_name == name
    with pytest.raises(InputError, match="similarity_fn_name='near' is not one of 'cosine'"):
        tiny.similarity_fn_name = "near"


def test_facts(tiny: SentenceTransformer, tiny_path: Path) -> None:
    assert repr(tiny) == f"SentenceTransformer({str(tiny_path)!r}, dimension=16, max_seq_length=64)"
    assert tiny.device == "cpu"
    assert tiny.dtype == "float32"
    assert SentenceTransformer(tiny_path, dtype="float16").dtype in ("float16", "float32")
    assert SentenceTransformer(tiny_path, dtype="bfloat16").dtype == "bfloat16"
    with pytest.raises((AttributeError, TypeError)):
        tiny.device = "cuda"  # type: ignore[misc]


def test_fingerprint(tmp_path: Path) -> None:
    same = [SentenceTransformer(make_folder(tmp_path / name)).fingerprint for name in "ab"]
    assert same[0] == same[1]
    others = [
        make_folder(tmp_path / "seed", seed=1),
        make_folder(tmp_path / "length", max_seq_length=9),
        make_folder(tmp_path / "prompt", extra={"prompts": {"q": "x"}}),
        make_folder(tmp_path / "pooling", pooling={"pooling_mode": "cls"}),
    ]
    assert len({same[0], *(SentenceTransformer(folder).fingerprint for folder in others)}) == 5


def test_names_of_devices(tiny: SentenceTransformer) -> None:
    for device in ("cpu", "cpu:0", None):
        assert tiny.encode("a", device=device).shape == (WIDTH,)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_omp_num_threads(tiny_path: Path, threads: str, run_script: Callable[..., str]) -> None:
    script = (
        "import sys\nfrom vicinal import SentenceTransformer\nfrom vicinal.core.cores import available_cores\n"
        "model = SentenceTransformer(sys.argv[1])\nmodel.encode(['a'] * 5000)\n"
        "print(available_cores(), model._engine.threads)"
    )
    wanted = min(int(threads), len(os.sched_getaffinity(0)))
    assert run_script(script, tiny_path, OMP_NUM_THREADS=threads).split() == [str(wanted)] * 2


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system sets no affinity")
def test_affinity_is_obeyed(tiny_path: Path, run_script: Callable[..., str]) -> None:
    script = (
        "import os, sys\nos.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from vicinal import SentenceTransformer\nprint(SentenceTransformer(sys.argv[1])._engine.threads)"
    )
    assert run_script(script, tiny_path).strip() == "1"


OUT_OF_MEMORY = """
import resource, sys, warnings
from vicinal import SentenceTransformer
warnings.simplefilter("always")
model = SentenceTransformer(sys.argv[1], dtype="float32")
expected = model.encode(["word " * 250, "word"])
with open("/proc/self/status") as status:
    used = next(line for line in status if line.startswith("VmSize")).split()[1]
limit = int(used) * 1024 + 450 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
found = model.encode(["word " * 250] * 240 + ["word"], batch_size=241)
print(found.shape, abs(found[:-1] - expected[0]).max() < 1e-5, abs(found[-1] - expected[1]).max() < 1e-5)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc and RLIMIT_AS")
def test_real_lack_of_memory(minilm_path: Path) -> None:
    # Each new thread may reserve 64 MiB of addresses for its allocations, which count against the limit
    # although they take no memory; how many do so differs from run to run.
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}
    for _ in range(4):
        done = subprocess.run(
            [sys.executable, "-c", OUT_OF_MEMORY, str(minilm_path)],
            capture_output=True,
            text=True,
            timeout=240,
            cwd=ROOT,
            env=environment,
        )
        # At the very limit the C library or OpenVINO may lack the few bytes for their own variables and
        # end the process by a signal, where nobody can catch it. That run says nothing about us.
        if done.returncode >= 0:
            break
    else:
        pytest.skip(
            f"ended by signal {-done.returncode} each time, at the limit of the libraries' own memory"
        )
    assert done.stdout.strip() == "(241, 384) True True", done.stderr
    assert "out of memory with a batch of 241 texts of up to 252 tokens" in done.stderr
    assert "fitted, and nothing was lost. batch_size=" in done.stderr


def test_a_batch_size_of_the_folder_does_not_matter(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    write_json(folder / "tokenizer_config.json", {"model_max_length": 1e30, "padding_side": "right"})
    assert SentenceTransformer(folder).max_seq_length == 64


@pytest.mark.torch
def test_all_features_as_tensors_with_a_prompt() -> None:
    """The length of the prompt, a number, stays one."""
    torch = pytest.importorskip("torch")
    model = SentenceTransformer("vicinal-mini")
    (found,) = model.encode(["a b"], prompt="query: ", output_value=None, convert_to_tensor=True)
    assert found["prompt_length"] == 2
    assert type(found["sentence_embedding"]) is torch.Tensor
