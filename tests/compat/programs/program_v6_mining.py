"""Hard negatives as the examples of v4 to v6 mine them, what they are used for, and ids that become texts."""

import random
from functools import cache

from datasets import Dataset, concatenate_datasets
from sentence_transformers import CrossEncoder, SentenceTransformer, mine_hard_negatives, resolve_ids, util
from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
from sentence_transformers.cross_encoder.evaluation import CrossEncoderRerankingEvaluator
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss, LambdaLoss
from sentence_transformers.util.dataset import resolve_ids as from_its_file
from sentence_transformers.util.hard_negatives import mine_hard_negatives as from_its_own_file
from steps import EXACT, SENTENCES, bert_scorer, minilm, run, scratch, step

QUESTIONS = [
    "where did the cat sit",
    "which animal was fast in the park",
    "what flew over a tree",
    "who swam in the pond",
    "what does the man play",
    "what did the woman read",
    "which animal sat under the tree",
    "what did the big dog do",
    "where did the cat sit",
]
ANSWERS = [*SENTENCES, "the mat"]


@cache
def model():
    return SentenceTransformer(minilm(), device="cpu", model_kwargs=EXACT)


@cache
def scorer():
    return CrossEncoder(bert_scorer(), device="cpu", model_kwargs=EXACT)


def pairs():
    return Dataset.from_dict({"question": QUESTIONS, "answer": ANSWERS})


def mined(**options):
    return mine_hard_negatives(pairs(), model(), **{"verbose": False, **options})


def listed(found):
    return found.column_names, {name: str(kind) for name, kind in found.features.items()}, found.to_list()


@step
def names_are_the_same_everywhere():
    same = util.mine_hard_negatives is mine_hard_negatives is from_its_own_file
    return same, util.resolve_ids is resolve_ids is from_its_file


@step
def triplets():
    return listed(mined())


@step
def tuples_with_scores():
    return listed(mined(output_format="n-tuple", num_negatives=4, output_scores=True, range_min=1))


@step
def labelled_pairs_as_for_a_reranker():
    found = mined(
        num_negatives=5,
        absolute_margin=0,
        range_min=0,
        range_max=100,
        sampling_strategy="top",
        batch_size=4096,
        output_format="labeled-pair",
        use_faiss=True,
    )
    return listed(found)


@step
def labelled_lists_from_a_corpus():
    found = mined(
        corpus=["a red tree", *SENTENCES, "a small fish", "two books"],
        num_negatives=3,
        range_min=2,
        range_max=11,
        output_format="labeled-list",
        use_faiss=True,
    )
    return listed(found)


@step
def a_column_as_corpus_and_positives_for_an_evaluator():
    few = pairs().select(range(3))
    found = mine_hard_negatives(
        few,
        model(),
        corpus=pairs()["answer"][:],
        num_negatives=5,
        batch_size=4096,
        include_positives=True,
        output_format="n-tuple",
        use_faiss=True,
        verbose=False,
    )
    samples = [
        {
            "query": sample["question"],
            "positive": [sample["answer"]],
            "documents": [sample[name] for name in found.column_names[2:]],
        }
        for sample in found
    ]
    evaluator = CrossEncoderRerankingEvaluator(
        samples=samples, batch_size=8, name="dev", always_rerank_positives=False
    )
    return listed(found), evaluator(scorer())


@step
def a_cross_encoder_scores_again():
    return listed(mined(cross_encoder=scorer(), relative_margin=0.01, num_negatives=2, output_scores=True))


@step
def random_negatives_repeat_with_a_seed():
    random.seed(12)
    return listed(mined(sampling_strategy="random", range_max=8, num_negatives=2, max_score=0.9))


@step
def old_arguments():
    return mined(as_triplets=False, margin=0.05).to_list()


@step
def prompts_are_put_before_texts():
    return mined(query_prompt="one two ", corpus_prompt="three ", output_scores=True).to_list()


@step
def embeddings_are_kept():
    found = [mined(cache_folder=scratch("kept"), num_negatives=1).to_list() for _ in range(2)]
    return found[0] == found[1], found[0]


@step
def bad_arguments_fail():
    kinds = []
    for options in (
        {"num_negatives": 0},
        {"range_min": 3, "range_max": 3},
        {"range_max": 2},
        {"output_format": "pairs"},
        {"faiss_batch_size": 0},
    ):
        try:
            mined(**options)
        except ValueError:
            kinds.append("ValueError")
    return kinds


def trained(dataset, loss):
    arguments = CrossEncoderTrainingArguments(
        output_dir=scratch("out"),
        max_steps=3,
        per_device_train_batch_size=4,
        learning_rate=1e-3,
        report_to="none",
        save_strategy="no",
        seed=3,
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = CrossEncoderTrainer(model=loss.model, args=arguments, train_dataset=dataset, loss=loss)
    return trainer.train().global_step


@step
def a_reranker_is_trained_on_pairs():
    reranker = CrossEncoder(bert_scorer(), device="cpu", model_kwargs=EXACT)
    return trained(mined(output_format="labeled-pair"), BinaryCrossEntropyLoss(reranker))


@step
def a_reranker_is_trained_on_lists():
    reranker = CrossEncoder(bert_scorer(), device="cpu", model_kwargs=EXACT)
    found = mined(output_format="labeled-list", num_negatives=2)
    more = Dataset.from_dict({"question": ["a cat"], "answer": [["a dog", "the cat"]], "labels": [[0, 1]]})
    both = concatenate_datasets([found, more])
    return len(both), trained(both, LambdaLoss(reranker))


QUERIES = Dataset.from_dict({"query_id": ["q1", "q2"], "query": QUESTIONS[:2]})
DOCUMENTS = Dataset.from_dict({"document_id": [11, 12, 13], "document": ANSWERS[:3]})
BY_ID = Dataset.from_dict(
    {
        "query_id": ["q2", "q1", "q2"],
        "document_ids": [[11, 12], [13, 12], [12, 13]],
        "scores": [[1.5, 0.5], [2.0, 1.0], [0.25, 0.5]],
        "source": ["x", "y", "z"],
    }
)


@step
def ids_become_texts_when_rows_are_read():
    data = BY_ID.select(range(3))
    data.set_transform(resolve_ids({"query_id": QUERIES, "document_ids": DOCUMENTS}))
    return data[0], data[1:]


@step
def ids_become_lists_of_texts():
    transform = resolve_ids(
        {"query_id": QUERIES, "document_ids": (DOCUMENTS, "document_id", "document")},
        keep_columns=["source"],
        max_list_length=1,
        output_format="lists",
    )
    return BY_ID.map(transform, batched=True, remove_columns=BY_ID.column_names).to_list()


@step
def ids_that_are_not_there_fail():
    transform = resolve_ids({"query_id": QUERIES})
    try:
        transform({"query_id": ["q9"]})
    except KeyError:
        return "KeyError"


if __name__ == "__main__":
    run(near=1e-4)
