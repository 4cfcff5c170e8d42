"""Prompts of the trainer stand before the same texts as in sentence-transformers 6.2.0, in every form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tinybert import write_tiny

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from datasets import Dataset, DatasetDict  # noqa: E402

from vicinal import SentenceTransformer, losses  # noqa: E402
from vicinal import SentenceTransformerTrainer as Trainer  # noqa: E402
from vicinal import SentenceTransformerTrainingArguments as Arguments  # noqa: E402

pytestmark = pytest.mark.torch

ONE = {"anchor": ["the cat", "a dog"], "positive": ["red bird", "one fish"]}
TWO = {"q": ["two", "three"], "a": ["big", "small"]}
BOTH = {"one": ONE, "two": TWO}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return SentenceTransformer(str(write_tiny(tmp_path_factory.mktemp("tiny"))), device="cpu")


# prompts, data, the prompt of each column (the texts were compared with those that the peer tokenises)
CASES: list[tuple[Any, Any, dict[str, str]]] = [
    ("red ", ONE, {"anchor": "red ", "positive": "red "}),
    ({"anchor": "blue "}, ONE, {"anchor": "blue "}),
    (
        {"one": "red ", "two": "blue "},
        BOTH,
        {"anchor": "red ", "positive": "red ", "q": "blue ", "a": "blue "},
    ),
    ({"one": {"anchor": "green "}, "two": {"a": "fast "}}, BOTH, {"anchor": "green ", "a": "fast "}),
    ({"anchor": "red ", "a": "slow "}, BOTH, {"anchor": "red ", "a": "slow "}),
    ({"one": "red "}, BOTH, {"anchor": "red ", "positive": "red "}),
]


@pytest.mark.parametrize(("prompts", "data", "before"), CASES)
def test_texts_are_those_of_the_peer(
    model: Any, tmp_path: Path, prompts: Any, data: Any, before: dict[str, str]
) -> None:
    sets = {name: Dataset.from_dict(rows) for name, rows in data.items()} if data is BOTH else {}
    rows = DatasetDict(sets) if sets else Dataset.from_dict(data)
    arguments = Arguments(
        str(tmp_path), max_steps=2, per_device_train_batch_size=2, prompts=prompts, report_to=[], use_cpu=True
    )
    trainer = Trainer(model, arguments, rows, loss=losses.MultipleNegativesRankingLoss(model))
    found: dict[str, set[str]] = {}
    for batch in trainer.get_train_dataloader():
        for key in (key for key in batch if key.endswith("_input_ids")):
            texts = model.tokenizer.decode_batch(batch[key].tolist())
            found.setdefault(key.removesuffix("_input_ids"), set()).update(map(str.strip, texts))
    columns = TWO | ONE if data is BOTH else ONE
    assert found == {name: {before.get(name, "") + text for text in texts} for name, texts in columns.items()}
