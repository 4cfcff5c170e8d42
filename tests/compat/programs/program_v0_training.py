"""Training as it was written for v0.3 and v0.4: readers, SentencesDataset, DataLoader, fit."""

import csv
import gzip
import math
import os
from functools import cache

import torch
from sentence_transformers import (
    InputExample,
    LoggingHandler,
    ParallelSentencesDataset,
    SentencesDataset,
    SentenceTransformer,
    evaluation,
    losses,
    models,
    readers,
)
from sentence_transformers.evaluation import EmbeddingSimilarityEvaluator, TripletEvaluator
from sentence_transformers.readers import (
    LabelSentenceReader,
    NLIDataReader,
    STSBenchmarkDataReader,
    STSDataReader,
    TripletReader,
)
from steps import EXACT, SENTENCES, bert, fill, plain, run, scratch, step, tiny
from torch.utils.data import DataLoader

S = SENTENCES


@cache
def sts_folder():
    folder = scratch("stsbenchmark")
    os.makedirs(folder)
    with open(f"{folder}/sts-train.csv", "w") as out:
        for number in range(16):
            row = [
                "main",
                "MSRvid",
                "2012",
                str(number),
                f"{number % 6}.0",
                S[number % 8],
                S[(number * 3 + 1) % 8],
            ]
            out.write("\t".join(row) + "\n")
    with open(f"{folder}/dev.csv", "w") as out:
        for number in range(8):
            out.write(f"{S[number]}\t{S[(number + 3) % 8]}\t{number % 5}\n")
    return folder


@cache
def nli_folder():
    folder = scratch("allnli")
    os.makedirs(folder)
    labels = ["contradiction", "entailment", "neutral"]
    for name, rows in (
        ("s1", S),
        ("s2", S[2:] + S[:2]),
        ("labels", [labels[number % 3] for number in range(8)]),
    ):
        with gzip.open(f"{folder}/{name}.train.gz", "wt", encoding="utf8") as out:
            out.write("\n".join(rows) + "\n")
    return folder


def new_model():
    word_embedding_model = models.Transformer(bert(), max_seq_length=24, model_args=EXACT)
    pooling_model = models.Pooling(
        word_embedding_model.get_word_embedding_dimension(),
        pooling_mode_mean_tokens=True,
        pooling_mode_cls_token=False,
        pooling_mode_max_tokens=False,
    )
    return SentenceTransformer(modules=[word_embedding_model, pooling_model])


def show(example):
    return [example.guid, [text.strip() for text in example.texts], example.label]


@step
def reads_the_sts_benchmark():
    reader = STSBenchmarkDataReader(sts_folder())
    examples = reader.get_examples("sts-train.csv")
    return len(examples), show(examples[0]), show(examples[5])


@step
def reads_part_of_the_sts_benchmark_unscaled():
    reader = STSBenchmarkDataReader(sts_folder(), normalize_scores=False)
    return [show(one) for one in reader.get_examples("sts-train.csv", max_examples=3)]


@step
def reads_sts_columns():
    reader = STSDataReader(
        sts_folder(), s1_col_idx=0, s2_col_idx=1, score_col_idx=2, min_score=0, max_score=4
    )
    return [show(one) for one in reader.get_examples("dev.csv")][:3]


@step
def reads_nli():
    reader = NLIDataReader(nli_folder())
    examples = reader.get_examples("train.gz", max_examples=5)
    return (
        reader.get_num_labels(),
        reader.get_labels(),
        reader.map_label("neutral"),
        [show(x) for x in examples],
    )


@step
def reads_triplets():
    path = scratch("triplets")
    os.makedirs(path)
    with open(f"{path}/t.csv", "w", newline="") as out:
        writer = csv.writer(out, delimiter="\t", quoting=csv.QUOTE_NONE)
        writer.writerow(["anchor", "good", "bad"])
        writer.writerow([S[0], S[6], S[4]])
        writer.writerow([S[1], S[7], S[5]])
    reader = TripletReader(path, s1_col_idx=0, s2_col_idx=1, s3_col_idx=2, has_header=True)
    return [show(one) for one in reader.get_examples("t.csv")]


@step
def reads_labelled_sentences():
    path = scratch("labelled")
    os.makedirs(path)
    with open(f"{path}/trec.txt", "w") as out:
        out.write("\n".join(f"{'ABC'[number % 3]}\t{text}" for number, text in enumerate(S)) + "\n")
    return [show(one) for one in LabelSentenceReader(path).get_examples("trec.txt")][:5]


@step
def reads_paired_files():
    left, right = scratch("left.gz"), scratch("right.gz")
    for path, rows in ((left, S[:3]), (right, S[3:6])):
        with gzip.open(path, "wt") as out:
            out.write("\n".join(rows))
    return [show(one) for one in readers.PairedFilesReader([left, right]).get_examples()]


@step
def an_input_example_has_defaults():
    example = InputExample(guid="7", texts=["one", "two"])
    example.label = 0.5
    return (
        vars(InputExample()),
        vars(example),
        str(InputExample(texts=["one"], label=1)).replace("<", "").split()[0],
    )


