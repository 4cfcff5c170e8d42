"""Losses of lists: the peer's numbers, float64 references in plain Python, and what must not change a loss."""

from __future__ import annotations

import math
import random
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tinypairs import new_model, one_thread, some_pairs, torch, write_base  # noqa: F401

from vicinal import InputExample
from vicinal.cross_encoder import losses
from vicinal.errors import InputError, InputTypeError

pytestmark = pytest.mark.torch


class Table(torch.nn.Module):  # type: ignore[misc]
    """Gives document "7" the score of place 7."""

    num_labels = 1

    def __init__(self, scores: Any, dtype: Any = torch.float64) -> None:
        super().__init__()
        self.scores = torch.tensor(scores, dtype=dtype, requires_grad=True)

    def tokenize(self, pairs: list[tuple[str, str]]) -> dict[str, Any]:
        return {"ids": torch.tensor([int(document) for _, document in pairs])}

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        return {"scores": self.scores[features["ids"]][:, None]}


def documents_of(lengths: list[int]) -> list[list[str]]:
    places = iter(range(sum(lengths)))
    return [[str(next(places)) for _ in range(length)] for length in lengths]


def run(
    name: str,
    scores: Any,
    labels: list[Any],
    dtype: Any = torch.float64,
    documents: Any = None,
    **settings: Any,
) -> tuple[float, Any]:
    """The loss of lists, and the gradient of each score."""
    model = Table(scores, dtype)
    loss = getattr(losses, name)(model, **settings)
    documents = documents or documents_of([len(each) for each in labels])
    value = loss(
        [["q"] * len(labels), documents], [torch.tensor(each, dtype=torch.float32) for each in labels]
    )
    assert value.shape == () and value.dtype == dtype
    value.backward()
    return value.item(), model.scores.grad.numpy()


LABELS = [[2.0, 0.0, 1.0], [0.0, 3.0, 1.0, 1.0, 0.0], [1.0]]
SCORES = [0.3, -0.5, 1.2, 0.7, -1.1, 0.4, 2.0, -0.2, 0.9]
SCHEMES = ["NoWeightingScheme", "NDCGLoss1Scheme", "NDCGLoss2Scheme", "LambdaRankScheme", "NDCGLoss2PPScheme"]

