"""CrossEncoder.fit and the trainer: what is learnt, saved, reported, checked and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tinypairs import new_model, one_thread, some_pairs, torch, write_base  # noqa: F401
from torch.utils.data import DataLoader

from vicinal.cross_encoder import CrossEncoder, losses
from vicinal.cross_encoder.evaluation import CrossEncoderCorrelationEvaluator
from vicinal.errors import InputError, InputTypeError
from vicinal.readers.input_example import InputExample

pytest.importorskip("transformers")

# 1 where both texts speak of the cat or neither does.
PAIRS = some_pairs(160, seed=2)
LABELS = [float(("cat" in first) == ("cat" in second)) for first, second in PAIRS]
EXAMPLES = [InputExample(texts=list(pair), label=label) for pair, label in zip(PAIRS, LABELS, strict=True)]
SETTINGS: dict[str, Any] = {
    "epochs": 2,
    "warmup_steps": 2,
    "optimizer_params": {"lr": 1e-2},
    "show_progress_bar": False,
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


def loader(examples: list[InputExample] = EXAMPLES, size: int = 16) -> Any:
    return DataLoader(examples, shuffle=True, batch_size=size, generator=torch.Generator().manual_seed(1))


def evaluator() -> CrossEncoderCorrelationEvaluator:
    return CrossEncoderCorrelationEvaluator(PAIRS, LABELS, name="cats")


def test_fit_learns_saves_and_reports(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, calls = new_model(base), []
    data = loader()
    collate = data.collate_fn
    model.fit(
        data,
        evaluator(),
        evaluation_steps=6,
        output_path=tmp_path / "out",
        callback=lambda *facts: calls.append(facts),
        **SETTINGS,
    )
    assert data.collate_fn is collate and not model.training and not model.head_is_new
    assert [facts[1:] for facts in calls] == [(0, 6), (0, -1), (1, 6), (1, -1)]
    best = max(score for score, _, _ in calls)
    found = np.corrcoef(model.predict(PAIRS), LABELS)[0, 1]
    assert found > 0.5
    kept = CrossEncoder(tmp_path / "out", dtype="float32")
    measured = kept.evaluate(evaluator())
    assert measured["cats_spearman"] == pytest.approx(best, abs=1e-3)
    assert "score before training" in capsys.readouterr().err
    assert (tmp_path / "out/eval").is_dir()


def test_fit_equals_a_plain_loop(base: Path) -> None:
    fitted, looped = new_model(base), new_model(base)
    settings: dict[str, Any] = {
        **SETTINGS,
        "epochs": 1,
        "scheduler": "constantlr",
        "use_amp": False,
        "optimizer_class": torch.optim.SGD,  # Adam would blow up what rounding leaves of a zero gradient
        "max_grad_norm": 1.0,
    }
    fitted.fit(DataLoader(EXAMPLES, batch_size=16), **settings)
    decay = [each for each in looped.parameters() if each.ndim > 1]
    plain = [each for each in looped.parameters() if each.ndim == 1]
    groups = [{"params": decay, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=1e-2)
    function = torch.nn.BCEWithLogitsLoss()
    looped.train()
    for start in range(0, len(PAIRS), 16):
        scores = looped(looped.tokenize(PAIRS[start : start + 16]))["scores"][:, 0]
        function(scores, torch.tensor(LABELS[start : start + 16])).backward()
        torch.nn.utils.clip_grad_norm_(looped.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    for name, weight in fitted.named_parameters():
        torch.testing.assert_close(
            weight, dict(looped.named_parameters())[name], atol=1e-4, rtol=1e-3, msg=name
        )


@pytest.mark.parametrize("kind", ["function", "loss", "classes", "ranking"])
def test_every_kind_of_loss(base: Path, kind: str) -> None:
    labels = 3 if kind == "classes" else 1
    model = new_model(base, num_labels=labels)
    examples, loss = EXAMPLES[:32], None
    if kind == "function":
        loss = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.0))
    elif kind == "loss":
        loss = losses.MSELoss(model)
    elif kind == "ranking":
        loss = losses.MultipleNegativesRankingLoss(model)
    elif kind == "classes":
        examples = [InputExample(texts=list(pair), label=i % 3) for i, pair in enumerate(PAIRS[:32])]
    before = model.predict(PAIRS[:4])
    model.fit(loader(examples), loss_fct=loss, **SETTINGS)
    assert np.abs(model.predict(PAIRS[:4]) - before).max() > 1e-3


def test_without_an_evaluator_the_last_model_is_saved(base: Path, tmp_path: Path) -> None:
    model = new_model(base)
    model.fit(loader(), output_path=tmp_path / "out", **{**SETTINGS, "epochs": 1})
    kept = CrossEncoder(tmp_path / "out", dtype="float32")
    np.testing.assert_allclose(kept.predict(PAIRS), model.predict(PAIRS), atol=1e-4)


def test_a_card_bears_the_name_of_its_folder(base: Path, tmp_path: Path) -> None:
    model = new_model(base)
    folders: dict[str, Any] = {"checkpoint_path": tmp_path / "checkpoints", "checkpoint_save_steps": 10}
    model.fit(loader(), output_path=tmp_path / "out", **SETTINGS, **folders)
    for folder in (tmp_path / "out", tmp_path / "checkpoints/checkpoint-10"):
        card = (folder / "README.md").read_text()
        assert f"# {folder.name}\n" in card and f"CrossEncoder({folder.name!r})" in card
        assert ".saving" not in card and str(tmp_path) not in card and "fine-tuned" not in card


@pytest.mark.parametrize("nothing", [None, {}])
def test_without_a_score_the_last_model_is_kept(base: Path, tmp_path: Path, nothing: Any) -> None:
    model = new_model(base)
    with pytest.warns(UserWarning, match="function gave no score .*no best model can be chosen") as caught:
        model.fit(loader(), lambda *_, **__: nothing, output_path=tmp_path / "out", **SETTINGS)
    assert len([each for each in caught if "gave no score" in str(each.message)]) == 1
    kept = CrossEncoder(tmp_path / "out", dtype="float32")
    np.testing.assert_allclose(kept.predict(PAIRS), model.predict(PAIRS), atol=1e-4)
    with pytest.raises(InputTypeError, match="evaluator is int"):
        model.fit(loader(), 3, **SETTINGS)


def test_a_failed_run_leaves_the_record_as_it_was(base: Path) -> None:
    model = new_model(base)
    model.fit(loader(), evaluator(), **SETTINGS)
    before = model.training_record
    model.model.classifier.bias.data[:] = float("nan")
    with pytest.raises(InputError, match="the loss of train_dataloader is nan at step 1"):
        model.fit(loader(), **SETTINGS)
    assert model.training_record is before is not None


def test_a_resumed_fit_is_the_uninterrupted_one(base: Path, tmp_path: Path) -> None:
    keep: dict[str, Any] = {"checkpoint_path": tmp_path, "checkpoint_save_steps": 12}
    whole, again = new_model(base), new_model(base)
    whole.fit(loader(), **SETTINGS, **keep)
    again.fit(loader(), **SETTINGS, resume_from_checkpoint=tmp_path / "checkpoint-12")
    for name, weight in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight), name


def test_what_fit_refuses(base: Path) -> None:
    model = new_model(base)
    wrong = [*EXAMPLES[:5], InputExample(texts=["a", "b"], label=4.0)]
    for data, error, message in (
        (
            loader(wrong),
            InputError,
            r"label\[5\] is 4, but BinaryCrossEntropyLoss needs a similarity from 0 to 1",
        ),
        (
            loader([*EXAMPLES[:2], InputExample(texts=["a"])]),
            InputError,
            "example 2 has 1 texts, example 0 has 2",
        ),
        (DataLoader(["a", "b"]), InputTypeError, "gave str"),
        ([EXAMPLES], InputTypeError, "train_dataloader is list"),
    ):
        with pytest.raises(error, match=message):
            model.fit(data, show_progress_bar=False)
    with pytest.raises(InputError, match="another model"):
        model.fit(loader(), loss_fct=losses.MSELoss(new_model(base)))
    with pytest.raises(InputTypeError, match="loss_fct is int"):
        model.fit(loader(), loss_fct=3)
    with pytest.raises(InputError, match="scheduler"):
        model.fit(loader(), **{**SETTINGS, "scheduler": "upwards"})
    with pytest.raises(TypeError, match="did you mean 'epochs'"):
        model.fit(loader(), epoch=3)
    model.model.classifier.bias.data[:] = float("nan")
    with pytest.raises(InputError, match="is nan at step 1"):
        model.fit(loader(), **SETTINGS)


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return [
        {"a": first, "b": second, "label": label}
        for (first, second), label in zip(PAIRS, LABELS, strict=True)
    ]


def trainer(model: Any, folder: Path, rows: Any, max_steps: int = -1, **more: Any) -> Any:
    pytest.importorskip("datasets")
    from vicinal.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments

    args = CrossEncoderTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=3,
        max_steps=max_steps,
        per_device_train_batch_size=16,
        learning_rate=1e-2,
        warmup_ratio=0.1,
        report_to="none",
        save_steps=10,
        disable_tqdm=True,
        bf16=False,
    )
    return CrossEncoderTrainer(model=model, args=args, train_dataset=rows, **more)


@pytest.mark.slow
def test_trainer_learns_and_resumes_exactly(base: Path, tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    untrained = new_model(base).evaluate(evaluator())["cats_spearman"]
    whole = trainer(new_model(base), tmp_path / "whole", rows, eval_dataset=rows[:20], evaluator=evaluator())
    whole.train()
    assert whole.evaluate().keys() >= {"eval_loss", "eval_cats_spearman"}
    assert whole.scores.by_step[0]["cats_spearman"] == pytest.approx(untrained, abs=1e-6)
    after = whole.owner.evaluate(evaluator())["cats_spearman"]
    assert whole.evaluate()["eval_cats_spearman"] == pytest.approx(after, abs=1e-6)
    assert after > untrained + 0.3
    again = trainer(new_model(base), tmp_path / "again", rows)
    again.train(resume_from_checkpoint=str(tmp_path / "whole/checkpoint-20"))
    for name, weight in whole.owner.state_dict().items():
        torch.testing.assert_close(again.owner.state_dict()[name], weight, atol=1e-6, rtol=1e-6, msg=name)
    loaded = CrossEncoder(tmp_path / "whole/checkpoint-30", dtype="float32")
    np.testing.assert_allclose(loaded.predict(PAIRS), whole.owner.predict(PAIRS), atol=1e-4)


@pytest.mark.parametrize("nothing", [None, {}])
def test_trainer_goes_on_without_a_score(
    base: Path, tmp_path: Path, rows: list[dict[str, Any]], nothing: Any
) -> None:
    made = trainer(new_model(base), tmp_path, rows[:32], evaluator=lambda *_, **__: nothing)
    with pytest.warns(UserWarning, match="function gave no score"):
        made.train()
    assert not made.owner.head_is_new and made.owner.training_record.after == {}
    made.save_model(str(tmp_path / "last"))
    assert "CrossEncoder('last')" in (tmp_path / "last/README.md").read_text()


def test_trainer_refuses_before_the_first_step(
    base: Path, tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    wrong = [*rows[:3], {**rows[3], "label": 5.0}]
    with pytest.raises(InputError, match=r"train_dataset\['label'\]\[3\] is 5"):
        trainer(new_model(base), tmp_path, wrong).train()
    from vicinal.cross_encoder import CrossEncoderTrainingArguments

    with pytest.raises(InputError, match="reads pairs as they are"):
        CrossEncoderTrainingArguments(output_dir=str(tmp_path), prompts="query: ")


def test_the_trainer_takes_a_stream_and_refuses_a_frozen_model(base: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    columns = {"first": [a for a, _ in PAIRS], "second": [b for _, b in PAIRS], "label": LABELS}
    stream = datasets.Dataset.from_dict(columns).to_iterable_dataset()
    model = new_model(base)
    before = [each.detach().clone() for each in model.module.parameters()]
    made = trainer(model, tmp_path, stream, max_steps=3)
    assert made.train().global_step == 3
    assert any((a != b).any() for a, b in zip(before, model.module.parameters(), strict=True))
    for each in model.module.parameters():
        each.requires_grad = False
    with pytest.raises(InputError, match="no weight that is to be trained"):
        trainer(model, tmp_path, stream, max_steps=3).train()
