"""Model folders in every spelling, and damaged in every way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from tinyfolder import (
    MEAN,
    NORMALIZE,
    POOLING,
    ROOT,
    TRANSFORMER,
    WIDTH,
    WITHOUT_TORCH,
    bert_weights,
    dense,
    make_folder,
    make_plain,
    wordpiece,
    write_json,
)

from vicinal import SentenceTransformer
from vicinal.errors import (
    InputError,
    ModelError,
    ModelFormatError,
    ModelNotFoundError,
    UnsupportedModelError,
)
from vicinal.folder.read import read_model_spec
from vicinal.folder.specs import NormalizeSpec, PoolingSpec

TEXTS = ["the cat sat", "hello world, the dog", "", "query"]


def vectors(folder: Path, **options: Any) -> NDArray[np.float32]:
    found = SentenceTransformer(str(folder), dtype="float32", **options).encode(TEXTS)
    assert np.isfinite(found).all()
    return np.asarray(found)


@pytest.fixture(scope="module")
def usual(tiny_path: Path) -> NDArray[np.float32]:
    """What the usual spelling gives."""
    return vectors(tiny_path)


def modules(*types: str, paths: tuple[str, ...] = ("", "1_Pooling", "2_Normalize")) -> list[dict[str, Any]]:
    return [
        {"idx": place, "name": str(place), "path": paths[place], "type": kind}
        for place, kind in enumerate(types)
    ]


# spellings that mean the same

SAME: dict[str, dict[str, Any]] = {
    "old types": {},
    "new types": {
        "modules": modules(
            "sentence_transformers.base.modules.transformer.Transformer",
            "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
            "sentence_transformers.base.modules.normalize.Normalize",
        )
    },
    "our types": {"modules": modules("vicinal.Transformer", "vicinal.Pooling", "vicinal.Normalize")},
    "no idx": {
        "modules": [
            {key: each[key] for key in ("type", "path")} for each in (TRANSFORMER, POOLING, NORMALIZE)
        ]
    },
    "idx decides": {"modules": [NORMALIZE, TRANSFORMER, POOLING]},
    "null path": {"modules": [{**TRANSFORMER, "path": None}, POOLING, NORMALIZE]},
    "dot path": {"modules": [{**TRANSFORMER, "path": "."}, {**POOLING, "path": "./1_Pooling"}, NORMALIZE]},
    "all flags": {
        "pooling": {
            **MEAN,
            "pooling_mode_cls_token": False,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
            "include_prompt": True,
        }
    },
    "pooling name": {"pooling": {"word_embedding_dimension": WIDTH, "pooling_mode": "mean"}},
    "pooling list": {"pooling": {"embedding_dimension": WIDTH, "pooling_mode": ["mean"]}},
    "no width": {"pooling": {"pooling_mode": "mean"}},
    "no length": {"max_seq_length": None},
}


@pytest.mark.parametrize("spelling", SAME)
def test_spellings(tmp_path: Path, usual: NDArray[np.float32], spelling: str) -> None:
    np.testing.assert_array_equal(vectors(make_folder(tmp_path / "model", **SAME[spelling])), usual)


def test_transformer_in_a_folder_of_its_own(tmp_path: Path, usual: NDArray[np.float32]) -> None:
    folder = make_folder(tmp_path / "model", modules=[{**TRANSFORMER, "path": "0_BERT"}, POOLING, NORMALIZE])
    (folder / "0_BERT").mkdir()
    for file in [each for each in folder.iterdir() if each.is_file() and each.name != "modules.json"]:
        file.rename(folder / "0_BERT" / file.name)
    np.testing.assert_array_equal(vectors(folder), usual)


@pytest.mark.parametrize(
    "name",
    [
        "sentence_bert_config.json",
        "sentence_roberta_config.json",
        "sentence_distilbert_config.json",
        "sentence_camembert_config.json",
        "sentence_albert_config.json",
        "sentence_xlm-roberta_config.json",
        "sentence_xlnet_config.json",
    ],
)
def test_legacy_transformer_settings(tmp_path: Path, name: str) -> None:
    folder = make_folder(tmp_path, max_seq_length=None)
    write_json(folder / name, {"max_seq_length": 7, "do_lower_case": True})
    model = SentenceTransformer(folder)
    assert model.max_seq_length == 7
    assert read_model_spec(folder).transformer.do_lower_case


def test_lower_case(tmp_path: Path, usual: NDArray[np.float32]) -> None:
    folder = make_folder(tmp_path)
    wordpiece(lowercase=False).save(str(folder / "tokenizer.json"))
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": True})
    found = SentenceTransformer(folder, dtype="float32").encode([text.upper() for text in TEXTS])
    np.testing.assert_array_equal(found, usual)


def test_plain_folder_is_mean_pooled(tmp_path: Path, usual: NDArray[np.float32]) -> None:
    found = vectors(make_plain(tmp_path))
    np.testing.assert_allclose(found / np.linalg.norm(found, axis=1, keepdims=True), usual, atol=1e-6)


def test_byte_order_mark(tmp_path: Path, usual: NDArray[np.float32]) -> None:
    folder = make_folder(tmp_path)
    for name in ("modules.json", "config.json"):
        (folder / name).write_text((folder / name).read_text(), encoding="utf-8-sig")
    np.testing.assert_array_equal(vectors(folder), usual)


def test_prompts_similarity_and_width(tmp_path: Path) -> None:
    extra = {
        "prompts": {"query": "query: "},
        "default_prompt_name": "query",
        "similarity_fn_name": "dot",
        "truncate_dim": 5,
    }
    model = SentenceTransformer(make_folder(tmp_path, extra=extra))
    assert model.prompts == {"query": "query: "}
    assert model.default_prompt_name == "query"
    assert model.similarity_fn_name == "dot"
    assert model.encode("a").shape == (5,)
    assert model.get_sentence_embedding_dimension() == model.get_embedding_dimension() == 5
    assert SentenceTransformer(tmp_path, truncate_dim=3).encode("a").shape == (3,)


@pytest.mark.parametrize("activation", ["Tanh", "Identity", "ReLU", "GELU", "Sigmoid", "SiLU", None])
def test_dense(tmp_path: Path, activation: str | None) -> None:
    entry = {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    folder = make_folder(tmp_path, modules=[TRANSFORMER, POOLING, entry])
    weight = dense(folder / "2_Dense", 6, activation=activation)
    x = vectors(make_folder(tmp_path / "other", modules=[TRANSFORMER, POOLING])) @ weight.T
    x = x + np.linspace(-1, 1, 6, dtype=np.float32)
    erf = np.vectorize(__import__("math").erf)
    functions: dict[str | None, Callable[[Any], Any]] = {
        "Tanh": np.tanh,
        None: np.tanh,  # the layer's default where the file does not say
        "Identity": lambda x: x,
        "ReLU": lambda x: np.maximum(x, 0),
        "GELU": lambda x: x * (1 + erf(x / 2**0.5)) / 2,
        "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "SiLU": lambda x: x / (1 + np.exp(-x)),
    }
    np.testing.assert_allclose(vectors(folder), functions[activation](x), atol=2e-5)
    assert SentenceTransformer(folder).get_embedding_dimension() == 6


# weights


@pytest.mark.parametrize("prefix", ["bert.", "model.", "electra."])
def test_prefixed_weights(tmp_path: Path, usual: NDArray[np.float32], prefix: str) -> None:
    folder = make_folder(tmp_path)
    weights = {prefix + name: value for name, value in bert_weights().items()}
    weights["cls.predictions.bias"] = np.zeros(3, dtype=np.float32)
    save_file(weights, folder / "model.safetensors")
    np.testing.assert_array_equal(vectors(folder), usual)


def shard(folder: Path) -> Path:
    weights = bert_weights()
    names = sorted(weights)
    index = {}
    for number, part in enumerate((names[:5], names[5:20], names[20:]), 1):
        file = f"model-0000{number}-of-00003.safetensors"
        save_file({name: weights[name] for name in part}, folder / file)
        index.update(dict.fromkeys(part, file))
    (folder / "model.safetensors").unlink()
    write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": index})
    return folder


def test_shards(tmp_path: Path, usual: NDArray[np.float32]) -> None:
    np.testing.assert_array_equal(vectors(shard(make_folder(tmp_path))), usual)


def test_a_missing_shard(tmp_path: Path) -> None:
    (shard(make_folder(tmp_path)) / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(ModelFormatError, match=r"shard model-00002-of-00003\.safetensors is missing"):
        SentenceTransformer(tmp_path)


@pytest.mark.parametrize(
    "index",
    ["{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 3}}', '{"weight_map": {"a": "../x"}}'],
)
def test_a_damaged_index(tmp_path: Path, index: str) -> None:
    (shard(make_folder(tmp_path)) / "model.safetensors.index.json").write_text(index)
    with pytest.raises(ModelFormatError, match=r"index\.json"):
        SentenceTransformer(tmp_path)


@pytest.mark.parametrize("kind", ["F16", "BF16", "F64"])
def test_weights_of_other_float_types(tmp_path: Path, usual: NDArray[np.float32], kind: str) -> None:
    folder = make_folder(tmp_path)
    if kind == "BF16":  # numpy has no such type: written by hand
        header, body, start = {}, b"", 0
        for name, value in bert_weights().items():
            data = (value.view(np.uint32) >> 16).astype(np.uint16).tobytes()
            header[name] = {"dtype": "BF16", "shape": value.shape, "data_offsets": [start, start + len(data)]}
            body, start = body + data, start + len(data)
        text = json.dumps(header).encode()
        (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + body)
    else:
        kinds = {"F16": np.float16, "F64": np.float64}
        save_file(
            {name: value.astype(kinds[kind]) for name, value in bert_weights().items()},
            folder / "model.safetensors",
        )
    found = vectors(folder)
    assert ((found * usual).sum(1) > (0.99 if kind == "BF16" else 0.9999)).all()


def test_gamma_and_beta(tmp_path: Path, usual: NDArray[np.float32]) -> None:
    folder = make_folder(tmp_path)
    weights = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in bert_weights().items()
    }
    save_file(weights, folder / "model.safetensors")
    np.testing.assert_array_equal(vectors(folder), usual)


@pytest.mark.parametrize("old_names", [False, True])
def test_torch_checkpoint(tmp_path: Path, usual: NDArray[np.float32], old_names: bool) -> None:
    torch = pytest.importorskip("torch")
    folder = make_folder(tmp_path)
    (folder / "model.safetensors").unlink()
    weights = {name: torch.from_numpy(value) for name, value in bert_weights().items()}
    if old_names:
        weights = {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            ): each
            for name, each in weights.items()
        }
    torch.save(weights, folder / "pytorch_model.bin")
    np.testing.assert_array_equal(vectors(folder), usual)


def test_torch_checkpoint_without_torch(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    script = WITHOUT_TORCH + (
        "from vicinal import SentenceTransformer\n"
        "from vicinal.errors import MissingExtraError\n"
        "try:\n    SentenceTransformer(sys.argv[1])\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert "pytorch_model.bin" in done.stdout and "pip install 'vicinal[train]'" in done.stdout, done.stderr


@pytest.mark.parametrize("content", [b"", b"rubbish", b"PK\x03\x04rubbish"])
def test_damaged_checkpoint(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("torch")
    folder = make_folder(tmp_path)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ModelFormatError, match=r"pytorch_model\.bin: cannot be read"):
        SentenceTransformer(folder).encode("a")


class _Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/vicinal-was-here",)


def test_checkpoint_with_code(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    folder = make_folder(tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save({"x": _Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(ModelFormatError, match=r"pytorch_model\.bin"):
        SentenceTransformer(folder).encode("a")
    assert not Path("/tmp/vicinal-was-here").exists()


# damage


@pytest.mark.parametrize("kept", [0, 4, 8, 20, 500, -1, -1000])
def test_truncated_weights(tmp_path: Path, kept: int) -> None:
    file = make_folder(tmp_path) / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:kept])
    with pytest.raises(ModelFormatError, match=r"not a whole safetensors file.*download the model again"):
        SentenceTransformer(tmp_path)


HEADERS: list[Any] = [
    [],
    "x",
    {"a": 3},
    {"a": {}},
    {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}},
    {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}},
    {"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}},
    {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 0]}},
    {"a": {"dtype": "F32", "shape": None, "data_offsets": [0, 0]}},
    {"a": {"dtype": 32, "shape": [0], "data_offsets": [0, 0]}},
    {"a": {"dtype": "F32", "shape": ["1"], "data_offsets": ["0", "0"]}},
]


@pytest.mark.parametrize("header", HEADERS)
def test_damaged_header(tmp_path: Path, header: Any) -> None:
    text = json.dumps(header).encode()
    (make_folder(tmp_path) / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(ModelFormatError, match="not a whole safetensors file"):
        SentenceTransformer(tmp_path)


def test_random_weight_files(tmp_path: Path) -> None:
    folder, rng = make_folder(tmp_path), np.random.default_rng(0)
    content = (folder / "model.safetensors").read_bytes()
    for _ in range(60):  # flip a byte in the header: an error of ours, or a harmless change
        place = int(rng.integers(0, 2000))
        flipped = content[:place] + bytes([int(rng.integers(0, 256))]) + content[place + 1 :]
        (folder / "model.safetensors").write_bytes(flipped)
        with suppress(ModelError):
            SentenceTransformer(folder, dtype="float32").encode("the cat")


@pytest.mark.parametrize(
    "name", ["modules.json", "config.json", "1_Pooling/config.json", "tokenizer_config.json"]
)
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"3", b'"text"', b"[" * 100_000])
def test_garbage_json(tmp_path: Path, name: str, content: bytes) -> None:
    folder = make_folder(tmp_path)
    (folder / name).write_bytes(content)
    with pytest.raises(ModelFormatError, match=name.replace(".", r"\.")):
        SentenceTransformer(folder)


@pytest.mark.parametrize(
    "name", ["config.json", "1_Pooling/config.json", "tokenizer.json", "model.safetensors"]
)
def test_missing_file(tmp_path: Path, name: str) -> None:
    folder = make_folder(tmp_path)
    (folder / name).unlink()
    with pytest.raises(ModelFormatError, match=r"missing|no tokenizer|no weights") as caught:
        SentenceTransformer(folder)
    assert str(folder) in str(caught.value)


def test_a_missing_tensor(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ModelFormatError, match=r"'encoder\.layer\.1\.output\.dense\.weight' is missing"):
        SentenceTransformer(folder).encode("a")


def test_weights_of_another_family(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    save_file({"transformer.layer.0.x": np.zeros(3, dtype=np.float32)}, folder / "model.safetensors")
    with pytest.raises(ModelFormatError, match=r"do not belong to this config\.json's architecture"):
        SentenceTransformer(folder)


@pytest.mark.parametrize("key", ["num_hidden_layers", "num_attention_heads", "hidden_size"])
def test_a_missing_key(tmp_path: Path, key: str) -> None:
    folder = make_folder(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    del config[key]
    write_json(folder / "config.json", config)
    with pytest.raises(ModelFormatError, match=key):
        SentenceTransformer(folder).encode("a")


def test_an_unknown_architecture(tmp_path: Path) -> None:
    # The remedy names the train extra where torch is absent, a newer transformers where it is there.
    with pytest.raises(UnsupportedModelError, match=r"'no_such_model'.*openvino/\*\.xml"):
        SentenceTransformer(make_folder(tmp_path, model_type="no_such_model"))


def test_more_tokens_than_vectors(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, vocab_size=50)
    model = SentenceTransformer(folder)
    assert model.encode("a").shape == (WIDTH,)
    with pytest.raises(ModelFormatError, match="vocab_size 50"):
        model.encode("the world")


@pytest.mark.torch
@pytest.mark.parametrize(
    "kind", ["my_package.MyPooling", "sentence_transformers.models.Unheard", "Pooling", ""]
)
def test_an_unknown_module(tmp_path: Path, kind: str) -> None:
    """Only torch could run it, and only with the user's word."""
    pytest.importorskip("torch")
    folder = make_folder(tmp_path, modules=[TRANSFORMER, {**POOLING, "type": kind}])
    with pytest.raises(UnsupportedModelError, match=f"class {kind!r}.*module_classes.*trust_remote_code"):
        SentenceTransformer(folder)


