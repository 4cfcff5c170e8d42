"""Training as since v3: Dataset, losses, arguments, SentenceTransformerTrainer and CrossEncoderTrainer."""

import json
import os
from functools import cache

import torch
from datasets import Dataset, DatasetDict
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
    losses,
    models,
    util,
)
from sentence_transformers.cross_encoder import (
    CrossEncoder,
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
)
from sentence_transformers.cross_encoder import losses as cross_losses
from sentence_transformers.data_collator import SentenceTransformerDataCollator
from sentence_transformers.evaluation import EmbeddingSimilarityEvaluator, SentenceEvaluator, TripletEvaluator
from sentence_transformers.training_args import BatchSamplers, MultiDatasetBatchSamplers
from steps import EXACT, SENTENCES, bert, bert_scorer, fill, run, scratch, step, tiny
from transformers import TrainerCallback

S = SENTENCES
PAIRS = Dataset.from_dict({"anchor": S[:4], "positive": S[4:]})
SCORED = Dataset.from_dict({"sentence1": S[:4], "sentence2": S[4:], "score": [0.9, 0.1, 0.5, 0.3]})
TRIPLETS = Dataset.from_dict({"anchor": S[:2], "positive": S[2:4], "negative": S[4:6]})
LABELLED = Dataset.from_dict({"sentence": S, "label": [0, 1] * 4})


def new():
    return SentenceTransformer(tiny(), device="cpu", model_kwargs=EXACT)


@cache
def place():
    return scratch("runs")


def arguments(**settings):
    settings = {
        "per_device_train_batch_size": 8,
        "num_train_epochs": 2,
        "learning_rate": 1e-3,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "logging_steps": 1,
        "use_cpu": True,
        "bf16": False,
        "fp16": False,
    } | settings
    return SentenceTransformerTrainingArguments(output_dir=place(), **settings)


def train(loss, data=PAIRS, model=None, evaluator=None, **settings):
    model = model or new()
    trainer = SentenceTransformerTrainer(
        model=model, args=arguments(**settings), train_dataset=data, loss=loss(model), evaluator=evaluator
    )
    trainer.train()
    return model.encode(S[:2])


@step
def trains_ranking_on_pairs():
    return train(losses.MultipleNegativesRankingLoss)


@step
def trains_ranking_on_triplets():
    return train(losses.MultipleNegativesRankingLoss, TRIPLETS)


@step
def trains_cosine_on_scores():
    return train(losses.CosineSimilarityLoss, SCORED)


@step
def trains_cosent_on_scores():
    return train(losses.CoSENTLoss, SCORED)


@step
def trains_angle_on_scores():
    return train(losses.AnglELoss, SCORED)


# A bias whose gradient is exactly 0: Adam makes a whole step of its rounding.
@step(near=5e-3)
def trains_triplets():
    return train(losses.TripletLoss, TRIPLETS)


@step
def trains_contrastive():
    data = Dataset.from_dict({"sentence1": S[:4], "sentence2": S[4:], "label": [1, 0, 1, 0]})
    return train(losses.ContrastiveLoss, data), train(losses.OnlineContrastiveLoss, data)


# A bias whose gradient is exactly 0: Adam makes a whole step of its rounding.
@step(near=5e-3)
def trains_batch_hard_on_labels():
    return train(losses.BatchHardTripletLoss, LABELLED)


@step
def trains_matryoshka():
    return train(
        lambda model: losses.MatryoshkaLoss(
            model, losses.MultipleNegativesRankingLoss(model), matryoshka_dims=[24, 8]
        )
    )


@step
def trains_cached_ranking():
    return train(lambda model: losses.CachedMultipleNegativesRankingLoss(model, mini_batch_size=2))


@step
def trains_mean_squared_error_of_a_teacher():
    teacher = new()
    fill(teacher)
    data = Dataset.from_dict({"sentence": S[:4], "label": teacher.encode(S[:4]).tolist()})
    return train(losses.MSELoss, data)


@step
def trains_margins_of_a_teacher():
    data = TRIPLETS.add_column("label", [0.4, -0.1])
    return train(losses.MarginMSELoss, data)


class OwnLoss(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, sentence_features, labels=None):
        a, b = [self.model(one)["sentence_embedding"] for one in sentence_features]
        return (1 - util.pairwise_cos_sim(a, b)).mean()


@step
def trains_an_own_loss():
    return train(OwnLoss)


@step
def trains_matryoshka_around_an_own_loss():
    return train(lambda model: losses.MatryoshkaLoss(model, OwnLoss(model), [24, 12]))


@step
def trains_with_prompts():
    return train(losses.MultipleNegativesRankingLoss, prompts={"anchor": "one two ", "positive": "three "})


