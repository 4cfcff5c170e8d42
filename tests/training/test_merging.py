"""merge: a weighted mean of all weights, mergekit's methods with its figures, and models that differ are refused."""

from __future__ import annotations

import copy
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytestmark = pytest.mark.torch

from tinybert import write_tiny  # noqa: E402

from vicinal import CrossEncoder, SentenceTransformer  # noqa: E402
from vicinal.errors import InputError, InputTypeError, MissingExtraError  # noqa: E402

DENSE = "0.auto_model.encoder.layer.1.output.dense.weight"
mergekit = pytest.mark.skipif(
    importlib.util.find_spec("mergekit") is None, reason="mergekit is not installed"
)


def shifted(model: Any, seed: int, by: float = 0.1) -> Any:
    other = copy.deepcopy(model)
    drawn = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in other.module.parameters():
            weight.add_(by * torch.randn(weight.shape, generator=drawn))
    return other


@pytest.fixture
def models(tmp_path: Path) -> list[Any]:
    first = SentenceTransformer(str(write_tiny(tmp_path / "tiny")), device="cpu")
    return [first, shifted(first, 0), shifted(first, 1)]


def weights(model: Any) -> dict[str, Any]:
    return {key: value.double().numpy() for key, value in model.state_dict().items()}


@pytest.mark.parametrize(
    ("parameters", "shares"),
    [
        (None, [1 / 3, 1 / 3, 1 / 3]),
        ({"weight": [0.6, 0.3, 0.1]}, [0.6, 0.3, 0.1]),
        ({"weight": {2: 1, 0: 2, 1: 1}}, [0.5, 0.25, 0.25]),
        ({"weight": 7.0}, [1 / 3, 1 / 3, 1 / 3]),
        ({"weight": [2, 1, 0], "normalize": False}, [2, 1, 0]),
    ],
)
def test_linear_is_the_weighted_mean(models: list[Any], parameters: Any, shares: list[float]) -> None:
    before = [weights(each) for each in models]
    merged = SentenceTransformer.merge(models, parameters=parameters)
    for key, found in weights(merged).items():
        np.testing.assert_allclose(
            found, sum(s * w[key] for s, w in zip(shares, before, strict=True)), atol=2e-7
        )
    for model, old in zip(models, before, strict=True):
        assert all(np.array_equal(value, old[key]) for key, value in weights(model).items())
    assert not merged.training


def test_the_merged_model_encodes_with_its_weights_and_can_be_saved(
    models: list[Any], tmp_path: Path
) -> None:
    first, second, _ = models
    first.prompts = {"query": "the "}
    first.max_seq_length = 9
    old = first.encode(["a big cat"])
    merged = SentenceTransformer.merge([first, second])
    assert merged.max_seq_length == 9 and merged.prompts["query"] == "the "
    vectors = merged.encode(["a big cat"])
    assert not np.allclose(vectors, old, atol=1e-3)
    assert np.array_equal(first.encode(["a big cat"]), old)
    merged.save(str(tmp_path / "merged"))
    again = SentenceTransformer(str(tmp_path / "merged"), device="cpu")
    np.testing.assert_allclose(again.encode(["a big cat"]), vectors, atol=1e-5)
    with_folder = SentenceTransformer.merge([str(tmp_path / "merged"), tmp_path / "merged"])
    np.testing.assert_allclose(with_folder.encode(["a big cat"]), vectors, atol=1e-5)


def test_types_of_numbers(models: list[Any]) -> None:
    half = SentenceTransformer.merge(models[:2], out_dtype="float16")
    assert {value.dtype for value in half.module.parameters()} == {torch.float16}
    exact = (weights(models[0])[DENSE] + weights(models[1])[DENSE]) / 2
    assert np.array_equal(half.state_dict()[DENSE].numpy(), exact.astype(np.float32).astype(np.float16))
    wide = SentenceTransformer.merge(models[:2], dtype=torch.float64, out_dtype=torch.float32)
    assert np.array_equal(wide.state_dict()[DENSE].numpy(), exact.astype(np.float32))
    mixed = SentenceTransformer.merge([models[0], copy.deepcopy(models[1]).half()], dtype=None)
    assert mixed.state_dict()[DENSE].dtype == torch.float32
    with pytest.raises(InputError, match=r"out_dtype must be None or one of .*'int8'"):
        SentenceTransformer.merge(models, out_dtype="int8")


