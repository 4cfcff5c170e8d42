"""A run that finds nothing to learn in its batches, or labels that nobody gave, is warned about."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")

from tinybert import sentences, write_tiny  # noqa: E402

from vicinal import CrossEncoder, InputExample, SentenceTransformer, cross_encoder, losses  # noqa: E402
from vicinal.errors import InputTypeError, NewHeadWarning  # noqa: E402
from vicinal.nn.training.idle import IdleSteps  # noqa: E402
from vicinal.nn.training.sentence_transformer import (  # noqa: E402
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)

pytestmark = pytest.mark.torch

TEXTS = sentences(16)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"), dropout=0.0)


def train(model: Any, loss: Any, rows: list[dict[str, Any]], out: Path, **changes: Any) -> None:
    settings: dict[str, Any] = {"max_steps": 2, "save_strategy": "no", "bf16": False, "disable_tqdm": True}
    arguments = SentenceTransformerTrainingArguments(str(out), **{**settings, "report_to": "none", **changes})
    SentenceTransformerTrainer(model, arguments, datasets.Dataset.from_list(rows), loss=loss).train()


def loader_of(examples: list[Any], size: int = 4) -> Any:
    return torch.utils.data.DataLoader(examples, batch_size=size)


PAIRS = [{"query": TEXTS[place], "answer": TEXTS[place + 8]} for place in range(8)]


def test_a_batch_of_one_row_has_no_negatives(tiny: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(tiny, device="cpu")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for name in ("MultipleNegativesRankingLoss", "MultipleNegativesSymmetricRankingLoss"):
        loss = getattr(losses, name)(model)
        with pytest.warns(UserWarning, match=f"{name}: the gradient was 0 at each of the first 2 steps"):
            train(model, loss, PAIRS, tmp_path, per_device_train_batch_size=1, gradient_accumulation_steps=4)
        if name == "MultipleNegativesRankingLoss":
            assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    examples = [InputExample(texts=[row["query"], row["answer"]]) for row in PAIRS]
    with pytest.warns(UserWarning, match=r"train_objectives\[0\]: the gradient was 0 at each of the first 8"):
        model.fit(
            [(loader_of(examples, 1), losses.MultipleNegativesRankingLoss(model))],
            warmup_steps=0,
            show_progress_bar=False,
        )


def test_labels_that_are_all_equal_give_no_order(tiny: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(tiny, device="cpu")
    rows = [{**row, "label": 0.5} for row in PAIRS]
    with pytest.warns(UserWarning, match="CoSENTLoss: the gradient was 0"):
        train(model, losses.CoSENTLoss(model), rows, tmp_path)


def test_a_run_that_learns_is_not_warned_about(tiny: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(tiny, device="cpu")
    train(model, losses.MultipleNegativesRankingLoss(model), PAIRS, tmp_path)  # warnings are errors
    steps = IdleSteps(100)
    for norm in (0.0, float("inf"), 0.5, *[0.0] * 50):
        steps.count(norm, "loss")
    steps = IdleSteps(100)
    for _ in range(19):
        steps.count(1e-8, "loss")
    with pytest.warns(UserWarning, match="first 20 steps"):
        steps.count(0.0, "loss")
    steps.count(0.0, "loss")  # once


def test_fit_warns_of_labels_that_nobody_gave(tiny: Path) -> None:
    model = SentenceTransformer(tiny, device="cpu")
    examples = [InputExample(texts=[row["query"], row["answer"]]) for row in PAIRS]
    options: dict[str, Any] = {"warmup_steps": 0, "show_progress_bar": False}
    with pytest.warns(
        UserWarning, match=r"train_objectives\[0\]\[0\].dataset: the labels of all 8 examples are 0"
    ):
        model.fit([(loader_of(examples), losses.CosineSimilarityLoss(model))], **options)
    model.fit([(loader_of(examples), losses.MultipleNegativesRankingLoss(model))], **options)  # wants none
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NewHeadWarning)
        judge = CrossEncoder(tiny, num_labels=1, device="cpu")
    with pytest.warns(UserWarning, match="train_dataloader.dataset: the labels of all 8 examples are 0"):
        judge.fit(loader_of(examples), loss_fct=cross_encoder.losses.BinaryCrossEntropyLoss(judge), **options)


def test_mined_rows_of_another_loss_are_not_trained_on_in_silence(tiny: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(tiny, device="cpu")
    loss = losses.MultipleNegativesRankingLoss(model)
    pairs = [{**row, "label": place % 2} for place, row in enumerate(PAIRS)]
    with pytest.warns(UserWarning, match="pairs with label 0 are trained as those with label 1"):
        train(model, loss, pairs, tmp_path)
    lists = [{"query": row["query"], "answers": [row["answer"], TEXTS[0]], "labels": [1, 0]} for row in PAIRS]
    with pytest.raises(InputTypeError, match=r"train_dataset\[0\]\['answers'\] is a list, .* takes one text"):
        train(model, loss, lists, tmp_path)
