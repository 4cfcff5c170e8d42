"""What the models say of themselves, and the calls of older code; values as sentence-transformers 6.2 gives them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import vicinal  # noqa: E402
from vicinal import InputExample  # noqa: E402
from vicinal.errors import InputTypeError  # noqa: E402
from vicinal.torch import CrossEncoder, SentenceTransformer  # noqa: E402

pytestmark = pytest.mark.torch

MESSAGE = {"role": "user", "content": "x"}
INPUTS: list[Any] = [
    "a",
    ["a"],
    ["a", "b"],
    ("a", "b"),
    [["a", "b"]],
    MESSAGE,
    {"text": "a"},
    [],
    3,
    [MESSAGE],
]


@pytest.fixture(scope="module")
def minilm(minilm_path: Path) -> Any:
    return SentenceTransformer(str(minilm_path), device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def scorer(shared_dir: Path) -> Any:
    return CrossEncoder(str(shared_dir / "models" / "cross-encoder-stsb"), device="cpu", dtype="float32")


def test_facts(minilm: Any, scorer: Any) -> None:
    for model, name, owner in (
        (minilm, "SentenceTransformer", "sentence-transformers"),
        (scorer, "CrossEncoder", "cross-encoder"),
    ):
        assert (model.model_type, model.default_huggingface_organization) == (name, owner)
        assert model.modalities == ["text"] and model.supports("text") and not model.supports("image")
        assert (model.backend, model.get_backend(), model.get_model_kwargs()) == ("torch", "torch", [])
        assert model.has_peft_compatible_model()
    assert minilm.prompts == {"query": "", "document": ""} and scorer.prompts == {}
    assert minilm.module_kwargs == {"0": [], "1": [], "2": []} and scorer.module_kwargs == {"0": []}
    assert minilm.SUPPORTED_SIMILARITY_FN_NAMES == ("cosine", "dot", "euclidean", "manhattan")
    assert type(minilm.transformers_model) is transformers.BertModel
    assert type(scorer.transformers_model) is transformers.BertForSequenceClassification
    assert minilm.config is minilm.transformers_model.config and scorer.config.hidden_size == 384


def test_what_is_one_input(minilm: Any, scorer: Any) -> None:
    def found(model: Any) -> list[bool]:
        return [model.is_singular_input(each) for each in INPUTS]

    assert found(minilm) == [True, False, False, False, False, True, True, False, True, True]
    assert found(scorer) == [True, True, True, True, False, True, True, False, True, True]


def test_the_configuration_without_torch_has_attributes_too(minilm_path: Path) -> None:
    model = vicinal.SentenceTransformer(str(minilm_path))
    config: Any = model.config
    assert config.hidden_size == config["hidden_size"] == 384 and config.to_dict()["model_type"] == "bert"
    with pytest.raises(AttributeError, match=r"config\.json has no key 'hidden'"):
        _ = config.hidden
    assert model._module is None


def test_the_tokenizer_is_that_of_transformers(minilm_path: Path) -> None:
    model: Any = SentenceTransformer(str(minilm_path), device="cpu", dtype="float32")
    before = model.encode(["a text about embeddings"])
    tokenizer = model.tokenizer
    assert tokenizer is model.tokenizer is model.processor is model[0].tokenizer
    assert tokenizer.tokenize("hello embedding") == ["hello", "em", "##bed", "##ding"]
    assert (len(tokenizer), tokenizer.model_max_length) == (30522, 256)
    assert tokenizer.decode([101, 7592, 102]) == "[CLS] hello [SEP]"
    np.testing.assert_array_equal(model.encode(["a text about embeddings"]), before)
    tokenizer.model_max_length = 4
    assert model.max_seq_length == model[0].max_seq_length == 4
    with pytest.warns(UserWarning, match="cut to 4 tokens"):
        cut = model.encode(["a text about embeddings"])
    np.testing.assert_allclose(cut, model.encode(["a text"]), atol=1e-6)
    model.max_seq_length = 128
    assert tokenizer.model_max_length == 128
    np.testing.assert_array_equal(model.encode(["a text about embeddings"]), before)


def test_a_token_that_the_tokenizer_gets_is_one_of_the_text(minilm_path: Path) -> None:
    model: Any = SentenceTransformer(str(minilm_path), device="cpu", dtype="float32")
    before = model.encode(["zqx cats"])
    model.tokenizer.add_tokens(["zqx"])
    model.transformers_model.resize_token_embeddings(len(model.tokenizer), mean_resizing=False)
    assert model.tokenize(["zqx cats"])["input_ids"].tolist() == [[101, 30522, 8870, 102]]
    assert np.abs(model.encode(["zqx cats"]) - before).max() > 1e-3


def test_features_are_complete(minilm: Any, scorer: Any) -> None:
    features = minilm.preprocess(["hello there", "x"], prompt="query: ")
    assert {name: np.asarray(value).tolist() for name, value in features.items()} == {
        "input_ids": [[101, 23032, 1024, 7592, 2045, 102], [101, 23032, 1024, 1060, 102, 0]],
        "token_type_ids": [[0] * 6] * 2,
        "attention_mask": [[1] * 6, [1] * 5 + [0]],
        "prompt_length": 3,
    }
    features = scorer.preprocess([["hello there", "x"]], prompt="query: ")
    assert features["input_ids"].tolist() == [[101, 23032, 1024, 7592, 2045, 102, 1060, 102]]
    assert features["token_type_ids"].tolist() == [[0] * 6 + [1] * 2] and features["prompt_length"] == 3
    facts = minilm.encode(["hi there"], output_value=None, prompt="query: ")[0]
    assert facts["prompt_length"] == 3 and np.asarray(facts["token_type_ids"]).tolist() == [0] * 6


def test_batches_of_examples(minilm: Any, scorer: Any) -> None:
    batch = [InputExample(texts=["a", "b"], label=1.0), InputExample(texts=[" c ", "d"], label=0.0)]
    (first, second), labels = minilm.smart_batching_collate(batch)
    assert first["input_ids"].tolist() == [[101, 1037, 102], [101, 1039, 102]]
    assert second["input_ids"].shape == (2, 3) and labels.tolist() == [1.0, 0.0]
    features, labels = scorer.smart_batching_collate(batch)
    assert features["input_ids"].tolist() == [[101, 1037, 102, 1038, 102], [101, 1039, 102, 1040, 102]]
    assert labels.dtype == torch.float32
    texts = scorer.smart_batching_collate_text_only([["a", "b"]])
    assert texts["input_ids"].tolist() == [[101, 1037, 102, 1038, 102]]


def test_calls_in_the_order_of_older_versions(minilm: Any, scorer: Any) -> None:
    texts, pairs = ["a text", "another"], [("a text", "b"), ("another", "c")]
    vectors, scores = minilm.encode(texts), scorer.predict(pairs)
    tokens = minilm.encode(texts, 8, False, "token_embeddings", True)
    assert [len(each) for each in tokens] == [4, 3]
    np.testing.assert_allclose(minilm.encode(texts, None, False), vectors, atol=1e-6)
    found = minilm.encode(texts, 8, False, "sentence_embedding", False, True)
    assert isinstance(found, torch.Tensor) and found.shape == (2, 384)
    np.testing.assert_allclose(scorer.predict(pairs, 8, False), scores, atol=1e-6)
    raw = scorer.predict(pairs, 8, False, torch.nn.Identity())
    np.testing.assert_allclose(scorer.predict(pairs, 8, False, 0, torch.nn.Identity()), raw, atol=1e-6)
    np.testing.assert_allclose(1 / (1 + np.exp(-raw)), scores, atol=1e-5)
    ranked = scorer.rank("a text", ["b", "c"], 1, True, 8, False)
    assert [sorted(each) for each in ranked] == [["corpus_id", "score", "text"]]


def test_former_names_of_arguments(scorer: Any, shared_dir: Path) -> None:
    folder = str(shared_dir / "models" / "cross-encoder-stsb")
    pairs = [("a text", "b")]
    with pytest.warns(DeprecationWarning, match="activation_fct= is called activation_fn="):
        raw = scorer.predict(pairs, activation_fct=torch.nn.Identity())
    assert raw != scorer.predict(pairs)
    with pytest.warns(DeprecationWarning, match="num_workers= has no effect any more"):
        assert scorer.predict(pairs, num_workers=2) == scorer.predict(pairs)
    with pytest.warns(DeprecationWarning, match="convert_to_tensor= has no effect"):
        assert scorer.rank("a", ["b"], convert_to_tensor=True)[0]["corpus_id"] == 0
    with pytest.warns(DeprecationWarning, match="model_name= is called model_name_or_path="):
        model = CrossEncoder(model_name=folder, device="cpu")
    assert model.default_activation_function is model.activation_fn
    assert CrossEncoder(folder, 1, 64, "cpu").device == "cpu"  # the fourth argument of version 2


def test_no_precision_is_float32(minilm: Any) -> None:
    assert minilm.encode("a", precision=None).dtype == np.float32
    assert minilm.encode_query("a", precision=None).dtype == np.float32


class TestModelCardData:
    def test_a_model_has_one(self, minilm: Any, scorer: Any) -> None:
        data = minilm.model_card_data
        assert data is minilm.model_card_data and data.model is minilm
        assert isinstance(data, minilm.model_card_data_class)
        assert data.to_dict()["model_name"] == "SentenceTransformer" and data.base_model is None
        assert data.to_yaml().splitlines() == [
            "tags:",
            "- sentence-transformers",
            "- sentence-similarity",
            "- feature-extraction",
            "- dense",
            "pipeline_tag: sentence-similarity",
            "library_name: sentence-transformers",
        ]
        assert scorer.model_card_data.task_name == "text reranking and semantic search"

    def test_the_card_says_it(self, minilm_path: Path, tmp_path: Path) -> None:
        from vicinal.models.card_data import SentenceTransformerModelCardData

        data = SentenceTransformerModelCardData(
            language="de",
            license="apache-2.0",
            model_name="My model",
            train_datasets=[{"name": "NLI", "id": "sentence-transformers/all-nli"}, {"name": "mine"}],
        )
        model: Any = vicinal.SentenceTransformer(str(minilm_path), model_card_data=data)
        model.model_card_data.add_tags(["legal", "dense", "legal"])
        model.model_card_data.set_model_id("me/mine")
        model.save(tmp_path / "out", train_datasets=["me/data"])
        text = (tmp_path / "out" / "README.md").read_text()
        for line in (
            "- de",
            "license: apache-2.0",
            "# My model",
            "- legal",
            "- sentence-transformers/all-nli",
            "- me/data",
            "model = SentenceTransformer('me/mine')",
        ):
            assert line in text.splitlines(), line
        assert text.count("- legal") == 1

    def test_a_card_that_nobody_spoke_of_is_kept(self, minilm_path: Path, tmp_path: Path) -> None:
        model: Any = vicinal.SentenceTransformer(str(minilm_path))
        _ = model.model_card_data
        model.save(tmp_path / "first")
        (tmp_path / "first" / "README.md").write_text("mine")
        again: Any = vicinal.SentenceTransformer(str(tmp_path / "first"))
        _ = again.model_card_data.to_dict()
        again.save(tmp_path / "second")
        assert (tmp_path / "second" / "README.md").read_text() == "mine"

    def test_something_else_is_refused(self, minilm_path: Path) -> None:
        with pytest.raises(
            InputTypeError, match="model_card_data is str; give a SentenceTransformerModelCardData"
        ):
            vicinal.SentenceTransformer(str(minilm_path), model_card_data="card")  # type: ignore[arg-type]


def test_the_usual_calls_warn_of_nothing(minilm: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        minilm.encode(["a"], None, None, 8)