@pytest.mark.torch
def test_the_configuration_of_another_module(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    folder = make_folder(
        tmp_path, modules=[TRANSFORMER, {**POOLING, "type": "sentence_transformers.models.BoW"}]
    )
    with pytest.raises(ModelFormatError, match="not that of BoW"):
        SentenceTransformer(folder)


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "a/../../x",
        "/etc",
        "C:\\x",
        "C:x",
        "..\\x",
        "\\\\host\\share",
        "1_Pooling/..",
        "..",
        "a\0b",
        "file:x",
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_paths_that_leave_the_folder(tmp_path: Path, path: str, place: int) -> None:
    entries = [dict(TRANSFORMER), dict(POOLING)]
    entries[place]["path"] = path
    with pytest.raises(ModelFormatError, match="leaves the model folder"):
        SentenceTransformer(make_folder(tmp_path, modules=entries))


def test_links_are_followed(tmp_path: Path, usual: NDArray[np.float32]) -> None:
    blobs = make_folder(tmp_path / "blobs")
    snapshot = tmp_path / "snapshot"
    for file in (each for each in blobs.rglob("*") if each.is_file()):
        link = snapshot / file.relative_to(blobs)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)
    np.testing.assert_array_equal(vectors(snapshot), usual)


WRONG_MODULES: list[tuple[list[Any], str]] = [
    ([], "expected a list of modules"),
    ([3], "expected a list of modules"),
    ([POOLING], "first module is Pooling"),
    ([TRANSFORMER, NORMALIZE], "0 pooling modules"),
    ([TRANSFORMER, POOLING, {**POOLING, "idx": 2}], "2 pooling modules"),
]


