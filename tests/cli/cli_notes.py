"""A small collection in every kind of file, and how the last line of ``vicinal index`` is read."""

from __future__ import annotations

import json
import re
from pathlib import Path

from cli_shell import Done

SUMMARY = re.compile(
    r"([\d,]+) added, ([\d,]+) replaced, ([\d,]+) unchanged; .+, [\d,.]+ texts/s; .+ has [\d.]+ kB\n$"
)
KETTLE = {"id": "k1", "text": "The kettle boils on the stove.", "year": 1954, "tags": ["kitchen", "heat"]}
SNOW = {"id": "k2", "text": "Snow fell all night on the mountain.", "year": 2001, "lang": "en"}


def lines(*rows: object) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def numbers(done: Done) -> list[int]:
    """Added, replaced, unchanged, as the last line says."""
    assert done.code == 0, done.err
    found = SUMMARY.search(done.err)
    assert found, done.err
    return [int(number.replace(",", "")) for number in found.groups()]


def fill_folder(folder: Path) -> None:
    """Every kind of file, one of them below and one hidden."""
    (folder / "below").mkdir(parents=True)
    (folder / "a.jsonl").write_text(lines(KETTLE, SNOW))
    (folder / "b.csv").write_text('id,body,price\nc1,"A red bicycle, with a bell",12.5\nc2,An old chair,7\n')
    (folder / "c.tsv").write_text("id\tcontent\nt1\tRain in the harbour\n")
    (folder / "below" / "d.txt").write_text("A letter.\nThe ships leave at dawn.\n")
    (folder / "e.md").write_text("# Baking bread\n\nMix flour, water and yeast.\n")
    (folder / "f.html").write_text(
        "<title>Tea &amp; coffee</title><script>no</script><p>Hot water first.</p>"
    )
    (folder / ".hidden.txt").write_text("nobody sees this")
    (folder / "g.png").write_bytes(b"\x89PNG")
