"""Without padding the engine of accelerators computes what it computes with padding, in every family."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


from vicinal import models  # noqa: E402
from vicinal.engine.base import Batch  # noqa: E402
from vicinal.nn.engine import packed as packing  # noqa: E402
from vicinal.nn.engine.pairs import TorchScorer  # noqa: E402
from vicinal.nn.engine.tokens import TorchEngine  # noqa: E402
from vicinal.nn.modules.classifier import Classifier  # noqa: E402

pytestmark = pytest.mark.torch

PACKED = (
    *("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "albert", "electra", "modernbert"),
    *("nomic_bert", "qwen3"),
)
SCORERS = ("bert", "roberta", "xlm-roberta", "distilbert", "electra")


@pytest.fixture(autouse=True)
def copies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Engines compute on a copy, as on an accelerator, though in float64: rounding hides nothing."""
    monkeypatch.setattr("vicinal.nn.engine.tokens._precision", lambda device, dtype: "float64")
    monkeypatch.setattr(TorchEngine, "is_live_on", staticmethod(lambda module, device, dtype: False))
    return


def transformer(family: str, kind: str = "Model", **changes: Any) -> Any:
    """A module of a tiny random network, without a tokenizer: an engine is given ids."""
    from tinytransformers import TINIES

    if family == "modernbert" and not hasattr(
        transformers.models.modernbert.modeling_modernbert, "ALL_ATTENTION_FUNCTIONS"
    ):
        pytest.skip(f"ModernBERT of transformers {transformers.__version__} takes no other attention")
    module: Any = (models.Transformer if kind == "Model" else Classifier).__new__(
        models.Transformer if kind == "Model" else Classifier
    )
    torch.nn.Module.__init__(module)
    module.auto_model = TINIES[family].model(kind, **changes)
    module.tokenizer, module.do_lower_case, module._max_seq_length = None, False, 40
    return module.double().eval()


def batch_of(lengths: list[int], pad: int, types: bool = False, prompt: int = 0) -> Batch:
    ids = np.random.default_rng(3).integers(7, 83, (len(lengths), max(lengths)), dtype=np.int32)
    real = np.arange(max(lengths)) < np.array(lengths)[:, None]
    kinds = np.where(real, ids % 2, 0).astype(np.int32) if types else None
    return Batch(np.where(real, ids, np.int32(pad)), np.array(lengths, dtype=np.int32), kinds, prompt)


def without(engine: Any) -> Any:
    """The same engine, which pads."""
    padded = type(engine).__new__(type(engine))
    padded.__dict__.update(engine.__dict__, _half=None, _packed=None)
    return padded


@pytest.mark.parametrize("family", PACKED)
def test_families(family: str) -> None:
    module = torch.nn.Sequential(transformer(family), models.Pooling(36, "mean"))
    engine = TorchEngine(module, 36)
    assert engine.attention == "packed (padded)"
    config, exact = module[0].config, without(engine)
    types = getattr(config, "type_vocab_size", 0) > 1
    for lengths in ([40, 1, 3, 39, 2], [5], [1] * 130):
        batch = batch_of(lengths, config.pad_token_id, types, prompt=min(lengths) - 1)
        found, wanted = engine.run(batch), exact.run(batch)
        assert np.abs(found - wanted).max() < 1e-6 * max(1, np.abs(wanted).max())
        tokens, padded = engine.run(batch, "tokens"), exact.run(batch, "tokens")
        assert tokens.shape == padded.shape
        for row, length in enumerate(lengths):
            scale = max(1, np.abs(padded[row, :length]).max())
            assert np.abs(tokens[row, :length] - padded[row, :length]).max() < 1e-6 * scale
    many = dict(engine.run_many([(name, batch) for name in "abcde"]))
    assert sorted(many) == list("abcde") and all(np.array_equal(each, found) for each in many.values())


@pytest.mark.parametrize("family", SCORERS)
def test_scores(family: str) -> None:
    module = torch.nn.Sequential(transformer(family, "ForSequenceClassification", num_labels=3))
    engine = TorchScorer(module, 3)
    assert engine.attention == "packed (padded)"
    config = module[0].config
    types = getattr(config, "type_vocab_size", 0) > 1
    batch = batch_of([40, 1, 17, 3, 39], config.pad_token_id, types)
    found, wanted = engine.run(batch), without(engine).run(batch)
    assert found.shape == (5, 3) and np.abs(found - wanted).max() < 1e-6 * max(1, np.abs(wanted).max())


