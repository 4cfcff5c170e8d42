"""Files of evaluation data, and ``vicinal evaluate`` on them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from vicinal.cli.app import app
from vicinal.errors import InputError
from vicinal.readers.beir import read_beir
from vicinal.readers.columns import numbers, read_columns

STS = ("sentence1", "sentence2", "score")
ROWS = [
    ("A man eats.", "A man is eating.", 4.5),
    ('"Yes," he said.', "It rains in the north.", 0.5),
    ("A dog runs.", "A dog is running outside.", 3.8),
    ("Two cats sleep.", "The stock market fell.", 0.0),
]
EXPECTED = {"sentence1": [a for a, _, _ in ROWS], "sentence2": [b for _, b, _ in ROWS]}


def written(folder: Path, kind: str) -> Path:
    file = folder / f"pairs.{kind.rpartition('_')[2]}"
    if kind == "jsonl":
        lines = [json.dumps({"Sentence1": a, "sentence2": b, "score": c}) for a, b, c in ROWS]
    elif kind == "csv":
        lines = ["score,sentence_A,sentence_B"]
        lines += ['{},"{}","{}"'.format(c, a.replace('"', '""'), b) for a, b, c in ROWS]
    elif kind == "stsb_tsv":
        lines = [f"genre\tfile\tyear\t{n}\t{c}\t{a}\t{b}\tmore" for n, (a, b, c) in enumerate(ROWS)]
    else:
        lines = [f"{a}\t{b}\t{c}" for a, b, c in ROWS]
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.mark.parametrize("kind", ["jsonl", "csv", "stsb_tsv", "tsv"])
def test_columns_are_found(kind: str, tmp_path: Path) -> None:
    file = written(tmp_path, kind)
    found = read_columns(file, STS)
    assert {key: found[key] for key in EXPECTED} == EXPECTED
    assert numbers(found["score"], file, "score") == [score for _, _, score in ROWS]


def test_columns_are_named(tmp_path: Path) -> None:
    file = written(tmp_path, "stsb_tsv")
    assert read_columns(file, STS, ["6", "7", "5"]) == read_columns(file, STS)
    with pytest.raises(InputError, match="2 columns are named, but 3 needed"):
        read_columns(file, STS, ["6", "7"])
    with pytest.raises(InputError, match="line 1: there are columns 1 to 8"):
        read_columns(file, STS, ["6", "7", "9"])
    with pytest.raises(InputError, match=r"line 1: the score is 'A man eats\.', not a number"):
        numbers(read_columns(file, STS, ["7", "5", "6"])["score"], file, "score")
    with pytest.raises(InputError, match="which columns are anchor, positive, negative"):
        read_columns(file, ("anchor", "positive", "negative"))


def beir(folder: Path) -> Path:
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(
        '{"_id": "a", "title": "Dogs", "text": "They bark."}\n{"_id": "b", "text": "Cats purr."}\n'
    )
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "which animal barks"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta\t2\nq\tb\t0\n")
    return folder


def test_beir_folder(tmp_path: Path) -> None:
    found = read_beir(beir(tmp_path / "beir"))
    assert found.corpus == {"a": "Dogs They bark.", "b": "Cats purr."}
    assert found.queries == {"q": "which animal barks"}
    assert found.relevant == {"q": {"a": 2.0, "b": 0.0}}
    with pytest.raises(InputError, match="no split 'dev': there are 'test'"):
        read_beir(tmp_path / "beir", "dev")
    with pytest.raises(InputError, match=r"has no queries\.jsonl"):
        read_beir(tmp_path)


def test_command(tmp_path: Path) -> None:
    file = written(tmp_path, "stsb_tsv")
    run = ["evaluate", "vicinal-mini", "--task", "sts", "--data", str(file), "--csv", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*run, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["primary"] == "spearman_cosine"
    assert set(found["figures"]) == {"pearson_cosine", "spearman_cosine"}
    assert found["figures"]["spearman_cosine"] > 0.5
    assert (tmp_path / "out" / "similarity_evaluation_results.csv").is_file()
    plain = CliRunner().invoke(app, run)
    assert plain.stdout.splitlines()[1] == f"spearman_cosine\t{found['figures']['spearman_cosine']:.6f}"


def test_command_on_beir(tmp_path: Path) -> None:
    folder = str(beir(tmp_path / "beir"))
    done = CliRunner().invoke(app, ["evaluate", "vicinal-mini", "-t", "retrieval", "-d", folder, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["figures"]["cosine_recall@100"] == 1.0


def test_command_refuses(tmp_path: Path) -> None:
    file = written(tmp_path, "tsv")
    run = ["evaluate", "vicinal-mini", "-t", "sts", "-d"]
    for arguments, message in (
        ([str(tmp_path / "no.tsv")], "no.tsv"),
        ([str(file), "--split", "dev"], "--split dev is for retrieval"),
        ([str(file), "--similarity", "cosin"], "--similarity cosin is unknown: choose one of cosine, dot"),
        ([str(file), "--csv", str(file)], "this is a file; give a folder"),
    ):
        done = CliRunner().invoke(app, [*run, *arguments])
        assert done.exit_code != 0
        assert message in " ".join(done.stderr.split())


def said(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["evaluate", *arguments])
    assert done.exit_code in (1, 2)  # 2 for a value that an option does not have
    return " ".join(done.stderr.split())


def test_messages_speak_of_the_file_and_the_options(tmp_path: Path) -> None:
    file = tmp_path / "pairs.tsv"
    data = ["vicinal-mini", "-d", str(file), "-t"]
    file.write_text("a\tb\t1\nc\td\t2\n")
    assert f"{file}, line 2: the label is 2; classes are 0 or 1" in said(*data, "classification")
    file.write_text("a\tb\t1\nc\td\tnan\n")
    assert f"{file}, line 2: the score is 'nan', not a number" in said(*data, "sts")
    assert "error: --similarity cosin is unknown" in said(*data, "sts", "--similarity", "cosin")
    samples = tmp_path / "samples.jsonl"
    samples.write_text('{"query": "a", "positive": ["b"], "negative": ["c"]}\n{"query": "a"}\n')
    assert f"{samples}: sample 2 has no 'positive'" in said(
        "vicinal-mini", "-t", "rerank", "-d", str(samples)
    )
    folder = beir(tmp_path / "beir")
    (folder / "qrels" / "test.tsv").write_text("q\tz\t1\n")
    told = said("vicinal-mini", "-t", "retrieval", "-d", str(folder))
    assert "qrels['q'] names 'z', not in the corpus" in told
    assert "relevant_docs" not in told


@pytest.mark.parametrize(
    ("task", "scores", "words"),
    [
        ("sts", 3, "the model gives 3 scores per pair, but --task sts needs one; --task classification"),
        ("classification", 3, "row 2: the label is 4; classes are 0 to 2"),
        ("classification", 1, "row 2: the label is 4; classes are 0 or 1"),
    ],
)
def test_what_a_cross_encoder_cannot_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, scores: int, words: str
) -> None:
    from vicinal.cli import evaluate

    monkeypatch.setattr(evaluate, "_is_cross_encoder", lambda name: True)
    monkeypatch.setattr(evaluate, "_load", lambda *_: SimpleNamespace(num_labels=scores))
    file = tmp_path / "pairs.tsv"
    file.write_text("a\tb\t1\nc\td\t4\n")
    assert words in said("pairs-model", "-t", task, "-d", str(file))
