"""Two processes train what one process with the doubled batch trains."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")

from safetensors.torch import load_file  # noqa: E402
from tinybert import pairs, write_tiny  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.slow]

_SCRIPT = """
import sys
from vicinal import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments, losses
from datasets import Dataset

folder, data, out, batch = sys.argv[1:5]

class Ev:
    primary_metric = "score"
    def __call__(self, model, output_path=None, epoch=-1, steps=-1):
        print("evaluated", flush=True)
        return {"score": 0.5 + 0.01 * steps}

rows = Dataset.from_json(data)
makes = {
    "cosine": losses.CosineSimilarityLoss,
    "ranking": lambda model: losses.MultipleNegativesRankingLoss(model, gather_across_devices=True),
}
for kind, make in makes.items():
    model = SentenceTransformer(folder)
    args = SentenceTransformerTrainingArguments(
        f"{out}/{kind}", per_device_train_batch_size=int(batch), max_steps=6, learning_rate=1e-3, bf16=False,
        disable_tqdm=True, save_strategy="steps", save_steps=3, logging_steps=1, eval_strategy="steps", eval_steps=3,
        use_cpu=True, dataloader_drop_last=True, check_data=False,
    )
    trainer = SentenceTransformerTrainer(model, args, rows, rows.select(range(10)), make, Ev())
    trainer.train()
    if trainer.is_world_process_zero():
        model.save(f"{out}/{kind}/final")
        history = trainer.state.log_history
        print(kind, [entry["loss"] for entry in history if "loss" in entry], flush=True)
        print(kind, [entry["eval_loss"] for entry in history if "eval_loss" in entry], flush=True)
"""


def test_two_processes_are_one_with_twice_the_batch(tmp_path: Path) -> None:
    model = write_tiny(tmp_path / "model", dropout=0.0)
    (tmp_path / "run.py").write_text(_SCRIPT, encoding="utf-8")
    datasets.Dataset.from_list(pairs(34)).to_json(tmp_path / "rows.jsonl")
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "HF_HOME": str(tmp_path / "cache"),
        "CUDA_VISIBLE_DEVICES": "",
    }

    def run(out: str, batch: int, *launcher: str) -> str:
        command = [
            sys.executable,
            *launcher,
            str(tmp_path / "run.py"),
            str(model),
            str(tmp_path / "rows.jsonl"),
        ]
        done = subprocess.run(
            [*command, str(tmp_path / out), str(batch)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr[-12000:]
        return done.stdout

    one = run("one", 8)
    two = run("two", 4, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    assert one.count("evaluated") == two.count("evaluated") == 6  # the main process alone
    print(one, two)
    start = load_file(model / "model.safetensors")
    for kind in ("cosine", "ranking"):
        a, b = (load_file(tmp_path / name / kind / "final" / "model.safetensors") for name in ("one", "two"))
        assert max((a[name] - start[name]).abs().max() for name in a) > 1e-3
        for name in a:
            torch.testing.assert_close(b[name], a[name], atol=5e-6, rtol=1e-4, msg=f"{kind} {name}")
        assert (tmp_path / "two" / kind / "checkpoint-6" / "rng_state_1.pth").is_file()
