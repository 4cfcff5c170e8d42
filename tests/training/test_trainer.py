"""The trainer: what it trains, in which order, what it saves, and that a resumed run is the same run."""

from __future__ import annotations

import dataclasses
import json
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")

from tinybert import WIDTH, pairs, sentences, write_tiny  # noqa: E402

from vicinal import SentenceTransformer, losses  # noqa: E402
from vicinal.errors import InputError, InputTypeError, ModelFormatError  # noqa: E402
from vicinal.nn.training.sentence_transformer import SentenceTransformerTrainer as Trainer  # noqa: E402
from vicinal.nn.training.sentence_transformer import SentenceTransformerTrainingArguments as Arguments  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without dropout."""
    return write_tiny(tmp_path_factory.mktemp("still"), dropout=0.0)


def settings(folder: Path, **changes: Any) -> Arguments:
    common: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 4,
        "num_train_epochs": 1,
        "learning_rate": 1e-3,
        "bf16": False,
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_strategy": "no",
        "check_data": False,
    }
    return Arguments(**{**common, **changes})


def weights(model: Any) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in model.module.state_dict().items()}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class StopAt(transformers.TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            control.should_training_stop = True


class Batches(transformers.TrainerCallback):
    """Keeps the logged losses."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if "loss" in logs:
            self.losses.append(logs["loss"])


class Fake:
    """An evaluator that answers from a list."""

    primary_metric = "dev_score"
    greater_is_better = True

    def __init__(self, *answers: float) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[float, int]] = []

    def __call__(
        self, model: Any, output_path: Any = None, epoch: float = -1, steps: int = -1
    ) -> dict[str, float]:
        assert model.encode(["the cat"]).shape == (1, WIDTH)
        self.calls.append((epoch, steps))
        return {"dev_score": self.answers[min(len(self.calls), len(self.answers)) - 1], "dev_other": 0.5}


class Answers:
    """A custom evaluator without ``primary_metric``."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __call__(self, model: Any, output_path: Any = None, epoch: float = -1, steps: int = -1) -> Any:
        return self.answer


# training


def test_first_losses_are_those_of_a_plain_loop(still: Path, tmp_path: Path) -> None:
    if "train_sampling_strategy" not in Arguments.__dataclass_fields__:
        pytest.skip(f"transformers {transformers.__version__} always shuffles")
    rows = pairs(20)
    model = SentenceTransformer(str(still))
    log = Batches()
    args = settings(
        tmp_path,
        logging_strategy="steps",
        logging_steps=1,
        train_sampling_strategy="sequential",
        weight_decay=0.01,
    )
    Trainer(model, args, rows, loss=losses.CosineSimilarityLoss(model), callbacks=[log]).train()

    plain = SentenceTransformer(str(still))
    bare = [each for name, each in plain.module.named_parameters() if "bias" in name or "LayerNorm" in name]
    others = [each for each in plain.module.parameters() if all(each is not one for one in bare)]
    groups = [{"params": others, "weight_decay": 0.01}, {"params": bare, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3)
    expected = []
    for step in range(5):
        batch = rows[4 * step : 4 * step + 4]
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (1 - step / 5)
        a, b = (
            plain(plain.module[0].tokenize([row[k] for row in batch]))["sentence_embedding"]
            for k in ("first", "second")
        )
        loss = torch.nn.functional.mse_loss(
            torch.cosine_similarity(a, b), torch.tensor([row["label"] for row in batch])
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimizer.step()
        expected.append(loss.item())
    np.testing.assert_allclose(log.losses, expected, rtol=1e-4)
    for name, tensor in weights(plain).items():
        torch.testing.assert_close(weights(model)[name], tensor, atol=2e-5, rtol=1e-4)


def test_encode_uses_the_trained_weights(tiny: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(tiny), dtype="float32")
    texts = sentences(5)
    before = model.encode(texts)
    trainer = Trainer(model, settings(tmp_path), pairs(12), loss=losses.CoSENTLoss)
    trainer.train()
    after = model.encode(texts)
    assert np.abs(after - before).max() > 1e-3
    assert not model.training
    with torch.no_grad():
        live = model(model.module[0].tokenize(texts))["sentence_embedding"].numpy()
    np.testing.assert_allclose(after, live, atol=1e-5)
    model.save(str(tmp_path / "saved"))
    np.testing.assert_allclose(
        SentenceTransformer(str(tmp_path / "saved"), dtype="float32").encode(texts), after, atol=1e-6
    )
    assert trainer.model.encode(texts).shape == after.shape


@pytest.mark.slow
def test_interrupted_and_resumed_is_uninterrupted(tiny: Path, tmp_path: Path) -> None:
    rows = pairs(26, label=lambda i: i % 3)

    def run(folder: str, seed: int, resume: str | None = None, stop: int | None = None) -> tuple[Any, Any]:
        model = SentenceTransformer(str(tiny))
        torch.manual_seed(seed)
        loss = losses.SoftmaxLoss(model, WIDTH, num_labels=3)
        args = settings(
            tmp_path / folder, num_train_epochs=2, save_strategy="steps", save_steps=3, warmup_steps=2
        )
        trainer = Trainer(model, args, rows, loss=loss, callbacks=[StopAt(stop)] if stop else [])
        trainer.train(resume)
        return weights(model), {name: each.clone() for name, each in loss.state_dict().items()}

    whole = run("whole", seed=1)
    start = weights(SentenceTransformer(str(tiny)))
    assert not same(whole[0], start)
    run("part", seed=1, stop=3)
    assert sorted(path.name for path in (tmp_path / "part").glob("checkpoint-*")) == ["checkpoint-3"]
    resumed = run("part", seed=2, resume=str(tmp_path / "part" / "checkpoint-3"))
    assert same(resumed[0], whole[0])
    assert same(resumed[1], whole[1])


class Bomb:
    """A pickle that leaves a file when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


