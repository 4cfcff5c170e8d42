"""Retrieve 100 candidates by their vectors, then let a cross-encoder order them.

python retrieve_and_rerank.py CROSS_ENCODER [MODEL]
"""

import sys

from sentence_transformers import CrossEncoder, SentenceTransformer, util

reranker = CrossEncoder(sys.argv[1] if len(sys.argv) > 1 else "cross-encoder/stsb-TinyBERT-L4")
retriever = SentenceTransformer(sys.argv[2] if len(sys.argv) > 2 else "vicinal-mini")

WHO = ["A man", "A woman", "A girl", "An old man", "A dog", "A chef", "A student", "A tourist"]
DOES = [
    "is playing the guitar",
    "is playing football",
    "is slicing an onion",
    "is riding a horse",
    "is reading a newspaper",
    "is sleeping on the sofa",
    "is swimming in the lake",
    "is climbing a rock",
]
WHERE = ["at home", "in the park", "on a stage", "in the rain"]
corpus = [f"{who} {does} {where}." for who in WHO for does in DOES for where in WHERE]
query = "A man is strumming a guitar on a stage."

corpus_embeddings = retriever.encode(corpus)
hits = util.semantic_search(retriever.encode(query), corpus_embeddings, top_k=100)[0]

scores = reranker.predict([(query, corpus[hit["corpus_id"]]) for hit in hits])
for hit, score in zip(hits, scores, strict=True):
    hit["cross_score"] = float(score)
hits.sort(key=lambda hit: hit["cross_score"], reverse=True)

print("query:", query)
print(f"{len(hits)} of {len(corpus)} texts reranked; the best:")
for hit in hits[:5]:
    print(f"{hit['cross_score']:.3f}  (by vectors {hit['score']:.3f})  {corpus[hit['corpus_id']]}")
