"""embetter: a scikit-learn pipeline, a quantized encoder, and a learner that fine-tunes."""

import json
import sys

import numpy as np
import pandas as pd
import torch
from corpus import LABELS, TEXTS
from embetter.finetune import SbertLearner
from embetter.grab import ColumnGrabber
from embetter.text import SentenceEncoder
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

table = pd.DataFrame({"text": TEXTS, "label": LABELS})
shots = [number for number in range(len(TEXTS)) if number % 15 < 5]
pipeline = make_pipeline(ColumnGrabber("text"), SentenceEncoder(sys.argv[1]), LogisticRegression())
pipeline.fit(table.iloc[shots], table["label"].iloc[shots])
chances = pipeline.predict_proba(table)
quantized = SentenceEncoder(sys.argv[1], quantize=True).transform(pd.Series(TEXTS[:6]))
exact = SentenceEncoder(sys.argv[1]).transform(TEXTS[:6])

model = SentenceTransformer(sys.argv[1], model_kwargs={"torch_dtype": "float32"})
# One batch of all pairs and almost no dropout: little is left to chance.
for module in model.modules():
    if isinstance(module, torch.nn.Dropout):
        module.p = 0.0
learner = SbertLearner(model, batch_size=64, epochs=10, warmup_steps=0)
same = [(one, two) for one in shots[:8] for two in shots[5:13]]
one, two = zip(*[(TEXTS[one], TEXTS[two]) for one, two in same], strict=True)
before = learner.transform(TEXTS[:20])
learner.fit(one, two, [float(LABELS[a] == LABELS[b]) for a, b in same])
after = learner.transform(TEXTS[:20])


def gap(vectors: np.ndarray) -> float:
    """How much nearer cooking is to itself than to astronomy: the mean cosines' difference."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return float((unit[:15] @ unit[:15].T).mean() - (unit[:15] @ unit[15:].T).mean())


print(
    json.dumps(
        {
            "predicted": [int(label) for label in pipeline.predict(table)],
            "chances": [[float(chance) for chance in row] for row in chances[::7]],
            # Eight bits move a cosine by some hundredths; none at all would mean that nothing was quantized.
            "quantized": float(np.sum(quantized * exact, axis=1).min()) > 0.95,
            "same as exact": bool(np.array_equal(quantized, exact)),
            "gap before": gap(before),
            "gap after": gap(after),
        }
    )
)
