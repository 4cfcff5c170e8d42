"""What requests may bring."""

from __future__ import annotations

from typing import Any

from vicinal.server.errors import Refused
from vicinal.server.settings import Settings


def check_texts(value: Any, settings: Settings, name: str = "input") -> list[str]:
    """One text or a list of them, as a list.

    Args:
        value: what the request brought.
        settings: the limits.
        name: what the request calls it, for the message.

    Raises:
        Refused: something else, none, too many, one that is too long, or half of a surrogate pair.
    """
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list):
        raise Refused("validation", f"{name} must be a text or a list of texts", param=name)
    if not texts:
        raise Refused("empty", f"{name} is empty: give one text at least", param=name)
    if len(texts) > settings.max_texts:
        raise Refused(
            "validation",
            f"{name} has {len(texts)} texts, at most {settings.max_texts} are taken at once",
            param=name,
        )
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise Refused("validation", f"{name}[{place}] is not a text", param=name)
        check_text(text, settings, f"{name}[{place}]", name)
    return texts


def check_text(text: str, settings: Settings, what: str, param: str | None = None) -> str:
    """One text.

    Raises:
        Refused: it is too long, or holds half of a surrogate pair.
    """
    if len(text) > settings.max_text_chars:
        raise Refused(
            "validation",
            f"{what} has {len(text)} characters, at most {settings.max_text_chars} are taken",
            param=param or what,
        )
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Refused(
                "validation",
                f"{what} holds half of a surrogate pair: it is not Unicode text",
                param=param or what,
            ) from None
    return text