def test_cross_encoders_merge_with_their_heads(tmp_path: Path) -> None:
    config = transformers_config()
    from transformers import BertForSequenceClassification

    folder = write_tiny(tmp_path / "tiny")
    torch.manual_seed(0)
    BertForSequenceClassification(config).save_pretrained(folder)
    first = CrossEncoder(str(folder), device="cpu")
    second = shifted(first, 0)
    before = [weights(first), weights(second)]
    merged = CrossEncoder.merge([first, second], parameters={"weight": [1, 3]})
    found = weights(merged)
    assert any("classifier" in key for key in found)
    for key, value in found.items():
        np.testing.assert_allclose(value, (before[0][key] + 3 * before[1][key]) / 4, atol=2e-7)
    pairs = [("a cat", "a big dog"), ("one", "two")]
    assert not np.allclose(merged.predict(pairs), first.predict(pairs), atol=1e-5)
    with pytest.raises(
        InputTypeError, match=r"models\[1\] must be a CrossEncoder, a folder or a name, not Sentence"
    ):
        CrossEncoder.merge([first, SentenceTransformer(str(write_tiny(tmp_path / "other")), device="cpu")])


def transformers_config() -> Any:
    from tinybert import WIDTH, WORDS
    from transformers import BertConfig

    return BertConfig(
        vocab_size=len(WORDS) + 5,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * WIDTH,
        num_labels=1,
    )


def test_models_that_differ_are_refused(models: list[Any]) -> None:
    from tokenizers.normalizers import NFC

    first, second, _ = models

    def merge(change: Any) -> None:
        other = copy.deepcopy(second)
        change(other)
        SentenceTransformer.merge([first, other])

    with pytest.raises(
        InputError, match=r"models\[1\] and the first model differ in the pooling_mode\w* of module '1'"
    ):
        merge(lambda model: setattr(model[1], "modes", ("cls",)))
    with pytest.raises(InputError, match=r"differ in the layer_norm_eps of module '0"):
        merge(lambda model: setattr(model[0].config, "layer_norm_eps", 0.1))
    with pytest.raises(InputError, match=r"differ in the vocabulary of module '0'"):
        merge(lambda model: model[0].tokenizer.add_tokens(["eleven"]))
    with pytest.raises(InputError, match=r"differ in the tokenizer's normalizer of module '0'"):
        merge(lambda model: setattr(model[0].tokenizer.backend_tokenizer, "normalizer", NFC()))
    with pytest.raises(InputError, match=r"differ in their modules"):
        merge(lambda model: model.module.append(torch.nn.Identity()))
    merge(lambda model: setattr(model, "max_seq_length", 7))
    merge(lambda model: model[0].config.update({"_name_or_path": "elsewhere"}))


def test_tied_weights_stay_tied(models: list[Any]) -> None:
    first, second, third = models
    for model in (first, second):
        layers = model[0].auto_model.encoder.layer
        layers[1].output.dense.weight = layers[0].output.dense.weight
    merged = SentenceTransformer.merge([first, second])
    layers = merged[0].auto_model.encoder.layer
    assert layers[1].output.dense.weight is layers[0].output.dense.weight
    np.testing.assert_allclose(
        weights(merged)[DENSE], (weights(first)[DENSE] + weights(second)[DENSE]) / 2, atol=2e-7
    )
    with pytest.raises(InputError, match=r"differ in which of their weights are tied"):
        SentenceTransformer.merge([first, third])


def test_static_models_merge() -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    from vicinal.models import StaticEmbedding

    def model(rows: Any, words: tuple[str, ...] = ("[UNK]", "cat", "dog")) -> Any:
        tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, "[UNK]"))
        tokenizer.pre_tokenizer = Whitespace()
        return SentenceTransformer(
            modules=[StaticEmbedding(tokenizer, embedding_weights=np.array(rows, np.float32))]
        )

    first, second = model([[0, 0], [1, 2], [3, 4]]), model([[0, 0], [5, 2], [1, 0]])
    merged = SentenceTransformer.merge([first, second], parameters={"weight": [3, 1]})
    np.testing.assert_allclose(merged.encode(["cat", "dog"]), [[2, 2], [2.5, 3]], atol=1e-6)
    with pytest.raises(InputError, match=r"differ in the vocabulary of module '0'"):
        SentenceTransformer.merge([first, model([[0, 0], [5, 2], [1, 0]], ("[UNK]", "dog", "cat"))])


