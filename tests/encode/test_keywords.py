"""Dictionaries of options: every key has its effect, or is refused by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tinyfolder import SPECIAL, VOCAB, make_folder, write_json

from vicinal import CrossEncoder, SentenceTransformer
from vicinal.errors import InputError, InputTypeError

NAMES = ("processor_kwargs", "tokenizer_kwargs")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "m")


@pytest.fixture
def pairs_folder(tmp_path: Path) -> Path:
    """A cross-encoder's folder."""
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = make_folder(tmp_path / "c")
    config = transformers.AutoConfig.from_pretrained(folder, num_labels=1)
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    for name in ("modules.json", "sentence_bert_config.json"):
        (folder / name).unlink()
    return folder


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_model_max_length_wins_over_the_folder(folder: Path, name: str, backend: str) -> None:
    if backend == "torch":
        pytest.importorskip("torch")
    model = SentenceTransformer(folder, backend=backend, **{name: {"model_max_length": 6}})
    assert model.max_seq_length == 6
    assert np.asarray(model.tokenize(["the cat " * 9])["input_ids"]).shape == (1, 6)
    long, short = "the cat " * 9, "the cat the cat"
    np.testing.assert_allclose(model.encode(long, on_truncate="ignore"), model.encode(short), atol=1e-6)
    assert SentenceTransformer(folder).max_seq_length == 64  # the folder's own
    longer = SentenceTransformer(folder, **{name: {"model_max_length": 500}})
    assert longer.max_seq_length == 64  # its positions


def test_the_module_gets_the_keywords_too(folder: Path) -> None:
    pytest.importorskip("torch")
    changes = {"model_max_length": 8, "do_lower_case": False, "truncation_side": "left"}
    model = SentenceTransformer(folder, processor_kwargs=changes)
    texts = ["The cat THE dog", "the cat " * 9]
    before = model.encode(texts, on_truncate="ignore")
    ids = np.asarray(model.tokenize(texts)["input_ids"])
    module = model.module[0]
    assert module.max_seq_length == 8
    assert np.array_equal(module.tokenize(texts)["input_ids"].numpy(), ids)
    module.auto_model.embeddings.LayerNorm.bias.data += 1e-7
    np.testing.assert_allclose(model.encode(texts, on_truncate="ignore"), before, atol=1e-4)
    assert np.array_equal(np.asarray(model.tokenize(texts)["input_ids"]), ids)
    assert not np.array_equal(
        ids, np.asarray(SentenceTransformer(folder).tokenize(texts)["input_ids"])[:, :8]
    )


@pytest.mark.parametrize("name", [*NAMES, "tokenizer_args"])
def test_cross_encoders_take_them(pairs_folder: Path, name: str) -> None:
    model = CrossEncoder(pairs_folder, **{name: {"model_max_length": 9, "do_lower_case": False}})
    assert model.max_length == 9
    ids = np.asarray(model.tokenize([("the cat " * 9, "The dog")])["input_ids"])
    assert ids.shape == (1, 9) and SPECIAL.index("[UNK]") in ids
    assert model.module[0].max_seq_length == 9
    assert np.array_equal(model.module[0].tokenize([("the cat " * 9, "The dog")])["input_ids"].numpy(), ids)
    with pytest.raises(InputError, match="'model_max_len' has no effect"):
        CrossEncoder(pairs_folder, **{name: {"model_max_len": 9}})


@pytest.mark.parametrize("backend", ["auto", "torch"])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_max_len": 9}, r"'model_max_len' has no effect.*model_max_length"),
        ({"add_prefix_space": True}, r"'add_prefix_space' has no effect on the tokenizer of .*BertTokenizer"),
        ({"padding": "max_length"}, "'padding' has no effect"),
        ({"model_max_length": 0}, "'model_max_length' must be positive"),
        ({"model_max_length": "9"}, "'model_max_length' must be a number"),
        ({"truncation_side": "middle"}, "'truncation_side' must be 'right' or 'left'"),
    ],
)
def test_what_does_nothing_is_refused(folder: Path, backend: str, changes: dict[str, Any], said: str) -> None:
    if backend == "torch":
        pytest.importorskip("torch")
    with pytest.raises(InputError, match=said):
        SentenceTransformer(folder, backend=backend, processor_kwargs=changes)


def test_a_file_that_says_everything_obeys_no_option_of_a_class(folder: Path) -> None:
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
    with pytest.raises(InputError, match=r"'do_lower_case' has no effect.*tokenizer\.json"):
        SentenceTransformer(folder, processor_kwargs={"do_lower_case": False})


