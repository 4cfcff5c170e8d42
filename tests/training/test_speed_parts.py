"""Packed rows give what padded ones give; bfloat16 is a switch; the schedules are the field's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from vicinal import SentenceTransformer  # noqa: E402
from vicinal.errors import InputError, InputTypeError  # noqa: E402
from vicinal.nn.fit.schedules import schedule  # noqa: E402
from vicinal.nn.modules.packing import pack, packed_vectors, packs  # noqa: E402
from vicinal.nn.training.autocast import autocast, bf16_by_default  # noqa: E402

pytestmark = pytest.mark.torch

FAMILIES = {
    "bert": "Bert",
    "roberta": "Roberta",
    "xlm-roberta": "XLMRoberta",
    "camembert": "Camembert",
    "distilbert": "DistilBert",
    "mpnet": "MPNet",
    "albert": "Albert",
    "electra": "Electra",
}
LENGTHS = [3, 17, 5, 9, 2, 12, 1, 6, 17, 4]


def tiny(family: str, **changes: Any) -> Any:
    """A random model of two layers that numbers its positions as the family does."""
    import transformers

    counted = family in ("roberta", "xlm-roberta", "camembert", "mpnet")
    sizes: dict[str, Any] = {
        "vocab_size": 60,
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 40,
        "max_position_embeddings": 40,
        "pad_token_id": 1 if counted else 0,
    }
    if family == "distilbert":
        names = {
            "hidden_size": "dim",
            "num_hidden_layers": "n_layers",
            "num_attention_heads": "n_heads",
            "intermediate_size": "hidden_dim",
        }
        sizes = {names.get(key, key): value for key, value in sizes.items()}
    torch.manual_seed(3)
    stem = FAMILIES.get(family, family)
    config = getattr(transformers, f"{stem}Config")(**{**sizes, **changes})
    model = getattr(transformers, f"{stem}Model")(config).eval()
    with torch.no_grad():  # positions and types must be seen in the result
        for each in model.parameters():
            each.add_(0.2 * torch.randn_like(each))
    return model


def batch(model: Any, lengths: list[int] = LENGTHS) -> dict[str, Any]:
    torch.manual_seed(1)
    pad = model.config.pad_token_id
    ids = torch.full((len(lengths), max(lengths)), pad)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(5, 60, (length,))
        mask[row, :length] = 1
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_rows_give_vectors_and_gradients_of_padded_ones(family: str, attention: str) -> None:
    model = tiny(family)
    if attention == "sdpa" and not type(model)._supports_sdpa:
        pytest.skip(f"{family} has no sdpa")
    if family == "mpnet" and not hasattr(
        transformers.models.mpnet.modeling_mpnet, "create_bidirectional_mask"
    ):
        assert not packs(model.config, batch(model))
        pytest.skip(f"MPNet of transformers {transformers.__version__} takes no mask of pairs")
    model.set_attn_implementation(attention)
    inputs = batch(model)
    if family in ("bert", "albert", "electra"):
        inputs["token_type_ids"] = (
            (torch.arange(inputs["input_ids"].shape[1]) > 4).long().expand_as(inputs["input_ids"])
        )
    assert packs(model.config, inputs)
    mask = inputs["attention_mask"][..., None]
    weights = torch.randn(*inputs["input_ids"].shape, 24, generator=torch.Generator().manual_seed(2))
    found: list[tuple[Any, list[Any]]] = []
    for compute in (
        lambda: model(**inputs, return_dict=True).last_hidden_state,
        lambda: packed_vectors(model, inputs),
    ):
        model.zero_grad()
        vectors = compute() * mask
        (vectors * weights).sum().backward()
        found.append(
            (vectors.detach(), [None if p.grad is None else p.grad.clone() for p in model.parameters()])
        )
    (padded, wanted), (packed, gradients) = found
    torch.testing.assert_close(packed, padded, atol=1e-5, rtol=0)
    pad_row = model.config.pad_token_id
    for (name, _), one, other in zip(model.named_parameters(), gradients, wanted, strict=True):
        if other is None:
            assert one is None, name
            continue
        if name.endswith("word_embeddings.weight"):
            assert not one[pad_row].any()
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4, msg=name)


def test_each_token_has_one_place_and_texts_stay_whole() -> None:
    mask = (torch.arange(17)[None, :] < torch.tensor(LENGTHS)[:, None]).long()
    packing = pack(mask)
    assert packing.texts.shape == (4, 24)  # 76 tokens: 17 + 6 + 1, 17 + 5 + 2, 12 + 9 + 3, 4
    assert len(set(packing.targets.tolist())) == sum(LENGTHS) == len(packing.sources)
    table = torch.arange(mask.numel()).view_as(mask) + 1
    rows = packing.packed(table, fill=0)
    for text, length in enumerate(LENGTHS):
        row, start = (packing.texts == text).nonzero()[0].tolist()
        assert rows[row, start : start + length].tolist() == table[text, :length].tolist()
        assert packing.positions[row, start : start + length].tolist() == list(range(length))
    back = packing.unpacked(rows[..., None].float(), mask.shape)[..., 0]
    assert torch.equal(back, (table * mask).float())


def test_batches_of_a_kind_share_a_shape() -> None:
    """Every new shape makes oneDNN build and keep another kernel."""
    generator = torch.Generator().manual_seed(0)
    shapes = set()
    for _ in range(50):
        lengths = torch.randint(6, 30, (32,), generator=generator)
        lengths[0] = torch.randint(30, 64, (1,), generator=generator)
        mask = (torch.arange(int(lengths.max()))[None, :] < lengths[:, None]).long()
        shapes.add(tuple(pack(mask).texts.shape))
    assert len(shapes) <= 6 and {width for _, width in shapes} == {64}


def test_packs_only_where_it_is_known_to_be_right_and_pays() -> None:
    model = tiny("bert")
    inputs = batch(model)
    assert packs(model.config, inputs)
    with torch.no_grad():
        assert not packs(model.config, inputs)
    assert not packs(model.config, batch(model, [9, 9, 8, 9]))
    assert not packs(model.config, {**inputs, "position_ids": inputs["input_ids"]})
    left = {key: value.flip(1) for key, value in inputs.items()}
    assert not packs(model.config, left)
    empty = {**inputs, "attention_mask": inputs["attention_mask"].clone()}
    empty["attention_mask"][4] = 0
    assert not packs(model.config, empty)
    holed = {**inputs, "attention_mask": inputs["attention_mask"].clone()}
    holed["attention_mask"][1, 3] = 0
    assert not packs(model.config, holed)
    assert not packs(tiny("bert", output_hidden_states=True).config, inputs)
    assert not packs(tiny("ModernBert").config, inputs)


def test_the_model_packs_when_it_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tinybert = pytest.importorskip("tinybert")
    from vicinal.nn.modules import transformer

    model = SentenceTransformer(tinybert.write_tiny(tmp_path / "tiny", dropout=0.0), device="cpu")
    texts = ["the cat", "a big red dog ran under the tree fast", "one", "a dog", "the tree", "red"]
    features = model.module[0].tokenize(texts)
    calls = []

    def counting(*arguments: Any) -> Any:
        calls.append(1)
        return packed_vectors(*arguments)

    monkeypatch.setattr(transformer, "packed_vectors", counting)
    packed = model(dict(features))["sentence_embedding"]
    assert calls and packed.requires_grad
    with torch.no_grad():
        padded = model(dict(features))["sentence_embedding"]
    assert len(calls) == 1
    torch.testing.assert_close(packed, padded, atol=1e-6, rtol=0)


def test_autocast_is_a_switch() -> None:
    a = torch.randn(8, 8)
    with autocast("cpu", True):
        assert (a @ a).dtype == torch.bfloat16
    with autocast("cpu", False):
        assert (a @ a).dtype == torch.float32
    with autocast("cpu", None):
        assert (a @ a).dtype == (torch.bfloat16 if bf16_by_default() else torch.float32)


# What sentence-transformers 6.2 gives for 3 warm-up steps of 10.
_COSINE = [0.0, 0.333333, 0.666667, 1.0, 0.950484, 0.811745, 0.61126, 0.38874, 0.188255, 0.049516]
RATES = {
    "constantlr": [1.0] * 10,
    "warmupconstant": [0.0, 0.333333, 0.666667, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
    "WarmupLinear": [
        0.0,
        0.333333,
        0.666667,
        1.0,
        0.857143,
        0.714286,
        0.571429,
        0.428571,
        0.285714,
        0.142857,
    ],
    "warmupcosine": _COSINE,
    "warmupcosinewithhardrestarts": _COSINE,
}


@pytest.mark.parametrize("name", RATES)
def test_schedules_are_those_of_sentence_transformers(name: str) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    moves = schedule(optimizer, name, 3, 10)
    found = []
    for _ in range(10):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        moves.step()
    assert found == pytest.approx(RATES[name], abs=1e-6)


def test_an_unknown_schedule_is_refused() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(InputError, match="scheduler='zigzag' is not one of 'constantlr'"):
        schedule(optimizer, "zigzag", 3, 10)
    with pytest.raises(InputTypeError, match="scheduler=3 is int"):
        schedule(optimizer, 3, 3, 10)  # type: ignore[arg-type]
