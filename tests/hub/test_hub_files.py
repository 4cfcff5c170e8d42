"""Which files are needed, and when a folder counts as whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinymodel import NEEDED, model_files, weights

from vicinal.errors import HubError
from vicinal.hub.files import files_needed, find_problems, is_inside, safetensors_damage

CASES = {
    "safetensors before everything": (list(model_files()), sorted(NEEDED)),
    "pytorch_model.bin only without safetensors": (
        ["config.json", "pytorch_model.bin", "tf_model.h5", "tokenizer.json", "onnx/model.onnx", "README.md"],
        ["config.json", "pytorch_model.bin", "tokenizer.json"],
    ),
    "openvino before onnx": (
        [
            "config.json",
            "openvino/openvino_model.xml",
            "openvino/openvino_model.bin",
            "openvino/openvino_model_qint8_quantized.xml",
            "onnx/model.onnx",
            "coreml/model.mlpackage",
        ],
        ["config.json", "openvino/openvino_model.bin", "openvino/openvino_model.xml"],
    ),
    "onnx with its data": (
        ["config.json", "onnx/model.onnx", "onnx/model.onnx_data", "onnx/model_O4.onnx", "vocab.txt"],
        ["config.json", "onnx/model.onnx", "onnx/model.onnx_data", "vocab.txt"],
    ),
    "shards with their index": (
        [
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "pytorch_model.bin.index.json",
            "pytorch_model-00001-of-00001.bin",
            "original/consolidated.pth",
        ],
        [
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
        ],
    ),
    "shards of pytorch_model.bin": (
        ["config.json", "pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json"],
        ["config.json", "pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json"],
    ),
    "module folders": (
        [
            "modules.json",
            "0_Transformer/config.json",
            "0_Transformer/model.safetensors",
            "0_Transformer/pytorch_model.bin",
            "1_Pooling/config.json",
            "1_Pooling/README.md",
            "2_Dense/config.json",
            "2_Dense/model.safetensors",
            "2_Dense/pytorch_model.bin",
            "3_Dense/config.json",
            "3_Dense/pytorch_model.bin",
            "checkpoint-500/config.json",
            "checkpoint-500/model.safetensors",
            "onnx/config.json",
            "onnx/model.onnx",
            "eval/sts.csv",
        ],
        [
            "0_Transformer/config.json",
            "0_Transformer/model.safetensors",
            "1_Pooling/config.json",
            "2_Dense/config.json",
            "2_Dense/model.safetensors",
            "3_Dense/config.json",
            "3_Dense/pytorch_model.bin",
            "modules.json",
        ],
    ),
    "no module folders without modules.json": (
        ["config.json", "model.safetensors", "1_Pooling/config.json", "fp16/model.safetensors"],
        ["config.json", "model.safetensors"],
    ),
    "every kind of tokenizer": (
        [
            "config.json",
            "model.safetensors",
            "sentencepiece.bpe.model",
            "spiece.model",
            "vocab.json",
            "merges.txt",
            "bpe.codes",
            "chat_template.jinja",
            "special_tokens_map.json",
            "notes.txt",
        ],
        [
            "bpe.codes",
            "chat_template.jinja",
            "config.json",
            "merges.txt",
            "model.safetensors",
            "sentencepiece.bpe.model",
            "special_tokens_map.json",
            "spiece.model",
            "vocab.json",
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_files_needed(case: str) -> None:
    siblings, needed = CASES[case]
    assert files_needed(siblings) == sorted(needed)
    assert files_needed(siblings[::-1]) == sorted(needed)


@given(
    st.lists(st.sampled_from(sorted({f for siblings, _ in CASES.values() for f in siblings})), unique=True)
)
def test_files_needed_is_a_fixed_point(siblings: list[str]) -> None:
    needed = files_needed(siblings)
    assert set(needed) <= set(siblings)
    assert files_needed(needed) == needed


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a\\x", "c:x", "", "a//x", "./x", "a\0b"])
def test_a_name_that_leaves_the_folder(name: str) -> None:
    assert not is_inside(name)
    with pytest.raises(HubError):
        files_needed(["config.json", name])


# Whole or not -----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in model_files().items():
        if name in NEEDED:
            (tmp_path / "m" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "m" / name).write_bytes(content)
    return tmp_path / "m"


def problems(folder: Path) -> list[str]:
    return [f"{p.file} {'damaged' if p.damaged else 'missing'}" for p in find_problems(folder)]


def test_a_whole_folder(folder: Path) -> None:
    assert problems(folder) == []
    (folder / "modules.json").unlink()  # a plain transformers folder
    assert problems(folder) == []


@pytest.mark.parametrize("name", ["config.json", "1_Pooling/config.json", "model.safetensors"])
def test_a_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert problems(folder) == [f"{name} missing"]


@pytest.mark.parametrize("name", ["config.json", "modules.json", "1_Pooling/config.json", "tokenizer.json"])
@pytest.mark.parametrize("keep", [0, 12])
def test_json_that_is_cut_off(folder: Path, name: str, keep: int) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:keep])
    assert problems(folder) == [f"{name} damaged"]


def test_a_tokenizer_of_any_kind_will_do(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    assert problems(folder) == []
    (folder / "vocab.txt").unlink()
    assert problems(folder) == ["tokenizer.json missing"]


def test_other_weights_will_do(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "openvino").mkdir()
    (folder / "openvino" / "openvino_model.xml").touch()
    assert problems(folder) == ["openvino/openvino_model.bin missing"]
    (folder / "openvino" / "openvino_model.bin").touch()
    assert problems(folder) == []
    shutil.rmtree(folder / "openvino")
    (folder / "pytorch_model.bin").touch()
    assert problems(folder) == ["pytorch_model.bin damaged"]
    (folder / "pytorch_model.bin").write_bytes(b"PK")
    assert problems(folder) == []


def test_shards(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    index = folder / "model.safetensors.index.json"
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index.write_text(json.dumps({"weight_map": {"a": names[0], "b": names[1]}}))
    assert problems(folder) == [f"{names[1]} missing"]
    (folder / names[1]).write_bytes(weights(4)[:-1])
    assert problems(folder) == [f"{names[1]} damaged"]
    index.write_text(json.dumps({"weight_map": {"a": "../../secret.safetensors"}}))
    assert problems(folder) == ["model.safetensors.index.json damaged"]
    index.write_text("{}")
    assert problems(folder) == ["model.safetensors.index.json damaged"]


def test_dense_and_static_modules(folder: Path) -> None:
    modules = [
        {"path": "0_StaticEmbedding", "type": "sentence_transformers.models.StaticEmbedding"},
        {"path": "1_Dense", "type": "sentence_transformers.models.Dense"},
        {"path": "2_Own", "type": "someone.else.Module"},
        {"path": "../3_Outside", "type": "sentence_transformers.models.Pooling"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    assert problems(folder) == [
        "0_StaticEmbedding/model.safetensors missing",
        "1_Dense/config.json missing",
        "1_Dense/model.safetensors missing",
    ]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").unlink()
    assert "0_StaticEmbedding/tokenizer.json missing" in problems(folder)


def test_modules_json_of_the_wrong_shape(folder: Path) -> None:
    for content in ("{}", "[1]", "null"):
        (folder / "modules.json").write_text(content)
        assert problems(folder) == ["modules.json damaged"]


def test_the_real_model_is_whole(minilm_path: Path) -> None:
    assert [p for p in find_problems(minilm_path) if p.damaged] == []


def test_every_truncation_of_safetensors_is_seen(tmp_path: Path) -> None:
    whole = weights(rows=1)
    file = tmp_path / "model.safetensors"
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        assert safetensors_damage(file), size
    file.write_bytes(whole)
    assert safetensors_damage(file) is None
    file.write_bytes(whole + b"\0")
    assert "its header describes" in str(safetensors_damage(file))
    file.write_bytes(b"<html>Not found</html>" * 20)
    assert "not a safetensors file" in str(safetensors_damage(file))
    file.write_bytes((4).to_bytes(8, "little") + b"[1]]")
    assert "header" in str(safetensors_damage(file))
