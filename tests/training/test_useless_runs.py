"""Runs that would train nothing, or the wrong way round, are refused or warned about by name."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")

from tinybert import pairs, write_tiny  # noqa: E402

from vicinal import CrossEncoder, InputExample, SentenceTransformer, cross_encoder, losses  # noqa: E402
from vicinal.errors import InputError, NewHeadWarning  # noqa: E402
from vicinal.nn.training.collator import SentenceTransformerDataCollator  # noqa: E402
from vicinal.nn.training.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments  # noqa: E402
from vicinal.nn.training.finite import FiniteTrainer  # noqa: E402
from vicinal.nn.training.order import expected_order  # noqa: E402
from vicinal.nn.training.sentence_transformer import (  # noqa: E402
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)

pytestmark = pytest.mark.torch

KINDS = ["SentenceTransformer", "CrossEncoder"]


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


def load(kind: str, folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NewHeadWarning)
        return (SentenceTransformer if kind == "SentenceTransformer" else CrossEncoder)(folder, device="cpu")


def trainer_of(kind: str, model: Any, out: Path, loss: Any, data: Any = None, **changes: Any) -> Any:
    classes: Any = (SentenceTransformerTrainer, SentenceTransformerTrainingArguments)
    if kind == "CrossEncoder":
        classes = (CrossEncoderTrainer, CrossEncoderTrainingArguments)
    settings: dict[str, Any] = {"max_steps": 2, "save_strategy": "no", "bf16": False, "disable_tqdm": True}
    settings = {**settings, "check_data": False, "report_to": "none", **changes}
    rows = datasets.Dataset.from_list(data or pairs(16, label=lambda place: float(place % 2)))
    return classes[0](model, classes[1](str(out), **settings), rows, loss=loss)


def plain_loss(kind: str, model: Any) -> Any:
    if kind == "SentenceTransformer":
        return losses.CosineSimilarityLoss(model)
    return cross_encoder.losses.BinaryCrossEntropyLoss(model)


def fit(kind: str, model: Any, loss: Any, **options: Any) -> None:
    rows = [InputExample(texts=[row["first"], row["second"]], label=row["label"] > 0.5) for row in pairs(8)]
    rows = [InputExample(texts=row.texts, label=float(row.label)) for row in rows]
    loader = torch.utils.data.DataLoader(rows, batch_size=4)
    options = {"warmup_steps": 0, "show_progress_bar": False, **options}
    if kind == "SentenceTransformer":
        model.fit([(loader, loss)], **options)
    else:
        model.fit(loader, loss_fct=loss, **options)


def both_ways(kind: str, model: Any, loss: Any, out: Path) -> Iterator[Any]:
    yield lambda **options: trainer_of(kind, model, out, loss, **options).train()
    yield lambda **options: fit(kind, model, loss, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_model_is_refused(still: Path, tmp_path: Path, kind: str) -> None:
    model = load(kind, still)
    model.module.requires_grad_(False)
    for train in both_ways(kind, model, plain_loss(kind, model), tmp_path):
        with pytest.raises(InputError, match="the model has no weight that is to be trained"):
            train()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("short", ["float16", "bfloat16"])
def test_weights_in_16_bits_are_warned_about(still: Path, tmp_path: Path, kind: str, short: str) -> None:
    model = load(kind, still)
    model.module.to(getattr(torch, short))
    for train in both_ways(kind, model, plain_loss(kind, model), tmp_path):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with suppress(RuntimeError):  # torch on the CPU does not compute everything in float16
                train()
        said = [str(each.message) for each in caught if "small steps are lost" in str(each.message)]
        assert (
            len(said) == 1 and f"the weights to train are {short}" in said[0] and "model.float()" in said[0]
        )
        assert caught[0].filename == __file__


def test_a_frozen_model_under_a_loss_with_weights_is_warned_about(still: Path, tmp_path: Path) -> None:
    model = load("SentenceTransformer", still)
    model.module.requires_grad_(False)
    loss = losses.SoftmaxLoss(model, model.get_sentence_embedding_dimension(), 2)
    data = pairs(16, label=lambda place: place % 2)
    with pytest.warns(UserWarning, match="only the loss's own weights change"):
        trainer_of("SentenceTransformer", model, tmp_path, loss, data).train()


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_without_a_gradient_is_refused(still: Path, tmp_path: Path, kind: str) -> None:
    model = load(kind, still)
    base = type(plain_loss(kind, model))

    class Constant(base):  # type: ignore[misc, valid-type]
        def forward(self, *given: Any, **named: Any) -> Any:
            return super().forward(*given, **named).detach()

    class Elsewhere(base):  # type: ignore[misc, valid-type]
        def __init__(self, model: Any) -> None:
            super().__init__(model)
            self.own = torch.nn.Parameter(torch.ones(()))

        def forward(self, *given: Any, **named: Any) -> Any:
            return super().forward(*given, **named).detach() * self.own

    before = {name: each.clone() for name, each in model.module.state_dict().items()}
    for train in both_ways(kind, model, Constant(model), tmp_path):
        with pytest.raises(InputError, match=r"the loss of (Constant|train_\w+(\[0\])?) has no gradient"):
            train()
    for train in both_ways(kind, model, Elsewhere(model), tmp_path):
        with pytest.raises(InputError, match="reaches no weight of the model"):
            train()
    assert all(torch.equal(each, before[name]) for name, each in model.module.state_dict().items())


def test_a_loss_of_another_model_is_refused_wherever_it_holds_it(still: Path, tmp_path: Path) -> None:
    model, other = load("SentenceTransformer", still), load("SentenceTransformer", still)

    class Hidden(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = [losses.CosineSimilarityLoss(other)]

        def forward(self, features: Any, labels: Any) -> Any:
            return self.inner[0](features, labels)

    for train in both_ways("SentenceTransformer", model, Hidden(), tmp_path):
        with pytest.raises(InputError, match=r"the gradient of .* reaches no weight of the model"):
            train()


@pytest.mark.parametrize("kind", KINDS)
def test_a_learning_rate_of_0_is_warned_about(still: Path, tmp_path: Path, kind: str) -> None:
    model = load(kind, still)
    with pytest.warns(UserWarning, match=r"learning_rate=0\.0: no step will change a weight"):
        trainer_of(kind, model, tmp_path, plain_loss(kind, model), learning_rate=0.0).train()
    with pytest.warns(UserWarning, match=r"\['lr'\]=0: no step will change a weight"):
        fit(kind, model, plain_loss(kind, model), optimizer_params={"lr": 0})


class Infinite(torch.autograd.Function):  # type: ignore[misc, unused-ignore]
    """A number whose gradient is infinite."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return gradient * float("inf")


