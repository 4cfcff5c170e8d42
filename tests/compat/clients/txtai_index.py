"""txtai: an index over sentence-transformers vectors, searched, saved and opened again."""

import json
import sys
import tempfile

from corpus import TEXTS
from txtai import Embeddings

QUERIES = ["my query is slow", "penalty shootout", "rings around a planet"]

index = Embeddings(path=sys.argv[1], method="sentence-transformers", backend="numpy", gpu=False)
index.index(TEXTS)
found = index.batchsearch(QUERIES, 3)
with tempfile.TemporaryDirectory() as folder:
    index.save(f"{folder}/index")
    again = Embeddings()
    again.load(f"{folder}/index")
    opened = again.search(QUERIES[0], 3)
index.upsert([(60, "Indexes make slow queries fast", None)])
added = index.search(QUERIES[0], 2)
prompted = Embeddings(
    path=sys.argv[1],
    method="sentence-transformers",
    backend="numpy",
    gpu=False,
    encodebatch=8,
    vectors={
        "prompts": {"query": "question: ", "document": "passage: "},
        "truncate_dim": 128,
        "model_kwargs": {"torch_dtype": "float32"},
    },
    encodeargs={"normalize_embeddings": True},
)
prompted.index(TEXTS)
print(
    json.dumps(
        {
            "found": [[[int(place), float(score)] for place, score in hits] for hits in found],
            "opened": [[int(place), float(score)] for place, score in opened],
            "added": [[int(place), float(score)] for place, score in added],
            "prompted": [[int(place), float(score)] for place, score in prompted.search(QUERIES[2], 3)],
            "transformed": [float(value) for value in index.transform("A text.")[:4]],
            "similarity": [
                [int(place), float(score)] for place, score in index.similarity("football", TEXTS[28:32])
            ],
        }
    )
)
