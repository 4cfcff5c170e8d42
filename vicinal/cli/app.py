"""The commands of ``vicinal`` and their options.

Importing them loads neither numpy nor a model: ``--help`` is quick, and each command imports what it needs.
"""

from __future__ import annotations

from typing import Annotated

import typer

from vicinal.cli import (
    backup,
    cache,
    calibrate,
    choose,
    distill,
    documents,
    encode,
    evaluate,
    groups,
    index,
    info,
    quantize,
    rerank,
    run,
    search,
    serve,
    similarity,
    train,
)
from vicinal.cli.console import write_rows
from vicinal.cli.failures import GuardedGroup, show_tracebacks
from vicinal.cli.usage import Command

app = typer.Typer(
    name="vicinal",
    cls=GuardedGroup,
    help="Sentences become vectors, and the vectors are put to work.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from vicinal.core.version import __version__

        write_rows([[f"vicinal {__version__}"]])
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (as VICINAL_DEBUG=1 does).")
    ] = False,
) -> None:
    """Sentences become vectors, and the vectors are put to work."""
    if debug:
        show_tracebacks()


app.command("index", cls=Command)(index.index)
app.command("search", cls=Command)(search.search)
app.command("info", cls=Command)(info.info)
app.command("delete", cls=Command)(documents.delete)
app.command("export", cls=Command)(documents.export)
app.command("compact", cls=Command)(documents.compact)
app.command("backup", cls=Command)(backup.backup)
app.command("verify", cls=Command)(backup.verify)
app.command("salvage", cls=Command)(backup.salvage)
app.command("encode", cls=Command)(encode.encode)
app.command("similarity", cls=Command)(similarity.similarity)
app.command("mine", cls=Command)(groups.mine)
app.command("cluster", cls=Command)(groups.cluster)
app.command("rerank", cls=Command)(rerank.rerank)
app.command("evaluate", cls=Command)(evaluate.evaluate)
app.command("choose", cls=Command)(choose.choose)
app.command("calibrate", cls=Command)(calibrate.calibrate)
app.command("quantize", cls=Command)(quantize.quantize)
app.command("distill", cls=Command)(distill.distill)
app.command("train", cls=Command)(train.train)
app.command("serve", cls=Command)(serve.serve)
app.command("run", cls=Command)(run.run)
app.command("models", cls=Command)(cache.models)
app.command("download", cls=Command)(cache.download)
app.add_typer(cache.app, name="cache")
