"""Token ids in place of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vicinal.server.errors import Refused

if TYPE_CHECKING:
    from vicinal.server.service import Service


async def texts_of(service: Service, rows: list[list[int]], model: str) -> list[str]:
    """Texts that have just these token ids.

    Args:
        service: what knows the tokens.
        rows: token ids of the model, as ``/tokenize`` gives them, with or without special ones at the ends.
        model: whose they are.

    Raises:
        Refused: ids are not the model's, or no text has them.
    """
    for place, row in enumerate(rows):
        if not row:
            raise Refused("empty", f"inputs[{place}] holds no token ids", param="inputs")
    ends = [[token.id for token in each] for each in await service.tokenize(["", "a"], model=model)]
    front = next((i for i, pair in enumerate(zip(*ends, strict=False)) if pair[0] != pair[1]), len(ends[0]))
    before, after = ends[0][:front], ends[0][front:]
    inner = [_without(row, before, after) for row in rows]
    # Unknown tokens stay, as "[UNK]" or the like, which is read as the same token again.
    texts = await service.decode(inner, model=model, skip_special_tokens=False)
    read = await service.tokenize(texts, model=model, add_special_tokens=False)
    for place, (row, tokens) in enumerate(zip(inner, read, strict=True)):
        if row != [token.id for token in tokens]:
            message = (
                f"inputs[{place}]: no text has these token ids here (are they another model's?); send texts"
            )
            raise Refused("tokenizer", message, param="inputs")
    return texts


def _without(row: list[int], before: list[int], after: list[int]) -> list[int]:
    """Ids without the special ones at both ends, if they have them."""
    size = len(before) + len(after)
    if len(row) >= size and row[: len(before)] == before and row[len(row) - len(after) :] == after:
        return row[len(before) : len(row) - len(after)]
    return row