# loss, settings, then as sentence-transformers 6.2.0 gives them with torch 2.13: the value, the gradient of each score
PEER: list[tuple[str, dict[str, Any], float, list[float]]] = [
    (
        "ListNetLoss",
        {},
        1.4171176,
        [-0.136472, 0.008306, 0.128166, 0.043611, -0.234055, 0.008358, 0.171541, 0.010544, 0.0],
    ),
    (
        "ListMLELoss",
        {},
        3.4675999,
        [-0.248059, -0.243528, 0.491587, -0.27761, -0.313063, -0.191219, 0.670648, 0.111244, 0.0],
    ),
    (
        "ListMLELoss",
        {"respect_input_order": False},
        2.6153948,
        [-0.248059, 0.089805, 0.158254, 0.082349, -0.324122, -0.249599, 0.322368, 0.169004, 0.0],
    ),
    (
        "PListMLELoss",
        {},
        1.2194575,
        [-0.186044, -0.041724, 0.227768, -0.16016, -0.081452, 0.004614, 0.212078, 0.024919, 0.0],
    ),
    (
        "PListMLELoss",
        {"respect_input_order": False},
        1.2467347,
        [-0.186044, 0.041609, 0.144434, 0.051448, -0.186994, -0.054498, 0.163914, 0.02613, 0.0],
    ),
    (
        "PListMLELoss",
        {"lambda_weight": None},
        3.4675999,
        [-0.248059, -0.243528, 0.491587, -0.27761, -0.313063, -0.191219, 0.670648, 0.111244, 0.0],
    ),
    (
        "ADRMSELoss",
        {},
        1.6592304,
        [-0.122231, 0.056123, 0.066108, 0.190087, -0.419568, -0.008228, 0.054915, 0.182794, 0.0],
    ),
    (
        "ADRMSELoss",
        {"alpha": 3.0},
        2.2563283,
        [-0.117371, 0.051952, 0.065419, 0.186958, -0.206149, -0.163126, 0.005386, 0.17693, 0.0],
    ),
    (
        "RankNetLoss",
        {},
        1.5027092,
        [-0.133905, 0.06092, 0.072985, 0.215979, -0.438522, -0.014586, 0.084329, 0.1528, 0.0],
    ),
    (
        "RankNetLoss",
        {"k": 2, "sigma": 2.0, "reduction_log": "natural"},
        1.6400033,
        [-0.256533, 0.050069, 0.206463, 0.422049, -0.492844, -0.161414, 0.229177, 0.003032, 0.0],
    ),
    (
        "LambdaLoss",
        {},
        1.9099895,
        [-0.336904, 0.138485, 0.198419, 0.140257, -0.60053, 0.055651, 0.081312, 0.32331, 0.0],
    ),
    (
        "LambdaLoss",
        {"k": 2},
        1.6018723,
        [-0.463243, 0.190417, 0.272826, 0.205489, -0.275715, -0.05188, 0.11913, 0.002976, 0.0],
    ),
    (
        "LambdaLoss",
        {"weighting_scheme": None},
        1.5027092,
        [-0.133905, 0.06092, 0.072985, 0.215979, -0.438522, -0.014586, 0.084329, 0.1528, 0.0],
    ),
    (
        "LambdaLoss",
        {"weighting_scheme": "NDCGLoss1Scheme"},
        0.2281278,
        [-0.018657, 0.008415, 0.010242, 0.014323, -0.04522, 0.00715, 0.012584, 0.011164, 0.0],
    ),
    (
        "LambdaLoss",
        {"weighting_scheme": "NDCGLoss1Scheme", "k": 2},
        0.2523975,
        [-0.02612, 0.011781, 0.014338, 0.021365, -0.036844, -0.004048, 0.018772, 0.000754, 0.0],
    ),
    (
        "LambdaLoss",
        {"weighting_scheme": "NDCGLoss2Scheme"},
        0.1598740,
        [-0.031355, 0.01313, 0.018225, 0.011412, -0.050763, 0.004831, 0.002672, 0.031848, 0.0],
    ),
    (
        "LambdaLoss",
        {"weighting_scheme": "LambdaRankScheme"},
        0.3112498,
        [-0.023354, 0.007188, 0.016166, 0.026138, -0.092904, 0.007343, 0.054592, 0.00483, 0.0],
    ),
    (
        "LambdaLoss",
        {"weighting_scheme": "NDCGLoss2PPScheme"},
        1.9099895,
        [-0.336904, 0.138485, 0.198419, 0.140257, -0.60053, 0.055651, 0.081312, 0.32331, 0.0],
    ),
]


@pytest.mark.parametrize(("name", "settings", "value", "gradient"), PEER)
def test_the_peers_numbers(name: str, settings: dict[str, Any], value: float, gradient: list[float]) -> None:
    if isinstance(settings.get("weighting_scheme"), str):
        settings = {**settings, "weighting_scheme": getattr(losses, settings["weighting_scheme"])()}
    got, gradients = run(name, SCORES, LABELS, torch.float32, **settings)
    assert got == pytest.approx(value, rel=2e-6)
    assert gradients.tolist() == pytest.approx(gradient, rel=1e-5, abs=2e-6)


def softmax(values: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in values)
    return [math.exp(value) / total for value in values]


def list_net(scores: list[list[float]], labels: list[list[float]]) -> float:
    return float(
        np.mean(
            [
                -sum(want * math.log(got) for want, got in zip(softmax(y), softmax(s), strict=True))
                for s, y in zip(scores, labels, strict=True)
            ]
        )
    )


def list_mle(scores: list[list[float]], labels: list[list[float]], weight: Any = None) -> float:
    found = []
    for s, y in zip(scores, labels, strict=True):
        ranked = [s[place] for place in sorted(range(len(s)), key=lambda place: -y[place])]
        weights = [1.0 if weight is None else weight(rank, len(s)) for rank in range(1, len(s) + 1)]
        total = 1.0 if weight is None else sum(weights) or 1.0
        logs = [math.log(softmax(ranked[rank:])[0]) for rank in range(len(s))]
        found.append(-sum(w * log for w, log in zip(weights, logs, strict=True)) / total)
    return float(np.mean(found))


