"""Kills a process at a random moment of its work on an index, again and again: nothing acknowledged may be lost.

``python -m tests.index.crash 1000`` (``make crash``); the tests run a hundred. The children are forks of a process
that has imported everything and opened nothing, so that one kill takes some hundredths of a second.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: a fork copies no threads

from vicinal.index import Index

from .fakes import FakeModel

MOST_DOCUMENTS = 150
# Seconds after its first word that a child may live.
LONGEST_LIFE = 0.08

Documents = dict[str, str]


def opened(path: Path) -> Index:
    return Index(path, FakeModel(dimension=8), timeout=60)


class Ledger:
    """What a child is about to do and has done: a line each, in a file that outlives it."""

    def __init__(self, path: Path) -> None:
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def write(self, mark: str, what: str, documents: Documents) -> None:
        os.write(self.file, (json.dumps([mark, what, documents]) + "\n").encode())


def work(folder: Path, round_: int, seed: int, living: Documents) -> None:
    """Change the index for ever, in a child."""
    rng = random.Random(seed)
    ledger = Ledger(folder / "ledger")
    ledger.write("!", "opening", {})
    index = opened(folder / "texts.db")
    for step in range(10**6):
        what = rng.choices(
            ["add", "upsert", "delete", "filter", "compact", "export", "search"], [6, 2, 3, 1, 1, 1, 2]
        )[0]
        if len(living) > MOST_DOCUMENTS:
            what = "filter"
        ids = rng.sample(sorted(living), min(len(living), rng.randint(1, 9)))
        changed: Documents = {}
        if what == "add":
            changed = {
                f"{round_}-{step}-{i}": f"text {i} of batch {round_}-{step} " * rng.randint(1, 30)
                for i in range(rng.randint(1, 12))
            }
        elif what == "upsert":
            changed = dict.fromkeys([*ids, f"{round_}-{step}"], f"changed in {round_}-{step} " * 4)
        elif what == "delete":
            changed = dict.fromkeys(ids, "")
        elif what == "filter":
            # The metadata says which half of the documents it is.
            changed = {id: "" for id in living if half(id) == step % 2}
        ledger.write("?", what, changed)
        if what == "add":
            index.add(list(changed.values()), list(changed), [{"half": half(id)} for id in changed])
        elif what == "upsert":
            index.upsert(list(changed.values()), list(changed), [{"half": half(id)} for id in changed])
        elif what == "delete":
            assert index.delete(list(changed)) == len(changed)
        elif what == "filter":
            assert index.delete(filter={"half": step % 2}) == len(changed)
        elif what == "compact":
            index.compact()
        elif what == "export":
            assert index.export(folder / "out.jsonl") == len(living)
        else:
            for mode in ("dense", "lexical", "hybrid"):
                index.search("text of batch", mode=mode)
        ledger.write("!", what, changed)
        apply(living, changed)


def half(id: str) -> int:
    return sum(id.encode()) % 2


def apply(living: Documents, changed: Documents) -> None:
    """Texts by id: a new text, or an empty one for a deleted document."""
    for id, text in changed.items():
        if text:
            living[id] = text
        else:
            living.pop(id, None)


def look(folder: Path, _: int, __: int, ___: Documents) -> None:
    """Check the index and write down what it holds, in a child."""
    with opened(folder / "texts.db") as index:
        report = index.verify()
        assert report.ok, report
        count = index.count()
        exported = folder / "look.jsonl"
        assert index.export(exported) == count
        rows = [json.loads(line) for line in exported.read_text().splitlines()]
        assert all(row["metadata"] == {"half": half(row["id"])} for row in rows)
        found = {row["id"]: row["text"] for row in rows}
        ids = {hit.id for hit in index.search("text", top_k=10**4, merge_duplicates=False)}
        assert ids == found.keys(), "dense search finds just what is there"
        lexical = {
            hit.id
            for hit in index.search("text changed", top_k=10**4, mode="lexical", merge_duplicates=False)
        }
        assert lexical == found.keys(), "and so does lexical search"
    assert not list(folder.glob("texts.db-*"))
    (folder / "found.json").write_text(json.dumps(found))


def forked(task, *arguments) -> int:
    child = os.fork()
    if child:
        return child
    try:
        task(*arguments)
        os._exit(0)
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def crash(kills: int, seed: int, folder: Path) -> dict[str, int]:
    """Kill that many children.

    Returns:
        How many were killed in the middle of what.

    Raises:
        AssertionError: something acknowledged is lost, something deleted is back, or the index is damaged.
    """
    rng = random.Random(seed)
    living: Documents = {}
    moments: dict[str, int] = {}
    for round_ in range(kills):
        ledger = folder / "ledger"
        ledger.unlink(missing_ok=True)
        child = forked(work, folder, round_, rng.randrange(2**32), dict(living))
        while not (ledger.exists() and ledger.stat().st_size):
            time.sleep(0.0005)
        time.sleep(rng.random() * LONGEST_LIFE)
        os.kill(child, signal.SIGKILL)
        assert ended(child) == -signal.SIGKILL, f"kill {round_} (seed {seed}): the child ended by itself"
        begun, open_ = "opening", {}
        for line in ledger.read_text().splitlines():
            if not line.endswith("]"):
                break  # the kill cut it: what it says was not begun, or is not known to be done
            mark, begun, open_ = json.loads(line)
            if mark == "!":
                apply(living, open_)
                begun, open_ = "between", {}
        moments[begun] = moments.get(begun, 0) + 1
        assert ended(forked(look, folder, 0, 0, {})) == 0, f"kill {round_} (seed {seed}), in {begun}"
        found = json.loads((folder / "found.json").read_text())
        done = dict(living)
        apply(done, open_)
        assert found in (living, done), f"kill {round_} (seed {seed}), in {begun}: {different(living, found)}"
        living = found
        whole(folder / "out.jsonl")
    return moments


def different(expected: Documents, found: Documents) -> str:
    lost = sorted(expected.keys() - found.keys())
    return f"lost {lost}, too many {sorted(found.keys() - expected.keys())}"


def whole(exported: Path) -> None:
    """What was exported last is there as a whole, or never was."""
    for line in exported.read_text().splitlines() if exported.exists() else []:
        assert json.loads(line).keys() == {"id", "text", "metadata"}


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(2**32)
    with tempfile.TemporaryDirectory() as folder:
        moments = crash(kills, seed, Path(folder))
    shown = ", ".join(f"{count} in {what}" for what, count in sorted(moments.items()))
    print(f"{kills} kills, nothing lost (seed {seed}): {shown}")


if __name__ == "__main__":
    main()