@pytest.mark.parametrize(("entries", "message"), WRONG_MODULES)
def test_modules_that_make_no_sense(tmp_path: Path, entries: list[Any], message: str) -> None:
    with pytest.raises(ModelFormatError, match=message):
        SentenceTransformer(make_folder(tmp_path, modules=entries)).encode("a")


WRONG_SETTINGS: list[tuple[str, Any, str]] = [
    ("1_Pooling/config.json", {"pooling_mode": "middle"}, "unknown pooling mode 'middle'"),
    ("1_Pooling/config.json", {"pooling_mode": 5}, "unknown pooling mode '5'"),
    ("1_Pooling/config.json", {"pooling_mode_mean_tokens": False}, "no pooling mode is switched on"),
    ("1_Pooling/config.json", {**MEAN, "word_embedding_dimension": "many"}, "word_embedding_dimension"),
    ("sentence_bert_config.json", {"max_seq_length": "long"}, "max_seq_length"),
    ("sentence_bert_config.json", {"max_seq_length": -4}, "max_seq_length"),
    ("config_sentence_transformers.json", {"truncate_dim": "x"}, "truncate_dim"),
    ("config_sentence_transformers.json", {"truncate_dim": -1}, "truncate_dim"),
    ("config_sentence_transformers.json", {"prompts": ["a"]}, "'prompts' must map names to texts"),
    ("config_sentence_transformers.json", {"prompts": {"a": 3}}, "'prompts' must map names to texts"),
    ("config_sentence_transformers.json", {"default_prompt_name": "q"}, "default_prompt_name 'q'"),
    ("config_sentence_transformers.json", {"similarity_fn_name": "near"}, "similarity_fn_name='near'"),
    ("config.json", {"model_type": "bert", "hidden_size": "wide"}, "hidden_size"),
]


