"""Known architectures in variants that have no graph: torch runs them by itself, and gives the reference's numbers."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tinyfolder import BERT, VOCAB, wordpiece, write_json  # noqa: E402
from tinytransformers import TINIES, change_config, save  # noqa: E402

from vicinal import CrossEncoder, SentenceTransformer  # noqa: E402
from vicinal.errors import InputError, ModelFormatError, UnsupportedModelError  # noqa: E402
from vicinal.nn.engine.tokens import TorchEngine  # noqa: E402

pytestmark = pytest.mark.torch
TEXTS = ["the cat sat on the mat", "a dog", "", "hello world"]
PAIRS = [("the cat", "sat on the mat"), ("hello world", "dog"), ("", "query")]
_PAIR_KIND = "ForSequenceClassification"


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[..., tuple[Path, Any]]:
    """A tiny network with a tokenizer: ``(family, kind, weights options, changes) -> folder, network``."""

    def make(
        family: str, kind: str = "Model", saving: dict[str, Any] | None = None, **changes: Any
    ) -> tuple[Path, Any]:
        model = TINIES[family].model(kind, vocab_size=len(VOCAB), pad_token_id=0, **changes)
        save(model, tmp_path, **(saving or {}))
        wordpiece().save(str(tmp_path / "tokenizer.json"))
        settings = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": int(model.config.max_position_embeddings),
            "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
            "pad_token": "[PAD]",
        }
        write_json(tmp_path / "tokenizer_config.json", settings)
        return tmp_path, model

    return make


def means(folder: Path, network: Any) -> Any:
    """The reference: transformers' hidden states, averaged over the tokens of each text."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return np.stack(
            [
                network(**_read(tokenizer, network, text)).last_hidden_state[0].mean(0).numpy()
                for text in TEXTS
            ]
        )


def scores(folder: Path, network: Any) -> Any:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return np.stack([network(**_read(tokenizer, network, *pair)).logits[0].numpy() for pair in PAIRS])


def _read(tokenizer: Any, network: Any, *texts: str) -> dict[str, Any]:
    found = tokenizer(*texts, return_tensors="pt")
    if "token_type_ids" not in inspect.signature(network.forward).parameters:
        found.pop("token_type_ids", None)
    return dict(found)


# An activation that torch has and no graph; the first is not in older releases of transformers.
ONLY_TORCH = "sqrtsoftplus" if "sqrtsoftplus" in transformers.activations.ACT2CLS else "prelu"

CASES: list[tuple[str, dict[str, Any]]] = [
    ("bert", {"hidden_act": "prelu"}),
    ("distilbert", {"activation": ONLY_TORCH}),
    (
        "qwen3",
        {
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 900.0,
                "factor": 2.0,
                "short_factor": [1.1] * 5,
                "long_factor": [2.0] * 5,
                "original_max_position_embeddings": 20,
            }
        },
    ),
]


@pytest.mark.parametrize(("family", "changes"), CASES, ids=[family for family, _ in CASES])
def test_vectors(family: str, changes: dict[str, Any], folder_of: Callable[..., Any]) -> None:
    folder, network = folder_of(family, **changes)
    model = SentenceTransformer(folder, device="cpu", dtype="float32")
    assert isinstance(model._engine, TorchEngine)
    np.testing.assert_allclose(model.encode(TEXTS), means(folder, network), rtol=0, atol=1e-5)
    for backend in ("openvino", "onnx"):
        with pytest.raises(UnsupportedModelError, match=r"PyTorch runs it: use backend='auto'"):
            SentenceTransformer(folder, device="cpu", backend=backend)
    with pytest.raises(InputError, match="dtype='int8' needs a quantised graph"):
        SentenceTransformer(folder, device="cpu", dtype="int8")
    with pytest.raises(InputError, match=r"file_name='model\.onnx' asks for a graph file"):
        SentenceTransformer(folder, device="cpu", backend="torch", model_kwargs={"file_name": "model.onnx"})