def by_rank(rank: int, count: int) -> float:
    return 2.0 ** (count - rank) - 1


def adr_mse(scores: list[list[float]], labels: list[list[float]], alpha: float) -> float:
    found = []
    for s, y in zip(scores, labels, strict=True):
        for i in range(len(s)):
            got = 1 + sum(1 / (1 + math.exp(-alpha * (s[j] - s[i]))) for j in range(len(s)) if j != i)
            places = [rank for rank, label in enumerate(sorted(y, reverse=True), 1) if label == y[i]]
            right = float(np.mean(places))
            found.append((right - got) ** 2 / math.log2(1 + right))
    return float(np.mean(found))


def lambda_loss(
    scores: list[list[float]],
    labels: list[list[float]],
    scheme: str,
    k: int | None,
    sigma: float,
    mu: float = 10,
) -> float:
    found = []
    for s, y in zip(scores, labels, strict=True):
        order = sorted(range(len(s)), key=lambda place: -s[place])
        s, y = [s[place] for place in order], [y[place] for place in order]
        cut = len(s) if k is None else k
        ideal = sum((2**g - 1) / math.log2(2 + r) for r, g in enumerate(sorted(y, reverse=True)[:cut]))
        for i in range(len(s)):
            for j in range(len(s)):
                if (i >= cut and j >= cut) or (scheme != "NDCGLoss1Scheme" and y[i] <= y[j]):
                    continue
                gain = (2 ** y[i] - 2 ** y[j]) / max(ideal, 1e-10)
                apart = abs(i - j)
                loss2 = abs(1 / math.log2(1 + apart) - 1 / math.log2(2 + apart)) * gain if apart else 0.0
                rank = abs(1 / math.log2(2 + i) - 1 / math.log2(2 + j)) * gain
                weight = {
                    "NoWeightingScheme": 1.0,
                    "NDCGLoss1Scheme": (2 ** y[i] - 1) / max(ideal, 1e-10) / math.log2(2 + i),
                    "NDCGLoss2Scheme": loss2,
                    "LambdaRankScheme": rank,
                    "NDCGLoss2PPScheme": mu * loss2 + rank,
                }[scheme]
                found.append(weight * math.log2(1 + math.exp(-sigma * (s[i] - s[j]))))
    return float(np.mean(found)) if found else 0.0


def some_lists(seed: int) -> tuple[list[list[float]], list[list[float]]]:
    """Scores and labels of lists of 1 to 7 documents; the labels of every other seed have ties."""
    draw = random.Random(seed)
    lengths = [draw.randint(1, 7) for _ in range(draw.randint(1, 5))]
    scores = [[draw.gauss(0, 1.5) for _ in range(length)] for length in lengths]
    labels = [[float(draw.randint(0, 3)) if seed % 2 else draw.random() for _ in each] for each in scores]
    return scores, [[float(np.float32(label)) for label in each] for each in labels]


@pytest.mark.parametrize("seed", range(12))
def test_values_are_those_of_the_papers(seed: int) -> None:
    scores, labels = some_lists(seed)
    flat = [*chain(*scores)]
    k = [None, 1, 2, 3][seed % 4]
    mle = {"respect_input_order": False}
    discount = losses.PListMLELambdaWeight(lambda ranks: 1 / torch.log1p(ranks))
    for name, settings, wanted in [
        ("ListNetLoss", {}, list_net(scores, labels)),
        ("ListMLELoss", mle, list_mle(scores, labels)),
        ("PListMLELoss", mle, list_mle(scores, labels, by_rank)),
        (
            "PListMLELoss",
            {**mle, "lambda_weight": discount},
            list_mle(scores, labels, lambda rank, count: 1 / math.log1p(rank)),
        ),
        ("ADRMSELoss", {"alpha": 2.0}, adr_mse(scores, labels, 2.0)),
        ("RankNetLoss", {"k": k, "sigma": 0.5}, lambda_loss(scores, labels, "NoWeightingScheme", k, 0.5)),
        *(
            (
                "LambdaLoss",
                {"weighting_scheme": getattr(losses, scheme)(), "k": k, "sigma": 2.0},
                lambda_loss(scores, labels, scheme, k, 2.0),
            )
            for scheme in SCHEMES
        ),
        (
            "LambdaLoss",
            {"weighting_scheme": losses.NDCGLoss2PPScheme(mu=0.5)},
            lambda_loss(scores, labels, "NDCGLoss2PPScheme", None, 1.0, 0.5),
        ),
    ]:
        got, gradients = run(name, flat, labels, **settings)
        assert got == pytest.approx(wanted, rel=2e-6, abs=1e-7), (name, settings)
        # Scores move without passing each other, so that ranks stay as they are.
        for place in range(0, len(flat), 3):
            up, down = [*flat], [*flat]
            up[place], down[place] = flat[place] + 1e-6, flat[place] - 1e-6
            slope = (run(name, up, labels, **settings)[0] - run(name, down, labels, **settings)[0]) / 2e-6
            assert gradients[place] == pytest.approx(slope, rel=1e-5, abs=1e-7), (name, settings, place)


