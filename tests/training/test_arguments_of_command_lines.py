"""The settings of a run from a command line, a dictionary or a JSON file, by transformers' HfArgumentParser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from vicinal import CrossEncoderTrainingArguments, SentenceTransformerTrainingArguments  # noqa: E402
from vicinal.errors import InputError, InputTypeError  # noqa: E402
from vicinal.training import BatchSamplers, MultiDatasetBatchSamplers  # noqa: E402


def parser(kind: Any = SentenceTransformerTrainingArguments) -> Any:
    return transformers.HfArgumentParser(kind)


def line(text: str, folder: Path) -> list[str]:
    return ["--output_dir", str(folder), "--report_to", "none", *text.split("|")]


def test_a_command_line(tmp_path: Path) -> None:
    text = (
        "--batch_sampler|no_duplicates|--multi_dataset_batch_sampler|round_robin|--per_device_train_batch_size|3"
        '|--prompts|{"anchor": "query: "}|--router_mapping|{"anchor": "query"}|--learning_rate_mapping|{"x.*": 0.1}'
    )
    (found,) = parser().parse_args_into_dataclasses(line(text, tmp_path))
    assert found.batch_sampler is BatchSamplers.NO_DUPLICATES
    assert found.multi_dataset_batch_sampler is MultiDatasetBatchSamplers.ROUND_ROBIN
    assert found.prompts == {"anchor": "query: "}
    assert found.router_mapping == {"anchor": "query"}
    assert found.learning_rate_mapping == {"x.*": 0.1}
    assert found.per_device_train_batch_size == 3
    (found,) = parser().parse_args_into_dataclasses(line("--prompts|query: ", tmp_path))
    assert (found.prompts, found.router_mapping, found.learning_rate_mapping) == ("query: ", {}, {})


def test_a_dictionary_and_a_file(tmp_path: Path) -> None:
    settings = {"output_dir": str(tmp_path), "report_to": "none", "batch_sampler": "group_by_label"}
    (found,) = parser().parse_dict({**settings, "prompts": {"a": "b"}})
    assert (found.batch_sampler, found.prompts) == (BatchSamplers.GROUP_BY_LABEL, {"a": "b"})
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({**settings, "prompts": '{"a": "b"}'}))
    (found,) = parser().parse_json_file(str(file))
    assert found.prompts == {"a": "b"}


def test_help_names_the_choices() -> None:
    text = parser().format_help()
    assert "{batch_sampler,no_duplicates,no_duplicates_hashed,group_by_label}" in text
    assert "--prompts" in text


def test_a_cross_encoders_command_line(tmp_path: Path) -> None:
    text = '--batch_sampler|no_duplicates|--learning_rate_mapping|{"x.*": 0.1}'
    (found,) = parser(CrossEncoderTrainingArguments).parse_args_into_dataclasses(line(text, tmp_path))
    assert found.batch_sampler is BatchSamplers.NO_DUPLICATES
    assert found.learning_rate_mapping == {"x.*": 0.1}
    with pytest.raises(InputError, match="prompts="):
        parser(CrossEncoderTrainingArguments).parse_args_into_dataclasses(line("--prompts|query: ", tmp_path))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"prompts": '{"a": '}, InputError, "begins like JSON"),
        ({"router_mapping": "query"}, InputError, "give a dictionary"),
        ({"learning_rate_mapping": 3}, InputTypeError, "give a dictionary"),
        ({"prompts": '{"a": 1}'}, InputTypeError, "not a text"),
    ],
)
def test_what_is_no_mapping_is_refused(settings: Any, error: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        SentenceTransformerTrainingArguments(str(tmp_path), report_to="none", **settings)
