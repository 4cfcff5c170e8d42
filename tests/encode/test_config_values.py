"""Values in a folder's JSON files that no model has, and weights that are not numbers: an error, and never a vector."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from tinyfolder import BERT, POOLING, TRANSFORMER, WIDTH, bert_weights, dense, make_folder, write_json

from vicinal import CrossEncoder, SentenceTransformer
from vicinal.errors import ModelFormatError, VicinalError

TEXTS = ["the cat sat", "hello world on the mat"]
VALUES: list[Any] = [0, -1, 1e30, float("nan"), "x", None, [], {}, True, 10**40, ["x"] * 100_000]
SETTINGS = {"similarity_fn_name": "cosine", "truncate_dim": None, "prompts": {"query": "query: "}}
TYPE = "sentence_transformers.models."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every kind of module, each with a file of its own."""
    names = ("Dense", "LayerNorm", "Dropout", "Normalize")
    others = [
        {"idx": place, "name": str(place), "path": f"{place}_{name}", "type": TYPE + name}
        for place, name in enumerate(names, 2)
    ]
    config = {"position_embedding_type": "absolute", "is_decoder": False, "pruned_heads": {}}
    made = make_folder(
        tmp_path / "model", modules=[TRANSFORMER, POOLING, *others], extra=dict(SETTINGS), **config
    )
    pooling = {"embedding_dimension": WIDTH, "pooling_mode": "mean", "include_prompt": True}
    write_json(made / "1_Pooling/config.json", pooling)
    dense(made / "2_Dense", WIDTH, use_residual=False)
    write_json(made / "3_LayerNorm/config.json", {"dimension": WIDTH})
    norm = {"norm.weight": np.ones(WIDTH, np.float32), "norm.bias": np.zeros(WIDTH, np.float32)}
    save_file(norm, made / "3_LayerNorm/model.safetensors")
    write_json(made / "4_Dropout/config.json", {"dropout": 0.1})
    write_json(made / "5_Normalize/config.json", {"module_input_name": "sentence_embedding"})
    return made


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything in a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    value[path[0]] = changed(value[path[0]], path[1:], new)
    return value


def vectors(folder: Path) -> NDArray[np.float32]:
    return np.asarray(SentenceTransformer(folder, dtype="float32").encode(TEXTS))


# What changes the vectors in the way that it says.
_MEANT = {
    ("is_decoder",),
    ("truncate_dim",),
    ("layer_norm_eps",),
    ("use_residual",),
    ("activation_function",),
    ("pooling_mode",),
    ("max_seq_length",),
}


@pytest.mark.filterwarnings("ignore:truncate_dim=")  # larger than the model has: all are kept
@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "config_sentence_transformers.json",
        "modules.json",
        "sentence_bert_config.json",
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "3_LayerNorm/config.json",
        "4_Dropout/config.json",
        "5_Normalize/config.json",
    ],
)
def test_any_value_in_any_place(folder: Path, name: str) -> None:
    """It means nothing, or what it says, or is an error of ours with a message that can be read."""
    pytest.importorskip("transformers")
    expected, text = vectors(folder), (folder / name).read_text()
    messages: dict[str, Any] = {}
    for path in places(json.loads(text)):
        if name == "modules.json" and path and path[-1] in ("idx", "name"):
            continue
        for value in VALUES:
            (folder / name).write_text(json.dumps(changed(json.loads(text), path, value)))
            try:
                found = vectors(folder)
            except VicinalError as error:
                messages[str(error)] = (path, value)
                continue
            assert np.isfinite(found).all(), (path, value)
            if path not in _MEANT:
                np.testing.assert_allclose(found, expected, atol=1e-6, err_msg=f"{path} {value}")
    assert max(map(len, messages)) < 1500


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("num_hidden_layers", 0, "'num_hidden_layers' must be a positive whole number, found 0"),
        ("num_hidden_layers", -2, "found -2"),
        ("num_hidden_layers", 3, r"'num_hidden_layers' is 3, but the tensor 'encoder\.layer\.2"),
        ("layer_norm_eps", -1, "'layer_norm_eps' must be a number, 0 or more, found -1"),
        ("hidden_size", 10**12, "'hidden_size' must be a positive whole number, found 1000000000000"),
        ("hidden_size", 32, "'hidden_size' is 32, but the tensor"),
        ("num_attention_heads", 3, "'hidden_size' is 16, which 3 heads"),
        ("intermediate_size", 8, "'intermediate_size' is 8, but the tensor"),
        ("vocab_size", 7, "'vocab_size' is 7, but the tensor"),
        ("max_position_embeddings", 128, "'max_position_embeddings' is 128, but the tensor"),
        ("type_vocab_size", 5, "'type_vocab_size' is 5, but the tensor"),
    ],
)
def test_sizes_that_the_weights_do_not_have(tmp_path: Path, key: str, value: Any, message: str) -> None:
    folder = make_folder(tmp_path / "model")
    write_json(folder / "config.json", {**BERT, key: value})
    with pytest.raises(ModelFormatError, match=f"config.json: .*{message}"):
        SentenceTransformer(folder)


