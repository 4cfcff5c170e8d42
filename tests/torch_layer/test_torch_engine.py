"""The torch engine computes what OpenVINO does, and goes on when memory runs out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from vicinal import SentenceTransformer, models  # noqa: E402
from vicinal.engine.base import Batch  # noqa: E402
from vicinal.engine.graphs.heads import LAYERS  # noqa: E402
from vicinal.errors import InputError, OutOfMemoryError  # noqa: E402
from vicinal.folder.read import read_model_spec  # noqa: E402
from vicinal.folder.specs import POOLING_FLAGS, LayerNormSpec  # noqa: E402
from vicinal.nn.engine.pairs import TorchScorer  # noqa: E402
from vicinal.nn.engine.tokens import TorchEngine  # noqa: E402
from vicinal.nn.modules.classifier import open_classifier  # noqa: E402

pytestmark = pytest.mark.torch
TEXTS = ["the cat sat on the mat.", "a dog", "", "hello world, search the passage!", "mat"]


def chain(folder: Path, modes: Any) -> list[Any]:
    torch.manual_seed(6)
    width = 16 * (1 if isinstance(modes, str) else len(modes))
    return [
        models.Transformer(folder),
        models.Dense(16, 16, module_input_name="token_embeddings"),
        models.Pooling(16, modes),
        models.Dense(width, 12, activation_function=torch.nn.GELU()),
        models.LayerNorm(12),
        models.Dropout(0.5),
        models.Dense(12, 12, activation_function=None, use_residual=True),
        models.Normalize(),
    ]


@pytest.mark.parametrize("modes", [*POOLING_FLAGS, ("max", "cls", "mean")])
def test_all_poolings_and_heads(modes: Any, tiny_bert: Path) -> None:
    modules = chain(tiny_bert, modes)
    graph = SentenceTransformer(modules=modules, device="cpu", dtype="float32")
    live = SentenceTransformer(modules=modules, device="cpu", backend="torch")
    assert type(live._engine) is TorchEngine and type(graph._engine) is not TorchEngine
    assert live.encode(TEXTS) == pytest.approx(graph.encode(TEXTS), abs=1e-5)
    assert live.encode(TEXTS, batch_size=1) == pytest.approx(live.encode(TEXTS), abs=1e-6)
    facts, expected = (each.encode(TEXTS[0], output_value=None) for each in (live, graph))
    assert facts.keys() == expected.keys()
    for name, value in facts.items():
        assert value == pytest.approx(expected[name], abs=1e-5)


@pytest.mark.parametrize(
    "family", ["roberta", "distilbert", "mpnet", "albert", "electra", "modernbert", "nomic_bert", "qwen3"]
)
def test_families(family: str, tmp_path: Path) -> None:
    from tinytransformers import TINIES, VOCABULARY, save
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    folder = save(TINIES[family].model(), tmp_path)
    backend = Tokenizer(WordLevel({f"w{number}": number for number in range(VOCABULARY)}, unk_token="w9"))
    backend.pre_tokenizer = Whitespace()
    backend.post_processor = TemplateProcessing(single="w5 $A w6", special_tokens=[("w5", 5), ("w6", 6)])
    PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="w1", unk_token="w9").save_pretrained(folder)
    texts = ["w20 w30 w31", "w44 " * 25, "w8", "w70 w71 w72 w73 w74"]
    graph = SentenceTransformer(str(folder), device="cpu", dtype="float32")
    live = SentenceTransformer(str(folder), device="cpu", backend="torch")
    assert type(live._engine) is TorchEngine and type(graph._engine) is not TorchEngine
    assert live.encode(texts) == pytest.approx(graph.encode(texts), abs=1e-5)
    assert graph(graph.tokenize(texts))["sentence_embedding"].detach().numpy() == pytest.approx(
        live.encode(texts), abs=1e-5
    )


def test_half_precision_for_every_output(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on an accelerator: the transformer's copy computes in bfloat16, what comes out is float32."""
    module = torch.nn.Sequential(models.Transformer(tiny_bert), models.Pooling(16)).eval()
    spec = read_model_spec(tiny_bert).transformer
    classifier = torch.nn.Sequential(open_classifier(spec, 3)[0])
    ids = np.array([[2, 50, 51, 3], [2, 52, 3, 0]], dtype=np.int32)
    batch = Batch(ids, np.array([4, 3], dtype=np.int32))
    exact = TorchEngine(module, 16), TorchScorer(classifier, 3)
    monkeypatch.setattr("vicinal.nn.engine.tokens._precision", lambda device, dtype: "bfloat16")
    half = TorchEngine(module, 16), TorchScorer(classifier, 3)
    assert [each.is_live for each in (*exact, *half)] == [True, True, False, False]
    outputs: list[tuple[int, Any, tuple[int, ...]]] = [
        (0, "sentence", (2, 16)),
        (0, "tokens", (2, 4, 16)),
        (1, "sentence", (2, 3)),
    ]
    for which, output, shape in outputs:
        found, wanted = half[which].run(batch, output), exact[which].run(batch, output)
        assert found.dtype == np.float32 and found.shape == wanted.shape == shape
        real = batch.attention_mask.astype(bool) if output == "tokens" else ...
        assert found[real] == pytest.approx(wanted[real], abs=0.1)
        assert not np.array_equal(found[real], wanted[real])
        ((_, many),) = half[which].run_many([("x", batch)], output)
        assert np.array_equal(many, found)


