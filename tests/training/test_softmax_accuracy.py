"""LabelAccuracyEvaluator counts what the classifier of a SoftmaxLoss predicts, for every form of the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tinybert import write_tiny

import vicinal
import vicinal.torch
from vicinal import InputExample, losses
from vicinal.evaluation import LabelAccuracyEvaluator

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

PAIRS = [
    ("the cat sat", "a dog ran"),
    ("one fish", "two"),
    ("red bird", "red bird flew"),
    ("slow", "six ten"),
]
EXAMPLES = [InputExample(texts=list(pair), label=n % 3) for n, pair in enumerate(PAIRS * 3)]


@pytest.mark.parametrize("library", [vicinal, vicinal.torch], ids=["plain", "torch"])
def test_the_largest_logit_is_the_class(tmp_path: Path, library: Any) -> None:
    model = library.SentenceTransformer(str(write_tiny(tmp_path / "tiny")))
    torch.manual_seed(4)
    loss = losses.SoftmaxLoss(model, model.get_sentence_embedding_dimension(), num_labels=3)
    loader = torch.utils.data.DataLoader(EXAMPLES, batch_size=5)
    first, second = (model.encode([one.texts[side] for one in EXAMPLES]) for side in (0, 1))
    first, second = torch.as_tensor(first), torch.as_tensor(second)
    logits = loss.classifier(torch.cat([first, second, (first - second).abs()], dim=1))
    right = (logits.argmax(dim=1) == torch.tensor([one.label for one in EXAMPLES])).float().mean()
    model.train()
    loss.train()
    found = LabelAccuracyEvaluator(loader, "dev", loss)(model, tmp_path / "out")
    assert found == {"dev_accuracy": pytest.approx(float(right))}
    assert model.training
    assert loss.training
    lines = (tmp_path / "out" / "accuracy_evaluation_dev_results.csv").read_text().split()
    assert lines == ["epoch,steps,accuracy", f"-1,-1,{found['dev_accuracy']}"]