@pytest.mark.parametrize(("family", "changes"), CASES[:2], ids=["bert", "distilbert"])
def test_scores(family: str, changes: dict[str, Any], folder_of: Callable[..., Any]) -> None:
    folder, network = folder_of(family, _PAIR_KIND, num_labels=3, **changes)
    model = CrossEncoder(folder, device="cpu", dtype="float32", activation_fn="Identity")
    np.testing.assert_allclose(model.predict(PAIRS), scores(folder, network), rtol=0, atol=1e-5)
    assert isinstance(model._engine, TorchEngine) and model.num_labels == 3
    with pytest.raises(InputError, match="dtype='int8' asks for a graph file"):
        CrossEncoder(folder, device="cpu", backend="torch", dtype="int8")


def test_a_head_that_only_torch_runs(folder_of: Callable[..., Any]) -> None:
    """The same weights have a graph as a model of vectors, and none as a cross-encoder."""
    folder, network = folder_of("modernbert", _PAIR_KIND, classifier_activation=ONLY_TORCH)
    model = CrossEncoder(folder, device="cpu", dtype="float32", activation_fn="Identity")
    np.testing.assert_allclose(model.predict(PAIRS), scores(folder, network), rtol=0, atol=1e-5)
    assert isinstance(model._engine, TorchEngine)


def _in_shards(folder: Path, prefix: str = "") -> None:
    """``pytorch_model.bin`` in two shards, as transformers 4 wrote large models."""
    from safetensors.torch import load_file

    tensors = load_file(folder / "model.safetensors")
    names = list(tensors)
    where = {name: f"pytorch_model-0000{1 + (place % 2)}-of-00002.bin" for place, name in enumerate(names)}
    for file in set(where.values()):
        torch.save({name: tensors[name] for name in names if where[name] == file}, folder / file)
    write_json(folder / "pytorch_model.bin.index.json", {"metadata": {}, "weight_map": where})
    (folder / "model.safetensors").unlink()


