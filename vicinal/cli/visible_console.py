"""The console of rich, with every text made visible; apart from :mod:`vicinal.cli.console`, as rich is slow to load."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.segment import Segment

from vicinal.core.visible import visible


class VisibleConsole(Console):
    """Styles are sequences of rich's own; texts inside of them contain none."""

    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces of what is printed."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible(text), style, control)

    def on_broken_pipe(self) -> None:
        """Whoever called decides about the exit code; rich would end the process with 1."""
        raise BrokenPipeError
