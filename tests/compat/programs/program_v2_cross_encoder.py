"""Cross-encoders as in v1 to v3: scoring, ranking, classification, training with fit and the CE evaluators."""

import csv
import os
import pickle
from functools import cache

import numpy as np
import torch
from sentence_transformers import InputExample, util
from sentence_transformers.cross_encoder import CrossEncoder
from sentence_transformers.cross_encoder.evaluation import (
    CEBinaryAccuracyEvaluator,
    CEBinaryClassificationEvaluator,
    CECorrelationEvaluator,
    CEF1Evaluator,
    CERerankingEvaluator,
    CESoftmaxAccuracyEvaluator,
    CrossEncoderClassificationEvaluator,
    CrossEncoderCorrelationEvaluator,
    CrossEncoderRerankingEvaluator,
)
from steps import EXACT, SENTENCES, bert_scorer, run, scratch, step
from torch import nn
from torch.utils.data import DataLoader

S = SENTENCES
PAIRS = [[S[place], S[(place + 3) % 8]] for place in range(6)]


def new(labels=1, **settings):
    return CrossEncoder(bert_scorer(labels), device="cpu", model_kwargs=EXACT, **settings)


@cache
def model():
    return new()


@step
def predicts_pairs():
    return model().predict(PAIRS)


@step
def predicts_tuples_and_one_pair():
    score = model().predict((S[0], S[1]))
    return model().predict([(S[0], S[1]), (S[2], S[3])]), float(score), type(score).__name__


@step
def predicts_to_a_tensor():
    return model().predict(PAIRS, convert_to_tensor=True)


@step
def predicts_without_numpy():
    scores = model().predict(PAIRS[:2], convert_to_numpy=False)
    return type(scores), [float(one) for one in scores]


@step
def predicts_raw_scores():
    return model().predict(PAIRS, activation_fct=nn.Identity())


@step
def predicts_with_the_new_name():
    return model().predict(PAIRS, activation_fn=nn.Identity(), batch_size=2, show_progress_bar=False)


@step
def num_labels_of_the_model():
    return model().num_labels, new(3).num_labels, model().config.num_labels


@step
def predicts_classes():
    scores = new(3).predict(PAIRS)
    labels = ["contradiction", "entailment", "neutral"]
    return scores, [labels[place] for place in scores.argmax(axis=1)]


@step
def predicts_probabilities():
    scores = new(3).predict(PAIRS, apply_softmax=True)
    return scores, scores.sum(axis=1)


@step
def default_activation():
    return type(model().activation_fn), type(new(3).activation_fn)


@step
def default_activation_by_its_old_name():
    one = CrossEncoder(bert_scorer(), model_kwargs=EXACT, default_activation_function=nn.Identity())
    return type(one.activation_fn), one.predict(PAIRS[:2]), type(one.default_activation_function)


@step
def another_default_activation():
    one = CrossEncoder(bert_scorer(), model_kwargs=EXACT, activation_fn=nn.Tanh())
    return one.predict(PAIRS[:2]), type(one.activation_fn)


@step
def sets_the_activation_later():
    one = new()
    one.activation_fn = nn.Identity()
    return type(one.activation_fn), one.predict(PAIRS[:2]).dtype.name


@step
def max_length_of_the_model():
    one = CrossEncoder(bert_scorer(), model_kwargs=EXACT, max_length=8)
    scores = one.predict(PAIRS)
    one.max_length = 16
    return one.max_length, scores, one.predict(PAIRS)


@step
def num_labels_by_position():
    one = CrossEncoder(bert_scorer(), model_kwargs=EXACT, num_labels=1, max_length=16, device="cpu")
    return one.predict(PAIRS[:2]), one.max_length


@step
def ranks_documents():
    found = model().rank(S[0], S[1:], return_documents=True, top_k=3)
    return [[hit["corpus_id"], hit["score"], hit["text"]] for hit in found], sorted(found[0])