@pytest.mark.slow
def test_a_checkpoint_of_somebody_else_runs_nothing(tiny: Path, tmp_path: Path) -> None:
    """Pickles in the places of optimizer, schedule, random numbers and arguments."""
    mark = tmp_path / "it-ran"
    args = settings(tmp_path / "run", save_strategy="steps", save_steps=1, max_steps=2)
    Trainer(SentenceTransformer(str(tiny)), args, pairs(8)).train()
    checkpoint = tmp_path / "run/checkpoint-1"
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"):
        before = (checkpoint / name).read_bytes() if (checkpoint / name).is_file() else None
        torch.save({"a": Bomb(mark)}, checkpoint / name)
        trainer = Trainer(SentenceTransformer(str(tiny)), args, pairs(8))
        with suppress(Exception):  # of its own, of torch: which one is not the matter
            trainer.train(str(checkpoint))
        assert not mark.exists(), name
        if before is not None:
            (checkpoint / name).write_bytes(before)


@pytest.mark.slow
def test_resume_at_the_end_of_an_epoch(tiny: Path, tmp_path: Path) -> None:
    rows = pairs(12)

    def run(folder: str, stop: int | None = None, resume: bool = False) -> Any:
        model = SentenceTransformer(str(tiny))
        args = settings(
            tmp_path / folder, num_train_epochs=3, save_strategy="epoch", batch_sampler="no_duplicates"
        )
        Trainer(model, args, rows, callbacks=[StopAt(stop)] if stop else []).train(resume)
        return weights(model)

    whole = run("whole")
    run("part", stop=3)
    assert same(run("part", resume=True), whole)


