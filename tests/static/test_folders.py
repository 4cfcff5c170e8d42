"""Folders of static models, of every library, through SentenceTransformer."""

from __future__ import annotations

import json
import pickle
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from static_helpers import NORMALIZE, STATIC, VOCABULARY, rows, tokenizer, write_folder

from vicinal import SentenceTransformer
from vicinal.errors import InputError, ModelFormatError, TruncationWarning, UnsupportedModelError
from vicinal.folder.specs import UNLIMITED
from vicinal.folder.static import row_tensors, write_static

# Two of the texts are of unknown tokens alone, which a model says once; tests/static/test_static_unknown.py has that.
pytestmark = pytest.mark.filterwarnings("ignore::vicinal.errors.UnknownScriptWarning")

TEXTS = ["The cat sat.", "", "zzz", "a dog", "the the the zzz", "日本", "big red dogs running home"]
NEW = "sentence_transformers.sentence_transformer.modules.static_embedding.StaticEmbedding"


def expected(table: Any, texts: list[str] = TEXTS, *, drop: bool = False) -> Any:
    found = []
    for encoding in tokenizer().encode_batch(texts, add_special_tokens=False):
        known = [token for token in encoding.ids if token != 1]
        ids = known if drop or not known else encoding.ids
        found.append(table[ids].astype(np.float64).mean(0) if ids else np.zeros(table.shape[1]))
    return np.array(found)


def unit(x: Any) -> Any:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


@pytest.mark.parametrize("kind", [STATIC, NEW])
def test_static_embedding(tmp_path: Path, kind: str) -> None:
    folder = write_folder(tmp_path / "m", {"embedding.weight": rows()}, [kind])
    model = SentenceTransformer(folder)
    np.testing.assert_allclose(model.encode(TEXTS), expected(rows()), atol=1e-6)
    assert model.get_embedding_dimension() == 8 and model.dtype == "float32"
    assert (model.encode("") == 0).all() and model.encode([]).shape == (0, 8)


