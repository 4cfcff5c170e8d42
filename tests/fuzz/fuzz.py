"""Calls the library with garbage, and says what came back that is no error of Vicinal.

    python tests/fuzz/fuzz.py --calls 100000 --seed 7

A call may return or raise an error of :mod:`vicinal.errors`; anything else, a warning of numpy included, is a
fault. Afterwards the index that was written to must still be whole.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import random
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "encode")]

import calls  # noqa: E402
import commands  # noqa: E402
import garbage  # noqa: E402
import numpy as np  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402
from tinyfolder import BERT, WIDTH, bert_weights, make_folder, make_plain  # noqa: E402

from vicinal import CrossEncoder, Index, SentenceTransformer  # noqa: E402
from vicinal.errors import VicinalError  # noqa: E402

# How the calls are shared out.
AREAS = {"index": 25, "filters": 20, "encode": 20, "util": 25, "command": 10}

# A call that takes longer than this hangs; the process then ends with a traceback of where.
_HANGS = 300


@dataclass
class Faults:
    """What went wrong, each kind once.

    Attributes:
        calls: how many calls were made.
        refused: how many of them raised an error of Vicinal.
        kinds: by the call and the line that raised: what was called, and the traceback.
    """

    calls: int = 0
    refused: int = 0
    kinds: dict[tuple[str, str], str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, name: str, seed: int, given: Any, error: BaseException) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [
            f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames if "vicinal" in frame.filename
        ]
        key = (name, f"{type(error).__name__} at {ours[-1] if ours else '?'}")
        self.counts[name] += 1
        if key not in self.kinds:
            shown = "".join(traceback.format_exception(error, limit=-6))
            self.kinds[key] = f"call {seed} {name}({_shown(given)})\n{shown}"

    def report(self) -> str:
        return "\n".join(f"--- {name}: {what}\n{text}" for (name, what), text in self.kinds.items())


def _shown(given: Any) -> str:
    try:
        text = (
            ", ".join(f"{k}={v!r}"[:300] for k, v in given.items())
            if isinstance(given, dict)
            else repr(given)
        )
    except Exception as error:  # a value of garbage that does not print
        text = f"<{type(error).__name__}>"
    return text[:1500]


def make_scorer(folder: Path) -> Path:
    """A tiny random cross-encoder with one label."""
    make_plain(folder, architectures=["BertForSequenceClassification"], num_labels=1)
    weights = {f"bert.{name}": tensor for name, tensor in bert_weights(1, BERT).items()}
    rng = np.random.default_rng(2)
    for name, shape in (
        ("bert.pooler.dense.weight", (WIDTH, WIDTH)),
        ("bert.pooler.dense.bias", (WIDTH,)),
        ("classifier.weight", (1, WIDTH)),
        ("classifier.bias", (1,)),
    ):
        weights[name] = (rng.standard_normal(shape) * 0.3).astype(np.float32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def fuzz(folder: Path, count: int, seed: int) -> Faults:
    """Make the calls.

    Args:
        folder: an empty folder for models, indexes and what the calls write.
        count: how many calls.
        seed: of the garbage. Call number i of a seed is the same whatever ``count`` is.
    """
    faults = Faults()
    plain = folder / "tiny"
    model_folder = make_folder(plain)
    scorer_folder = make_scorer(folder / "scorer")
    commands.prepare(folder / "typed", model_folder, scorer_folder)
    work = folder / "work"
    work.mkdir()
    with _process_state(folder / "typed", folder / "cache"), Index(work / "fuzz.db") as index:
        index.add(
            [f"snow {i}" for i in range(50)],
            [f"kept {i}" for i in range(50)],
            [{"year": i} for i in range(50)],
        )
        static, tiny = SentenceTransformer("vicinal-mini"), SentenceTransformer(str(model_folder))
        by_area: dict[str, list[calls.Call]] = {area: [] for area in AREAS}
        for call in (
            *calls.index_calls(index, work),
            *calls.filter_calls(index),
            *calls.encode_calls(static, tiny, CrossEncoder(scorer_folder)),
            *calls.util_calls(static),
        ):
            by_area[call.area].append(call)
        areas = random.Random(seed).choices(list(AREAS), list(AREAS.values()), k=count)
        for number, area in enumerate(areas):
            if number % 50 == 0:
                faulthandler.dump_traceback_later(_HANGS, exit=True, file=sys.__stderr__)
            rng = random.Random(seed * 1_000_003 + number)
            if area == "command":
                words, given = commands.typed(rng), commands.piped(rng)
                _try(faults, number, "vicinal", words, lambda w=words, g=given: commands.run(w, g))
            else:
                call = rng.choice(by_area[area])
                arguments = call.arguments(rng)
                _try(faults, number, call.name, arguments, lambda c=call, a=arguments: c.function(**a))
        faulthandler.cancel_dump_traceback_later()
        _check_index(index, work)
    return faults


def _try(faults: Faults, number: int, name: str, given: Any, function: Any) -> None:
    faults.calls += 1
    try:
        function()
    except VicinalError:
        faults.refused += 1
    except garbage.OwnError:
        pass  # raised by the caller's own object
    except Exception as error:
        faults.note(name, number, given, error)


def _check_index(index: Index, folder: Path) -> None:
    report = index.verify()
    assert report, report
    written = index.export(folder / "all.jsonl")
    documents = [json.loads(line) for line in (folder / "all.jsonl").read_text("utf-8").splitlines()]
    assert written == len(documents) == index.count()
    for document in documents[:200]:
        found = index.get(document["id"])[0]
        assert found is not None
        assert (found.text, found.metadata) == (document["text"], document["metadata"])


@contextmanager
def _process_state(folder: Path, cache: Path) -> Iterator[None]:
    """Another working folder, no hub, numpy's warnings as errors; as it was afterwards."""
    before, environment = os.getcwd(), dict(os.environ)
    os.environ.update(HF_HUB_CACHE=str(cache), HF_HUB_OFFLINE="1", COLUMNS="80")
    os.chdir(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for category in (RuntimeWarning, DeprecationWarning, ResourceWarning):
                warnings.simplefilter("error", category)
            yield
    finally:
        os.chdir(before)
        os.environ.clear()
        os.environ.update(environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        faults = fuzz(Path(folder), given.calls, given.seed)
    print(faults.report())
    print(f"{faults.calls:,} calls, {faults.refused:,} refused, {len(faults.kinds)} kinds of faults")
    print(*(f"{n} {name}" for name, n in faults.counts.most_common()), sep=", ")
    raise SystemExit(1 if faults.kinds else 0)


if __name__ == "__main__":
    main()