def test_checkpoints_are_models(tiny: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(tiny), dtype="float32")
    loss = losses.SoftmaxLoss(model, WIDTH, num_labels=2)
    args = settings(tmp_path, save_strategy="steps", save_steps=1, save_total_limit=2)
    trainer = Trainer(model, args, pairs(12, label=lambda i: i % 2), loss=loss)
    trainer.train()
    folders = sorted(path.name for path in tmp_path.glob("checkpoint-*"))
    assert folders == ["checkpoint-2", "checkpoint-3"]
    last = tmp_path / "checkpoint-3"
    np.testing.assert_allclose(
        SentenceTransformer(str(last), dtype="float32").encode(["the cat"]),
        model.encode(["the cat"]),
        atol=1e-6,
    )
    assert {"losses.safetensors", "optimizer.pt", "trainer_state.json", "training_args.json"} <= {
        path.name for path in last.iterdir()
    }
    assert json.loads((last / "training_args.json").read_text())["batch_sampler"] == "batch_sampler"
    (last / "losses.safetensors").unlink()
    with pytest.raises(ModelFormatError, match=r"losses\.safetensors is missing"):
        trainer.train(str(last))
    with pytest.raises(ModelFormatError, match="no checkpoint"):
        trainer.train(str(tmp_path))


def test_gradient_accumulation_is_a_larger_batch(still: Path, tmp_path: Path) -> None:
    def run(**changes: Any) -> Any:
        model = SentenceTransformer(str(still))
        Trainer(model, settings(tmp_path, **changes), pairs(16), loss=losses.CosineSimilarityLoss).train()
        return weights(model)

    one = run(per_device_train_batch_size=8)
    two = run(per_device_train_batch_size=4, gradient_accumulation_steps=2)
    for name in one:
        torch.testing.assert_close(two[name], one[name], atol=2e-5, rtol=1e-4)


def test_bf16_autocast_trains_about_the_same(still: Path, tmp_path: Path) -> None:
    found = []
    for bf16 in (False, True):
        model, log = SentenceTransformer(str(still)), Batches()
        args = settings(tmp_path, bf16=bf16, logging_strategy="steps", logging_steps=1)
        Trainer(model, args, pairs(16), loss=losses.CosineSimilarityLoss(model), callbacks=[log]).train()
        assert next(model.parameters()).dtype == torch.float32
        found.append(log.losses)
    np.testing.assert_allclose(found[1], found[0], rtol=0.05)
    assert found[0] != found[1]


def test_gradient_checkpointing_changes_nothing(still: Path, tmp_path: Path) -> None:
    found = []
    for on in (False, True):
        model = SentenceTransformer(str(still))
        Trainer(
            model, settings(tmp_path, gradient_checkpointing=on), pairs(8), loss=losses.CosineSimilarityLoss
        ).train()
        found.append(weights(model))
    for name, tensor in found[0].items():
        torch.testing.assert_close(found[1][name], tensor, atol=1e-6, rtol=1e-4)


def test_learning_rate_mapping(still: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(still))
    before = weights(model)
    loss = losses.SoftmaxLoss(model, WIDTH, num_labels=2)
    args = settings(tmp_path, learning_rate_mapping={r"^0\.auto_model\.embeddings": 0.0, r"^losses\.": 1e-2})
    trainer = Trainer(model, args, pairs(8, label=lambda i: i % 2), loss=loss)
    start = loss.classifier.weight.detach().clone()
    trainer.train()
    after = weights(model)
    for name, tensor in before.items():
        if "embeddings" in name:
            assert torch.equal(after[name], tensor), name
    assert not same(after, before)
    # Two steps of Adam move each number by at most twice the rate.
    assert 1e-3 < (loss.classifier.weight.detach() - start).abs().max() <= 2e-2
    with pytest.raises(InputError, match=r"'nothing'. matches no parameter") as caught:
        Trainer(model, settings(tmp_path, learning_rate_mapping={"nothing": 1.0}), pairs(8)).train()
    assert "0.auto_model" in str(caught.value)