def test_pickled_weights_in_shards(folder_of: Callable[..., Any], tmp_path: Path) -> None:
    folder, network = folder_of("bert")
    expected = means(folder, network)
    _in_shards(folder)
    for backend in ("auto", "torch"):
        model = SentenceTransformer(folder, device="cpu", dtype="float32", backend=backend)
        np.testing.assert_allclose(model.encode(TEXTS), expected, rtol=0, atol=1e-4)
    SentenceTransformer(folder, device="cpu", dtype="float32").save(tmp_path / "saved")
    again = SentenceTransformer(tmp_path / "saved", device="cpu", dtype="float32")
    np.testing.assert_allclose(again.encode(TEXTS), expected, rtol=0, atol=1e-4)
    (folder / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(ModelFormatError, match=r"pytorch_model-00002-of-00002\.bin is missing"):
        SentenceTransformer(folder, device="cpu").encode(TEXTS)


@pytest.mark.parametrize("saving", [None, {"max_shard_size": "20KB"}])
def test_weights_of_a_scorer_in_shards(saving: Any, folder_of: Callable[..., Any]) -> None:
    folder, network = folder_of("bert", _PAIR_KIND, saving, num_labels=2)
    expected = scores(folder, network)
    if saving is None:
        _in_shards(folder)
    model = CrossEncoder(folder, device="cpu", dtype="float32", activation_fn="Identity")
    np.testing.assert_allclose(model.predict(PAIRS), expected, rtol=0, atol=1e-4)


def test_what_transformers_would_leave_out(folder_of: Callable[..., Any]) -> None:
    """The graph has positions by distance; torch must not run the model as if config.json did not say so."""
    folder, _ = folder_of("bert", _PAIR_KIND)
    change_config(folder, {"position_embedding_type": "relative_key"})
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    for layer in range(2):
        name = f"bert.encoder.layer.{layer}.attention.self.distance_embedding.weight"
        weights[name] = np.random.default_rng(layer).standard_normal((79, 12)).astype(np.float32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model = CrossEncoder(folder, device="cpu")
    assert np.isfinite(model.predict(PAIRS)).all()
    change_config(folder, {"architectures": ["BertModel"]})
    vectors = SentenceTransformer(folder, device="cpu")
    assert np.isfinite(vectors.encode(TEXTS)).all()
    told = r"position_embedding_type = 'relative_key' \(transformers computes only 'absolute'"
    for use in (
        lambda: model.module,
        lambda: vectors.module,
        lambda: CrossEncoder(folder, device="cpu", backend="torch"),
        lambda: SentenceTransformer(folder, device="cpu", backend="torch"),
    ):
        with pytest.raises(UnsupportedModelError, match=told):
            use()


def test_nomic_keys_of_the_hub_in_torch(folder_of: Callable[..., Any]) -> None:
    """transformers would take its own defaults where the hub's config.json has other names."""
    folder, network = folder_of("nomic_bert", rope_parameters={"rope_type": "default", "rope_theta": 77.0})
    expected = means(folder, network)
    hub = {
        "model_type": "nomic_bert",
        "activation_function": "swiglu",
        "layer_norm_epsilon": 1e-12,
        "n_embd": 36,
        "n_head": 3,
        "n_inner": 50,
        "n_layer": 2,
        "n_positions": 40,
        "rotary_emb_base": 77,
        "vocab_size": len(VOCAB),
        "type_vocab_size": 2,
    }
    write_json(folder / "config.json", hub)
    for backend in ("auto", "torch"):
        model = SentenceTransformer(folder, device="cpu", dtype="float32", backend=backend)
        np.testing.assert_allclose(model.encode(TEXTS), expected, rtol=0, atol=1e-4)
    write_json(folder / "config.json", {**hub, "prenorm": True})
    for backend in ("auto", "torch"):
        with pytest.raises(UnsupportedModelError, match="prenorm = True"):
            SentenceTransformer(folder, device="cpu", backend=backend)


_OWN = """
from transformers import BertModel

class Doubling(BertModel):
    def forward(self, input_ids=None, attention_mask=None, **kwargs):
        found = super().forward(input_ids=input_ids, attention_mask=attention_mask, **kwargs)
        found.last_hidden_state = 2 * found.last_hidden_state
        return found
"""


def test_code_that_the_folder_brings(
    folder_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With the user's word it runs, and is not taken for the architecture that it says it is."""
    import transformers.dynamic_module_utils as dynamic

    monkeypatch.setattr(dynamic, "HF_MODULES_CACHE", str(tmp_path_factory.mktemp("modules")))
    folder, network = folder_of("bert")
    expected = means(folder, network)
    (folder / "own_code.py").write_text(_OWN)
    change_config(folder, {"auto_map": {"AutoModel": "own_code.Doubling"}})
    plain = SentenceTransformer(folder, device="cpu", dtype="float32")
    np.testing.assert_allclose(plain.encode(TEXTS), expected, rtol=0, atol=1e-4)
    trusted = SentenceTransformer(folder, device="cpu", dtype="float32", trust_remote_code=True)
    np.testing.assert_allclose(trusted.encode(TEXTS), 2 * expected, rtol=0, atol=1e-4)
    with torch.no_grad():
        for parameter in trusted.parameters():
            parameter.mul_(1.0)
    trusted.module[0].auto_model.embeddings.word_embeddings.weight.data[5] += 0.0
    np.testing.assert_allclose(trusted.encode(TEXTS), 2 * expected, rtol=0, atol=1e-4)


def test_the_message_of_an_unknown_architecture(tmp_path: Path) -> None:
    from tinyfolder import make_folder

    folder = Path(make_folder(tmp_path, model_type="newest"))
    for options in ({}, {"backend": "openvino"}):
        with pytest.raises(UnsupportedModelError) as caught:
            SentenceTransformer(folder, device="cpu", **options)  # type: ignore[arg-type]
        assert "install" not in str(caught.value)
    assert json.loads((folder / "config.json").read_text()) == {**BERT, "model_type": "newest"}
