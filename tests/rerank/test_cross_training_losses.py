"""Losses of cross-encoders: float64 references, the peer's numbers, equal gradients, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tinypairs import new_model, one_thread, some_pairs, torch, write_base  # noqa: F401

from vicinal.cross_encoder import losses
from vicinal.errors import InputError, InputTypeError

ROWS = 6
PAIRS = some_pairs(3 * ROWS, seed=1)
COLUMNS = [[first for first, _ in PAIRS[:ROWS]]] + [
    [second for _, second in PAIRS[start : start + ROWS]] for start in range(0, 3 * ROWS, ROWS)
]
SCORES = np.linspace(0.0, 1.0, ROWS)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def model(base: Path) -> Any:
    return new_model(base)


@pytest.fixture(scope="module")
def classes(base: Path) -> Any:
    return new_model(base, num_labels=3)


def scores(model: Any, firsts: list[str], seconds: list[str]) -> np.ndarray:
    """(n, labels) float64, each pair on its own."""
    with torch.no_grad():
        rows = [
            model(model.tokenize([pair]))["scores"][0].numpy() for pair in zip(firsts, seconds, strict=True)
        ]
    return np.stack(rows).astype(np.float64)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def bce(x: np.ndarray, y: np.ndarray, weight: float = 1.0) -> float:
    return float(np.mean(-weight * y * np.log(sigmoid(x)) - (1 - y) * np.log(1 - sigmoid(x))))


@pytest.mark.parametrize(("weight", "function"), [(None, None), (3.0, None), (None, torch.tanh)])
def test_binary_cross_entropy(model: Any, weight: float | None, function: Callable[..., Any] | None) -> None:
    x = scores(model, COLUMNS[0], COLUMNS[1])[:, 0]
    x = np.tanh(x) if function else x
    loss = losses.BinaryCrossEntropyLoss(model, pos_weight=weight, activation_fn=function)
    found = loss(COLUMNS[:2], torch.tensor(SCORES))
    assert found.item() == pytest.approx(bce(x, SCORES, weight or 1.0), abs=1e-5)
    assert loss(COLUMNS[:2], torch.tensor(SCORES)[:, None]).item() == pytest.approx(found.item(), abs=1e-6)


def test_mse(model: Any) -> None:
    x = scores(model, COLUMNS[0], COLUMNS[1])[:, 0]
    found = losses.MSELoss(model)(COLUMNS[:2], torch.tensor(SCORES * 7))
    assert found.item() == pytest.approx(np.mean((x - SCORES * 7) ** 2), rel=1e-5)


def test_cross_entropy(classes: Any) -> None:
    x = scores(classes, COLUMNS[0], COLUMNS[1])
    wanted = np.array([0, 1, 2, 2, 1, 0])
    found = losses.CrossEntropyLoss(classes)(COLUMNS[:2], torch.tensor(wanted))
    logs = log_softmax(x)
    assert found.item() == pytest.approx(-logs[np.arange(ROWS), wanted].mean(), abs=1e-5)
    smooth = losses.CrossEntropyLoss(classes, label_smoothing=0.3)(COLUMNS[:2], torch.tensor(wanted))
    blurred = 0.7 * np.eye(3)[wanted] + 0.1
    assert smooth.item() == pytest.approx(-(logs * blurred).sum(1).mean(), abs=1e-5)


def test_margin_mse(model: Any) -> None:
    columns = COLUMNS  # a query, its positive, two negatives
    x = np.concatenate([scores(model, columns[0], each) for each in columns[1:]], axis=1)
    teacher = np.random.default_rng(0).normal(size=(ROWS, 3))
    margins = teacher[:, :1] - teacher[:, 1:]
    expected = np.mean((x[:, :1] - x[:, 1:] - margins) ** 2)
    loss = losses.MarginMSELoss(model)
    for labels in (margins, teacher):
        assert loss(columns, torch.tensor(labels)).item() == pytest.approx(expected, rel=1e-5)
    one = np.mean((x[:, 0] - x[:, 1] - margins[:, 0]) ** 2)
    assert loss(columns[:3], torch.tensor(margins[:, 0])).item() == pytest.approx(one, rel=1e-5)
    with pytest.raises(InputError, match="give each row 2 margins, or 3 scores"):
        loss(columns, torch.tensor(margins[:, 0]))


def ranking_reference(model: Any, columns: list[list[str]], scale: float = 10.0) -> float:
    """Every text of every other row is a negative."""
    found = []
    for row, query in enumerate(columns[0]):
        texts = [columns[1][row]]
        texts += [column[other] for column in columns[1:] for other in range(ROWS) if other != row]
        texts += [column[row] for column in columns[2:]]
        logits = scale * sigmoid(scores(model, [query] * len(texts), texts)[:, 0])
        found.append(-log_softmax(logits)[0])
    return float(np.mean(found))


@pytest.mark.parametrize("columns", [COLUMNS[:2], COLUMNS], ids=["pairs", "hard negatives"])
def test_ranking_with_all_negatives(model: Any, columns: list[list[str]]) -> None:
    expected = ranking_reference(model, columns)
    for negatives in (None, 100):
        loss = losses.MultipleNegativesRankingLoss(model, num_negatives=negatives)
        assert loss(columns).item() == pytest.approx(expected, abs=1e-4)


def test_ranking_draws_other_rows_without_repetition(model: Any) -> None:
    columns = [[f"{name}{row}" for row in range(ROWS)] for name in "qpn"]
    loss = losses.MultipleNegativesRankingLoss(model, num_negatives=4)
    seen = set()
    for _ in range(30):
        pairs = loss._pairs(columns)
        assert len(pairs) == ROWS * 6
        for row in range(ROWS):
            mine = pairs[6 * row : 6 * row + 6]
            assert {query for query, _ in mine} == {f"q{row}"}
            texts = [text for _, text in mine]
            assert texts[0] == f"p{row}" and texts[-1] == f"n{row}" and len(set(texts)) == 6
            assert not any(text.endswith(str(row)) for text in texts[1:-1])
            seen |= {(row, text) for text in texts[1:-1]}
    assert len(seen) == ROWS * 2 * (ROWS - 1)  # every text of another row gets its turn
    assert loss._pairs([["q"], ["p"]]) == [("q", "p")]


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_cached_ranking_has_the_same_gradients(tmp_path: Path, dropout: float) -> None:
    model = new_model(write_base(tmp_path, dropout))
    model.train()
    found = []
    for size in (ROWS * 18, 5):
        torch.manual_seed(5)
        loss = losses.CachedMultipleNegativesRankingLoss(model, num_negatives=None, mini_batch_size=size)
        if size > ROWS * 18 - 1 and not dropout:
            loss = losses.MultipleNegativesRankingLoss(model, num_negatives=None)
        model.zero_grad()
        value = loss(COLUMNS)
        value.backward()
        found.append((value.item(), {name: each.grad.clone() for name, each in model.named_parameters()}))
        if dropout:  # the mini-batches drop out what the seed says, again in the backward pass
            torch.manual_seed(5)
            model.zero_grad()
            again = loss(COLUMNS)
            again.backward()
            assert again.item() == value.item()
    if not dropout:
        assert found[0][0] == pytest.approx(found[1][0], abs=1e-5)
        for name, gradient in found[0][1].items():
            torch.testing.assert_close(found[1][1][name], gradient, atol=1e-5, rtol=1e-4, msg=name)


def test_the_peers_numbers(minilm_path: Path) -> None:
    """sentence-transformers 6.2.0, all-MiniLM-L6-v2 with a head from torch.manual_seed(0), in evaluation mode."""
    model = new_model(minilm_path)
    queries, positives, negatives = (
        ["a cat sat", "two dogs", "the sun"],
        ["a kitten", "a dog", "moon light"],
        ["x y", "z", "rain"],
    )
    labels = torch.tensor([0.2, 0.9, 0.5])
    pairs, triplets = [queries, positives], [queries, positives, negatives]
    for loss, columns, wanted, expected in (
        (losses.BinaryCrossEntropyLoss(model), pairs, labels, 0.6977766),
        (losses.MSELoss(model), pairs, labels, 0.3503884),
        (losses.MarginMSELoss(model), triplets, labels, 0.3793970),
        (
            losses.MarginMSELoss(model),
            [*triplets, negatives],
            torch.stack([labels, labels * 0.3], 1),
            0.2081556,
        ),
        (losses.MultipleNegativesRankingLoss(model, num_negatives=None), triplets, None, 1.8032087),
        (losses.CachedMultipleNegativesRankingLoss(model), pairs, None, 1.1060667),
    ):
        assert loss(columns, wanted).item() == pytest.approx(expected, abs=2e-6), loss.name


class Three(torch.nn.Module):  # type: ignore[misc]
    """Scores pairs of numbers, with three weights."""

    num_labels = 1

    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.nn.Parameter(torch.tensor([0.7, -0.3, 0.1]))

    def tokenize(self, pairs: list[tuple[str, str]]) -> dict[str, Any]:
        numbers = [(float(a), float(b)) for a, b in pairs]
        return {"values": torch.tensor([[a, b, a * b] for a, b in numbers])}

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        return {"scores": torch.sin(features["values"] * 3) @ self.weights[:, None]}


NUMBERS = [
    ["0.1", "0.5", "0.9", "1.3"],
    ["0.2", "0.3", "1.1", "1.7"],
    ["0.7", "-0.4", "0.6", "2.0"],
    ["-0.7", "0.4", "-0.6", "2.5"],
]
Y = np.array([0.2, 0.9, 0.5, -1.0])
SIGMOID = torch.nn.Sigmoid()

# loss, settings, number of columns, labels, then as sentence-transformers 6.2.0 gives them: value and gradient
PEER: list[tuple[str, dict[str, Any], int, Any, float, list[float]]] = [
    ("MSELoss", {}, 2, Y, 0.2217905, [-0.533945, -0.571806, 0.039243]),
    ("MSELoss", {"activation_fn": SIGMOID}, 2, Y, 0.5764229, [-0.140585, -0.172626, 0.051595]),
    ("MarginMSELoss", {}, 3, Y, 0.7689285, [0.0, -1.335764, -0.918514]),
    ("MarginMSELoss", {}, 4, np.stack([Y, 2 * Y], 1), 1.8760499, [0.0, -2.341533, -0.352729]),
    ("MarginMSELoss", {}, 4, np.stack([Y, 2 * Y, Y - 1], 1), 0.7448118, [0.0, -0.405233, -0.356211]),
    ("MultipleNegativesRankingLoss", {}, 2, None, 1.4890659, [-0.052364, -0.661623, 0.006312]),
    (
        "MultipleNegativesRankingLoss",
        {"scale": 5.0, "activation_fn": torch.nn.Identity()},
        4,
        None,
        2.8935683,
        [0.0, -3.276581, -1.827808],
    ),
    ("CachedMultipleNegativesRankingLoss", {}, 3, None, 2.1441751, [-0.043531, -0.614525, -0.225064]),
    (
        "CachedMultipleNegativesRankingLoss",
        {"mini_batch_size": 3},
        3,
        None,
        2.1441751,
        [-0.043531, -0.614525, -0.225064],
    ),
]


@pytest.mark.parametrize(("name", "settings", "columns", "labels", "value", "gradient"), PEER)
def test_the_peers_gradients(
    name: str, settings: dict[str, Any], columns: int, labels: Any, value: float, gradient: list[float]
) -> None:
    model = Three()
    if labels is None:
        settings = {"num_negatives": None, **settings}
    found = getattr(losses, name)(model, **settings)(
        NUMBERS[:columns], None if labels is None else torch.tensor(labels)
    )
    found.backward()
    assert found.item() == pytest.approx(value, rel=2e-6)
    assert model.weights.grad.tolist() == pytest.approx(gradient, rel=1e-5, abs=2e-6)


def test_what_losses_refuse(model: Any, classes: Any) -> None:
    with pytest.raises(InputError, match="one score a pair, and this one gives 3"):
        losses.BinaryCrossEntropyLoss(classes)
    with pytest.raises(InputError, match="two labels or more"):
        losses.CrossEntropyLoss(model)
    with pytest.raises(InputTypeError, match="trains a CrossEncoder"):
        losses.MSELoss(torch.nn.Linear(2, 2))
    with pytest.raises(InputTypeError, match="activation_fn='x' is str"):
        losses.MSELoss(model, activation_fn="x")
    loss = losses.BinaryCrossEntropyLoss(model)
    with pytest.raises(InputError, match="got 3 text columns, but needs 2"):
        loss(COLUMNS[:3], torch.tensor(SCORES))
    with pytest.raises(InputError, match="got no labels"):
        loss(COLUMNS[:2])
    with pytest.raises(InputError, match="5 labels for 6 rows"):
        loss(COLUMNS[:2], torch.tensor(SCORES[:5]))
    with pytest.raises(InputError, match="column 1 has 5 texts and column 0 has 6"):
        loss([COLUMNS[0], COLUMNS[1][:5]], torch.tensor(SCORES))
    with pytest.raises(
        InputError, match=r"label\[2\] is 4, but BinaryCrossEntropyLoss needs a similarity.*divide by 5"
    ):
        loss.check_labels([0.0, 1.0, 4.0], name="label")
    with pytest.raises(
        InputError, match=r"labels\[1\] is 3, but CrossEntropyLoss needs .*num_labels - 1 = 2"
    ):
        losses.CrossEntropyLoss(classes).check_labels([0, 3])
    with pytest.raises(InputError, match=r"pos_weight=-1"):
        losses.BinaryCrossEntropyLoss(model, pos_weight=-1)
    with pytest.raises(InputError, match="num_negatives=0"):
        losses.MultipleNegativesRankingLoss(model, num_negatives=0)


def test_settings_for_the_card(model: Any) -> None:
    assert losses.MultipleNegativesRankingLoss(model).get_config_dict() == {
        "scale": 10.0,
        "num_negatives": 4,
        "activation_fn": "sigmoid",
    }
    assert losses.BinaryCrossEntropyLoss(model, pos_weight=2.0).get_config_dict()["pos_weight"] == 2.0
    assert not list(losses.MSELoss(model).parameters())  # the model is the optimiser's own business
