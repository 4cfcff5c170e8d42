"""skrub: LLMEncoder over a column, alone and in a TableVectorizer, also pickled."""

import json
import pickle
import sys

import pandas as pd
from corpus import LABELS, TEXTS
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from skrub import LLMEncoder, TableVectorizer

texts = pd.Series([*TEXTS, None, TEXTS[0]], name="text")
whole = LLMEncoder(model_name=sys.argv[1], n_components=None, device="cpu").fit_transform(texts)
encoder = LLMEncoder(model_name=sys.argv[1], n_components=8, random_state=0, device="cpu")
reduced = encoder.fit_transform(texts)
again = pickle.loads(pickle.dumps(encoder)).transform(texts)
table = pd.DataFrame({"text": TEXTS, "length": [len(text) for text in TEXTS]})
model = make_pipeline(
    TableVectorizer(high_cardinality=LLMEncoder(model_name=sys.argv[1], n_components=8, random_state=0)),
    LogisticRegression(max_iter=2000),
)
model.fit(table, LABELS)
print(
    json.dumps(
        {
            "shape": list(whole.shape),
            "first": [float(value) for value in whole.iloc[0, :6]],
            "none": [float(value) for value in whole.iloc[60, :6]],
            "names": list(reduced.columns[:2]),
            # The sign of a principal component is free.
            "reduced": [abs(float(value)) for value in reduced.iloc[0, :2]],
            "same when unpickled": bool((again - reduced).abs().to_numpy().max() < 1e-5),
            "accuracy": float(model.score(table, LABELS)),
        }
    )
)