def test_fewer_layers_than_the_weights_have(tmp_path: Path) -> None:
    """As with transformers, the first ones run."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    for change in ({"num_hidden_layers": 1}, {"layer_norm_eps": 0.5}, {"num_attention_heads": 8}):
        folder = make_folder(tmp_path / next(iter(change)))
        write_json(folder / "config.json", {**BERT, **change})
        model = SentenceTransformer(folder, dtype="float32")
        reference = transformers.AutoModel.from_pretrained(folder).eval()
        ids = torch.from_numpy(np.asarray(model.tokenize(["the cat sat"])["input_ids"]))
        with torch.no_grad():
            expected = reference(ids).last_hidden_state[0].numpy()
        found = model.encode("the cat sat", output_value="token_embeddings")
        np.testing.assert_allclose(np.asarray(found), expected, atol=1e-5)


def test_a_key_that_is_missing_has_the_default_of_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from vicinal.folder.config_values import DEFAULTS

    for name, defaults in DEFAULTS.items():
        config = transformers.CONFIG_MAPPING[name]()
        for key, value in defaults.items():
            assert getattr(config, key) == value, (name, key)


def test_absurd_modules(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model")
    write_json(folder / "1_Pooling/config.json", {"pooling_mode": ["mean"] * 100_000})
    with pytest.raises(ModelFormatError, match="'pooling_mode' has 100000 entries"):
        SentenceTransformer(folder)


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers(tmp_path: Path, dtype: str, bad: float) -> None:
    folder = make_folder(tmp_path / "model")
    tensors = {name: each.astype(dtype) for name, each in load_file(folder / "model.safetensors").items()}
    tensors["embeddings.word_embeddings.weight"][7, 3] = bad
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(
        ModelFormatError,
        match=r"model\.safetensors: the tensor '.*word_embeddings.weight' holds NaN or infinite",
    ):
        SentenceTransformer(folder).encode("the cat")


def test_a_table_that_is_no_numbers(tmp_path: Path) -> None:
    entry = {"idx": 0, "name": "0", "path": "", "type": TYPE + "StaticEmbedding"}
    folder = make_folder(tmp_path / "model", modules=[entry])
    for name in ("embedding.weight", "embeddings"):
        table = np.ones((200, WIDTH), np.float32)
        table[150, 3] = np.nan
        save_file({name: table}, folder / "model.safetensors")
        with pytest.raises(ModelFormatError, match="holds NaN or infinite"):
            SentenceTransformer(folder).encode("the cat")


def test_torch_refuses_them_too(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    folder = make_folder(tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    tensors["embeddings.LayerNorm.bias"][3] = np.inf
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelFormatError, match=r"'embeddings\.LayerNorm\.bias' holds NaN or infinite"):
        SentenceTransformer(folder, backend="torch")
    with pytest.raises(ModelFormatError, match=r"'num_hidden_layers' must be"):
        SentenceTransformer(folder, backend="torch", config_kwargs={"num_hidden_layers": 0})


@pytest.mark.parametrize("config", [{"num_hidden_layers": 10**7}, {"vocab_size": 7}, {"hidden_act": "nope"}])
def test_torch_makes_no_network_that_the_weights_do_not_have(tmp_path: Path, config: dict[str, Any]) -> None:
    """Ten million layers would fill the memory before transformers looked at the weights."""
    pytest.importorskip("transformers")
    folder = make_folder(tmp_path / "model")
    write_json(folder / "config.json", {**BERT, **config})
    with pytest.raises(ModelFormatError, match=f"'{next(iter(config))}' is|does not know 'nope'"):
        SentenceTransformer(folder, backend="torch")


def test_large_numbers_are_numbers(tmp_path: Path) -> None:
    """Their sum overflows, which a quick look could take for infinite."""
    from vicinal.engine.weights import is_finite

    assert is_finite(np.full((3, 4), 3e38, np.float32))
    assert is_finite(np.zeros((0, 4), np.float32))
    assert not is_finite(np.array([np.inf, -np.inf], np.float32))


def test_a_cross_encoder_is_checked_at_loading(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", modules=None, architectures=["BertForSequenceClassification"])
    (folder / "modules.json").unlink()
    tensors = load_file(folder / "model.safetensors")
    tensors |= {
        "classifier.weight": np.ones((1, WIDTH), np.float32),
        "classifier.bias": np.zeros(1, np.float32),
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    write_json(folder / "config.json", {**BERT, "num_hidden_layers": 7})
    with pytest.raises(ModelFormatError, match=r"'num_hidden_layers' is 7"):
        CrossEncoder(folder)


@pytest.mark.parametrize("settings", [{}, {"dtype": "float32"}, {"backend": "torch"}], ids=str)
def test_huge_weights_give_an_error_and_not_nan(tmp_path: Path, settings: dict[str, str]) -> None:
    """Each of them is finite, and the result is not."""
    if "backend" in settings:
        pytest.importorskip("torch")
    folder = make_folder(tmp_path / "huge")
    weights = {name: tensor * np.float32(1e20) for name, tensor in bert_weights().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model = SentenceTransformer(str(folder), device="cpu", **settings)  # type: ignore[arg-type]
    with pytest.raises(ModelFormatError, match="result for text 0 holds NaN or infinite numbers"):
        model.encode(["a cat", "a dog"])
