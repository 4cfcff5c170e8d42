"""The joint forward pass equals separate ones; the cached loss equals the plain one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from vicinal import losses as L  # noqa: E402
from vicinal.errors import InputError  # noqa: E402
from vicinal.nn.losses.embed import embed_columns  # noqa: E402

pytestmark = pytest.mark.torch


class Tiny(torch.nn.Module):  # type: ignore[misc]
    """Masked mean of embeddings that depend on the tokens before them; counts its passes."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = torch.nn.Embedding(50, 8)
        self.layer = torch.nn.Linear(8, 8)
        self.dropout = torch.nn.Dropout(dropout)
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        self.shapes.append(tuple(features["input_ids"].shape))
        mask = features["attention_mask"].unsqueeze(-1).float()
        x = self.dropout(torch.tanh(self.layer(self.words(features["input_ids"]) * mask)))
        return {"sentence_embedding": (x * mask).sum(1) / mask.sum(1)}


def column(rows: int, width: int, seed: int, left: bool = False) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, 50, (rows, width), generator=generator)
    lengths = torch.randint(1, width + 1, (rows, 1), generator=generator)
    lengths[0] = width
    mask = (torch.arange(width)[None] < lengths).long()
    mask = mask.flip(1) if left else mask
    return {"input_ids": ids * mask, "attention_mask": mask}


def gradients(model: Any, loss: Any, features: Any) -> tuple[float, list[Any]]:
    model.zero_grad()
    value = loss(features, None)
    value.backward()
    return float(value.detach()), [each.grad.clone() for each in model.parameters() if each.grad is not None]


