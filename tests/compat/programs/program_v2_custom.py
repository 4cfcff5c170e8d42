"""Losses, modules, evaluators and subclasses that people wrote themselves for v1 to v3."""

import csv
import json
import os
import random
from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from sentence_transformers import InputExample, SentenceTransformer, losses, models, util
from sentence_transformers.evaluation import SentenceEvaluator, SequentialEvaluator, SimilarityFunction
from sentence_transformers.models import Module, Pooling, Transformer
from steps import EXACT, SENTENCES, bert, fill, run, scratch, step, tiny
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

S = SENTENCES


def new():
    return SentenceTransformer(tiny(), device="cpu", model_kwargs=EXACT)


# Losses


class OwnCosineLoss(nn.Module):
    def __init__(self, model, scale=20.0):
        super().__init__()
        self.model = model
        self.scale = scale
        self.cross_entropy_loss = nn.CrossEntropyLoss()

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor):
        reps = [self.model(features)["sentence_embedding"] for features in sentence_features]
        scores = util.cos_sim(reps[0], reps[1]) * self.scale
        return self.cross_entropy_loss(scores, torch.arange(len(scores), device=scores.device))

    def get_config_dict(self):
        return {"scale": self.scale}


class MarginLoss(nn.Module):
    def __init__(self, model: SentenceTransformer, margin: float = 0.5):
        super().__init__()
        self.model = model
        self.margin = nn.Parameter(torch.tensor(margin))

    def forward(self, sentence_features, labels):
        a, b = [self.model(one)["sentence_embedding"] for one in sentence_features]
        distances = 1 - F.cosine_similarity(a, b)
        return (
            0.5
            * (
                labels.float() * distances.pow(2)
                + (1 - labels).float() * F.relu(self.margin - distances).pow(2)
            ).mean()
        )


