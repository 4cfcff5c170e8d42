"""Importing vicinal.util loads numpy alone; nothing here ever loads torch."""

from __future__ import annotations

import json
import subprocess
import sys

CODE = """
import json, sys
import numpy
import vicinal.util as util
rows = numpy.random.default_rng(0).standard_normal((3000, 8))
util.semantic_search(rows[:9].tolist(), rows), util.cos_sim(rows, rows), util.community_detection(rows)
util.paraphrase_mining_embeddings(rows), util.quantize_embeddings(rows, "int8")
heavy = ["torch", "openvino", "sklearn", "scipy", "matplotlib", "tqdm", "transformers", "faiss", "usearch"]
print(json.dumps([name for name in heavy if name in sys.modules]))
"""


def test_import_is_light_and_torch_is_never_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_every_promised_name_is_there() -> None:
    import vicinal.util as util

    assert all(callable(getattr(util, name)) for name in util.__all__)