@pytest.mark.parametrize(("name", "content", "message"), WRONG_SETTINGS)
def test_impossible_settings(tmp_path: Path, name: str, content: Any, message: str) -> None:
    folder = make_folder(tmp_path)
    write_json(folder / name, content)
    with pytest.raises((ModelFormatError, InputError), match=message):
        SentenceTransformer(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"in_features": WIDTH}, "out_features"),
        ({"in_features": WIDTH, "out_features": "x"}, "out_features"),
        ({"in_features": WIDTH, "out_features": 9}, "does not fit"),
        ({"in_features": 3, "out_features": 6}, "'in_features' is 3"),
        ({"in_features": WIDTH, "out_features": 6, "activation_function": "my.Own"}, "my.Own"),
    ],
)
def test_impossible_dense(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    entry = {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    folder = make_folder(tmp_path, modules=[TRANSFORMER, POOLING, entry])
    dense(folder / "2_Dense", 6)
    write_json(folder / "2_Dense/config.json", settings)
    with pytest.raises(ModelError, match=message):
        SentenceTransformer(folder).encode("a")


# the folder itself


def test_not_a_model_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match=r"neither modules\.json nor config\.json.*nothing"):
        SentenceTransformer(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ModelFormatError, match=r"notes\.txt"):
        SentenceTransformer(tmp_path)


def test_a_file_and_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelNotFoundError, match="file, not a folder"):
        SentenceTransformer(tmp_path / "file")
    with pytest.raises(ModelNotFoundError, match="does not exist"):
        SentenceTransformer(tmp_path / "absent")
    with pytest.raises(ModelNotFoundError):
        read_model_spec(tmp_path / "absent")


