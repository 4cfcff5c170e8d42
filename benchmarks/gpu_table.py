"""Rows of ``benchmarks/gpu.py``: what was measured, beside what, and whether it is good enough."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Row:
    """One figure.

    Attributes:
        what: was measured.
        value: of Vicinal; None where it was not measured.
        unit: of value and peer.
        peer: the same of sentence-transformers.
        limit: ``value`` may be this at most.
        limit_low: ``value`` has to be this at least.
        at_least: ``value / peer`` has to be this at least.
        note: settings and what else there is to say.
    """

    what: str
    value: float | None
    unit: str
    peer: float | None = None
    limit: float | None = None
    limit_low: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Vicinal to peer."""
        return self.value / self.peer if self.value is not None and self.peer else None

    @property
    def verdict(self) -> str:
        """``"ok"``, ``"NOT"`` or nothing where nothing is asked."""
        asked = [
            (self.value, self.limit, -1),
            (self.value, self.limit_low, 1),
            (self.ratio, self.at_least, 1),
        ]
        known = [
            sign * value >= sign * limit
            for value, limit, sign in asked
            if limit is not None and value is not None
        ]
        return "" if not known else "ok" if all(known) else "NOT"


@dataclass
class Part:
    """Figures that belong together; ``note`` says why there are none, or not all."""

    name: str
    rows: list[Row] = field(default_factory=list)
    seconds: float = 0.0
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        rows = [{**asdict(row), "ratio": row.ratio, "verdict": row.verdict} for row in self.rows]
        return {"part": self.name, "seconds": self.seconds, "note": self.note, "rows": rows}


def printed(parts: list[Part]) -> str:
    """The table."""
    lines = [("", "Vicinal", "peer", "ratio", "", "")]
    for part in parts:
        lines.append((f"{part.name} ({part.seconds:.0f} s) {part.note}", "", "", "", "", ""))
        for row in part.rows:
            ratio = "" if row.ratio is None else f"{row.ratio:.2f}x"
            value, other = (_number(each, row.unit) for each in (row.value, row.peer))
            lines.append((f"  {row.what}", value, other, ratio, row.verdict, row.note))
    widths = [max(len(line[column]) for line in lines if line[1] or column) for column in range(5)]
    return "\n".join(
        " | ".join(
            [line[0].ljust(widths[0]), *(line[c].rjust(widths[c]) for c in range(1, 5)), line[5]]
        ).rstrip(" |")
        for line in lines
    )


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}".strip()
