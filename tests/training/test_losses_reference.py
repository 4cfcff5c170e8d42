"""Every loss against the numbers of sentence-transformers 6.2.0, and against formulas written out in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from vicinal import losses as L  # noqa: E402

pytestmark = pytest.mark.torch


def emb(k: int, n: int = 4, d: int = 6) -> Any:
    i, j = np.meshgrid(np.arange(n), np.arange(d), indexing="ij")
    return np.sin(1.0 + 2.3 * i + 1.7 * j + 0.9 * k + 0.61 * i * j * (k + 1))


class Model(torch.nn.Module):  # type: ignore[misc]
    """Gives the embeddings that stand in the features."""

    device = torch.device("cpu")

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        return {"sentence_embedding": features["sentence_embedding"]}

    def get_embedding_dimension(self) -> int:
        return 6

    get_sentence_embedding_dimension = get_embedding_dimension


MODEL = Model()
SCORES = [0.1, 0.9, 0.5, 1.0]
TWO = [[0.9, 0.1], [0.5, 0.2], [0.3, -0.3], [0.1, 0.4]]
EACH = np.stack([emb(3), emb(4)], axis=1)
ALL = ("query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc")
COSINE = L.BatchHardTripletLossDistanceFunction.cosine_distance


def softmax_loss() -> Any:
    loss = L.SoftmaxLoss(MODEL, 6, 3)
    with torch.no_grad():
        loss.classifier.weight.copy_(torch.tensor(emb(5, 3, 18)))
        loss.classifier.bias.copy_(torch.tensor([0.1, 0.2, 0.3]))
    return loss


def mnrl(**settings: Any) -> Any:
    return L.MultipleNegativesRankingLoss(MODEL, **settings)


# loss, number of columns, labels, then as sentence-transformers 6.2.0 gives them with torch 2.13:
# the value, and the norm of the gradient of each column
TABLE: dict[str, tuple[Any, int, Any, float, list[float]]] = {
    "cosine": (L.CosineSimilarityLoss(MODEL), 2, SCORES, 0.9371611, [0.527167, 0.556617]),
    "cosent": (L.CoSENTLoss(MODEL), 2, SCORES, 24.3676434, [13.775769, 14.758576]),
    "cosent, all equal": (L.CoSENTLoss(MODEL), 2, [1.0] * 4, 0.0, [0.0, 0.0]),
    "angle": (L.AnglELoss(MODEL), 2, SCORES, 18.2852421, [20.066847, 19.386461]),
    "triplet": (L.TripletLoss(MODEL), 3, None, 4.7903376, [0.459809, 0.5, 0.5]),
    "triplet, cosine": (
        L.TripletLoss(MODEL, L.TripletDistanceMetric.COSINE, 1.0),
        3,
        None,
        0.8560669,
        [0.360682, 0.269195, 0.289645],
    ),
    "triplet, manhattan": (
        L.TripletLoss(MODEL, L.TripletDistanceMetric.MANHATTAN),
        3,
        None,
        4.2291445,
        [1.118034, 1.224745, 1.224745],
    ),
    "contrastive": (L.ContrastiveLoss(MODEL), 2, [0, 1, 1, 0], 0.4216203, [0.231697, 0.27438]),
    "contrastive, sum": (
        L.ContrastiveLoss(MODEL, L.SiameseDistanceMetric.EUCLIDEAN, 1.5, size_average=False),
        2,
        [0, 1, 1, 0],
        7.0897789,
        [3.765575, 3.765575],
    ),
    "contrastive, manhattan": (
        L.ContrastiveLoss(MODEL, L.SiameseDistanceMetric.MANHATTAN, 3.0),
        2,
        [0, 1, 1, 0],
        7.7183003,
        [4.811954, 4.811954],
    ),
    "online": (L.OnlineContrastiveLoss(MODEL, margin=1.5), 2, [0, 1, 1, 0], 4.8820658, [2.194317, 2.441159]),
    "online, all dissimilar": (
        L.OnlineContrastiveLoss(MODEL, margin=1.5),
        2,
        [0] * 4,
        1.632833,
        [1.156058, 1.143386],
    ),
    "online, all similar": (
        L.OnlineContrastiveLoss(MODEL, margin=1.5),
        2,
        [1] * 4,
        3.5491512,
        [2.088288, 2.223631],
    ),
    "softmax": (softmax_loss(), 2, [0, 2, 1, 1], 1.5267861, [0.970346, 0.854057]),
    "mse": (L.MSELoss(MODEL), 1, emb(3), 1.137086, [0.435332]),
    "mse, two columns": (L.MSELoss(MODEL), 2, emb(3), 1.0840367, [0.217666, 0.207263]),
    "mse, a vector a text": (L.MSELoss(MODEL), 2, EACH, 1.2012584, [0.217666, 0.229622]),
    "embed": (L.EmbedDistillLoss(MODEL), 1, emb(3), 1.2533599, [0.16339]),
    "embed, two columns": (L.EmbedDistillLoss(MODEL), 2, emb(3), 1.2134242, [0.081695, 0.145401]),
    "embed, a vector a text": (L.EmbedDistillLoss(MODEL), 2, EACH, 1.2683816, [0.081695, 0.135257]),
    "embed, l2": (L.EmbedDistillLoss(MODEL, "l2"), 1, emb(3), 2.4035047, [0.5]),
    "embed, l2, a vector a text": (L.EmbedDistillLoss(MODEL, "l2"), 2, EACH, 2.5582276, [0.25, 0.25]),
    "embed, mse": (L.EmbedDistillLoss(MODEL, "mse"), 2, emb(3), 1.0840367, [0.217666, 0.207263]),
    "mega": (
        L.MegaBatchMarginLoss(MODEL, use_mini_batched_version=False),
        2,
        None,
        1.0866762,
        [0.347072, 0.387158],
    ),
    "mega, margins": (
        L.MegaBatchMarginLoss(MODEL, 1.2, -0.5, use_mini_batched_version=False),
        2,
        None,
        2.2002393,
        [0.387288, 0.459042],
    ),
    "margin": (L.MarginMSELoss(MODEL), 3, [0.1, 0.2, -0.3, 0.4], 1.5350491, [2.384341, 2.090286, 2.090286]),
    "margin, scores": (
        L.MarginMSELoss(MODEL),
        3,
        [[0.5, 0.4], [0.2, 0.1], [-0.3, 0.1], [0.4, 0.1]],
        1.5073018,
        [2.288128, 2.085381, 2.085381],
    ),
    "margin, two negatives": (
        L.MarginMSELoss(MODEL),
        4,
        [[0.1, 0.2], [0.2, 0.1], [-0.3, 0.1], [0.4, 0.1]],
        5.3129296,
        [4.457897, 3.22017, 1.045143, 2.474475],
    ),
    "margin, two negatives, scores": (
        L.MarginMSELoss(MODEL),
        4,
        [[0.9, 0.1, 0.2], [0.5, 0.2, 0.1], [0.3, -0.3, 0.1], [0.1, 0.4, 0.1]],
        4.7240911,
        [4.148294, 2.902655, 0.716394, 2.412341],
    ),
    "kl": (L.DistillKLDivLoss(MODEL), 3, TWO, 0.0609537, [0.118289, 0.118625, 0.118625]),
    "kl, T=2": (
        L.DistillKLDivLoss(MODEL, temperature=2.0),
        3,
        TWO,
        0.0781496,
        [0.148513, 0.157574, 0.157574],
    ),
    "kl, two temperatures": (
        L.DistillKLDivLoss(MODEL, student_temperature=2.0, teacher_temperature=0.5),
        3,
        TWO,
        0.2046275,
        [0.336982, 0.310236, 0.310236],
    ),
    "mnrl": (mnrl(), 2, None, 13.4906645, [6.565233, 7.459785]),
    "mnrl, negatives": (mnrl(), 3, None, 13.4924297, [6.564742, 7.459233, 0.016617]),
    "mnrl, both ways": (
        mnrl(directions=("query_to_doc", "doc_to_query")),
        3,
        None,
        14.0844575,
        [6.595053, 7.508734, 0.008275],
    ),
    "mnrl, all ways": (mnrl(directions=ALL), 3, None, 14.1960354, [7.046421, 7.025965, 0.008235]),
    "mnrl, docs": (
        mnrl(directions=("query_to_doc", "doc_to_doc")),
        3,
        None,
        13.4924736,
        [6.564622, 7.459013, 0.016518],
    ),
    "mnrl, hard in batch": (
        mnrl(hardness_mode="in_batch_negatives", hardness_strength=2.0),
        4,
        None,
        15.2978058,
        [5.956476, 6.51212, 0.036643, 1.107651],
    ),
    "mnrl, hard own": (
        mnrl(hardness_mode="hard_negatives", hardness_strength=2.0, directions=ALL),
        4,
        None,
        16.3797531,
        [4.796019, 5.389214, 0.008378, 2.084645],
    ),
    "mnrl, hard all": (
        mnrl(hardness_mode="all_negatives", hardness_strength=2.0),
        4,
        None,
        15.7477989,
        [5.931993, 6.479749, 0.036643, 1.159472],
    ),
    "symmetric": (L.MultipleNegativesSymmetricRankingLoss(MODEL), 2, None, 11.7726688, [5.775352, 6.653386]),
    "symmetric, negatives": (
        L.MultipleNegativesSymmetricRankingLoss(MODEL),
        3,
        None,
        11.7735529,
        [5.775182, 6.653119, 0.008308],
    ),
    "cached mnrl": (
        L.CachedMultipleNegativesRankingLoss(MODEL, mini_batch_size=3),
        3,
        None,
        13.4924297,
        [6.564742, 7.459233, 0.016617],
    ),
    "cached symmetric": (
        L.CachedMultipleNegativesSymmetricRankingLoss(MODEL, mini_batch_size=3),
        3,
        None,
        11.7735529,
        [5.775182, 6.653119, 0.008308],
    ),
    "matryoshka": (L.MatryoshkaLoss(MODEL, mnrl(), [6, 3, 2]), 2, None, 57.5027161, [22.954014, 16.142115]),
    "matryoshka, weights": (
        L.MatryoshkaLoss(MODEL, L.CosineSimilarityLoss(MODEL), [3, 6], [2.0, 0.5]),
        2,
        SCORES,
        3.3048768,
        [1.501802, 1.5044],
    ),
}
CLASSES = [0, 0, 1, 1, 2, 2]
LONE = [0, 1, 2, 3, 4, 5]
# loss, labels of six texts, value, norm of the gradient
BATCH: list[tuple[Any, list[int], float, float]] = [
    (L.BatchAllTripletLoss(MODEL), CLASSES, 5.4019265, 0.542435),
    (L.BatchAllTripletLoss(MODEL, COSINE), CLASSES, 5.3402314, 0.506085),
    (L.BatchAllTripletLoss(MODEL), LONE, 0.0, 0.0),
    (L.BatchHardSoftMarginTripletLoss(MODEL), CLASSES, 1.3829079, 0.610449),
    (L.BatchHardSoftMarginTripletLoss(MODEL, COSINE), CLASSES, 1.175732, 0.400673),
    (L.BatchHardSoftMarginTripletLoss(MODEL), [0] * 6, 0.6931472, 0.0),
    (L.BatchHardSoftMarginTripletLoss(MODEL), LONE, 0.1512876, 0.121105),
    (L.BatchHardTripletLoss(MODEL), CLASSES, 6.0564351, 0.81603),
    (L.BatchHardTripletLoss(MODEL, COSINE), CLASSES, 5.7896175, 0.59168),
    (L.BatchHardTripletLoss(MODEL), [0] * 6, 5.0, 0.0),
    (L.BatchHardTripletLoss(MODEL), LONE, 3.0632725, 0.766804),
    (L.BatchSemiHardTripletLoss(MODEL), CLASSES, 4.9421916, 0.785418),
    (L.BatchSemiHardTripletLoss(MODEL, COSINE), CLASSES, 5.0282722, 0.620636),
    (L.BatchSemiHardTripletLoss(MODEL), [0] * 6, 7.6716208, 0.624761),
    (L.BatchSemiHardTripletLoss(MODEL), LONE, 0.0, 0.0),
]


def run(loss: Any, columns: list[Any], labels: Any, dtype: Any = torch.float32) -> tuple[float, list[Any]]:
    leaves = [torch.tensor(each, dtype=dtype, requires_grad=True) for each in columns]
    target = None if labels is None else torch.tensor(labels)
    masks = [torch.ones(len(each), 1).long() for each in leaves]  # cached losses cut a batch by it
    features = [
        {"sentence_embedding": each, "attention_mask": mask} for each, mask in zip(leaves, masks, strict=True)
    ]
    value = loss(features, target)
    assert value.shape == ()
    value.backward()
    return float(value.detach()), [each.grad for each in leaves]


@pytest.mark.parametrize("case", TABLE)
def test_equals_the_peer(case: str) -> None:
    loss, count, labels, value, norms = TABLE[case]
    got, gradients = run(loss, [emb(k) for k in range(count)], labels)
    assert got == pytest.approx(value, rel=2e-6, abs=1e-6)
    assert [float(each.norm()) for each in gradients] == pytest.approx(norms, rel=1e-5, abs=2e-6)


@pytest.mark.parametrize(("loss", "labels", "value", "norm"), BATCH)
def test_batch_triplets_equal_the_peer(loss: Any, labels: list[int], value: float, norm: float) -> None:
    got, (gradient,) = run(loss, [emb(0, 6)], labels)
    assert got == pytest.approx(value, rel=2e-6, abs=1e-6)
    assert float(gradient.norm()) == pytest.approx(norm, rel=1e-5, abs=2e-6)


@pytest.mark.parametrize("case", TABLE)
def test_bfloat16_embeddings_are_computed_in_float32(case: str) -> None:
    loss, count, labels, _, _ = TABLE[case]
    rounded = [torch.tensor(emb(k)).bfloat16() for k in range(count)]
    target = None if labels is None else torch.tensor(labels)
    wide = loss.compute_loss_from_embeddings([each.float() for each in rounded], target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        leaves = [each.requires_grad_() for each in rounded]
        narrow = loss.compute_loss_from_embeddings(leaves, target)
    assert narrow.dtype == torch.float32
    assert torch.equal(narrow, wide)
    narrow.backward()
    assert all(torch.isfinite(each.grad).all() for each in leaves)


@pytest.mark.parametrize("case", [case for case in TABLE if "softmax" not in case])
def test_order_of_the_rows_does_not_matter(case: str) -> None:
    loss, count, labels, value, _ = TABLE[case]
    order = [2, 0, 3, 1]
    shuffled = None if labels is None else np.asarray(labels)[order]
    got, _ = run(loss, [emb(k)[order] for k in range(count)], shuffled, torch.float64)
    assert got == pytest.approx(value, rel=1e-5, abs=1e-6)


def unit(x: Any) -> Any:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


shapes = st.tuples(st.integers(1, 7), st.integers(1, 5), st.integers(0, 10_000))


@settings(max_examples=40, deadline=None)
@given(shapes, st.integers(1, 3))
def test_ranking_is_the_cross_entropy(shape: tuple[int, int, int], documents: int) -> None:
    n, d, seed = shape
    columns = np.random.default_rng(seed).standard_normal((1 + documents, n, d)) + 0.01
    logits = 20 * unit(columns[0]) @ unit(columns[1:].reshape(-1, d)).T
    wanted = np.mean([np.log(np.exp(row).sum()) - row[i] for i, row in enumerate(logits)])
    got, gradients = run(mnrl(), list(columns), None, torch.float64)
    assert got == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    assert all(torch.isfinite(each).all() for each in gradients)


@settings(max_examples=40, deadline=None)
@given(shapes)
def test_cosent_and_cosine_by_hand(shape: tuple[int, int, int]) -> None:
    n, d, seed = shape
    random = np.random.default_rng(seed)
    a, b = random.standard_normal((2, n, d)) + 0.01
    labels = random.integers(0, 3, n) / 2
    cosines = (unit(a) * unit(b)).sum(axis=1)
    pairs = [
        np.exp(20 * (cosines[j] - cosines[i])) for i in range(n) for j in range(n) if labels[i] > labels[j]
    ]
    assert run(L.CoSENTLoss(MODEL), [a, b], labels, torch.float64)[0] == pytest.approx(
        np.log(1 + sum(pairs)), rel=1e-9, abs=1e-9
    )
    assert run(L.CosineSimilarityLoss(MODEL), [a, b], labels, torch.float64)[0] == pytest.approx(
        ((cosines - labels) ** 2).mean(), rel=1e-9, abs=1e-9
    )


@settings(max_examples=30, deadline=None)
@given(shapes)
def test_batch_triplets_by_brute_force(shape: tuple[int, int, int]) -> None:
    n, d, seed = shape
    random = np.random.default_rng(seed)
    x, labels = random.standard_normal((n, d)), random.integers(0, 3, n)
    distances = np.linalg.norm(x[:, None] - x[None], axis=2)
    every, semi, pairs = [], [], 0
    for a in range(n):
        others = [distances[a, k] for k in range(n) if labels[k] != labels[a]]
        for p in range(n):
            if p == a or labels[p] != labels[a]:
                continue
            pairs += 1
            every += [max(0, distances[a, p] - each + 5) for each in others]
            beyond = [each for each in others if each > distances[a, p]]
            chosen = min(beyond) if beyond else max(others, default=0.0)
            semi.append(max(0, distances[a, p] - chosen + 5))
    wanted = np.mean([each for each in every if each > 0]) if any(every) else 0
    assert run(L.BatchAllTripletLoss(MODEL), [x], labels, torch.float64)[0] == pytest.approx(wanted, abs=1e-6)
    got, (gradient,) = run(L.BatchSemiHardTripletLoss(MODEL), [x], labels, torch.float64)
    assert got == pytest.approx(np.mean(semi) if pairs else 0, abs=1e-6)
    assert torch.isfinite(gradient).all()


def test_matryoshka_is_the_weighted_sum() -> None:
    inner = L.MarginMSELoss(MODEL)
    columns = [emb(k) for k in range(3)]
    parts = [run(inner, [unit(each[:, :dim]) for each in columns], SCORES)[0] for dim in (6, 3)]
    got, _ = run(L.MatryoshkaLoss(MODEL, inner, [6, 3], [1, 0.25]), columns, SCORES)
    assert got == pytest.approx(parts[0] + 0.25 * parts[1], rel=1e-6)
    one, _ = run(L.MatryoshkaLoss(MODEL, inner, [6, 3], n_dims_per_step=1), columns, SCORES)
    assert min(abs(one - part) for part in parts) < 1e-6


def test_util_functions_are_computed_without_checks() -> None:
    """The functions of vicinal.util give the same losses, and let a NaN through, as gradient scalers need."""
    from vicinal import util

    columns = [emb(0), emb(1)]
    same = run(mnrl(similarity_fct=util.cos_sim), columns, None)[0]
    assert same == pytest.approx(run(mnrl(), columns, None)[0], abs=1e-6)
    columns[0][0, 0] = np.nan
    assert np.isnan(run(mnrl(similarity_fct=util.cos_sim), columns, None)[0])
    own = run(mnrl(similarity_fct=lambda a, b: a @ b.T, scale=1.0), [emb(0), emb(1)], None)[0]
    assert own == pytest.approx(
        run(mnrl(similarity_fct=util.dot_score, scale=1.0), [emb(0), emb(1)], None)[0]
    )


def test_configurations_name_the_settings() -> None:
    assert L.TripletLoss(MODEL).get_config_dict() == {
        "distance_metric": "TripletDistanceMetric.EUCLIDEAN",
        "triplet_margin": 5,
    }
    assert mnrl().get_config_dict()["similarity_fct"] == "cos_sim"
    assert L.AnglELoss(MODEL).get_config_dict()["similarity_fct"] == "pairwise_angle_sim"
    assert L.CosineSimilarityLoss(MODEL).get_config_dict()["loss_fct"] == "torch.nn.modules.loss.MSELoss"
    assert L.BatchHardTripletLoss(MODEL).get_config_dict() == {
        "distance_metric": "euclidean_distance",
        "margin": 5,
    }
