"""Embeddings of three sentences, and their shape.

python embeddings.py [MODEL]
"""

import sys

from sentence_transformers import SentenceTransformer

model = SentenceTransformer(sys.argv[1] if len(sys.argv) > 1 else "vicinal-mini")
sentences = [
    "The weather is lovely today.",
    "It's so sunny outside!",
    "He drove to the stadium.",
]

embeddings = model.encode(sentences)

print("shape:", embeddings.shape)
for sentence, embedding in zip(sentences, embeddings, strict=True):
    print(f"{sentence:30} {embedding[:3].round(3)} ...")
