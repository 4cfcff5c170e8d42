"""Hard negatives are those that sentence-transformers 6.2 finds, and that plain Python finds."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tinymining import Scorer, TableModel, mined, rows_of

from vicinal.errors import InputError, InputTypeError
from vicinal.util import candidates, mine_hard_negatives

# Recorded from sentence-transformers 6.2.0 with a model of these vectors and the scorer of tinymining, with
# random.seed(11) before each call.
RECORDED = json.loads((Path(__file__).parent / "hard_negatives_recorded.json").read_text(encoding="utf-8"))


def rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return pytest.approx(value, abs=2e-5) if isinstance(value, float) else value


def quiet(rows: Any, model: Any, **options: Any) -> Any:
    return mine_hard_negatives(rows, model, verbose=False, **options)


@pytest.mark.parametrize("number", range(len(RECORDED["cases"])))
def test_rows_are_those_of_sentence_transformers(number: int) -> None:
    case = RECORDED["cases"][number]
    options = dict(case["options"])
    if options.pop("corpus", None):
        options["corpus"] = RECORDED["corpus"]
    rows = [{"query": q, "text": t} for q, t in zip(RECORDED["query"], RECORDED["text"], strict=True)]
    model = TableModel(RECORDED["vectors"], case["similarity"])
    random.seed(11)
    found = quiet(rows, model, cross_encoder=Scorer() if case["cross_encoder"] else None, **options)
    assert [list(row.values()) for row in found] == rounded(case["rows"])
    if found:
        assert list(found[0]) == case["columns"]


@st.composite
def cases(draw: Any) -> tuple[list[str], list[str], dict[str, list[float]], dict[str, Any]]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 20))
    vectors = {f"{kind}{i}": rng.normal(size=4).tolist() for i in range(25) for kind in "qdc"}
    anchors = [f"q{i}" for i in rng.integers(0, draw(st.integers(1, 12)), count)]
    positives = [f"d{i}" for i in rng.integers(0, draw(st.integers(1, 25)), count)]
    wanted = draw(st.integers(1, 6))
    options: dict[str, Any] = {"num_negatives": wanted}
    options["range_min"] = draw(st.integers(0, 4))
    if draw(st.booleans()):
        options["range_max"] = options["range_min"] + wanted + draw(st.integers(0, 8))
    numbers = {
        "max_score": (0.2, 1.0),
        "min_score": (-1.0, 0.1),
        "absolute_margin": (-0.5, 0.5),
        "relative_margin": (-0.5, 1.5),
    }
    for name, bounds in numbers.items():
        if draw(st.integers(0, 3)) == 0:
            options[name] = float(rng.uniform(*bounds))
    if draw(st.booleans()):
        options["corpus"] = [f"{'cd'[kind]}{i}" for kind, i in rng.integers(0, [2, 25], (15, 2))]
    options["sampling_strategy"] = draw(st.sampled_from(["top", "random"]))
    options["include_positives"] = draw(st.integers(0, 4)) == 0
    return anchors, positives, vectors, options


@given(cases(), st.booleans(), st.sampled_from(["triplet", "n-tuple", "labeled-pair", "labeled-list"]))
@settings(max_examples=150, deadline=None)
def test_rows_are_those_of_plain_python(case: Any, rescored: bool, output_format: str) -> None:
    anchors, positives, vectors, options = case
    limited = any(
        name in options for name in ("max_score", "min_score", "absolute_margin", "relative_margin")
    )
    scorer = Scorer() if rescored and limited else None
    random.seed(5)
    wanted = mined(anchors, positives, vectors, scorer=scorer, **options)
    random.seed(5)
    found = quiet(
        rows_of(anchors, positives),
        TableModel(vectors),
        cross_encoder=scorer,
        output_format=output_format,
        output_scores=True,
        **options,
    )
    expected: list[list[Any]] = []
    for anchor, (own, own_scores, negatives, scores) in wanted.items():
        if options["include_positives"]:
            output_format = "n-tuple"
        else:
            assert not set(own) & set(negatives)
        pairs = list(zip(own, own_scores, strict=True))
        if output_format == "triplet":
            triplets = [
                [anchor, p, n, [s, t]] for p, s in pairs for n, t in zip(negatives, scores, strict=True)
            ]
            expected += triplets
        elif output_format == "n-tuple":
            if len(negatives) == options["num_negatives"]:
                expected += [[anchor, p, *negatives, [s, *scores]] for p, s in pairs]
        elif output_format == "labeled-list":
            if negatives:
                expected += [[anchor, [p, *negatives], [s, *scores]] for p, s in pairs]
        else:
            expected += [[anchor, p, s] for p, s in pairs]
            expected += [[anchor, n, s] for n, s in zip(negatives, scores, strict=True)]
    assert [list(row.values()) for row in found] == rounded(expected)


CIRCLE = {
    name: [float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))]
    for name, degrees in {"a": 0, "p": 10, "n1": 20, "n2": 30, "n3": 40, "far": 180, "b": 90, "r": 85}.items()
}
PAIRS = rows_of(["a", "b"], ["p", "r"])
CORPUS = ["n1", "n2", "n3", "far"]


def test_labels_are_1_for_positives_and_0_for_negatives() -> None:
    model = TableModel(CIRCLE)
    pairs = quiet(PAIRS, model, corpus=CORPUS, num_negatives=2, output_format="labeled-pair")
    assert [list(row.values()) for row in pairs] == [
        ["a", "p", 1],
        ["a", "n1", 0],
        ["a", "n2", 0],
        ["b", "r", 1],
        ["b", "n3", 0],
        ["b", "n2", 0],
    ]
    lists = quiet(PAIRS, model, corpus=CORPUS, num_negatives=2, output_format="labeled-list")
    assert lists[0] == {"anchor": "a", "positive": ["p", "n1", "n2"], "labels": [1, 0, 0]}
    tuples = quiet(PAIRS, model, corpus=CORPUS, num_negatives=2, output_format="n-tuple")
    assert tuples[1] == {"anchor": "b", "positive": "r", "negative_1": "n3", "negative_2": "n2"}


def test_a_text_with_the_vector_of_a_positive_passes_a_margin_of_0_and_no_larger_one() -> None:
    rng = np.random.default_rng(0)
    vectors = {f"q{i}": rng.normal(size=37).tolist() for i in range(50)}
    vectors |= {f"p{i}": rng.normal(size=37).tolist() for i in range(50)}
    vectors |= {f"twin{i}": vectors[f"p{i}"] for i in range(50)}
    rows = rows_of([f"q{i}" for i in range(50)], [f"p{i}" for i in range(50)])
    for margin, there in ((0, True), (1e-6, False)):
        found = quiet(
            rows,
            TableModel(vectors),
            corpus=[f"twin{i}" for i in range(50)],
            absolute_margin=margin,
            range_max=200,
            num_negatives=100,
        )
        twins = {row["anchor"] for row in found if row["negative"] == row["positive"].replace("p", "twin")}
        assert len(twins) == (50 if there else 0)


def test_of_equal_scores_the_text_that_comes_first_is_taken() -> None:
    vectors = dict(CIRCLE) | {f"same{i}": CIRCLE["n1"] for i in range(6)}
    found = quiet(
        PAIRS[:1],
        TableModel(vectors),
        corpus=["same4", "same1", "same5"],
        num_negatives=3,
        output_scores=True,
    )
    assert [row["negative"] for row in found] == ["same4", "same1", "same5"]
    assert len({row["scores"][1] for row in found}) == 1


def test_spans_of_anchors_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    vectors = {f"{kind}{i}": rng.normal(size=5).tolist() for kind in "qd" for i in range(40)}
    rows = rows_of([f"q{i}" for i in range(40)], [f"d{i}" for i in range(40)])
    options = {"absolute_margin": 0.1, "output_scores": True}
    whole = quiet(rows, TableModel(vectors), **options)
    monkeypatch.setattr(candidates, "_FEWEST", 3)
    monkeypatch.setattr(candidates, "_HELD", 1)
    assert quiet(rows, TableModel(vectors), **options) == whole
    scorer, again = Scorer(), Scorer()
    monkeypatch.undo()
    whole = quiet(rows, TableModel(vectors), cross_encoder=scorer, **options)
    monkeypatch.setattr(candidates, "_FEWEST", 3)
    monkeypatch.setattr(candidates, "_HELD", 1)
    assert quiet(rows, TableModel(vectors), cross_encoder=again, **options) == whole


def test_a_cross_encoder_scores_each_pair_once_and_no_positive_as_a_candidate() -> None:
    scorer = Scorer()
    quiet(PAIRS, TableModel(CIRCLE), corpus=CORPUS, cross_encoder=scorer, min_score=0.0)
    assert len(scorer.pairs) == len(set(scorer.pairs))
    assert scorer.pairs[:2] == [("a", "p"), ("b", "r")]
    assert len(scorer.pairs) == 2 + 2 * 5


def test_a_cross_encoder_without_limits_is_said_to_have_no_effect() -> None:
    plain = quiet(PAIRS, TableModel(CIRCLE), corpus=CORPUS, output_scores=True)
    scorer = Scorer()
    with pytest.warns(UserWarning, match="cross_encoder has no effect"):
        found = quiet(PAIRS, TableModel(CIRCLE), corpus=CORPUS, output_scores=True, cross_encoder=scorer)
    assert found == plain and not scorer.pairs
    found = quiet(
        PAIRS,
        TableModel(CIRCLE),
        corpus=CORPUS,
        output_scores=True,
        cross_encoder=scorer,
        min_score=float("-inf"),
    )
    assert found[0]["scores"][0] == pytest.approx(Scorer.score("a", "p"))


@pytest.mark.parametrize(
    ("scores", "said"),
    [(lambda n: np.zeros((n, 3)), "one score"), (lambda n: np.full(n, np.nan), "NaN for the pair")],
)
def test_scores_that_are_none_are_refused(scores: Any, said: str) -> None:
    class Wrong:
        def predict(self, pairs: list[Any], **options: Any) -> Any:
            return scores(len(pairs))

    with pytest.raises(InputError, match=said):
        quiet(PAIRS, TableModel(CIRCLE), cross_encoder=Wrong(), max_score=0.5)


def test_too_few_negatives_are_treated_as_the_format_says() -> None:
    model = TableModel(CIRCLE)
    options: dict[str, Any] = {"corpus": ["n1"], "num_negatives": 3}
    assert [row["negative"] for row in quiet(PAIRS, model, **options)] == ["n1", "r", "n1", "p"]
    assert quiet(PAIRS, model, output_format="n-tuple", **options) == []
    assert quiet(PAIRS, model, output_format="labeled-list", **options)[0]["positive"] == ["p", "n1", "r"]
    nothing: dict[str, Any] = {"max_score": -0.99}
    assert quiet(PAIRS, model, output_format="labeled-pair", **nothing) == [
        {"anchor": "a", "positive": "p", "label": 1},
        {"anchor": "b", "positive": "r", "label": 1},
    ]
    assert quiet(PAIRS, model, output_format="labeled-list", **nothing) == []
    assert quiet(rows_of(["a"], ["p"]), model) == []


def test_columns_are_found_by_place_or_name() -> None:
    rows = [{"id": "x", "answer": "p", "question": "a"}, {"id": "y", "answer": "r", "question": "b"}]
    found = quiet(
        rows,
        TableModel(CIRCLE),
        anchor_column_name="question",
        positive_column_name="answer",
        num_negatives=1,
    )
    assert found == [
        {"question": "a", "answer": "p", "negative": "r"},
        {"question": "b", "answer": "r", "negative": "p"},
    ]


class PromptModel(TableModel):
    def encode_query(self, texts: list[str], **options: Any) -> np.ndarray:
        return self.encode(texts, role="query", **options)

    def encode_document(self, texts: list[str], **options: Any) -> np.ndarray:
        return self.encode(texts, role="document", **options)


def test_prompts_go_to_the_method_of_their_role() -> None:
    model = PromptModel(CIRCLE)
    options = {"query_prompt_name": "q", "corpus_prompt": "text: ", "batch_size": 7}
    quiet(PAIRS, model, corpus=CORPUS, **options)
    (anchors, first), (documents, second) = model.asked
    assert (anchors, documents) == (["a", "b"], [*CORPUS, "p", "r"])
    assert first["role"] == "query" and first["prompt_name"] == "q" and "prompt" not in first
    assert second["role"] == "document" and second["prompt"] == "text: " and "prompt_name" not in second
    assert first["batch_size"] == second["batch_size"] == 7 and first["show_progress_bar"] is False
    plain = TableModel(CIRCLE)
    quiet(PAIRS, plain, corpus=CORPUS, **options)
    assert plain.asked[0][1]["prompt_name"] == "q" and plain.asked[1][1]["prompt"] == "text: "


def test_embeddings_are_kept_while_texts_prompts_and_weights_stay(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"

    def asked(rows: Any = PAIRS, fingerprint: str = "1", **options: Any) -> list[int]:
        model = TableModel(CIRCLE)
        model.fingerprint = fingerprint  # type: ignore[attr-defined]
        found = quiet(rows, model, corpus=CORPUS, cache_folder=str(folder), **options)
        assert found == quiet(rows, TableModel(CIRCLE), corpus=CORPUS, **options)
        return [len(texts) for texts, _ in model.asked]

    assert asked() == [2, 6]
    assert sorted(file.name.partition("_embeddings_")[0] for file in folder.iterdir()) == ["corpus", "query"]
    assert asked() == []
    assert asked(num_negatives=1, max_score=0.9) == []
    assert asked(query_prompt="q: ") == [2]
    assert asked(corpus_prompt_name="d") == [6]
    assert asked(rows=PAIRS[:1]) == [1, 5]
    assert asked(fingerprint="2") == [2, 6]
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[:70])
    assert asked() == [2, 6]
    with pytest.raises(InputError, match="nothing tells its weights"):
        quiet(PAIRS, TableModel(CIRCLE), cache_folder=str(folder))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cache_folder"):
        quiet(PAIRS, TableModel(CIRCLE), cache_folder=str(tmp_path / "file"))


class PoolModel(TableModel):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.pools: list[Any] = []

    def start_multi_process_pool(self, target_devices: Any = None) -> str:
        self.pools.append(target_devices)
        return "pool"

    def stop_multi_process_pool(self, pool: str) -> None:
        self.pools.append(f"stopped {pool}")


def test_processes_encode_and_are_stopped() -> None:
    for given_devices, devices in ((True, None), (["cpu", "cpu"], ["cpu", "cpu"])):
        model = PoolModel(CIRCLE)
        quiet(PAIRS, model, use_multi_process=given_devices)
        assert model.pools == [devices, "stopped pool"]
        assert [options["pool"] for _, options in model.asked] == ["pool", "pool"]
    model = PoolModel({})
    with pytest.raises(KeyError):
        quiet(PAIRS, model, use_multi_process=True)
    assert model.pools == [None, "stopped pool"]
    with pytest.raises(InputError, match="start_multi_process_pool"):
        quiet(PAIRS, TableModel(CIRCLE), use_multi_process=True)


def test_old_arguments_warn_and_go_on() -> None:
    model = TableModel(CIRCLE)
    for old, new in (
        ({"as_triplets": True, "output_format": "n-tuple"}, {"output_format": "triplet"}),
        ({"as_triplets": False}, {"output_format": "n-tuple"}),
        ({"margin": 0.02}, {"absolute_margin": 0.02}),
    ):
        with pytest.warns(DeprecationWarning, match=next(iter(old))):
            found = quiet(PAIRS, model, corpus=CORPUS, **old)
        assert found == quiet(PAIRS, model, corpus=CORPUS, **new)


def test_faiss_is_not_needed_and_changes_nothing() -> None:
    model = TableModel(CIRCLE)
    plain = quiet(PAIRS, model, corpus=CORPUS)
    assert quiet(PAIRS, model, corpus=CORPUS, use_faiss=True, faiss_batch_size=1) == plain


def test_the_report_counts_what_was_found_and_what_was_excluded(capsys: pytest.CaptureFixture[str]) -> None:
    options: dict[str, Any] = {"corpus": CORPUS, "range_max": 4, "num_negatives": 3, "max_score": 0.9}
    mine_hard_negatives(PAIRS, TableModel(CIRCLE), **options)
    printed = capsys.readouterr().out
    assert "Mined 6 negatives for 2 anchors with 2 positives, from 6 texts." in printed
    assert "max_score=0.9 excluded 1 candidate of 8 (12.5%)." in printed
    assert "difference" in printed and "missing" not in printed
    mine_hard_negatives(PAIRS, TableModel(CIRCLE), range_min=1, corpus=["n1"])
    assert "4 negatives of 6 are missing, for 2 anchors." in capsys.readouterr().out
    mine_hard_negatives(PAIRS, TableModel(CIRCLE), max_score=-0.99)
    assert "Mined 0 negatives" in capsys.readouterr().out
    quiet(PAIRS, TableModel(CIRCLE))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"anchor_column_name": "query"}, "anchor_column_name='query' is not a column of dataset"),
        ({"positive_column_name": "answer"}, "positive_column_name='answer' is not a column"),
        ({"anchor_column_name": "positive"}, "both read from the column 'positive'"),
        ({"num_negatives": 0}, "num_negatives is 0"),
        ({"range_min": -1}, "range_min is -1"),
        ({"range_max": 0}, "range_max is 0"),
        ({"range_min": 5, "range_max": 5}, "range_max=5 must be larger than range_min=5"),
        ({"range_min": 5, "range_max": 7}, "leave 2 candidates, but num_negatives=3"),
        ({"min_score": 0.9, "max_score": 0.1}, "min_score=0.9 is above max_score=0.1"),
        ({"absolute_margin": float("nan")}, "absolute_margin is nan"),
        ({"relative_margin": float("inf")}, "relative_margin is inf"),
        ({"max_score": "0.5"}, "max_score='0.5' is str"),
        ({"sampling_strategy": "best"}, "sampling_strategy='best' is not one of"),
        ({"output_format": "pairs"}, "output_format='pairs' is not one of"),
        ({"output_scores": "no"}, "output_scores='no' is str"),
        ({"use_multi_process": "cpu"}, "use_multi_process='cpu' is str"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"faiss_batch_size": 0}, "faiss_batch_size is 0"),
        ({"corpus": "one text"}, "corpus is one text"),
        ({"corpus": ["n1", None]}, r"corpus\[1\]"),
        ({"model": "all-MiniLM-L6-v2"}, r"model is str, which has no encode\(\): give a SentenceTransformer"),
        ({"cross_encoder": TableModel({})}, r"which has no predict\(\): give a CrossEncoder"),
        ({"dataset": []}, "dataset is empty"),
        ({"dataset": {"train": PAIRS}}, "dataset is a dict of 'train'"),
        ({"dataset": "pairs.csv"}, "dataset is str: give a datasets.Dataset"),
        ({"dataset": [("a", "p")]}, r"dataset\[0\] is tuple: give dicts"),
        ({"dataset": [{"a": "x"}]}, "two are needed"),
        ({"dataset": [*PAIRS, {"anchor": "a"}]}, r"dataset\[2\] has no 'positive'"),
        ({"dataset": [{"anchor": "a", "positive": None}]}, r"dataset\['positive'\]\[0\] is None"),
        ({"dataset": [{"anchor": "a", "negative": "p"}] * 2}, None),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(options: dict[str, Any], said: str | None) -> None:
    arguments: dict[str, Any] = {"dataset": PAIRS, "model": TableModel(CIRCLE)} | options
    if said is None:  # the column of positives would have the name of that of negatives
        arguments["corpus"] = CORPUS
        said = "two columns 'negative'"
    with pytest.raises((InputError, InputTypeError), match=said):
        mine_hard_negatives(verbose=False, **arguments)


def test_a_model_with_a_bad_vector_is_named() -> None:
    with pytest.raises(InputError, match="corpus_embeddings"):
        quiet(PAIRS, TableModel(CIRCLE | {"p": [float("nan"), 1.0]}))

    class Short(TableModel):
        def encode(self, texts: list[str], **options: Any) -> np.ndarray:
            return super().encode(texts, **options)[1:]

    with pytest.raises(InputError, match="1 embeddings for 2 texts"):
        quiet(PAIRS, Short(CIRCLE))


def test_data_sets_come_back_as_data_sets() -> None:
    datasets = pytest.importorskip("datasets")
    given_rows = datasets.Dataset.from_list([{"id": i, **row} for i, row in enumerate(PAIRS)])
    model = TableModel(CIRCLE)
    names = {"anchor_column_name": "anchor", "positive_column_name": "positive"}
    for output_format in ("triplet", "n-tuple", "labeled-pair", "labeled-list"):
        for scores in (False, True):
            options: dict[str, Any] = {"output_format": output_format, "output_scores": scores}
            found = quiet(given_rows, model, corpus=CORPUS, **names, **options)
            assert isinstance(found, datasets.Dataset)
            assert found.to_list() == quiet(PAIRS, model, corpus=CORPUS, **options)
            # With no rows the columns have the types that they have with rows.
            none = quiet(given_rows.select([0]), model, **names, **options)
            if output_format != "labeled-pair":
                assert len(none) == 0
            assert none.features == found.features
    for wrong in (datasets.DatasetDict(train=given_rows), given_rows.to_iterable_dataset()):
        with pytest.raises(InputTypeError, match="give"):
            quiet(wrong, model)
    with pytest.raises(InputError, match="empty"):
        quiet(given_rows.select([]), model, **names)


def test_mining_a_list_loads_neither_torch_nor_datasets() -> None:
    code = """
import sys, numpy
from vicinal import mine_hard_negatives
class Model:
    def encode(self, texts, **options):
        return numpy.random.default_rng(0).normal(size=(len(texts), 4))
rows = [{"anchor": f"a{i}", "positive": f"p{i}"} for i in range(9)]
assert len(mine_hard_negatives(rows, Model())) == 27
print([name for name in ("torch", "datasets", "pandas", "faiss", "tqdm") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
