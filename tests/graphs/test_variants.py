"""Every key of config.json that transformers honours: the graph honours it too, or leaves the model to torch.

What must never happen is that a key is read by one of the two only and nobody is told.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from tinytransformers import (
    BATCHES,
    POSITIONS,
    TINIES,
    change_config,
    compiled,
    hidden_of,
    padded,
    pooled,
    save,
    spec_of,
    torch_run,
    vectors_of,
)

from vicinal.engine.graphs import build_body, check_variant, has_graph
from vicinal.engine.graphs.activations import BY_CLASS, BY_NAME
from vicinal.engine.graphs.classifiers import logits
from vicinal.errors import UnsupportedModelError

pytestmark = pytest.mark.torch
Make = Callable[..., "tuple[Path, Any]"]
TEXTS = [text[: POSITIONS - 4] for text in BATCHES["mixed"]]


def agrees(folder: Path, model: Any) -> None:
    """Mean, first, largest and last vector of some texts, beside torch."""
    ids, mask = padded(TEXTS, int(model.config.pad_token_id))
    ours = vectors_of(folder)(input_ids=ids, attention_mask=mask)
    np.testing.assert_allclose(ours, pooled(hidden_of(model, ids, mask), mask), rtol=0, atol=1e-4)


# activations


def test_every_activation_of_transformers() -> None:
    """One by one, from tiny to huge arguments; those that have weights of their own are left to torch."""
    import openvino
    import torch
    from transformers.activations import ACT2CLS, ACT2FN

    # OpenVINO's softplus is exact to 1e-5 only, and its root is far worse
    assert set(BY_NAME) | {"prelu", "sqrtsoftplus", "xielu"} == set(ACT2CLS)
    ops = openvino.opset15
    x = np.concatenate([np.linspace(-12, 12, 4001), [-1e4, -60, -1e-6, 0, 1e-6, 60, 1e4]]).astype(np.float32)
    given = ops.parameter([-1], np.float32)
    functions = {**BY_NAME, **BY_CLASS}
    model = openvino.Model([function(ops, given) for function in functions.values()], [given])
    results = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([x])
    for place, name in enumerate(functions):
        theirs = ACT2FN[name] if name in BY_NAME else getattr(torch.nn, name)()
        with torch.no_grad(), np.errstate(all="ignore"):
            expected = (
                torch.softmax(torch.from_numpy(x), -1)
                if name == "Softmax"
                else theirs(torch.from_numpy(x).double()).float()
            ).numpy()
        np.testing.assert_allclose(results[place], expected, rtol=2e-5, atol=2e-5, err_msg=name)


# the survey

_BERT_LIKE: dict[str, Any] = {
    "chunk_size_feed_forward": 1,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 0.5,
    "max_position_embeddings": POSITIONS + 7,
    "num_attention_heads": 6,
    "num_hidden_layers": 3,
    "pad_token_id": 3,
    "type_vocab_size": 3,
}
_ROPE_50 = {"rope_type": "default", "rope_theta": 50.0}
_ROPE_20 = {"rope_type": "default", "rope_theta": 20.0}
_QWEN3: dict[str, Any] = {
    "attention_bias": True,
    "head_dim": 14,
    "hidden_act": "quick_gelu",
    "max_position_embeddings": POSITIONS + 7,
    "num_attention_heads": 6,
    "num_hidden_layers": 3,
    "num_key_value_heads": 3,
    "pad_token_id": 3,
    "rms_norm_eps": 0.5,
    "rope_parameters": _ROPE_50,
    "sliding_window": 4,
    "use_sliding_window": True,
}
# Every key that a family's config class has, at once, with other values than the tiny model's. If one of them were
# not honoured by the graph, the vectors would be others than torch's.
SURVEY: dict[str, list[dict[str, Any]]] = {
    "albert": [{**_BERT_LIKE, "embedding_size": 18, "inner_group_num": 1, "num_hidden_groups": 3}],
    "bert": [_BERT_LIKE, {**_BERT_LIKE, "is_decoder": True}],
    "distilbert": [
        {
            "activation": "quick_gelu",
            "chunk_size_feed_forward": 1,
            "max_position_embeddings": POSITIONS + 7,
            "n_heads": 6,
            "n_layers": 3,
            "pad_token_id": 3,
            "sinusoidal_pos_embds": True,
        }
    ],
    "electra": [{**_BERT_LIKE, "embedding_size": 18, "is_decoder": True}],
    "modernbert": [
        {
            "attention_bias": True,
            "hidden_activation": "relu2",
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "local_attention": 4,
            "max_position_embeddings": POSITIONS + 7,
            "mlp_bias": True,
            "norm_bias": True,
            "norm_eps": 0.5,
            "num_attention_heads": 6,
            "num_hidden_layers": 3,
            "pad_token_id": 3,
            "rope_parameters": {"full_attention": _ROPE_50, "sliding_attention": _ROPE_20},
        }
    ],
    "mpnet": [{**_BERT_LIKE, "relative_attention_num_buckets": 64}],
    "nomic_bert": [{**_BERT_LIKE, "head_dim": 14, "rope_parameters": _ROPE_50}],
    "qwen3": [
        {**_QWEN3, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]},
        {**_QWEN3, "layer_types": None, "max_window_layers": 1},
    ],
    "roberta": [{**_BERT_LIKE, "is_decoder": True}],
}
# What changes training, generation, other heads, memory or names, and no vector.
WITHOUT_EFFECT = {
    "add_cross_attention",
    "attention_dropout",
    "attention_probs_dropout_prob",
    "bos_token_id",
    "classifier_activation",
    "classifier_bias",
    "classifier_dropout",
    "classifier_dropout_prob",
    "classifier_pooling",
    "cls_token_id",
    "decoder_bias",
    "deterministic_flash_attn",
    "dropout",
    "embedding_dropout",
    "eos_token_id",
    "hidden_dropout_prob",
    "initializer_cutoff_factor",
    "initializer_range",
    "mlp_dropout",
    "model_type",
    "qa_dropout",
    "sep_token_id",
    "seq_classif_dropout",
    "sparse_pred_ignore_index",
    "sparse_prediction",
    "summary_activation",
    "summary_first_dropout",
    "summary_last_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "tie_word_embeddings",
    "use_cache",
}
# The tiny models' own sizes differ from all defaults.
SIZES = {"vocab_size", "hidden_size", "intermediate_size", "dim", "hidden_dim"}


@pytest.mark.parametrize("family", SURVEY)
def test_every_key_is_surveyed(family: str) -> None:
    """A key that a newer transformers brings must be looked at."""
    import transformers

    common = set(transformers.PretrainedConfig().to_dict())
    keys = set(TINIES[family].config().to_dict()) - common - WITHOUT_EFFECT - SIZES
    assert keys - {key for changes in SURVEY[family] for key in changes} == set()


@pytest.mark.parametrize(
    ("family", "changes"), [(family, changes) for family in SURVEY for changes in SURVEY[family]]
)
def test_all_keys_at_once(family: str, changes: dict[str, Any], tmp_path: Path) -> None:
    model = TINIES[family].model(**changes)
    agrees(save(model, tmp_path), model)


@pytest.mark.parametrize("family", ["camembert", "xlm-roberta"])
def test_roberta_under_other_names(family: str, tmp_path: Path) -> None:
    model = TINIES[family].model(is_decoder=True, hidden_act="mish")
    agrees(save(model, tmp_path), model)


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("modernbert", {"classifier_activation": "quick_gelu", "classifier_pooling": "mean"}),
        ("bert", {"is_decoder": True, "hidden_act": "laplace"}),
        (
            "qwen3",
            {"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 0, "is_causal": False},
        ),
        ("qwen3", {"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1}),
    ],
)
def test_scores_of_pairs(family: str, changes: dict[str, Any], tmp_path: Path) -> None:
    model = TINIES[family].model("ForSequenceClassification", **changes)
    spec = spec_of(save(model, tmp_path))
    blocks, body = build_body(spec)
    ids, mask = padded(TEXTS, int(model.config.pad_token_id))
    ours = compiled(blocks, logits(blocks, body, spec)[0], body)(input_ids=ids, attention_mask=mask)
    np.testing.assert_allclose(ours, torch_run(model, ids, mask).logits.numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("family", "keys"),
    [
        ("modernbert", ["attention_bias", "mlp_bias", "norm_bias", "classifier_bias"]),
        ("qwen3", ["attention_bias"]),
    ],
)
def test_biases_that_are_switched_off(family: str, keys: list[str], tmp_path: Path) -> None:
    """Where config.json says no, transformers leaves those of the file alone."""
    import transformers

    kind = "ForSequenceClassification"
    folder = save(TINIES[family].model(kind, **dict.fromkeys(keys, True)), tmp_path)
    change_config(folder, dict.fromkeys(keys, False))
    plain = getattr(transformers, TINIES[family].stem + kind).from_pretrained(folder).eval()
    ids, mask = padded(TEXTS, int(plain.config.pad_token_id))
    spec = spec_of(folder)
    blocks, body = build_body(spec)
    ours = compiled(blocks, logits(blocks, body, spec)[0], body)(input_ids=ids, attention_mask=mask)
    np.testing.assert_allclose(ours, torch_run(plain, ids, mask).logits.numpy(), rtol=0, atol=1e-4)


# angles

_LLAMA3 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 0.7, "high_freq_factor": 3.0}
_ROPES: list[dict[str, Any]] = [
    {"rope_type": "linear", "factor": 3.0},
    {"rope_type": "dynamic", "factor": 3.0},
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 12},
    {"rope_type": "yarn", "factor": 4.0, "beta_fast": 4, "beta_slow": 0.2, "attention_factor": 1.3},
    {"rope_type": "yarn", "factor": 2.5, "mscale": 0.7, "mscale_all_dim": 0.4, "truncate": False},
    {**_LLAMA3, "original_max_position_embeddings": 16},
]


@pytest.mark.parametrize("rope", _ROPES, ids=lambda rope: str(rope["rope_type"]))
@pytest.mark.parametrize("family", ["qwen3", "nomic_bert"])
def test_angles_for_longer_texts(family: str, rope: dict[str, Any], tmp_path: Path) -> None:
    model = TINIES[family].model(rope_parameters={**rope, "rope_theta": 300.0})
    folder = save(model, tmp_path)
    agrees(folder, model)
    change_config(folder, {"rope_parameters": None, "rope_scaling": rope, "rope_theta": 300.0})  # as before 5
    agrees(folder, model)


def test_angles_of_two_kinds_of_layers(tmp_path: Path) -> None:
    rope = {
        "full_attention": {**_LLAMA3, "rope_theta": 300.0, "original_max_position_embeddings": 16},
        "sliding_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 40.0},
    }
    model = TINIES["modernbert"].model(rope_parameters=rope)
    agrees(save(model, tmp_path), model)


# distances, which transformers 5 has no more


def relative_bert(folder: Path, kind: str, ids: Any, mask: Any) -> Any:
    """BERT's hidden states with positions by distance, written after the papers in float64.

    Compared once with transformers 4.53, whose BertModel had both kinds: equal to 2e-6.
    """
    from safetensors.numpy import load_file

    weights = {
        name: each.astype(np.float64) for name, each in load_file(folder / "model.safetensors").items()
    }
    config = spec_of(folder).config
    heads, eps = config["num_attention_heads"], config["layer_norm_eps"]

    def linear(x: Any, name: str) -> Any:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x: Any, name: str) -> Any:
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + eps)
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def split(x: Any) -> Any:
        return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)

    x = (
        weights["embeddings.word_embeddings.weight"][ids]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    x = norm(x, "embeddings.LayerNorm")
    places = np.arange(ids.shape[1])
    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        table = weights[f"{name}.attention.self.distance_embedding.weight"]
        by_distance = table[places[:, None] - places[None, :] + len(table) // 2]
        q, k, v = (split(linear(x, f"{name}.attention.self.{part}")) for part in ("query", "key", "value"))
        scores = q @ k.transpose(0, 1, 3, 2) + np.einsum("bhld,lrd->bhlr", q, by_distance)
        if kind == "relative_key_query":
            scores += np.einsum("bhrd,lrd->bhlr", k, by_distance)
        scores = scores / np.sqrt(q.shape[-1]) + np.where(mask[:, None, None, :] > 0, 0, -np.inf)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        context = (shares / shares.sum(-1, keepdims=True)) @ v
        attended = linear(context.transpose(0, 2, 1, 3).reshape(x.shape), f"{name}.attention.output.dense")
        x = norm(x + attended, f"{name}.attention.output.LayerNorm")
        inner = np.maximum(linear(x, f"{name}.intermediate.dense"), 0)
        x = norm(x + linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
    return x


def with_distances(folder: Path, kind: str) -> Path:
    """A BERT whose layers have tables of distances, as transformers 4 wrote them."""
    from safetensors.numpy import load_file, save_file

    model = TINIES["bert"].model(hidden_act="relu")
    save(model, folder, {"position_embedding_type": kind})
    weights = load_file(folder / "model.safetensors")
    rng = np.random.default_rng(5)
    for layer in range(2):
        table = rng.standard_normal((2 * POSITIONS - 1, 12)).astype(np.float32)
        weights[f"encoder.layer.{layer}.attention.self.distance_embedding.weight"] = table
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("kind", ["relative_key", "relative_key_query"])
def test_positions_by_distance(kind: str, tmp_path: Path) -> None:
    folder = with_distances(tmp_path, kind)
    ids, mask = padded(TEXTS, 0)
    ours = vectors_of(folder)(input_ids=ids, attention_mask=mask)
    theirs = pooled(relative_bert(folder, kind, ids, mask), mask)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
    typed = vectors_of(folder, token_types=True)
    alike = typed(input_ids=ids, attention_mask=mask, token_type_ids=np.zeros_like(ids))
    np.testing.assert_allclose(alike, ours, rtol=0, atol=1e-5)
    change_config(folder, {"position_embedding_type": "absolute"})
    assert np.abs(vectors_of(folder)(input_ids=ids, attention_mask=mask) - ours).max() > 0.01


# what only torch runs, and what nothing runs


@pytest.mark.parametrize(
    ("family", "changes", "named"),
    [
        ("bert", {"hidden_act": "xielu"}, "hidden_act = 'xielu'"),
        ("bert", {"hidden_act": ["gelu"]}, "hidden_act"),
        ("distilbert", {"activation": "prelu"}, "activation = 'prelu'"),
        ("modernbert", {"layer_types": ["chunked_attention"] * 4}, "chunked_attention"),
        ("modernbert", {"layer_types": ["full_attention"] * 3}, "each of the 4 layers"),
        ("modernbert", {"rope_scaling": {"rope_type": "longrope"}}, "of type 'longrope'"),
        ("nomic_bert", {"rope_parameters": {"rope_type": "proportional"}}, "proportional"),
        ("qwen3", {"rope_parameters": None, "rope_scaling": {"type": "unheard"}}, "of type 'unheard'"),
        ("qwen3", {"rope_parameters": {"rope_type": "yarn", "factor": "x"}}, "factor = 'x'"),
        ("qwen3", {"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor = 0.5"),
        ("qwen3", {"layer_types": ["full_attention", "sliding_attention"]}, "sliding_attention"),
    ],
)
def test_left_to_torch(
    family: str, changes: dict[str, Any], named: str, tmp_path: Path, tiny_folder: Make
) -> None:
    """The graph refuses, names the key, and does not advise to install what is installed."""
    folder = save(tiny_folder(family)[1], tmp_path, changes)
    assert not has_graph(spec_of(folder))
    with pytest.raises(UnsupportedModelError) as caught:
        build_body(spec_of(folder))
    message = str(caught.value)
    assert named in message and str(folder) in message
    assert "PyTorch runs it: use backend" in message and "install" not in message


@pytest.mark.parametrize(
    ("family", "changes", "named"),
    [
        ("bert", {"position_embedding_type": "alibi"}, "position_embedding_type = 'alibi'"),
        ("bert", {"pruned_heads": {"0": [1]}}, "pruned_heads"),
        ("distilbert", {"pruned_heads": {"1": [0]}}, "pruned_heads"),
    ],
)
def test_that_torch_does_not_compute_either(
    family: str, changes: dict[str, Any], named: str, tmp_path: Path, tiny_folder: Make
) -> None:
    folder = save(tiny_folder(family)[1], tmp_path, changes)
    with pytest.raises(UnsupportedModelError, match="does not compute it either") as caught:
        check_variant(spec_of(folder))
    assert named in str(caught.value) and "install" not in str(caught.value)
    change_config(folder, {"auto_map": {"AutoModel": "own.Model"}})
    with pytest.raises(UnsupportedModelError, match="trust_remote_code=True"):
        check_variant(spec_of(folder))
