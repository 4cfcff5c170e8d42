"""Two revisions of Vicinal beside each other, in turns in one run: did a change cost speed?

    python benchmarks/revisions.py HEAD~20                # that commit beside the working tree
    python benchmarks/revisions.py v0.1 --rounds 7 --only "cold start" "index: dense"

The earlier revision is checked out into a temporary git worktree; both run with this interpreter, each task in a
process of its own. One round measures every task on both sides, and the sides take turns at going first, so that
a slow minute of the machine falls on both. The table shows the median of each side and their ratio. "noise" is the
spread of the earlier side's own rounds (maximum over minimum): a ratio inside it says nothing.

What is called here must exist in both revisions, under the same name.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve()
ROOT = HERE.parent.parent

SHORT = [f"A man number {n} is eating some food with {n % 7} friends." for n in range(2000)]
LONG = [" ".join(f"word{(n * k) % 997} in a longer text" for k in range(28)) for n in range(120)]


def cold_start(model: str) -> dict[str, float]:
    from vicinal import SentenceTransformer

    SentenceTransformer(model).encode("the first text")
    return {}


def import_only(model: str) -> dict[str, float]:
    import vicinal  # noqa: F401

    return {}


def encode(model: str) -> dict[str, float]:
    from vicinal import SentenceTransformer

    loaded = SentenceTransformer(model)
    loaded.encode(SHORT[:64])
    found = {"short texts, 1/s": -len(SHORT) / best(lambda: loaded.encode(SHORT))}
    found["long texts, 1/s"] = -len(LONG) / best(lambda: loaded.encode(LONG))
    found["one query, ms"] = 1000 * best(lambda: loaded.encode("how do I pause the program?"), 50)
    return found


def tokens(model: str) -> dict[str, float]:
    from vicinal import SentenceTransformer

    loaded = SentenceTransformer(model)
    return {"1/s": -len(SHORT) / best(lambda: loaded.encode(SHORT, output_value="token_embeddings"))}


def static(model: str) -> dict[str, float]:
    from vicinal import SentenceTransformer

    loaded = SentenceTransformer("vicinal-mini")
    many = SHORT * 10
    return {
        "short texts, 1/s": -len(many) / best(lambda: loaded.encode(many)),
        "one query, ms": 1000 * best(lambda: loaded.encode("how do I pause the program?"), 200),
    }


def search(model: str) -> dict[str, float]:
    import numpy as np

    from vicinal import util

    rng = np.random.default_rng(0)
    rows = rng.standard_normal((200_000, 384), np.float32)
    one, many = rng.standard_normal((1, 384), np.float32), rng.standard_normal((64, 384), np.float32)
    return {
        "1 query, ms": 1000 * best(lambda: util.semantic_search(one, rows, top_k=10), 5),
        "64 queries, ms": 1000 * best(lambda: util.semantic_search(many, rows, top_k=10), 3),
        "matrix of 2,000, ms": 1000 * best(lambda: util.cos_sim(rows[:2000], rows[:2000]), 5),
    }


class StandIn:
    """A model of random vectors: the index is measured, not the encoding."""

    name_or_path = fingerprint = "stand-in"
    similarity_fn_name = "cosine"

    def __init__(self) -> None:
        import numpy as np

        self.rng = np.random.default_rng(1)

    def get_embedding_dimension(self) -> int:
        return 256

    def count_tokens(self, texts: list[str]) -> list[int]:
        return [10] * len(texts)

    def encode_document(self, texts: list[str]) -> object:
        import numpy as np

        rows = self.rng.standard_normal((len(texts), 256), np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    encode_query = encode_document


def index(model: str) -> dict[str, float]:
    from vicinal import Index

    size = 50_000
    texts = [f"{SHORT[n % len(SHORT)]} It is document {n} of topic{n % 100}." for n in range(size)]
    with tempfile.TemporaryDirectory() as folder, Index(f"{folder}/x.db", StandIn()) as made:
        start = time.perf_counter()
        for first in range(0, size, 10_000):
            part = slice(first, first + 10_000)
            numbers = range(first, min(first + 10_000, size))
            made.add(texts[part], [str(n) for n in numbers], [{"topic": n % 100} for n in numbers])
        found = {"add, 1/s": -size / (time.perf_counter() - start)}
        made.warm_up()
        for mode in ("dense", "lexical", "hybrid"):
            asked = iter(range(10_000))

            def ask(mode: str = mode, asked: Iterator[int] = asked) -> object:
                return made.search(f"friends of topic{next(asked) % 100}", mode=mode)

            found[f"{mode}, ms"] = 1000 * best(ask, 40)
        found["dense, filter of 1 %, ms"] = 1000 * best(
            lambda: made.search("friends", mode="dense", filter={"topic": 7}), 40
        )
        return found


def rerank(model: str) -> dict[str, float]:
    from vicinal import CrossEncoder

    loaded = CrossEncoder(
        os.environ.get("VICINAL_CROSS_ENCODER", str(ROOT.parent / "shared/models/cross-encoder-stsb"))
    )
    pairs = [(SHORT[n], SHORT[(n * 7) % 500]) for n in range(500)]
    return {"pairs, 1/s": -len(pairs) / best(lambda: loaded.predict(pairs))}


TASKS: dict[str, Callable[[str], dict[str, float]]] = {
    "import": import_only,
    "cold start": cold_start,
    "encode": encode,
    "token vectors": tokens,
    "vicinal-mini": static,
    "search": search,
    "rerank": rerank,
    "index": index,
}


def best(call: Callable[[], object], runs: int = 3) -> float:
    """The median of the seconds that a call takes, after one that is not counted."""
    call()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def measure(task: str, home: Path, model: str) -> dict[str, float]:
    """One task in a new process with the package of ``home``; rates come back negative, so that less is better."""
    environment = {**os.environ, "PYTHONPATH": str(home), "HF_HUB_OFFLINE": "1"}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(HERE), "--task", task, "--model", model],
        capture_output=True,
        text=True,
        env=environment,
        cwd=home,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{task} in {home} failed:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return {f"{task}: {name}": value for name, value in found.items()} or {f"{task}, s": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("revision", nargs="?", help="a commit, a tag, or the folder of a checkout")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--model", default="")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        print(json.dumps(TASKS[arguments.task](arguments.model)))
        return
    if not arguments.revision:
        parser.error("give the revision to compare with")
    sys.path.insert(0, str(HERE.parent))
    import common

    model = arguments.model or str(common.minilm())
    with tempfile.TemporaryDirectory() as folder:
        before = Path(arguments.revision)
        made = not before.is_dir()
        if made:
            before = Path(folder) / "before"
            git = ["git", "-C", str(ROOT), "worktree"]
            subprocess.run([*git, "add", "-q", "--detach", str(before), arguments.revision], check=True)
        try:
            rows = compare(arguments.only, before.resolve(), model, arguments.rounds)
        finally:
            if made:
                subprocess.run([*git, "remove", "--force", str(before)], check=True)
    print(common.machine("numpy", "openvino"))
    print(f"\n| task | {arguments.revision} | working tree | ratio | noise |\n|---|---|---|---|---|")
    for name, (old, new) in rows.items():
        first, second = statistics.median(old), statistics.median(new)
        noise = max(map(abs, old)) / min(map(abs, old))
        speed = second / first if first < 0 else first / second
        print(f"| {name} | {abs(first):,.4g} | {abs(second):,.4g} | {speed:.2f}x | {noise:.2f} |", flush=True)


def compare(
    tasks: list[str], before: Path, model: str, rounds: int
) -> dict[str, tuple[list[float], list[float]]]:
    rows: dict[str, tuple[list[float], list[float]]] = {}
    for task in tasks:
        measure(task, before, model), measure(task, ROOT, model)  # the disk cache is warm, bytecode written
        for turn in range(rounds):
            sides = [(0, before), (1, ROOT)]
            for side, home in sides if turn % 2 else sides[::-1]:
                for name, value in measure(task, home, model).items():
                    rows.setdefault(name, ([], []))[side].append(value)
        print(f"{task} done", file=sys.stderr)
    return rows


if __name__ == "__main__":
    main()
