"""Maps of the indexes, drawn in a thread beside the requests and kept until their index changes."""

from __future__ import annotations

import gzip
import json
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.errors import StoreError, VicinalError
from vicinal.index import Index
from vicinal.index.survey import Survey, revision, survey
from vicinal.server.indexes import unreadable
from vicinal.vectors.keywords import keywords
from vicinal.vectors.layout import neighbour_map
from vicinal.vectors.maps import colours_of, middles
from vicinal.vectors.regions import regions

_log = logging.getLogger("vicinal.server")

#: Documents on a map; of more, so many are drawn at random.
MOST_POINTS = 50_000
#: The width of a map in its own units.
UNITS = 10_000

# Characters of a text that the page shows, and that words are counted in.
_SHOWN, _COUNTED = 160, 1000
_WORDS = 4
# Steps of the layout, fewer for many points.
_STEPS, _FEWER_STEPS, _MANY = 400, 250, 20_000
# Of the work, where reading ends and where naming groups begins.
_READ, _NAMED = 0.1, 0.95


@dataclass(frozen=True)
class Status:
    """How far a map is.

    Attributes:
        state: ``"working"``, ``"ready"`` or ``"failed"``.
        done: the share of the work that is done.
        message: what is being done, or why it failed.
        current: whether the map is of the index as it is now.
    """

    state: str
    done: float = 0.0
    message: str = ""
    current: bool = True


class _Stopped(Exception):
    """The server ends."""


class _Work:
    """One map, being drawn or drawn."""

    def __init__(self, revision: str) -> None:
        self.revision = revision
        self.done = 0.0
        self.message = "Waiting"
        self.failure = ""
        self.data: bytes | None = None


class Maps:
    """The maps of a server's indexes.

    Args:
        ended: whether the server ends; then work stops.
        most: points of a map at most.
    """

    def __init__(self, ended: Callable[[], bool], most: int = MOST_POINTS) -> None:
        self._ended = ended
        self._most = most
        self._works: dict[str, _Work] = {}
        self._lock = threading.Lock()
        self._one = threading.Lock()  # maps are drawn one after the other

    def status(self, name: str, index: Index, fresh: bool = False) -> Status:
        """How far the map of an index is; begins to draw it if there is none.

        Args:
            name: the index's name.
            index: the open index.
            fresh: whether a map of an earlier state is drawn again.

        Raises:
            StoreError: the index cannot be read.
        """
        now = revision(index)
        with self._lock:
            work = self._works.get(name)
            stale = work is not None and work.revision != now
            failed = work is not None and bool(work.failure)
            if work is None or failed or (stale and fresh and work.data is not None):
                if work is not None and failed and not fresh and not stale:
                    return Status("failed", message=work.failure)
                work = self._works[name] = _Work(now)
                stale = False
                threading.Thread(
                    target=self._draw, args=(work, name, index), name="vicinal-map", daemon=True
                ).start()
        if work.data is not None:
            return Status("ready", 1.0, current=not stale)
        return Status("working", work.done, work.message)

    def data(self, name: str) -> bytes | None:
        """The finished map as JSON, compressed with gzip; None where there is none."""
        with self._lock:
            work = self._works.get(name)
            return None if work is None else work.data

    def _draw(self, work: _Work, name: str, index: Index) -> None:
        def tell(done: float, message: str) -> None:
            if self._ended():
                raise _Stopped
            work.done, work.message = done, message

        try:
            with self._one:
                tell(0.0, "Reading the documents")
                found = survey(index, self._most, characters=_COUNTED)
                content = drawn(found, tell)
                work.revision = found.revision
                work.data = gzip.compress(json.dumps(content, separators=(",", ":")).encode(), 6)
        except _Stopped:
            work.failure = "The server ends."
        except StoreError as error:
            _log.warning("the map of an index could not be drawn: %s", error)
            work.failure = unreadable(error, index, name).message
        except VicinalError as error:
            work.failure = str(error)
        except Exception as error:
            _log.exception("the map of an index could not be drawn", exc_info=error)
            work.failure = "The map could not be drawn; the server's log tells why."


def drawn(found: Survey, tell: Callable[[float, str], None]) -> dict[str, Any]:
    """A map as the page takes it.

    Args:
        found: the documents, their texts perhaps cut.
        tell: is told how far the work is, and what is done.

    Returns:
        ``total`` documents; ``ids``, ``texts`` (their beginnings), places ``x`` and ``y`` (downwards, 0 to 10,000), and
        the groups ``fine`` and ``coarse`` of each point; ``regions``: for both kinds a list of groups with their
        ``words``, ``size``, place and ``colour``.
    """
    tell(_READ, "Looking for neighbours")
    steps = _STEPS if len(found.documents) <= _MANY else _FEWER_STEPS

    def placing(done: float) -> None:
        tell(
            _READ + (_NAMED - _READ) * done,
            "Looking for neighbours" if done < 0.4 else "Placing the documents",
        )

    points = neighbour_map(found.vectors, iterations=steps, progress=placing)
    tell(_NAMED, "Naming the groups")
    groups = regions(points)
    places = _scaled(points)
    texts = [document.text for document in found.documents]
    return {
        "total": found.total,
        "ids": [document.id for document in found.documents],
        "texts": [_beginning(text) for text in texts],
        "x": places[:, 0].tolist(),
        "y": places[:, 1].tolist(),
        "fine": groups.fine.tolist(),
        "coarse": groups.coarse.tolist(),
        "regions": {
            "fine": _described(texts, places, groups.fine),
            "coarse": _described(texts, places, groups.coarse),
        },
    }


def _scaled(points: NDArray[np.float32]) -> NDArray[np.int64]:
    """Whole numbers; the longer side fills the units, and the second axis points down."""
    if not len(points):
        return np.zeros((0, 2), np.int64)
    low, high = points.min(axis=0), points.max(axis=0)
    unit = UNITS / max(float((high - low).max()), 1e-12)
    placed: NDArray[np.int64] = np.rint((points - (low + high) / 2) * unit * (1, -1) + UNITS / 2).astype(
        np.int64
    )
    return placed


def _described(
    texts: Sequence[str], places: NDArray[np.int64], numbers: NDArray[np.int64]
) -> list[dict[str, Any]]:
    centres = middles(places.astype(np.float64), numbers)
    colours = colours_of(centres)
    words = keywords(texts, numbers, _WORDS)
    sizes = np.bincount(numbers[numbers >= 0], minlength=len(centres))
    return [
        {
            "words": [word for word, _ in words[number]],
            "size": int(sizes[number]),
            "x": int(x),
            "y": int(y),
            "colour": colours[number],
        }
        for number, (x, y) in sorted(centres.items())
    ]


def _beginning(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
