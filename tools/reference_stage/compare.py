"""Compare what an example printed and saved in two runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

_NUMBER = re.compile(r"[-+]?(?:\d+\.\d*(?:e[-+]?\d+)?|\d+e[-+]?\d+)|\bnan\b")
_TIMED = re.compile(
    r"second|\bsec\b|took|time|it/s|/s\]|examples/s|\bms\b|\d+ ?s\b|site-packages|Trial \d+ finished"
)
_RUN = re.compile(r"'\w*(?:runtime|per_second|epoch|flos)': '?[\d.e+-]+'?,? ?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d[ _T]\d\d[:-]\d\d[:-]\d\d(?:,\d+)?")


def numbers(log: Path) -> dict[str, list[list[float]]]:
    """Lines with numbers, by their text without these; lines that tell times are left out."""
    found: dict[str, list[list[float]]] = {}
    for line in re.split(r"[\r\n]", log.read_text(errors="replace")):
        line = _DATE.sub("", _RUN.sub("", line))
        values = _NUMBER.findall(line)
        if values and not _TIMED.search(line):
            found.setdefault(" ".join(_NUMBER.sub("#", line).split()), []).append([float(v) for v in values])
    return found


def compare(reference: Path, other: Path) -> tuple[int, float, str, str]:
    """Compare two folders of :mod:`run_examples`.

    Returns:
        How many numbers both printed; the largest difference, relative to numbers above one; the line that has it;
        how the weights saved at the end differ.
    """
    theirs, ours = numbers(reference / "log"), numbers(other / "log")
    count, worst, where = 0, 0.0, ""
    for text in theirs.keys() & ours.keys():
        for first, second in zip(theirs[text], ours[text], strict=False):
            for a, b in zip(first, second, strict=True):
                count += 1
                difference = abs(a - b) / max(1.0, abs(a)) if a == a or b == b else 0.0
                if not difference <= worst:
                    worst, where = difference, f"{text[:70]}: {a:g}, {b:g}"
    return count, worst, where, _weights(reference, other)


def _saved(folder: Path) -> dict[str, Path]:
    files = (path for path in folder.rglob("*.safetensors") if "final" in path.parts)
    return {_DATE.sub("", str(path.relative_to(folder))): path for path in files}


def _weights(reference: Path, other: Path) -> str:
    theirs, ours = _saved(reference), _saved(other)
    if not theirs and not ours:
        return ""
    if theirs.keys() != ours.keys():
        return f"files: {sorted(theirs.keys() ^ ours.keys())[:2]}"
    worst = 0.0
    for name, path in theirs.items():
        a, b = _load(path), _load(ours[name])
        unshared = [key for key in a.keys() ^ b.keys() if "pooler" not in key]  # nothing reads its output
        if unshared:
            return f"tensors: {sorted(unshared)[:2]}"
        for key in a.keys() & b.keys():
            if a[key].shape != b[key].shape:
                return f"shape of {key}"
            worst = max(worst, float(np.abs(a[key] - b[key]).max(initial=0.0)))
    return f"{worst:.1e}"


def _load(path: Path) -> dict[str, Any]:
    import torch
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key).to(torch.float64).numpy() for key in file.keys()}  # noqa: SIM118
