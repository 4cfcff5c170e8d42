"""The calls that are fed with garbage: for each a set of good arguments, some of which are then spoiled."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import garbage
import numpy as np

import vicinal
from vicinal import CrossEncoder, Index, SentenceTransformer, util
from vicinal.index.filters import parse_filter

WORDS = ("snow", "kettle", "river", "train", "storm", "bread", "lamp", "garden")


@dataclass(frozen=True)
class Call:
    """A function and arguments that it takes.

    Attributes:
        area: what is tested: index, filters, encode, util or command.
        name: for reports.
        function: what is called, by keyword.
        good: makes a good value for each argument.
        special: makes garbage of a kind that this argument alone gets.
    """

    area: str
    name: str
    function: Callable[..., Any]
    good: Mapping[str, Callable[[random.Random], Any]]
    special: Mapping[str, Callable[[random.Random], Any]]

    def arguments(self, rng: random.Random) -> dict[str, Any]:
        """Good arguments, of which one to three are spoiled."""
        given = {name: make(rng) for name, make in self.good.items()}
        names = list(given)
        for name in rng.sample(names, min(len(names), rng.choice([1, 1, 1, 1, 1, 1, 2, 2, 3]))):
            given[name] = self._spoiled(rng, name, given[name])
        kept = [name for name in names if rng.random() < 0.9]
        first = names[:1]  # what has no default
        return {name: given[name] for name in names if name in kept or name in first or name in _NEEDED}

    def _spoiled(self, rng: random.Random, name: str, good: Any) -> Any:
        if name in self.special and rng.random() < 0.7:
            return self.special[name](rng)
        return garbage.near(rng, good) if rng.random() < 0.35 else garbage.value(rng)


# Arguments without a default that do not stand first.
_NEEDED = {
    "b",
    "y",
    "corpus_embeddings",
    "precision",
    "truncate_dim",
    "documents",
    "sentences",
    "embeddings2",
}


def always(value: Any) -> Callable[[random.Random], Any]:
    return lambda _: value


def one_of(*values: Any) -> Callable[[random.Random], Any]:
    return lambda rng: rng.choice(values)


def texts(rng: random.Random) -> list[str]:
    return [" ".join(rng.choices(WORDS, k=rng.randrange(1, 6))) for _ in range(rng.randrange(1, 5))]


def text(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=3))


def matrix(rng: random.Random) -> Any:
    made = np.random.default_rng(rng.randrange(2**32)).standard_normal((rng.randrange(1, 6), 8))
    return made.astype(np.float32)


def metadata(rng: random.Random) -> dict[str, Any]:
    return {"year": rng.randrange(1990, 2030), "tag": rng.choice(["a", "b"]), "a": {"b": [1, "x", None]}}


def index_calls(index: Index, folder: Path) -> Iterator[Call]:
    """The methods of an open index, which is kept small."""

    def ids(rng: random.Random) -> list[str]:
        return [f"id {rng.randrange(60)}" for _ in range(2)]

    two = {
        "texts": lambda rng: [text(rng), text(rng)],
        "ids": ids,
        "metadatas": lambda rng: [metadata(rng), None],
    }
    search = {
        "query": text,
        "top_k": always(3),
        "filter": always({"year": {"$gte": 2000}}),
        "mode": one_of("dense", "lexical", "hybrid"),
        "reranker": always(None),
        "candidates": always(20),
    }
    by_filter = {"filter": garbage.filter}
    yield Call("index", "Index.add", index.add, two, {})
    yield Call("index", "Index.upsert", index.upsert, two, {})
    yield Call("index", "Index.search", index.search, search, by_filter)
    yield Call("index", "Index.get", index.get, {"ids": ids}, {})
    yield Call("index", "Index.digests", index.digests, {"ids": ids}, {})
    yield Call("index", "Index.delete", index.delete, {"ids": ids}, {})
    yield Call("index", "Index.delete filter", index.delete, {"filter": always({"year": 1})}, by_filter)
    yield Call("index", "in", lambda id: id in index, {"id": text}, {})
    yield Call(
        "index",
        "Index.export",
        index.export,
        {"path": always(str(folder / "out.jsonl"))},
        {"path": one_of(folder, str(folder / "no/such/folder/x"), index.path, 3, None, "", "\x00", b"x")},
    )
    opened = {
        "path": always(str(folder / "new.db")),
        "model": always("vicinal-mini"),
        "read_only": one_of(False, True),
        "timeout": always(2.0),
        "storage": one_of("int16", "float32"),
        "tokenizer": one_of("porter unicode61", "trigram"),
        "chunk_tokens": one_of(None, 64),
        "chunk_overlap": always(8),
    }

    def open_index(**given: Any) -> None:
        Index(**given).close()

    # Paths of garbage would be made in the working folder; the caller has changed into one of its own.
    yield Call(
        "index", "Index", open_index, opened, {"path": one_of("", ":memory:", folder, "\x00", None, 3)}
    )


def filter_calls(index: Index) -> Iterator[Call]:
    yield Call(
        "filters",
        "parse_filter",
        lambda filter: parse_filter(filter),
        {"filter": always({})},
        {"filter": garbage.filter},
    )
    yield Call(
        "filters",
        "search with filter",
        lambda filter: index.search("snow", top_k=2, filter=filter, mode="lexical"),
        {"filter": always({})},
        {"filter": garbage.filter},
    )


def encode_calls(
    static: SentenceTransformer, tiny: SentenceTransformer, scorer: CrossEncoder
) -> Iterator[Call]:
    """Both kinds of engine, and the reranker."""
    for name, model in (("static", static), ("transformer", tiny)):
        arguments = {
            "sentences": texts,
            "prompt_name": always(None),
            "prompt": one_of(None, "query: "),
            "batch_size": always(4),
            "show_progress_bar": always(False),
            "output_value": one_of("sentence_embedding", "token_embeddings", None),
            "precision": one_of("float32", "int8", "ubinary"),
            "convert_to_numpy": one_of(True, False),
            "convert_to_tensor": always(False),
            "device": one_of(None, "cpu"),
            "normalize_embeddings": one_of(True, False),
            "truncate_dim": one_of(None, 4),
            "on_truncate": one_of("warn", "ignore"),
        }
        yield Call("encode", f"{name} encode", model.encode, arguments, {})
        yield Call("encode", f"{name} encode_query", model.encode_query, arguments, {})
        yield Call("encode", f"{name} tokenize", model.tokenize, {"texts": texts}, {})
        pair = {"embeddings1": matrix, "embeddings2": matrix}
        yield Call("encode", f"{name} similarity", model.similarity, pair, {})
    scored = {
        "batch_size": always(4),
        "show_progress_bar": always(False),
        "activation_fn": always(None),
        "apply_softmax": one_of(False, True),
        "convert_to_numpy": one_of(True, False),
        "on_truncate": one_of("warn", "ignore"),
    }
    pairs = {"sentences": lambda rng: [(text(rng), text(rng)) for _ in range(3)], **scored}
    yield Call("encode", "CrossEncoder.predict", scorer.predict, pairs, {})
    ranked = {"query": text, "documents": texts, "top_k": one_of(None, 2), **scored}
    del ranked["convert_to_numpy"]
    yield Call("encode", "CrossEncoder.rank", scorer.rank, ranked, {})


def util_calls(model: SentenceTransformer) -> Iterator[Call]:
    def add(name: str, **good: Callable[[random.Random], Any]) -> Call:
        return Call("util", name, getattr(util, name), good, {})

    for name in ("cos_sim", "dot_score", "euclidean_sim", "manhattan_sim"):
        yield add(name, a=matrix, b=matrix)
    for name in ("cos_sim", "dot_score", "euclidean_sim", "manhattan_sim"):
        yield add(f"pairwise_{name}", a=lambda _: np.ones((3, 8)), b=lambda _: np.ones((3, 8)))
    yield add("pairwise_angle_sim", x=lambda _: np.ones((3, 8)), y=lambda _: np.ones((3, 8)))
    searched = {"query_embeddings": matrix, "corpus_embeddings": matrix, "top_k": always(2)}
    chunks = {"query_chunk_size": always(2), "corpus_chunk_size": always(2)}
    yield add("semantic_search", **searched, **chunks)
    yield add("information_retrieval", **searched, **chunks)
    yield add("normalize_embeddings", embeddings=matrix)
    yield add("truncate_embeddings", embeddings=matrix, truncate_dim=always(4))
    yield add(
        "quantize_embeddings",
        embeddings=matrix,
        precision=one_of("int8", "uint8", "binary", "ubinary"),
        ranges=one_of(None, np.array([[-1.0] * 8, [1.0] * 8])),
        calibration_embeddings=one_of(None),
    )
    mined = {"max_pairs": always(5), "top_k": always(2)}
    yield add("paraphrase_mining_embeddings", embeddings=matrix, **mined, **chunks)
    yield Call(
        "util",
        "paraphrase_mining",
        lambda **given: util.paraphrase_mining(model, **given),
        {"sentences": texts, "batch_size": always(2), **mined, **chunks},
        {},
    )
    yield add(
        "community_detection",
        embeddings=matrix,
        threshold=always(0.5),
        min_community_size=always(1),
        batch_size=always(4),
    )
    yield add(
        "cluster",
        embeddings=matrix,
        n_clusters=one_of(1, None),
        method=one_of("kmeans", "agglomerative"),
        threshold=one_of(None, 0.5),
        min_cluster_size=always(2),
        restarts=always(1),
        seed=always(0),
    )
    corpus = {
        "corpus_embeddings": matrix,
        "precision": one_of("bfloat16", "float32"),
        "similarity": one_of("cosine", "dot", "euclidean"),
    }
    yield Call("util", "CorpusMatrix", util.CorpusMatrix, corpus, {})
    yield Call(
        "util",
        "CorpusMatrix.search",
        util.CorpusMatrix(np.eye(8, dtype=np.float32)).search,
        {"query_embeddings": matrix, "top_k": always(2)},
        {},
    )
    yield Call(
        "util",
        "InputExample",
        vicinal.InputExample,
        {"texts": texts, "label": always(1.0), "guid": always("x")},
        {},
    )