class RegressionHead(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.sentence_embedder = model
        self.linear = fill(nn.Linear(2 * model.get_sentence_embedding_dimension(), 1))

    def forward(self, sentence_features, labels):
        reps = [self.sentence_embedder(one)["sentence_embedding"] for one in sentence_features]
        return F.mse_loss(
            self.linear(torch.cat([reps[0], torch.abs(reps[0] - reps[1])], 1)).view(-1), labels.view(-1)
        )


PAIRS = [InputExample(texts=[S[0], S[6]], label=1.0), InputExample(texts=[S[1], S[7]], label=0.0)]


def batch(model, examples=PAIRS):
    features = [model.tokenize([example.texts[place] for example in examples]) for place in range(2)]
    return features, torch.tensor([float(example.label) for example in examples])


def fit(model, loss, **settings):
    model.fit(
        [(DataLoader(PAIRS, batch_size=2), loss)],
        epochs=2,
        warmup_steps=0,
        optimizer_params={"lr": 1e-3},
        show_progress_bar=False,
        use_amp=False,
        **settings,
    )


@step
def an_own_loss_called():
    model = new()
    return OwnCosineLoss(model)(*batch(model)), OwnCosineLoss(model).get_config_dict()


@step
def an_own_loss_in_fit():
    model = new()
    fit(model, OwnCosineLoss(model))
    return model.encode(S[:2])


@step
def an_own_loss_with_a_parameter_of_its_own():
    model = new()
    loss = MarginLoss(model)
    fit(model, loss)
    return loss.margin, [name for name, _ in loss.named_parameters()][0], model.encode(S[:2])


@step
def an_own_loss_with_a_head():
    model = new()
    loss = RegressionHead(model)
    fit(model, loss)
    return loss.linear.weight, model.encode(S[0])


@step
def an_own_loss_in_an_own_loop():
    model = new()
    loss_model = OwnCosineLoss(model, scale=5.0)
    optimizer = torch.optim.AdamW(loss_model.parameters(), lr=1e-3)
    values = []
    for _ in range(3):
        features, labels = batch(model)
        value = loss_model(features, labels)
        value.backward()
        torch.nn.utils.clip_grad_norm_(loss_model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        values.append(value.item())
    return values, model.encode(S[0])


@step
def a_similarity_of_ones_own_in_a_loss():
    model = new()
    loss = losses.MultipleNegativesRankingLoss(model, scale=2.0, similarity_fct=util.dot_score)
    features, labels = batch(model)
    return loss(features, labels)


@step
def a_distance_of_ones_own_in_a_loss():
    model = new()
    loss = losses.ContrastiveLoss(model, distance_metric=lambda x, y: (x - y).abs().mean(1), margin=0.7)
    features, labels = batch(model)
    return loss(features, labels), losses.ContrastiveLoss(model)(features, labels)


@step
def a_loss_is_subclassed():
    class Doubled(losses.CosineSimilarityLoss):
        def forward(self, sentence_features, labels):
            return 2 * super().forward(sentence_features, labels)

    model = new()
    features, labels = batch(model)
    return Doubled(model)(features, labels), losses.CosineSimilarityLoss(model)(features, labels)


# Modules


class Scale(nn.Module):
    def __init__(self, factor=2.0):
        super().__init__()
        self.factor = factor

    def forward(self, features):
        features.update({"sentence_embedding": features["sentence_embedding"] * self.factor})
        return features

    def save(self, output_path, *args, **kwargs):
        with open(os.path.join(output_path, "config.json"), "w") as out:
            json.dump({"factor": self.factor}, out)

    @staticmethod
    def load(input_path, *args, **kwargs):
        with open(os.path.join(input_path, "config.json")) as file:
            return Scale(**json.load(file))


class DecayMeanPooling(Module):
    config_keys = ["dimension", "decay"]

    def __init__(self, dimension: int, decay: float = 0.9, **kwargs) -> None:
        super().__init__()
        self.dimension = dimension
        self.decay = decay

    def forward(self, features, **kwargs):
        tokens, mask = features["token_embeddings"], features["attention_mask"].unsqueeze(-1)
        weights = self.decay ** torch.arange(tokens.shape[1]).view(1, -1, 1) * mask
        features["sentence_embedding"] = (tokens * weights).sum(1) / weights.sum(1)
        return features

    def get_sentence_embedding_dimension(self):
        return self.dimension

    def save(self, output_path, *args, safe_serialization=True, **kwargs):
        self.save_config(output_path)


@step
def an_own_module_at_the_end():
    model = SentenceTransformer(modules=[Transformer(bert(), model_args=EXACT), Pooling(24), Scale(3.0)])
    return model.encode(S[:2]), len(model), type(model[2])


@step
def an_own_pooling():
    model = SentenceTransformer(
        modules=[Transformer(bert(), model_args=EXACT), DecayMeanPooling(24, decay=0.5)]
    )
    return model.encode(S[:2]), model.get_sentence_embedding_dimension()


@step
def an_own_pooling_keeps_its_config():
    module = DecayMeanPooling(24, decay=0.25)
    path = scratch("decay")
    os.makedirs(path)
    module.save(path)
    return module.get_config_dict(), DecayMeanPooling.load(path).decay, sorted(os.listdir(path))


@step
def an_own_module_is_trained():
    model = SentenceTransformer(
        modules=[Transformer(bert(), model_args=EXACT), Pooling(24), fill(models.Dense(24, 6, bias=False))]
    )
    fit(model, losses.CosineSimilarityLoss(model))
    return model.encode(S[:2])


class LowerInput(Transformer):
    def tokenize(self, texts, **kwargs):
        return super().tokenize([text.replace("cat", "dog") for text in texts], **kwargs)


@step
def a_subclass_of_transformer():
    model = SentenceTransformer(modules=[LowerInput(bert(), model_args=EXACT), Pooling(24)])
    return model.encode(["a cat sat"]), model.tokenize(["a cat sat"])["input_ids"]


class HashedWords(nn.Module):
    """An input module without weights, as for tests of other parts."""

    def __init__(self, dimension=8):
        super().__init__()
        self.dimension = dimension

    def tokenize(self, texts, **kwargs):
        rows = [[sum(map(ord, text)) % (number + 7) for number in range(self.dimension)] for text in texts]
        return {"rows": torch.tensor(rows, dtype=torch.float32)}

    def forward(self, features):
        features["sentence_embedding"] = features["rows"]
        return features

    def get_sentence_embedding_dimension(self):
        return self.dimension


@step
def an_input_module_without_a_base_class():
    model = SentenceTransformer(modules=[HashedWords()])
    return model.encode(S[:3]), model.get_sentence_embedding_dimension()


# Subclasses of the model


class Halved(SentenceTransformer):
    def forward(self, features, **kwargs):
        found = super().forward(features, **kwargs)
        found["sentence_embedding"] = found["sentence_embedding"] / 2
        return found


class Logged(SentenceTransformer):
    def __init__(self, *args, **kwargs):
        self.calls = 0
        super().__init__(*args, **kwargs)

    def encode(self, sentences, **kwargs):
        self.calls += 1
        return super().encode(sentences, **kwargs)


class Cleaned(SentenceTransformer):
    def tokenize(self, texts, **kwargs):
        return super().tokenize([text.upper().lower().replace("!", "") for text in texts], **kwargs)


@step
def a_subclass_with_its_own_forward():
    return Halved(tiny(), model_kwargs=EXACT).encode(S[:2])


@step
def a_subclass_with_its_own_encode():
    model = Logged(tiny(), model_kwargs=EXACT)
    found = model.encode(S[:2], batch_size=1)
    return found, model.calls, isinstance(model, SentenceTransformer)


@step
def a_subclass_with_its_own_tokenize():
    return Cleaned(tiny(), model_kwargs=EXACT).encode(["a CAT sat!", "the dog"])


class Preprocessed(SentenceTransformer):
    def preprocess(self, inputs, *args, **kwargs):
        return super().preprocess([text.replace("cat", "bird") for text in inputs], *args, **kwargs)


@step
def a_subclass_with_its_own_preprocess():
    return Preprocessed(tiny(), model_kwargs=EXACT).encode(S[:2])


@step
def forward_replaced_on_the_object():
    model = new()
    old = model.forward
    model.forward = lambda features, **kwargs: old(features, **kwargs) | {"extra": 1}
    before = model.encode(S[0])
    model[0].auto_model.config.note = "kept"
    return before, model[0].auto_model.config.note


@step
def auto_model_forward_replaced():
    model = new()
    auto = model[0].auto_model
    old = auto.forward

    def doubled(*args, **kwargs):
        out = old(*args, **kwargs)
        out["last_hidden_state"] = out["last_hidden_state"] * 2
        return out

    auto.forward = doubled
    return model.encode(S[:2])


# Evaluators


class SpreadEvaluator(SentenceEvaluator):
    def __init__(self, texts, name=""):
        super().__init__()
        self.texts, self.name, self.seen = texts, name, []

    def __call__(self, model, output_path=None, epoch=-1, steps=-1):
        embeddings = model.encode(self.texts, convert_to_numpy=True, show_progress_bar=False)
        score = float(np.linalg.norm(embeddings - embeddings.mean(0), axis=1).mean())
        self.seen.append(output_path is not None)
        return score


class DictEvaluator(SentenceEvaluator):
    def __init__(self):
        super().__init__()
        self.primary_metric = "own_score"

    def __call__(self, model, output_path=None, epoch=-1, steps=-1):
        if output_path is not None:
            with open(os.path.join(output_path, "own.csv"), "a", newline="") as out:
                csv.writer(out).writerow([1])
        return {"own_score": 0.5, "own_other": 0.25}


@step
def an_own_evaluator():
    model = new()
    return model.evaluate(SpreadEvaluator(S[:3])), SpreadEvaluator(S[:3])(model)


@step
def an_own_evaluator_in_fit():
    model = new()
    evaluator = SpreadEvaluator(S[:3])
    fit(model, losses.CosineSimilarityLoss(model), evaluator=evaluator, save_best_model=False)
    return len(evaluator.seen)


@step
def an_own_evaluator_with_metrics():
    model = new()
    path = scratch("own-metrics")
    found = model.evaluate(DictEvaluator(), path)
    return found, os.listdir(path)


@step
def a_sequence_of_own_evaluators():
    model = new()
    sequence = SequentialEvaluator(
        [SpreadEvaluator(S[:3]), SpreadEvaluator(S[3:])], main_score_function=lambda s: s[-1]
    )
    return sequence(model)


@step
def a_sequence_of_metrics():
    return SequentialEvaluator([DictEvaluator(), DictEvaluator()])(new())


@step
def an_evaluator_names_its_metrics():
    evaluator = DictEvaluator()
    return (
        evaluator.prefix_name_to_metrics({"a": 1.0}, "dev"),
        evaluator.primary_metric,
        DictEvaluator().greater_is_better,
        evaluator.description,
    )


# Data sets


class TripletsFromLabels(Dataset):
    def __init__(self, texts):
        self.texts = texts
        self.draw = random.Random(3)

    def __getitem__(self, place):
        return InputExample(texts=[self.texts[place], self.draw.choice(self.texts), self.texts[-place - 1]])

    def __len__(self):
        return len(self.texts)


@step
def an_own_data_set():
    model = new()
    loader = DataLoader(TripletsFromLabels(S), shuffle=False, batch_size=8)
    model.fit([(loader, losses.TripletLoss(model))], epochs=1, warmup_steps=0, optimizer_params={"lr": 1e-3},
              show_progress_bar=False, use_amp=False)  # fmt: skip
    return model.encode(S[0]).shape, len(loader)


@step
def similarity_functions_by_name():
    return (
        {"cosine", "dot", "euclidean", "manhattan"} <= {one.value for one in SimilarityFunction},
        SimilarityFunction("cosine").name,
        SimilarityFunction.possible_values()[:4],
    )


@step
def similarity_function_as_callable():
    function = SimilarityFunction.to_similarity_fn("dot")
    return function(torch.eye(2), torch.eye(2)), SimilarityFunction.to_similarity_pairwise_fn("cosine")(
        torch.eye(2), torch.eye(2)
    )


if __name__ == "__main__":
    run(near=1e-4)
