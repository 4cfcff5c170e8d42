"""One query, a corpus, the two texts that fit best.

python semantic_search.py [MODEL]
"""

import sys

from sentence_transformers import SentenceTransformer, util

model = SentenceTransformer(sys.argv[1] if len(sys.argv) > 1 else "vicinal-mini")
corpus = [
    "A man is eating a piece of bread.",
    "A woman is playing the violin.",
    "Two men pushed carts through the woods.",
    "A cheetah is running behind its prey.",
    "The new phone has a better camera.",
]
query = "Someone plays a musical instrument."

corpus_embeddings = model.encode(corpus)
query_embedding = model.encode(query)
hits = util.semantic_search(query_embedding, corpus_embeddings, top_k=2)[0]

print("query:", query)
for hit in hits:
    print(f"{hit['score']:.3f}  {corpus[hit['corpus_id']]}")
