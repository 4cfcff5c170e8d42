"""What the scripts here know of the server: where it is, and what its models give in the process that started it.

Each script is called as ``python SCRIPT URL FACTS.json``, asserts what it gets, and prints a line.
"""

import json
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np

URL = sys.argv[1]
FACTS = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))

KEY = FACTS["key"]
MODEL, RERANKER = FACTS["model"], FACTS["reranker"]
TEXTS, VECTORS, TOKENS = FACTS["texts"], np.array(FACTS["vectors"]), FACTS["tokens"]
LONG = FACTS["long"]
QUERY, DOCUMENTS = FACTS["query"], FACTS["documents"]
SCORES = np.array(FACTS["scores"])
CLASSIFIER, LABELS, SHARES = FACTS["classifier"], FACTS["labels"], FACTS["shares"]
ORDER = np.argsort(-SCORES, kind="stable").tolist()


def assert_near(found, wanted, tolerance=1e-3):
    """Equal numbers, but for what a batch of another composition moves them."""
    found, wanted = np.asarray(found, dtype=float), np.asarray(wanted, dtype=float)
    assert found.shape == wanted.shape, (found.shape, wanted.shape)
    assert np.abs(found - wanted).max() < tolerance, np.abs(found - wanted).max()


def shortened(vectors, dimensions):
    """Leading numbers, scaled to length 1."""
    kept = vectors[:, :dimensions]
    return kept / np.linalg.norm(kept, axis=1, keepdims=True)


@contextmanager
def refused(error, *words):
    """The client raises this error, and its text has these words."""
    try:
        yield
    except error as raised:
        text = str(raised)
        assert all(word in text for word in words), text
    else:
        raise AssertionError(f"no {error.__name__}")


def done():
    """Tell that all went well."""
    print("ok")
