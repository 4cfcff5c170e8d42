"""Each family's graph beside torch: the same weights and ids must give the same vectors."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from tinytransformers import (
    BATCHES,
    CLS,
    POSITIONS,
    SEP,
    TINIES,
    change_config,
    hidden_of,
    padded,
    pooled,
    save,
    spec_of,
    texts_of,
    vectors_of,
)

from vicinal.engine.graphs import FAMILIES, build_body
from vicinal.engine.graphs.mpnet import bucket
from vicinal.errors import ModelFormatError, UnsupportedModelError
from vicinal.folder.specs import PoolingSpec

pytestmark = pytest.mark.torch
TOLERANCE = 1e-4
Make = Callable[..., "tuple[Path, Any]"]


@pytest.fixture(scope="module")
def graph_of(tiny_folder: Make) -> Callable[[str], Callable[..., Any]]:
    """A family's compiled graph, once."""
    return cache(lambda family: vectors_of(tiny_folder(family)[0]))


def pad_of(model: Any) -> int:
    return int(model.config.pad_token_id)


def agrees(ours: Any, theirs: Any, tolerance: float = TOLERANCE) -> None:
    assert ours.dtype == np.float32
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


def compare(folder: Path, model: Any, texts: Any = BATCHES["mixed"], tolerance: float = TOLERANCE) -> None:
    ids, mask = padded(texts, pad_of(model))
    agrees(
        vectors_of(folder)(input_ids=ids, attention_mask=mask),
        pooled(hidden_of(model, ids, mask), mask),
        tolerance,
    )


def test_every_family_is_tested() -> None:
    assert set(FAMILIES) == set(TINIES)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("family", TINIES)
def test_vectors(family: str, batch: str, tiny_folder: Make, graph_of: Any) -> None:
    """{mean, cls, max, lasttoken} of short, mixed, over-long and empty texts."""
    _, model = tiny_folder(family)
    ids, mask = padded(BATCHES[batch], pad_of(model))
    ours = graph_of(family)(input_ids=ids, attention_mask=mask)
    agrees(ours, pooled(hidden_of(model, ids, mask), mask))


