"""The map of clusters as a page to point at: one file that needs no network."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from vicinal.core.arrays import Embeddings, as_floats, check_finite
from vicinal.core.visible import visible
from vicinal.errors import InputError
from vicinal.vectors.clustering import cluster_numbers
from vicinal.vectors.maps import COLOURS, GREY, SHAPES, colours_of, middles, shapes_of

_TEMPLATE = Path(__file__).with_name("map_page.html")
# The page's own units; its script knows them.
_UNITS = 10_000
_LONGEST = 400
_WORDS_OF_A_LABEL = 2


def save_page(
    path: str | PathLike[str],
    points: Embeddings,
    labels: Embeddings,
    texts: Sequence[str],
    words: dict[int, list[str]],
    title: str,
    caption: str = "",
    lines: Sequence[int] | None = None,
) -> None:
    """Write the map as one HTML file, which shows each text where its point is.

    It works with the mouse, by touch and from the keyboard, and loads nothing from elsewhere.

    Args:
        path: where to.
        points: (n, 2), of :func:`vicinal.vectors.maps.project`.
        labels: (n,) cluster numbers; -1 is grey.
        texts: (n,) strings; of a long one the first 400 characters are shown.
        words: the keywords of each cluster.
        title: written above.
        caption: written below the title, smaller.
        lines: (n,) the texts' lines in their file; default 1, 2, ...

    Raises:
        InputError: not as many labels, texts or lines as points, or a point that is not finite.
    """
    places = as_floats(points, "points")
    check_finite(places, "points")
    numbers = cluster_numbers(labels, len(places))
    at = range(1, len(places) + 1) if lines is None else lines
    for name, values in (("texts", texts), ("lines", at)):
        if len(values) != len(places):
            raise InputError(
                f"{name} has {len(values)} entries: give one for each of the {len(places)} points"
            )
    # The longer side fills the units; a page's second axis points down.
    low, high = (places.min(axis=0), places.max(axis=0)) if len(places) else (np.zeros(2), np.ones(2))
    unit = _UNITS / max(float((high - low).max()), 1e-12)
    scaled = np.rint((places - (low + high) / 2) * unit * (1, -1) + _UNITS / 2).astype(int)
    centres = middles(scaled.astype(np.float64), numbers)
    colours = colours_of(centres)
    shapes = shapes_of(colours)
    data = {
        "x": scaled[:, 0].tolist(),
        "y": scaled[:, 1].tolist(),
        "labels": numbers.tolist(),
        "lines": [int(line) for line in at],
        "texts": [_shortened(text) for text in texts],
        "grey": GREY,
        "clusters": [
            {
                "number": number,
                "color": COLOURS[colours[number]],
                "shape": SHAPES[shapes[number]],
                "words": visible(", ".join(words.get(number, []))),
                "label": visible(", ".join(words.get(number, [])[:_WORDS_OF_A_LABEL])) or str(number),
                "x": x,
                "y": y,
            }
            for number, (x, y) in centres.items()
        ],
    }
    document = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for letter in "<>&":  # no text can end the script that holds it
        document = document.replace(letter, f"\\u{ord(letter):04x}")
    page = _TEMPLATE.read_text(encoding="utf-8")
    before, after = page.split("@DATA@")
    for name, text in (("@TITLE@", title), ("@CAPTION@", caption)):
        before = before.replace(name, html.escape(visible(text)))
    Path(path).write_text(before + document + after, encoding="utf-8", newline="\n")


def _shortened(text: str) -> str:
    text = visible(" ".join(text.split()))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
