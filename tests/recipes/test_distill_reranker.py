"""examples/distill_reranker.py: lists of passages, the teacher's weights, and the student before and after training."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vicinal import CrossEncoder, SentenceTransformer

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
sys.path.insert(0, str(EXAMPLES))

import distill_reranker as recipe  # noqa: E402
from int8_teacher import float_folder  # noqa: E402
from reranker_parts import lists, teacher  # noqa: E402
from reranker_parts import student as parts  # noqa: E402
from reranker_parts.lists import Asked, Lists  # noqa: E402
from reranker_parts.targets import Targets  # noqa: E402

PASSAGES = [
    "The server closes a connection that was idle for longer than the time that the option allows.",
    "Use sleep to pause the program for some seconds; other threads go on while it waits.",
    "A list is sorted in place; the order of equal elements does not change.",
    "The file is opened for reading, and closed when the block ends.",
]
QUESTIONS = [
    "How do I pause the program?",
    "close idle connections of a server",
    "sort the elements of a list",
]
ANSWERS = [1, 0, 2]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[parts.Student, dict[str, Any], Path]:
    """The student before training, its tokenizer, and its folder."""
    work = tmp_path_factory.mktemp("work")
    student, tokenizer = recipe.initial(Lists(PASSAGES, [], []), work)
    parts.write_folder(work / "student", student, tokenizer)
    return student.eval(), tokenizer, work / "student"


def test_bm25_is_that_of_the_formula() -> None:
    texts = ["red lamp", "red red wall of stone", "a lamp"]
    # k1 = 1.2, b = 0.75, 3 texts of 2, 5 and 2 words: "red" stands once and twice, "lamp" in the first and the last
    rare = np.log1p((3 - 2 + 0.5) / (2 + 0.5))
    weights = [rare * n * 2.2 / (n + 1.2 * (0.25 + 0.75 * m / 3)) for n, m in ((1, 2), (2, 5), (1, 2))]
    found = lists.Words(texts).scores("the red Lamp")
    np.testing.assert_allclose(found, [2 * weights[0], weights[1], weights[2]], rtol=1e-6)


def test_the_search_finds_what_answers() -> None:
    found = lists.search(QUESTIONS, PASSAGES, SentenceTransformer("vicinal-mini"))
    assert [hits[0] for hits in found] == ANSWERS
    assert all(sorted(hits) == [0, 1, 2, 3] for hits in found)


def test_held_out_sources_are_only_watched(tmp_path: Path) -> None:
    rows = [
        {"source": source, "query": f"{question} {number}", "passage": PASSAGES[answer]}
        for number, (source, question, answer) in enumerate(
            zip(("git-doc", "debian-faq", "man:purpose"), QUESTIONS, ANSWERS, strict=True)
        )
    ]
    rows += [
        {"source": "git-doc", "query": "f(x) = y or --option", "passage": PASSAGES[3]},
        {"source": "git-doc:cloze", "query": "a cloze is not asked", "passage": PASSAGES[3]},
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    read = lists.read_lists(path, SentenceTransformer("vicinal-mini"))
    assert sorted(read.passages) == sorted(PASSAGES)
    assert sorted(one.query for one in read.training) == [rows[0]["query"], rows[2]["query"]]
    assert [one.query for one in read.watched] == [rows[1]["query"]]
    assert read.passages[read.watched[0].passage] == PASSAGES[0]


def test_a_list_begins_with_its_answer_and_repeats_the_nearest() -> None:
    asked = Asked("q", 7, [3, 7, 5, 4, 9, 1, 2, 6, 8])
    chosen = [teacher.choose(asked, 100, random.Random(seed)) for seed in range(20)]
    assert all(numbers[:5] == [7, 3, 5, 4, 9] and len(numbers) == teacher.LIST for numbers in chosen)


@pytest.mark.slow
def test_an_int8_graph_becomes_a_folder_of_floats(retrieval_models: Path, tmp_path: Path) -> None:
    folder = float_folder(retrieval_models / "reranker_en", tmp_path / "teacher")
    pairs = [
        (
            "How many people live in Berlin?",
            "Berlin has 3,520,031 registered inhabitants in an area of 891 km.",
        ),
        ("How many people live in Berlin?", "New York City is famous for the Metropolitan Museum of Art."),
    ]
    scores = CrossEncoder(folder, activation_fn="Identity", dtype="float32").predict(pairs)
    graph = CrossEncoder(retrieval_models / "reranker_en", activation_fn="Identity").predict(pairs)
    np.testing.assert_allclose(scores, graph, atol=0.4)  # the graph rounds its activations
    assert float_folder(folder, tmp_path / "other") == folder


def test_scores_are_kept_and_belong_to_their_lists(tmp_path: Path) -> None:
    class Lengths:
        calls = 0

        def predict(self, pairs: list[tuple[str, str]], **_: Any) -> list[float]:
            self.calls += 1
            return [float(len(passage)) for _, passage in pairs]

    asked = [
        Asked(question, answer, [0, 1, 2, 3]) for question, answer in zip(QUESTIONS, ANSWERS, strict=True)
    ]
    model, kept = Lengths(), tmp_path / "scores.jsonl"
    first = teacher.scored_lists(model, asked, PASSAGES, kept)
    assert [scores for _, scores in first] == [[len(PASSAGES[n]) for n in numbers] for numbers, _ in first]
    assert teacher.scored_lists(model, asked, PASSAGES, kept) == first
    assert model.calls == 1
    with pytest.raises(SystemExit, match=r"belongs to other lists: remove it"):
        teacher.scored_lists(model, asked, PASSAGES, kept, seed=1)


def test_cosines_stand_in_for_scores_and_beside_them() -> None:
    rng = np.random.default_rng(0)
    vectors = {text: rng.normal(size=8).astype(np.float32) for text in (*PASSAGES, *QUESTIONS)}
    vectors = {text: vector / np.linalg.norm(vector) for text, vector in vectors.items()}
    asked = [
        Asked(question, answer, [0, 1, 2, 3]) for question, answer in zip(QUESTIONS, ANSWERS, strict=True)
    ]
    cosines = {
        (number, place): float(vectors[question] @ vectors[passage])
        for number, question in enumerate(QUESTIONS)
        for place, passage in enumerate(PASSAGES)
    }
    scored = [([0, 1, 2, 3], [20 * cosines[number, place] - 3 for place in range(4)]) for number in (0, 1)]
    found = Targets(lambda texts: np.stack([vectors[text] for text in texts]), asked, PASSAGES, scored)
    assert found.slope == pytest.approx(20, rel=1e-5) and found.offset == pytest.approx(-3, abs=1e-5)
    np.testing.assert_allclose(
        found(2, [3, 1], None), [35 * cosines[2, place] - 3 for place in (3, 1)], rtol=1e-4
    )
    np.testing.assert_allclose(found(0, [2], [4.0]), [4 + 15 * cosines[0, 2]], rtol=1e-5)


def test_lists_with_scores_come_last() -> None:
    asked = [Asked(str(number), number % 4, [0, 1, 2, 3]) for number in range(200)]
    scored: list[tuple[list[int], list[float]]] = [([0, 1, 2, 3, 0, 1, 2, 3], [0.0] * 8) for _ in range(8)]
    targets = Targets(lambda texts: np.ones((len(texts), 1), np.float32), asked, PASSAGES, scored)
    targets.slope, targets.offset = 0.0, 100.0  # so that cosines alone can be told
    plan = recipe.Plan(asked, len(PASSAGES), scored * 20, targets)
    batches = list(plan(random.Random(0)))
    assert len(batches) == plan.steps
    kinds = [scores[0] > 50 for batch in batches for _, _, scores in batch]
    assert kinds == sorted(kinds, reverse=True) and kinds.count(True) == 28_000 * 160 // 22_000 // 8 * 8
    assert {number for batch in batches for number, _, scores in batch if scores[0] < 50} == set(range(160))
    assert all(len(places) == teacher.LIST == len(scores) for batch in batches for _, places, scores in batch)


def test_a_cut_tokenizer_keeps_what_it_has(begun: tuple[parts.Student, dict[str, Any], Path]) -> None:
    _, tokenizer, _ = begun
    vocabulary = tokenizer["model"]["vocab"]
    assert len(vocabulary) == recipe.TOKENS == max(vocabulary.values()) + 1
    assert [vocabulary[text] for text in parts.SPECIAL] == [0, 1, 2, 3, 4]
    assert {"the", "idle", "##s", "a", "z", "##z"} <= vocabulary.keys()


def test_the_folder_scores_as_the_student_does(begun: tuple[parts.Student, dict[str, Any], Path]) -> None:
    student, _, folder = begun
    texts = _texts(folder)
    pairs = [(question, number) for question in QUESTIONS for number in range(len(PASSAGES))]
    with torch.no_grad():
        wanted = student(*texts.batch(pairs, 256)).numpy()
    model = CrossEncoder(folder, dtype="float32")
    found = model.predict([(question, PASSAGES[number]) for question, number in pairs])
    np.testing.assert_allclose(found, wanted, atol=2e-2)  # float16 weights
    assert sum(path.stat().st_size for path in folder.iterdir()) < 15e6
    assert max(path.stat().st_size for path in folder.iterdir()) < 12e6


def test_the_student_begins_as_a_matcher_and_learns(
    begun: tuple[parts.Student, dict[str, Any], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    student, _, folder = begun
    found = CrossEncoder(folder, dtype="float32")
    for question, answer in zip(QUESTIONS, ANSWERS, strict=True):
        assert found.rank(question, PASSAGES)[0]["corpus_id"] == answer
    asked = [
        Asked(question, answer, [0, 1, 2, 3]) for question, answer in zip(QUESTIONS, ANSWERS, strict=True)
    ]
    numbers = [0, 1, 2, 3] * 2
    scored = [(numbers, [9.0 if number == 3 else -9.0 for number in numbers]) for _ in asked]
    monkeypatch.setattr(recipe, "LISTS", 3)
    monkeypatch.setattr(recipe, "PASSES", 8)
    monkeypatch.setattr(recipe, "EARLY", 0)
    targets = Targets(lambda texts: np.ones((len(texts), 1), np.float32), asked, PASSAGES, scored)
    recipe.train(student, _texts(folder), recipe.Plan(asked, len(PASSAGES), scored, targets), "cpu")
    with torch.no_grad():
        after = student(*_texts(folder).batch([(QUESTIONS[0], number) for number in range(4)], 256))
    assert int(after.argmax()) == 3


def _texts(folder: Path) -> recipe.Texts:
    tokenizer = recipe.Tokenizer.from_file(str(folder / "tokenizer.json"))
    asked = [Asked(question, 0, []) for question in QUESTIONS]
    return recipe.Texts(tokenizer, Lists(PASSAGES, asked, []))