CASES: list[tuple[str, dict[str, Any]]] = [
    ("ListNetLoss", {}),
    ("ListMLELoss", {"respect_input_order": False}),
    ("PListMLELoss", {"respect_input_order": False}),
    ("ADRMSELoss", {}),
    ("RankNetLoss", {"k": 2}),
    *(("LambdaLoss", {"weighting_scheme": getattr(losses, scheme)()}) for scheme in SCHEMES),
]
LOSSES = pytest.mark.parametrize(("name", "settings"), CASES)


@LOSSES
def test_a_permuted_list_has_the_same_loss(name: str, settings: dict[str, Any]) -> None:
    labels = [[0.5, 0.0, 2.0, 1.0], [1.0, 0.25, 0.0], [1.0, 3.0]]
    value, gradients = run(name, SCORES, labels, **settings)
    order = [2, 0, 3, 1, 6, 5, 4, 8, 7]
    documents = [["2", "0", "3", "1"], ["6", "5", "4"], ["8", "7"]]
    flat = [*chain(*labels)]
    moved = [[flat[int(place)] for place in each] for each in documents]
    assert [*chain(*documents)] == [str(place) for place in order]
    again, gradients_again = run(name, SCORES, moved, documents=documents, **settings)
    assert again == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(gradients_again, gradients, atol=1e-12)
    # and so have the rows of a batch
    last, gradients_last = run(name, SCORES, moved[::-1], documents=documents[::-1], **settings)
    assert last == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(gradients_last, gradients, atol=1e-12)


@LOSSES
def test_a_longer_list_beside_it_changes_nothing_of_a_list(name: str, settings: dict[str, Any]) -> None:
    scores, labels = SCORES[:3], LABELS[:1]
    value, gradients = run(name, scores, labels, **settings)
    long = [1.0] * 20  # all alike: no pair of RankNet; its own loss is a constant of its row
    joined, gradients_joined = run(name, [*scores, *[0.0] * 20], [*labels, long], **settings)
    alone, gradients_alone = run(name, [0.0] * 20, [long], **settings)
    # A mean over lists, over documents, or over pairs.
    pairs = {"NDCGLoss1Scheme": (9, 400)}.get(type(settings.get("weighting_scheme")).__name__, (3, 0))
    counts = {"ADRMSELoss": (3, 20), "RankNetLoss": (3, 0), "LambdaLoss": pairs}.get(name, (1, 1))
    share = np.array(counts) / sum(counts)
    assert joined == pytest.approx(share @ [value, alone], rel=1e-6, abs=1e-9)
    np.testing.assert_allclose(gradients_joined[:3], share[0] * gradients, atol=1e-9)
    np.testing.assert_allclose(gradients_joined[3:], share[1] * gradients_alone, atol=1e-9)


@LOSSES
@pytest.mark.parametrize("scores", [[1e4, -1e4, 3.0, 0.0], [-200.0, 200.0, 100.0, -100.0], [0.0] * 4])
def test_far_scores_give_finite_gradients(name: str, settings: dict[str, Any], scores: list[float]) -> None:
    value, gradients = run(name, scores, [[0.0, 2.0, 1.0], [1.0]], torch.float32, **settings)
    assert math.isfinite(value) and np.isfinite(gradients).all()
    assert gradients[3] == 0


