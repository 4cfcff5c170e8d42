"""Tokenizers that would take the process down, or for ever, are refused; what they raise becomes an error.

The tokenizers library is native code that runs rules out of a file. Some of its faults are panics, which no ``except
Exception`` sees; rules that lengthen texts without bound exhaust the memory and end the process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vicinal.errors import InputError, ModelFormatError, VicinalError

# How much longer a text may become by replacements; the ones in use lengthen it by 3 at most.
_GROWTH = 64
_READING = "cannot be read"
# Characters that rules put before each text; in use is 1.
_PREPENDED = 1000
# Ids are numbers of 32 bits.
_HIGHEST_ID = 2**31 - 1
# Rules in a row. Real tokenizers have fewer than ten.
_RULES = 256


# Characters of one text: a book of 5,000 pages. Beyond it, rules of some tokenizers take minutes.
LONGEST_TEXT = 10_000_000


def check_lengths(texts: Sequence[str]) -> None:
    """Refuse texts that no tokenizer is to be given whole.

    Raises:
        InputError: a text of more than :data:`LONGEST_TEXT` characters.
    """
    for text in texts:
        if len(text) > LONGEST_TEXT:
            raise InputError(
                f"a text has {len(text):,} characters (it begins {text[:30]!r}); at most {LONGEST_TEXT:,} are split "
                "into tokens at once: cut it into passages first"
            )


@contextmanager
def guarded(folder: Path | str, purpose: str = _READING) -> Iterator[None]:
    """Turn whatever the library raises within the block into an error that names the folder.

    Raises:
        ModelFormatError: the library raised, or panicked.
    """
    try:
        yield
    except VicinalError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        remedy = "; download the model again" if purpose == _READING else ""
        raise ModelFormatError(f"{folder}: its tokenizer {purpose} ({reason}){remedy}") from error


def check_growth(content: Mapping[str, Any] | None, file: Path) -> None:
    """Refuse a ``tokenizer.json`` whose replacements would lengthen texts many times over, or with absurd ids.

    Raises:
        ModelFormatError: they would.
    """
    if content is None:
        return
    model = content.get("model")
    vocabulary = model.get("vocab") if isinstance(model, Mapping) else None
    if isinstance(vocabulary, Mapping):
        highest = max((number for number in vocabulary.values() if isinstance(number, int)), default=0)
        if highest > _HIGHEST_ID:
            raise ModelFormatError(
                f"{file}: the token id {highest} is larger than any vocabulary; download the model again"
            )
    rules = list(_rules(content.get("normalizer")))
    if len(rules) > _RULES:
        raise ModelFormatError(f"{file}: {len(rules)} normalization rules in a row; at most {_RULES} are run")
    growth, before = 1.0, sum(len(str(rule.get("prepend", ""))) for rule in rules)
    if before > _PREPENDED:
        raise ModelFormatError(
            f"{file}: it puts {before:,} characters before each text; at most {_PREPENDED:,} are accepted"
        )
    for rule in rules:
        growth *= _growth(rule)
        if growth > _GROWTH:
            raise ModelFormatError(
                f"{file}: its replacements make texts up to {growth:.0f} times as long, which could exhaust the "
                f"memory; at most {_GROWTH} times is accepted. Download the model again, or do not use it"
            )


def _rules(part: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(part, Mapping):
        return
    inner = part.get("normalizers")
    if isinstance(inner, list):
        for each in inner:
            yield from _rules(each)
    else:
        yield part


def _growth(rule: Mapping[str, Any]) -> float:
    """How many times as long a rule can make a text, in UTF-8."""
    content, pattern = rule.get("content"), rule.get("pattern")
    if rule.get("type") != "Replace" or not isinstance(content, str) or not isinstance(pattern, Mapping):
        return 1.0
    new = len(content.encode("utf-8", "replace"))
    if isinstance(pattern.get("String"), str):
        return max(1.0, new / max(1, len(pattern["String"].encode("utf-8", "replace"))))
    # A regular expression that matches nothing at all does so between any two characters.
    return max(1.0, new) if not _matches_nothing(str(pattern.get("Regex", ""))) else 1.0 + new


def _matches_nothing(pattern: str) -> bool:
    """Whether a regular expression matches the empty text; True where Python's syntax cannot tell."""
    try:
        return re.match(re.sub(r"\\[pP]\{[^}]*\}", "x", pattern), "") is not None
    except (re.error, RecursionError, OverflowError):
        return True
