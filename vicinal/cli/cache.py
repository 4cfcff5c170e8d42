"""``vicinal models``, ``download`` and ``cache``: what lies on this machine."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from vicinal.cli.console import (
    agreed,
    bytes_text,
    counted,
    is_terminal,
    plain_table,
    rate_text,
    say,
    screen,
    write_json,
    write_rows,
)
from vicinal.cli.options import AsJson
from vicinal.cli.usage import Command, Group
from vicinal.errors import InputError, VicinalError

if TYPE_CHECKING:
    from vicinal.hub.resolve import CachedModel

app = typer.Typer(cls=Group, help="List the cached models, or clear one.", rich_markup_mode=None)

# Below this width a name and its figures do not fit into one line.
_NARROW = 60
_OWN = "sentence-transformers/"
# A maximum length beyond this is a guard against absurd inputs, not what the model reads.
_NO_LIMIT = 1_000_000
_EXAMPLE = "all-MiniLM-L6-v2"

# About 14 tokens each, which is the usual length of a question or a title.
_BENCH_TEXTS = tuple(
    f"{who} {what} {where} on a {when} morning"
    for who in ("The old fisherman", "A small brown dog", "My neighbour's daughter", "The orchestra")
    for what in ("was waiting for the first train", "sang quietly", "found a letter that nobody had opened")
    for where in ("near the harbour", "behind the library", "at the foot of the hill")
    for when in ("cold", "bright", "rainy", "long")
)
_BENCH_SECONDS = 1.0


@dataclass(frozen=True)
class _Facts:
    kind: str
    dimension: int | None = None
    max_length: int | None = None
    rate: float | None = None
    problem: str | None = None


def models(
    bench: Annotated[
        bool, typer.Option("--bench", help="Measure each on short texts (a second or two a model).")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the models on this machine.

    Those that come with Vicinal, and those in the cache; each with its dimensions, the maximum number of tokens
    that it reads of a text, and its size on disk; with --bench also the texts (or, of a reranker, the pairs)
    that it gets through in a second on this machine.
    """
    from vicinal.hub.bundled import bundled_models
    from vicinal.hub.resolve import default_cache_folder, list_cached

    bundled = bundled_models()
    cached = list_cached()
    every = [*bundled, *cached]
    facts = [_facts_of(model, bench) for model in every]
    if as_json:
        write_json(
            [
                {**_as_object(model, fact, bench), "bundled": model in bundled}
                for model, fact in zip(every, facts, strict=True)
            ]
        )
        return
    headings = ["model", "kind", "dim", "tokens", "size", *(["texts/s"] if bench else [])]
    if is_terminal() and screen().width < _NARROW:
        for model, fact in zip(every, facts, strict=True):
            name, kind, *cells = _cells(
                model.name.removeprefix(_OWN), bytes_text(model.size_bytes), fact, bench
            )
            screen().print(name)
            named = [f"{heading} {cell}" for heading, cell in zip(headings[2:], cells, strict=True)]
            screen().print(f"  {', '.join([kind, *named])}")
    elif is_terminal():
        table = plain_table()
        for heading in headings:
            left = heading in ("model", "kind")
            table.add_column(
                heading, justify="left" if left else "right", no_wrap=heading != "model", overflow="fold"
            )
        for model, fact in zip(every, facts, strict=True):
            table.add_row(*_cells(model.name.removeprefix(_OWN), bytes_text(model.size_bytes), fact, bench))
        screen().print(table)
    else:
        write_rows([[*headings[:4], "bytes", *headings[5:]]])
        write_rows(
            _cells(model.name, str(model.size_bytes), fact, bench)
            for model, fact in zip(every, facts, strict=True)
        )
    for model, fact in zip(every, facts, strict=True):
        if fact.problem:
            say(f"{model.name}: {fact.problem}", "note")
    there = (
        counted(len(cached), "model") if cached else f"no models; `vicinal download {_EXAMPLE}` fetches one"
    )
    say(
        f"{', '.join(model.name for model in bundled)} comes with Vicinal; in {default_cache_folder()}: {there}"
    )


def _facts_of(model: CachedModel, bench: bool) -> _Facts:
    if not model.complete:
        return _Facts("incomplete", problem=f"not whole; `vicinal download {model.name}` completes it")
    try:
        return _reranker(model, bench) if _is_reranker(model) else _encoder(model, bench)
    except VicinalError as error:
        return _Facts("unusable", problem=str(error))


def _is_reranker(model: CachedModel) -> bool:
    from vicinal.hub.cache import architectures

    named = architectures(model.path)
    return bool(named) and all(name.endswith("ForSequenceClassification") for name in named)


def _encoder(model: CachedModel, bench: bool) -> _Facts:
    from vicinal import SentenceTransformer

    loaded = SentenceTransformer(model.path)
    rate = None
    if bench:
        loaded.encode(list(_BENCH_TEXTS), show_progress_bar=False, on_truncate="ignore")
        count, start = 0, time.perf_counter()
        while (took := time.perf_counter() - start) < _BENCH_SECONDS:
            loaded.encode(list(_BENCH_TEXTS), show_progress_bar=False, on_truncate="ignore")
            count += len(_BENCH_TEXTS)
        rate = count / took
    limit = loaded.max_seq_length
    return _Facts(
        "encoder", loaded.get_embedding_dimension(), limit if limit and limit < _NO_LIMIT else None, rate
    )


