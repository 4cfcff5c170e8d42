"""``vicinal mine`` and ``vicinal cluster``: what belongs together in a file."""

from __future__ import annotations

import importlib.util
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vicinal.cli.cluster_map import Projection, draw_maps, planned_maps
from vicinal.cli.console import (
    counted,
    is_terminal,
    one_line,
    say,
    scored,
    screen,
    seconds_text,
    shortened,
    write_json,
    write_rows,
)
from vicinal.cli.options import DEFAULT_MODEL, AsJson, DType, Field, FileFormat, ModelName, TextFile, one_of
from vicinal.cli.texts import Encoder, filled_lines_of, load_model, shown_name
from vicinal.core.files import check_apart, check_target, replacing
from vicinal.errors import InputError, missing_extra
from vicinal.readers.lines import Line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vicinal.vectors.clustering import Method

# Pairs that a terminal gets unless --top says otherwise.
_SCREENFUL = 20
_MOST_PAIRS = 500_000
_METHODS = ("kmeans", "agglomerative", "hdbscan", "communities")


def mine(
    file: TextFile,
    threshold: Annotated[
        float,
        typer.Option("--threshold", "-t", metavar="COSINE", min=-1, max=1, help="The minimum similarity."),
    ] = 0.8,
    top: Annotated[
        int | None,
        typer.Option(
            "--top",
            metavar="N",
            min=1,
            help=f"Print the best N pairs. In a terminal {_SCREENFUL} if not given, else all.",
            show_default=False,
        ),
    ] = None,
    model: ModelName = DEFAULT_MODEL,
    field: Field = None,
    format: FileFormat = None,
    dtype: DType = "auto",
    as_json: AsJson = False,
) -> None:
    """Find pairs of texts that mean the same.

    Prints score and the two texts with their lines, the most similar first. Of each text the 100 nearest
    others are looked at.
    """
    lines = filled_lines_of(file, field, format)
    if len(lines) < 2:
        raise InputError(f"{file} holds one text: a pair takes two")
    rows = Encoder(load_model(model, dtype)).all(lines)
    from vicinal.util import paraphrase_mining_embeddings

    start = time.perf_counter()
    mined = paraphrase_mining_embeddings(rows, max_pairs=_MOST_PAIRS)
    took = time.perf_counter() - start
    found = [(float(score), lines[int(i)], lines[int(j)]) for score, i, j in mined if score >= threshold]
    pretty = not as_json and is_terminal()
    shown = found[: top if top is not None else _SCREENFUL if pretty else len(found)]
    if as_json:
        write_json(
            [
                {"score": round(score, 6), "a": _as_object(first), "b": _as_object(second)}
                for score, first, second in shown
            ]
        )
    elif pretty:
        _show_pairs(shown)
    else:
        write_rows(
            [f"{score:.6f}", first.number, second.number, first.text, second.text]
            for score, first, second in shown
        )
    hidden = f"; the best {len(shown):,} are shown, --top N shows more" if len(shown) < len(found) else ""
    say(
        f"{counted(len(found), 'pair')} of {scored(threshold)} or more among {len(lines):,} texts, "
        f"compared in {seconds_text(took)}{hidden}"
    )
    if len(found) == _MOST_PAIRS:
        say(f"there may be more pairs than these {_MOST_PAIRS:,}: raise --threshold", "note")


def _as_object(line: Line) -> dict[str, object]:
    return {"line": line.number, "text": line.text}


def _show_pairs(pairs: list[tuple[float, Line, Line]]) -> None:
    from rich.text import Text

    if not pairs:
        return
    console = screen()
    number_width = max(len(str(max(first.number, second.number))) for _, first, second in pairs)
    room = max(20, console.width - len("0.000") - number_width - 4)
    for score, first, second in pairs:
        for head, line in ((scored(score), first), ("", second)):
            row = Text(f"{head:>5}", style="bold")
            row.append(f"  {line.number:>{number_width}}  ", style="not bold dim")
            row.append(shortened(line.text, room), style="not bold")
            console.print(row, no_wrap=True, overflow="ignore", crop=False)


@dataclass(frozen=True)
class _Group:
    number: int
    size: int
    words: list[str]
    central: list[Line]


