"""KeyBERT: the keywords of a text, by a model's path and by a model object, plain and diversified."""

import json
import sys

from keybert import KeyBERT
from sentence_transformers import SentenceTransformer

TEXT = """Supervised learning is the machine learning task of learning a function that maps an input to an output
based on example input-output pairs. It infers a function from labeled training data consisting of a set of
training examples. In supervised learning, each example is a pair consisting of an input object, typically a
vector, and a desired output value, also called the supervisory signal. A supervised learning algorithm analyzes
the training data and produces an inferred function, which can be used for mapping new examples."""

by_path = KeyBERT(model=sys.argv[1])
by_object = KeyBERT(
    model=SentenceTransformer(sys.argv[1], device="cpu", model_kwargs={"torch_dtype": "float32"})
)
print(
    json.dumps(
        {
            "plain": by_path.extract_keywords(TEXT, keyphrase_ngram_range=(1, 2), top_n=8),
            "mmr": by_object.extract_keywords(TEXT, use_mmr=True, diversity=0.7, top_n=6),
            "maxsum": by_object.extract_keywords(TEXT, use_maxsum=True, nr_candidates=12, top_n=4),
            "two texts": by_object.extract_keywords([TEXT, "The cat sat on the mat."], top_n=2),
        }
    )
)