def test_invalid_arguments(models: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    merge = SentenceTransformer.merge
    for wrong, error, words in (
        (models[:1], InputError, "at least two models, not 1"),
        (models[0], InputTypeError, "models must be a list"),
        ("a folder", InputTypeError, "models must be a list"),
        (
            [models[0], 3],
            InputTypeError,
            r"models\[1\] must be a SentenceTransformer, a folder or a name, not int",
        ),
    ):
        with pytest.raises(error, match=words):
            merge(wrong)
    for parameters, words in (
        ({"wieght": [1, 2, 3]}, "'linear' knows 'weight' and 'normalize', not 'wieght'"),
        ({"weight": [1, 2]}, "has 2 values for 3 models"),
        ({"weight": {0: 1}}, "needs the keys 0 to 2"),
        ({"weight": [1, -1, 0]}, "sums to 0"),
        ({"weight": [1, float("inf"), 0]}, "not finite"),
        ({"weight": ["much", 1, 0]}, "must be numbers"),
    ):
        with pytest.raises((InputError, InputTypeError), match=words):
            merge(models, parameters=parameters)
    with pytest.raises(InputTypeError, match="no argument 'weight', and SentenceTransformer none"):
        merge(models, weight=[1, 2, 3])
    merge(models[:2], local_files_only=True)
    with pytest.raises(InputError, match="does not use one"):
        merge(models, base_model=models[0])
    monkeypatch.setitem(sys.modules, "mergekit.merge_methods", None)
    monkeypatch.setitem(sys.modules, "mergekit", None)
    with pytest.raises(
        MissingExtraError, match=r"merge with method 'ties' needs .*pip install 'vicinal\[merge\]'"
    ):
        merge(models, "ties", base_model=models[0])
    with pytest.raises(InputError, match=r"method must be one of linear, .*slerp.*, not 'x'"):
        merge(models, "x")


# Three weights of the peer (6.2 with mergekit 0.1.5 and transformers 5.23) from the models of `fixed` below.
FIGURES: list[tuple[str, str | None, dict[str, Any], list[float]]] = [
    ("linear", None, {"weight": [0.6, 0.4]}, [0.03, 0.0647765, 0.0906862]),
    ("slerp", None, {}, [0.0306386, 0.0643973, 0.0975612]),
    ("slerp", "b", {"t": 0.3}, [0.0305361, 0.0607185, 0.1069747]),
    ("nuslerp", None, {"weight": [1, 3]}, [0.0304785, 0.0597344, 0.1092186]),
    ("multislerp", None, {}, [0.0306386, 0.0643961, 0.0975645]),
    ("karcher", None, {}, [0.0306386, 0.0643961, 0.0975645]),
    ("nearswap", "a", {"t": 0.001}, [0.03, 0.0706627, 0.0723204]),
    ("arcee_fusion", "a", {}, [0.03, 0.0716627, 0.0713204]),
    ("task_arithmetic", "a", {"weight": 0.5}, [0.03, 0.063055, 0.0955276]),
    ("task_arithmetic", "c", {"weight": [1, 0.5]}, [0.03, 0.0666175, 0.0879055]),
    ("ties", "c", {"density": 0.5, "weight": [1, 0.5]}, [0.03, 0.0645378, 0.1197349]),
    ("breadcrumbs", "c", {"density": 0.8}, [0.03, 0.0544473, 0.1044905]),
    ("breadcrumbs_ties", "c", {}, [0.03, 0.0544473, 0.1197349]),
    ("model_stock", "c", {}, [0.03, 0.0635486, 0.0925441]),
    ("sce", "c", {}, [0.03, 0.0544473, 0.1197349]),
    ("ram", "c", {}, [0.03, 0.063055, 0.0955276]),
    ("ramplus_tl", "c", {}, [0.03, 0.063055, 0.0955276]),
]


@mergekit
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("method", "base", "parameters", "figures"), FIGURES)
def test_methods_of_mergekit_give_the_figures_of_the_peer(
    method: str, base: str | None, parameters: dict[str, Any], figures: list[float], tmp_path: Path
) -> None:
    named = fixed(SentenceTransformer(str(write_tiny(tmp_path / "tiny")), device="cpu"))
    merged = SentenceTransformer.merge(
        [named["a"], named["b"]], method, base_model=named[base] if base else None, parameters=parameters
    )
    np.testing.assert_allclose(merged.state_dict()[DENSE].flatten()[:3].numpy(), figures, atol=1e-6)


def fixed(first: Any) -> dict[str, Any]:
    """Three models whose weights are formulas, the same in every version of torch."""
    found = {}
    for number, name in enumerate("abc"):
        found[name] = copy.deepcopy(first)
        with torch.no_grad():
            for weight in found[name].parameters():
                places = torch.arange(weight.numel(), dtype=torch.float64).reshape(weight.shape)
                weight.copy_(0.1 * torch.sin(places) + 0.03 * torch.cos((number + 2) * places))
    return found


@mergekit
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_errors_of_mergekit_say_what_to_do(models: list[Any]) -> None:
    merge = SentenceTransformer.merge
    with pytest.raises(InputError, match=r"method must be one of .*slerp.*, not 'nothing'"):
        merge(models, "nothing")
    with pytest.raises(InputError, match=r"'ties' of mergekit: .*give base_model="):
        merge(models, "ties")
    with pytest.raises(InputError, match=r"'nuslerp' of mergekit: .*wieght"):
        merge(models[:2], "nuslerp", parameters={"wieght": 1})
