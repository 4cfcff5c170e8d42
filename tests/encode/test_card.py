"""The model card: metadata that a YAML reader reads back, tables that nothing breaks, code that runs."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from vicinal import SentenceTransformer
from vicinal.folder.card import render, table, write_card
from vicinal.folder.card_records import (
    DatasetRecord,
    EvaluatorRecord,
    ModelFacts,
    TrainingRecord,
    changed_arguments,
    describe_dataset,
    facts_of,
    name_on_hub,
    versions,
)

BI = ModelFacts("me/mini", False, "bert", ("Transformer", "Pooling"), 128, 384, "cosine")
CROSS = ModelFacts("me/scorer", True, "bert", max_length=512, labels=("LABEL_0",))
PAIRS = [{"sentence1": f"text {n} | a\nb", "sentence2": "x" * 500, "score": n / 10} for n in range(5)]


def record(**more: Any) -> TrainingRecord:
    data = describe_dataset(
        "stsb train",
        5749,
        PAIRS,
        count_tokens=lambda texts: [len(text.split()) for text in texts],
        loss="CosineSimilarityLoss",
        loss_arguments={"loss_fct": "MSELoss"},
        hub_name="sentence-transformers/stsb",
    )
    settings: dict[str, Any] = {
        "base_model": "org/base",
        "datasets": [data],
        "arguments": {"learning_rate": 2e-5, "num_train_epochs": 1},
        "evaluators": [EvaluatorRecord("sts-dev", "semantic-similarity")],
        "evaluations": [
            (0.5, 180, {"sts-dev_spearman_cosine": 0.875}),
            (1.0, 360, {"sts-dev_spearman_cosine": 0.881, "loss": 0.02}),
        ],
        "before": {"sts-dev_spearman_cosine": 0.867},
        "after": {"sts-dev_spearman_cosine": 0.881, "sts-dev_pearson_cosine": float("nan")},
        "seconds": 71.0,
        "examples_per_second": 81.04,
        "versions": {"python": "3.11.7"},
    }
    return TrainingRecord(**{**settings, **more})


def front(card: str) -> dict[str, Any]:
    """The metadata of a card."""
    _, block, _ = card.split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(block)
    return found


def rows(card: str, head: str) -> list[list[str]]:
    """The cells of the table whose first line is ``head``."""
    lines = card.splitlines()
    found = []
    for line in lines[lines.index(head) + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def test_metadata() -> None:
    found = front(render(BI, record()))
    assert found["library_name"] == "sentence-transformers"
    assert found["pipeline_tag"] == "sentence-similarity"
    assert found["base_model"] == "org/base"
    assert found["datasets"] == ["sentence-transformers/stsb"]
    assert {"dataset_size:5749", "loss:CosineSimilarityLoss", "sentence-similarity"} <= set(found["tags"])
    (result,) = found["model-index"][0]["results"]
    assert found["model-index"][0]["name"] == "me/mini"
    assert result["task"] == {"type": "semantic-similarity", "name": "Semantic Similarity"}
    assert result["dataset"] == {"name": "sts-dev", "type": "unknown"}
    assert result["metrics"] == [{"type": "spearman_cosine", "value": 0.881, "name": "Spearman Cosine"}]
    assert found["metrics"] == ["spearman_cosine"]
    plain = front(render(CROSS))
    assert plain["pipeline_tag"] == "text-ranking" and "cross-encoder" in plain["tags"]
    assert not {"base_model", "datasets", "model-index", "license", "language"} & set(plain)
    assert "base_model" not in front(render(BI, record(base_model="/home/me/model")))
    licensed = front(render(ModelFacts("m", dimension=3, language=("no", "en"), license="apache-2.0")))
    assert licensed["language"] == ["no", "en"] and licensed["license"] == "apache-2.0"


def test_metrics_go_to_the_evaluator_with_the_longest_name() -> None:
    evaluators = [EvaluatorRecord("dev", "triplet"), EvaluatorRecord("dev_hard", "triplet")]
    after = {"dev_hard_accuracy": 0.5, "dev_accuracy": 0.9, "loss": 1.0}
    results = front(render(BI, record(evaluators=evaluators, after=after)))["model-index"][0]["results"]
    found = {each["dataset"]["name"]: [m["type"] for m in each["metrics"]] for each in results}
    assert found == {"dev_hard": ["accuracy"], "dev": ["accuracy"], "evaluation": ["loss"]}


def test_huggingface_hub_reads_the_results() -> None:
    from huggingface_hub import ModelCard

    card = ModelCard(render(BI, record()))
    assert card.data.eval_results is not None
    assert [(each.metric_type, each.metric_value) for each in card.data.eval_results] == [
        ("spearman_cosine", 0.881)
    ]


names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1, max_size=30)
cells = st.text(st.characters(codec="utf-8"), max_size=30)


@settings(max_examples=60, deadline=None)
@given(name=names, text=names)
def test_any_text_survives(name: str, text: str) -> None:
    data = DatasetRecord(name, 1, [text, "b"], [{text: text, "b": name}], loss=text, hub_name=name)
    facts = ModelFacts(name, dimension=3, prompts={text: text})
    card = render(
        facts, record(base_model="org/base", datasets=[data], evaluations=[], arguments={text: name})
    )
    found = front(card)
    assert found.get("datasets", []) == ([name] if name_on_hub(name) else [])
    assert found["model-index"][0]["name"] == name
    assert f"loss:{text}" in found["tags"]
    for line in card[card.index("\n# ") :].splitlines():
        if line.startswith("|"):
            assert line.endswith("|")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(cells, cells), max_size=4))
def test_tables_keep_their_shape(values: list[tuple[str, str]]) -> None:
    lines = table(("a", "b"), values).splitlines()
    assert len(lines) == 2 + len(values)
    for line in lines:
        bare = line.replace("\\\\", "")
        assert len(re.findall(r"(?<!\\)\|", bare)) == 3


def test_control_characters_do_not_break_the_metadata() -> None:
    found = front(render(ModelFacts("a\x85b\nc\x00d", dimension=3), record()))
    assert found["model-index"][0]["name"] == "a b c d"


def test_training_is_told() -> None:
    card = render(BI, record())
    assert "Maps texts to vectors of 384 numbers, fine-tuned from org/base." in card
    assert rows(card, "| metric | before training | after | change |") == [
        [r"sts-dev\_spearman\_cosine", "0.8670", "0.8810", "+0.0140"],
        [r"sts-dev\_pearson\_cosine", "", "nan", ""],
    ]
    assert rows(card, r"| epoch | step | sts-dev\_spearman\_cosine | loss |") == [
        ["0.50", "180", "0.8750", ""],
        ["1.00", "360", "0.8810", "0.0200"],
    ]
    assert rows(card, "| column | holds | least | mean | largest |") == [
        ["sentence1", "text (tokens)", "5", "5.0000", "5"],
        ["sentence2", "text (tokens)", "1", "1.0000", "1"],
        ["score", "number", "0.0000", "0.2000", "0.4000"],
    ]
    examples = rows(card, "| sentence1 | sentence2 | score |")
    assert [row[0] for row in examples] == [rf"text {n} \| a b" for n in range(3)]
    assert all(len(row[1]) == 160 and row[1].endswith("…") for row in examples)
    assert "Loss: CosineSimilarityLoss with loss\\_fct = MSELoss." in card
    assert rows(card, "| name | value |") == [["learning\\_rate", "2e-05"], ["num\\_train\\_epochs", "1"]]
    assert "Training took 71 s, 81.0 examples a second." in card
    assert "5749 rows; columns: sentence1, sentence2, score." in card


def test_how_to_load_it() -> None:
    for facts, kind in ((BI, "SentenceTransformer"), (CROSS, "CrossEncoder")):
        blocks = re.findall(r"```python\n(.*?)```", render(facts), re.S)
        assert len(blocks) == 2
        for block, package in zip(blocks, ("vicinal", "sentence_transformers"), strict=True):
            compile(block, "card", "exec")
            assert f"from {package} import {kind}\n" in block
            assert f"model = {kind}({facts.name!r})" in block
    three = ModelFacts("m", True, labels=("no", "maybe", "yes"))
    assert "gives 3 scores" in render(three) and "rank(" not in render(three)


def test_the_code_in_the_card_runs(tiny_path: Path, tiny: SentenceTransformer) -> None:
    facts = facts_of(
        tiny._spec, str(tiny_path), max_length=tiny.max_seq_length, dimension=16, similarity="cosine"
    )
    assert facts.modules == ("Transformer", "Pooling", "Normalize") and not facts.cross_encoder
    block = re.findall(r"```python\n(.*?)```", render(facts), re.S)[0]
    known: dict[str, Any] = {}
    exec(block, known)
    assert known["vectors"].shape == (2, 16)


def test_the_record_is_json() -> None:
    found = record()
    found.datasets.append(
        describe_dataset("odd", 2, [{"a": np.float32(1.5), "b": ["x"] * 20, "c": float("inf"), "d": None}])
    )
    found.versions = versions()
    assert json.loads(json.dumps(asdict(found)))["datasets"][1]["examples"] == [
        {"a": 1.5, "b": [*["x"] * 8, "…"], "c": "inf", "d": None}
    ]
    assert set(found.versions) >= {"python", "vicinal"}
    assert render(BI, found)


def test_a_data_set_is_read_no_further_than_needed() -> None:
    def endless() -> Any:
        number = 0
        while True:
            number += 1
            yield {"text": "a" * (number % 7 + 1)}

    found = describe_dataset("endless", 10**9, endless())
    assert found.statistics["text"]["unit"] == "characters"
    assert (found.statistics["text"]["min"], found.statistics["text"]["max"]) == (1, 7)
    assert len(found.examples) == 3
    empty = describe_dataset("empty", 0, [])
    assert empty.columns == [] and render(BI, TrainingRecord(datasets=[empty]))


@dataclass
class Arguments:
    output_dir: str = "out"
    learning_rate: float = 5e-5
    names: list[str] = field(default_factory=list)
    hub_token: str | None = None
    wandb_key: str | None = None
    epochs: int = 3
    unknown: Any = None


def test_changed_arguments() -> None:
    assert changed_arguments(Arguments()) == {}
    given = Arguments("elsewhere", 2e-5, ["a"], "hf_secret", "secret", 1, Path)
    assert changed_arguments(given, hidden=["epochs"]) == {
        "learning_rate": 2e-5,
        "names": ["a"],
        "unknown": "Path",
    }


def test_which_card_a_folder_gets(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    write_card(old, BI)
    assert "384 numbers" in (old / "README.md").read_text()
    (old / "README.md").write_text("mine")
    write_card(old, BI)
    write_card(new, BI, original=old)
    assert [(each / "README.md").read_text() for each in (old, new)] == ["mine", "mine"]
    write_card(new, BI, record(), original=old)
    assert "fine-tuned from org/base" in (new / "README.md").read_text()
    broken = DatasetRecord("d", 1, ["a"], [{"a": "half \ud800"}])
    write_card(new, BI, record(datasets=[broken]))
    assert "half ?" in (new / "README.md").read_text(encoding="utf-8")


PATHS = [
    "../base",
    "/base",
    "~/base",
    "a/b/c",
    "models/",
    "C:\\base",
    "C:/base",
    "\\\\server\\base",
    "file:///home/me/base",
    "https://huggingface.co/org/base",
    "my model",
    "a--b",
    "",
]


@pytest.mark.parametrize("name", PATHS)
def test_only_hub_names_stand_in_a_card(name: str) -> None:
    assert name_on_hub(name) is None
    data = describe_dataset("d", 1, [], hub_name=name)
    assert data.hub_name is None
    card = render(BI, record(base_model=name, datasets=[DatasetRecord("d", 1, hub_name=name), data]))
    assert not {"base_model", "datasets"} & set(front(card))
    assert "fine-tuned" not in card


def test_the_name_of_a_folder_is_not_a_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert name_on_hub("my-model") == "my-model" and name_on_hub("models/foo") == "models/foo"
    (tmp_path / "my-model").mkdir()
    (tmp_path / "models/foo").mkdir(parents=True)
    assert name_on_hub("my-model") is None and name_on_hub("models/foo") is None
    # Loaded from there, and the folder, or the working directory, is another one now.
    assert name_on_hub("models/bar", tmp_path / "models/bar") is None
    assert name_on_hub("org/bar", "/cache/models--org--bar/snapshots/0123") == "org/bar"


def test_paths_of_this_machine_are_left_out_everywhere(tmp_path: Path) -> None:
    secret = str(tmp_path / "customers.json")
    given = Arguments("out", 2e-5, [secret, "a"], epochs=1, unknown={"config": secret, "rate": 1})
    arguments = changed_arguments(given)
    assert arguments == {"learning_rate": 2e-5, "names": ["a"], "epochs": 1, "unknown": {"rate": 1}}
    settings = {"teacher": secret, "config": Path(secret), "scale": 20.0}
    data = describe_dataset(secret, 1, [], loss="L", loss_arguments=settings)
    assert data.name == "customers.json" and data.loss_arguments == {"scale": 20.0}
    # Records that were filled by hand are checked when they are rendered.
    by_hand = DatasetRecord(secret, 1, loss="L", loss_arguments={"teacher": secret})
    card = render(BI, record(base_model=secret, datasets=[data, by_hand], arguments={"deepspeed": secret}))
    assert str(tmp_path) not in card and "### customers.json" in card


def test_a_card_without_a_name_is_that_of_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    write_card(Path("."), ModelFacts("", dimension=3))
    assert "SentenceTransformer('mine')" in Path("README.md").read_text()