@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_gradients_of_a_losss_own_weights_are_checked(still: Path, tmp_path: Path, limit: float) -> None:
    model = load("SentenceTransformer", still)

    class Own(losses.CosineSimilarityLoss):  # type: ignore[misc]
        def __init__(self, model: Any) -> None:
            super().__init__(model)
            self.own = torch.nn.Parameter(torch.ones(()))

        def forward(self, *given: Any, **named: Any) -> Any:
            return super().forward(*given, **named) + Infinite.apply(self.own)

    with pytest.raises(InputError, match="the norm of the gradients is inf at step 1 of 2"):
        trainer_of("SentenceTransformer", model, tmp_path, Own(model), max_grad_norm=limit).train()


def test_the_second_part_of_an_accumulated_step_is_checked(still: Path, tmp_path: Path) -> None:
    model = load("SentenceTransformer", still)

    class Fourth(losses.CosineSimilarityLoss):  # type: ignore[misc]
        calls = 0

        def forward(self, *given: Any, **named: Any) -> Any:
            self.calls += 1
            return super().forward(*given, **named) * (float("nan") if self.calls == 4 else 1)

    changes = {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4}
    with pytest.raises(InputError, match="the loss is nan at step 2 of 2"):
        trainer_of("SentenceTransformer", model, tmp_path, Fourth(model), **changes).train()


def test_overflows_of_float16_are_left_to_its_scaler_until_it_cannot_help(
    still: Path, tmp_path: Path
) -> None:
    model = load("SentenceTransformer", still)
    trainer = trainer_of("SentenceTransformer", model, tmp_path, plain_loss("SentenceTransformer", model))
    trainer.accelerator.scaler = object()
    trainer.create_optimizer()
    gradients = list(model.module.parameters())
    for each in gradients:
        each.grad = torch.full_like(each, float("inf"))
    for _ in range(39):
        FiniteTrainer.check_gradients(trainer)
    for each in gradients:
        each.grad = torch.ones_like(each)
    FiniteTrainer.check_gradients(trainer)
    for each in gradients:
        each.grad = torch.full_like(each, float("inf"))
    for _ in range(39):
        FiniteTrainer.check_gradients(trainer)
    with pytest.raises(InputError, match="inf in each of 40 float16 steps"):
        FiniteTrainer.check_gradients(trainer)


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["positive", "anchor"], ["anchor", "positive"]),
        (["anchor", "negative", "positive"], ["anchor", "positive", "negative"]),
        (["answer", "Query"], ["Query", "answer"]),
        (["context", "question"], ["question", "context"]),
        (["negative_1", "anchor", "positive"], ["anchor", "positive", "negative_1"]),
        (["contradiction", "hypothesis"], ["hypothesis", "contradiction"]),
        (["anchor", "positive", "negative_1", "negative_2"], None),
        (["query", "answer"], None),
        (["question1", "question2"], None),
        (["premise", "hypothesis"], None),
        (["sentence1", "sentence2"], None),
        (["question"], None),
        ([], None),
    ],
)
def test_the_order_that_names_speak_for(names: list[str], wanted: list[str] | None) -> None:
    assert expected_order(names) == wanted


@pytest.mark.parametrize("kind", KINDS)
def test_reversed_columns_are_warned_about(still: Path, tmp_path: Path, kind: str) -> None:
    model = load(kind, still)
    rows = [{"positive": "the cat", "anchor": "a dog", "label": 1.0}] * 4
    with pytest.warns(UserWarning, match=r"train_dataset: .*'positive', 'anchor' .*\['anchor', 'positive'\]"):
        trainer_of(kind, model, tmp_path, plain_loss(kind, model), rows)
    trainer = trainer_of(kind, model, tmp_path, plain_loss(kind, model))
    data = {"one": datasets.Dataset.from_list(rows)}
    with pytest.warns(UserWarning, match=r"train_dataset\['one'\]: the columns 'positive', 'anchor'"):
        trainer.train_dataset = data
    chosen = type(trainer)(
        model,
        trainer.args,
        data["one"],
        loss=plain_loss(kind, model),
        columns=["positive", "anchor", "label"],
    )
    assert [role for role, _ in chosen.plans[None].texts] == ["positive", "anchor"]
    with pytest.warns(UserWarning, match="the data set: the columns 'positive', 'anchor'"):
        SentenceTransformerDataCollator(model.module[0].tokenize).maybe_warn_about_column_order(
            ["positive", "anchor"]
        )
