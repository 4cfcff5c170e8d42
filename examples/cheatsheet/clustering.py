"""Texts in groups by scikit-learn's KMeans.

python clustering.py [MODEL]
"""

import sys

from sentence_transformers import SentenceTransformer
from sklearn.cluster import KMeans

model = SentenceTransformer(sys.argv[1] if len(sys.argv) > 1 else "vicinal-mini")
texts = [
    "The team won the football match.",
    "The striker scored two goals in the final.",
    "The coach praised the goalkeeper after the game.",
    "Add the flour and the eggs to the bowl.",
    "Bake the cake for forty minutes.",
    "Stir the soup and add some salt.",
    "The telescope found a distant galaxy.",
    "The planet orbits a small red star.",
    "Astronomers watched the comet near the sun.",
]

embeddings = model.encode(texts, normalize_embeddings=True)
labels = KMeans(n_clusters=3, n_init=10, random_state=0).fit_predict(embeddings)

for label in sorted(set(labels.tolist())):
    print(f"group {label}:")
    for text, own in zip(texts, labels, strict=True):
        if own == label:
            print("   ", text)
