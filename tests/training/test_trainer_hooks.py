"""What a subclass of a trainer overrides is what counts: samplers, losses, collators, data, features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")

from tinybert import pairs, write_tiny  # noqa: E402

from vicinal import SentenceTransformer, losses  # noqa: E402
from vicinal.errors import InputError  # noqa: E402
from vicinal.nn.training.collator import BaseDataCollator, SentenceTransformerDataCollator  # noqa: E402
from vicinal.nn.training.cross_encoder import CrossEncoderDataCollator, CrossEncoderTrainer  # noqa: E402
from vicinal.nn.training.model_trainer import ModelTrainer  # noqa: E402
from vicinal.nn.training.samplers import (  # noqa: E402
    DefaultBatchSampler,
    NoDuplicatesBatchSampler,
    RoundRobinBatchSampler,
)
from vicinal.nn.training.sentence_transformer import SentenceTransformerTrainer as Trainer  # noqa: E402
from vicinal.nn.training.sentence_transformer import SentenceTransformerTrainingArguments as Arguments  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SentenceTransformer:
    return SentenceTransformer(str(write_tiny(tmp_path_factory.mktemp("tiny"), dropout=0.0)), device="cpu")


def rows(count: int = 8) -> Any:
    return datasets.Dataset.from_list(pairs(count))


def trainer(kind: Any, model: Any, folder: Path, data: Any = None, **options: Any) -> Any:
    given = {"max_steps": 2, **options.pop("settings", {})}
    args = Arguments(
        output_dir=str(folder),
        disable_tqdm=True,
        save_strategy="no",
        report_to="none",
        check_data=False,
        per_device_train_batch_size=4,
        **given,
    )
    return kind(model, args, rows() if data is None else data, **options)


class Backwards(DefaultBatchSampler):
    def __iter__(self) -> Any:
        yield [7, 6, 5, 4]
        yield [3, 2, 1, 0]


def test_samplers_of_a_subclass(model: Any, tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    class Mine(Trainer):
        def get_batch_sampler(
            self,
            dataset: Any,
            batch_size: int,
            drop_last: bool,
            valid_label_columns: Any = None,
            generator: Any = None,
            seed: int = 0,
        ) -> Any:
            seen.update(size=batch_size, labels=valid_label_columns, generator=generator)
            return Backwards(dataset, batch_size, drop_last)

        def get_multi_dataset_batch_sampler(
            self, dataset: Any, batch_samplers: Any, generator: Any = None, seed: Any = 0
        ) -> Any:
            seen["many"] = [type(each) for each in batch_samplers]
            return RoundRobinBatchSampler(dataset, batch_samplers, generator, seed)

    one = trainer(Mine, model, tmp_path, loss=losses.CosineSimilarityLoss)
    labels = [batch["label"].tolist() for batch in one.get_train_dataloader()]
    wanted = [row["label"] for row in pairs(8)]
    assert torch.allclose(
        torch.tensor([each for batch in labels for each in batch]), torch.tensor(wanted[::-1])
    )
    assert (
        seen["size"] == 4 and seen["labels"] == ["label"] and isinstance(seen["generator"], torch.Generator)
    )
    many = trainer(Mine, model, tmp_path, {"a": rows(), "b": rows()}, loss=losses.CosineSimilarityLoss)
    names = [batch["dataset_name"] for batch in many.get_train_dataloader()]
    assert names == ["a", "b", "a", "b"]
    assert seen["many"] == [Backwards, Backwards]


def test_the_own_sampler_follows_the_settings(model: Any, tmp_path: Path) -> None:
    made = trainer(Trainer, model, tmp_path, settings={"batch_sampler": "no_duplicates"})
    sampler = made.get_batch_sampler(rows(), batch_size=4, drop_last=False, valid_label_columns=["label"])
    assert type(sampler) is NoDuplicatesBatchSampler
    assert sorted(row for batch in sampler for row in batch) == list(range(8))


def test_no_sampler_is_an_error(model: Any, tmp_path: Path) -> None:
    class Mine(Trainer):
        def get_batch_sampler(self, *args: Any, **options: Any) -> Any:
            return None

    with pytest.raises(InputError, match=r"Mine\.get_batch_sampler gave None"):
        trainer(Mine, model, tmp_path).get_train_dataloader()


def test_losses_of_a_subclass(model: Any, tmp_path: Path) -> None:
    class Twice(losses.CosineSimilarityLoss):
        def forward(self, features: Any, labels: Any = None) -> Any:
            return 2 * super().forward(features, labels)

    class Mine(Trainer):
        def get_default_loss(self, model: Any) -> Any:
            return losses.CosineSimilarityLoss(model)

        def prepare_loss(self, loss: Any, model: Any) -> Any:
            return Twice(model) if isinstance(super().prepare_loss(loss, model), torch.nn.Module) else None

    made = trainer(Mine, model, tmp_path)
    assert type(made.loss) is Twice
    assert type(Mine.__mro__[1].prepare_loss(made, losses.CoSENTLoss, made.owner)) is losses.CoSENTLoss
    batch = next(iter(made.get_train_dataloader()))
    features, labels = made.collect_features(batch)
    once = losses.CosineSimilarityLoss(made.owner)(features, labels)
    assert torch.allclose(made.compute_loss(made.model, batch), 2 * once)


def test_a_collator_of_a_subclass(model: Any, tmp_path: Path) -> None:
    @dataclass
    class Marking(SentenceTransformerDataCollator):
        mark: str = "x"

        def __call__(self, features: Any) -> Any:
            return {**super().__call__(features), "mark": self.mark}

    class ByClass(Trainer):
        data_collator_class = Marking

    class ByMethod(Trainer):
        def get_data_collator(self, model: Any, args: Any, processing_class: Any = None) -> Any:
            return Marking(model.preprocess, mark="y")

    for kind, mark in ((ByClass, "x"), (ByMethod, "y")):
        made = trainer(kind, model, tmp_path)
        assert type(made.data_collator) is Marking
        batch = next(iter(made.get_train_dataloader()))
        assert batch["mark"] == mark
        assert batch["first_input_ids"].shape[0] == 4


def test_fields_of_a_collator() -> None:
    seen = []

    def preprocess(texts: Any, prompt: str | None = None, task: str | None = None, **options: Any) -> Any:
        seen.append((texts, prompt, task, options))
        return {"input_ids": torch.zeros(len(texts), 1)}

    collator = SentenceTransformerDataCollator(
        preprocess, ["gold"], {"a": "query"}, {"b": "find: "}, {"query": 7}
    )
    batch = collator([{"a": "x", "gold": 1, "b": "y"}])
    assert seen == [(["x"], None, "query", {"max_length": 7}), (["y"], "find: ", None, {})]
    assert batch["label"].tolist() == [1]
    assert batch["column_names"] == ("a", "b")
    plain = SentenceTransformerDataCollator(lambda texts: {"input_ids": texts}, prompts="p: ")
    assert plain([{"a": "x"}])["a_input_ids"] == ["p: x"]
    assert plain([]) == {}


def test_batches_of_a_cross_encoder() -> None:
    made = CrossEncoderDataCollator(lambda texts: {})([{"q": "a", "prompt": "b", "label": 0.5}])
    assert made["q"] == ["a"] and made["prompt"] == ["b"] and made["label"].tolist() == [0.5]
    columns, labels, name = CrossEncoderTrainer.read_batch(object.__new__(CrossEncoderTrainer), made)
    assert columns == [["a"], ["b"]] and labels is made["label"] and name is None
    ragged = CrossEncoderDataCollator(lambda texts: {})(
        [{"q": "a", "docs": ["b"], "labels": [1.0]}, {"q": "c", "docs": ["d", "e"], "labels": [0.0, 1.0]}]
    )
    assert [each.tolist() for each in ragged["label"]] == [[1.0], [0.0, 1.0]]
    # a prompt beside the columns is a text, not a list of texts
    beside = {"q": ["a"], "prompt": "p"}
    assert CrossEncoderTrainer.read_batch(object.__new__(CrossEncoderTrainer), beside)[0] == [["a"]]


def test_label_columns_of_a_given_collator(model: Any, tmp_path: Path) -> None:
    data = rows().rename_column("label", "gold")
    collator = SentenceTransformerDataCollator(model.preprocess, valid_label_columns=["gold"])
    made = trainer(Trainer, model, tmp_path, data, data_collator=collator, settings={"max_steps": 1})
    assert made.plans[None].label == "gold"
    made.check_data()
    assert "label" in next(iter(made.get_train_dataloader()))


def test_data_of_a_subclass(model: Any, tmp_path: Path) -> None:
    class Mine(Trainer):
        checked: list[Any]

        def validate_column_names(self, dataset: Any, dataset_name: str | None = None) -> None:
            self.checked = [*getattr(self, "checked", []), dataset_name]
            super().validate_column_names(dataset, dataset_name)

        def preprocess_dataset(self, dataset: Any = None, dataset_name: str | None = None) -> Any:
            found = super().preprocess_dataset(dataset, dataset_name)
            return found.select(range(6)) if dataset_name == "train" else found

    made = trainer(Mine, model, tmp_path, eval_dataset=rows())
    assert made.checked == ["train", "eval"]
    assert len(made.train_dataset) == 6
    assert sum(len(batch["label"]) for batch in made.get_eval_dataloader()) == 8
    with pytest.raises(InputError, match="'return_loss'"):
        made.validate_column_names({"a": rows().rename_column("first", "return_loss")})


def test_features_of_a_subclass_reach_the_loss(model: Any, tmp_path: Path) -> None:
    class Mine(Trainer):
        def collect_features(self, inputs: Any) -> Any:
            features, labels = super().collect_features(inputs)
            return [features[0], features[0]], torch.ones_like(labels)

    made = trainer(Mine, model, tmp_path, loss=losses.CosineSimilarityLoss)
    # a text beside itself has the cosine 1, which is the label
    loss = made.compute_loss(made.model, next(iter(made.get_train_dataloader())))
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)


def test_a_loss_of_a_subclass_and_its_evaluation_loop(model: Any, tmp_path: Path) -> None:
    class Mine(Trainer):
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            features, labels = self.collect_features(inputs)
            loss = 0 * self.loss(features, labels) + 3
            return (loss, {}) if return_outputs else loss

        def evaluation_loop(self, *args: Any, **options: Any) -> Any:
            output = super().evaluation_loop(*args, **options)
            output.metrics["eval_more"] = 1.0
            return output

    made = trainer(Mine, model, tmp_path, loss=losses.CosineSimilarityLoss, eval_dataset=rows())
    found = made.evaluate()
    assert found["eval_loss"] == 3
    assert found["eval_more"] == 1


def test_parts_of_a_loss_are_logged(model: Any, tmp_path: Path) -> None:
    class Parts(losses.CosineSimilarityLoss):
        calls = 0

        def forward(self, features: Any, labels: Any = None) -> Any:
            self.calls += 1
            value = super().forward(features, labels)
            return {"near": value - value.detach() + self.calls, "far": torch.tensor(0.5)}

    made = trainer(
        Trainer,
        model,
        tmp_path,
        loss=Parts,
        eval_dataset=rows(4),
        settings={"logging_steps": 2, "per_device_eval_batch_size": 4},
    )
    made.train()
    logged = next(entry for entry in made.state.log_history if "loss" in entry)
    assert (logged["loss"], logged["near"], logged["far"]) == (2.0, 1.5, 0.5)
    made.evaluate()
    assert made.state.log_history[-1]["eval_near"] == 3.0


def test_a_callback_in_the_place_of_the_card(model: Any, tmp_path: Path) -> None:
    from transformers import TrainerCallback

    class Own(TrainerCallback):
        pass

    class Mine(Trainer):
        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            self.add_callback(Own())

    found = [type(each) for each in trainer(Mine, model, tmp_path).callback_handler.callbacks]
    assert found.count(Own) == 1


def test_bases_by_their_names_there() -> None:
    from vicinal.compat import install_as_sentence_transformers, uninstall

    assert install_as_sentence_transformers(replace=True)
    try:
        import sentence_transformers
        from sentence_transformers.base import (
            BaseDataCollator as Collator,
        )
        from sentence_transformers.base import (
            BaseModel,
            BaseTrainer,
            BaseTrainingArguments,
            PeftAdapterMixin,
        )
        from sentence_transformers.base.data_collator import BaseDataCollator as ByFile
        from sentence_transformers.base.trainer import BaseTrainer as TrainerByFile
        from sentence_transformers.cross_encoder import CrossEncoderDataCollator as Pairs
        from sentence_transformers.cross_encoder import CrossEncoderTrainer as PairTrainer

        assert BaseTrainer is TrainerByFile is ModelTrainer
        assert issubclass(PairTrainer, BaseTrainer)
        assert Collator is ByFile is BaseDataCollator
        assert Pairs is CrossEncoderDataCollator
        assert issubclass(Arguments, BaseTrainingArguments)
        assert issubclass(sentence_transformers.SentenceTransformer, (BaseModel, PeftAdapterMixin))
        assert issubclass(sentence_transformers.CrossEncoder, BaseModel)
    finally:
        uninstall()
