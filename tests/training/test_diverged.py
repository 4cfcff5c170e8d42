"""Training that diverges: it stops at the first loss that is no number, and nothing of it is saved or encoded."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")

from tinybert import pairs, write_tiny  # noqa: E402

from vicinal import CrossEncoder, SentenceTransformer, cross_encoder, losses  # noqa: E402
from vicinal.errors import InputError, ModelFormatError, NewHeadWarning  # noqa: E402
from vicinal.nn.training.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments  # noqa: E402
from vicinal.nn.training.sentence_transformer import (  # noqa: E402
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other are slow beside busy processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("still"), dropout=0.0)


def load(folder: Path, kind: Any = SentenceTransformer) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NewHeadWarning)
        return kind(folder, dtype="float32")


def weights(model: Any) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in model.module.state_dict().items()}


def breaking(base: Any, at: int, factor: Any) -> Any:
    """A loss that is multiplied at one call; ``states`` are the weights before each call."""

    class Breaking(base):  # type: ignore[misc]
        def __init__(self, model: Any) -> None:
            super().__init__(model)
            object.__setattr__(self, "owner", model)
            self.states: list[Any] = []

        def forward(self, *given: Any, **named: Any) -> Any:
            self.states.append(weights(self.owner))
            loss = super().forward(*given, **named)
            return factor(loss) if len(self.states) == at else loss

    return Breaking


class Infinite(torch.autograd.Function):  # type: ignore[misc, unused-ignore]
    """A number whose gradient is infinite."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return gradient * float("inf")


def nan(loss: Any) -> Any:
    return loss * float("nan")


def infinite(loss: Any) -> Any:
    return loss + float("inf")


NAN, INFINITE = "the loss is nan at step 3 of 6", "the loss is inf at step 3 of 6"
GRADIENT = "the norm of the gradients is (inf|nan) at step 3 of 6"


def trainer_of(
    kind: str, folder: Path, out: Path, at: int, factor: Any, evaluator: Any = None, **changes: Any
) -> tuple[Any, Any]:
    data = datasets.Dataset.from_list(pairs(24, label=lambda place: 0.5))
    settings: dict[str, Any] = {
        "output_dir": str(out),
        "per_device_train_batch_size": 4,
        "num_train_epochs": 1,
        "learning_rate": 1e-3,
        "bf16": False,
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_steps": 1,
        "check_data": False,
        **changes,
    }
    if kind == "SentenceTransformer":
        model = load(folder)
        loss = breaking(losses.CosineSimilarityLoss, at, factor)(model)
        args = SentenceTransformerTrainingArguments(**settings)
        return SentenceTransformerTrainer(model, args, data, loss=loss, evaluator=evaluator), loss
    model = load(folder, CrossEncoder)
    loss = breaking(cross_encoder.losses.BinaryCrossEntropyLoss, at, factor)(model)
    return CrossEncoderTrainer(model, CrossEncoderTrainingArguments(**settings), data, loss=loss), loss


@pytest.mark.parametrize(
    ("kind", "factor", "message", "limit"),
    [
        ("SentenceTransformer", nan, NAN, 1.0),
        ("CrossEncoder", infinite, INFINITE, 0.0),
        ("SentenceTransformer", Infinite.apply, GRADIENT, 0.0),
        ("CrossEncoder", Infinite.apply, GRADIENT, 1.0),
    ],
)
def test_a_trainer_stops(
    still: Path, tmp_path: Path, kind: str, factor: Any, message: str, limit: float
) -> None:
    changes = {"save_strategy": "steps", "save_steps": 2, "max_grad_norm": limit}
    trainer, loss = trainer_of(kind, still, tmp_path / "out", 3, factor, **changes)
    with pytest.raises(InputError, match=rf"{message} \(learning rate .*checkpoint-2 holds an earlier state"):
        trainer.train()
    for name, tensor in weights(trainer.owner).items():
        assert torch.equal(tensor, loss.states[2][name]), name
    assert [entry["loss"] > 0 for entry in trainer.state.log_history] == [True, True]
    kinds = {"SentenceTransformer": SentenceTransformer, "CrossEncoder": CrossEncoder}
    kept = kinds[kind](tmp_path / "out/checkpoint-2", dtype="float32")
    assert not [name for name, tensor in weights(kept).items() if not torch.isfinite(tensor).all()]


@pytest.mark.parametrize(("factor", "at"), [(nan, 1), (nan, 3), (Infinite.apply, 1), (Infinite.apply, 3)])
def test_a_trial_of_a_search_ends_and_the_search_goes_on(
    still: Path, tmp_path: Path, factor: Any, at: int
) -> None:
    class Searched(transformers.TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *given: Any, **named: Any) -> None:
            trainer._trial = object()

    trainer, loss = trainer_of("SentenceTransformer", still, tmp_path / "out", at, factor)
    trainer.add_callback(Searched())
    with pytest.warns(UserWarning, match=rf"this trial ends: .* at step {at} of 6"):
        trainer.train()
    assert trainer.state.global_step == at and len(loss.states) == at
    for name, tensor in weights(trainer.owner).items():
        assert torch.equal(tensor, loss.states[at - 1][name]), name