def test_several_data_sets_with_their_own_losses(tiny: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(tiny))
    softmax = losses.SoftmaxLoss(model, WIDTH, num_labels=2)
    data = {"train": pairs(9, label=lambda i: i % 2), "a.b": datasets.Dataset.from_list(pairs(6, seed=1))}
    each = {"train": softmax, "a.b": losses.CoSENTLoss(model)}
    args = settings(
        tmp_path, prompts={"train": "two ", "a.b": {"first": "one "}}, save_strategy="epoch", check_data=True
    )
    trainer = Trainer(model, args, data, eval_dataset=data, loss=each)
    seen = [batch["dataset_name"] for batch in trainer.get_train_dataloader()]
    assert sorted(seen) == ["a.b", "a.b", "train", "train", "train"]
    metrics = trainer.evaluate()
    assert {"eval_train_loss", "eval_a.b_loss"} <= set(metrics)
    trainer.train()
    assert (tmp_path / "checkpoint-5" / "losses.safetensors").is_file()
    with pytest.raises(InputError, match=r"no entry for the data set 'a\.b'; it has 'train'"):
        Trainer(model, args, data, loss={"train": softmax})


def test_a_data_set_that_is_a_stream(tiny: Path, tmp_path: Path) -> None:
    stream = datasets.Dataset.from_list(pairs(12)).to_iterable_dataset()
    model = SentenceTransformer(str(tiny))
    trainer = Trainer(
        model, settings(tmp_path, max_steps=3, check_data=True), stream, loss=losses.CoSENTLoss(model)
    )
    assert trainer.train().global_step == 3
    with pytest.raises(InputError, match=r"train_dataset is an IterableDataset.*give max_steps="):
        Trainer(model, settings(tmp_path), stream, loss=losses.CoSENTLoss(model))


def test_a_model_without_a_weight_to_train_is_refused(tiny: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(tiny))
    model.requires_grad_(False)
    with pytest.raises(InputError, match=r"no weight that is to be trained.*requires_grad_\(True\)"):
        Trainer(model, settings(tmp_path), pairs(8), loss=losses.CoSENTLoss(model)).train()
    head = losses.SoftmaxLoss(model, WIDTH, 2)  # its own weights are enough
    rows = [{**row, "label": i % 2} for i, row in enumerate(pairs(8))]
    with pytest.warns(UserWarning, match="only the loss's own weights change"):
        assert Trainer(model, settings(tmp_path, max_steps=1), rows, loss=head).train().global_step == 1


def test_model_init_makes_a_new_model_each_time(still: Path, tmp_path: Path) -> None:
    made: list[Any] = []

    def init() -> Any:
        made.append(SentenceTransformer(str(still)))
        return made[-1]

    trainer = Trainer(
        model_init=init, args=settings(tmp_path), train_dataset=pairs(8), loss=losses.CosineSimilarityLoss
    )
    trainer.train()
    trainer.train()
    assert len(made) == 3
    assert same(weights(made[1]), weights(made[2]))
    assert not same(weights(made[0]), weights(made[1]))
    assert trainer.owner is made[2]


# evaluation


