"""Losses that need no labels: contrastive tension, MegaBatchMarginLoss, and the regulariser that spreads vectors."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import datasets  # noqa: E402
from tinybert import sentences, write_tiny  # noqa: E402

from vicinal import (  # noqa: E402
    InputExample,
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
    models,
)
from vicinal import losses as L  # noqa: E402
from vicinal.errors import InputError  # noqa: E402

pytestmark = pytest.mark.torch


def emb(k: int, n: int = 4, d: int = 6) -> Any:
    i, j = np.meshgrid(np.arange(n), np.arange(d), indexing="ij")
    return np.sin(1.0 + 2.3 * i + 1.7 * j + 0.9 * k + 0.61 * i * j * (k + 1))


class Model(torch.nn.Module):  # type: ignore[misc]
    """A linear layer on what stands in the features, the unit matrix at first."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(6, 6, bias=False)
        self.layer.weight = torch.nn.Parameter(torch.eye(6))

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        found = features["sentence_embedding"]
        return {"sentence_embedding": self.layer.to(found.dtype)(found)}

    def get_sentence_embedding_dimension(self) -> int:
        return 6


def unit(x: Any) -> Any:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def run(
    loss: Any, columns: list[Any], labels: Any = None, dtype: Any = torch.float32
) -> tuple[Any, list[Any]]:
    leaves = [torch.tensor(each, dtype=dtype, requires_grad=True) for each in columns]
    found = loss([{"sentence_embedding": each} for each in leaves], labels)
    value = sum(found.values()) if isinstance(found, dict) else found
    value.backward()
    if isinstance(found, dict):
        found = {name: term.detach() for name, term in found.items()}
    return found, [each.grad for each in leaves]


# settings, columns, the two terms and the norms of gradients as sentence-transformers 6.2.0 gives them
GOR: list[tuple[dict[str, Any], int, float | None, float | None, list[float]]] = [
    ({}, 1, 0.0258302, 0.0179867, [0.281304]),
    ({}, 2, 0.0382093, 0.0089933, [0.140652, 0.048426]),
    ({"mean_weight": 2.0, "second_moment_weight": 0.5}, 2, 0.0764187, 0.0044967, [0.11757, 0.096852]),
    ({"mean_weight": None}, 2, None, 0.0089933, [0.118135, 0.0]),
    ({"second_moment_weight": None}, 3, 0.0365171, None, [0.025839, 0.032284, 0.031137]),
    ({"aggregation": "sum"}, 3, 0.1095514, 0.0179867, [0.281304, 0.096852, 0.093412]),
    ({"similarity_fct": lambda a, b: a @ b.T}, 2, 0.3726654, 0.96241, [1.834852, 1.053972]),
]