@step
def a_dataset_of_sentences():
    dataset = SentencesDataset(
        STSBenchmarkDataReader(sts_folder()).get_examples("sts-train.csv"), new_model()
    )
    return len(dataset), show(dataset[2])


@step
def a_dataset_of_sentences_by_keywords():
    examples = [InputExample(texts=[S[0], S[1]], label=1)]
    dataset = SentencesDataset(examples=examples, model=new_model())
    return len(dataset), show(dataset[0])


@step
def the_model_is_built_of_modules():
    model = new_model()
    return [type(one).__name__ for one in model], len(model), model.get_sentence_embedding_dimension()


@step
def encodes_before_training():
    return new_model().encode(S)


@step
def collates_a_batch():
    model = new_model()
    dataset = SentencesDataset(
        [InputExample(texts=[S[0], S[1]], label=1.0), InputExample(texts=S[2:4], label=0.0)], model
    )
    loader = DataLoader(dataset, shuffle=False, batch_size=2)
    loader.collate_fn = model.smart_batching_collate
    features, labels = next(iter(loader))
    return len(features), sorted(features[0]), features[1]["input_ids"], features[0]["attention_mask"], labels


@step
def trains_on_the_sts_benchmark():
    torch.manual_seed(3)
    model = new_model()
    reader = STSBenchmarkDataReader(sts_folder(), normalize_scores=True)
    train_data = SentencesDataset(reader.get_examples("sts-train.csv"), model)
    train_dataloader = DataLoader(train_data, shuffle=True, batch_size=16)
    train_loss = losses.CosineSimilarityLoss(model=model)
    evaluator = EmbeddingSimilarityEvaluator(S[:4], S[4:], [0.1, 0.9, 0.4, 0.3], name="dev")
    warmup_steps = math.ceil(len(train_dataloader) * 2 / train_dataloader.batch_size * 0.1)
    path = scratch("trained-sts")
    model.fit(
        train_objectives=[(train_dataloader, train_loss)],
        evaluator=evaluator,
        epochs=2,
        evaluation_steps=1000,
        warmup_steps=warmup_steps,
        optimizer_params={"lr": 1e-3},
        output_path=path,
        show_progress_bar=False,
        use_amp=False,
    )
    again = SentenceTransformer(path, model_kwargs=EXACT)
    return again.encode(S[:3]), sorted(name for name in os.listdir(path) if "." not in name)


@step
def the_trained_folder_has_its_csv():
    with open(scratch("trained-sts/eval/similarity_evaluation_dev_results.csv")) as file:
        rows = list(csv.DictReader(file))
    return [[row["epoch"], row["steps"]] for row in rows], list(rows[0])


@step
def the_evaluator_reads_what_was_trained():
    model = SentenceTransformer(scratch("trained-sts"), model_kwargs=EXACT)
    examples = STSBenchmarkDataReader(sts_folder()).get_examples("sts-train.csv")
    evaluator = EmbeddingSimilarityEvaluator.from_input_examples(examples, name="sts-test")
    return model.evaluate(evaluator)


@step
def trains_softmax_on_nli():
    model = new_model()
    reader = NLIDataReader(nli_folder())
    train_loss = losses.SoftmaxLoss(
        model=model,
        sentence_embedding_dimension=model.get_sentence_embedding_dimension(),
        num_labels=reader.get_num_labels(),
    )
    fill(train_loss.classifier)
    loader = DataLoader(
        SentencesDataset(reader.get_examples("train.gz"), model=model), shuffle=True, batch_size=8
    )
    model.fit(
        [(loader, train_loss)],
        epochs=1,
        warmup_steps=0,
        optimizer_params={"lr": 1e-3},
        show_progress_bar=False,
        use_amp=False,
    )
    return model.encode(S[:3]), train_loss.classifier.weight, list(train_loss.classifier.weight.shape)


@step
def softmax_gives_logits_without_labels():
    model = new_model()
    loss = fill(losses.SoftmaxLoss(model, 24, 3).eval(), scale=0.1)
    features = [model.tokenize(S[:2]), model.tokenize(S[2:4])]
    reps, output = loss(features, labels=None)
    return len(reps), output


@step
def trains_triplets():
    model = new_model()
    examples = [InputExample(texts=[S[0], S[6], S[4]]), InputExample(texts=[S[1], S[7], S[5]])]
    loader = DataLoader(SentencesDataset(examples, model), shuffle=False, batch_size=2)
    loss = losses.TripletLoss(
        model=model, distance_metric=losses.TripletDistanceMetric.COSINE, triplet_margin=0.3
    )
    evaluator = TripletEvaluator.from_input_examples(examples, name="t")
    model.fit(
        [(loader, loss)],
        evaluator,
        1,
        warmup_steps=0,
        optimizer_params={"lr": 1e-3},
        show_progress_bar=False,
        use_amp=False,
    )
    return model.encode(S[:2]), evaluator(model)


