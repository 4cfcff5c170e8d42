"""LoggingHandler writes records, also while a progress bar runs."""

from __future__ import annotations

import logging

import pytest
from tqdm import tqdm

from vicinal.logging_handler import LoggingHandler


def record(message: str, *values: object) -> logging.LogRecord:
    """A record at level INFO."""
    return logging.LogRecord("name", logging.INFO, "file.py", 1, message, values, None)


def test_records_are_formatted_and_end_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    handler = LoggingHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s - %(message)s"))
    handler.handle(record("%d texts", 3))
    assert capsys.readouterr().out == "INFO - 3 texts\n"


def test_the_level_is_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.Logger("own")
    logger.addHandler(LoggingHandler(logging.WARNING))
    logger.info("quiet")
    logger.warning("loud")
    assert capsys.readouterr().out == "loud\n"


def test_beside_a_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in tqdm(range(2)):
        LoggingHandler().handle(record("one step"))
    captured = capsys.readouterr()
    assert captured.out == "one step\none step\n"
    assert "one step" not in captured.err


def test_a_record_that_cannot_be_formatted_does_not_stop_the_program(
    capsys: pytest.CaptureFixture[str],
) -> None:
    LoggingHandler().handle(record("%d texts", "three"))
    assert "Logging error" in capsys.readouterr().err
