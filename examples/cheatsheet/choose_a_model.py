"""Which model? Name, dimensions, speed and size of each, measured here.

python choose_a_model.py MODEL [MODEL ...]
"""

import sys
import tempfile
import time
from pathlib import Path

from sentence_transformers import SentenceTransformer

names = sys.argv[1:] or ["vicinal-mini"]
texts = [
    f"Sentence {number} says that the {word} is here." for number in range(64) for word in ("cat", "train")
]


def measured(name: str) -> tuple[str, int, str, float, float]:
    """Name, dimensions, tokens read, sentences a second, and MiB on the disk."""
    model = SentenceTransformer(name)
    model.encode(texts)  # the first call also warms up
    started, rounds = time.perf_counter(), 0
    while time.perf_counter() - started < 0.5:
        model.encode(texts)
        rounds += 1
    speed = rounds * len(texts) / (time.perf_counter() - started)
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    tokens = str(model.max_seq_length) if model.max_seq_length < 1_000_000 else "no limit"
    return name, model.get_sentence_embedding_dimension(), tokens, speed, size / 2**20


print(f"{'model':40} {'dimensions':>10} {'tokens':>10} {'sentences/s':>12} {'MiB':>7}")
for name, dimensions, tokens, speed, size in sorted(map(measured, names), key=lambda row: -row[3]):
    print(f"{name[-40:]:40} {dimensions:10} {tokens:>10} {speed:12,.0f} {size:7.1f}")
