"""GISTEmbedLoss leaves out what its guide finds too similar; with another tokenizer the guide gets the texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tinybert import WORDS, sentences, write_tiny  # noqa: E402

from vicinal import SentenceTransformer  # noqa: E402
from vicinal import losses as L  # noqa: E402
from vicinal.errors import InputError, InputTypeError  # noqa: E402

pytestmark = pytest.mark.torch


def emb(k: int, n: int = 4, d: int = 6) -> Any:
    i, j = np.meshgrid(np.arange(n), np.arange(d), indexing="ij")
    return np.sin(1.0 + 2.3 * i + 1.7 * j + 0.9 * k + 0.61 * i * j * (k + 1))


class Given(torch.nn.Module):  # type: ignore[misc]
    """Gives what stands in the features under a name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        return {"sentence_embedding": features[self.name]}


MODEL, GUIDE = Given("sentence_embedding"), Given("guide")
COLUMNS = [emb(k) for k in range(3)]
JUDGED = [emb(k + 5) + (emb(9) if k < 2 else 0) for k in range(3)]

# settings, number of columns, value and norms of gradients as sentence-transformers 6.2.0 gives them
TABLE: list[tuple[dict[str, Any], int, float, list[float]]] = [
    ({}, 2, 67.4564179, [32.889832, 37.218273]),
    ({}, 3, 67.4564179, [32.889832, 37.218273, 0.0]),
    ({"temperature": 0.1}, 2, 6.9766157, [3.793492, 3.293901]),
    ({"temperature": 0.1}, 3, 6.9807091, [3.786872, 3.288002, 0.010043]),
    ({"temperature": 0.1, "margin": 0.1}, 3, 6.9795183, [3.79, 3.289384, 0.007149]),
    (
        {"temperature": 0.1, "margin": 0.3, "margin_strategy": "relative"},
        3,
        6.9805939,
        [3.786872, 3.288002, 0.010038],
    ),
    ({"temperature": 0.1, "contrast_anchors": False}, 3, 6.7525412, [3.27328, 3.713442, 0.014812]),
    ({"temperature": 0.1, "contrast_positives": False}, 3, 6.9803031, [3.787897, 3.288065, 0.010049]),
]


def run(
    loss: Any, columns: list[Any], judged: list[Any], dtype: Any = torch.float32
) -> tuple[float, list[Any]]:
    leaves = [torch.tensor(each, dtype=dtype, requires_grad=True) for each in columns]
    features = [
        {
            "sentence_embedding": leaf,
            "guide": torch.tensor(each, dtype=dtype),
            "attention_mask": torch.ones(len(leaf), 1).long(),
        }
        for leaf, each in zip(leaves, judged, strict=True)
    ]
    value = loss(features)
    value.backward()
    return float(value.detach()), [each.grad for each in leaves]


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(("setting", "count", "value", "norms"), TABLE)
def test_equals_the_peer(
    setting: dict[str, Any], count: int, value: float, norms: list[float], cached: bool
) -> None:
    make = L.CachedGISTEmbedLoss if cached else L.GISTEmbedLoss
    loss = make(MODEL, GUIDE, **setting, **({"mini_batch_size": 3} if cached else {}))
    got, gradients = run(loss, COLUMNS[:count], JUDGED[:count])
    assert got == pytest.approx(value, rel=2e-6)
    assert [float(each.norm()) for each in gradients] == pytest.approx(norms, rel=1e-5, abs=1e-6)