@step
def ranks_documents_without_texts():
    found = model().rank(S[0], S[1:])
    return [hit["corpus_id"] for hit in found], sorted(found[0]), type(found[0]["score"]).__name__


@step
def reranks_hits_of_a_search():
    hits = [{"corpus_id": place, "score": 0.1 * place} for place in range(4)]
    scores = model().predict([[S[5], S[hit["corpus_id"]]] for hit in hits])
    for hit, score in zip(hits, scores):
        hit["cross-score"] = score
    hits = sorted(hits, key=lambda x: x["cross-score"], reverse=True)
    return [[hit["corpus_id"], hit["cross-score"]] for hit in hits]


@step
def sorts_with_numpy():
    scores = model().predict([(S[0], text) for text in S[1:]])
    order = np.argsort(-scores)
    return order.tolist(), list(reversed(np.argsort(scores))) == order.tolist()


@step
def the_transformer_inside():
    inner = model().model
    return type(inner), inner.config.num_labels, sum(p.numel() for p in inner.parameters())


@step
def the_tokenizer_inside():
    features = model().tokenizer([S[0]], [S[1]], padding=True, truncation=True, return_tensors="pt")
    return features["input_ids"], features["token_type_ids"], sorted(features)


@step
def logits_by_hand():
    one = new()
    features = one.tokenizer(
        [S[0], S[2]], [S[1], S[3]], padding=True, truncation="longest_first", return_tensors="pt"
    )
    one.model.eval()
    with torch.no_grad():
        logits = one.model(**features).logits
    return logits, torch.sigmoid(logits)


@step
def smart_batching_by_hand():
    one = new()
    features, labels = one.smart_batching_collate([InputExample(texts=pair, label=1.0) for pair in PAIRS[:2]])
    return features["input_ids"], labels


@step
def smart_batching_of_texts():
    features = new().smart_batching_collate_text_only(PAIRS[:2])
    return features["input_ids"].shape, features["attention_mask"].sum()


def examples(labels):
    return [InputExample(texts=pair, label=label) for pair, label in zip(PAIRS, labels)]


def fit(one, labels, **settings):
    loader = DataLoader(examples(labels), shuffle=False, batch_size=6)
    one.fit(
        loader,
        epochs=2,
        warmup_steps=0,
        optimizer_params={"lr": 1e-3},
        show_progress_bar=False,
        use_amp=False,
        **settings,
    )


@step
def fits_a_regression():
    one = new()
    fit(one, [0.1, 0.9, 0.4, 0.6, 0.0, 1.0])
    return one.predict(PAIRS)


@step
def fits_classes():
    one = new(3)
    fit(one, [0, 1, 2, 0, 1, 2])
    return one.predict(PAIRS)


@step
def fits_with_an_evaluator_and_saves():
    one = new()
    path = scratch("scorer-trained")
    evaluator = CECorrelationEvaluator.from_input_examples(
        examples([0.1, 0.9, 0.4, 0.6, 0.0, 1.0]), name="sts-dev"
    )
    fit(one, [0.1, 0.9, 0.4, 0.6, 0.0, 1.0], evaluator=evaluator, output_path=path)
    return one.predict(PAIRS), os.listdir(os.path.join(path, "eval"))


@step
def saves_and_loads():
    one = new()
    path = scratch("scorer-saved")
    one.save(path)
    again = CrossEncoder(path, model_kwargs=EXACT)
    return again.predict(PAIRS), os.path.exists(f"{path}/config.json"), again.num_labels


@step
def saves_as_pretrained():
    path = scratch("scorer-pretrained")
    new(3).save_pretrained(path)
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(path).config.num_labels


@step
def evaluates_correlation():
    return CECorrelationEvaluator(PAIRS, [0.1, 0.9, 0.4, 0.6, 0.0, 1.0], name="sts")(model())


@step
def evaluates_binary_accuracy():
    return CEBinaryAccuracyEvaluator(PAIRS, [0, 1, 0, 1, 0, 1], name="acc")(model())


@step
def evaluates_binary_classification():
    return CEBinaryClassificationEvaluator(PAIRS, [0, 1, 0, 1, 0, 1], name="bin")(model())