def test_a_module_in_a_folder_of_its_own_and_normalised(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m" / "0_StaticEmbedding", {"embedding.weight": rows()})
    entries = [
        {"idx": 0, "name": "0", "path": "0_StaticEmbedding", "type": STATIC},
        {"idx": 1, "name": "1", "path": "1_Normalize", "type": NORMALIZE},
    ]
    (folder.parent / "modules.json").write_text(json.dumps(entries))
    model = SentenceTransformer(folder.parent)
    np.testing.assert_allclose(model.encode(TEXTS), unit(expected(rows())), atol=1e-6)


def test_model2vec_without_modules_drops_unknown_tokens(tmp_path: Path) -> None:
    config = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": True}
    model = SentenceTransformer(write_folder(tmp_path / "m", {"embeddings": rows()}, config=config))
    np.testing.assert_allclose(model.encode(TEXTS), unit(expected(rows(), drop=True)), atol=1e-6)
    assert model.max_seq_length == UNLIMITED
    model.save(tmp_path / "saved")
    again = SentenceTransformer(tmp_path / "saved")
    assert (again.encode(TEXTS) == model.encode(TEXTS)).all()


def test_model2vec_with_mapping_weights_and_limit(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    few, mapping = rows()[:5], random.integers(0, 5, len(VOCABULARY))
    factors = random.random(len(VOCABULARY)).astype(np.float32)
    tensors = {"embeddings": few.astype(np.float16), "mapping": mapping, "weights": factors}
    config = {"model_type": "model2vec", "max_length": 2}
    model = SentenceTransformer(write_folder(tmp_path / "m", tensors, config=config))
    table = few.astype(np.float16).astype(np.float32)[mapping] * factors[:, None]
    np.testing.assert_allclose(model.encode("cat dog"), expected(table, ["cat dog"])[0], atol=1e-6)
    with pytest.warns(TruncationWarning):
        assert (model.encode("cat dog mat") == model.encode("cat dog")).all()


def test_model2vec_with_modules_is_read_as_sentence_transformers_reads_it(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "m", {"embeddings": rows()}, [STATIC], {"model_type": "model2vec", "normalize": False}
    )
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "."
    (folder / "modules.json").write_text(json.dumps(modules))
    np.testing.assert_allclose(SentenceTransformer(folder).encode(TEXTS), expected(rows()), atol=1e-6)


def test_dense_after_it(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    folder = write_folder(
        tmp_path / "m", {"embedding.weight": rows()}, [STATIC, "sentence_transformers.models.Dense"]
    )
    weight = np.random.default_rng(2).standard_normal((3, 8)).astype(np.float32)
    (folder / "1_x").mkdir()
    save_file({"linear.weight": weight}, folder / "1_x" / "model.safetensors")
    settings = {"in_features": 8, "out_features": 3, "bias": False, "activation_function": "torch.nn.Tanh"}
    (folder / "1_x" / "config.json").write_text(json.dumps(settings))
    model = SentenceTransformer(folder)
    np.testing.assert_allclose(model.encode(TEXTS), np.tanh(expected(rows()) @ weight.T), atol=1e-6)
    assert model.get_embedding_dimension() == 3
    model.save(tmp_path / "saved")
    assert (SentenceTransformer(tmp_path / "saved").encode(TEXTS) == model.encode(TEXTS)).all()


def test_a_pooling_after_it_is_refused(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "m", {"embedding.weight": rows()}, [STATIC, "sentence_transformers.models.Pooling"]
    )
    (folder / "1_x").mkdir()
    (folder / "1_x" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    with pytest.raises(UnsupportedModelError, match="Pooling cannot follow"):
        SentenceTransformer(folder).encode("cat")


# what SentenceTransformer does for every model


def test_the_usual_options(static_folder: Path) -> None:
    model = SentenceTransformer(static_folder, prompts={"query": "the "})
    wanted = expected(rows())
    np.testing.assert_allclose(model.encode(TEXTS, normalize_embeddings=True), unit(wanted), atol=1e-6)
    assert (model.encode(TEXTS, truncate_dim=3) == model.encode(TEXTS)[:, :3]).all()
    np.testing.assert_allclose(model.encode_query("cat"), expected(rows(), ["the cat"])[0], atol=1e-6)
    assert model.encode(TEXTS, precision="int8").dtype == np.int8
    assert (
        np.array(list(model.encode_iter(iter(TEXTS), chunk_size=2))).tolist() == model.encode(TEXTS).tolist()
    )
    tokens = model.encode("cat dog", output_value="token_embeddings")
    assert (tokens == rows()[[VOCABULARY.index("cat"), VOCABULARY.index("dog")]]).all()
    found = model.encode("cat", output_value=None)
    assert found["input_ids"].tolist() == [6] and (found["sentence_embedding"] == rows()[6]).all()
    assert model.count_tokens(["", "cats"]) == [0, 2]
    features = model.tokenize(["cat the", "", "dog"])
    assert features["offsets"].tolist() == [0, 2, 2]
    assert features["input_ids"].tolist() == [VOCABULARY.index(word) for word in ("cat", "the", "dog")]


def test_long_texts_are_not_cut_unless_asked(static_folder: Path) -> None:
    model = SentenceTransformer(static_folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        long = model.encode("cat " * 100_000)
    np.testing.assert_allclose(long, rows()[6], atol=1e-5)
    model.max_seq_length = 1
    assert (model.encode("cat dog", on_truncate="ignore") == rows()[6]).all()
    model.save(static_folder.parent / "cut")
    assert SentenceTransformer(static_folder.parent / "cut").max_seq_length == 1
    limited = SentenceTransformer(static_folder, processor_kwargs={"model_max_length": 4})
    assert limited.max_seq_length == 4


def test_threads_and_pickling(static_folder: Path) -> None:
    model = pickle.loads(pickle.dumps(SentenceTransformer(static_folder)))
    results: dict[int, Any] = {}

    def work(number: int) -> None:
        results[number] = model.encode([f"the {word} {number}" for word in VOCABULARY[4:]] * 20)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, found in results.items():
        texts = [f"the {word} {number}" for word in VOCABULARY[4:]] * 20
        np.testing.assert_allclose(found, expected(rows(), texts), atol=1e-6)


def test_after_a_fork(static_folder: Path) -> None:
    import multiprocessing

    model = SentenceTransformer(static_folder)
    wanted = model.encode(TEXTS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of other tests may be alive
        with multiprocessing.get_context("fork").Pool(1) as pool:
            assert (pool.apply_async(model.encode, (TEXTS,)).get(timeout=60) == wanted).all()


@pytest.mark.parametrize(
    "options", [{"dtype": "int8"}, {"backend": "onnx"}, {"model_kwargs": {"file_name": "x.xml"}}]
)
def test_options_for_transformers_only(static_folder: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="is for transformers"):
        SentenceTransformer(static_folder, **options)


def test_quantize_is_refused(static_folder: Path) -> None:
    with pytest.raises(InputError, match="static model"):
        SentenceTransformer(static_folder).quantize(TEXTS, static_folder.parent / "q")


# files


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_precisions(tmp_path: Path, precision: str) -> None:
    table = rows(16) * 10.0 ** np.random.default_rng(4).integers(-3, 3, (len(VOCABULARY), 1))
    table = table.astype(np.float32)
    table[5] = 0
    write_static(tmp_path / "m", table, json.loads(tokenizer().to_str()), precision=precision)
    (tmp_path / "m" / "modules.json").write_text(json.dumps([{"idx": 0, "path": "", "type": STATIC}]))
    model = SentenceTransformer(tmp_path / "m")
    bound = {"float32": 0.0, "float16": 1e-3, "int8": 1 / 253}[precision] * np.abs(table).max(axis=1)
    for word in VOCABULARY[4:]:
        if word.isalpha():
            place = VOCABULARY.index(word)
            assert (np.abs(model.encode(word) - table[place]) <= bound[place] + 1e-7).all()
    model.save(tmp_path / "saved")  # float32 again, for everybody
    from safetensors.numpy import load_file

    saved = load_file(tmp_path / "saved" / "model.safetensors")
    assert list(saved) == ["embedding.weight"] and saved["embedding.weight"].dtype == np.float32
    again = SentenceTransformer(tmp_path / "saved")
    assert (again.encode(TEXTS) == model.encode(TEXTS)).all()
    assert again.fingerprint == SentenceTransformer(tmp_path / "saved").fingerprint


def test_precision_of_another_name() -> None:
    with pytest.raises(InputError, match="precision='int4'"):
        row_tensors(rows(), "int4")


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"weight": rows()}, "not a static model"),
        ({"embedding.weight": rows()[0]}, "two axes"),
        ({"embeddings": rows(), "mapping": np.array([99])}, "points outside"),
        ({"embeddings": rows(), "weights": np.ones(3, dtype=np.float32)}, "3 numbers for"),
        ({"embedding.rows": np.ones((4, 2), dtype=np.int8)}, r"embedding\.scales"),
        ({"embedding.weight": rows()[:4]}, "do not belong together"),
    ],
)
def test_damaged_tables(tmp_path: Path, tensors: dict[str, Any], message: str) -> None:
    folder = write_folder(tmp_path / "m", tensors, [STATIC])
    with pytest.raises(ModelFormatError, match=message):
        SentenceTransformer(folder).encode("cat")


@pytest.mark.parametrize("scale", [1e25, 1e-25])
def test_extreme_vectors_are_normalised_all_the_same(tmp_path: Path, scale: float) -> None:
    table = rows()
    wanted = SentenceTransformer(str(write_folder(tmp_path / "usual", {"embeddings": table}, [STATIC])))
    tensors = {"embeddings": table * np.float32(scale)}
    late = SentenceTransformer(str(write_folder(tmp_path / "late", tensors, [STATIC])))
    head = SentenceTransformer(str(write_folder(tmp_path / "head", tensors, [STATIC, NORMALIZE])))
    vectors = wanted.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(late.encode(TEXTS, normalize_embeddings=True), vectors, atol=1e-6)
    np.testing.assert_allclose(head.encode(TEXTS), vectors, atol=1e-6)
