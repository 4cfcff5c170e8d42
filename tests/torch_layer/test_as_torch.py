"""The models as torch modules: what torch code does to a module reaches the model, and encode follows."""

from __future__ import annotations

import copy
import io
import json
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from torch import nn  # noqa: E402

import vicinal  # noqa: E402
from vicinal import losses, models  # noqa: E402
from vicinal.torch import CrossEncoder, SentenceTransformer  # noqa: E402

pytestmark = pytest.mark.torch
TEXTS = ["the cat sat on the mat", "a dog", "hello world"]


@pytest.fixture
def model(tiny_bert: Path) -> Any:
    return SentenceTransformer(str(tiny_bert), device="cpu", dtype="float32")


@pytest.fixture
def plain(tiny_bert: Path) -> Any:
    return vicinal.SentenceTransformer(str(tiny_bert), device="cpu", dtype="float32").encode(TEXTS)


def by_calling(model: Any, texts: list[str] = TEXTS) -> Any:
    """What the model gives when it is called as a module."""
    model.eval()
    with torch.no_grad():
        return model(model.tokenize(texts))["sentence_embedding"].float().numpy()


class Classifier(nn.Module):
    """What a user writes around an encoder."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(16, 2)

    def forward(self, features: dict[str, Any]) -> Any:
        return self.head(self.encoder(features)["sentence_embedding"])


def test_it_is_both(model: Any) -> None:
    assert isinstance(model, nn.Sequential) and isinstance(model, vicinal.SentenceTransformer)
    assert [type(each) for each in model] == [models.Transformer, models.Pooling, models.Normalize]
    assert list(model.state_dict()) == list(model.module.state_dict())
    assert len(model) == 3 and model[-1] is list(model.children())[-1] and bool(model)
    assert model.get_submodule("0.auto_model.encoder") is model[0].auto_model.encoder


def test_loading_and_encoding_make_no_modules(tiny_bert: Path) -> None:
    script = f"""