def _reranker(model: CachedModel, bench: bool) -> _Facts:
    from vicinal.models.scorer import load_scorer

    loaded = load_scorer(model.path)
    rate = None
    if bench:
        pairs = [(_BENCH_TEXTS[0], text) for text in _BENCH_TEXTS]
        loaded.predict(pairs, show_progress_bar=False, on_truncate="ignore")
        count, start = 0, time.perf_counter()
        while (took := time.perf_counter() - start) < _BENCH_SECONDS:
            loaded.predict(pairs, show_progress_bar=False, on_truncate="ignore")
            count += len(pairs)
        rate = count / took
    return _Facts("reranker", None, loaded.max_seq_length, rate)


def _cells(name: str, size: str, fact: _Facts, bench: bool) -> list[str]:
    cells = [
        name,
        fact.kind,
        "-" if fact.dimension is None else str(fact.dimension),
        "-" if fact.max_length is None else str(fact.max_length),
        size,
    ]
    return [*cells, "-" if fact.rate is None else rate_text(fact.rate, 1)] if bench else cells


def _as_object(model: CachedModel, fact: _Facts, bench: bool) -> dict[str, object]:
    shown: dict[str, object] = {
        "name": model.name,
        "kind": fact.kind,
        "dimension": fact.dimension,
        "max_length": fact.max_length,
        "bytes": model.size_bytes,
        "path": str(model.path),
    }
    if bench:
        shown["texts_per_second"] = None if fact.rate is None else round(fact.rate, 1)
    return shown | ({"problem": fact.problem} if fact.problem else {})


def download(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A hub name, org/name or a bare name.", show_default=False)
    ],
    revision: Annotated[
        str | None, typer.Option(metavar="REVISION", help="A branch, tag or commit.", show_default=False)
    ] = None,
) -> None:
    """Fetch a model, or bring it up to date.

    It goes into the cache, and its folder is printed. For private models, the token is that of HF_TOKEN or
    `hf auth login`.
    """
    from vicinal.hub.bundled import bundled_models
    from vicinal.hub.cache import size_of
    from vicinal.hub.resolve import download as fetch

    own = next((model for model in bundled_models() if model.name == name), None)
    if own is not None:
        write_rows([[str(own.path)]])
        say(f"{name} comes with Vicinal: there is nothing to download")
        return
    start = time.perf_counter()
    folder = fetch(name, revision=revision)
    size = size_of(folder.parent.parent)
    write_rows([[str(folder)]])
    say(f"{name} is in the cache: {bytes_text(size)}, after {time.perf_counter() - start:.1f} s")


@app.callback(invoke_without_command=True)
def _cache(context: typer.Context) -> None:
    """List the cached models, or clear one."""
    if context.invoked_subcommand is None:
        list_models()


@app.command("list", cls=Command)
def list_models(as_json: AsJson = False) -> None:
    """List the models: size, last use, revisions."""
    from vicinal.hub.resolve import default_cache_folder, list_cached

    cached = list_cached()
    if as_json:
        write_json(
            [
                {
                    "name": model.name,
                    "bytes": model.size_bytes,
                    "last_used": model.last_used.isoformat(timespec="seconds"),
                    "revisions": list(model.revisions),
                    "path": str(model.path),
                }
                for model in cached
            ]
        )
        return
    if cached and is_terminal():
        table = plain_table()
        table.add_column("model", overflow="fold")
        table.add_column("size", justify="right", no_wrap=True)
        table.add_column("last used", no_wrap=True)
        table.add_column("revisions", overflow="fold")
        for model in cached:
            table.add_row(
                model.name.removeprefix(_OWN),
                bytes_text(model.size_bytes),
                f"{model.last_used.astimezone():%Y-%m-%d}",
                " ".join(_short(revision) for revision in model.revisions),
            )
        screen().print(table)
    elif cached:
        write_rows([["model", "bytes", "last used", "revisions"]])
        write_rows(
            [
                model.name,
                model.size_bytes,
                model.last_used.isoformat(timespec="seconds"),
                " ".join(model.revisions),
            ]
            for model in cached
        )
    total = sum(model.size_bytes for model in cached)
    say(f"{counted(len(cached), 'model')}, {bytes_text(total)} in {default_cache_folder()}")


def _short(revision: str) -> str:
    from vicinal.hub.cache import is_commit

    return revision[:8] if is_commit(revision) else revision


@app.command("clear", cls=Command)
def clear(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="As `vicinal cache list` shows it.", show_default=False)
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a model with all its revisions."""
    from vicinal.hub.bundled import bundled_models
    from vicinal.hub.cache import hub_names, repo_folder, size_of
    from vicinal.hub.resolve import clear_cached, default_cache_folder

    if any(model.name == name for model in bundled_models()):
        raise InputError(f"{name} comes with Vicinal and is not in the cache: there is nothing to remove")
    root = default_cache_folder()
    repo = next((repo for repo in hub_names(name) if repo_folder(root, repo).is_dir()), None)
    if repo is not None and not yes:
        size = bytes_text(size_of(repo_folder(root, repo)))
        if sys.stdin is None or not sys.stdin.isatty():
            raise InputError(f"nobody is there to be asked whether to remove {repo} ({size}): add --yes")
        if not agreed(f"Remove {repo} ({size}) from {root}?"):
            say("nothing was removed")
            raise typer.Exit(1)
    freed = clear_cached(repo or name)
    say(f"{repo} removed, {bytes_text(freed)} freed")