def test_scores_before_and_after_are_reported(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = SentenceTransformer(str(tiny))
    evaluator = Fake(0.5, 0.6, 0.75)
    args = settings(tmp_path, eval_strategy="steps", eval_steps=1)
    trainer = Trainer(model, args, pairs(8), evaluator=evaluator)
    trainer.train()
    error = capsys.readouterr().err
    assert error.count("before training: dev_score 0.5000") == 1
    assert error.count("after training:  dev_score 0.7500 (+0.2500)") == 1
    assert [step for _, step in evaluator.calls] == [0, 1, 2]
    assert [entry["eval_dev_score"] for entry in trainer.state.log_history if "eval_dev_score" in entry] == [
        0.5,
        0.6,
        0.75,
    ]


def test_a_score_that_fell_is_a_warning(tiny: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(tiny))
    with pytest.warns(UserWarning, match=r"worse: dev_score went from 0\.5000 to 0\.4000"):
        Trainer(model, settings(tmp_path), pairs(4), evaluator=[Fake(0.5, 0.4)]).train()


def test_best_model_is_loaded_and_early_stopping_stops(tiny: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(tiny))
    args = settings(
        tmp_path,
        num_train_epochs=5,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="dev_score",
        greater_is_better=True,
    )
    stop = transformers.EarlyStoppingCallback(early_stopping_patience=2)
    evaluator = Fake(0.5, 0.6, 0.9, 0.7, 0.8, 0.7)
    trainer = Trainer(model, args, pairs(8), eval_dataset=pairs(4), evaluator=evaluator, callbacks=[stop])
    trainer.train()
    assert trainer.state.global_step == 4  # the best at 2, then two worse ones
    assert trainer.state.best_metric == 0.9
    best = SentenceTransformer(str(tmp_path / "checkpoint-2"))
    assert same(weights(best), weights(model))


@pytest.mark.parametrize("answer", [None, {}])
def test_an_evaluator_without_a_score(tiny: Path, tmp_path: Path, answer: Any) -> None:
    """It is said once; the run goes on, and its last model is kept."""
    model = SentenceTransformer(str(tiny))
    args = settings(
        tmp_path,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        load_best_model_at_end=True,
        metric_for_best_model="dev_score",
    )
    with pytest.warns(UserWarning, match="Answers gave no score .*no best model can be chosen") as caught:
        Trainer(model, args, pairs(12), evaluator=Answers(answer)).train()
    assert len([each for each in caught if "gave no score" in str(each.message)]) == 1
    last = SentenceTransformer(str(tmp_path / "checkpoint-3"))
    assert same(weights(last), weights(model))
    with pytest.raises(InputTypeError, match="Answers gave list as 'a': an evaluator returns a number"):
        Trainer(model, settings(tmp_path), pairs(4), evaluator=Answers({"a": []})).train()


def test_a_typing_error_in_the_metric_is_still_an_error(tiny: Path, tmp_path: Path) -> None:
    args = settings(tmp_path, eval_strategy="epoch", metric_for_best_model="dev_scorn")
    with pytest.raises(KeyError, match="dev_scorn"):
        Trainer(SentenceTransformer(str(tiny)), args, pairs(4), evaluator=Fake(0.5)).train()


def test_a_failed_run_leaves_record_and_mode_as_they_were(tiny: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(tiny))
    Trainer(model, settings(tmp_path), pairs(4), evaluator=Fake(0.5, 0.6)).train()
    before = model.training_record

    class Break(transformers.TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        Trainer(model, settings(tmp_path), pairs(8), evaluator=Fake(0.1), callbacks=[Break()]).train()
    assert model.training_record is before and not model.training


def test_cards_bear_the_names_of_their_folders(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = SentenceTransformer(str(tiny))
    args = settings(tmp_path / "runs", save_strategy="steps", save_steps=1)
    trainer = Trainer(model, args, pairs(4))
    trainer.train()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for folder, name in (("../last", "last"), (".", "here")):
        trainer.save_model(folder)
        assert f"SentenceTransformer('{name}')" in (Path(folder) / "README.md").read_text()
    assert "# checkpoint-1\n" in (tmp_path / "runs/checkpoint-1/README.md").read_text()


def test_the_record_for_the_card(tiny: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(tiny))
    args = settings(tmp_path, eval_strategy="epoch")
    rows = pairs(8)
    trainer = Trainer(model, args, rows, rows[:4], losses.CosineSimilarityLoss(model), Fake(0.5, 0.7))
    trainer.train()
    record = model.training_record
    assert record.base_model is None  # a folder has no name that a card could show
    (data,) = record.datasets
    assert (data.rows, data.columns, data.loss) == (8, ["first", "second", "label"], "CosineSimilarityLoss")
    assert data.statistics["first"]["unit"] == "tokens"
    assert record.evaluation_datasets[0].rows == 4
    assert (record.before["dev_score"], record.after["dev_score"]) == (0.5, 0.7)
    assert [step for _, step, _ in record.evaluations] == [0, 2]
    assert record.evaluations[1][2]["eval_loss"] > 0
    assert record.arguments["learning_rate"] == 1e-3
    assert record.seconds is not None and record.seconds > 0
    json.dumps(dataclasses.asdict(record))


def test_evaluation_without_training(still: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(still))
    loss = losses.CosineSimilarityLoss(model)
    rows = pairs(10)
    trainer = Trainer(model, settings(tmp_path, per_device_eval_batch_size=4), eval_dataset=rows, loss=loss)
    a, b = (
        model(model.module[0].tokenize([row[k] for row in rows]))["sentence_embedding"]
        for k in ("first", "second")
    )
    expected = torch.nn.functional.mse_loss(
        torch.cosine_similarity(a, b), torch.tensor([row["label"] for row in rows])
    )
    # The last batch has two rows and counts for two.
    assert trainer.evaluate()["eval_loss"] == pytest.approx(expected.item(), rel=1e-4)
    assert "eval_other_loss" in trainer.evaluate({"other": rows})
    with pytest.raises(InputError, match="nothing to evaluate"):
        Trainer(model, settings(tmp_path), rows).evaluate()
    with pytest.raises(InputError, match="nothing to train on"):
        trainer.train()
    with pytest.raises(InputError, match="no logits"):
        Trainer(model, settings(tmp_path), rows, compute_metrics=print)


def test_a_collator_of_ones_own(still: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(still))

    def collate(rows: list[Any]) -> dict[str, Any]:
        batch: dict[str, Any] = {"labels": torch.tensor([row["label"] for row in rows])}
        for name in ("first", "second"):
            batch |= {
                f"{name}_{k}": v for k, v in model.module[0].tokenize([row[name] for row in rows]).items()
            }
        return batch

    found = []
    for collator in (None, collate):
        model = SentenceTransformer(str(still))
        loss = losses.CosineSimilarityLoss(model)
        Trainer(model, settings(tmp_path), pairs(8), loss=loss, data_collator=collator).train()
        found.append(weights(model))
    assert same(*found)


# columns, prompts and labels


def test_columns_choose_order_and_role(still: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(still))
    rows = [{"id": i, "answer": "the dog", "question": "a cat sat", "y": 0.5} for i in range(4)]
    for columns in ({"anchor": "question", "positive": "answer", "label": "y"},):
        trainer = Trainer(model, settings(tmp_path, check_data=True), rows, columns=columns)
        (batch,) = trainer.get_train_dataloader()
        assert batch["column_names"] == ("anchor", "positive")
        assert batch["anchor_input_ids"].shape == (4, 5)
        assert batch["positive_input_ids"].shape == (4, 4)
        assert batch["label"].tolist() == [0.5] * 4
        trainer.check_data()
    with pytest.raises(
        InputError,
        match=r"train_dataset has no column 'anser', which columns= wants as 'positive'; it has 'id'",
    ):
        Trainer(model, settings(tmp_path), rows, columns={"anchor": "question", "positive": "anser"})


def test_prompts_stand_before_the_texts(still: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(still))
    rows = [{"question": "cat", "answer": "dog", "label": 1.0}] * 4
    trainer = Trainer(model, settings(tmp_path, prompts={"question": "red "}), rows)
    (batch,) = trainer.get_train_dataloader()
    expected = model.module[0].tokenize(["red cat"])["input_ids"]
    assert torch.equal(batch["question_input_ids"][:1], expected)
    assert batch["question_prompt_length"] == 2  # [CLS] red, which a pooling may leave out
    assert "answer_prompt_length" not in batch
    model.set_pooling_include_prompt(False)
    trainer = Trainer(model, settings(tmp_path, prompts="red "), rows)
    (batch,) = trainer.get_train_dataloader()
    assert batch["question_prompt_length"] == batch["answer_prompt_length"] == 2  # [CLS] red
    with pytest.raises(InputError, match=r"prompts\['quest'\].*'answer', 'question'"):
        Trainer(model, settings(tmp_path, prompts={"quest": "red "}), rows)
    with pytest.raises(InputError, match="Router"):
        Trainer(model, settings(tmp_path, router_mapping={"question": "query"}), rows)


def test_input_examples(still: Path, tmp_path: Path) -> None:
    from vicinal.readers.input_example import InputExample

    model = SentenceTransformer(str(still))
    rows = [InputExample(texts=["cat", "dog"], label=0.5) for _ in range(4)]
    (batch,) = Trainer(model, settings(tmp_path), rows).get_train_dataloader()
    assert batch["column_names"] == ("sentence_0", "sentence_1")
    assert batch["label"].tolist() == [0.5] * 4


CHECKS: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "label of 0 to 5": (
        [{"a": "x", "b": "y", "score": each} for each in (0.0, 5.0, 2.5)],
        lambda m: losses.CosineSimilarityLoss(m),
        InputError,
        r"train_dataset\['score'\]\[1\] is 5, but CosineSimilarityLoss needs .*divide by 5",
    ),
    "text labels": (
        [{"a": "x", "b": "y", "label": "good"}] * 2,
        lambda m: losses.CoSENTLoss(m),
        InputTypeError,
        r"train_dataset\[0\]\['label'\] is 'good'",
    ),
    "label that is None": (
        [{"a": "x", "b": "y", "label": each} for each in (1.0, None)],
        lambda m: losses.CoSENTLoss(m),
        InputTypeError,
        r"train_dataset\[1\]\['label'\] is None",
    ),
    "no label": (
        [{"a": "x", "b": "y"}] * 2,
        lambda m: losses.CoSENTLoss(m),
        InputError,
        r"train_dataset: CoSENTLoss needs labels.*columns= names another",
    ),
    "one text": (
        [{"a": "x", "label": 1.0}] * 2,
        lambda m: losses.CosineSimilarityLoss(m),
        InputError,
        r"CosineSimilarityLoss got 1 text column.*train_dataset: 'a'",
    ),
    "three texts": (
        [{"a": "x", "b": "y", "c": "z", "label": 1.0}] * 2,
        lambda m: losses.CosineSimilarityLoss(m),
        InputError,
        r"got 3 text columns.*'a', 'b', 'c'",
    ),
    "numbers for texts": (
        [{"id": 7, "a": "x", "label": 1.0}] * 2,
        lambda m: losses.CosineSimilarityLoss(m),
        InputTypeError,
        r"train_dataset\[0\]\['id'\] is 7, not a text",
    ),
    "empty text": (
        [{"anchor": "x", "positive": "y" if i != 3 else " "} for i in range(5)],
        lambda m: losses.MultipleNegativesRankingLoss(m),
        InputError,
        r"train_dataset\[3\]\['positive'\] is an empty text",
    ),
    "class out of range": (
        [{"a": "x", "b": "y", "label": each} for each in (0, 1, 2)],
        lambda m: losses.SoftmaxLoss(m, WIDTH, num_labels=2),
        InputError,
        r"train_dataset\['label'\]\[2\] is 2, but SoftmaxLoss",
    ),
}


@pytest.mark.parametrize("case", CHECKS)
def test_rows_that_cannot_work_are_named(case: str, still: Path, tmp_path: Path, capsys: Any) -> None:
    rows, make_loss, error, message = CHECKS[case]
    model = SentenceTransformer(str(still))
    trainer = Trainer(
        model, settings(tmp_path, check_data=True), datasets.Dataset.from_list(rows), loss=make_loss
    )
    before = weights(model)
    with pytest.raises(error, match=message):
        trainer.train()
    assert same(weights(model), before)
    assert "used as" in capsys.readouterr().err


def test_a_text_that_is_none(still: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(still))
    with pytest.raises(InputTypeError, match=r"train_dataset\[1\]\['b'\] is None"):
        Trainer(model, settings(tmp_path), [{"a": "x", "b": "y"}, {"a": "x", "b": None}])
    table = datasets.Dataset.from_list(
        [{"a": "x", "b": "y", "label": 1.0}, {"a": "x", "b": None, "label": 1.0}]
    )
    trainer = Trainer(model, settings(tmp_path, check_data=True), table)
    with pytest.raises(InputTypeError, match=r"train_dataset\[1\]\['b'\] is None"):
        trainer.train()


def test_the_table_shows_what_is_used(still: Path, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    model = SentenceTransformer(str(still))
    trainer = Trainer(model, settings(tmp_path), pairs(11), loss=losses.CosineSimilarityLoss(model))
    trainer.check_data()
    error = capsys.readouterr().err
    assert "train_dataset: 11 rows, CosineSimilarityLoss" in error
    assert "0 to 1" in error
    assert pairs(1)[0]["first"] in error


# arguments


def test_each_kind_of_trainer_is_a_kind_of_its_own(still: Path, tmp_path: Path) -> None:
    from vicinal.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from vicinal.nn.training.arguments import ModelTrainingArguments
    from vicinal.nn.training.model_trainer import ModelTrainer

    for base, kinds in (
        (ModelTrainer, (Trainer, CrossEncoderTrainer)),
        (ModelTrainingArguments, (Arguments, CrossEncoderTrainingArguments)),
    ):
        assert all(issubclass(kind, base) for kind in kinds)
        assert not any(issubclass(a, b) for a in kinds for b in kinds if a is not b)
    model = SentenceTransformer(str(still))
    args = CrossEncoderTrainingArguments(output_dir=str(tmp_path), bf16=False)
    with pytest.raises(InputTypeError, match="CrossEncoderTrainer trains a CrossEncoder: give one"):
        CrossEncoderTrainer(model, args, pairs(4))
    with pytest.raises(InputTypeError, match="args is CrossEncoderTrainingArguments; give SentenceT"):
        Trainer(model, args, pairs(4))


def test_wrong_arguments(still: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(still))
    other = SentenceTransformer(str(still))
    with pytest.raises(InputTypeError, match="one of the two"):
        Trainer(args=settings(tmp_path))
    with pytest.raises(
        InputTypeError,
        match=r"^SentenceTransformerTrainer\(\) has no argument 'evaluater'; did you mean 'evaluator'",
    ):
        Trainer(model, evaluater=None)
    with pytest.raises(InputTypeError, match="args is TrainingArguments"):
        Trainer(model, transformers.TrainingArguments(str(tmp_path), use_cpu=True), pairs(4))
    with pytest.raises(InputError, match="made for another model"):
        Trainer(model, settings(tmp_path), pairs(4), loss=losses.CoSENTLoss(other))
    with pytest.raises(InputTypeError, match="train_dataset is str"):
        Trainer(model, settings(tmp_path), "data.csv")
    with pytest.raises(InputError, match="train_dataset is an empty list"):
        Trainer(model, settings(tmp_path), [])
    with pytest.raises(
        InputError, match=r"train_dataset\[1\] has the columns a, but train_dataset\[0\] has a, b"
    ):
        Trainer(model, settings(tmp_path), [{"a": "x", "b": "y"}, {"a": "x"}])
    with pytest.raises(InputError, match="'no_duplicate' is not one of"):
        Arguments(str(tmp_path), batch_sampler="no_duplicate")
    with pytest.raises(InputError, match="no regular expression"):
        Arguments(str(tmp_path), learning_rate_mapping={"(": 1.0})
    with pytest.raises(InputError, match="warmup_ratio=2"):
        Arguments(str(tmp_path), warmup_ratio=2)
    with pytest.raises(InputTypeError, match=r"prompts\['a'\]=3 is int"):
        Arguments(str(tmp_path), prompts={"a": 3})


def test_arguments_of_this_machine(tmp_path: Path) -> None:
    args = Arguments(str(tmp_path), warmup_ratio=0.1)
    assert args.bf16 in (True, False)
    assert args.get_warmup_steps(200) == 20
    assert Arguments(str(tmp_path), bf16=False).bf16 is False
    assert args.report_to in ([], "none", ["none"])
    if not torch.cuda.is_available():
        assert args.device.type == "cpu"
        assert args.dataloader_pin_memory is False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        json.loads(args.to_json_string())


def test_public_places_hold_the_same_names() -> None:
    import vicinal
    from vicinal import training

    assert "DefaultBatchSampler" in dir(training)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        training.Nothing  # noqa: B018
    assert vicinal.SentenceTransformerTrainer is Trainer
    assert vicinal.SentenceTransformerTrainingArguments is Arguments
    for name in training.__all__:
        assert getattr(training, name).__name__ == name
