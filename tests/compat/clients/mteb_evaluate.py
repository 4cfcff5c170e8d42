"""mteb: small tasks that are made here, evaluated: similarity, search, classification, reranking."""

import json
import sys
from typing import Any

import mteb
from corpus import LABELS, TEXTS
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from mteb.abstasks.classification import AbsTaskClassification
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.sts import AbsTaskSTS
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models.model_meta import ModelMeta
from sentence_transformers import CrossEncoder, SentenceTransformer

QUERIES = {
    "q0": "How do I make a sauce?",
    "q1": "moons of the planets",
    "q2": "a goal that was not given",
    "q3": "my database is slow",
    "q4": "baking with chocolate",
    "q5": "light from the early universe",
}
ANSWERS = {"q0": (0, 8), "q1": (16, 26, 23), "q2": (44, 36), "q3": (45, 52, 58), "q4": (10, 6), "q5": (28,)}


def about(kind: str, name: str, score: str, prompt: str | None = None) -> TaskMetadata:
    """What mteb wants to know about a task."""
    return TaskMetadata(
        name=name,
        type=kind,
        main_score=score,
        prompt=prompt,
        dataset={"path": "made/here", "revision": "1"},
        description="made here",
        reference=None,
        category="t2t" if kind != "Classification" else "t2c",
        modalities=["text"],
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        date=None,
        domains=None,
        task_subtypes=None,
        license=None,
        annotations_creators=None,
        dialect=None,
        sample_creation=None,
        bibtex_citation="",
    )


class Similarity(AbsTaskSTS):
    """Pairs of texts, near within a topic."""

    metadata = about("STS", "SimilarityOfPairs", "cosine_spearman")
    min_score, max_score = 0, 1

    def load_data(self, **_: Any) -> None:
        """Each text beside a later one."""
        other = [(7 * number + 3) % len(TEXTS) for number in range(len(TEXTS))]
        self.dataset = DatasetDict(
            {
                "test": Dataset.from_dict(
                    {
                        "sentence1": TEXTS,
                        "sentence2": [TEXTS[number] for number in other],
                        "score": [
                            float(LABELS[one] == LABELS[two]) * 0.5 + 0.4 * (one % 15 == two % 15)
                            for one, two in enumerate(other)
                        ],
                    }
                )
            }
        )
        self.data_loaded = True


class Search(AbsTaskRetrieval):
    """Six queries over the sixty texts."""

    metadata = about("Retrieval", "SearchOfTexts", "ndcg_at_10")

    def load_data(self, **_: Any) -> None:
        """Queries, documents and which answer which."""
        documents = [{"id": f"d{number}", "title": "", "text": text} for number, text in enumerate(TEXTS)]
        self.dataset = {
            "default": {
                "test": {
                    "queries": Dataset.from_list([{"id": q, "text": text} for q, text in QUERIES.items()]),
                    "corpus": Dataset.from_list(documents),
                    "relevant_docs": {q: {f"d{n}": 1 for n in right} for q, right in ANSWERS.items()},
                    "top_ranked": None,
                }
            }
        }
        self.data_loaded = True


class Reranking(Search):
    """The same queries, each over twenty given texts."""

    metadata = about("Reranking", "RerankingOfTexts", "map_at_1000")

    def load_data(self, **kwargs: Any) -> None:
        """As for the search, with candidates."""
        super().load_data(**kwargs)
        self.dataset["default"]["test"]["top_ranked"] = {
            q: [f"d{number}" for number in sorted({*right, *range(place, 60, 4)})]
            for place, (q, right) in enumerate(ANSWERS.items())
        }


class Topics(AbsTaskClassification):
    """The topic of a text, learned from eight of each."""

    metadata = about("Classification", "TopicsOfTexts", "accuracy")
    samples_per_label = 2
    n_experiments = 4

    def load_data(self, **_: Any) -> None:
        """Fifteen texts of each topic, eight of them to learn from."""
        kinds = Features({"text": Value("string"), "label": ClassLabel(num_classes=4)})
        rows = list(zip(TEXTS, LABELS, strict=True))
        split = {
            "train": [row for number, row in enumerate(rows) if number % 15 < 8],
            "test": [row for number, row in enumerate(rows) if number % 15 >= 8],
        }
        self.dataset = DatasetDict(
            {
                name: Dataset.from_dict(
                    {"text": [text for text, _ in part], "label": [label for _, label in part]},
                    features=kinds,
                )
                for name, part in split.items()
            }
        )
        self.data_loaded = True


FLOAT32 = {"torch_dtype": "float32"}  # rankings of near ties are exact


def scores(model: Any, tasks: list[Any], names: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """What mteb measures."""
    results = mteb.evaluate(model, tasks, cache=None, show_progress_bar=False, co2_tracker=False)
    return {
        result.task_name: {
            name: float(result.scores["test"][0][name]) for name in names if name in result.scores["test"][0]
        }
        for result in results.task_results
    }


encoder = SentenceTransformer(sys.argv[1], device="cpu", model_kwargs=FLOAT32)
metrics = (
    "main_score",
    "cosine_pearson",
    "cosine_spearman",
    "euclidean_pearson",
    "manhattan_spearman",
    "ndcg_at_10",
    "map_at_10",
    "recall_at_5",
    "accuracy",
    "f1",
)
found = scores(encoder, [Similarity(), Search(), Reranking(), Topics()], metrics)
prompted = SentenceTransformer(
    sys.argv[1],
    device="cpu",
    prompts={"query": "Find an answer: ", "document": "", "STS": "topic: "},
    model_kwargs=FLOAT32,
)
with_prompts = scores(prompted, [Similarity(), Search()], metrics)
scorer = CrossEncoder(sys.argv[2], device="cpu", model_kwargs=FLOAT32)
reranked = scores(scorer, [Reranking()], metrics)
meta = ModelMeta.from_sentence_transformer_model(encoder)
print(
    json.dumps(
        {
            "bi-encoder": found,
            "prompts": with_prompts,
            "cross-encoder": reranked,
            "meta": {
                "dimensions": meta.embed_dim,
                "tokens": meta.max_tokens,
                "parameters": meta.n_parameters,
                "similarity": str(meta.similarity_fn_name),
                "framework": meta.framework,
            },
        }
    )
)