@step
def evaluates_softmax_accuracy():
    return CESoftmaxAccuracyEvaluator.from_input_examples(examples([0, 1, 2, 0, 1, 2]), name="nli")(new(3))


@step
def evaluates_f1():
    return CEF1Evaluator(PAIRS, [0, 1, 2, 0, 1, 2], name="f1")(new(3))


SAMPLES = [
    {"query": S[0], "positive": [S[6]], "negative": [S[4], S[5], S[1]]},
    {"query": S[1], "positive": [S[7], S[6]], "negative": [S[2]]},
]


@step
def evaluates_reranking():
    return CERerankingEvaluator(SAMPLES, mrr_at_k=3, name="rr")(model())


@step
def evaluates_reranking_of_documents():
    samples = [{"query": S[0], "positive": [S[6]], "documents": [S[4], S[6], S[5]]}]
    return CrossEncoderRerankingEvaluator(samples, at_k=2, name="d", always_rerank_positives=False)(model())


@step
def evaluates_to_a_csv():
    path = scratch("ce-csv")
    os.makedirs(path)
    CrossEncoderCorrelationEvaluator(PAIRS, [0.1, 0.9, 0.4, 0.6, 0.0, 1.0], name="c")(
        model(), output_path=path
    )
    CrossEncoderClassificationEvaluator(PAIRS, [0, 1, 0, 1, 0, 1], name="k")(model(), path, epoch=1, steps=5)
    rows = {}
    for name in sorted(os.listdir(path)):
        with open(os.path.join(path, name)) as file:
            rows[name] = list(csv.reader(file))[0]
    return rows


@step
def primary_metric_of_an_evaluator():
    evaluator = CrossEncoderCorrelationEvaluator(PAIRS, [0.1] * 6, name="c")
    reranking = CrossEncoderRerankingEvaluator(SAMPLES, name="r")
    return evaluator.primary_metric, reranking.primary_metric, evaluator.get_config_dict()


class Shifted(CrossEncoder):
    def predict(self, sentences, **kwargs):
        return super().predict(sentences, **kwargs) + 1


@step
def a_subclass_with_its_own_predict():
    return Shifted(bert_scorer(), model_kwargs=EXACT).predict(PAIRS[:2])


@step
def a_hook_on_the_classifier():
    one = new()
    seen = []
    one.model.classifier.register_forward_hook(lambda module, inputs, output: seen.append(output.shape[-1]))
    one.predict(PAIRS[:2])
    return seen


@step
def trains_by_hand():
    one = new()
    optimizer = torch.optim.AdamW(one.model.parameters(), lr=1e-3)
    one.model.train()
    features = one.tokenizer([p[0] for p in PAIRS], [p[1] for p in PAIRS], padding=True, return_tensors="pt")
    loss = nn.BCEWithLogitsLoss()(one.model(**features).logits.view(-1), torch.tensor([0.0, 1, 0, 1, 0, 1]))
    loss.backward()
    optimizer.step()
    return loss, one.predict(PAIRS)


@step
def pickles_a_cross_encoder():
    return pickle.loads(pickle.dumps(new())).predict(PAIRS[:2])


@step
def labels_a_gold_set_for_a_bi_encoder():
    pairs = [(S[i], S[j]) for i in range(3) for j in range(i + 1, 3)]
    scores = model().predict(pairs)
    assert all(0.0 <= score <= 1.0 for score in scores)
    return [InputExample(texts=list(pair), label=float(score)).label for pair, score in zip(pairs, scores)]


@step
def nothing_to_predict():
    return model().predict([]).shape, len(model().rank(S[0], S[:1]))


@step
def device_and_parameters():
    return model().device, next(model().parameters()).device, model()._target_device, util.get_device_name()


@step
def scores_are_float32():
    return model().predict(PAIRS).dtype.name, model().predict(PAIRS, convert_to_tensor=True).dtype


if __name__ == "__main__":
    run(near=1e-4)
