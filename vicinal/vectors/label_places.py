"""Places for labels on a map: each near its point, none over another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

Box = tuple[float, float, float, float]

_TURNS = 24
_RINGS = 14


class Place(NamedTuple):
    """Where a label stands.

    Attributes:
        x: its middle.
        y: its middle.
        choice: which of its sizes has room there.
    """

    x: float
    y: float
    choice: int


def place_labels(
    anchors: Sequence[tuple[float, float]],
    sizes: Sequence[Sequence[tuple[float, float]]],
    frame: Box,
) -> list[Place | None]:
    """A place for each label, the first ones first.

    A label stands on its point if there is room, or else as near to it as there is, on rings around it. If none of
    these is free, its next size is tried.

    Args:
        anchors: the points, in pixels.
        sizes: for each, widths and heights of the label: first the one that is wished for, then smaller ones.
        frame: left, bottom, right, top of the map; labels stay inside.

    Returns:
        A place for each, None where there is no room for any of its sizes.
    """
    taken: list[Box] = []
    found: list[Place | None] = []
    for anchor, wished in zip(anchors, sizes, strict=True):
        place = None
        for choice, (width, height) in enumerate(wished):
            for x, y in _around(anchor, width, height):
                # Beyond the edge, a label is pushed back; if it then covers another, the next place is tried.
                x = min(max(x, frame[0] + width / 2), max(frame[2] - width / 2, frame[0] + width / 2))
                y = min(max(y, frame[1] + height / 2), max(frame[3] - height / 2, frame[1] + height / 2))
                box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
                if not any(_overlap(box, other) for other in taken):
                    taken.append(box)
                    place = Place(x, y, choice)
                    break
            if place is not None:
                break
        found.append(place)
    return found


def _around(anchor: tuple[float, float], width: float, height: float) -> Iterator[tuple[float, float]]:
    """The point itself, then rings around it, wider than high as labels are."""
    yield anchor
    for ring in range(1, _RINGS + 1):
        for turn in range(_TURNS):
            angle = 2 * math.pi * (turn + ring % 2 / 2) / _TURNS
            yield (
                anchor[0] + math.cos(angle) * ring * (width / 4 + height / 3),
                anchor[1] + math.sin(angle) * ring * height * 0.6,
            )


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