@pytest.mark.parametrize(
    ("factor", "message", "limit"),
    [(nan, NAN, 1.0), (infinite, INFINITE, None), (Infinite.apply, GRADIENT, None)],
)
def test_fit_stops(still: Path, tmp_path: Path, factor: Any, message: str, limit: float | None) -> None:
    from vicinal import InputExample

    model = load(still)
    rows = [InputExample(texts=[row["first"], row["second"]], label=0.5) for row in pairs(24)]
    loss = breaking(losses.CosineSimilarityLoss, 3, factor)(model)
    loader = torch.utils.data.DataLoader(rows, batch_size=4)
    options: dict[str, Any] = {"warmup_steps": 0, "show_progress_bar": False, "max_grad_norm": limit}
    message = message.replace("loss is", r"loss of train_objectives\[0\] is")
    with pytest.raises(
        InputError, match=rf"{message}.*this step changed no weight\. Take a lower learning rate"
    ):
        model.fit([(loader, loss)], output_path=tmp_path / "out", **options)
    for name, tensor in weights(model).items():
        assert torch.equal(tensor, loss.states[2][name])
    assert not list((tmp_path / "out").rglob("*.safetensors"))


def broken(model: Any) -> Any:
    with torch.no_grad():
        next(iter(model.module.parameters()))[3, 2] = float("nan")
    return model


@pytest.mark.parametrize("kind", [SentenceTransformer, CrossEncoder])
def test_weights_that_are_no_numbers_are_not_used(still: Path, tmp_path: Path, kind: Any) -> None:
    model = load(still, kind)
    use = model.encode if kind is SentenceTransformer else model.predict
    texts = "the cat" if kind is SentenceTransformer else [("the cat", "a dog")]
    use(texts)
    broken(model)
    with pytest.raises(ModelFormatError, match=r"the weight '.*' holds NaN or infinite numbers"):
        use(texts)
    with pytest.raises(InputError, match=r"out is not written: the weight .* or pass allow_non_finite=True"):
        model.save(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    model.save(tmp_path / "out", create_model_card=False, allow_non_finite=True)
    found = kind(tmp_path / "out")
    with pytest.raises(ModelFormatError, match="holds NaN or infinite"):
        (found.encode if kind is SentenceTransformer else found.predict)(texts)


def test_a_live_module_is_checked_too(still: Path) -> None:
    model = SentenceTransformer(still, backend="torch")
    model.encode("the cat")
    with pytest.raises(ModelFormatError, match="holds NaN or infinite"):
        broken(model).encode(["a", "the", *"abcdefghijklmnopqrstuvwxyz"])


@pytest.mark.parametrize("scores", [[0.1, float("nan"), 0.3, 0.2], [float("nan")] * 4])
def test_a_trainer_never_finds_a_score_that_is_no_number_best(
    still: Path, tmp_path: Path, scores: list[float]
) -> None:
    found = iter(scores)

    class Evaluator:
        primary_metric = "score"
        greater_is_better = True

        def __call__(self, model: Any, output_path: Any = None, epoch: int = -1, steps: int = -1) -> Any:
            return {"score": next(found)}

    changes = {
        "eval_strategy": "epoch",
        "save_strategy": "best",
        "metric_for_best_model": "score",
        "num_train_epochs": 3,
    }
    trainer, _ = trainer_of("SentenceTransformer", still, tmp_path / "out", 99, None, Evaluator(), **changes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        trainer.train()
    expected = 12 if scores[2] == 0.3 else None
    assert trainer.state.best_global_step == expected


def test_losses_of_evaluation_are_not_left_out_of_means(still: Path, tmp_path: Path) -> None:
    trainer, _ = trainer_of(
        "SentenceTransformer", still, tmp_path / "out", 2, lambda loss: loss * float("nan")
    )
    data = datasets.Dataset.from_list(pairs(16, label=lambda place: 0.5))
    assert np.isnan(trainer.evaluate(data)["eval_loss"])


def test_distillation_stops(monkeypatch: Any) -> None:
    from vicinal.distillation import training
    from vicinal.tokens.text import Ragged

    lengths = np.full(8, 2, np.int32)
    texts = Ragged(np.arange(16, dtype=np.int32), np.arange(0, 18, 2), lengths)
    targets = training.unit(np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32))
    lesson = training.Lesson(texts, targets, targets)
    rows = np.ones((16, 4), np.float32)
    rows[3, 1] = np.nan
    with pytest.raises(InputError, match=r"the loss is nan at step 1 of 2 \(learning rate 0\.1\)"):
        training.train(rows, lesson, lesson, training.Settings(epochs=2))
