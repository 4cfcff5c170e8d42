"""What a loss refuses, and what it says then; the public names, which load torch only when used."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from vicinal import losses as L  # noqa: E402
from vicinal.errors import InputError, InputTypeError  # noqa: E402

pytestmark = pytest.mark.torch


class Model(torch.nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        return {"sentence_embedding": features["sentence_embedding"] * self.weight}

    def get_sentence_embedding_dimension(self) -> int:
        return 6


MODEL = Model()
x = torch.ones(4, 6)

LABELS: list[tuple[Any, Any, int, str]] = [
    (L.CosineSimilarityLoss(MODEL), [0.0, 1.0, 3.2, 5.0], 2, r"column 'score'\[102\] is 3.2.*divide by 5\?"),
    (L.CosineSimilarityLoss(MODEL), [-0.5, 1.0], 2, r"\(label \+ 1\) / 2"),
    (L.CosineSimilarityLoss(MODEL), [0.5, float("nan")], 2, r"\[101\] is nan.*drop the row"),
    (L.CosineSimilarityLoss(MODEL), [[0.5, 1.0]], 2, r"shape \(1, 2\).*one number a row"),
    (L.CosineSimilarityLoss(MODEL), None, 2, "needs labels, and there are none"),
    (L.SoftmaxLoss(MODEL, 6, 3), [0, 1, 3], 2, r"\[102\] is 3.*num_labels - 1 = 2"),
    (L.SoftmaxLoss(MODEL, 6, 3), [0, 1.5], 2, r"\[101\] is 1.5"),
    (L.ContrastiveLoss(MODEL), [0, 1, 2], 2, r"\[102\] is 2.*1 \(similar\) or 0"),
    (L.BatchHardTripletLoss(MODEL), [-1], 1, r"\[100\] is -1.*number of a class"),
    (L.MSELoss(MODEL), [1.0, 2.0], 1, "teacher's embedding"),
    (L.MarginMSELoss(MODEL), [[1.0, 2.0, 3.0]], 3, "2 documents a row.*2 scores, or its 1 margin,"),
    (L.DistillKLDivLoss(MODEL), [[1.0]], 3, "2 documents a row: give the teacher's 2 scores, for"),
    (L.MatryoshkaLoss(MODEL, L.CosineSimilarityLoss(MODEL), [6]), [0, 100], 2, "divide by 100"),
]


@pytest.mark.parametrize(("loss", "labels", "columns", "message"), LABELS)
def test_bad_labels_are_named(loss: Any, labels: Any, columns: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        loss.check_labels(labels, columns, name="column 'score'", first=100)


@pytest.mark.parametrize(
    ("loss", "labels", "columns"),
    [
        (L.CosineSimilarityLoss(MODEL), [0, 0.5, 1], 2),
        (L.CosineSimilarityLoss(MODEL), torch.tensor([0.0, 1.0]), 2),
        (L.CoSENTLoss(MODEL), np.array([-7.0, 99.0]), 2),
        (L.SoftmaxLoss(MODEL, 6, 3), [0, 1, 2], 2),
        (L.BatchHardTripletLoss(MODEL), [0, 77], 1),
        (L.MarginMSELoss(MODEL), [1.0, -2.0], 3),
        (L.MarginMSELoss(MODEL), [[1.0, -2.0]], 3),
        (L.DistillKLDivLoss(MODEL), [[1.0, -2.0]], 3),
        (L.MSELoss(MODEL), [[1.0] * 6], 1),
        (L.MultipleNegativesRankingLoss(MODEL), None, 2),
        (L.MultipleNegativesRankingLoss(MODEL), ["nothing", "to check"], 2),
        (L.ContrastiveLoss(MODEL), [], 2),
    ],
)
def test_good_labels_pass(loss: Any, labels: Any, columns: int) -> None:
    assert loss.check_labels(labels, columns) is None
    assert loss.check_columns(columns) is None


def test_labels_that_are_no_numbers() -> None:
    with pytest.raises(InputTypeError, match="'score' holds values of type"):
        L.CosineSimilarityLoss(MODEL).check_labels(["a", "b"], 2, name="'score'")


@pytest.mark.parametrize(
    ("loss", "count", "message"),
    [
        (L.TripletLoss(MODEL), 2, "2 text columns, but needs 3: add"),
        (L.CoSENTLoss(MODEL), 3, "3 text columns, but needs 2: leave"),
        (L.MultipleNegativesRankingLoss(MODEL), 1, "1 text column, but needs 2 or more"),
        (L.MatryoshkaLoss(MODEL, L.TripletLoss(MODEL), [6]), 2, "TripletLoss got 2"),
    ],
)
def test_columns_are_counted(loss: Any, count: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        loss([{"sentence_embedding": x}] * count)


def test_a_batch_with_wrong_labels() -> None:
    features = [{"sentence_embedding": x}] * 2
    with pytest.raises(InputError, match="CoSENTLoss got no labels"):
        L.CoSENTLoss(MODEL)(features)
    with pytest.raises(InputError, match="3 labels for 4 rows"):
        L.CoSENTLoss(MODEL)(features, torch.ones(3))
    with pytest.raises(InputError, match=r"shape \(4, 2\) for 4 rows"):
        L.CoSENTLoss(MODEL)(features, torch.ones(4, 2))
    with pytest.raises(InputError, match=r"dimension 6.*projection_dim"):
        L.MSELoss(MODEL)(features, torch.ones(4, 5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: L.MultipleNegativesRankingLoss(MODEL, directions=("doc_to_query",)), "lacks 'query_to_doc'"),
        (
            lambda: L.MultipleNegativesRankingLoss(MODEL, directions=("query_to_doc", "up")),
            "'up' is not one of",
        ),
        (lambda: L.MultipleNegativesRankingLoss(MODEL, hardness_strength=-1), "is negative"),
        (
            lambda: L.MultipleNegativesRankingLoss(
                MODEL, directions=("query_to_doc", "doc_to_doc"), partition_mode="per_direction"
            ),
            "partition_mode='joint'",
        ),
        (lambda: L.CachedMultipleNegativesRankingLoss(MODEL, mini_batch_size=0), "mini_batch_size=0"),
        (lambda: L.SoftmaxLoss(MODEL, 6, 3, False, False, False), "sees nothing"),
        (lambda: L.MatryoshkaLoss(MODEL, L.CoSENTLoss(MODEL), [6, 7]), "holds 7.*6 dimensions"),
        (lambda: L.MatryoshkaLoss(MODEL, L.CoSENTLoss(MODEL), [6, 3], [1.0]), "1 numbers for 2"),
        (lambda: L.MatryoshkaLoss(MODEL, L.CoSENTLoss(MODEL), []), "is empty"),
        (lambda: L.DistillKLDivLoss(MODEL, temperature=0), "not positive"),
    ],
)
def test_settings_that_cannot_be_meant(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_what_is_no_loss_or_function() -> None:
    with pytest.raises(InputTypeError, match="loss is str, not a loss"):
        L.MatryoshkaLoss(MODEL, "cosine", [6])
    with pytest.raises(InputTypeError, match="distance_metric='cosine' is str"):
        L.TripletLoss(MODEL, "cosine")


class Plain:
    """A model that is no torch module."""

    def get_sentence_embedding_dimension(self) -> int:
        return 6

    def __call__(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = MODEL(features)
        return found


def test_the_loss_holds_its_own_weights_and_a_model_that_is_a_module() -> None:
    plain = Plain()
    assert list(L.CosineSimilarityLoss(plain).parameters()) == []
    assert sorted(L.SoftmaxLoss(plain, 6, 3).state_dict()) == ["classifier.bias", "classifier.weight"]
    wrapped = L.MatryoshkaLoss(plain, L.MSELoss(plain, projection_dim=2), [6])
    assert sorted(wrapped.state_dict()) == ["loss.projection.bias", "loss.projection.weight"]
    assert [id(each) for each in L.CosineSimilarityLoss(MODEL).parameters()] == [id(MODEL.weight)]
    softmax = L.SoftmaxLoss(MODEL, 6, 3)
    assert sorted(softmax.state_dict()) == ["classifier.bias", "classifier.weight", "model.weight"]
    assert softmax.model is MODEL
    pair = [{"sentence_embedding": x}] * 2
    assert softmax.logits(pair).shape == (4, 3)
    softmax(pair, torch.tensor([0, 1, 2, 0])).backward()
    assert softmax.classifier.weight.grad is not None and MODEL.weight.grad is not None


def test_a_projection_reaches_the_teacher() -> None:
    loss = L.MSELoss(MODEL, projection_dim=2)
    target = torch.ones(4, 2)
    value = loss([{"sentence_embedding": x}], target)
    wanted = ((loss.projection(x * MODEL.weight) - target) ** 2).mean()
    assert float(value.detach()) == pytest.approx(float(wanted.detach()), rel=1e-6)


def test_names_are_lazy_and_complete() -> None:
    code = (
        "import sys, vicinal\n"
        "from vicinal import losses\n"
        "import vicinal.losses as same\n"
        "assert losses is same and 'CoSENTLoss' in dir(losses)\n"
        "assert 'torch' not in sys.modules\n"
        "sys.modules['torch'] = None\n"
        "try:\n    losses.CoSENTLoss\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (
        done.stdout
        == "losses.CoSENTLoss needs 'torch', which is not installed: pip install 'vicinal[train]'\n"
    )
    from vicinal.nn import losses as inner

    assert set(L.__all__) <= set(inner.__all__)
    assert all(getattr(L, name) is getattr(inner, name) for name in L.__all__)
    with pytest.raises(AttributeError, match="no attribute 'CosinLoss'"):
        _ = L.CosinLoss


_WORKER = """
import sys, torch, torch.distributed as dist
from vicinal import losses as L
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
class Model(torch.nn.Module):
    def forward(self, f):
        return f