# A bias whose gradient is exactly 0: Adam makes a whole step of its rounding.
@step(near=5e-3)
def trains_batch_hard_triplets_on_labels():
    model = new_model()
    examples = [InputExample(texts=[text], label=number % 2) for number, text in enumerate(S)]
    loader = DataLoader(examples, shuffle=False, batch_size=8)
    loss = losses.BatchHardTripletLoss(model=model)
    features, labels = model.smart_batching_collate(
        next(iter(DataLoader(examples, batch_size=8, collate_fn=list)))
    )
    values = loss(features, labels)
    model.fit(
        [(loader, loss)],
        epochs=1,
        warmup_steps=0,
        optimizer_params={"lr": 1e-3},
        show_progress_bar=False,
        use_amp=False,
    )
    return values, model.encode(S[:2])


@step
def trains_two_objectives_in_turn():
    model = new_model()
    sts = DataLoader(
        [InputExample(texts=S[:2], label=0.3), InputExample(texts=S[2:4], label=0.8)], batch_size=2
    )
    pairs = DataLoader([InputExample(texts=S[4:6]), InputExample(texts=S[6:8])], batch_size=2)
    model.fit(
        [(sts, losses.CosineSimilarityLoss(model)), (pairs, losses.MultipleNegativesRankingLoss(model))],
        epochs=2,
        scheduler="constantlr",
        warmup_steps=0,
        optimizer_params={"lr": 1e-3},
        show_progress_bar=False,
        use_amp=False,
    )
    return model.encode(S[:2])


@step
def trains_with_another_optimizer_and_a_callback():
    model = new_model()
    seen = []
    loader = DataLoader(
        [InputExample(texts=S[:2], label=0.3), InputExample(texts=S[2:4], label=0.8)], batch_size=2
    )
    evaluator = EmbeddingSimilarityEvaluator(S[:4], S[4:], [0.1, 0.9, 0.4, 0.3])
    model.fit(
        train_objectives=[(loader, losses.CosineSimilarityLoss(model))],
        evaluator=evaluator,
        epochs=2,
        warmup_steps=0,
        scheduler="WarmupCosine",
        optimizer_class=torch.optim.SGD,
        optimizer_params={"lr": 0.05},
        weight_decay=0.0,
        max_grad_norm=0.5,
        callback=lambda score, epoch, steps: seen.append([epoch, steps]),
        show_progress_bar=False,
        use_amp=False,
    )
    return model.encode(S[:2]), seen


@step
def writes_checkpoints():
    model = new_model()
    path = scratch("checkpoints")
    loader = DataLoader(
        [InputExample(texts=S[:2], label=0.3), InputExample(texts=S[2:4], label=0.8)], batch_size=1
    )
    model.fit(
        [(loader, losses.CosineSimilarityLoss(model))],
        epochs=2,
        warmup_steps=0,
        checkpoint_path=path,
        checkpoint_save_steps=1,
        checkpoint_save_total_limit=2,
        show_progress_bar=False,
        use_amp=False,
    )
    return len(os.listdir(path)) > 1


@step
def distils_over_parallel_sentences():
    teacher, student = SentenceTransformer(tiny(), model_kwargs=EXACT), new_model()
    data = ParallelSentencesDataset(
        student_model=student, teacher_model=teacher, batch_size=4, use_embedding_cache=True
    )
    data.add_dataset([[S[0], S[1]], [S[2], S[3]]], max_sentence_length=50)
    loader = DataLoader(data, shuffle=False, batch_size=4)
    loss = losses.MSELoss(model=student)
    student.fit(
        [(loader, loss)],
        epochs=1,
        warmup_steps=0,
        optimizer_params={"lr": 1e-3},
        show_progress_bar=False,
        use_amp=False,
    )
    return len(data), student.encode(S[:1]).shape


@step
def evaluates_mean_squared_error_and_translation():
    teacher, student = SentenceTransformer(tiny(), model_kwargs=EXACT), new_model()
    mse = evaluation.MSEEvaluator(S[:4], S[4:], teacher_model=teacher, name="mse")
    translation = evaluation.TranslationEvaluator(S[:4], S[:4], name="tr")
    return mse(student), translation(student)


@step
def logs_as_the_examples_do():
    import logging

    handler = LoggingHandler()
    logger = logging.getLogger("old-program")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.info("Read STSbenchmark train dataset")
    return isinstance(handler, logging.Handler), handler.level


@step
def saves_loads_and_encodes_the_same():
    model = new_model()
    path = scratch("saved-v0")
    model.save(path)
    again = SentenceTransformer(path, model_kwargs=EXACT)
    close = abs(model.encode(S) - again.encode(S)).max() < 1e-5
    return bool(close), again.max_seq_length, again[1].get_config_dict()


@step
def pooling_speaks_of_itself():
    pooling = models.Pooling(24, pooling_mode_mean_tokens=False, pooling_mode_max_tokens=True)
    return pooling.get_config_dict(), pooling.get_sentence_embedding_dimension(), plain(str(pooling)[:8])


if __name__ == "__main__":
    run(near=1e-4)