def close(a: list[Any], b: list[Any], tolerance: float = 1e-5) -> bool:
    return len(a) == len(b) > 0 and all((x - y).abs().max() <= tolerance for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("left", [False, True])
def test_one_pass_equals_separate_ones(left: bool) -> None:
    model = Tiny()
    columns = [column(5, 7, 1, left), column(5, 8, 2, left), column(5, 6, 3, left)]
    before = [{key: value.clone() for key, value in each.items()} for each in columns]
    together = embed_columns(model, columns)
    assert model.shapes == [(15, 8)]
    apart = [model(each)["sentence_embedding"] for each in columns]
    assert close(together, apart, 1e-6)
    for old, new in zip(before, columns, strict=True):
        assert all(torch.equal(old[key], new[key]) for key in old)


def test_columns_that_do_not_fit_go_apart() -> None:
    model = Tiny()
    embed_columns(model, [column(4, 3, 1), column(4, 30, 2), column(4, 4, 3)])
    assert sorted(model.shapes) == [(4, 30), (8, 4)]
    model.shapes.clear()
    embed_columns(model, [{**column(4, 5, 1), "prompt_length": 2}, column(4, 5, 2)])
    assert model.shapes == [(4, 5), (4, 5)]
    model.shapes.clear()
    embed_columns(model, [{**column(4, 5, 1), "prompt_length": 2}, {**column(4, 5, 2), "prompt_length": 2}])
    assert model.shapes == [(8, 5)]


SETTINGS: list[dict[str, Any]] = [
    {"mini_batch_size": 3},
    {"mini_batch_size": 100},
    {"mini_batch_size": 4, "mini_batch_num_tokens": 12},
    {"mini_batch_size": 4, "directions": ("query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc")},
    {"mini_batch_size": 4, "hardness_mode": "all_negatives", "hardness_strength": 3.0},
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_cached_equals_plain(setting: dict[str, Any]) -> None:
    model = Tiny()
    features = [column(10, 6, 1), column(10, 9, 2), column(10, 4, 3)]
    plain = {key: value for key, value in setting.items() if not key.startswith("mini")}
    value, wanted = gradients(model, L.MultipleNegativesRankingLoss(model, **plain), features)
    got, cached = gradients(model, L.CachedMultipleNegativesRankingLoss(model, **setting), features)
    assert got == pytest.approx(value, rel=1e-6)
    assert close(cached, wanted)


def test_cached_symmetric_and_matryoshka_equal_plain() -> None:
    model = Tiny()
    features = [column(7, 6, 1), column(7, 9, 2)]
    for plain, cached in (
        (L.MultipleNegativesSymmetricRankingLoss, L.CachedMultipleNegativesSymmetricRankingLoss),
        (L.MultipleNegativesRankingLoss, L.CachedMultipleNegativesRankingLoss),
    ):
        losses = [plain(model), cached(model, mini_batch_size=3)]
        for wrap in (lambda loss: loss, lambda loss: L.MatryoshkaLoss(model, loss, [8, 3], [1, 0.5])):
            (value, wanted), (got, has) = (gradients(model, wrap(loss), features) for loss in losses)
            assert got == pytest.approx(value, rel=1e-6)
            assert close(has, wanted)


@pytest.mark.parametrize("setting", [{}, {"mini_batch_size": 3}, {"mini_batch_num_tokens": 12}])
def test_mega_batch_in_parts_equals_the_whole(setting: dict[str, Any]) -> None:
    model = Tiny()
    features = [column(10, 6, 1), column(10, 9, 2)]
    value, wanted = gradients(model, L.MegaBatchMarginLoss(model, use_mini_batched_version=False), features)
    got, parts = gradients(model, L.MegaBatchMarginLoss(model, **setting), features)
    assert got == pytest.approx(value, rel=1e-6)
    assert close(parts, wanted)


def test_cached_repeats_its_dropout() -> None:
    """The second pass drops what the first dropped, and leaves the random numbers where it found them."""
    model = Tiny(dropout=0.5)
    features = [{**column(6, 5, i), "attention_mask": torch.ones(6, 5).long()} for i in (1, 2)]
    loss = L.CachedMultipleNegativesRankingLoss(model, mini_batch_size=2)
    torch.manual_seed(3)
    got, cached = gradients(model, loss, features)
    after = torch.rand(())
    torch.manual_seed(3)
    model.zero_grad()
    cut = [{key: value[i : i + 2] for key, value in each.items()} for each in features for i in (0, 2, 4)]
    parts = [model(each)["sentence_embedding"] for each in cut]
    assert torch.equal(after, torch.rand(()))
    value = loss.compute_loss_from_embeddings([torch.cat(parts[:3]), torch.cat(parts[3:])])
    value.backward()
    assert got == pytest.approx(float(value.detach()), rel=1e-6)
    assert close(cached, [each.grad for each in model.parameters()])


def test_cached_scales_with_its_upstream_and_under_autocast() -> None:
    model = Tiny()
    features = [column(6, 5, 1), column(6, 5, 2)]
    loss = L.CachedMultipleNegativesRankingLoss(model, mini_batch_size=2)
    _, once = gradients(model, loss, features)
    model.zero_grad()
    (loss(features) * 3).backward()
    assert close([each.grad / 3 for each in model.parameters()], once)
    model.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(features)
        value.backward()
    cast = [each.grad.clone() for each in model.parameters()]
    assert value.dtype == torch.float32
    assert close(cast, once, 0.05)
    model.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain = L.MultipleNegativesRankingLoss(model)(features)
    plain.backward()
    assert close(cast, [each.grad for each in model.parameters()], 0.06)


def test_cached_without_gradients_and_without_masks() -> None:
    model = Tiny()
    features = [column(6, 5, 1), column(6, 5, 2)]
    loss = L.CachedMultipleNegativesRankingLoss(model, mini_batch_size=2)
    with torch.no_grad():
        value = loss(features)
    assert not value.requires_grad
    assert float(value) == pytest.approx(
        float(L.MultipleNegativesRankingLoss(model)(features).detach()), rel=1e-6
    )
    with pytest.raises(InputError, match=r"attention_mask.*MultipleNegativesRankingLoss"):
        loss([{"input_ids": torch.zeros(4).long(), "offsets": torch.zeros(2).long()}] * 2)


class MiniLM(torch.nn.Module):  # type: ignore[misc]
    def __init__(self, folder: Path) -> None:
        super().__init__()
        transformers = pytest.importorskip("transformers")
        self.bert = transformers.AutoModel.from_pretrained(str(folder))
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        hidden = self.bert(**features).last_hidden_state
        mask = features["attention_mask"].unsqueeze(-1).float()
        return {"sentence_embedding": (hidden * mask).sum(1) / mask.sum(1)}


@pytest.mark.slow
def test_minilm_one_pass_and_cache(minilm_path: Path) -> None:
    model = MiniLM(minilm_path).eval()
    texts = [
        [
            "How do I boil eggs?",
            "A plane is taking off.",
            "What is the capital of France?",
            "Old cats sleep.",
        ],
        [
            "Cook the eggs for eight minutes.",
            "An aeroplane leaves.",
            "Paris, of course",
            "A cat naps all day long, as old cats do.",
        ],
    ]
    features = [dict(model.tokenizer(each, padding=True, return_tensors="pt")) for each in texts]
    assert features[0]["input_ids"].shape != features[1]["input_ids"].shape
    with torch.no_grad():
        together = embed_columns(model, features)
        assert close(together, [model(each)["sentence_embedding"] for each in features])
    value, wanted = gradients(model, L.MultipleNegativesRankingLoss(model), features)
    got, cached = gradients(model, L.CachedMultipleNegativesRankingLoss(model, mini_batch_size=3), features)
    assert got == pytest.approx(value, abs=1e-5)
    assert max(float(each.abs().max()) for each in wanted) > 1e-4
    assert close(cached, wanted)


@pytest.mark.slow
def test_minilm_cache_with_dropout(minilm_path: Path) -> None:
    model = MiniLM(minilm_path).train()
    texts = [["How do I boil eggs?", "A plane is taking off."], ["Eight minutes.", "An aeroplane leaves."]]
    features = [dict(model.tokenizer(each, padding=True, return_tensors="pt")) for each in texts]
    torch.manual_seed(1)
    got, cached = gradients(model, L.CachedMultipleNegativesRankingLoss(model), features)
    torch.manual_seed(1)
    model.zero_grad()
    # The plain loss, with a pass a column as the cached one has it: one joint pass draws other numbers.
    embeddings = [model(each)["sentence_embedding"] for each in features]
    value = L.MultipleNegativesRankingLoss(model).compute_loss_from_embeddings(embeddings)
    value.backward()
    assert got == pytest.approx(float(value.detach()), abs=1e-5)
    assert close(cached, [each.grad for each in model.parameters() if each.grad is not None])
