"""What is changed inside a network, beside its weights, is what encode and predict compute.

The right value is the model's own forward, as torch computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

import vicinal  # noqa: E402
import vicinal.torch  # noqa: E402
from vicinal.engine.graphs.source import SentenceGraph  # noqa: E402

pytestmark = pytest.mark.torch
TEXTS = ["a b c d", "e", "f g a b c d e f g a b c"]
PAIRS = [("a b", "c d e"), ("f", "g a b c")]
LAYERS = 4


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write(folder: Path, head: bool = False, words: int = 12) -> str:
    """A random BERT whose every part tells."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"][:words]
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=24,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        initializer_range=0.5,
        num_labels=1,
    )
    torch.manual_seed(0)
    kind = transformers.BertForSequenceClassification if head else transformers.BertModel
    kind(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    transformers.BertTokenizer(str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
    return str(folder)


def fewer_layers(network: Any) -> None:
    network.encoder.layer = torch.nn.ModuleList([network.encoder.layer[each] for each in (0, 3)])


def fewer_layers_in_the_config_too(network: Any) -> None:
    fewer_layers(network)
    network.config.num_hidden_layers = 2


def deleted_layers(network: Any) -> None:
    del network.encoder.layer[2:]


def other_activations(network: Any) -> None:
    for layer in network.encoder.layer:
        layer.intermediate.intermediate_act_fn = torch.nn.ReLU()


def an_activation_that_is_a_function(network: Any) -> None:
    del network.encoder.layer[0].intermediate.intermediate_act_fn
    network.encoder.layer[0].intermediate.intermediate_act_fn = torch.tanh


def no_norm(network: Any) -> None:
    network.encoder.layer[1].output.LayerNorm = torch.nn.Identity()


def other_eps(network: Any) -> None:
    network.embeddings.LayerNorm.eps = 0.5


def other_heads(network: Any) -> None:
    for layer in network.encoder.layer:
        layer.attention.self.num_attention_heads = 4
        layer.attention.self.attention_head_size = 6


def a_layer_used_twice(network: Any) -> None:
    network.encoder.layer.append(network.encoder.layer[0])


def other_positions(network: Any) -> None:
    network.embeddings.position_ids.add_(3)


def no_bias(network: Any) -> None:
    network.encoder.layer[1].intermediate.dense = torch.nn.Linear(24, 32, bias=False)


CHANGES: list[Callable[[Any], None]] = [
    fewer_layers,
    fewer_layers_in_the_config_too,
    deleted_layers,
    other_activations,
    an_activation_that_is_a_function,
    no_norm,
    other_eps,
    other_heads,
    a_layer_used_twice,
    other_positions,
    no_bias,
]


def forward(model: Any) -> Any:
    """The vectors by the model's own modules."""
    rows = []
    with torch.no_grad():
        for text in TEXTS:
            rows.append(model.module(model.preprocess([text]))["sentence_embedding"][0].numpy())
    return np.stack(rows)


@pytest.mark.parametrize(
    ("flavour", "change"),
    [*(("plain", change) for change in CHANGES), ("torch", fewer_layers), ("torch", other_eps)],
)
def test_encode(tmp_path: Path, flavour: str, change: Callable[[Any], None]) -> None:
    make = vicinal.SentenceTransformer if flavour == "plain" else vicinal.torch.SentenceTransformer
    model = make(write(tmp_path), dtype="float32", device="cpu")
    before = model.encode(TEXTS)
    change(model[0].auto_model)
    found = model.encode(TEXTS)
    np.testing.assert_allclose(found, forward(model), atol=2e-5)
    assert np.abs(found - before).max() > 1e-2


@pytest.mark.parametrize("change", CHANGES)
def test_predict(tmp_path: Path, change: Callable[[Any], None]) -> None:
    model = vicinal.CrossEncoder(write(tmp_path, head=True), dtype="float32", device="cpu")
    before = model.predict(PAIRS, activation_fn="Identity")
    change(model.model.bert)
    found = model.predict(PAIRS, activation_fn="Identity")
    with torch.no_grad():
        wanted = [float(model.module(model.module[0].tokenize([pair]))["scores"][0, 0]) for pair in PAIRS]
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert np.abs(found - before).max() > 1e-3


def test_what_stays_or_is_trained_stays_fast(tmp_path: Path) -> None:
    model = vicinal.SentenceTransformer(write(tmp_path), device="cpu")
    network = model[0].auto_model
    assert isinstance(model._graph, SentenceGraph)
    network.train()
    model(model.preprocess(TEXTS))["sentence_embedding"].sum().backward()
    model.eval()
    with torch.no_grad():
        network.embeddings.word_embeddings.weight += 0.1
    network.resize_token_embeddings(20)
    model.encode(TEXTS)
    assert isinstance(model._graph, SentenceGraph)
    fewer_layers_in_the_config_too(network)
    model.encode(TEXTS)
    assert isinstance(model._graph, SentenceGraph)
    deleted = network.encoder.layer[1].output.LayerNorm
    deleted.eps = 0.5
    model.encode(TEXTS)
    assert model._graph is None


def test_hooks_see_what_the_tokenizer_gives(tmp_path: Path) -> None:
    model = vicinal.torch.SentenceTransformer(write(tmp_path), device="cpu", dtype="float32")
    seen: list[set[str]] = []
    model[0].register_forward_pre_hook(lambda module, given: seen.append(set(given[0])))
    expected = model(model.tokenize(TEXTS))["sentence_embedding"].detach().numpy()
    np.testing.assert_allclose(model.encode(TEXTS), expected, atol=1e-5)
    assert all({"input_ids", "token_type_ids", "attention_mask"} <= names for names in seen)
    assert len(seen) > 1


def test_another_pooling_mode_is_what_encode_computes(tmp_path: Path) -> None:
    model = vicinal.torch.SentenceTransformer(write(tmp_path), device="cpu", dtype="float32")
    before = model.encode(TEXTS)
    for mode, width in (("max", 24), (("cls", "mean"), 48)):
        model[1].pooling_mode = mode
        assert model[1].pooling_mode == mode
        assert model[1].pooling_output_dimension == width
        expected = model(model.tokenize(TEXTS))["sentence_embedding"].detach().numpy()
        np.testing.assert_allclose(model.encode(TEXTS), expected, atol=1e-5)
    np.testing.assert_allclose(model.encode(TEXTS)[:, 24:], before, atol=1e-5)


def test_positions_of_packed_rows(tmp_path: Path) -> None:
    """Several texts that pack, as in training."""
    model = vicinal.SentenceTransformer(write(tmp_path), dtype="float32", device="cpu")
    model[0].auto_model.embeddings.position_ids.add_(3)
    texts = ["a b c", "d", "e f"] * 12
    with torch.no_grad():
        found = model.module(model.preprocess(texts))["sentence_embedding"].numpy()
    np.testing.assert_allclose(found, model.encode(texts), atol=2e-5)


PARTS: dict[str, Callable[[Any], None]] = {
    "normalizer": lambda backend: setattr(backend, "normalizer", tokenizers.normalizers.Replace("a", "b")),
    "a setting of the normalizer": lambda backend: setattr(backend.normalizer, "lowercase", False),
    "pre_tokenizer": lambda backend: setattr(
        backend,
        "pre_tokenizer",
        tokenizers.pre_tokenizers.Sequence(
            [tokenizers.pre_tokenizers.WhitespaceSplit(), tokenizers.pre_tokenizers.Split("b", "removed")]
        ),
    ),
    "post_processor": lambda backend: setattr(
        backend, "post_processor", tokenizers.processors.TemplateProcessing("$A", "$A $B", [])
    ),
    "model": lambda backend: setattr(
        backend,
        "model",
        tokenizers.models.WordPiece(
            {word: 23 - number for number, word in enumerate(sorted(backend.get_vocab()))}, unk_token="[UNK]"
        ),
    ),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("encoded_before", [True, False])
def test_parts_of_the_tokenizer(tmp_path: Path, part: str, encoded_before: bool) -> None:
    model = vicinal.torch.SentenceTransformer(write(tmp_path, words=24), dtype="float32", device="cpu")
    texts = ["A b c d", "a b", "f G a B"]
    before = vicinal.SentenceTransformer(str(tmp_path), dtype="float32").encode(texts)
    if encoded_before:
        model.encode(texts)
    PARTS[part](model.tokenizer.backend_tokenizer)
    found = model.encode(texts)
    rows = [model(model.tokenize([text]))["sentence_embedding"][0].detach().numpy() for text in texts]
    np.testing.assert_allclose(found, np.stack(rows), atol=2e-5)
    assert np.abs(found - before).max() > 1e-2


def test_tokenizing_changes_no_engine(tmp_path: Path) -> None:
    """Truncation and padding are set for each call of transformers' tokenizer."""
    model = vicinal.torch.SentenceTransformer(write(tmp_path), device="cpu")
    _ = model[0]
    model.encode(TEXTS)
    engine = model._engine
    model.tokenize([*TEXTS, "a " * 100])
    model.tokenizer(TEXTS, padding="max_length", truncation=True, max_length=7)
    model.encode(TEXTS)
    assert model._engine is engine


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize("place", ["pooling", "intermediate"])
def test_a_patched_class(tmp_path: Path, place: str, built: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.models.bert import modeling_bert

    from vicinal.nn.modules.pooling import Pooling

    model = vicinal.torch.SentenceTransformer(write(tmp_path), dtype="float32", device="cpu")
    before = model.encode(TEXTS)
    if built:
        _ = model[0]
    patched = Pooling if place == "pooling" else modeling_bert.BertIntermediate
    original = patched.forward

    def forward(self: Any, features: Any) -> Any:
        found = original(self, features)
        if not isinstance(found, dict):
            return found * 2
        return {**found, "sentence_embedding": found["sentence_embedding"] * 2}

    monkeypatch.setattr(patched, "forward", forward)
    found = model.encode(TEXTS)
    assert np.abs(found - before).max() > 1e-2
    rows = [model(model.tokenize([text]))["sentence_embedding"][0].detach().numpy() for text in TEXTS]
    np.testing.assert_allclose(found, np.stack(rows), atol=2e-5)
    monkeypatch.undo()
    np.testing.assert_allclose(model.encode(TEXTS), before, atol=2e-5)


def test_hooks_of_all_modules(tmp_path: Path) -> None:
    model = vicinal.torch.SentenceTransformer(write(tmp_path), dtype="float32", device="cpu")
    before = model.encode(TEXTS)
    handle = torch.nn.modules.module.register_module_forward_hook(
        lambda module, args, output: output * 2 if isinstance(module, torch.nn.LayerNorm) else None
    )
    try:
        found = model.encode(TEXTS)
    finally:
        handle.remove()
    assert np.abs(found - before).max() > 1e-2
    np.testing.assert_allclose(model.encode(TEXTS), before, atol=2e-5)


def test_an_activation_that_no_folder_names(tmp_path: Path) -> None:
    inner = vicinal.models.Transformer(write(tmp_path), model_args={"torch_dtype": "float32"})
    dense = vicinal.models.Dense(24, 4, activation_function=torch.nn.Softplus())
    model = vicinal.SentenceTransformer(modules=[inner, vicinal.models.Pooling(24), dense], device="cpu")
    np.testing.assert_allclose(model.encode(TEXTS), forward(model), atol=2e-5)