import sys, json, pickle, copy
from vicinal.torch import SentenceTransformer
model = SentenceTransformer({str(tiny_bert)!r}, device="cpu")
model.eval(), model.train(False), model.to("cpu"), dir(model), bool(model)
model.note = 3
model = pickle.loads(pickle.dumps(copy.deepcopy(model)))
model.encode({TEXTS!r})
print(json.dumps([model._is_built, "transformers" in sys.modules]))
list(model.parameters())
print(json.dumps([model._is_built, "transformers" in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [[False, False], [True, True]]


def test_an_attribute_of_a_module_is_trained_moved_and_saved_with_it(model: Any, plain: Any) -> None:
    classifier = Classifier(model)
    np.testing.assert_allclose(model.encode(TEXTS), plain, atol=1e-6)
    inner = {f"encoder.{name}" for name in model.state_dict()}
    assert inner < set(classifier.state_dict())
    assert len(list(classifier.parameters())) == len(list(model.module.parameters())) + 2
    before = {name: each.clone() for name, each in classifier.state_dict().items()}
    classifier.train()
    assert model.training and model[0].auto_model.training and model.module.training
    optimizer = torch.optim.SGD(classifier.parameters(), lr=0.5)
    classifier(model.tokenize(TEXTS)).square().sum().backward()
    optimizer.step()
    classifier.eval()
    assert not model[0].auto_model.training
    after = model.encode(TEXTS)
    assert np.abs(after - plain).max() > 1e-3
    np.testing.assert_allclose(after, by_calling(model), atol=1e-5)
    classifier.load_state_dict(before)
    np.testing.assert_allclose(model.encode(TEXTS), plain, atol=1e-6)


def test_a_loss_owns_its_model(model: Any, plain: Any) -> None:
    loss = losses.CosineSimilarityLoss(model)
    assert {id(each) for each in model.parameters()} <= {id(each) for each in loss.parameters()}
    optimizer = torch.optim.AdamW(loss.parameters(), lr=0.01)
    loss.train()
    loss([model.tokenize(TEXTS), model.tokenize(TEXTS[::-1])], torch.tensor([1.0, 0, 1])).backward()
    optimizer.step()
    assert np.abs(model.encode(TEXTS) - plain).max() > 1e-4
    np.testing.assert_allclose(model.encode(TEXTS), by_calling(model), atol=1e-5)


def hooked(model: Any) -> None:
    def double(module: Any, given: Any, made: dict[str, Any]) -> dict[str, Any]:
        return {**made, "token_embeddings": made["token_embeddings"] * 2 + 1}

    model[0].register_forward_hook(double)


def hooked_as_a_whole(model: Any) -> None:
    def first_only(module: Any, given: Any, made: dict[str, Any]) -> dict[str, Any]:
        return {**made, "sentence_embedding": made["sentence_embedding"] * torch.eye(16)[0]}

    model.register_forward_hook(first_only)


def hooked_before(model: Any) -> None:
    def blank(module: Any, given: Any) -> Any:
        return (torch.zeros_like(given[0]), *given[1:])

    model[0].auto_model.encoder.layer[1].output.dense.register_forward_pre_hook(blank)


def replaced_forward(model: Any) -> None:
    inner = model[0].auto_model
    original = inner.forward

    def shifted(*args: Any, **kwargs: Any) -> Any:
        found = original(*args, **kwargs)
        found.last_hidden_state = found.last_hidden_state + torch.arange(16)
        return found

    inner.forward = shifted


def wrapped(model: Any) -> None:
    class Wrapper(nn.Module):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return self.inner(*args, **kwargs) * torch.arange(16)

    model[0].auto_model.encoder.layer[0].attention.output.dense = Wrapper(
        model[0].auto_model.encoder.layer[0].attention.output.dense
    )


def shorter(model: Any) -> None:
    del model[-1]


def longer(model: Any) -> None:
    model.append(models.Dense(16, 5))


def other_first(model: Any) -> None:
    model[1] = models.Pooling(16, "cls")


def other_parameter(model: Any) -> None:
    model[0].auto_model.embeddings.LayerNorm.weight = nn.Parameter(torch.arange(16.0))


CHANGES: dict[str, Callable[[Any], None]] = {
    each.__name__: each
    for each in (
        hooked,
        hooked_as_a_whole,
        hooked_before,
        replaced_forward,
        wrapped,
        shorter,
        longer,
        other_first,
        other_parameter,
    )
}


@pytest.mark.parametrize("name", CHANGES)
def test_encode_computes_what_the_modules_do(name: str, model: Any, plain: Any) -> None:
    CHANGES[name](model)
    found = model.encode(TEXTS)
    assert found.shape != plain.shape or np.abs(found - plain).max() > 1e-3
    np.testing.assert_allclose(found, by_calling(model), atol=1e-5)
    np.testing.assert_allclose(model.encode(TEXTS[1]), found[1], atol=1e-5)


def test_the_fast_engine_comes_back(model: Any, plain: Any) -> None:
    _ = model[0]
    model.encode(TEXTS)
    fast = type(model._engine)
    for where in (model, model[0], model[0].auto_model.encoder):
        handle = where.register_forward_hook(lambda *_: None)
        np.testing.assert_allclose(model.encode(TEXTS), plain, atol=1e-5)
        assert type(model._engine) is not fast
        handle.remove()
        np.testing.assert_allclose(model.encode(TEXTS), plain, atol=1e-6)
        assert type(model._engine) is fast


def test_a_global_hook_is_run(model: Any) -> None:
    seen = []
    handle = nn.modules.module.register_module_forward_hook(lambda module, *_: seen.append(type(module)))
    try:
        _ = model[0]
        model.encode(TEXTS)
    finally:
        handle.remove()
    assert models.Pooling in seen


class Halved(SentenceTransformer):
    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        made = super().forward(features, **kwargs)
        return {**made, "sentence_embedding": made["sentence_embedding"][:, :8]}


class Shouting(SentenceTransformer):
    def tokenize(self, texts: Any, **kwargs: Any) -> Any:
        return super().tokenize(["hello " + text for text in texts], **kwargs)


def test_overridden_methods_count(tiny_bert: Path, plain: Any) -> None:
    halved = Halved(str(tiny_bert), device="cpu", dtype="float32")
    np.testing.assert_allclose(halved.encode(TEXTS), plain[:, :8], atol=1e-5)
    shouting = Shouting(str(tiny_bert), device="cpu", dtype="float32")
    expected = vicinal.SentenceTransformer(str(tiny_bert), device="cpu", dtype="float32").encode(
        ["hello " + text for text in TEXTS]
    )
    np.testing.assert_allclose(shouting.encode(TEXTS), expected, atol=1e-5)


class Renamed(SentenceTransformer):
    def preprocess(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        return super().preprocess(["hello " + text for text in inputs], *args, **kwargs)


def test_an_overridden_preprocess_counts(tiny_bert: Path, model: Any) -> None:
    renamed = Renamed(str(tiny_bert), device="cpu", dtype="float32")
    expected = model.encode(["hello " + text for text in TEXTS])
    np.testing.assert_allclose(renamed.encode(TEXTS), expected, atol=1e-5)
    assert not np.allclose(model.encode(TEXTS), expected, atol=1e-3)
    model.preprocess = renamed.preprocess  # on the object
    np.testing.assert_allclose(model.encode(TEXTS), expected, atol=1e-5)


def test_a_transformer_computes_in_the_dtype_that_it_was_given(tiny_bert: Path) -> None:
    for name in ("model_args", "model_kwargs"):
        for dtype in ("float32", torch.float32):
            words = models.Transformer(str(tiny_bert), **{name: {"torch_dtype": dtype}})
            made = SentenceTransformer(modules=[words, models.Pooling(words.get_embedding_dimension())])
            assert str(made.dtype) == "float32"
            np.testing.assert_allclose(made.encode(TEXTS), by_calling(made), atol=1e-5)


def test_state_dictionaries_by_the_names_of_version_6_are_read(model: Any) -> None:
    state = {name.replace("auto_model.", "model."): each * 0.5 for name, each in model.state_dict().items()}
    assert list(state) != list(model.state_dict())
    assert str(model.load_state_dict(state)) == "<All keys matched successfully>"
    for name, each in model.state_dict().items():
        assert torch.equal(each, state[name.replace("auto_model.", "model.")])
    assert set(state) == {
        name.replace("auto_model.", "model.") for name in model.state_dict()
    }  # the caller's stays


def by_deepcopy(model: Any) -> Any:
    return copy.deepcopy(model)


def by_pickle(model: Any) -> Any:
    return pickle.loads(pickle.dumps(model))


def by_torch_save(model: Any) -> Any:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("copied", [by_deepcopy, by_pickle, by_torch_save])
def test_copies_are_models_of_their_own(copied: Any, built: bool, model: Any, plain: Any) -> None:
    if built:
        _ = model[0]
    other = copied(model)
    np.testing.assert_allclose(other.encode(TEXTS), plain, atol=1e-6)
    assert other._is_built is built
    with torch.no_grad():
        next(other.parameters()).mul_(3)
    assert np.abs(other.encode(TEXTS) - plain).max() > 1e-3
    np.testing.assert_allclose(other.encode(TEXTS), by_calling(other), atol=1e-5)
    np.testing.assert_allclose(model.encode(TEXTS), plain, atol=1e-6)


def test_what_torch_wraps(model: Any, plain: Any) -> None:
    features = model.tokenize(TEXTS)
    parallel = nn.DataParallel(model)
    np.testing.assert_allclose(parallel(features)["sentence_embedding"].detach().numpy(), plain, atol=1e-5)
    replica = model._replicate_for_data_parallel()
    replica._modules["1"] = models.Pooling(16, "cls")
    assert model[1].pooling_mode != "cls" and replica._modules is not model._modules
    compiled = torch.compile(model, backend="eager")
    np.testing.assert_allclose(compiled.encode(TEXTS), plain, atol=1e-5)
    model.share_memory()
    assert all(each.is_shared() for each in model.parameters())


def test_types_and_devices(model: Any, plain: Any) -> None:
    model.double()
    assert {each.dtype for each in model.parameters()} == {torch.float64}
    np.testing.assert_allclose(model.encode(TEXTS), plain, atol=1e-5)
    wrapper = nn.ModuleList([model])
    wrapper.to("meta")
    assert model.device == "meta"


def test_dynamic_quantisation_is_what_encode_computes(tiny_bert: Path) -> None:
    engines = torch.backends.quantized.supported_engines
    if not {"fbgemm", "x86", "qnnpack", "onednn"} & set(engines):
        pytest.skip("this torch quantises nothing")
    model = SentenceTransformer(str(tiny_bert), device="cpu", dtype="float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch is about to move it elsewhere
        small = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    found = small.encode(TEXTS)
    assert np.abs(found - model.encode(TEXTS)).max() > 0
    np.testing.assert_allclose(found, by_calling(small), atol=1e-5)


def test_a_subclass_made_of_modules(tiny_bert: Path, plain: Any) -> None:
    class Own(SentenceTransformer):
        def __init__(self) -> None:
            transformer = models.Transformer(str(tiny_bert))
            pooling = models.Pooling(transformer.get_word_embedding_dimension())
            super().__init__(
                modules=[transformer, pooling, models.Normalize()], device="cpu", dtype="float32"
            )

    np.testing.assert_allclose(Own().encode(TEXTS), plain, atol=1e-5)


class TestCrossEncoder:
    @pytest.fixture
    def scorer(self, shared_dir: Path) -> Any:
        return CrossEncoder(shared_dir / "models/cross-encoder-stsb", device="cpu", dtype="float32")

    def test_hooks_and_overrides_count(self, scorer: Any, shared_dir: Path) -> None:
        pairs = [("a cat sits", "the cat is sitting"), ("a dog", "the house is red")]
        plain = scorer.predict(pairs)
        assert not scorer._is_built and isinstance(scorer, nn.Sequential)
        inner = scorer.model.forward

        def shifted(*args: Any, **kwargs: Any) -> Any:
            found = inner(*args, **kwargs)
            found.logits = found.logits + 1
            return found

        scorer.model.forward = shifted
        logit = np.log(plain / (1 - plain)) + 1
        np.testing.assert_allclose(scorer.predict(pairs), 1 / (1 + np.exp(-logit)), atol=1e-4)
        del scorer.model.forward
        np.testing.assert_allclose(scorer.predict(pairs), plain, atol=1e-5)

        class Constant(CrossEncoder):
            def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
                made = super().forward(features, **kwargs)
                return {**made, "scores": made["scores"] * 0}

        constant = Constant(shared_dir / "models/cross-encoder-stsb", device="cpu", dtype="float32")
        np.testing.assert_allclose(constant.predict(pairs), 0.5, atol=1e-6)
        assert len(list(nn.ModuleList([scorer]).parameters())) == len(list(scorer.model.parameters()))

    def test_an_activation_is_no_child(self, scorer: Any) -> None:
        scorer.activation_fn = nn.Tanh()
        assert len(scorer) == 1
        raw = scorer.predict([("a", "b")], activation_fn="Identity")
        np.testing.assert_allclose(scorer.predict([("a", "b")]), np.tanh(raw), atol=1e-6)
