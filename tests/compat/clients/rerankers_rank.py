"""rerankers: its cross-encoder, which is transformers', beside CrossEncoder's scores of the same pairs."""

import json
import sys

from corpus import TEXTS
from rerankers import Reranker
from sentence_transformers import CrossEncoder

QUESTION = "What did the telescope see?"

ranker = Reranker(sys.argv[2], model_type="cross-encoder", device="cpu", dtype="float32", verbose=0)
ranked = ranker.rank(query=QUESTION, docs=TEXTS, doc_ids=list(range(len(TEXTS))))
scorer = CrossEncoder(sys.argv[2], device="cpu", model_kwargs={"torch_dtype": "float32"})
own = scorer.rank(QUESTION, TEXTS, top_k=5)
print(
    json.dumps(
        {
            "ranked": [[result.doc_id, float(result.score)] for result in ranked.top_k(5)],
            "own": [[hit["corpus_id"], float(hit["score"])] for hit in own],
        }
    )
)