def cluster(
    file: TextFile,
    clusters: Annotated[
        int | None,
        typer.Option(
            "-k",
            "--clusters",
            metavar="N",
            min=1,
            help="How many clusters; for kmeans and agglomerative.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(metavar="METHOD", help=f"One of {', '.join(_METHODS)}.", callback=one_of(*_METHODS)),
    ] = "kmeans",
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            "-t",
            metavar="COSINE",
            min=-1,
            max=1,
            help="The minimum similarity within a cluster; for agglomerative and communities.",
            show_default=False,
        ),
    ] = None,
    min_size: Annotated[
        int, typer.Option(metavar="N", min=1, help="Smallest cluster; for hdbscan and communities.")
    ] = 10,
    texts: Annotated[int, typer.Option(metavar="N", min=1, help="Central texts to print of each.")] = 3,
    words: Annotated[int, typer.Option(metavar="N", min=1, help="Keywords to print of each.")] = 8,
    plot: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Draw a map: a .png picture, or an .html page to point at. May be given several times.",
            show_default=False,
        ),
    ] = None,
    projection: Annotated[
        Projection,
        typer.Option(
            metavar="NAME",
            help="How the map comes about: tsne and neighbours separate clusters, pca is fast; auto is tsne if "
            "scikit-learn is installed, else neighbours.",
        ),
    ] = Projection.auto,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="TSV", help="Write line, cluster and text of every text here.", show_default=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, max=2**32 - 1, help="Of all that is random.")] = 0,
    model: ModelName = DEFAULT_MODEL,
    field: Field = None,
    format: FileFormat = None,
    dtype: DType = "auto",
    as_json: AsJson = False,
) -> None:
    """Group texts by what they are about.

    Prints each cluster's number, size, keywords and most central texts, the largest first.
    """
    _check_method(method, clusters, threshold, min_size)
    maps = planned_maps(plot or [], projection)
    table_file = None if labels is None else check_target(labels, "--labels")
    drawn = [("--plot", each) for each in plot or []]
    check_apart([("the texts", file), *drawn, *([] if labels is None else [("--labels", labels)])])
    if method != "communities" and importlib.util.find_spec("sklearn") is None:
        raise missing_extra("sklearn", f"--method {method}", "cluster")
    lines = filled_lines_of(file, field, format)
    if clusters is not None and clusters > len(lines):
        there = "is only 1 text" if len(lines) == 1 else f"are only {len(lines):,} texts"
        raise InputError(f"-k {clusters}: there {there} in {file}")
    rows = Encoder(load_model(model, dtype)).all(lines)
    from vicinal.vectors import clustering

    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Number of distinct clusters")  # it is said below
        numbers = clustering.cluster(
            rows,
            clusters,
            cast("Method", method),
            threshold=threshold,
            min_cluster_size=min_size,
            seed=seed,
        )
    took = time.perf_counter() - start
    groups = _describe(lines, rows, numbers, texts, words)
    if table_file is not None:
        _write_labels(table_file, lines, numbers)
    draw_maps(
        maps,
        lines,
        rows,
        numbers,
        {group.number: group.words for group in groups},
        source=Path(shown_name(file)).name,
        how=f"{model}, {method}",
        seed=seed,
    )
    _print(groups, as_json)
    outside = int((numbers < 0).sum())
    say(
        f"{counted(len(groups), 'cluster')} of {counted(len(lines), 'text')}"
        + (f", {outside:,} of them in none" if outside else "")
        + f", grouped in {seconds_text(took)}"
        + "".join(f"; map in {each}" for each in plot or [])
        + (f"; labels in {labels}" if labels else "")
    )
    if clusters is not None and len(groups) < clusters:
        say(f"{len(groups):,} in place of {clusters:,}: the other texts have the same vectors", "note")
    if not groups:
        say("no clusters: try a smaller --min-size" + (" or --threshold" if method == "communities" else ""))


def _check_method(method: str, clusters: int | None, threshold: float | None, min_size: int) -> None:
    if method == "kmeans" and clusters is None:
        raise InputError("kmeans needs the number of clusters, e.g. -k 20; --method hdbscan finds it itself")
    if method == "agglomerative" and (clusters is None) == (threshold is None):
        raise InputError("agglomerative needs -k or --threshold, one of the two")
    if method in ("hdbscan", "communities") and clusters is not None:
        raise InputError(f"-k {clusters}: {method} finds the number of clusters itself; leave -k out")
    if method in ("kmeans", "hdbscan") and threshold is not None:
        raise InputError(f"--threshold {threshold}: {method} takes none; leave it out")
    if method == "hdbscan" and min_size < 2:
        raise InputError(f"--min-size {min_size}: hdbscan needs 2 or more")


def _describe(
    lines: list[Line], rows: NDArray[np.float32], numbers: NDArray[np.int64], texts: int, words: int
) -> list[_Group]:
    from vicinal.vectors import clustering
    from vicinal.vectors.keywords import keywords

    found = keywords([line.text for line in lines], numbers, words)
    central = clustering.central_rows(rows, numbers, texts)
    return [
        _Group(
            number,
            int((numbers == number).sum()),
            [word for word, _ in found[number]],
            [lines[row] for row in central[number]],
        )
        for number in sorted(central)
    ]


def _print(groups: list[_Group], as_json: bool) -> None:
    if as_json:
        write_json(
            [
                {
                    "cluster": group.number,
                    "size": group.size,
                    "keywords": group.words,
                    "central": [_as_object(line) for line in group.central],
                }
                for group in groups
            ]
        )
    elif is_terminal():
        _show(groups)
    else:
        write_rows([["cluster", "size", "keywords", "line", "most central text"]])
        write_rows(
            [group.number, group.size, ", ".join(group.words), group.central[0].number, group.central[0].text]
            for group in groups
        )


def _show(groups: list[_Group]) -> None:
    from rich.text import Text

    console = screen()
    wide = max((len(str(group.number)) for group in groups), default=1)
    for group in groups:
        head = Text(f"{group.number:>{wide}}", style="bold")
        head.append(f"  {counted(group.size, 'text')}", style="not bold dim")
        words = shortened(", ".join(group.words), max(20, console.width - head.cell_len - 2))
        head.append(f"  {words}", style="not bold")
        console.print(head, no_wrap=True, overflow="ignore", crop=False)
        for line in group.central:
            text = shortened(line.text, max(20, console.width - wide - 2))
            console.print(
                Text(" " * (wide + 2) + text, style="dim"), no_wrap=True, overflow="ignore", crop=False
            )


def _write_labels(target: Path, lines: list[Line], numbers: NDArray[np.int64]) -> None:
    with replacing(target) as scratch, scratch.open("w", encoding="utf-8", newline="\n") as file:
        file.write("line\tcluster\ttext\n")
        for line, number in zip(lines, numbers.tolist(), strict=True):
            file.write(f"{line.number}\t{number}\t{one_line(line.text)}\n")
