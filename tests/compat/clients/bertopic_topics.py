"""BERTopic: topics of sixty texts, with scikit-learn's PCA and KMeans in the places of UMAP and HDBSCAN."""

import json
import sys

from bertopic import BERTopic
from bertopic.representation import KeyBERTInspired
from corpus import TEXTS
from sentence_transformers import SentenceTransformer
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer

model = BERTopic(
    embedding_model=SentenceTransformer(sys.argv[1]),
    umap_model=PCA(n_components=8, random_state=0),
    hdbscan_model=KMeans(n_clusters=4, n_init=10, random_state=0),
    vectorizer_model=CountVectorizer(stop_words="english"),
    representation_model=KeyBERTInspired(top_n_words=5, random_state=0),
)
topics, _ = model.fit_transform(TEXTS)
new, _ = model.transform(["The planet orbits a red dwarf star", "Fry the garlic in olive oil"])
similar, scores = model.find_topics("sports match", top_n=1)
print(
    json.dumps(
        {
            "topics": [int(topic) for topic in topics],
            "new": [int(topic) for topic in new],
            "words": {str(topic): sorted(word for word, _ in model.get_topic(topic)) for topic in range(4)},
            "similar": int(similar[0]),
            "score": float(scores[0]),
        }
    )
)