generator = torch.Generator().manual_seed(0)
columns = torch.randn(3, 6, 4, generator=generator)
for directions in (("query_to_doc",), ("query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc")):
    whole = columns.clone().requires_grad_()
    wanted = L.MultipleNegativesRankingLoss(Model(), directions=directions)([dict(sentence_embedding=c) for c in whole])
    wanted.backward()
    part = columns[:, 3 * rank : 3 * rank + 3].clone().requires_grad_()
    loss = L.MultipleNegativesRankingLoss(Model(), directions=directions, gather_across_devices=True)
    value = loss([dict(sentence_embedding=c) for c in part])
    value.backward()
    mean = value.detach().clone()
    dist.all_reduce(mean)
    assert abs(mean / 2 - wanted) < 1e-5, (mean / 2, wanted)
    # Data-parallel training averages over the processes, which halves these.
    assert (part.grad / 2 - whole.grad[:, 3 * rank : 3 * rank + 3]).abs().max() < 1e-5
print("equal")
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_equal_one_of_their_size(tmp_path: Any) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(rank), str(tmp_path / "meet")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for worker in workers:
        out, error = worker.communicate(timeout=100)
        assert out == "equal\n", error


def test_a_loss_for_the_labels_of_some_data() -> None:
    class Model:
        device = "cpu"

        def get_embedding_dimension(self) -> int:
            return 6

    made = L.SoftmaxLoss.for_labels(Model(), [0, 2, 1])
    assert made.num_labels == 3 and made.classifier.weight.shape == (3, 18)
    assert L.SoftmaxLoss.for_labels(Model(), [0, 0]).num_labels == 2
    assert type(L.CoSENTLoss.for_labels(MODEL, [0.5])) is L.CoSENTLoss
