"""Two processes train what one process with the doubled batch trains."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")

from safetensors.torch import load_file  # noqa: E402
from tinybert import pairs, write_tiny  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.slow]

KINDS = ("cosine", "ranking")


def train(model_folder: str, data: str, out: str, batch: int) -> int:
    """Train a model with each kind of loss, in whichever process this is; says how often it was evaluated there."""
    from vicinal import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
        losses,
    )

    class Evaluator:
        primary_metric = "score"
        calls = 0

        def __call__(
            self, model: Any, output_path: Any = None, epoch: int = -1, steps: int = -1
        ) -> dict[str, float]:
            self.calls += 1
            return {"score": 0.5 + 0.01 * steps}

    evaluator = Evaluator()
    rows = datasets.Dataset.from_json(data)
    for kind in KINDS:
        model = SentenceTransformer(model_folder)
        args = SentenceTransformerTrainingArguments(
            f"{out}/{kind}",
            per_device_train_batch_size=batch,
            max_steps=4,
            learning_rate=1e-3,
            bf16=False,
            disable_tqdm=True,
            save_strategy="steps",
            save_steps=4,
            eval_strategy="steps",
            eval_steps=2,
            use_cpu=True,
            dataloader_drop_last=True,
            check_data=False,
        )
        loss = (
            losses.CosineSimilarityLoss(model)
            if kind == "cosine"
            else losses.MultipleNegativesRankingLoss(model, gather_across_devices=True)
        )
        trainer = SentenceTransformerTrainer(model, args, rows, rows.select(range(10)), loss, evaluator)
        trainer.train()
        if trainer.is_world_process_zero():
            model.save(f"{out}/{kind}/final")
    return evaluator.calls


def test_two_processes_are_one_with_twice_the_batch(tmp_path: Path) -> None:
    model, rows = write_tiny(tmp_path / "model", dropout=0.0), tmp_path / "rows.jsonl"
    datasets.Dataset.from_list(pairs(34)).to_json(rows)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # What torchrun says to the processes that it starts.
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OMP_NUM_THREADS": "1",
        "HF_HOME": str(tmp_path / "cache"),
        "CUDA_VISIBLE_DEVICES": "",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
    }
    script = (
        "import sys\nfrom test_trainer_processes import train\n"
        "print('evaluated', train(*sys.argv[1:4], int(sys.argv[4])))"
    )
    command = [sys.executable, "-c", script, str(model), str(rows), str(tmp_path / "two"), "4"]
    both = [
        subprocess.Popen(
            command,
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        calls = train(str(model), str(rows), str(tmp_path / "one"), 8)
    finally:
        torch.set_num_threads(threads)
        said = [process.communicate(timeout=240) for process in both]
    for process, (_, error) in zip(both, said, strict=True):
        assert process.returncode == 0, error[-12000:]
    assert calls == 6
    assert [out.splitlines()[-1] for out, _ in said] == [
        "evaluated 6",
        "evaluated 0",
    ]  # the main process alone
    start = load_file(model / "model.safetensors")
    for kind in KINDS:
        a, b = (load_file(tmp_path / name / kind / "final" / "model.safetensors") for name in ("one", "two"))
        assert max((a[name] - start[name]).abs().max() for name in a) > 1e-3
        for name in a:
            torch.testing.assert_close(b[name], a[name], atol=5e-6, rtol=1e-4, msg=f"{kind} {name}")
        assert (tmp_path / "two" / kind / "checkpoint-4" / "rng_state_1.pth").is_file()