def unit(x: Any) -> Any:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("strategy", ["absolute", "relative"])
def test_by_brute_force(seed: int, strategy: Any) -> None:
    random = np.random.default_rng(seed)
    n, margin = 5, 0.2
    columns = [random.standard_normal((n, 4)) for _ in range(4)]
    judged = [random.standard_normal((n, 3)) for _ in range(4)]
    s, g = [unit(x) for x in columns], [unit(x) for x in judged]
    losses = []
    for i in range(n):
        own = g[0][i] @ g[1][i]
        limit = own - margin if strategy == "absolute" else own - margin * abs(own)
        logits = [s[0][i] @ s[1][i] / 0.1]
        for j in range(n):
            for one, other in ((0, 1), (0, 0), (1, 1), (0, 2), (0, 3)):
                if (j != i or other > 1) and g[one][i] @ g[other][j] <= limit:
                    logits.append(s[one][i] @ s[other][j] / 0.1)
        losses.append(np.log(np.exp(logits).sum()) - logits[0])
    loss = L.GISTEmbedLoss(MODEL, GUIDE, 0.1, strategy, margin)
    got, gradients = run(loss, columns, judged, torch.float64)
    assert got == pytest.approx(np.mean(losses), rel=1e-9)
    order = [3, 1, 4, 0, 2]
    again, moved = run(loss, [x[order] for x in columns], [x[order] for x in judged], torch.float64)
    assert again == pytest.approx(got, rel=1e-9)
    assert all(torch.allclose(a[order], b) for a, b in zip(gradients, moved, strict=True))


def test_a_positive_equal_to_its_anchor_is_not_compared_with_itself() -> None:
    got, _ = run(
        L.GISTEmbedLoss(MODEL, GUIDE, 0.1, margin=-0.5), [emb(0), emb(0)], [emb(0), emb(0)], torch.float64
    )
    cosines = unit(emb(0)) @ unit(emb(0)).T
    logits = [[10.0] + [row[j] * 10 for j in range(4) if j != i] * 3 for i, row in enumerate(cosines)]
    assert got == pytest.approx(np.mean([np.log(np.exp(row).sum()) - 10 for row in logits]), rel=1e-9)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two models of the same words, the second's numbered in another order."""
    one = write_tiny(tmp_path_factory.mktemp("one"), dropout=0.0)
    WORDS.reverse()
    try:
        other = write_tiny(tmp_path_factory.mktemp("other"), dropout=0.5, seed=1)
    finally:
        WORDS.reverse()
    return one, other


@pytest.mark.parametrize("size", [2, 100])
def test_the_guide_gets_the_texts_and_cached_equals_plain(folders: tuple[Path, Path], size: int) -> None:
    model, guide = (SentenceTransformer(str(each), device="cpu") for each in folders)
    texts = sentences(12)
    features = [model.tokenize(texts[:6]), model.tokenize(texts[6:])]
    guide.module.train()
    plain = L.GISTEmbedLoss(model, guide, 0.1)
    judged = plain._guide.embed(model, features)
    assert not guide.module.training
    for got, wanted in zip(judged, (texts[:6], texts[6:]), strict=True):
        assert np.allclose(got.numpy(), guide.encode(wanted), atol=2e-4)
    assert sum(each.numel() for each in plain.parameters()) == 0
    found = []
    for loss in (plain, L.CachedGISTEmbedLoss(model, guide, 0.1, mini_batch_size=size)):
        model.module.zero_grad()
        value = loss(features)
        value.backward()
        found.append(
            (float(value.detach()), [p.grad.clone() for p in model.module.parameters() if p.grad is not None])
        )
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-5)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found[0][1], found[1][1], strict=True))
    assert all(p.grad is None for p in guide.module.parameters())


def test_matryoshka_around_it() -> None:
    inner = L.GISTEmbedLoss(MODEL, GUIDE, 0.1)
    parts = [run(inner, [unit(x[:, :d]) for x in COLUMNS], JUDGED, torch.float64)[0] for d in (6, 3)]
    got, _ = run(L.MatryoshkaLoss(MODEL, inner, [6, 3]), COLUMNS, JUDGED, torch.float64)
    assert got == pytest.approx(sum(parts), rel=1e-9)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InputTypeError, match="guide='minilm' is str"):
        L.GISTEmbedLoss(MODEL, "minilm")
    with pytest.raises(InputError, match="margin_strategy"):
        L.GISTEmbedLoss(MODEL, GUIDE, margin_strategy="both")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="temperature=0 is not positive"):
        L.CachedGISTEmbedLoss(MODEL, GUIDE, temperature=0)
    with pytest.raises(InputError, match="guide needs the texts"):
        L.GISTEmbedLoss(MODEL, GUIDE).compute_loss_from_embeddings([torch.ones(2, 3)] * 2)
