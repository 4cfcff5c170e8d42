"""fit: what it trains and saves, how it goes on after an interruption, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("datasets")

from tinybert import pairs, write_tiny  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

from vicinal import InputExample, SentenceTransformer, losses  # noqa: E402
from vicinal.errors import InputError, InputTypeError, ModelFormatError  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture(scope="session")
def dropping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("fit"))


@pytest.fixture(scope="session")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without dropout."""
    return write_tiny(tmp_path_factory.mktemp("fit-still"), dropout=0.0)


def load(folder: Path) -> SentenceTransformer:
    return SentenceTransformer(folder, device="cpu", dtype="float32")


def examples(count: int, seed: int = 0) -> list[InputExample]:
    return [
        InputExample(texts=[row["first"], row["second"]], label=row["label"]) for row in pairs(count, seed)
    ]


def fit(model: Any, data: Any = None, **changes: Any) -> Any:
    """Train on pairs with CosineSimilarityLoss; gives the loader."""
    loader = DataLoader(examples(24) if data is None else data, batch_size=4)
    common: dict[str, Any] = {
        "warmup_steps": 0,
        "optimizer_params": {"lr": 1e-3},
        "use_amp": False,
        "show_progress_bar": False,
    }
    model.fit([(loader, losses.CosineSimilarityLoss(model))], **{**common, **changes})
    return loader


def weights(model: Any) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


class Scores:
    """An evaluator that gives scores from a list and notes how it was called."""

    def __init__(self, scores: list[float], greater_is_better: bool = True) -> None:
        self.scores, self.greater_is_better = list(scores), greater_is_better
        self.calls: list[tuple[Any, int, int]] = []

    def __call__(self, model: Any, output_path: Any = None, epoch: int = -1, steps: int = -1) -> float:
        assert len(model.encode("the cat")) == 24
        self.calls.append((output_path, epoch, steps))
        return self.scores.pop(0)


def test_fit_is_a_plain_loop_of_torch(still: Path) -> None:
    """Against the loop written out: groups, AdamW, clipping, linear decay; float32, without dropout."""
    model, other = load(still), load(still)
    data = examples(24)
    fit(model, data, epochs=2, max_grad_norm=0.5)
    module = other.module
    decaying = [p for p in module.parameters() if p.ndim > 1]
    rest = [p for p in module.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decaying, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}], lr=1e-3
    )
    for step in range(12):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (1 - step / 12)
        batch = data[step % 6 * 4 :][:4]
        a, b = (
            module(module[0].tokenize([each.texts[i] for each in batch]))["sentence_embedding"]
            for i in (0, 1)
        )
        labels = torch.tensor([each.label for each in batch])
        ((torch.cosine_similarity(a, b) - labels) ** 2).mean().backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()
    for name, tensor in other.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor, atol=2e-6, rtol=1e-4, msg=name)


def test_encode_uses_the_new_weights_and_the_folder_holds_them(dropping: Path, tmp_path: Path) -> None:
    model = load(dropping)
    before = model.encode("the big dog")
    loader = fit(model, output_path=tmp_path / "out")
    after = model.encode("the big dog")
    assert np.abs(after - before).max() > 1e-3
    assert not model.training
    np.testing.assert_allclose(load(tmp_path / "out").encode("the big dog"), after, atol=1e-6)
    module = model.module
    with torch.no_grad():
        direct = module(module[0].tokenize(["the big dog"]))["sentence_embedding"][0]
    np.testing.assert_allclose(after, direct.numpy(), atol=1e-5)
    assert not [each for each in (tmp_path / "out").iterdir() if each.name.startswith(".")]
    assert "# out" in (tmp_path / "out" / "README.md").read_text()
    assert loader.collate_fn.__name__ == "default_collate"


def test_the_evaluator_is_asked_when_it_was_always_asked(dropping: Path, tmp_path: Path) -> None:
    model, heard = load(dropping), []
    evaluator = Scores([0.1, 0.2, 0.5, 0.3, 0.4, 0.2, 0.3])
    out = tmp_path / "out"
    fit(
        model,
        evaluator=evaluator,
        epochs=2,
        evaluation_steps=3,
        output_path=out,
        callback=lambda score, epoch, steps: heard.append((score, epoch, steps)),
    )
    when = [(0, 0), (0, 3), (0, 6), (0, -1), (1, 3), (1, 6), (1, -1)]
    assert evaluator.calls == [(str(out / "eval"), *each) for each in when]
    assert heard == list(zip([0.2, 0.5, 0.3, 0.4, 0.2, 0.3], *zip(*when[1:], strict=True), strict=True))


