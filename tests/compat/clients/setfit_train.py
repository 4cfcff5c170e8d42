"""SetFit: few-shot training of the body and the head, saving, loading."""

import json
import sys
import tempfile

import numpy as np
from corpus import LABELS, TEXTS
from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments

shots = [number for number in range(len(TEXTS)) if number % 15 < 4]
held_out = [number for number in range(len(TEXTS)) if number % 15 >= 8]
train = Dataset.from_dict({"text": [TEXTS[n] for n in shots], "label": [LABELS[n] for n in shots]})
test = Dataset.from_dict({"text": [TEXTS[n] for n in held_out], "label": [LABELS[n] for n in held_out]})

model = SetFitModel.from_pretrained(sys.argv[1])
before = model.model_body.encode(TEXTS)
with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        output_dir=folder, batch_size=8, num_epochs=1, max_steps=8, report_to="none", save_strategy="no"
    )
    Trainer(model=model, args=arguments, train_dataset=train).train()
    after = model.model_body.encode(TEXTS)
    predicted = [int(label) for label in model.predict(test["text"])]
    model.save_pretrained(folder)
    loaded = SetFitModel.from_pretrained(folder)
    again = [int(label) for label in loaded.predict(test["text"])]


def spread(vectors: np.ndarray) -> float:
    """How much nearer texts of one label are to each other than to the others: the mean cosines' difference."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    same = np.equal.outer(LABELS, LABELS)
    return float(cosines[same].mean() - cosines[~same].mean())


print(
    json.dumps(
        {
            "accuracy": float(np.mean(np.equal(predicted, test["label"]))),
            "same after loading": predicted == again,
            "moved": float(np.abs(after - before).max()),
            "spread before": spread(before),
            "spread after": spread(after),
        }
    )
)
