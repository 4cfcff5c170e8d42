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


def test_a_compute_loss_of_ones_own_calls_the_model(tiny: Path, tmp_path: Path) -> None:
    class Own(Trainer):
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **rest: Any) -> Any:
            features, labels = self.collect_features(inputs)
            first, second = (model(each)["sentence_embedding"] for each in features)
            assert model[0] is self.owner.module[0] and model.tokenizer is self.owner.tokenizer
            loss = ((torch.cosine_similarity(first, second) - labels) ** 2).mean()
            return (loss, {}) if return_outputs else loss

    found = []
    for kind in (Own, Trainer):
        args = Arguments(
            output_dir=str(tmp_path),
            disable_tqdm=True,
            save_strategy="no",
            max_steps=2,
            report_to="none",
            bf16=False,
        )
        model = SentenceTransformer(str(tiny), device="cpu")
        rows = datasets.Dataset.from_list(pairs(8))
        found.append(kind(model, args, rows, loss=losses.CosineSimilarityLoss).train().training_loss)
    assert found[0] == pytest.approx(found[1], abs=1e-6)


class Parts(torch.nn.Module):
    """A loss of two parts, and a weight of its own with a great gradient."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.weight = model, torch.nn.Parameter(torch.tensor(0.0))

    def forward(self, features: Any, labels: Any) -> dict[str, Any]:
        first, second = (self.model(each)["sentence_embedding"] for each in features)
        main = ((torch.cosine_similarity(first, second) - labels) ** 2).mean()
        return {"main": main, "rest": 1000 * self.weight}


def test_parts_of_a_loss_are_logged_and_its_own_weights_not_clipped(tiny: Path, tmp_path: Path) -> None:
    args = Arguments(
        output_dir=str(tmp_path),
        disable_tqdm=True,
        save_strategy="no",
        report_to="none",
        max_steps=2,
        logging_steps=1,
        eval_strategy="steps",
        eval_steps=1,
        learning_rate=1e-3,
    )
    rows = datasets.Dataset.from_list(pairs(8))
    made = Trainer(SentenceTransformer(str(tiny), device="cpu"), args, rows, rows, loss=Parts)
    made.train()
    for entry in made.state.log_history[:-1]:
        prefix = "eval_" if "eval_loss" in entry else ""
        total = entry[f"{prefix}main"] + entry[f"{prefix}rest"]
        assert total == pytest.approx(entry[f"{prefix}loss"], abs=1e-4)
        # The weight's gradient of 1000 is in no norm: it would leave nothing to the model.
        assert entry.get("grad_norm", 0.0) < 100
    assert made.loss.weight.grad is None or float(made.loss.weight.grad) == pytest.approx(1000)


def test_several_evaluators_have_the_score_of_the_last(tiny: Path, tmp_path: Path) -> None:
    made = trainer(
        tiny, tmp_path, evaluator=[lambda model, **rest: {"a": 0.25}, lambda model, **rest: {"b": 0.5}]
    )
    made.eval_dataset = {"x": datasets.Dataset.from_list(pairs(4))}
    found = made.evaluate()
    assert found["eval_a"] == found["eval_x_a"] == 0.25
    assert found["eval_b"] == found["eval_sequential_score"] == found["eval_x_sequential_score"] == 0.5


def test_the_columns_of_the_training_data(tiny: Path, tmp_path: Path) -> None:
    made = trainer(tiny, tmp_path)
    assert made.train_dataset.column_names == ["first", "second", "label"]
    assert made.train_dataset.num_rows == len(made.train_dataset) == 8
    made.train_dataset = {"x": datasets.Dataset.from_list(pairs(4))}
    assert made.train_dataset.column_names == {"x": ["first", "second", "label"]}


def test_columns_are_those_that_a_transform_makes(tiny: Path, tmp_path: Path) -> None:
    """As with a set_transform that puts texts in place of ids."""
    datasets = pytest.importorskip("datasets")
    words = ["cat", "dog", "bird", "fish"]
    rows = datasets.Dataset.from_dict({"query_id": [0, 1, 2, 3], "labels": [1.0, 0.0, 1.0, 0.0]})
    rows.set_transform(
        lambda batch: {
            "anchor": [words[each] for each in batch["query_id"]],
            "positive": [f"the {words[each]}" for each in batch["query_id"]],
            "label": batch["labels"],
        }
    )
    model = SentenceTransformer(str(tiny), device="cpu")
    found = Trainer(
        model,
        Arguments(output_dir=str(tmp_path), max_steps=1, per_device_train_batch_size=4, report_to=[]),
        train_dataset=rows,
        loss=losses.CosineSimilarityLoss(model),
    )
    found.train()
    assert found.state.global_step == 1
    assert model.training_record.datasets[0].rows == 4


def test_models_that_count_no_tokens_are_trained_to_the_end(tmp_path: Path) -> None:
    """The card gives characters."""
    from vicinal import models

    bag = models.BoW(["cat", "dog", "bird", "fish", "the"])
    model = SentenceTransformer(modules=[bag, models.Dense(5, 4)], device="cpu")
    rows = [{"a": "the cat", "b": "the dog", "label": 0.5}] * 4
    found = Trainer(
        model,
        Arguments(output_dir=str(tmp_path), max_steps=1, per_device_train_batch_size=4, report_to=[]),
        train_dataset=rows,
        loss=losses.CosineSimilarityLoss(model),
    )
    found.train()
    model.save(str(tmp_path / "saved"))
    assert "characters" in (tmp_path / "saved" / "README.md").read_text()
