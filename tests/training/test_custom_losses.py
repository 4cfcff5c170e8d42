"""Losses as people write them: they call the model in ``forward``. And tuples of texts in AnglELoss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tinybert import write_tiny  # noqa: E402
from torch import nn  # noqa: E402

import vicinal  # noqa: E402
from vicinal import losses, util  # noqa: E402
from vicinal.errors import InputError, InputTypeError  # noqa: E402
from vicinal.torch import SentenceTransformer  # noqa: E402

ANCHORS = ["the cat sat", "a dog ran fast", "one two three", "red bird"]
POSITIVES = ["a cat sat", "the dog ran", "two three four", "blue bird flew"]
NEGATIVES = ["fish swam", "tree", "seven", "mat"]


class Ranking(nn.Module):
    """In-batch negatives, written without Vicinal's base; counts how often it is called."""

    def __init__(self, model: Any, scale: float = 20.0) -> None:
        super().__init__()
        self.model, self.scale, self.calls = model, scale, 0

    def forward(self, sentence_features: Any, labels: Any) -> Any:
        self.calls += 1
        anchors, *others = [self.model(features)["sentence_embedding"] for features in sentence_features]
        scores = util.cos_sim(anchors, torch.cat(others)) * self.scale
        return nn.functional.cross_entropy(scores, torch.arange(len(scores)))


@pytest.fixture
def model(tmp_path: Path) -> Any:
    return SentenceTransformer(str(write_tiny(tmp_path, dropout=0.0)), dtype="float32")


def features(model: Any, *columns: list[str]) -> list[Any]:
    return [model.tokenize(column) for column in columns]


def gradients(model: Any) -> Any:
    found = torch.cat([each.grad.flatten() for each in model.parameters() if each.grad is not None])
    model.zero_grad()
    return found


def test_matryoshka_around_a_custom_loss_is_that_around_ours(model: Any) -> None:
    columns = features(model, ANCHORS, POSITIVES, NEGATIVES)
    own, ours = Ranking(model), losses.MultipleNegativesRankingLoss(model)
    for weights in (None, [1, 0.5, 0.25]):
        expected = losses.MatryoshkaLoss(model, ours, [24, 12, 6], weights)(columns, None)
        expected.backward()
        wanted = gradients(model)
        found = losses.MatryoshkaLoss(model, own, [24, 12, 6], weights)(columns, None)
        found.backward()
        assert found.item() == pytest.approx(expected.item(), rel=1e-5)
        assert torch.allclose(gradients(model), wanted, atol=1e-4)
    assert own.calls == 6
    # Afterwards the model is as before.
    assert model.encode("the cat").shape == (24,)
    assert "forward" not in vars(model)


def test_the_texts_are_embedded_once(model: Any) -> None:
    seen = []
    model[0].register_forward_hook(lambda *_: seen.append(1))
    losses.MatryoshkaLoss(model, Ranking(model), [24, 12, 6])(features(model, ANCHORS, POSITIVES), None)
    assert len(seen) == 2


def test_one_dim_per_step(model: Any) -> None:
    own = Ranking(model)
    losses.MatryoshkaLoss(model, own, [24, 12], n_dims_per_step=1)(features(model, ANCHORS, POSITIVES), None)
    assert own.calls == 1


def test_a_subclass_with_its_own_forward_is_called(model: Any) -> None:
    class Doubled(losses.CosineSimilarityLoss):
        def forward(self, sentence_features: Any, labels: Any = None) -> Any:
            return 2 * super().forward(sentence_features, labels)

    columns, labels = features(model, ANCHORS, POSITIVES), torch.tensor([1.0, 0.5, 0.2, 0.9])
    once = losses.MatryoshkaLoss(model, losses.CosineSimilarityLoss(model), [24, 8])(columns, labels)
    twice = losses.MatryoshkaLoss(model, Doubled(model), [24, 8])(columns, labels)
    assert twice.item() == pytest.approx(2 * once.item(), rel=1e-5)
    nested = losses.MatryoshkaLoss(model, losses.MatryoshkaLoss(model, Doubled(model), [8]), [24, 8])
    assert nested(columns, labels).item() > 0


def test_what_cannot_be_shortened_is_refused(model: Any, tmp_path: Path) -> None:
    with pytest.raises(InputTypeError, match="give a torch module"):
        losses.MatryoshkaLoss(model, lambda *_: 0, [24])
    plain = vicinal.SentenceTransformer(str(write_tiny(tmp_path / "plain")))
    with pytest.raises(InputTypeError, match=r"vicinal\.torch"):
        losses.MatryoshkaLoss(plain, Ranking(plain), [24])
    wide = nn.Module()
    wide.forward = lambda f: {"sentence_embedding": torch.ones(4, 8)}
    with pytest.raises(InputError, match="8 dimensions"):
        losses.MatryoshkaLoss(wide, Ranking(wide), [24])(features(model, ANCHORS, POSITIVES), None)
    assert vars(wide)["forward"]({})["sentence_embedding"].shape == (4, 8)


def angle(embeddings: list[Any], labels: list[float]) -> float:
    """The loss in float64, pair by pair."""
    anchors, others = embeddings[0].double(), [each.double() for each in embeddings[1:]]
    scores, targets = [], []
    for number, column in enumerate(others):
        scores += util.pairwise_angle_sim(anchors, column).tolist()
        targets += labels if number == 0 else [1 - each for each in labels]
    total = 1.0
    for first, higher in zip(scores, targets, strict=True):
        for second, lower in zip(scores, targets, strict=True):
            if higher > lower:
                total += float(torch.tensor(20 * (second - first), dtype=torch.float64).exp())
    return float(torch.tensor(total, dtype=torch.float64).log())


@pytest.mark.parametrize("labels", [None, [1.0, 0.5, 0.2, 0.9]])
@pytest.mark.parametrize("negatives", [1, 2])
def test_angle_of_tuples(labels: list[float] | None, negatives: int) -> None:
    torch.manual_seed(3)
    embeddings = [torch.randn(4, 8) for _ in range(2 + negatives)]
    loss = losses.AnglELoss(None)
    given = None if labels is None else torch.tensor(labels)
    found = loss.compute_loss_from_embeddings(embeddings, given).item()
    assert found == pytest.approx(angle(embeddings, labels or [1.0] * 4), rel=1e-5)
    loss.check_labels(None, 2 + negatives)
    with pytest.raises(InputError, match="no labels"):
        loss.compute_loss_from_embeddings(embeddings[:2], None)
    with pytest.raises(InputError, match="there are none"):
        loss.check_labels(None, 2)


def test_matryoshka_of_tuples_without_labels() -> None:
    torch.manual_seed(3)
    embeddings = [torch.randn(4, 8) for _ in range(3)]
    loss = losses.MatryoshkaLoss(None, losses.AnglELoss(None), [8, 4])
    found = loss.compute_loss_from_embeddings(embeddings, None).item()
    parts = [[nn.functional.normalize(each[:, :dim], dim=-1) for each in embeddings] for dim in (8, 4)]
    assert found == pytest.approx(sum(angle(part, [1.0] * 4) for part in parts), rel=1e-5)
