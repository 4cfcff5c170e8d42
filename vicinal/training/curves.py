"""The curves of a training run: a CSV of all metrics, and a picture of them."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vicinal.errors import missing_extra

LOG_FILE = "training_log.csv"
PICTURE_FILE = "training_curves.png"


def write_log(folder: Path, history: Sequence[Mapping[str, Any]]) -> Path:
    """Write ``training_log.csv``: one row per logged step, one column per metric.

    Args:
        folder: where to; made if absent.
        history: what the trainer logged: dictionaries with ``step``, ``epoch`` and metrics.
    """
    merged: dict[int, dict[str, Any]] = {}
    for entry in history:
        merged.setdefault(int(entry.get("step", 0)), {}).update(entry)
    names = ["step", "epoch"]
    names += sorted({name for row in merged.values() for name in row if _is_figure(name, row[name])})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOG_FILE
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(names)
        for step in sorted(merged):
            writer.writerow([merged[step].get(name, "") for name in names])
    return path


def _is_figure(name: str, value: Any) -> bool:
    return name not in ("step", "epoch") and isinstance(value, (int, float))


def draw(
    folder: Path, history: Sequence[Mapping[str, Any]], score: str | None = None, kept: int | None = None
) -> Path:
    """Draw ``training_curves.png``: the loss over the steps, and the evaluator's score.

    Args:
        folder: where to.
        history: as for :func:`write_log`.
        score: which metric the score is, e.g. ``"eval_dev_spearman_cosine"``.
        kept: the step of the model that was saved, which is marked; 0 is the untrained one.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise missing_extra("matplotlib", "a picture of the curves", "cluster")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    series = [("loss", "training loss"), ("eval_loss", "loss on the evaluation data")]
    lines = [(label, _points(history, name)) for name, label in series]
    lines = [(label, points) for label, points in lines if points]
    scores = _points(history, score) if score else []
    count = bool(lines) + bool(scores)
    figure = Figure(figsize=(7, 3.2 * max(count, 1)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(max(count, 1), 1, squeeze=False)[:, 0])
    if lines:
        axis = axes.pop(0)
        for label, points in lines:
            axis.plot(*zip(*points, strict=True), marker="o" if len(points) < 30 else None, ms=3, label=label)
        axis.set(xlabel="step", ylabel="loss", title="Loss")
        axis.grid(alpha=0.3)
        axis.legend()
    if scores:
        axis = axes.pop(0)
        axis.plot(*zip(*scores, strict=True), marker="o", ms=4, color="tab:green")
        chosen = [point for point in scores if point[0] == kept]
        for point in dict.fromkeys([scores[0], *chosen, scores[-1]]):
            axis.annotate(f"{point[1]:.4f}", point, textcoords="offset points", xytext=(4, 6))
        title = "Score on the evaluation data"
        if chosen:
            axis.plot(*chosen[0], marker="*", ms=16, color="tab:orange", markeredgecolor="black")
            title += "; kept: " + (
                f"step {kept} (star)" if kept else "the start (star), as nothing was better"
            )
        axis.margins(y=0.25, x=0.08)
        axis.set(xlabel="step", ylabel=str(score).removeprefix("eval_"), title=title)
        axis.grid(alpha=0.3)
    for axis in figure.axes:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    path = folder / PICTURE_FILE
    figure.savefig(path, dpi=120)
    return path


def _points(history: Sequence[Mapping[str, Any]], name: str) -> list[tuple[int, float]]:
    found = {int(entry["step"]): float(entry[name]) for entry in history if name in entry and "step" in entry}
    return sorted(found.items())
