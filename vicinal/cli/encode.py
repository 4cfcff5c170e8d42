"""``vicinal encode``."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from vicinal.cli.console import bytes_text, counted, rate_text, say, seconds_text
from vicinal.cli.options import (
    DEFAULT_MODEL,
    BatchSize,
    DType,
    Field,
    FileFormat,
    ModelName,
    PoolingMode,
    PromptName,
    TextFile,
    TruncateDim,
)
from vicinal.cli.texts import Encoder, count_lines, lines_of, load_model
from vicinal.cli.vector_files import check_dimensions, writer_for
from vicinal.core.files import check_apart, check_target, replacing
from vicinal.errors import InputError


def encode(
    file: TextFile,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The .npy, .csv or .tsv file to write.", show_default=False
        ),
    ],
    model: ModelName = DEFAULT_MODEL,
    field: Field = None,
    format: FileFormat = None,
    batch_size: BatchSize = None,
    dtype: DType = "auto",
    prompt_name: PromptName = None,
    normalize: Annotated[bool, typer.Option("--normalize", help="Scale every vector to length 1.")] = False,
    truncate_dim: TruncateDim = None,
    pooling_mode: PoolingMode = None,
) -> None:
    """Turn the texts of a file into vectors.

    Writes a NumPy file of float32 (or, by the ending of its name, a csv or tsv) with one row per text, in order.
    Every line of a txt file is a text, an empty one too. The file appears when it is whole; memory does not
    grow with the number of texts.
    """
    if output == "-":
        raise InputError("--output -: vectors go to a file; give its name")
    write_to = writer_for(output)
    target = check_target(output, "--output")
    check_apart([("the texts", file), ("--output", output)])
    total = count_lines(file, field, format)
    encoder = Encoder(
        load_model(model, dtype, truncate_dim, pooling_mode), prompt_name, batch_size, normalize
    )
    check_dimensions(encoder.model, truncate_dim)
    encoder.model.encode("", on_truncate="ignore")  # compiles it, so that the rate below is of encoding alone
    start = time.perf_counter()
    with replacing(target) as scratch:
        with write_to(scratch, output) as writer:
            for block in encoder.blocks(lines_of(file, field, format), total):
                writer.append(block)
            writer.finish()
        size = scratch.stat().st_size
    took = time.perf_counter() - start
    encoder.report()
    say(
        f"{counted(writer.rows, 'text')}, {writer.dimension:,} dimensions, {bytes_text(size)} in {output}; "
        f"{seconds_text(took)}, {rate_text(writer.rows, took)} texts/s"
    )
