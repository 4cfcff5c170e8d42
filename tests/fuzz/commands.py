"""The command line, fed with garbage in this process: what is typed, what the files hold, what comes by a pipe."""

from __future__ import annotations

import io
import json
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vicinal.cli.app import app

NUMBERS = ("0", "-1", "1", "3", "1.5", "nan", "inf", "-inf", "1e400", "9" * 30, "", "x", "0x10", "1_000", "٣")
TEXTS = (
    "snow",
    "",
    " ",
    "\x1b[31mred",
    "日本語",
    "e\u0301",
    "\u202eabc",
    "a\nb",
    "-",
    "--",
    "\udcff",
    "x" * 3000,
)
JSON = (
    '{"year": 1}', '{"year": {"$gte": 1}}', "{", "[]", "null", "1", '"x"', "{}", '{"$or": []}', '{"$nope": 1}',
    '{"year": NaN}', '{"a": {"$in": 3}}', "[" * 3000, '{"a": {"$not": {"$not": {}}}}', "\x00", '{"year": 1e999}',
)  # fmt: skip
CHOICES = (
    "dense",
    "lexical",
    "hybrid",
    "kmeans",
    "hdbscan",
    "communities",
    "auto",
    "int8",
    "float32",
    "sts",
    "nope",
)
NAMES = ("text", "id", "_id", "year", "", "no such", "0", "1", "-1", "\x00")

# What stands in the folder of the commands.
FILES: dict[str, bytes] = {
    "texts.txt": b"snow on the river\nthe kettle boils\na train is late\n\nbread\n",
    "one.txt": b"only one",
    "empty.txt": b"",
    "blank.txt": b"\n\n \n",
    "latin.txt": "Caf\xe9 cr\xe8me\n".encode("latin-1"),
    "utf16.txt": "snow\n".encode("utf-16"),
    "binary.bin": bytes(range(256)) * 8,
    "nul.txt": b"a\x00b\nc\n",
    "noextension": b"snow\nbread\n",
    "good.jsonl": b'{"id": "a", "text": "snow", "year": 1}\n{"id": "b", "text": "bread", "year": 2}\n',
    "twice.jsonl": b'{"id": "a", "text": "snow"}\n{"id": "a", "text": "bread"}\n',
    "bad.jsonl": b'{"text": "snow"}\n{"text": \n',
    "kinds.jsonl": b'{"text": 3}\n{"text": null}\n[1]\n"x"\n{"id": {}, "text": "a"}\n{"text": "\\ud800"}\n',
    "nofield.jsonl": b'{"a": "snow"}\n{"b": "snow"}\n',
    "good.csv": b"id,text,score\n1,snow,0.5\n2,bread,1\n",
    "ragged.csv": b'id,text\n1,snow,extra\n2\n"unclosed,3\n',
    "header.csv": b"id,text\n",
    "pairs.tsv": b"sentence1\tsentence2\tscore\nsnow\train\t0.9\nbread\tlamp\t0.1\n",
    "nan.tsv": b"sentence1\tsentence2\tscore\nsnow\train\tnan\nbread\tlamp\tx\n",
    "page.html": b"<html><body><nav>menu</nav><main><p>snow &amp; ice</main>",
    "broken.html": b"<<<html><!-- <p>&#xD800;&#99999999;<script>",
    "notes.md": b"# Title\n\nText.\n",
    "data.json": b'["snow", "bread"]',
    "fake.gz": b"no gzip",
    "bad.parquet": b"PAR1 no",
    "notadb.db": b"SQLite format 3\x00 and nothing",
    "text.db": b"hello",
}


def prepare(folder: Path, model: Path, scorer: Path) -> None:
    """Fill the folder of the commands."""
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    np.save(folder / "vectors.npy", np.eye(3, dtype=np.float32))
    (folder / "empty folder").mkdir()
    (folder / "texts folder").mkdir()
    (folder / "texts folder" / "a.txt").write_text("snow")
    (folder / "texts folder" / "b.rst").write_text("bread")
    shutil.copytree(model, folder / "model")
    shutil.copytree(scorer, folder / "scorer")
    for name, text in (("nojson", "{"), ("alist", "[]"), ("nothing", "{}")):
        shutil.copytree(model, folder / f"model {name}")
        (folder / f"model {name}" / "config.json").write_text(text)
    shutil.copytree(model, folder / "model cut")
    weights = folder / "model cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    _quiet(["index", "good.db", "good.jsonl"], "", folder)


_MODELS = ("vicinal-mini", "vicinal-mini", "model", "scorer", "model nojson", "model alist", "model nothing",
           "model cut", "texts folder", "texts.txt", "no/such", "no such", "", "a/b/c", "../x", "\x00")  # fmt: skip
_DATABASES = (
    "good.db",
    "good.db",
    "new.db",
    "notadb.db",
    "text.db",
    "texts folder",
    "no/x.db",
    "",
    "texts.txt",
)
_DTYPES = ("auto", "float32", "bfloat16", "int8", "float64", "")