@pytest.mark.parametrize("family", TINIES)
def test_a_vector_does_not_depend_on_the_batch(family: str, tiny_folder: Make, graph_of: Any) -> None:
    _, model = tiny_folder(family)
    ids, mask = padded(BATCHES["mixed"], pad_of(model))
    together = graph_of(family)(input_ids=ids, attention_mask=mask)
    for row, text in enumerate(BATCHES["mixed"]):
        alone_ids, alone_mask = padded([text], pad_of(model))
        alone = graph_of(family)(input_ids=alone_ids, attention_mask=alone_mask)
        np.testing.assert_allclose(alone[0], together[row], rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", [name for name, tiny in TINIES.items() if tiny.token_types])
def test_token_types(family: str, tiny_folder: Make) -> None:
    folder, model = tiny_folder(family)
    ids, mask = padded(BATCHES["mixed"], pad_of(model))
    types = (np.cumsum(ids == SEP, axis=1) > 0).astype(np.int32) + (np.arange(ids.shape[1]) > 7)
    types = np.minimum(types, 1).astype(np.int32)
    ours = vectors_of(folder, token_types=True)(input_ids=ids, attention_mask=mask, token_type_ids=types)
    agrees(ours, pooled(hidden_of(model, ids, mask, types), mask))


@pytest.mark.parametrize("family", TINIES)
@pytest.mark.parametrize("kind", ["ForSequenceClassification", "language"])
def test_prefixed_weights(family: str, kind: str, tmp_path: Path) -> None:
    """Folders saved from a model with a task head name the same tensors with a prefix."""
    tiny = TINIES[family]
    model = tiny.model(tiny.language_model if kind == "language" else kind)
    folder = save(model, tmp_path)
    compare(folder, model.base_model)


@pytest.mark.parametrize("family", TINIES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_weights(family: str, dtype: str, tmp_path: Path) -> None:
    """Stored in 16 bits, computed in 32: torch with the rounded weights gives the same."""
    import torch

    folder = save(TINIES[family].model().to(getattr(torch, dtype)), tmp_path)
    compare(folder, TINIES[family].load(folder))


@pytest.mark.parametrize("family", ["bert", "qwen3", "modernbert"])
def test_sharded_weights(family: str, tmp_path: Path) -> None:
    model = TINIES[family].model()
    folder = save(model, tmp_path, max_shard_size="20KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    compare(folder, model)


@pytest.mark.parametrize("family", TINIES)
def test_bfloat16_inference(family: str, tmp_path: Path) -> None:
    """Also on places beyond 256, which bfloat16 cannot count.

    Random layers are harsher than trained ones; the bound for real weights (cosine 0.9999) is tested with
    real weights elsewhere. Here it is that of torch's own bfloat16, or better.
    """
    import torch

    longer = {"max_position_embeddings": 322}
    model = TINIES[family].model(**longer)
    folder = save(model, tmp_path)
    ids, mask = padded(texts_of([320, 290, 20]), pad_of(model))
    modules = (PoolingSpec(("mean",)),)
    exact = vectors_of(folder, modules)(input_ids=ids, attention_mask=mask)
    rounded = vectors_of(folder, modules, "bf16")(input_ids=ids, attention_mask=mask)
    agrees(exact, pooled(hidden_of(model, ids, mask), mask, ["mean"]))
    half = TINIES[family].load(folder, torch.bfloat16)
    theirs = pooled(hidden_of(half, ids, mask), mask, ["mean"])
    assert np.isfinite(rounded).all()
    assert lost(rounded, exact) <= max(2 * lost(theirs, exact), 2e-4)


def lost(a: Any, b: Any) -> float:
    """Largest ``1 - cosine`` of the rows."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return float((1 - cosine).max())


# positions


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "camembert", "mpnet"])
def test_a_literal_padding_token_is_not_counted(family: str, tiny_folder: Make, graph_of: Any) -> None:
    _, model = tiny_folder(family)
    pad = pad_of(model)
    ids, mask = padded([[CLS, 20, pad, 21, pad, pad, 22, SEP], [CLS, pad, SEP], [CLS, 30, 31, SEP]], pad)
    ours = graph_of(family)(input_ids=ids, attention_mask=mask)
    agrees(ours, pooled(hidden_of(model, ids, mask), mask))


def test_roberta_with_another_padding_token(tmp_path: Path) -> None:
    model = TINIES["roberta"].model(pad_token_id=3, max_position_embeddings=POSITIONS + 4)
    compare(save(model, tmp_path), model)


def test_mpnet_buckets() -> None:
    """Every distance that a text of 2000 tokens has, beside torch, which takes logarithms in float32."""
    import torch
    from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

    distances = np.arange(-2000, 2001)
    theirs = MPNetEncoder.relative_position_bucket(torch.tensor(distances)).numpy()
    np.testing.assert_array_equal(bucket(distances), theirs)


def test_distilbert_with_sinusoidal_positions(tmp_path: Path) -> None:
    model = TINIES["distilbert"].model(sinusoidal_pos_embds=True)
    compare(save(model, tmp_path), model)


# the families' own variants


@pytest.mark.parametrize("act", ["relu", "gelu_new", "silu", "gelu_pytorch_tanh"])
def test_activations(act: str, tmp_path: Path) -> None:
    model = TINIES["bert"].model(hidden_act=act)
    compare(save(model, tmp_path), model)


@pytest.mark.parametrize(("depth", "groups", "inner"), [(3, 1, 1), (6, 4, 1), (3, 3, 2), (5, 3, 1)])
def test_albert_groups(depth: int, groups: int, inner: int, tmp_path: Path) -> None:
    changes = {"num_hidden_layers": depth, "num_hidden_groups": groups, "inner_group_num": inner}
    model = TINIES["albert"].model(**changes)
    compare(save(model, tmp_path), model)


def test_electra_without_projection(tmp_path: Path) -> None:
    model = TINIES["electra"].model(embedding_size=36)
    folder = save(model, tmp_path)
    assert "embeddings_project.weight" not in build_body(spec_of(folder))[0].weights
    compare(folder, model)


def test_modernbert_biases(tmp_path: Path) -> None:
    model = TINIES["modernbert"].model(attention_bias=True, mlp_bias=True, norm_bias=True)
    folder = save(model, tmp_path)
    assert "layers.1.attn.Wqkv.bias" in build_body(spec_of(folder))[0].weights
    compare(folder, model)


@pytest.mark.parametrize("window", [2, 7, 12, 128])
def test_modernbert_windows(window: int, tmp_path: Path) -> None:
    model = TINIES["modernbert"].model(local_attention=window)
    compare(save(model, tmp_path), model)


@pytest.mark.parametrize(("every", "theta"), [(2, 70.0), (3, 9000.0)])
def test_modernbert_keys_of_transformers_4(every: int, theta: float, tmp_path: Path) -> None:
    rope = {
        "full_attention": {"rope_type": "default", "rope_theta": 500.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": theta},
    }
    kinds = ["sliding_attention" if layer % every else "full_attention" for layer in range(4)]
    model = TINIES["modernbert"].model(layer_types=kinds, rope_parameters=rope)
    keys = {"global_attn_every_n_layers": every, "global_rope_theta": 500.0, "local_rope_theta": theta}
    folder = save(model, tmp_path, {"layer_types": None, "rope_parameters": None, **keys})
    compare(folder, model)


def test_modernbert_of_local_layers_alone(tmp_path: Path) -> None:
    model = TINIES["modernbert"].model(layer_types=["sliding_attention"] * 4)
    compare(save(model, tmp_path), model)


_NOMIC_HUB: dict[str, Any] = {
    "activation_function": "swiglu",
    "causal": False,
    "layer_norm_epsilon": 1e-12,
    "mlp_fc1_bias": False,
    "model_type": "nomic_bert",
    "n_embd": 36,
    "n_head": 3,
    "n_inner": 50,
    "n_layer": 2,
    "n_positions": POSITIONS,
    "parallel_block": False,
    "prenorm": False,
    "qkv_proj_bias": False,
    "rotary_emb_base": 1000,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_scaling_factor": None,
    "use_rms_norm": False,
}


def nomic_hub(folder: Path, **changes: Any) -> Path:
    """Give the folder the config.json that nomic's own checkpoints have."""
    import json

    (folder / "config.json").write_text(json.dumps({**_NOMIC_HUB, **changes}), encoding="utf-8")
    return folder


def test_nomic_with_the_keys_of_the_hub(tmp_path: Path) -> None:
    model = TINIES["nomic_bert"].model()
    folder = nomic_hub(save(model, tmp_path))
    assert "encoder.layers.1.attn.Wqkv.weight" in build_body(spec_of(folder))[0].weights
    compare(folder, model)


def test_nomic_with_other_angles_and_gate(tmp_path: Path) -> None:
    rope = {"rope_type": "default", "rope_theta": 77.0}
    model = TINIES["nomic_bert"].model(hidden_act="gelu", rope_parameters=rope)
    folder = save(model, tmp_path)
    compare(folder, model)
    compare(nomic_hub(folder, activation_function="geglu", rotary_emb_base=77), model)


def test_nomic_with_the_tensor_names_of_transformers(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    model = TINIES["nomic_bert"].model()
    folder = save(model, tmp_path)
    save_file(dict(model.state_dict()), folder / "model.safetensors")
    assert "layers.1.self_attn.q_proj.weight" in build_body(spec_of(folder))[0].weights
    compare(folder, model)


def test_nomic_biases(tmp_path: Path) -> None:
    """Biases everywhere, as the hub's keys allow; torch gets them added to its own layers."""
    import torch
    from safetensors.torch import load_file, save_file

    model = TINIES["nomic_bert"].model()
    folder = nomic_hub(save(model, tmp_path), qkv_proj_bias=True, mlp_fc1_bias=True, mlp_fc2_bias=True)
    tensors = load_file(folder / "model.safetensors")
    for layer, block in enumerate(model.layers):
        name = f"encoder.layers.{layer}"
        attention = (block.self_attn.q_proj, block.self_attn.k_proj, block.self_attn.v_proj)
        for linear in (*attention, block.self_attn.o_proj, *block.mlp.children()):
            if isinstance(linear, torch.nn.Linear):
                linear.bias = torch.nn.Parameter(0.3 * torch.randn(linear.out_features))
        tensors[f"{name}.attn.Wqkv.bias"] = torch.cat([linear.bias.data for linear in attention])
        tensors[f"{name}.attn.out_proj.bias"] = block.self_attn.o_proj.bias.data
        for theirs, part in (("fc11", "up_proj"), ("fc12", "gate_proj"), ("fc2", "down_proj")):
            tensors[f"{name}.mlp.{theirs}.bias"] = getattr(block.mlp, part).bias.data
    save_file(tensors, folder / "model.safetensors")
    compare(folder, model)


# Qwen3


@pytest.mark.parametrize("family", ["qwen3"])
def test_folders_that_pad_on_the_left(family: str, tiny_folder: Make, graph_of: Any) -> None:
    """Our batches are padded on the right; torch, padded on the left, gives the same vectors."""
    _, model = tiny_folder(family)
    texts = BATCHES["mixed"]
    right, left = (padded(texts, pad_of(model), left=side) for side in (False, True))
    ours = graph_of(family)(input_ids=right[0], attention_mask=right[1])
    theirs = pooled(hidden_of(model, *left), left[1])
    agrees(ours, theirs)
    agrees(graph_of(family)(input_ids=left[0], attention_mask=left[1]), theirs)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_key_value_heads": 4},
        {"num_key_value_heads": 1},
        {"attention_bias": True},
        {"head_dim": 18, "num_key_value_heads": 2},
        {"is_causal": False},
    ],
)
def test_qwen3_variants(changes: dict[str, Any], tmp_path: Path) -> None:
    model = TINIES["qwen3"].model(**changes)
    compare(save(model, tmp_path), model)


@pytest.mark.parametrize(
    "keys",
    [
        {"rope_theta": 900.0, "rope_scaling": None},
        {"rope_theta": 900.0, "use_sliding_window": True, "max_window_layers": 2},
    ],
)
def test_qwen3_keys_of_transformers_4(keys: dict[str, Any], tmp_path: Path) -> None:
    model = TINIES["qwen3"].model()
    compare(save(model, tmp_path, {"rope_parameters": None, "layer_types": None, **keys}), model)


# refused; others in test_variants.py


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("prenorm", True),
        ("causal", True),
        ("parallel_block", True),
        ("use_rms_norm", True),
        ("rotary_emb_fraction", 0.5),
        ("rotary_emb_interleaved", True),
        ("rotary_scaling_factor", 2.0),
        ("moe_every_n_layers", 2),
        ("activation_function", "gelu"),
    ],
)
def test_refused_nomic_variants(key: str, value: Any, tmp_path: Path, tiny_folder: Make) -> None:
    folder = nomic_hub(save(tiny_folder("nomic_bert")[1], tmp_path), **{key: value})
    with pytest.raises(UnsupportedModelError, match=f"{key} = {value!r}"):
        build_body(spec_of(folder))