@step
def trains_two_data_sets():
    model = new()
    trainer = SentenceTransformerTrainer(
        model=model,
        args=arguments(multi_dataset_batch_sampler=MultiDatasetBatchSamplers.ROUND_ROBIN),
        train_dataset=DatasetDict({"pairs": PAIRS, "scored": SCORED}),
        loss={
            "pairs": losses.MultipleNegativesRankingLoss(model),
            "scored": losses.CosineSimilarityLoss(model),
        },
    )
    trainer.train()
    return model.encode(S[:2])


@step
def trains_without_duplicates():
    return train(losses.MultipleNegativesRankingLoss, batch_sampler=BatchSamplers.NO_DUPLICATES)


@step
def trains_by_the_default_loss():
    model = new()
    trainer = SentenceTransformerTrainer(model=model, args=arguments(), train_dataset=SCORED)
    trainer.train()
    return type(trainer.loss).__name__, model.encode(S[0])


@step
def trains_in_several_batches():
    data = Dataset.from_dict(
        {"sentence1": S, "sentence2": S[::-1], "score": [0.1 * number for number in range(8)]}
    )
    return train(losses.CosineSimilarityLoss, data, per_device_train_batch_size=2, warmup_steps=2)


@step
def trains_with_gradient_accumulation():
    return train(
        losses.CosineSimilarityLoss, SCORED, per_device_train_batch_size=2, gradient_accumulation_steps=2
    )


@step
def trains_with_rates_of_modules():
    model = SentenceTransformer(
        modules=[models.Transformer(bert(), model_args=EXACT), models.Pooling(24), fill(models.Dense(24, 6))]
    )
    train(losses.CosineSimilarityLoss, SCORED, model, learning_rate_mapping={r"2\.linear.*": 1e-2})
    return model.encode(S[0])


@step
def trains_a_frozen_encoder():
    model = SentenceTransformer(
        modules=[models.Transformer(bert(), model_args=EXACT), models.Pooling(24), fill(models.Dense(24, 6))]
    )
    for parameter in model[0].parameters():
        parameter.requires_grad = False
    before = model[0].auto_model.embeddings.word_embeddings.weight.clone()
    train(losses.CosineSimilarityLoss, SCORED, model)
    return model.encode(S[0]), torch.equal(before, model[0].auto_model.embeddings.word_embeddings.weight)


@step
def the_result_of_train():
    model = new()
    trainer = SentenceTransformerTrainer(
        model, arguments(), train_dataset=SCORED, loss=losses.CosineSimilarityLoss(model)
    )
    found = trainer.train()
    return found.global_step, found.training_loss, sorted(trainer.state.log_history[0])


@step
def losses_of_the_log():
    model = new()
    trainer = SentenceTransformerTrainer(
        model, arguments(), train_dataset=SCORED, loss=losses.CosineSimilarityLoss(model)
    )
    trainer.train()
    return [round(float(row["loss"]), 4) for row in trainer.state.log_history if "loss" in row]


@step
def evaluates_a_data_set():
    model = new()
    trainer = SentenceTransformerTrainer(
        model,
        arguments(eval_strategy="epoch"),
        train_dataset=SCORED,
        eval_dataset=SCORED,
        loss=losses.CosineSimilarityLoss(model),
    )
    trainer.train()
    return [
        round(row["eval_loss"], 4) for row in trainer.state.log_history if "eval_loss" in row
    ], trainer.evaluate()["eval_loss"]


@step
def evaluates_with_an_evaluator():
    model = new()
    evaluator = EmbeddingSimilarityEvaluator(S[:4], S[4:], [0.9, 0.1, 0.5, 0.3], name="dev")
    trainer = SentenceTransformerTrainer(
        model,
        arguments(eval_strategy="epoch"),
        train_dataset=SCORED,
        loss=losses.CosineSimilarityLoss(model),
        evaluator=[evaluator, TripletEvaluator(S[:2], S[2:4], S[4:6], name="t")],
    )
    trainer.train()
    return {name: value for name, value in trainer.evaluate().items() if "cosine" in name}


class CountingEvaluator(SentenceEvaluator):
    primary_metric = "count"

    def __init__(self):
        super().__init__()
        self.count = 0

    def __call__(self, model, output_path=None, epoch=-1, steps=-1):
        self.count += 1
        return {"count": self.count}


@step
def evaluates_with_an_own_evaluator():
    evaluator = CountingEvaluator()
    train(losses.CosineSimilarityLoss, SCORED, evaluator=evaluator, eval_strategy="epoch")
    return evaluator.count


class Watching(TrainerCallback):
    def __init__(self):
        self.seen = []

    def on_epoch_end(self, args, state, control, model=None, **kwargs):
        self.seen.append([state.global_step, type(model).__name__])

    def on_train_end(self, args, state, control, **kwargs):
        self.seen.append("end")


@step
def calls_back():
    model, watching = new(), Watching()
    SentenceTransformerTrainer(
        model,
        arguments(),
        train_dataset=SCORED,
        loss=losses.CosineSimilarityLoss(model),
        callbacks=[watching],
    ).train()
    return watching.seen