def test_special_tokens_are_added(folder: Path) -> None:
    pytest.importorskip("torch")
    last = VOCAB[-1]
    model = SentenceTransformer(folder, processor_kwargs={"additional_special_tokens": [last, "cat"]})
    ids = np.asarray(model.tokenize([f"{last}cat"])["input_ids"])
    assert ids.tolist() == [[2, len(VOCAB) - 1, VOCAB.index("cat"), 3]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_hiden_layers": 1}, r"'num_hiden_layers' is no key.*did you mean 'num_hidden_layers'"),
        ({"trust_remote_code": True}, "trust_remote_code is an argument of its own"),
    ],
)
def test_keys_that_no_architecture_reads_are_refused(
    folder: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        SentenceTransformer(folder, config_kwargs=changes)
    with pytest.raises(InputError, match=said):
        CrossEncoder(folder, config_kwargs=changes)


def test_keys_beside_those_of_the_file_are_accepted(folder: Path) -> None:
    SentenceTransformer(folder, config_kwargs={"output_hidden_states": False, "hidden_dropout_prob": 0.3})


@pytest.mark.parametrize("name", [*NAMES, "config_kwargs", "model_kwargs"])
@pytest.mark.parametrize("value", [3, "model_max_length", [1]])
def test_options_are_dictionaries(folder: Path, name: str, value: Any) -> None:
    for kind in (SentenceTransformer, CrossEncoder):
        with pytest.raises(InputTypeError, match=f"{name} is {type(value).__name__}"):
            kind(folder, **{name: value})


def test_module_classes_are_a_list(folder: Path) -> None:
    with pytest.raises(InputTypeError, match="module_classes is"):
        SentenceTransformer(folder, module_classes=int)  # type: ignore[arg-type]


def test_dtypes_that_contradict_each_other(folder: Path) -> None:
    assert SentenceTransformer(folder, dtype="float32", model_kwargs={"dtype": "fp32"}).dtype == "float32"
    with pytest.raises(InputError, match=r"dtype='float32' and 'bfloat16' in model_kwargs"):
        SentenceTransformer(folder, dtype="float32", model_kwargs={"torch_dtype": "bfloat16"})


def test_options_of_a_folder_have_no_effect_on_modules(folder: Path) -> None:
    pytest.importorskip("torch")
    modules = list(SentenceTransformer(folder).module)
    for name in (*NAMES, "config_kwargs"):
        with pytest.raises(InputError, match=rf"{name} has no effect.*models\.Transformer"):
            SentenceTransformer(modules=modules, **{name: {"model_max_length": 4}})


@pytest.mark.parametrize(
    "changes", [{"do_lower_case": False}, {"additional_special_tokens": ["cat"]}, {"truncation_side": "left"}]
)
def test_saving_keeps_them(folder: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    model = SentenceTransformer(folder, processor_kwargs={**changes, "model_max_length": 7})
    texts = ["The catcat", "the cat sat on the mat, world"]
    vectors = model.encode(texts, on_truncate="ignore")
    assert not np.allclose(SentenceTransformer(folder).encode(texts), vectors, atol=1e-3)
    model.save(tmp_path / "saved")
    again = SentenceTransformer(tmp_path / "saved")
    assert again.max_seq_length == 7
    np.testing.assert_array_equal(again.encode(texts, on_truncate="ignore"), vectors)


def test_saving_a_cross_encoder_keeps_them(pairs_folder: Path, tmp_path: Path) -> None:
    model = CrossEncoder(pairs_folder, processor_kwargs={"do_lower_case": False})
    pairs = [("The cat", "a Dog"), ("the cat", "a dog")]
    scores = model.predict(pairs)
    model.save(tmp_path / "saved")
    np.testing.assert_array_equal(CrossEncoder(tmp_path / "saved").predict(pairs), scores)


def test_they_are_part_of_the_fingerprint(folder: Path) -> None:
    plain = SentenceTransformer(folder).fingerprint
    changed = SentenceTransformer(folder, processor_kwargs={"do_lower_case": False}).fingerprint
    assert (
        SentenceTransformer(folder, processor_kwargs={"do_lower_case": False}).fingerprint == changed != plain
    )
    assert SentenceTransformer(folder, processor_kwargs={"model_max_length": 9}).fingerprint == plain


class TestModelKwargs:
    def test_how_transformers_loads_has_no_effect(self, minilm_path: Path) -> None:
        plain = SentenceTransformer(str(minilm_path)).encode("a text")
        given = SentenceTransformer(
            str(minilm_path),
            model_kwargs={
                "low_cpu_mem_usage": True,
                "use_safetensors": True,
                "attn_implementation": "sdpa",
                "device_map": "auto",
                "add_pooling_layer": False,
                "quantization_config": None,
            },
        )
        np.testing.assert_array_equal(given.encode("a text"), plain)

    def test_a_key_that_would_change_results_is_refused(self, minilm_path: Path) -> None:
        with pytest.raises(InputError, match=r"'quantization_config' has no meaning here"):
            SentenceTransformer(
                str(minilm_path), model_kwargs={"quantization_config": {"load_in_4bit": True}}
            )
        with pytest.raises(InputError, match=r"'use_safetensor' .* did you mean 'use_safetensors'"):
            SentenceTransformer(str(minilm_path), model_kwargs={"use_safetensor": True})

    def test_a_device_map_is_the_device(self, minilm_path: Path) -> None:
        for placed in ("cpu", {"": "cpu"}, {"encoder": "cpu", "pooler": "cpu"}):
            model = SentenceTransformer(str(minilm_path), model_kwargs={"device_map": placed})
            assert model.device == "cpu"
        with pytest.raises(InputError, match="no such device"):
            SentenceTransformer(str(minilm_path), device="cpu", model_kwargs={"device_map": "gpu"})
        with pytest.raises(InputError, match="device_map names 2 devices"):
            SentenceTransformer(str(minilm_path), model_kwargs={"device_map": {"a": "cuda:0", "b": "cuda:1"}})