def test_a_list_of_thousands_has_finite_weights() -> None:
    weights = losses.PListMLELambdaWeight()(torch.ones(1, 3000, dtype=torch.bool))
    assert torch.isfinite(weights).all()
    assert (weights[0, :9] / weights[0, 1:10]).tolist() == pytest.approx([2.0] * 9)
    mask = torch.tensor([[True] * 3 + [False] * 2, [True] * 5])
    assert losses.PListMLELambdaWeight()(mask).tolist() == [[3, 1, 0, 0, 0], [15, 7, 3, 1, 0]]


def test_lists_in_their_own_order_need_no_labels_in_order() -> None:
    given = run("ListMLELoss", SCORES, LABELS)[0]
    ranks = [list(range(len(each), 0, -1)) for each in LABELS]
    assert given == pytest.approx(run("ListMLELoss", SCORES, ranks, respect_input_order=False)[0], rel=1e-12)
    assert given == pytest.approx(run("PListMLELoss", SCORES, LABELS, lambda_weight=None)[0], rel=1e-12)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return new_model(write_base(tmp_path_factory.mktemp("base")))


PAIRS = some_pairs(9, seed=1)
QUERIES = [PAIRS[0][0], PAIRS[3][0], PAIRS[8][0]]
DOCUMENTS = [[b for _, b in PAIRS[:3]], [b for _, b in PAIRS[3:8]], [PAIRS[8][1]]]


@LOSSES
def test_mini_batches_of_any_size_have_the_same_gradients(
    model: Any, name: str, settings: dict[str, Any]
) -> None:
    found = []
    for size in (0, None, 1, 4, 100):
        model.zero_grad()
        loss = getattr(losses, name)(model, mini_batch_size=size, activation_fn=torch.tanh, **settings)
        value = loss([QUERIES, DOCUMENTS], LABELS)
        value.backward()
        found.append((value.item(), {key: each.grad.clone() for key, each in model.named_parameters()}))
    for value, gradients in found[1:]:
        assert value == pytest.approx(found[0][0], abs=2e-6)
        for key, gradient in gradients.items():
            torch.testing.assert_close(gradient, found[0][1][key], atol=1e-5, rtol=1e-5, msg=key)


def test_labels_of_equal_lists_may_be_one_tensor(model: Any) -> None:
    loss = losses.LambdaLoss(model)
    documents = [each[:1] * 2 for each in DOCUMENTS]
    labels = [[1.0, 0.0], [0.0, 1.0], [2.0, 1.0]]
    assert (
        loss([QUERIES, documents], torch.tensor(labels)).item() == loss([QUERIES, documents], labels).item()
    )


@pytest.mark.parametrize("name", ["LambdaLoss", "PListMLELoss"])
def test_the_trainer_takes_lists(tmp_path: Path, name: str) -> None:
    from torch.utils.data import DataLoader

    from vicinal.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments

    model = new_model(write_base(tmp_path / "base"))
    loss = getattr(losses, name)(model, mini_batch_size=4)
    rows = [{"query": q, "docs": d, "labels": y} for q, d, y in zip(QUERIES, DOCUMENTS, LABELS, strict=True)]
    args = CrossEncoderTrainingArguments(
        output_dir=str(tmp_path / "out"),
        max_steps=4,
        per_device_train_batch_size=3,
        learning_rate=1e-2,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        bf16=False,
    )
    trainer = CrossEncoderTrainer(model=model, args=args, train_dataset=rows, eval_dataset=rows, loss=loss)
    before = loss([QUERIES, DOCUMENTS], LABELS).item()
    assert trainer.evaluate()["eval_loss"] == pytest.approx(before, rel=1e-5)
    trainer.train()
    assert loss([QUERIES, DOCUMENTS], LABELS).item() < before
    for wrong, message in [
        ({"labels": [1.0]}, r"train_dataset\['docs'\]\[1\] has 5 documents and 1 labels"),
        ({"docs": []}, r"train_dataset\['docs'\]\[1\] has no documents"),
        ({"labels": [1.0, math.nan, 0.0, 0.0, 0.0]}, r"train_dataset\['labels'\]\[1\] holds nan"),
    ]:
        data = [rows[0], {**rows[1], **wrong}]
        with pytest.raises(InputError, match=message):
            CrossEncoderTrainer(model=model, args=args, train_dataset=data, loss=loss).train()
    numbers = [{"query": "a cat", "docs": "a dog", "labels": 1.0}]
    with pytest.raises(
        InputError, match=r"\['labels'\]\[0\] is 1\.0, but .* needs the relevance of each document"
    ):
        CrossEncoderTrainer(model=model, args=args, train_dataset=numbers, loss=loss).train()
    unlabelled = [{"query": row["query"], "docs": row["docs"]} for row in rows]
    with pytest.raises(InputError, match="needs labels, and there are none"):
        CrossEncoderTrainer(model=model, args=args, train_dataset=unlabelled, loss=loss).train()
    examples = [InputExample(texts=["a cat", "a dog"], label=1.0)]
    with pytest.raises(InputError, match="train with CrossEncoderTrainer"):
        model.fit(DataLoader(examples), loss_fct=loss)