@step
def writes_checkpoints_and_resumes():
    model = new()
    path = scratch("checkpointed")
    settings = {"save_strategy": "epoch", "save_total_limit": 2}
    args = arguments(**settings)
    args.output_dir = path
    trainer = SentenceTransformerTrainer(
        model, args, train_dataset=SCORED, loss=losses.CosineSimilarityLoss(model)
    )
    trainer.train()
    names = sorted(os.listdir(path))
    again = SentenceTransformer(os.path.join(path, names[-1]), model_kwargs=EXACT)
    return names, again.encode(S[0]), model.encode(S[0])


@step
def saves_the_model():
    model = new()
    trainer = SentenceTransformerTrainer(
        model, arguments(), train_dataset=SCORED, loss=losses.CosineSimilarityLoss(model)
    )
    trainer.train()
    path = scratch("trainer-saved")
    trainer.save_model(path)
    return SentenceTransformer(path, model_kwargs=EXACT).encode(S[0]), os.path.exists(
        os.path.join(path, "modules.json")
    )


@step
def collates():
    collator = SentenceTransformerDataCollator(new().tokenize)
    batch = collator([SCORED[0], SCORED[1]])
    return batch["sentence1_input_ids"], batch["label"]


@step
def the_collator_of_a_trainer():
    model = new()
    trainer = SentenceTransformerTrainer(
        model, arguments(), train_dataset=PAIRS, loss=losses.MultipleNegativesRankingLoss(model)
    )
    batch = next(iter(trainer.get_train_dataloader()))
    return (
        batch["anchor_input_ids"].shape,
        batch["positive_attention_mask"].sum(),
        type(trainer.data_collator).__name__,
    )


@step
def features_reach_the_loss():
    model = new()
    trainer = SentenceTransformerTrainer(
        model, arguments(), train_dataset=SCORED, loss=losses.CosineSimilarityLoss(model)
    )
    batch = next(iter(trainer.get_train_dataloader()))
    features, labels = trainer.collect_features(batch)
    return len(features), labels.dtype, sorted(features[0])[:2]


class Weighted(SentenceTransformerTrainer):
    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        found = super().compute_loss(
            model, inputs, return_outputs=return_outputs, num_items_in_batch=num_items_in_batch
        )
        return (found[0] * 3, found[1]) if return_outputs else found * 3


@step
def a_trainer_is_subclassed():
    model = new()
    Weighted(model, arguments(), train_dataset=SCORED, loss=losses.CosineSimilarityLoss(model)).train()
    return model.encode(S[0])


@step
def arguments_have_defaults():
    args = SentenceTransformerTrainingArguments(output_dir=place())
    return (
        args.per_device_train_batch_size,
        args.learning_rate,
        args.num_train_epochs,
        args.batch_sampler,
        args.multi_dataset_batch_sampler,
        args.prompts,
    )


@step
def arguments_as_a_dictionary():
    found = json.loads(arguments(batch_sampler="no_duplicates").to_json_string())
    return found["batch_sampler"], found["learning_rate"], found["num_train_epochs"]


@step
def a_wrong_column_order_trains_too():
    return train(losses.CosineSimilarityLoss, SCORED.rename_column("score", "label"))


@step
def model_init():
    trainer = SentenceTransformerTrainer(
        args=arguments(),
        train_dataset=SCORED,
        model_init=new,
        loss=lambda model: losses.CosineSimilarityLoss(model),
    )
    trainer.train()
    return trainer.model.encode(S[0])


def cross_arguments(**settings):
    return CrossEncoderTrainingArguments(
        output_dir=place(),
        per_device_train_batch_size=8,
        num_train_epochs=2,
        learning_rate=1e-3,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        bf16=False,
        **settings,
    )


def cross(loss, data, labels=1):
    model = CrossEncoder(bert_scorer(labels), device="cpu", model_kwargs=EXACT)
    trainer = CrossEncoderTrainer(model=model, args=cross_arguments(), train_dataset=data, loss=loss(model))
    trainer.train()
    return model.predict([[S[0], S[4]], [S[1], S[5]]])


@step
def trains_a_cross_encoder():
    return cross(cross_losses.BinaryCrossEntropyLoss, SCORED.rename_column("score", "label"))


@step
def trains_a_cross_encoder_by_squared_errors():
    return cross(cross_losses.MSELoss, SCORED)


@step
def trains_a_cross_encoder_of_classes():
    data = Dataset.from_dict({"premise": S[:3], "hypothesis": S[3:6], "label": [0, 1, 2]})
    return cross(cross_losses.CrossEntropyLoss, data, labels=3)


@step
def trains_a_cross_encoder_by_ranking():
    return cross(lambda model: cross_losses.MultipleNegativesRankingLoss(model, num_negatives=None), PAIRS)


@step
def trains_a_cross_encoder_by_margins():
    return cross(cross_losses.MarginMSELoss, TRIPLETS.add_column("score", [0.4, -0.1]))


if __name__ == "__main__":
    run(near=1e-4)
