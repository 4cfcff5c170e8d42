"""The tokens of a text and where they stand in it, and texts of token ids."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from vicinal.server.catalog import Served
from vicinal.server.errors import Refused
from vicinal.server.records import Token


def backend_of(served: Served) -> Any:
    """The ``tokenizers.Tokenizer`` of a model.

    Raises:
        Refused: it has none.
    """
    backend = getattr(served.model._texts, "_backend", None)
    if not hasattr(backend, "encode_batch"):
        raise Refused("tokenizer", f"{served.entry.id} has no tokenizer that tells where its tokens stand")
    return backend


def tokens_of(backend: Any, texts: list[str], add_special_tokens: bool) -> list[list[Token]]:
    """The tokens of each text, uncut."""
    found = backend.encode_batch(texts, add_special_tokens=add_special_tokens)
    return [_tokens(text, each) for text, each in zip(texts, found, strict=True)]


def check_ids(ids: Sequence[Sequence[int]], backend: Any, served: Served) -> None:
    """Refuse ids that are none of a model's.

    Raises:
        Refused: one is not.
    """
    size = backend.get_vocab_size()
    for row in ids:
        wrong = next((each for each in row if not 0 <= each < size), None)
        if wrong is not None:
            raise Refused(
                "tokenizer", f"{wrong} is no token id of {served.entry.id}: it has {size} tokens", param="ids"
            )


def _tokens(text: str, encoding: Any) -> list[Token]:
    at = _bytes_before(text)
    rows = zip(encoding.ids, encoding.tokens, encoding.special_tokens_mask, encoding.offsets, strict=True)
    return [
        Token(id, token, True, None, None)
        if special
        else Token(id, text[start:stop] or token, False, at[start], at[stop])
        for id, token, special, (start, stop) in rows
    ]


def _bytes_before(text: str) -> Sequence[int]:
    """How many bytes of UTF-8 stand before each character, and before the end."""
    if text.isascii():
        return range(len(text) + 1)
    return [0, *accumulate(len(character.encode()) for character in text)]