def test_what_losses_refuse(model: Any) -> None:
    loss = losses.ListNetLoss(model)
    for columns, labels, message in [
        ([QUERIES], LABELS, "got 1 text column, but needs 2"),
        ([QUERIES, DOCUMENTS], None, "got no labels: it needs the relevance of each document"),
        ([QUERIES, DOCUMENTS[:2]], LABELS, "3 queries and 2 lists of documents"),
        ([QUERIES, DOCUMENTS], LABELS[:2], "2 labels for 3 rows"),
        ([QUERIES, DOCUMENTS], [*LABELS[:2], [1.0, 2.0]], r"documents\[2\] has 1 documents and 2 labels"),
        ([QUERIES, [*DOCUMENTS[:2], []]], LABELS, r"documents\[2\] has no documents"),
        ([QUERIES, DOCUMENTS], torch.ones(3), r"label of shape \(\) in row 0"),
    ]:
        with pytest.raises(InputError, match=message):
            loss(columns, labels)
    with pytest.raises(InputTypeError, match=r"documents\[0\] is 'a cat', but ListNetLoss needs a list"):
        loss([["a"], ["a cat"]], [[1.0]])
    with pytest.raises(InputTypeError, match=r"documents\[0\] holds None, which is not a text"):
        loss([["a"], [["a cat", None]]], [[1.0, 0.0]])
    with pytest.raises(InputTypeError, match=r"weighting_scheme=.*such as NDCGLoss2PPScheme"):
        losses.LambdaLoss(model, losses.NDCGLoss2Scheme)
    with pytest.raises(InputError, match="k=0"):
        losses.RankNetLoss(model, k=0)
    with pytest.raises(InputError, match="reduction_log='ten'"):
        losses.LambdaLoss(model, reduction_log="ten")
    with pytest.raises(InputTypeError, match=r"mini_batch_size=2\.5"):
        losses.ADRMSELoss(model, mini_batch_size=2.5)
    with pytest.raises(InputTypeError, match="rank_discount_fn=3 is int"):
        losses.PListMLELambdaWeight(3)
    weight = losses.PListMLELambdaWeight(lambda ranks: torch.ones(1))
    with pytest.raises(InputError, match="a weight for each rank"):
        losses.PListMLELoss(model, weight)([QUERIES, DOCUMENTS], LABELS)


def test_settings_for_the_card(model: Any) -> None:
    assert losses.RankNetLoss(model, k=3).get_config_dict() == {
        "k": 3,
        "sigma": 1.0,
        "eps": 1e-10,
        "reduction_log": "binary",
        "activation_fn": "Identity",
        "mini_batch_size": None,
    }
    assert losses.LambdaLoss(model).get_config_dict()["weighting_scheme"] == "NDCGLoss2PPScheme"
    assert losses.PListMLELoss(model).get_config_dict()["lambda_weight"] == "PListMLELambdaWeight"
    assert "lambda_weight" not in losses.ListMLELoss(model).get_config_dict()
    for name, _ in CASES:
        assert getattr(losses, name).citation.startswith("@inproceedings{")
