"""The server under load, beside infinity-emb and a plain FastAPI loop over sentence-transformers.

    python benchmarks/serve.py [--rounds 2] [--seconds 20] [--json FILE]
    python benchmarks/serve.py --only vicinal
    python benchmarks/serve.py --soak 10 [--plot memory.png]

all-MiniLM-L6-v2, requests of 1 to 8 texts of mixed lengths (STS-B sentences and Cranfield abstracts of ../shared), on
loopback, the client on the same cores. For each server: what one request takes alone (a short text), the most texts
per second (128 clients), and then an open loop, requests at random moments whether earlier ones are answered or not, at
half and at nine tenths of the server's own most, with the latencies of the requests. And what `encode` alone does
with the same texts. Servers take turns, some rounds; the best round counts.

The soak keeps the server at two thirds of its most for so many minutes, a tenth of the clients hanging up, and looks
at its memory every few seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import common
from serve_load import Target, as_fast_as_it_takes, one_by_one, open_loop, requests_of

HERE = Path(__file__).resolve()
PEERS = [common.TORCH, ["infinity-emb[server,torch]==0.0.78", "sentence-transformers", "fastapi", "uvicorn"]]
SERVERS = ("vicinal", "infinity", "plain")
_START = 180.0  # seconds in which a server must be there
_TEXTS_PER_REQUEST = 17 / 6  # of requests_of


def texts() -> list[str]:
    """Sentences and abstracts, two to one."""
    lines = (common.SHARED / "data/stsb/dev.tsv").read_text(encoding="utf-8").splitlines()
    short = list(dict.fromkeys(text for line in lines for text in line.split("\t")[5:7]))
    corpus = (common.SHARED / "data/cranfield/corpus.jsonl").read_text(encoding="utf-8").splitlines()
    long = [item["text"] for item in map(json.loads, corpus) if item["text"]]
    return [*short[: 2 * len(long)], *long]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])


@contextmanager
def running(name: str, folder: str, options: tuple[str, ...] = ()) -> Iterator[tuple[Target, int]]:
    """A server in a process of its own, and its process id."""
    port = free_port()
    if name == "vicinal":
        command = [sys.executable, "-m", "vicinal", "serve", "--model", folder, "--port", str(port)]
        command += ["--cache", "off", *options]
        path, model = "/v1/embeddings", Path(folder).name
    else:
        python = common.peer_python("serving", PEERS)
        if name == "infinity":
            command = [
                str(Path(python).parent / "infinity_emb"),
                "v2",
                "--model-id",
                folder,
                "--port",
                str(port),
            ]
            command += [
                "--host",
                "127.0.0.1",
                "--engine",
                "torch",
                "--device",
                "cpu",
                "--no-bettertransformer",
            ]
            command += ["--served-model-name", "model", "--url-prefix", "/v1", "--log-level", "error"]
        else:
            command = [python, str(HERE.with_name("serve_plain.py")), folder, str(port)]
        path, model = "/v1/embeddings", "model"
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "INFINITY_ANONYMOUS_USAGE_STATS": "0",
    }
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _until_there(process, port)
        yield Target(f"http://127.0.0.1:{port}{path}", model), process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_there(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + _START
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"the server ended: {process.stderr.read().decode()[-2000:]}")  # type: ignore[union-attr]
        with suppress(OSError):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        time.sleep(0.2)
    raise SystemExit("the server did not start")


def encode_alone(folder: str, seconds: float) -> float:
    """Texts per second of encode, many at once, over the same texts."""
    from vicinal import SentenceTransformer

    model = SentenceTransformer(folder)
    sample = [text for asked in requests_of(texts(), 3000, seed=9) for text in asked]
    model.encode(sample[:300], on_truncate="ignore", show_progress_bar=False)
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        part = [sample[(done + place) % len(sample)] for place in range(1000)]
        model.encode(part, on_truncate="ignore", show_progress_bar=False)
        done += len(part)
    return done / (time.perf_counter() - start)


def measure(name: str, folder: str, seconds: float, seed: int) -> dict[str, float]:
    """One round of one server."""
    source = texts()
    found: dict[str, float] = {}
    with running(name, folder) as (target, pid):
        warm = requests_of(source, 60, seed=seed + 1)
        asyncio.run(as_fast_as_it_takes(target, warm, 4))
        alone = [[f"a short sentence, number {number}"] for number in range(60)]
        single = asyncio.run(one_by_one(target, alone))
        found["single"] = single.percentile(0.5)
        mixed = asyncio.run(one_by_one(target, requests_of(source, 200, seed=seed + 4)))
        found["single mixed p50"], found["single mixed p99"] = mixed.percentile(0.5), mixed.percentile(0.99)
        probe = asyncio.run(as_fast_as_it_takes(target, requests_of(source, 100, seed=seed + 2)))
        count = max(100, int(probe.rate * seconds / _TEXTS_PER_REQUEST))
        most = asyncio.run(as_fast_as_it_takes(target, requests_of(source, count, seed=seed + 3)))
        found["most"] = most.rate
        for share in (0.5, 0.9):
            asked = requests_of(source, max(50, int(count * share)), seed=seed + int(10 * share))
            run = asyncio.run(open_loop(target, asked, share * most.rate, seed))
            for place in (0.5, 0.95, 0.99):
                found[f"p{int(100 * place)} at {share:g}"] = run.percentile(place)
            found[f"refused at {share:g}"] = sum(run.refused.values())
        found["memory"] = memory_mib(pid)
    return found


def memory_mib(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise SystemExit("no VmRSS in /proc: this benchmark needs Linux")


def compare(rounds: int, seconds: float, only: list[str], output: Path | None) -> None:
    """All servers in turn, and the table."""
    folder = str(common.minilm())
    print(common.machine("vicinal", "fastapi", "uvicorn"))
    best: dict[str, dict[str, float]] = {}
    alone = 0.0
    for number in range(rounds):
        rate = common.run_json(sys.executable, HERE, "--encode", str(seconds))["rate"]
        alone = max(alone, rate)
        print(f"round {number + 1}: encode alone: {rate:.0f} texts/s", file=sys.stderr)
        for name in only:
            found = measure(name, folder, seconds, 1000 * number)
            print(f"round {number + 1}: {name}: {found}", file=sys.stderr)
            known = best.setdefault(name, found)
            for key, value in found.items():
                known[key] = max(known[key], value) if key in ("most", "memory") else min(known[key], value)
    report(alone, best)
    if output is not None:
        output.write_text(json.dumps({"encode alone": alone, **best}, indent=2))


def report(alone: float, best: dict[str, dict[str, float]]) -> None:
    """Print the table."""
    print(f"\nencode alone: {alone:.0f} texts/s")
    print(
        f"{'':10} {'texts/s':>9} {'of encode':>9} {'one request':>12} {'half load: p50':>15} {'p95':>8} {'p99':>8} "
        f"{'p99/one mixed':>14} {'0.9 load: p50':>14} {'p95':>8} {'p99':>8} {'memory':>10}"
    )
    for name, row in best.items():
        ms = {key: 1000 * value for key, value in row.items()}
        print(
            f"{name:10} {row['most']:9.0f} {row['most'] / alone:8.0%} {ms['single']:9.1f} ms "
            f"{ms['p50 at 0.5']:12.1f} ms {ms['p95 at 0.5']:5.0f} ms {ms['p99 at 0.5']:5.0f} ms "
            f"{row['p99 at 0.5'] / row['single mixed p99']:13.1f}x {ms['p50 at 0.9']:11.1f} ms "
            f"{ms['p95 at 0.9']:5.0f} ms {ms['p99 at 0.9']:5.0f} ms {row['memory']:6.0f} MiB"
        )
    for name, row in best.items():
        if name != "vicinal" and "vicinal" in best:
            print(f"vicinal / {name}: {best['vicinal']['most'] / row['most']:.1f}x texts/s")


# -- soak ------------------------------------------------------------------------------------------------


def soak(minutes: float, plot: Path | None) -> None:
    """Load for minutes; the memory of the process at the start and the end, and between."""
    folder, source = str(common.minilm()), texts()
    samples: list[tuple[float, float]] = []
    draw = random.Random(1)
    with running("vicinal", folder) as (target, pid):
        probe = asyncio.run(as_fast_as_it_takes(target, requests_of(source, 200, seed=2)))
        rate = probe.rate * 2 / 3
        start = time.monotonic()
        counts = {"answered": 0, "refused": 0, "hung up": 0}

        async def one(texts: list[str], leaves: float | None) -> None:
            try:
                status, _ = await asyncio.wait_for(target.ask(target.raw(texts)), leaves)
                counts["answered" if status == 200 else "refused"] += 1
            except (asyncio.TimeoutError, TimeoutError):
                counts["hung up"] += 1

        async def load() -> None:
            number, running_now = 0, set[asyncio.Future[None]]()
            while time.monotonic() - start < 60 * minutes:
                (asked,) = requests_of(source, 1, seed=10_000 + number)
                number += 1
                leaves = 0.05 * draw.random() if draw.random() < 0.1 else None
                task = asyncio.ensure_future(one(asked, leaves))
                running_now.add(task)
                task.add_done_callback(running_now.discard)
                await asyncio.sleep(draw.expovariate(rate / _TEXTS_PER_REQUEST))
            await asyncio.gather(*running_now)

        async def watch() -> None:
            while time.monotonic() - start < 60 * minutes:
                samples.append((time.monotonic() - start, memory_mib(pid)))
                await asyncio.sleep(min(5.0, 6 * minutes))

        async def both() -> None:
            await asyncio.gather(load(), watch())

        asyncio.run(both())
    fifth = max(1, len(samples) // 5)
    early = [memory for _, memory in samples[fifth : 2 * fifth]] or [samples[0][1]]
    late = [memory for _, memory in samples[-fifth:]]
    print(
        f"{minutes:g} minutes, {counts}: {samples[0][1]:.0f} MiB at the start, {sum(early) / len(early):.0f} in the "
        f"second fifth, {sum(late) / len(late):.0f} in the last, {max(memory for _, memory in samples):.0f} at most"
    )
    if plot is not None:
        draw_memory(samples, plot)


def draw_memory(samples: list[tuple[float, float]], path: Path) -> None:
    """A picture of the memory over time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 3))
    axes.plot([second / 60 for second, _ in samples], [memory for _, memory in samples])
    axes.set(xlabel="minutes", ylabel="MiB", title="Resident memory of vicinal serve under load")
    axes.set_ylim(bottom=0)
    figure.tight_layout()
    figure.savefig(path)
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20, help="of each step, about")
    parser.add_argument("--only", action="append", choices=SERVERS, help="leave the others out")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--soak", type=float, metavar="MINUTES")
    parser.add_argument("--plot", type=Path, help="a picture of the soak's memory")
    parser.add_argument("--encode", type=float, help=argparse.SUPPRESS)
    arguments: Any = parser.parse_args()
    if arguments.encode:
        print(json.dumps({"rate": encode_alone(str(common.minilm()), arguments.encode)}))
    elif arguments.soak:
        soak(arguments.soak, arguments.plot)
    else:
        compare(arguments.rounds, arguments.seconds, arguments.only or list(SERVERS), arguments.json)


if __name__ == "__main__":
    main()