def test_what_cannot_be_packed_is_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attention of the architecture's own, one that the caller changed, or results that are not the same."""

    def attention(module: Any) -> str:
        return TorchEngine(torch.nn.Sequential(module, models.Pooling(36)), 36).attention

    assert attention(transformer("mpnet")) == "padded"
    hooked = transformer("bert")
    hooked.auto_model.encoder.layer[0].register_forward_hook(lambda *_: None)
    assert attention(hooked) == "padded"
    assert attention(transformer("bert", output_hidden_states=True)) == "padded"
    assert attention(transformer("bert", is_decoder=True)) == "padded"
    assert attention(transformer("albert", "ForSequenceClassification")) == "padded"
    wrong = packing._by_text

    def sees_everything(q: Any, k: Any, v: Any, texts: Any, *rest: Any) -> Any:
        table = wrong(q, k, v, texts, *rest)
        return table + 0.01 * v.mean(0)

    monkeypatch.setattr(packing, "_by_text", sees_everything)
    module = transformer("bert")
    engine = TorchEngine(torch.nn.Sequential(module, models.Pooling(36)), 36)
    assert engine.attention == "padded"
    monkeypatch.undo()
    batch = batch_of([40, 3, 9], 0)
    assert engine.run(batch) == pytest.approx(
        TorchEngine(torch.nn.Sequential(module, models.Pooling(36)), 36).run(batch), abs=1e-5
    )


def test_an_attention_that_fails_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this torch's flash attention does not take the sizes, the attention alone is padded."""
    tried: list[str] = []

    def refuses(*_: Any) -> Any:
        tried.append("flash")
        raise RuntimeError("head dimension not supported")

    monkeypatch.setattr(packing, "_has_flash", lambda parameter: True)
    monkeypatch.setattr(packing, "_flash", refuses)
    engine = TorchEngine(torch.nn.Sequential(transformer("bert"), models.Pooling(36)), 36)
    assert tried == ["flash"] and engine.attention == "packed (padded)"
    monkeypatch.setattr(packing, "_by_text", refuses)
    engine = TorchEngine(torch.nn.Sequential(transformer("bert"), models.Pooling(36)), 36)
    assert engine.attention == "padded"


def test_flash_gets_what_torch_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in with the signature of torch's kernel, which needs a GPU: bounds, window, scale."""
    varlen = pytest.importorskip("torch.nn.attention.varlen")

    def attend(
        query: Any, key: Any, value: Any, cu_seq_q: Any, cu_seq_k: Any, max_q: int, max_k: int, **options: Any
    ) -> Any:
        assert options.keys() == {"scale", "window_size"} and cu_seq_q.dtype == torch.int32
        assert query.is_contiguous() and query.ndim == 3 and key.shape == value.shape == query.shape
        left, right = options["window_size"]
        bounds = cu_seq_q.tolist()
        out = torch.empty_like(query)
        for first, end in itertools.pairwise(bounds):
            assert end - first <= max_q == max_k
            q, k, v = (each[first:end].transpose(0, 1) for each in (query, key, value))
            apart = torch.arange(end - first) - torch.arange(end - first)[:, None]
            seen = torch.ones_like(apart, dtype=torch.bool)
            seen &= (apart >= -left) if left >= 0 else True
            seen &= (apart <= right) if right >= 0 else True
            scores = (q @ k.transpose(1, 2) * options["scale"]).masked_fill(~seen, -torch.inf)
            out[first:end] = (scores.softmax(-1) @ v).transpose(0, 1)
        assert bounds[-1] == len(query)
        return out

    monkeypatch.setattr(packing, "_has_flash", lambda parameter: True)
    monkeypatch.setattr(varlen, "varlen_attn", attend)
    for family in ("bert", "qwen3", "modernbert"):
        engine = TorchEngine(torch.nn.Sequential(transformer(family), models.Pooling(36)), 36)
        assert engine.attention == "packed (flash)"
        batch = batch_of([40, 1, 3, 39, 2], 0)
        found, wanted = engine.run(batch), without(engine).run(batch)
        assert np.abs(found - wanted).max() < 1e-6 * max(1, np.abs(wanted).max())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vicinal.nn.engine.tokens._precision", lambda device, wanted: dtype)
    module = torch.nn.Sequential(transformer("bert").float(), models.Pooling(36), models.Normalize())
    engine = TorchEngine(module, 36)
    assert engine.attention == "packed (padded)"
    batch = batch_of([40, 1, 3, 39, 2], 0)
    found, wanted = engine.run(batch), without(engine).run(batch)
    assert found.dtype == np.float32 and np.abs(found - wanted).max() < (
        0.03 if dtype == "bfloat16" else 4e-3
    )


def test_end_to_end(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vicinal import SentenceTransformer

    monkeypatch.setattr("vicinal.nn.engine.tokens._precision", lambda device, dtype: "float32")
    texts = ["the cat sat on the mat.", "a dog", "", "hello world, search the passage!", "mat"] * 9
    model = SentenceTransformer(str(tiny_bert), device="cpu", backend="torch")
    assert model._engine.attention == "packed (padded)"
    padded = SentenceTransformer(str(tiny_bert), device="cpu", dtype="float32")
    assert model.encode(texts) == pytest.approx(padded.encode(texts), abs=1e-5)
    assert model.encode(texts[:5], batch_size=2) == pytest.approx(model.encode(texts)[:5], abs=1e-6)
    for found, wanted in zip(
        model.encode(texts[:5], output_value="token_embeddings"),
        padded.encode(texts[:5], output_value="token_embeddings"),
        strict=True,
    ):
        assert found == pytest.approx(wanted, abs=1e-5)
