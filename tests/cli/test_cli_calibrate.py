"""calibrate: thresholds of an index."""

from __future__ import annotations

import json

from cli_notes import lines, numbers
from cli_shell import Shell

from vicinal.evaluation.calibration import Calibration

TOPICS = ["kettles", "orchids", "bicycles", "violins", "volcanoes", "lighthouses", "glaciers", "ferries"]
PLACES = ["Norway", "Peru", "Japan", "Kenya"]


def test_thresholds(vicinal: Shell, put) -> None:
    texts = [
        f"# Old {topic} in {place}\n\n"
        + " ".join(f"Point {n} of {place} says how {topic} last for {n} years." for n in range(9))
        for topic in TOPICS
        for place in PLACES
    ]
    put("t.jsonl", lines(*({"id": str(i), "text": text} for i, text in enumerate(texts))))
    assert numbers(vicinal.quick("index", "c.db", "t.jsonl", "-m", "vicinal-mini")) == [32, 0, 0]
    done = vicinal.quick("calibrate", "c.db", "--out", "c.json")
    assert done.code == 0, done.err
    rows = [(float(lost), float(score)) for lost, score in done.rows]
    found = Calibration.load(vicinal.folder / "c.json")
    assert rows == [(lost, round(found.threshold(lost), 6)) for lost in (0.05, 0.1, 0.2)]
    assert f"{len(found.scores)} queries made of 32 documents" in done.err
    told = json.loads(vicinal.quick("calibrate", "c.db", "--json").out)
    assert told["queries"] == len(found.scores)
    assert [(row["lost"], row["score"]) for row in told["thresholds"]] == rows
    lowest = str(rows[0][1])
    there = vicinal.quick("search", "c.db", "old violins in Peru", "-k", "1", "--min-score", lowest)
    gone = vicinal.quick("search", "c.db", "quarterly tax return form", "-k", "1", "--min-score", lowest)
    assert len(there.rows) == 1 and len(gone.rows) == 0


def test_what_cannot_be_calibrated(vicinal: Shell, notes: str) -> None:
    done = vicinal.quick("calibrate", notes)
    assert done.code == 1 and done.err.startswith("error: notes.db: ") and "give" in done.err