def test_torch_runs_a_kind_that_the_graph_has_no_row_for(
    tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = [models.Transformer(tiny_bert), models.Pooling(16), models.LayerNorm(16)]
    SentenceTransformer(modules=chain, device="cpu").save(str(tmp_path))
    graph = SentenceTransformer(str(tmp_path), dtype="float32")
    expected = graph.encode(TEXTS)
    monkeypatch.delitem(LAYERS, LayerNormSpec)
    live = SentenceTransformer(str(tmp_path), dtype="float32")
    assert live.encode(TEXTS) == pytest.approx(expected, abs=1e-5)
    assert type(live._engine) is TorchEngine and type(graph._engine) is not TorchEngine


class Greedy(torch.nn.Module):
    """Runs out of memory above some texts a batch."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit, self.batches = limit, []  # type: ignore[var-annotated]

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        self.batches.append(len(features["sentence_embedding"]))
        if self.batches[-1] > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return features


@pytest.mark.parametrize("first", ["transformer", "words"])
def test_out_of_memory_halves_the_batch(first: str, tiny_bert: Path) -> None:
    texts = [f"the cat {number}" for number in range(40)]
    start: list[Any] = [models.Transformer(tiny_bert), models.Pooling(16)]
    if first == "words":
        start = [models.BoW([f"{number}" for number in range(40)])]
    expected = SentenceTransformer(modules=start, device="cpu", backend="torch").encode(texts)
    greedy = Greedy(limit=4)
    model = SentenceTransformer(modules=[*start, greedy], device="cpu")
    greedy.batches.clear()
    with pytest.warns(RuntimeWarning, match="out of memory") as seen:
        found = model.encode(texts, batch_size=32)
    assert len(seen) == 1
    assert found == pytest.approx(expected, abs=1e-6)
    assert greedy.batches[:4] == [32, 16, 8, 4] and sum(size for size in greedy.batches if size <= 4) == 40


def test_a_single_text_that_does_not_fit(tiny_bert: Path) -> None:
    greedy = Greedy(limit=99)
    chain = [models.Transformer(tiny_bert), models.Pooling(16), greedy]
    model = SentenceTransformer(modules=chain, device="cpu")
    greedy.limit = 0
    with pytest.raises(OutOfMemoryError, match="a single text"):
        model.encode(["a dog"])


def test_other_errors_pass(tiny_bert: Path) -> None:
    class Broken(torch.nn.Module):
        def forward(self, features: dict[str, Any]) -> dict[str, Any]:
            if len(features["sentence_embedding"]) > 1:
                raise RuntimeError("shapes do not agree")
            return features

    chain = [models.Transformer(tiny_bert), models.Pooling(16), Broken()]
    with pytest.raises(RuntimeError, match="shapes do not agree"):
        SentenceTransformer(modules=chain, device="cpu").encode(TEXTS)


def test_the_budget_of_the_engine_is_used(tiny_bert: Path) -> None:
    watch = Greedy(limit=10_000)
    model: Any = SentenceTransformer(
        modules=[models.Transformer(tiny_bert), models.Pooling(16), watch], device="cpu"
    )
    model._engine.token_budget = 12
    watch.batches.clear()
    model.encode(["a dog"] * 9)  # four tokens each
    assert watch.batches == [3, 3, 3]


def test_tensors_and_devices(tiny_bert: Path) -> None:
    model = SentenceTransformer(str(tiny_bert), device="cpu", backend="torch")
    found = model.encode(TEXTS, convert_to_tensor=True)
    assert isinstance(found, torch.Tensor) and found.device.type == "cpu" and not found.requires_grad
    with pytest.raises(InputError, match="'gpu': no such device"):
        model.encode(TEXTS, device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="sees no such device here"):
            model.to("cuda")
    assert model.to(torch.device("cpu")).device.type == "cpu"
    with pytest.raises(InputError, match="backend='onnx'"):
        SentenceTransformer(modules=[*model.module, Greedy(9)], device="cpu", backend="onnx")


def test_features_of_hard_texts(minilm_path: Path, shared_dir: Path) -> None:
    """The tokenizer of the module and ours make the same ids."""
    import json

    texts = json.loads((shared_dir / "reference" / "texts.json").read_text())
    texts = (
        texts if isinstance(texts, list) else next(each for each in texts.values() if isinstance(each, list))
    )
    model = SentenceTransformer(str(minilm_path), device="cpu")
    ours = model.tokenize(texts)  # no module yet: by our own tokenizer
    assert model._module is None and isinstance(ours["input_ids"], torch.Tensor)
    theirs = model[0].tokenize(texts)
    for name in ("input_ids", "attention_mask"):
        assert torch.equal(ours[name], theirs[name])
    pairs = [(texts[0], texts[1]), ("a cat", "")]
    again = SentenceTransformer(str(minilm_path), device="cpu")
    ours = again.tokenize(pairs)
    theirs = model.tokenize(pairs)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
