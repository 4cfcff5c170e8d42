"""The similarity of every text with every other.

python similarity_matrix.py [MODEL]
"""

import sys

from sentence_transformers import SentenceTransformer, util

model = SentenceTransformer(sys.argv[1] if len(sys.argv) > 1 else "vicinal-mini")
sentences = [
    "How do I reset my password?",
    "I forgot my password and need a new one.",
    "What is the capital of France?",
    "Paris is the capital of France.",
]

embeddings = model.encode(sentences)
similarities = util.pytorch_cos_sim(embeddings, embeddings)

print("shape:", tuple(similarities.shape))
for row in similarities:
    print("  ".join(f"{score:6.3f}" for score in row.tolist()))
