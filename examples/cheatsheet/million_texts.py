"""A million texts in chunks, with a progress bar.

python million_texts.py [MODEL] [--rows 1000000] [--output embeddings.npy]
"""

import argparse
import resource
import time

import numpy as np
from sentence_transformers import SentenceTransformer

parser = argparse.ArgumentParser()
parser.add_argument("model", nargs="?", default="vicinal-mini")
parser.add_argument("--rows", type=int, default=1_000_000)
parser.add_argument("--output", help="where to save the embeddings (.npy)")
options = parser.parse_args()

CHUNK = 32_768
THINGS = ["phone", "kettle", "bicycle", "lamp", "jacket", "backpack", "camera", "chair"]
VERDICTS = [
    "works well",
    "broke after a week",
    "is worth its price",
    "came too late",
    "looks better than it is",
]


def texts(first: int, count: int) -> list[str]:
    """Some of the million product reviews."""
    return [
        f"Review {number}: the {THINGS[number % 8]} {VERDICTS[number % 5]}, says customer {number % 9973}."
        for number in range(first, first + count)
    ]


model = SentenceTransformer(options.model)
started = time.perf_counter()
parts = []
for first in range(0, options.rows, CHUNK):
    chunk = texts(first, min(CHUNK, options.rows - first))
    parts.append(model.encode(chunk, batch_size=256, show_progress_bar=True))
embeddings = np.vstack(parts)
seconds = time.perf_counter() - started

peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB
print(f"shape: {embeddings.shape}, {embeddings.nbytes / 2**20:.0f} MiB")
print(f"{seconds:.1f} s, {options.rows / seconds:,.0f} texts/s, at most {peak:.0f} MiB of memory")
if options.output:
    np.save(options.output, embeddings)
    print("saved:", options.output)
