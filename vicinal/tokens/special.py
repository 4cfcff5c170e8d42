"""The special tokens that a tokenizer puts around one text, or around and between two."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from vicinal.errors import ModelFormatError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class Template:
    """The special tokens around one text, or around and between two, with their type ids."""

    parts: tuple[tuple[int, ...], ...]
    type_ids: tuple[tuple[int, ...], ...]
    content_types: tuple[int, ...]

    @property
    def count(self) -> int:
        """Special tokens in all."""
        return sum(len(part) for part in self.parts)

    @property
    def piece_types(self) -> list[int]:
        """The type of each piece in order: special, text, special, text, special."""
        types = [kinds[0] if kinds else 0 for kinds in self.type_ids]
        pieces = [types[0]]
        for content, kind in zip(self.content_types, types[1:], strict=True):
            pieces += [content, kind]
        return pieces

    @classmethod
    def of(cls, backend: Tokenizer, *texts: str) -> Template:
        """Learn from an example which special tokens stand where.

        Args:
            backend: the tokenizer.
            texts: one text, or two for a pair, each made of at least one token.
        """
        encoding = backend.encode(texts[0], texts[1] if len(texts) > 1 else None)
        parts: list[list[int]] = [[] for _ in range(len(texts) + 1)]
        types: list[list[int]] = [[] for _ in range(len(texts) + 1)]
        contents = [0] * len(texts)
        part = 0
        for token, kind, special, sequence in zip(
            encoding.ids, encoding.type_ids, encoding.special_tokens_mask, encoding.sequence_ids, strict=True
        ):
            if special or sequence is None:
                parts[part].append(token)
                types[part].append(kind)
            else:
                part = sequence + 1
                contents[sequence] = kind
        return cls(tuple(map(tuple, parts)), tuple(map(tuple, types)), tuple(contents))

    def without_types(self) -> Template:
        """The same, every token of type 0."""
        types = tuple(tuple(0 for _ in part) for part in self.parts)
        return Template(self.parts, types, (0,) * len(self.content_types))

    @classmethod
    def bare(cls, texts: int) -> Template:
        """No special tokens."""
        return cls(((),) * (texts + 1), ((),) * (texts + 1), (0,) * texts)


def example_text(backend: Tokenizer) -> str:
    """A text that is made of at least one token.

    Raises:
        ModelFormatError: there is none.
    """
    vocabulary = range(min(backend.get_vocab_size(), 1000))
    for text in chain(("a",), map(backend.id_to_token, vocabulary)):
        with suppress(Exception):  # a tokenizer without an unknown token raises one
            if text and backend.encode(text, add_special_tokens=False).ids:
                return text
    raise ModelFormatError("the folder's tokenizer makes no token of any text")
