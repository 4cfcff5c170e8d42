"""Progress bars: there for a person who waits, absent for everyone else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Seconds of work before a bar appears unasked.
_PATIENCE = 2.0


@contextmanager
def progress_bar(
    total: int | None, show: bool | None, description: str, unit: str = "texts"
) -> Iterator[Callable[[int], None] | None]:
    """A function that reports finished items, or None where nobody is to see it.

    Args:
        total: number of items, None if not known.
        show: True or False decide; None shows a bar after two seconds of work in a terminal.
        description: what stands before the bar.
        unit: what the items are.
    """
    if show is False or (show is None and not (sys.stderr is not None and sys.stderr.isatty())):
        yield None
        return
    from tqdm import tqdm

    with tqdm(
        total=total,
        desc=description,
        unit=f" {unit}",
        unit_scale=total is not None and total >= 100_000,
        delay=0.0 if show else _PATIENCE,
        dynamic_ncols=True,
    ) as bar:
        yield bar.update
