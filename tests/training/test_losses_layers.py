"""AdaptiveLayerLoss and Matryoshka2dLoss against sentence-transformers' numbers, and written out layer by layer."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tinybert import sentences, write_tiny  # noqa: E402

import vicinal.torch  # noqa: E402
from vicinal import InputExample, SentenceTransformer  # noqa: E402
from vicinal import losses as L  # noqa: E402
from vicinal.errors import InputError, InputTypeError  # noqa: E402

pytestmark = pytest.mark.torch


def set_weights(network: Any) -> None:
    """Weights that do not depend on a generator: what the figures below were computed with."""
    with torch.no_grad():
        for number, (name, weight) in enumerate(sorted(network.named_parameters())):
            places = torch.arange(weight.numel(), dtype=torch.float64)
            values = torch.sin(1.3 * places + 0.7 * number + 0.01 * places**1.5).reshape(weight.shape)
            scale = 1.0 if "embeddings" in name else 0.3
            weight.copy_(scale * values + (1.0 if name.endswith("LayerNorm.weight") else 0.0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"), dropout=0.0)


@pytest.fixture(params=["plain", "torch module"])
def model(folder: Path, request: pytest.FixtureRequest) -> Any:
    kind = SentenceTransformer if request.param == "plain" else vicinal.torch.SentenceTransformer
    model = kind(str(folder), device="cpu")
    set_weights(model.module[0].auto_model)
    model.module.eval()
    return model


TEXTS = sentences(12)


def run(model: Any, loss: Any) -> tuple[float, float]:
    model.module.zero_grad()
    value = loss([model.tokenize(TEXTS[:6]), model.tokenize(TEXTS[6:])])
    value.backward()
    assert not model.module[0].auto_model.config.output_hidden_states
    gradients = [each.grad.flatten() for each in model.module.parameters() if each.grad is not None]
    return float(value.detach()), float(torch.cat(gradients).norm())


TABLE: list[tuple[dict[str, Any], float, float]] = [
    ({"n_layers_per_step": -1}, 15.0440331, 68.775635),
    ({"n_layers_per_step": -1, "layer_weighting": "log"}, 13.3938131, 66.181007),
    (
        {"n_layers_per_step": -1, "layer_weighting": "linear", "kl_div_weight": 3.0, "kl_temperature": 1.0},
        13.1375332,
        65.709534,
    ),
    ({"last_layer_weight": 0.5, "prior_layers_weight": 2.0}, 11.3934917, 32.135387),
    ({"kl_temperature": 0.0}, 9.5175114, 63.900753),
    ({"matryoshka_dims": [24, 12, 6]}, 11.2864647, 63.936161),
    (
        {
            "matryoshka_dims": [24, 12, 6],
            "matryoshka_weights": [1.0, 0.5, 0.25],
            "n_dims_per_step": 2,
            "n_layers_per_step": -1,
        },
        16.3539104,
        69.632805,
    ),
]


@pytest.mark.parametrize(("setting", "value", "norm"), TABLE)
def test_equals_the_peer(model: Any, setting: dict[str, Any], value: float, norm: float) -> None:
    inner = L.MultipleNegativesRankingLoss(model)
    random.seed(1)
    make = L.Matryoshka2dLoss if "matryoshka_dims" in setting else L.AdaptiveLayerLoss
    got, length = run(model, make(model, inner, **setting))
    assert got == pytest.approx(value, rel=2e-6)
    assert length == pytest.approx(norm, rel=1e-5)


def test_written_out(folder: Path) -> None:
    model = SentenceTransformer(str(folder), device="cpu")
    set_weights(model.module[0].auto_model)
    module = model.module.eval().double()
    features = [model.tokenize(TEXTS[:6]), model.tokenize(TEXTS[6:])]
    columns = []
    for each in features:
        with torch.no_grad():
            states = module[0].auto_model(**each, output_hidden_states=True).hidden_states
        mask = each["attention_mask"].numpy()[..., None]
        columns.append([(x.numpy() * mask).sum(axis=1) / mask.sum(axis=1) for x in states])

    def ranking(a: Any, b: Any) -> float:
        unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
        logits = 20 * unit[0] @ unit[1].T
        return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - np.diag(logits)))

    def softmax(x: Any) -> Any:
        return np.exp(x / 0.5) / np.exp(x / 0.5).sum(axis=1, keepdims=True)

    wanted = 2.0 * ranking(columns[0][2], columns[1][2])
    last = softmax(np.concatenate([columns[0][2], columns[1][2]]))
    for layer, weight in ((0, 1.0), (1, 0.5)):
        wanted += 3.0 * weight * ranking(columns[0][layer], columns[1][layer]) / 2
        other = softmax(np.concatenate([columns[0][layer], columns[1][layer]]))
        wanted += 0.25 * 0.5 * (last * np.log(last / other)).sum(axis=1).mean()
    loss = L.AdaptiveLayerLoss(
        model, L.MultipleNegativesRankingLoss(model), -1, 2.0, 3.0, 0.25, 0.5, "linear"
    )
    assert run(model, loss)[0] == pytest.approx(wanted, rel=1e-9)
    function = L.AdaptiveLayerLoss(
        model, loss.loss, -1, 2.0, 3.0, 0.25, 0.5, layer_weighting=lambda i: 1 / (1 + i)
    )
    assert run(model, function)[0] == pytest.approx(wanted, rel=1e-9)
    order = [3, 1, 5, 0, 2, 4]
    moved = [{key: x[order] for key, x in each.items()} for each in features]
    assert float(loss(moved).detach()) == pytest.approx(wanted, rel=1e-9)


def test_a_cached_loss_inside_gives_the_plain_value(model: Any) -> None:
    found = [
        run(model, L.AdaptiveLayerLoss(model, inner, -1))
        for inner in (
            L.MultipleNegativesRankingLoss(model),
            L.CachedMultipleNegativesRankingLoss(model, mini_batch_size=2),
        )
    ]
    assert found[1] == pytest.approx(found[0], rel=1e-5)


def test_fit_with_it(folder: Path) -> None:
    model = SentenceTransformer(str(folder), device="cpu")
    before = model.encode(TEXTS[:2])
    loss = L.Matryoshka2dLoss(model, L.CoSENTLoss(model), [24, 8])
    examples = [InputExample(texts=[TEXTS[i], TEXTS[11 - i]], label=i / 6) for i in range(6)]
    loader = torch.utils.data.DataLoader(examples, batch_size=3)
    model.fit([(loader, loss)], epochs=1, warmup_steps=0, show_progress_bar=False)
    assert np.isfinite(model.encode(TEXTS[:2])).all()
    assert not np.allclose(before, model.encode(TEXTS[:2]), atol=1e-6)


def test_what_it_cannot_be_put_around(model: Any) -> None:
    for inner in (
        L.GISTEmbedLoss(model, model),
        L.ContrastiveTensionLossInBatchNegatives(model),
        torch.nn.MSELoss(),
        L.MatryoshkaLoss(model, L.GISTEmbedLoss(model, model), [8]),
    ):
        with pytest.raises(InputTypeError, match="cannot be put around"):
            L.AdaptiveLayerLoss(model, inner)
    inner = L.MultipleNegativesRankingLoss(model)
    with pytest.raises(InputError, match="kl_temperature=-1"):
        L.AdaptiveLayerLoss(model, inner, kl_temperature=-1)
    with pytest.raises(InputError, match="layer_weighting"):
        L.AdaptiveLayerLoss(model, inner, layer_weighting="exp")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="n_layers_per_step"):
        L.AdaptiveLayerLoss(model, inner, n_layers_per_step=0)