@pytest.mark.parametrize(("setting", "count", "mean", "second", "norms"), GOR)
def test_spread_equals_the_peer(
    setting: dict[str, Any], count: int, mean: float | None, second: float | None, norms: list[float]
) -> None:
    terms, gradients = run(
        L.GlobalOrthogonalRegularizationLoss(Model(), **setting), [emb(k) for k in range(count)]
    )
    for name, wanted in (("gor_mean", mean), ("gor_second_moment", second)):
        assert (name in terms) == (wanted is not None)
        assert wanted is None or float(terms[name]) == pytest.approx(wanted, rel=2e-6, abs=1e-7)
    assert [float(each.norm()) for each in gradients] == pytest.approx(norms, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_spread_by_brute_force(seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((7, 6)) + 0.3
    cosines = unit(x) @ unit(x).T
    others = [cosines[i, j] for i in range(7) for j in range(7) if i != j]
    terms, _ = run(L.GlobalOrthogonalRegularizationLoss(Model()), [x], dtype=torch.float64)
    assert float(terms["gor_mean"]) == pytest.approx(np.mean(others) ** 2, rel=1e-9)
    assert float(terms["gor_second_moment"]) == pytest.approx(
        max(0, np.mean(np.square(others)) - 1 / 6), rel=1e-9, abs=1e-12
    )
    order = np.random.default_rng(seed).permutation(7)
    again, _ = run(L.GlobalOrthogonalRegularizationLoss(Model()), [x[order]], dtype=torch.float64)
    assert float(again["gor_mean"]) == pytest.approx(float(terms["gor_mean"]), rel=1e-9)


def test_spread_inside_matryoshka_and_its_refusals() -> None:
    inner = L.GlobalOrthogonalRegularizationLoss(Model())
    whole = sum(run(inner, [unit(emb(0))], dtype=torch.float64)[0].values())
    found, _ = run(L.MatryoshkaLoss(Model(), inner, [6], [2]), [emb(0)], dtype=torch.float64)
    assert float(found.detach()) == pytest.approx(2 * float(whole), rel=1e-9)
    with pytest.raises(InputError, match="batch of 1 row"):
        inner.compute_loss_from_embeddings([torch.ones(1, 6)])
    with pytest.raises(InputError, match="both None"):
        L.GlobalOrthogonalRegularizationLoss(Model(), mean_weight=None, second_moment_weight=None)


def test_mega_batch_by_brute_force() -> None:
    random = np.random.default_rng(3)
    a, p = random.standard_normal((2, 9, 6))
    cosines = unit(a) @ unit(p).T
    wanted = np.mean(
        [max(0, 0.8 - cosines[i, i]) + max(0, max(np.delete(cosines[i], i)) - 0.3) for i in range(9)]
    )
    for size in (1, 4, 100):
        loss = L.MegaBatchMarginLoss(Model(), mini_batch_size=size)
        columns = [torch.tensor(each) for each in (a, p)]
        assert float(loss.compute_loss_from_embeddings(columns)) == pytest.approx(wanted, rel=1e-9)
    with pytest.raises(InputError, match="batch of 1 row"):
        loss.compute_loss_from_embeddings([torch.ones(1, 6)] * 2)


def test_contrastive_tension_equals_the_peer_and_the_formula() -> None:
    labels = [1, 0, 0, 1]
    loss = L.ContrastiveTensionLoss(Model())
    value, gradients = run(loss, [emb(0), emb(1)], labels)
    assert float(value.detach()) == pytest.approx(1.952808, rel=2e-6)
    assert [float(each.norm()) for each in gradients] == pytest.approx([1.433906, 1.531766], rel=1e-5)
    dots = (emb(0) * emb(1)).sum(axis=1)
    signed = dots * (2 * np.array(labels) - 1)
    assert float(value.detach()) == pytest.approx(np.log1p(np.exp(-signed)).sum(), rel=1e-6)
    assert loss.model2 is loss.model
    assert loss.model1 is not loss.model


ONE = ["the cat sat", "a dog", "one two three", "bird"]
OTHER = ["the cat sat", "a big red dog ran", "one two three", "bird"]


def test_contrastive_tension_finds_labels_out_where_there_are_none(tmp_path: Path) -> None:
    model = SentenceTransformer(str(write_tiny(tmp_path / "bert", dropout=0.0)), device="cpu")
    loss = L.ContrastiveTensionLoss(model)
    for network in (model.transformers_model, loss.model1[0].auto_model):
        with torch.no_grad():
            for name, each in network.named_parameters():
                i = torch.arange(each.numel(), dtype=torch.float64)
                wave = 0.3 * torch.sin(0.61 * i + 0.0137 * i * i + len(name))
                each.copy_(wave.view_as(each) + (each.ndim == 1 and "weight" in name))
    # The second columns are padded, on either side; sentence-transformers 6.2.0 gives this value in every case.
    for side in ("right", "left"):
        columns = [dict(model.module[0].tokenize(each)) for each in (ONE, OTHER)]
        assert columns[0]["input_ids"].shape != columns[1]["input_ids"].shape
        model.module[0].tokenizer.padding_side = side
        padded = dict(model.module[0].tokenizer(OTHER, padding="max_length", return_tensors="pt"))
        assert loss.completed_labels([columns[0], padded], None).tolist() == [1, 0, 1, 1]
        model.module[0].tokenizer.padding_side = "right"
        for labels in (None, torch.tensor([1, 0, 1, 1])):
            assert float(loss(columns, labels).detach()) == pytest.approx(16.9166832, rel=2e-6)
    wrapped = L.MatryoshkaLoss(model, loss, [24, 8])
    assert torch.equal(wrapped(columns).detach(), wrapped(columns, torch.tensor([1, 0, 1, 1])).detach())
    with pytest.raises(InputError, match="no labels, and no token ids"):
        run(L.ContrastiveTensionLoss(Model()), [emb(0), emb(1)])


def test_contrastive_tension_of_a_static_model_without_labels(tmp_path: Path) -> None:
    tokenizer = SentenceTransformer(str(write_tiny(tmp_path / "bert")), device="cpu").tokenizer
    model = SentenceTransformer(modules=[models.StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu")
    loss = L.ContrastiveTensionLoss(model)
    columns = [dict(model.module[0].tokenize(each)) for each in (ONE, OTHER)]
    assert loss.completed_labels(columns, None).tolist() == [1, 0, 1, 1]
    assert torch.equal(loss(columns), loss(columns, [1, 0, 1, 1]))


def test_a_trainer_needs_no_label_column_for_contrastive_tension(tmp_path: Path) -> None:
    losses = []
    for labels in ({}, {"label": [1, 0, 1, 1]}):
        model = SentenceTransformer(str(write_tiny(tmp_path / str(len(labels)), dropout=0.0)), device="cpu")
        rows = datasets.Dataset.from_dict({"first": ONE, "second": OTHER, **labels})
        arguments = SentenceTransformerTrainingArguments(
            str(tmp_path / "run"), max_steps=2, save_strategy="no", report_to="none", disable_tqdm=True
        )
        loss = L.ContrastiveTensionLoss(model)
        trainer = SentenceTransformerTrainer(model=model, args=arguments, train_dataset=rows, loss=loss)
        losses.append(trainer.train().training_loss)
    assert losses[0] == losses[1] > 0


def test_contrastive_tension_in_the_batch_equals_the_peer_and_the_formula() -> None:
    loss = L.ContrastiveTensionLossInBatchNegatives(Model())
    value, (gradient, unused) = run(loss, [emb(0), emb(1)])
    assert float(value.detach()) == pytest.approx(0.0004511, abs=1e-7)
    assert float(gradient.norm()) == pytest.approx(0.006088, rel=1e-4)
    assert unused is None
    assert float(loss.logit_scale.grad) == pytest.approx(-0.003160667, abs=1e-6)
    with torch.no_grad():
        loss.model1.layer.weight.copy_(torch.tensor(emb(4, 6, 6)))
    logits = 20 * unit(emb(0) @ emb(4, 6, 6).T) @ unit(emb(0)).T
    losses = [np.log(np.exp(each).sum(axis=1)) - np.diag(each) for each in (logits, logits.T)]
    assert float(run(loss, [emb(0)])[0].detach()) == pytest.approx(np.mean(losses), rel=1e-5)


def test_batches_of_contrastive_tension() -> None:
    texts = [str(i) for i in range(50)]
    loader = L.ContrastiveTensionDataLoader(texts, batch_size=8, pos_neg_ratio=4)
    assert len(loader) == 3
    batches = list(loader)
    assert [len(each) for each in batches] == [8] * len(batches)
    assert [each.label for each in batches[0]] == [1, 0, 0, 0] * 2
    assert all((each.texts[0] == each.texts[1]) == (each.label == 1) for batch in batches for each in batch)
    used = [text for batch in batches for each in batch for text in set(each.texts)]
    assert len(used) == len(set(used)) > 40
    assert texts == [str(i) for i in range(50)]
    assert [each.texts for each in next(iter(loader))] != [each.texts for each in batches[0]]
    with pytest.raises(InputError, match="no multiple of pos_neg_ratio=8: take 8"):
        L.ContrastiveTensionDataLoader(texts, batch_size=9)


def test_fit_trains_model_and_copy(tmp_path: Path) -> None:
    model = SentenceTransformer(str(write_tiny(tmp_path, dropout=0.0)), device="cpu")
    before = model.encode(["the cat sat"])
    for loss, loader in (
        (
            L.ContrastiveTensionLoss(model),
            L.ContrastiveTensionDataLoader(sentences(40), batch_size=4, pos_neg_ratio=2),
        ),
        (
            L.ContrastiveTensionLossInBatchNegatives(model),
            torch.utils.data.DataLoader(
                [one_text(text) for text in dict.fromkeys(sentences(16))], batch_size=8
            ),
        ),
        (
            L.GlobalOrthogonalRegularizationLoss(model),
            torch.utils.data.DataLoader([one_text(text) for text in sentences(16)], batch_size=8),
        ),
    ):
        old = copy.deepcopy(loss.state_dict())
        model.fit([(loader, loss)], epochs=1, warmup_steps=0, show_progress_bar=False)
        after = model.encode(["the cat sat"])
        assert np.isfinite(after).all()
        assert not np.allclose(before, after, atol=1e-6)
        assert all(
            not torch.equal(old[key], value) for key, value in loss.state_dict().items() if "word" in key
        )
        before = after


def one_text(text: str) -> Any:
    return InputExample(texts=[text])
