"""What is said when a file is damaged: where, and what to do about it."""

from __future__ import annotations

from vicinal.errors import StoreError

RESTORE = "restore a copy, or index the texts anew"


class Damage(StoreError):
    """A part of a file that cannot be true. :func:`~.database.store_errors` adds the file and the remedy.

    Args:
        reason: what is wrong, as in "the segment of chunk 7 is missing".
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "it holds what no index holds")


def damaged(path: str) -> str:
    """That a file is damaged, and the remedies."""
    return (
        f"the file is damaged: `vicinal verify {path}` tells where, `vicinal salvage {path} OUT.jsonl` saves "
        f"what can be read; {RESTORE}"
    )