def test_unknown_architecture(tmp_path: Path, tiny_folder: Make) -> None:
    folder = save(tiny_folder("bert")[1], tmp_path, {"model_type": "deberta-v2"})
    with pytest.raises(UnsupportedModelError, match=r"'deberta-v2'.*qwen3.*PyTorch runs it: use backend="):
        build_body(spec_of(folder))


def test_weights_of_another_architecture(tmp_path: Path, tiny_folder: Make) -> None:
    folder = save(tiny_folder("distilbert")[1], tmp_path)
    change_config(folder, {"model_type": "qwen3"})
    with pytest.raises(ModelFormatError, match=r"embed_tokens\.weight"):
        build_body(spec_of(folder))


def test_a_key_that_is_missing(tmp_path: Path, tiny_folder: Make) -> None:
    """It has the default of transformers, which here is none that fits the weights."""
    folder = save(tiny_folder("bert")[1], tmp_path, {"hidden_size": None})
    with pytest.raises(ModelFormatError, match="'hidden_size' is 768, but the tensor"):
        build_body(spec_of(folder))


# speed


def has_avx512() -> bool:
    cpu = Path("/proc/cpuinfo")
    return cpu.is_file() and "avx512bw" in cpu.read_text(encoding="utf-8")


@pytest.mark.parametrize("family", TINIES)
def test_the_engine_fuses_what_the_graph_is_written_for(family: str, tiny_folder: Make) -> None:
    """Attention is one kernel a layer: no score matrix of its own, no softmax; norms and angles likewise."""
    if not has_avx512():
        pytest.skip("without AVX-512 the engine fuses less")
    folder, model = tiny_folder(family)
    blocks, body = build_body(spec_of(folder))
    ov_model = blocks.openvino.Model([body.hidden], list(body.inputs.values()), "tiny")
    request = blocks.openvino.Core().compile_model(ov_model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    kinds = [node.get_rt_info()["layerType"] for node in request.get_runtime_model().get_ops()]
    kinds = [str(getattr(kind, "value", kind)) for kind in kinds]
    layers = model.config.num_hidden_layers
    assert "Softmax" not in kinds
    assert "MatMul" not in kinds
    assert kinds.count("RoPE") == (2 * layers if family in ("modernbert", "nomic_bert", "qwen3") else 0)
    assert kinds.count("RMS") == (4 * layers + 1 if family == "qwen3" else 0)


# Layers behind the token vectors, which a graph does not have.
_UNUSED = ("pooler.", "lm_head.")


@pytest.mark.parametrize("family", TINIES)
def test_a_tensor_that_is_missing_is_never_left_out(family: str, tiny_folder: Make, tmp_path: Path) -> None:
    """Biases and token types too: without one the vectors would be others, and nothing would say so."""
    from safetensors.numpy import load_file, save_file

    folder, _ = tiny_folder(family)
    shutil.copytree(folder, tmp_path / "damaged")
    tensors = load_file(folder / "model.safetensors")
    for name in tensors:
        if name.startswith(_UNUSED):
            continue
        others = {each: value for each, value in tensors.items() if each != name}
        save_file(others, tmp_path / "damaged/model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ModelFormatError, match=r"missing|hold no"):
            build_body(spec_of(tmp_path / "damaged"))