@pytest.mark.parametrize("greater", [True, False])
def test_the_best_model_is_saved(dropping: Path, tmp_path: Path, greater: bool) -> None:
    model = load(dropping)
    kept: list[Any] = []
    scores = [0.1, 0.2, 0.6, 0.3] if greater else [0.9, 0.8, 0.2, 0.5]
    fit(
        model,
        evaluator=Scores(scores, greater),
        epochs=3,
        output_path=tmp_path / "best",
        callback=lambda *_: kept.append(model.encode("the big dog")),
    )
    np.testing.assert_allclose(load(tmp_path / "best").encode("the big dog"), kept[1], atol=1e-6)
    assert np.abs(kept[1] - kept[2]).max() > 1e-4
    model = load(dropping)
    fit(
        model,
        evaluator=Scores([0.1, 0.5, 0.3]),
        epochs=2,
        output_path=tmp_path / "last",
        save_best_model=False,
    )
    np.testing.assert_allclose(
        load(tmp_path / "last").encode("the big dog"), model.encode("the big dog"), atol=1e-6
    )


def test_a_falling_score_warns_and_a_rising_one_is_told(dropping: Path, capsys: Any) -> None:
    with pytest.warns(UserWarning, match=r"made the model worse: its score went from 0\.5000 to 0\.4000"):
        fit(load(dropping), evaluator=Scores([0.5, 0.4]))
    fit(load(dropping), evaluator=Scores([0.5, 0.7]))
    assert "before training 0.5000, after 0.7000 (+0.2000), best 0.7000" in capsys.readouterr().err


def test_an_evaluator_of_ours_decides_by_its_primary_metric(dropping: Path, tmp_path: Path) -> None:
    from vicinal.evaluation import EmbeddingSimilarityEvaluator

    evaluator = EmbeddingSimilarityEvaluator.from_input_examples(examples(24), name="here")
    heard: list[float] = []
    model = load(dropping)
    fit(
        model,
        evaluator=evaluator,
        epochs=2,
        output_path=tmp_path,
        callback=lambda score, *_: heard.append(score),
    )
    assert heard[-1] == pytest.approx(evaluator(model)[evaluator.primary_metric])
    assert len(next(iter((tmp_path / "eval").glob("*.csv"))).read_text().splitlines()) == 4


def test_several_objectives_take_turns(dropping: Path) -> None:
    model, asked = load(dropping), []

    class Counting(losses.CosineSimilarityLoss):  # type: ignore[misc]
        def forward(self, sentence_features: Any, labels: Any = None) -> Any:
            asked.append(len(labels))
            return super().forward(sentence_features, labels)

    loaders = [DataLoader(examples(12), batch_size=4), DataLoader(examples(10, seed=1), batch_size=5)]
    softmax = losses.SoftmaxLoss(model, 24, 3)
    classes = [InputExample(texts=each.texts, label=i % 3) for i, each in enumerate(examples(9))]
    before = softmax.state_dict()[next(iter(softmax.state_dict()))].clone()
    model.fit(
        [(each, Counting(model)) for each in loaders] + [(DataLoader(classes, batch_size=3), softmax)],
        steps_per_epoch=3,
        warmup_steps=0,
        show_progress_bar=False,
    )
    assert asked == [4, 5] * 3  # the second loader has 2 batches and begins anew
    assert not torch.equal(before, softmax.state_dict()[next(iter(softmax.state_dict()))])


