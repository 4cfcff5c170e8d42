"""Are the documents that answer a query found, and on the first ranks?"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.core.arrays import Embeddings, as_array
from vicinal.core.inputs import check_positive, explains_keywords
from vicinal.errors import InputError, InputTypeError
from vicinal.evaluation import metrics
from vicinal.evaluation.base import Measured, VectorEvaluator, file_name, mean, model_similarity, set_only
from vicinal.evaluation.checks import cutoffs, number_column, text_column
from vicinal.evaluation.ranked import Ranked, gains_of, id_orders, ideal_gains
from vicinal.vectors.chunked import ChunkedSearch
from vicinal.vectors.similarity import SimilarityCallable, SimilarityFunction, all_pairs_function

Relevant = Collection[str] | Mapping[str, float]


class InformationRetrievalEvaluator(VectorEvaluator):
    """Retrieval of relevant documents from a corpus, by exact search.

    The metrics, with the similarity's name before them, e.g. ``cosine_ndcg@10``: ``accuracy@k`` (a relevant
    document is among the first k), ``precision@k``, ``recall@k``, ``ndcg@k``, ``mrr@k``, ``map@k``, each the
    mean over the queries. The primary one is nDCG at the largest of ``ndcg_at_k``; of several score functions
    that of the main one, or of the best. Of equal scores the document whose id sorts first is first.

    The corpus is encoded and searched chunk by chunk: memory holds the vectors of the queries and of one chunk
    and the best documents so far, never all scores.

    Args:
        queries: id -> text. Those without a relevant document are left out.
        corpus: id -> text.
        relevant_docs: query id -> ids of its relevant documents; or id -> grade, where 0 is not relevant and
            nDCG takes the grade as its gain.
        corpus_chunk_size: documents to encode and search at a time.
        mrr_at_k: ranks for the reciprocal rank; so are the next four for theirs.
        ndcg_at_k: see there; at least one.
        accuracy_at_k: see there.
        precision_recall_at_k: see there.
        map_at_k: see there.
        show_progress_bar: while encoding.
        batch_size: texts per batch; None leaves it to the model.
        name: stands before the metrics' names and in the file's.
        write_csv: append to ``Information-Retrieval_evaluation_{name}_results.csv`` where ``output_path`` is
            given.
        truncate_dim: evaluate this many first dimensions of the vectors.
        score_functions: name -> function of (q, dim) and (r, dim) that gives (q, r) scores; None is
            ``main_score_function``, or the model's own similarity.
        main_score_function: whose nDCG is the primary metric.
        query_prompt: put before every query.
        query_prompt_name: the same by the name of one of the model's prompts. Without either the query prompt
            of the model is used, if it has one.
        corpus_prompt: likewise before every document.
        corpus_prompt_name: likewise.
        write_predictions: where ``output_path`` is given, write for each score function the ranked documents of all
            queries to ``Information-Retrieval_evaluation_{name}_predictions_{function}.jsonl``, one query per
            line: ``query_id``, ``query`` and ``results``, a list of ``corpus_id`` and ``score``.

    Raises:
        InputError: no query has a relevant document, a relevant document is not in the corpus, an unknown
            name, a rank below 1, a grade or score that is NaN.
        InputTypeError: something is not a dictionary, not a text or not a number.

    Reference: Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002; Thakur et al.,
    BEIR, 2021.
    """

    @explains_keywords
    def __init__(
        self,
        queries: Mapping[str, str],
        corpus: Mapping[str, str],
        relevant_docs: Mapping[str, Relevant],
        corpus_chunk_size: int = 50_000,
        mrr_at_k: Sequence[int] = (10,),
        ndcg_at_k: Sequence[int] = (10,),
        accuracy_at_k: Sequence[int] = (1, 3, 5, 10),
        precision_recall_at_k: Sequence[int] = (1, 3, 5, 10),
        map_at_k: Sequence[int] = (100,),
        show_progress_bar: bool | None = False,
        batch_size: int | None = None,
        name: str = "",
        write_csv: bool = True,
        truncate_dim: int | None = None,
        score_functions: Mapping[str, SimilarityCallable] | None = None,
        main_score_function: str | SimilarityFunction | None = None,
        query_prompt: str | None = None,
        query_prompt_name: str | None = None,
        corpus_prompt: str | None = None,
        corpus_prompt_name: str | None = None,
        write_predictions: bool = False,
    ) -> None:
        check_positive(corpus_chunk_size, "corpus_chunk_size")
        self._set_up(
            "Information-Retrieval_evaluation", name, batch_size, show_progress_bar, write_csv, truncate_dim
        )
        self.mrr_at_k = cutoffs(mrr_at_k, "mrr_at_k")
        self.ndcg_at_k = cutoffs(ndcg_at_k, "ndcg_at_k")
        self.accuracy_at_k = cutoffs(accuracy_at_k, "accuracy_at_k")
        self.precision_recall_at_k = cutoffs(precision_recall_at_k, "precision_recall_at_k")
        self.map_at_k = cutoffs(map_at_k, "map_at_k")
        if not self.ndcg_at_k:
            raise InputError("ndcg_at_k is empty: its largest rank gives the primary metric; give one, [10]")
        self._grades = _checked_grades(queries, corpus, relevant_docs)
        self.queries_ids = list(self._grades)
        self.queries = text_column([queries[key] for key in self._grades], "queries")
        self.corpus_ids = list(corpus)
        self.corpus = text_column(corpus.values(), "corpus")
        self.relevant_docs = relevant_docs
        self.corpus_chunk_size = corpus_chunk_size
        self.score_functions, self.main_score_function = _functions(score_functions, main_score_function)
        self.query_prompt = query_prompt
        self.query_prompt_name = query_prompt_name
        self.corpus_prompt = corpus_prompt
        self.corpus_prompt_name = corpus_prompt_name
        self.write_predictions = write_predictions
        self._predictions: Path | None = None
        self._corpus: tuple[Any, Embeddings | None] = (None, None)

    def _measure(self, model: Any) -> Measured:
        return self._measured(self.compute_all_metrics(model, *self._corpus))

    def __call__(
        self,
        model: Any,
        output_path: str | os.PathLike[str] | None = None,
        epoch: int = -1,
        steps: int = -1,
        *,
        corpus_model: Any = None,
        corpus_embeddings: Embeddings | None = None,
    ) -> dict[str, float]:
        """Evaluate a model; the last two are those of :meth:`compute_all_metrics`."""
        self._corpus = (corpus_model, corpus_embeddings)
        self._predictions = Path(output_path) if output_path is not None and self.write_predictions else None
        try:
            return super().__call__(model, output_path, epoch, steps)
        finally:
            self._corpus = (None, None)

    def compute_all_metrics(
        self,
        model: Any,
        corpus_model: Any = None,
        corpus_embeddings: Embeddings | None = None,
        output_path: str | os.PathLike[str] | None = None,
    ) -> dict[str, dict[str, dict[int, float]]]:
        """The metrics by score function, by kind (``"ndcg@k"``) and by rank.

        Args:
            model: encodes the queries.
            corpus_model: encodes the corpus; None takes ``model``.
            corpus_embeddings: (documents, dim), in the order of the corpus, which is not encoded then.
            output_path: the folder for the predictions, if these are written.
        """
        functions = self.score_functions
        if functions is None:
            own = model_similarity(model)
            functions = {own: all_pairs_function(own)}
        ranked = self._search(model, functions, corpus_model or model, corpus_embeddings)
        folder = Path(output_path) if output_path is not None else self._predictions
        if folder is not None and self.write_predictions:
            for each, hits in ranked.items():
                self._write_predictions(folder, each, hits)
        # A subclass may compute its own metrics of the hits.
        if type(self).compute_metrics is InformationRetrievalEvaluator.compute_metrics:
            return {each: self._figures(hits) for each, hits in ranked.items()}
        return {each: self.compute_metrics(list(self._named(hits))) for each, hits in ranked.items()}

    def compute_metrices(
        self,
        model: Any,
        corpus_model: Any = None,
        corpus_embeddings: Embeddings | None = None,
        output_path: str | os.PathLike[str] | None = None,
    ) -> dict[str, dict[str, dict[int, float]]]:
        """The old name of :meth:`compute_all_metrics`."""
        return self.compute_all_metrics(model, corpus_model, corpus_embeddings, output_path)

    def compute_metrics(
        self, queries_result_list: Sequence[Sequence[Mapping[str, Any]]]
    ) -> dict[str, dict[int, float]]:
        """The metrics of a search's hits, by kind (``"ndcg@k"``) and by rank.

        Args:
            queries_result_list: for each query of ``queries``, in that order, dictionaries of ``corpus_id`` and
                ``score``.
        """
        place = {key: number for number, key in enumerate(self.corpus_ids)}
        every = [hit for hits in queries_result_list for hit in hits]
        numbers = np.array([place[hit["corpus_id"]] for hit in every], dtype=np.int64)
        scores = np.array([float(hit["score"]) for hit in every])
        offsets = np.cumsum([0, *map(len, queries_result_list)])
        query = np.repeat(np.arange(len(queries_result_list)), np.diff(offsets))
        order = np.lexsort((id_orders(self.corpus_ids)[0][numbers], -scores, query))
        return self._figures(Ranked(numbers[order], scores[order], offsets))

    @staticmethod
    def compute_dcg_at_k(relevances: Sequence[float], k: int) -> float:
        """The discounted gain of the first k ranks.

        Args:
            relevances: what the document on each rank is worth.
            k: ranks that count.
        """
        return float(sum(gain / math.log2(rank + 2) for rank, gain in enumerate(relevances[:k])))

    def get_config_dict(self) -> dict[str, Any]:
        return {
            **super().get_config_dict(),
            **set_only(
                query_prompt=self.query_prompt,
                query_prompt_name=self.query_prompt_name,
                corpus_prompt=self.corpus_prompt,
                corpus_prompt_name=self.corpus_prompt_name,
            ),
        }

    def _named(self, ranked: Ranked) -> Iterator[list[dict[str, Any]]]:
        for start, end in pairwise(ranked.offsets.tolist()):
            numbers, scores = ranked.numbers[start:end].tolist(), ranked.scores[start:end].tolist()
            yield [
                {"corpus_id": self.corpus_ids[number], "score": score}
                for number, score in zip(numbers, scores, strict=True)
            ]

    def _write_predictions(self, folder: Path, function: str, ranked: Ranked) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = file_name("Information-Retrieval_evaluation", self.name, f"predictions_{function}.jsonl")
        with (folder / name).open("w", encoding="utf-8") as file:
            for key, query, hits in zip(self.queries_ids, self.queries, self._named(ranked), strict=True):
                line = {"query_id": key, "query": query, "results": hits}
                file.write(json.dumps(line, ensure_ascii=False, default=np.generic.item) + "\n")

    def _measured(self, nested: Mapping[str, Mapping[str, Mapping[int, float]]]) -> Measured:
        found = {
            each: {
                f"{kind.removesuffix('k')}{k}": value
                for kind, by_k in kinds.items()
                for k, value in by_k.items()
            }
            for each, kinds in nested.items()
        }
        largest = f"ndcg@{max(self.ndcg_at_k)}"
        main = self.main_score_function or max(found, key=lambda each: found[each][largest])
        named = {f"{each}_{key}": value for each, figures in found.items() for key, value in figures.items()}
        row = {column: named[key] for each in sorted(found) for column, key in self.csv_columns(each)}
        return Measured(named, f"{main}_{largest}", row)

    def _search(
        self,
        model: Any,
        functions: Mapping[str, SimilarityCallable],
        corpus_model: Any,
        corpus_embeddings: Embeddings | None,
    ) -> dict[str, Ranked]:
        """The best documents of each query, by each function."""
        depth = max(
            *self.mrr_at_k,
            *self.ndcg_at_k,
            *self.accuracy_at_k,
            *self.precision_recall_at_k,
            *self.map_at_k,
            1,
        )
        (queries,) = self._embed(
            model,
            self.queries,
            encode_fn_name="query",
            prompt=self.query_prompt,
            prompt_name=self.query_prompt_name,
        )
        given = None if corpus_embeddings is None else as_array(corpus_embeddings, "corpus_embeddings")
        if given is not None and len(given) != len(self.corpus):
            raise InputError(
                f"corpus_embeddings has {len(given):,} vectors for a corpus of {len(self.corpus):,}: give one "
                "per document"
            )
        searches = {
            each: ChunkedSearch(queries, depth, function, len(self.corpus))
            for each, function in functions.items()
        }
        place_of_id, id_of_place = id_orders(self.corpus_ids)
        for start in range(0, len(self.corpus), self.corpus_chunk_size):
            end = min(start + self.corpus_chunk_size, len(self.corpus))
            if given is None:
                (vectors,) = self._embed(
                    corpus_model,
                    self.corpus[start:end],
                    encode_fn_name="document",
                    prompt=self.corpus_prompt,
                    prompt_name=self.corpus_prompt_name,
                )
            else:
                vectors = given[start:end]
            for search in searches.values():
                search.add(vectors, place_of_id[start:end])
            del vectors  # before the next chunk's are made
        found = {}
        for each, search in searches.items():
            places, scores, offsets = search.result()
            found[each] = Ranked(id_of_place[places], scores, offsets)
        return found

    def _figures(self, ranked: Ranked) -> dict[str, dict[int, float]]:
        grades = list(self._grades.values())
        gains = gains_of(ranked, grades, self.corpus_ids)
        totals = np.array(list(map(len, grades)))
        ideal = ideal_gains(grades, max(self.ndcg_at_k))

        def by_rank(ranks: Sequence[int], figure: Callable[[int], NDArray[np.float64]]) -> dict[int, float]:
            return {k: mean(figure(k)) for k in ranks}

        return {
            "accuracy@k": by_rank(self.accuracy_at_k, lambda k: metrics.accuracy_at_k(gains, k)),
            "precision@k": by_rank(self.precision_recall_at_k, lambda k: metrics.precision_at_k(gains, k)),
            "recall@k": by_rank(self.precision_recall_at_k, lambda k: metrics.recall_at_k(gains, k, totals)),
            "ndcg@k": by_rank(self.ndcg_at_k, lambda k: metrics.ndcg_at_k(gains, k, ideal)),
            "mrr@k": by_rank(self.mrr_at_k, lambda k: metrics.reciprocal_rank_at_k(gains, k)),
            "map@k": by_rank(self.map_at_k, lambda k: metrics.average_precision_at_k(gains, k, totals)),
        }

    def csv_columns(self, each: str) -> list[tuple[str, str]]:
        """Columns of the file, and the metrics in them, of one score function by its name."""
        columns = [(f"{each}-Accuracy@{k}", f"{each}_accuracy@{k}") for k in self.accuracy_at_k]
        for k in self.precision_recall_at_k:
            columns.append((f"{each}-Precision@{k}", f"{each}_precision@{k}"))
            columns.append((f"{each}-Recall@{k}", f"{each}_recall@{k}"))
        columns += [(f"{each}-MRR@{k}", f"{each}_mrr@{k}") for k in self.mrr_at_k]
        columns += [(f"{each}-NDCG@{k}", f"{each}_ndcg@{k}") for k in self.ndcg_at_k]
        return columns + [(f"{each}-MAP@{k}", f"{each}_map@{k}") for k in self.map_at_k]


def _checked_grades(
    queries: Mapping[str, str], corpus: Mapping[str, str], relevant_docs: Mapping[str, Relevant]
) -> dict[str, dict[str, float]]:
    """Query id -> relevant document -> grade, of the queries that have one, in their order."""
    for argument, value in (("queries", queries), ("corpus", corpus), ("relevant_docs", relevant_docs)):
        if not isinstance(value, Mapping):
            raise InputTypeError(f"{argument} is {type(value).__name__}: give a dictionary by id")
        if not value:
            raise InputError(f"{argument} is empty: there is nothing to evaluate")
    found = {}
    for key in queries:
        given = relevant_docs.get(key, ())
        if isinstance(given, str) or not isinstance(given, Iterable):
            what = "one string" if isinstance(given, str) else repr(given)
            raise InputTypeError(f"relevant_docs[{key!r}] is {what}: give a set of ids, {{{given!r}}}")
        grades = given if isinstance(given, Mapping) else dict.fromkeys(given, 1.0)
        missing = list(islice((each for each in grades if each not in corpus), 3))
        if missing:
            raise InputError(
                f"relevant_docs[{key!r}] names {', '.join(map(repr, missing))}, not in the corpus: remove "
                "from relevant_docs what the corpus does not hold, or give the whole corpus"
            )
        if grades is given:
            number_column(grades.values(), f"grades of relevant_docs[{key!r}]")
        kept = {each: float(grade) for each, grade in grades.items() if float(grade) > 0}
        if kept:
            found[key] = kept
    if not found:
        first, known = next(iter(queries)), next(iter(relevant_docs))
        raise InputError(
            "no query has a relevant document: queries and relevant_docs must use the same ids; "
            f"they begin with {first!r} and {known!r}"
        )
    return found


def _functions(
    given: Mapping[str, SimilarityCallable] | None, main: str | SimilarityFunction | None
) -> tuple[dict[str, SimilarityCallable] | None, str | None]:
    """Score functions by name, None for the model's own; and the main one's name."""
    name = main.value if isinstance(main, SimilarityFunction) else main
    if given is None:
        return (None if name is None else {name: all_pairs_function(name)}), name
    if not given:
        raise InputError("score_functions is empty: leave it out for the model's own similarity")
    if name is not None and name not in given:
        raise InputError(
            f"main_score_function={name!r} is not among score_functions: {', '.join(map(repr, given))}"
        )
    return dict(given), name
