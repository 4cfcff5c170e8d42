"""What Vicinal does on an accelerator, beside sentence-transformers: parity, memory, throughput, training, search.

    python benchmarks/gpu.py [--device cuda] [--json FILE] [--limit 210] [--parts ...]
    python benchmarks/gpu.py --pack FOLDER          what a machine without the models and the data needs, 47 MB
    python benchmarks/gpu.py --carried FOLDER ...   on that machine
    python benchmarks/gpu.py --small --device cpu   a few seconds on the CPU, to see that all of it runs

Both libraries run in one process, one after the other, each with its best settings of those that are listed
with its figure, and after a first run that is not counted. A part whose package is absent is skipped, and says so;
so is one for which no time is left. The figures are written after each part.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.util
import json
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import gpu_data  # noqa: E402
import gpu_training  # noqa: E402
from gpu_table import Part, Row, printed  # noqa: E402

PARTS = ("parity", "memory", "throughput", "training", "search")


class Bench:
    """One run.

    Args:
        options: of the command line.
        data: models and texts.
    """

    def __init__(self, options: argparse.Namespace, data: gpu_data.Data) -> None:
        import torch

        self.torch: Any = torch
        self.options, self.data = options, data
        self.device: str = options.device
        self.small: bool = options.small
        self.cuda = self.device.startswith("cuda")
        self.half = [] if self.device == "cpu" else ["bfloat16", "float16"]
        self.started = time.perf_counter()

    def left(self) -> float:
        """Seconds until no new work is begun."""
        return float(self.options.limit) - (time.perf_counter() - self.started)

    @contextlib.contextmanager
    def peak(self) -> Iterator[Callable[[], float]]:
        """Within the block; what it gives tells the device memory in MiB that was in use at most."""
        gc.collect()
        if self.cuda:
            self.torch.cuda.empty_cache()
            self.torch.cuda.reset_peak_memory_stats()
        yield lambda: self.torch.cuda.max_memory_allocated() / 2**20 if self.cuda else 0.0

    def seconds(self, run: Callable[[], Any], rounds: int = 2) -> float:
        """The shortest of some runs, after one that is not counted."""
        run()
        found = []
        for _ in range(1 if self.small else rounds):
            self.wait()
            begin = time.perf_counter()
            run()
            self.wait()
            found.append(time.perf_counter() - begin)
        return min(found)

    def taken(self, what: str, mib: float | None, peer: float | None) -> Iterator[Row]:
        """The most device memory that was in use (f)."""
        if self.cuda:
            yield Row(f"{what}: memory", mib, "MiB", peer=peer)

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.cuda:
            self.torch.cuda.synchronize()

    def model(self, device: str, **options: Any) -> Any:
        from vicinal import SentenceTransformer

        return SentenceTransformer(str(self.data.model), device=device, backend="torch", **options)

    # (a)
    def parity(self) -> Iterator[Row]:
        """Each type on the device against float32 on the CPU."""
        import numpy as np

        from vicinal import CrossEncoder

        texts, pairs = self.data.hard, list(zip(self.data.hard[:-1], self.data.hard[1:], strict=True))
        wanted = self.model("cpu").encode(texts, normalize_embeddings=True)
        folder = str(self.data.cross_encoder)
        scores = CrossEncoder(folder, device="cpu", backend="torch").predict(pairs)
        for dtype in ("float32", *self.half):
            limit = 1e-5 if dtype == "float32" else 1e-3
            model = self.model(self.device, dtype=dtype)
            found = model.encode(texts, normalize_embeddings=True)
            apart = float(np.abs(found - wanted).max())
            cosine = float(1 - (found * wanted).sum(1).min())
            note = f"{model._engine.attention}; 1 - cosine at most {cosine:.1e}"
            yield Row(f"vectors, {dtype}: largest difference", apart, "", limit=limit, note=note)
            scorer: Any = CrossEncoder(folder, device=self.device, backend="torch", dtype=dtype)
            apart = float(np.abs(scorer.predict(pairs) - scores).max())
            note = f"scores from {float(scores.min()):.2f} to {float(scores.max()):.2f}"
            yield Row(f"scores, {dtype}: largest difference", apart, "", limit=10 * limit, note=note)

    # (b)
    def memory(self) -> Iterator[Row]:
        """Texts are encoded although the device has no room for the batches that are tried first."""
        import numpy as np

        model = self.model(self.device, dtype="float32")
        texts = self.data.long(64 if self.small else 512)
        wanted = model.encode(texts)
        full = model._engine.token_budget
        with warnings.catch_warnings(record=True) as said, self.scarce(model):
            warnings.simplefilter("always")
            found = model.encode(texts, batch_size=32 if self.device == "cpu" else None)
        halved = [str(each.message) for each in said if "out of memory" in str(each.message)]
        note = (
            f"{halved[0]} (tokens per batch: {full} -> {model._engine.token_budget})"
            if halved
            else "no warning"
        )
        apart = float(np.abs(found - wanted).max())
        yield Row("out of memory: happened", float(bool(halved)), "", note=note, limit_low=1)
        yield Row("out of memory: largest difference", apart, "", limit=1e-5)

    @contextlib.contextmanager
    def scarce(self, model: Any) -> Iterator[None]:
        """The device has memory for a small batch only; where it has none of its own, the first batches fail."""
        if self.cuda:
            torch = self.torch
            gc.collect()
            torch.cuda.empty_cache()
            total = torch.cuda.get_device_properties(self.device).total_memory
            torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 160 * 2**20) / total)
            try:
                yield
            finally:
                torch.cuda.set_per_process_memory_fraction(1.0)
            return
        engine, refused = model._engine, []
        compute = engine._features

        def refusing(batch: Any) -> Any:
            if len(batch.lengths) > 8:
                refused.append(len(batch.lengths))
                from vicinal.nn.engine.tokens import out_of_memory

                with out_of_memory(len(batch.lengths)):
                    raise self.torch.OutOfMemoryError("out of memory, as a device would say it")
            return compute(batch)

        engine._features = refusing
        try:
            yield
        finally:
            del engine._features

    # (c), (f)
    def throughput(self) -> Iterator[Row]:
        """Texts per second, from texts to float32 vectors on the host."""
        counts = {"short": 256, "long": 32} if self.small else {"short": 200_000, "long": 20_000}
        for kind, count in counts.items():
            texts = self.data.short(count) if kind == "short" else self.data.long(count)
            rate, peak, note = self.best(self.vicinal_settings(), texts)
            other = self.best(self.peer_settings(), texts) if peer() else (None, None, ABSENT)
            both = f"{note}; peer: {other[2]}"
            yield Row(f"encode, {kind} texts", rate, "texts/s", peer=other[0], at_least=1.5, note=both)
            yield from self.taken(f"encode, {kind} texts", peak, other[1])
        texts = self.data.short(counts["short"])
        tokenizer = self.model(self.device)._texts
        rate = len(texts) / self.seconds(lambda: tokenizer(texts), rounds=1)
        yield Row("short texts: tokenising alone", rate, "texts/s", note="the limit of encode, on the CPU")

    def vicinal_settings(self) -> Iterator[tuple[str, Callable[[list[str]], Any]]]:
        for dtype in self.half[:1] or ["float32"]:
            model = self.model(self.device, dtype=dtype)
            yield f"{dtype}, {model._engine.attention}", model.encode

    def peer_settings(self) -> Iterator[tuple[str, Callable[[list[str]], Any]]]:
        from sentence_transformers import SentenceTransformer

        dtype = (self.half or ["float32"])[0]
        model = SentenceTransformer(
            str(self.data.model), device=self.device, model_kwargs={"dtype": getattr(self.torch, dtype)}
        )
        for size in (32,) if self.small else (256, 1024, 4096):
            yield (
                f"{dtype}, batches of {size}",
                lambda texts, size=size: model.encode(texts, batch_size=size, show_progress_bar=False),
            )

    def best(self, settings: Any, texts: list[str]) -> tuple[float | None, float | None, str]:
        """The highest rate, the memory it took, and with which settings."""
        found: list[tuple[float, float, str]] = []
        for name, encode in settings:
            if found and self.left() < 20:
                break
            with self.peak() as peak:
                encode(texts[: len(texts) // 10])
                rate = len(texts) / self.seconds(lambda encode=encode: encode(texts), rounds=2)
                found.append((rate, peak(), name))
        return max(found) if found else (None, None, "no time left")

    # (d)
    def training(self) -> Iterator[Row]:
        """Steps per second of ``fit`` and of the trainer, bfloat16 where the device has it."""
        for way in ("fit", "trainer"):
            if importlib.util.find_spec("datasets") is None and way == "trainer":
                yield Row(f"training, {way}", None, "steps/s", note="skipped: datasets is not installed")
                continue
            with self.peak() as peak:
                rate = gpu_training.rate("vicinal", way, self)
                taken = peak()
            other, other_taken, note = None, None, ABSENT
            if peer() and importlib.util.find_spec("datasets") is not None:
                try:
                    with self.peak() as peak:
                        other, note = gpu_training.rate("sentence_transformers", way, self), ""
                        other_taken = peak()
                except Exception as error:  # what it needs besides may be of another version
                    note = f"peer failed: {type(error).__name__}: {error}"
            yield Row(f"training, {way}", rate, "steps/s", peer=other, at_least=1.3, note=note)
            yield from self.taken(f"training, {way}", taken, other_taken)

    # (e)
    def search(self) -> Iterator[Row]:
        """The ten nearest of each of 1,000 queries, both on the device, exact."""
        from vicinal import util

        torch = self.torch
        rows, queries = (5_000, 20) if self.small else (self.options.rows, 1_000)
        generator = torch.Generator(device=self.device).manual_seed(0)

        def unit(count: int) -> Any:
            table = torch.empty(count, 384, device=self.device)
            for part in table.split(1 << 20):
                part.normal_(generator=generator)
                part /= part.norm(dim=1, keepdim=True)
            return table

        corpus, asked = unit(rows), unit(queries)
        with self.peak() as peak:
            ours = util.semantic_search(asked, corpus, top_k=10)
            time_taken = self.seconds(lambda: util.semantic_search(asked, corpus, top_k=10))
            memory = peak() - corpus.numel() * 4 / 2**20
        rate, other, other_memory, note = queries / time_taken, None, None, ABSENT
        if peer():
            from sentence_transformers import util as theirs

            found, note = [], ""
            for size, block in ((100, 500_000), (queries, 500_000)):
                with self.peak() as peak:
                    run = lambda size=size, block=block: theirs.semantic_search(  # noqa: E731
                        asked, corpus, query_chunk_size=size, corpus_chunk_size=block, top_k=10
                    )
                    found.append(
                        (
                            queries / self.seconds(run, rounds=1),
                            peak() - corpus.numel() * 4 / 2**20,
                            f"peer: chunks of {size} x {block}",
                        )
                    )
                    hits = run()
            other, other_memory, note = max(found)
            same = sum(
                {each["corpus_id"] for each in a} == {each["corpus_id"] for each in b}
                for a, b in zip(ours, hits, strict=True)
            )
            note += f"; {same} of {queries} queries with the same ten"
        yield Row(f"search, {rows:,} x 384", rate, "queries/s", peer=other, at_least=2.0, note=note)
        yield from self.taken("search, beside the corpus", memory, other_memory)


ABSENT = "peer skipped: sentence-transformers is not installed"


def peer() -> bool:
    """Whether the real sentence-transformers is here."""
    return importlib.util.find_spec("sentence_transformers") is not None


def run(options: argparse.Namespace, data: gpu_data.Data) -> list[Part]:
    """All parts; the figures of those that are done are on the disk at any time."""
    bench, parts = Bench(options, data), []
    for name in options.parts:
        part = Part(name)
        parts.append(part)
        if bench.left() < 15:
            part.note = "skipped: no time left"
            continue
        begin = time.perf_counter()
        try:
            for row in getattr(bench, name)():
                part.rows.append(row)
        except Exception as error:  # the other parts are worth having all the same
            if options.small:
                raise
            logging.exception("%s failed", name)
            part.note = f"failed: {type(error).__name__}: {error}"
        part.seconds = time.perf_counter() - begin
        written(options.json, parts)
        print(printed([part]), flush=True)
    return parts


def written(path: Path | None, parts: list[Part]) -> None:
    if path is not None:
        path.write_text(
            json.dumps({"machine": machine(), "parts": [each.as_dict() for each in parts]}, indent=1)
        )


def machine() -> dict[str, str]:
    """Card, processor cores and versions."""
    import importlib.metadata
    import platform

    import torch

    found = {"python": platform.python_version(), "cores": str(os.cpu_count())}
    found["card"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    for name in ("torch", "transformers", "tokenizers", "sentence-transformers", "datasets", "accelerate"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--limit", type=float, default=210, help="seconds after which no part is begun")
    parser.add_argument("--rows", type=int, default=10_000_000, help="vectors that are searched")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--small", action="store_true", help="sizes that take seconds on a CPU")
    parser.add_argument("--model", type=Path, help="folder; default all-MiniLM-L6-v2")
    parser.add_argument("--cross-encoder", type=Path, help="folder; default that of ../shared")
    parser.add_argument("--pack", type=Path, metavar="FOLDER", help="write models and texts there, and stop")
    parser.add_argument("--carried", type=Path, metavar="FOLDER", help="read what --pack wrote")
    options = parser.parse_args(arguments)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ["WANDB_DISABLED"] = "true"
    if options.pack:
        gpu_data.pack(options.pack, options.model, options.cross_encoder)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        if options.carried:
            data = gpu_data.unpacked(options.carried, Path(scratch))
        else:
            data = gpu_data.here(options.model, options.cross_encoder)
        print("; ".join(f"{key} {value}" for key, value in machine().items()), flush=True)
        parts = run(options, data)
    print(printed(parts))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
