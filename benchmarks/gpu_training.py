"""Training steps per second for ``benchmarks/gpu.py``: the same script for both libraries."""

from __future__ import annotations

import importlib
import tempfile
import time
import warnings
from typing import Any


def rate(library: str, way: str, bench: Any) -> float:
    """Steps per second once the first ones are over.

    Args:
        library: ``"vicinal"`` or ``"sentence_transformers"``.
        way: ``"fit"`` or ``"trainer"``.
        bench: the run, for device, sizes and data.
    """
    torch, lib = bench.torch, importlib.import_module(library)
    losses = importlib.import_module(f"{library}.losses")
    size, steps, skipped = (4, 6, 2) if bench.small else (64, 80, 20)
    torch.manual_seed(0)
    model = lib.SentenceTransformer(str(bench.data.model), device=bench.device)
    rows = (bench.data.pairs * (1 + size * steps // len(bench.data.pairs)))[: size * steps]
    clock: list[float] = []

    class Timed(losses.MultipleNegativesRankingLoss):  # type: ignore[misc, name-defined]
        def forward(self, *inputs: Any, **options: Any) -> Any:
            if len(clock) in (skipped, steps - 1):
                bench.wait()
            clock.append(time.perf_counter())
            return super().forward(*inputs, **options)

    loss = Timed(model)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # the old name of a function, of which both may warn
        if way == "fit":
            from torch.utils.data import DataLoader

            examples = [lib.InputExample(texts=[a, b]) for a, b, _ in rows]
            loader: Any = DataLoader(examples, batch_size=size)  # type: ignore[arg-type]
            options = {"use_amp": bench.device != "cpu", "show_progress_bar": False, "warmup_steps": 2}
            model.fit([(loader, loss)], epochs=1, **options)
        else:
            from datasets import Dataset

            arguments = lib.SentenceTransformerTrainingArguments(
                folder,
                num_train_epochs=1,
                per_device_train_batch_size=size,
                bf16=bench.device != "cpu",
                use_cpu=bench.device == "cpu",
                report_to="none",
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                dataloader_num_workers=0,
            )
            data = Dataset.from_dict({"a": [row[0] for row in rows], "b": [row[1] for row in rows]})
            lib.SentenceTransformerTrainer(model, arguments, train_dataset=data, loss=loss).train()
    return (len(clock) - 1 - skipped) / (clock[-1] - clock[skipped])