class Bomb:
    """A pickle that leaves a file when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_a_resumed_run_is_the_uninterrupted_one(dropping: Path, tmp_path: Path) -> None:
    """Shuffled, with dropout, over the end of an epoch, with a loss that has weights of its own."""

    class Stop(Exception):
        pass

    def train(model: Any, stop: bool = False, **changes: Any) -> tuple[Any, Any]:
        data = [InputExample(texts=each.texts, label=i % 3) for i, each in enumerate(examples(24))]
        loader = DataLoader(data, batch_size=4, shuffle=True)
        torch.manual_seed(11)
        loss = losses.SoftmaxLoss(model, 24, 3)
        steps = []

        def forward(*arguments: Any) -> Any:
            steps.append(1)
            if stop and len(steps) == 11:
                raise Stop
            return type(loss).forward(loss, *arguments)

        loss.forward = forward
        model.fit([(loader, loss)], epochs=3, warmup_steps=2, show_progress_bar=False, **changes)
        return weights(model), weights(loss)

    wanted = train(load(dropping))
    folder = tmp_path / "checkpoints"
    keep: dict[str, Any] = {
        "checkpoint_path": folder,
        "checkpoint_save_steps": 4,
        "checkpoint_save_total_limit": 1,
    }
    with pytest.raises(Stop):
        train(load(dropping), stop=True, **keep)
    assert [each.name for each in folder.iterdir()] == ["checkpoint-8"]
    assert load(folder / "checkpoint-8").encode("the cat").shape == (24,)
    torch.rand(3)
    found = train(load(dropping), **keep, resume_from_checkpoint=True)
    for one, other in zip(found, wanted, strict=True):
        for name, tensor in other.items():
            assert torch.equal(one[name], tensor), name
    again = train(load(dropping), resume_from_checkpoint=folder / "checkpoint-16")
    assert all(torch.equal(again[0][name], tensor) for name, tensor in wanted[0].items())
    with pytest.raises(ModelFormatError, match="cannot go on from this checkpoint"):
        fit(load(dropping), resume_from_checkpoint=folder / "checkpoint-16")
    mark = tmp_path / "it-ran"
    torch.save({"modules": Bomb(mark)}, folder / "checkpoint-16/training_state.pt")
    with pytest.raises(ModelFormatError, match="cannot go on from this checkpoint"):
        fit(load(dropping), resume_from_checkpoint=folder / "checkpoint-16")
    assert not mark.exists()
    with pytest.raises(InputError, match=r"holds no training_state\.pt"):
        fit(load(dropping), resume_from_checkpoint=tmp_path)
    with pytest.raises(InputError, match="needs checkpoint_path"):
        fit(load(dropping), resume_from_checkpoint=True)


def test_an_interruption_leaves_a_whole_folder_and_a_usable_model(
    dropping: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, out = load(dropping), tmp_path / "out"
    save, saved = model.save, []

    def interrupted(path: str, model_name: str | None = None) -> None:
        save(path, model_name)
        saved.append(load(Path(path)).encode("the cat"))
        if len(saved) == 2:
            (Path(path) / "model.safetensors").write_bytes(b"half")
            raise KeyboardInterrupt

    monkeypatch.setattr(model, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(model, evaluator=Scores([0.1, 0.2, 0.3]), epochs=2, output_path=out)
    assert (
        f"interrupted after step 12: the model is as that step left it; {out} holds"
        in capsys.readouterr().err
    )
    np.testing.assert_allclose(load(out).encode("the cat"), saved[0], atol=1e-6)
    np.testing.assert_allclose(model.encode("the cat"), saved[1], atol=1e-6)
    assert not model.training and all(each.grad is None for each in model.parameters())
    assert not [each for each in out.iterdir() if each.name.startswith(".")]


def test_a_loss_that_is_no_number_stops_before_it_harms(still: Path) -> None:
    model, steps = load(still), []

    class Breaking(losses.CosineSimilarityLoss):  # type: ignore[misc]
        def forward(self, sentence_features: Any, labels: Any = None) -> Any:
            steps.append(weights(model))
            return super().forward(sentence_features, labels) * (float("nan") if len(steps) == 3 else 1.0)

    loader = DataLoader(examples(24), batch_size=4)
    with pytest.raises(InputError, match=r"the loss of train_objectives\[0\] is nan at step 3 of 6"):
        model.fit([(loader, Breaking(model))], warmup_steps=0, show_progress_bar=False)
    for name, tensor in weights(model).items():
        assert torch.equal(tensor, steps[2][name])


def test_a_long_warm_up_is_cut_with_a_warning(still: Path) -> None:
    rates = []

    class Watched(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    with pytest.warns(
        UserWarning, match="warmup_steps=10000 is longer than the run of 24 steps.*: 2 are taken"
    ):
        fit(load(still), epochs=4, warmup_steps=10_000, optimizer_class=Watched, optimizer_params={"lr": 1.0})
    assert rates[:3] == [0.0, 0.5, 1.0] and rates[-1] == pytest.approx(1 / 22)


def test_a_loader_that_collates_and_workers_are_no_matter(still: Path) -> None:
    model, other = load(still), load(still)
    data = examples(12)
    fit(model, data)
    loader = DataLoader(data, batch_size=4, collate_fn=lambda rows: 1 / 0)
    options: dict[str, Any] = {"warmup_steps": 0, "optimizer_params": {"lr": 1e-3}, "use_amp": False}
    other.fit([(loader, losses.CosineSimilarityLoss(other))], show_progress_bar=False, **options)
    batches = [data[i : i + 4] for i in (0, 4, 8)]
    third = load(still)
    third.fit([(batches, losses.CosineSimilarityLoss(third))], show_progress_bar=False, **options)
    for name, tensor in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
        assert torch.equal(third.state_dict()[name], tensor)


def test_a_bar_shows_loss_and_speed(still: Path, capsys: Any) -> None:
    fit(load(still), show_progress_bar=True)
    shown = capsys.readouterr().err
    assert "Training: 100%" in shown and "loss 0." in shown and "examples/s" in shown


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([InputExample(texts=["a", "b"], label=0.5), InputExample(texts=["a", "b"], label=4.2)], InputError,
         r"labels\[1\] is 4.2, but CosineSimilarityLoss needs a similarity from 0 to 1; divide by 5"),
        ([InputExample(texts=["a", "b"]), InputExample(texts=["a"])], InputError, r"dataset\[1\] has 1 texts, but"),
        ([InputExample(texts=["a", "b", "c"])], InputError, "got 3 text columns, but needs 2"),
        ([InputExample(texts=[])], InputError, r"dataset\[0\] has no texts"),
        ([("a", "b", 1.0)], InputTypeError, r"dataset\[0\] is tuple: give InputExample"),
        ([InputExample(texts=["a", "b"], label=[0.1, 0.2])], InputError, "one number a row"),
    ],
)  # fmt: skip
def test_examples_that_cannot_work_are_named_first(still: Path, rows: Any, error: type, message: str) -> None:
    model = load(still)
    before = weights(model)
    with pytest.raises(error, match=message):
        fit(model, rows)
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(model).items())


def test_arguments_that_cannot_be_meant_are_refused(still: Path) -> None:
    model = load(still)
    loss = losses.CosineSimilarityLoss(model)
    loader = DataLoader(examples(8), batch_size=4)
    with pytest.raises(InputTypeError, match=r"one pair: put it into a list, \[\(loader, loss\)\]"):
        model.fit((loader, loss))
    with pytest.raises(InputError, match="train_objectives is empty"):
        model.fit([])
    with pytest.raises(InputTypeError, match=r"train_objectives\[0\]\[1\] is str: give a loss"):
        model.fit([(loader, "loss")])
    with pytest.raises(InputError, match="made for another model"):
        load(still).fit([(loader, loss)])
    with pytest.raises(InputError, match="its loader has no batch"):
        model.fit([(DataLoader(examples(3), batch_size=4, drop_last=True), loss)])
    with pytest.raises(InputError, match=r"warmup_steps=0\.1: give a whole number"):
        fit(model, warmup_steps=0.1)
    with pytest.raises(InputError, match="epochs=0 must be 1 or more"):
        fit(model, epochs=0)
    with pytest.raises(InputTypeError, match=r"optimizer_params=.*AdamW does not take them"):
        fit(model, optimizer_params={"learning_rate": 1.0})
    with pytest.raises(InputTypeError, match="did you mean 'evaluator'"):
        fit(model, evaluater=None)
    with pytest.raises(InputTypeError, match="Scores gave str: an evaluator returns a number"):
        fit(model, evaluator=Scores(["good"]))  # type: ignore[list-item]
    with pytest.raises(InputTypeError, match="evaluator is int; give a SentenceEvaluator"):
        fit(model, evaluator=3)
    model.requires_grad_(False)
    with pytest.raises(InputError, match="no weight that is to be trained"):
        fit(model)


@pytest.mark.parametrize("nothing", [None, {}])
def test_without_a_score_the_last_model_is_saved(dropping: Path, tmp_path: Path, nothing: Any) -> None:
    model, heard = load(dropping), []
    before = model.training_record
    with pytest.warns(UserWarning, match="Scores gave no score .*no best model can be chosen") as caught:
        fit(
            model,
            evaluator=Scores([nothing] * 3),
            epochs=2,
            output_path=tmp_path / "out",
            callback=lambda *facts: heard.append(facts),
        )
    assert len([each for each in caught if "gave no score" in str(each.message)]) == 1
    assert not heard and model.training_record is not before
    assert model.training_record.after == {}
    np.testing.assert_allclose(load(tmp_path / "out").encode("the cat"), model.encode("the cat"), atol=1e-6)


def test_a_score_that_is_not_a_number_is_never_the_best(dropping: Path, tmp_path: Path) -> None:
    model, kept = load(dropping), []
    with pytest.warns(UserWarning, match="score is NaN after step 6, so it chooses no best model") as caught:
        fit(
            model,
            evaluator=Scores([0.1, float("nan"), 0.3, 0.2]),
            epochs=3,
            output_path=tmp_path / "out",
            callback=lambda *_: kept.append(model.encode("the cat")),
        )
    assert len(caught) == 1
    np.testing.assert_allclose(load(tmp_path / "out").encode("the cat"), kept[1], atol=1e-6)


def test_a_failed_run_leaves_the_record_as_it_was(still: Path) -> None:
    model = load(still)
    fit(model, evaluator=Scores([0.1, 0.2]))
    before = model.training_record

    class Stop(Exception):
        pass

    def stop(*_: Any) -> None:
        raise Stop

    with pytest.raises(Stop):
        fit(model, evaluator=Scores([0.5, 0.6]), callback=stop)
    assert model.training_record is before and before.after == {"score": 0.2}


def test_cards_bear_the_names_of_their_folders(still: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    folders = {"checkpoint_path": "checkpoints", "checkpoint_save_steps": 6}
    fit(load(still), output_path=".", **folders)
    for folder, name in ((tmp_path, tmp_path.name), (tmp_path / "checkpoints/checkpoint-6", "checkpoint-6")):
        card = (folder / "README.md").read_text()
        assert f"SentenceTransformer({name!r})" in card and ".saving" not in card


def test_the_default_rate_holds_beside_other_parameters(still: Path) -> None:
    rates = []

    class Watched(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    fit(
        load(still),
        scheduler="constantlr",
        optimizer_class=Watched,
        optimizer_params={"momentum": 0.5},
    )
    assert set(rates) == {2e-5}


def test_a_loader_that_gives_fewer_batches_than_it_says(still: Path) -> None:
    model = load(still)

    class Once:
        def __init__(self) -> None:
            self.batches = iter([examples(4)])

        def __len__(self) -> int:
            return 3

        def __iter__(self) -> Any:
            return self.batches

    with pytest.raises(InputError, match=r"train_objectives\[0\]: its loader has a length of 3 and gave no"):
        model.fit([(Once(), losses.CosineSimilarityLoss(model))], warmup_steps=0, show_progress_bar=False)


@pytest.mark.slow
def test_one_batch_of_real_weights_learns_in_bfloat16(minilm_path: Path, tmp_path: Path) -> None:
    model = load(minilm_path)
    data = [
        InputExample(texts=["A man plays a flute.", "Someone makes music."], label=1.0),
        InputExample(texts=["A man plays a flute.", "The stock market fell sharply today."], label=0.9),
        InputExample(texts=["A cat sleeps.", "A kitten is asleep on the big red sofa."], label=0.1),
    ]

    def error() -> float:
        vectors = [
            model.encode(list(each), normalize_embeddings=True)
            for each in zip(*(e.texts for e in data), strict=True)
        ]
        cosines = (vectors[0] * vectors[1]).sum(1)
        return float(((cosines - [each.label for each in data]) ** 2).mean())

    before = error()
    fit(model, data, epochs=6, use_amp=True, optimizer_params={"lr": 5e-5}, output_path=tmp_path / "out")
    assert error() < 0.5 * before
    assert json.loads((tmp_path / "out" / "config.json").read_text())["model_type"] == "bert"


@pytest.mark.parametrize("name", ["output_path", "checkpoint_path"])
def test_a_file_in_the_place_of_a_folder_is_refused_before_the_first_step(
    still: Path, tmp_path: Path, name: str
) -> None:
    model, file = load(still), tmp_path / "file"
    file.write_text("mine")
    before = weights(model)
    for place in (file, file / "inside"):
        with pytest.raises(InputError, match=rf"{name}=.*: .*file is a file: give a folder"):
            fit(model, **{name: place})
    assert file.read_text() == "mine"
    assert all(np.array_equal(before[key], value) for key, value in weights(model).items())