# What each command takes: arguments in their order, then options with what they take.
_FILE = (
    *FILES,
    "vectors.npy",
    "empty folder",
    "texts folder",
    "model",
    "no such file",
    "-",
    "",
    "\x00",
    "\udcff",
)
_COMMON = {"-m": _MODELS, "-f": NAMES, "--format": ("txt", "jsonl", "csv", "tsv", "x"), "--dtype": _DTYPES}
COMMANDS: dict[str, tuple[tuple[tuple[str, ...], ...], dict[str, tuple[str, ...] | None]]] = {
    "index": ((_DATABASES, _FILE), {"-m": _MODELS, "--id-field": NAMES, "--text-field": NAMES,
                                    "--metadata-field": NAMES, "--batch": NUMBERS}),
    "search": ((_DATABASES, TEXTS), {"-k": NUMBERS, "--filter": JSON, "--mode": CHOICES, "--rerank": _MODELS,
                                     "--candidates": NUMBERS, "-m": _MODELS, "--json": None}),
    "info": ((_DATABASES,), {"--verify": None, "--json": None}),
    "encode": ((_FILE,), {"-o": ("out.npy", "out.csv", "texts folder", "", "no/such/x.npy"), **_COMMON,
                          "--batch-size": NUMBERS, "--prompt-name": NAMES, "--normalize": None,
                          "--truncate-dim": NUMBERS}),
    "similarity": ((TEXTS, TEXTS), {"-m": _MODELS, "--dtype": _DTYPES, "--prompt-name": NAMES, "--json": None}),
    "mine": ((_FILE,), {"-t": NUMBERS, "--top": NUMBERS, **_COMMON, "--json": None}),
    "cluster": ((_FILE,), {"-k": NUMBERS, "--method": CHOICES, "-t": NUMBERS, "--min-size": NUMBERS,
                           "--texts": NUMBERS, "--words": NUMBERS, "--labels": ("labels.tsv", "texts folder", ""),
                           "--seed": NUMBERS, **_COMMON, "--json": None}),
    "rerank": ((TEXTS, _FILE), {**_COMMON, "-m": ("scorer", "scorer", *_MODELS), "-k": NUMBERS, "--json": None}),
    "evaluate": ((_MODELS,), {"-t": CHOICES, "-d": _FILE, "--columns": ("1,2,3", "a,b", "", "0,0,0", "-1"),
                              "--split": NAMES, "--similarity": ("cosine", "dot", "x"), "--dtype": _DTYPES,
                              "--truncate-dim": NUMBERS, "--batch-size": NUMBERS, "--json": None}),
    "models": ((), {"--json": None, "-x": None, "--": None}),
    "download": ((_MODELS,), {"--revision": NAMES}),
    "cache": ((("list", "clear", "delete", "x"), _MODELS), {"--json": None}),
    "no such command": ((TEXTS,), {}),
}  # fmt: skip


def typed(rng: random.Random) -> list[str]:
    """A command line: the arguments in their order, some options, now and then one too many or too few."""
    name = rng.choice(list(COMMANDS))
    arguments, options = COMMANDS[name]
    words = [name, *(rng.choice(choices) for choices in arguments if rng.random() < 0.95)]
    for option in rng.sample(list(options), rng.randrange(min(4, len(options) + 1))):
        values = options[option]
        words += [option] if values is None else [option, rng.choice(values)]
    if name == "encode" and "-o" not in words and rng.random() < 0.9:
        words += ["-o", "out.npy"]
    if name == "rerank" and "-m" not in words:
        words += ["-m", "scorer"]
    if rng.random() < 0.05:
        words.insert(rng.randrange(1, len(words) + 1), rng.choice(["--nope", "-", "--help", *TEXTS]))
    return [word.replace("\x00", "") for word in words]  # no shell can pass on that one


def piped(rng: random.Random) -> bytes:
    """What comes by the pipe."""
    return rng.choice(
        [b"", b"\n", b"snow\nbread\n", FILES["binary.bin"], FILES["bad.jsonl"], FILES["latin.txt"]]
    )


class CommandFault(Exception):
    """A command ended in a way that the documentation does not know."""


def run(words: list[str], given: bytes) -> None:
    """Run one command line; raises CommandFault unless it ends as documented."""
    code, out, err = _quiet(words, given)
    said = (out + err).decode("utf-8", "replace")
    if code not in (0, 1, 2):
        raise CommandFault(f"exit code {code!r}: {said[-500:]}")
    for never in ("Traceback (most recent", "this was not foreseen"):
        if never in said:
            raise CommandFault(said[-800:])
    if code and not err:
        raise CommandFault(f"exit code {code} without a word")
    if "--json" in words and code == 0 and not {"--help", "--"} & set(words):
        _read_documents(out.decode("utf-8"))


def _read_documents(text: str) -> None:
    """Read JSON documents, one after another: `search` without a query answers each line of a pipe."""
    decoder, place = json.JSONDecoder(), 0
    while text[place:].strip():
        _, place = decoder.raw_decode(text, place + len(text[place:]) - len(text[place:].lstrip()))


def _quiet(words: list[str], given: bytes | str, folder: Path | None = None) -> tuple[Any, bytes, bytes]:
    raw = given.encode() if isinstance(given, str) else given
    with ExitStack() as stack:
        out, err = (stack.enter_context(_replaced(name, io.BytesIO())) for name in ("stdout", "stderr"))
        stack.enter_context(_replaced("stdin", io.BytesIO(raw)))
        if folder is not None:
            import os

            before = os.getcwd()
            os.chdir(folder)
            stack.callback(os.chdir, before)
        try:
            app(words, prog_name="vicinal")
            code: Any = 0
        except SystemExit as end:
            code = 0 if end.code is None else end.code
        sys.stdout.flush()
        sys.stderr.flush()
        return code, out.getvalue(), err.getvalue()


@contextmanager
def _replaced(name: str, raw: io.BytesIO) -> Iterator[io.BytesIO]:
    before = getattr(sys, name)
    setattr(sys, name, io.TextIOWrapper(raw, encoding="utf-8", errors="replace", write_through=True))
    try:
        yield raw
    finally:
        wrapper = getattr(sys, name)
        setattr(sys, name, before)
        if isinstance(wrapper, io.TextIOWrapper):
            wrapper.detach()
