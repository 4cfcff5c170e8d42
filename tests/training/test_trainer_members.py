"""What code around a trainer reaches for: loss, collator, features, the model that callbacks get."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")

from tinybert import pairs, write_tiny  # noqa: E402

from vicinal import SentenceTransformer, losses  # noqa: E402
from vicinal.nn.training.collator import SentenceTransformerDataCollator  # noqa: E402
from vicinal.nn.training.sentence_transformer import SentenceTransformerTrainer as Trainer  # noqa: E402
from vicinal.nn.training.sentence_transformer import SentenceTransformerTrainingArguments as Arguments  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"), dropout=0.0)


def trainer(tiny: Path, tmp_path: Path, **options: Any) -> Any:
    args = Arguments(
        output_dir=str(tmp_path), disable_tqdm=True, save_strategy="no", max_steps=2, report_to="none"
    )
    rows = datasets.Dataset.from_list(pairs(8))
    return Trainer(SentenceTransformer(str(tiny), device="cpu"), args, rows, **options)


class Watching(transformers.TrainerCallback):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.seen.append(model)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.seen.append(model)


def test_callbacks_get_the_model_itself(tiny: Path, tmp_path: Path) -> None:
    watching = Watching()
    made = trainer(tiny, tmp_path, callbacks=[watching])
    made.train()
    assert len(watching.seen) == 3
    assert all(each is made.owner for each in watching.seen)


def test_the_loss_is_the_one_that_is_computed(tiny: Path, tmp_path: Path) -> None:
    made = trainer(tiny, tmp_path)
    assert type(made.loss) is losses.CoSENTLoss
    made.loss = losses.CosineSimilarityLoss
    assert type(made.loss) is losses.CosineSimilarityLoss
    assert made.loss.model is made.owner
    given = losses.CosineSimilarityLoss(made.owner)
    made.loss = given
    assert made.loss is given


def test_features_of_a_batch(tiny: Path, tmp_path: Path) -> None:
    made = trainer(tiny, tmp_path, loss=losses.CosineSimilarityLoss)
    batch = next(iter(made.get_train_dataloader()))
    features, labels = made.collect_features(batch)
    assert [each["input_ids"].shape[0] for each in features] == [8, 8]
    assert torch.equal(labels, batch["label"])
    assert torch.isfinite(made.loss(features, labels))


def test_a_collator_plans_its_rows(tiny: Path) -> None:
    collator = SentenceTransformerDataCollator(SentenceTransformer(str(tiny), device="cpu").tokenize)
    batch = collator(pairs(2))
    assert batch["label"].tolist() == pytest.approx([0.0, 0.7])
    assert batch["column_names"] == ("first", "second")
    assert batch["first_input_ids"].shape[0] == batch["second_attention_mask"].shape[0] == 2