@pytest.mark.parametrize("name", [".", "model.safetensors", "config.json", "tokenizer.json", "modules.json"])
def test_no_permission(tmp_path: Path, tiny_path: Path, name: str, run_script: Callable[..., str]) -> None:
    folder = make_folder(tmp_path / "model")
    tmp_path.chmod(0o755)
    (folder / name).chmod(0o000)
    script = (
        "import os, sys\n"
        "if os.getuid() == 0:\n"
        "    from vicinal import SentenceTransformer\n"
        "    SentenceTransformer(sys.argv[2])\n"  # loads what the other user may not read
        "    for path in sys.argv[3:]: os.chmod(path, 0o755)\n"
        "    os.setuid(65534)\n"
        "from vicinal import SentenceTransformer\n"
        "from vicinal.errors import VicinalError\n"
        "try:\n    SentenceTransformer(sys.argv[1])\n"
        "except VicinalError as error:\n    print(type(error).__name__, error)\n"
    )
    parents = [str(each) for each in tmp_path.parents if "pytest" in str(each)]
    try:
        said = run_script(script, folder, tiny_path, *parents)
    finally:
        (folder / name).chmod(0o755)
    assert said.startswith("Model") and "ermission" in said and str(folder) in said


# arguments that reach into the folder


def test_config_kwargs(tmp_path: Path, usual: NDArray[np.float32]) -> None:
    folder = make_folder(tmp_path)
    assert not np.allclose(vectors(folder, config_kwargs={"num_hidden_layers": 1}), usual)
    assert not np.allclose(vectors(folder, config_kwargs={"hidden_act": "relu"}), usual, atol=1e-4)


def test_tokenizer_kwargs(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, max_seq_length=None)
    assert SentenceTransformer(folder, tokenizer_kwargs={"model_max_length": 9}).max_seq_length == 9
    assert SentenceTransformer(folder, processor_kwargs={"model_max_length": 8}).max_seq_length == 8
    ends = "the cat " + "world " * 20
    left = SentenceTransformer(folder, tokenizer_kwargs={"truncation_side": "left", "model_max_length": 6})
    right = SentenceTransformer(folder, tokenizer_kwargs={"model_max_length": 6})
    np.testing.assert_allclose(left.encode(ends, on_truncate="ignore"), left.encode("world " * 4), atol=1e-6)
    np.testing.assert_allclose(
        right.encode(ends, on_truncate="ignore"), right.encode("the cat world world"), atol=1e-6
    )


def test_model_kwargs(tiny_path: Path) -> None:
    for given in ({"dtype": "float32"}, {"torch_dtype": "torch.float32"}, {"torch_dtype": "float"}):
        assert SentenceTransformer(tiny_path, model_kwargs=given).dtype == "float32"
    with pytest.raises(InputError, match=r"'subfolder' has no meaning here; known: dtype"):
        SentenceTransformer(tiny_path, model_kwargs={"subfolder": "x"})
    with pytest.raises(InputError, match=r"no graph file 'other\.xml'"):
        SentenceTransformer(tiny_path, model_kwargs={"file_name": "other.xml"})


def test_wrong_options(tiny_path: Path) -> None:
    for options in ({"dtype": "int4"}, {"backend": "torchscript"}, {"device": "cuda"}, {"truncate_dim": 0}):
        ((key, value),) = options.items()
        with pytest.raises(InputError, match=f"{key}={value!r}"):
            SentenceTransformer(tiny_path, **options)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"no argument 'cache_dir'; did you mean"):
        SentenceTransformer(tiny_path, cache_dir="x")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="prompts is list"):
        SentenceTransformer(tiny_path, prompts=["a"])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"prompts\['q'\] is int"):
        SentenceTransformer(tiny_path, prompts={"q": 3})  # type: ignore[dict-item]


def test_spec_is_what_the_folder_says(tiny_path: Path) -> None:
    spec = read_model_spec(tiny_path)
    assert spec.modules[1:] == (PoolingSpec(("mean",), WIDTH), NormalizeSpec())
    assert spec.prompts == {"query": "query: ", "passage": "passage: ", "empty": ""}
