"""similarity, mine, cluster, rerank and quantize on the real models."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_shell import Shell
from rich.cells import cell_len

Put = Callable[[str, "str | bytes"], str]

PETS = ["A cat sits on the mat", "A kitten is sitting on a mat", "My dog sleeps in the garden"]
MONEY = [
    "Stock prices fell sharply today",
    "Stock prices dropped sharply today",
    "The bank raised its interest rate",
]


def narrow(text: str, columns: int = 60) -> bool:
    return all(cell_len(line.rstrip()) <= columns for line in text.splitlines())


def test_similarity(vicinal: Shell, minilm_path: Path) -> None:
    done = vicinal("similarity", *PETS, "-m", minilm_path, "--dtype", "float32")
    assert (done.code, done.err) == (0, "")
    assert done.rows[0] == ["", *PETS]
    assert [row[0] for row in done.rows[1:]] == PETS
    scores = [[float(cell) for cell in row[1:]] for row in done.rows[1:]]
    assert [scores[n][n] for n in range(3)] == pytest.approx([1, 1, 1], abs=1e-5)
    assert scores[0][1] == scores[1][0] > 0.8 > scores[0][2]

    found = json.loads(
        vicinal.quick("similarity", *PETS, "-m", minilm_path, "--dtype", "float32", "--json").out
    )
    assert found["texts"] == PETS
    assert found["similarity"] == "cosine"
    for row, other in zip(found["scores"], scores, strict=True):
        assert row == pytest.approx(other, abs=1e-5)


def test_similarity_in_a_narrow_terminal(vicinal: Shell, minilm_path: Path) -> None:
    texts = [
        *PETS,
        *MONEY,
        "日本語の長い文章がここにあります。とても長い文章です。",
        "b\tc\x1b[31m",
        "",
        "[red]x",
    ]
    done = vicinal.pretty("similarity", *texts, "-m", minilm_path)
    assert done.code == 0, done.err
    assert narrow(done.out)
    assert done.out.count("A cat sits on") == 3  # the matrix is cut between columns
    numbers = [word for line in done.out.splitlines() for word in line.split() if word.count(".") == 1]
    assert sum(word == "1.000" for word in numbers) == len(texts)
    assert "[red]x" in done.out and "…" in done.out


def test_similarity_wants_two(vicinal: Shell, minilm_path: Path) -> None:
    done = vicinal.quick("similarity", "one", "-m", minilm_path)
    assert done.code == 1
    assert done.err.startswith("error: one text alone")


def test_mine(vicinal: Shell, put: Put, minilm_path: Path) -> None:
    put("x.txt", "\n".join([*PETS, "", *MONEY]))
    done = vicinal("mine", "x.txt", "-t", "0.7", "-m", minilm_path)
    assert done.code == 0, done.err
    assert [row[1:] for row in done.rows] == [["5", "6", *MONEY[:2]], ["1", "2", *PETS[:2]]]
    scores = [float(row[0]) for row in done.rows]
    assert 1 >= scores[0] >= scores[1] >= 0.7
    assert "note: 1 blank text left out" in done.err
    assert "2 pairs of 0.700 or more among 6 texts" in done.err

    best = json.loads(
        vicinal.quick("mine", "x.txt", "-t", "0", "--top", "1", "-m", minilm_path, "--json").out
    )
    assert [pair["a"] for pair in best] == [{"line": 5, "text": MONEY[0]}]
    assert [pair["b"] for pair in best] == [{"line": 6, "text": MONEY[1]}]

    shown = vicinal.pretty("mine", "x.txt", "-t", "0.7", "-m", minilm_path)
    assert narrow(shown.out)
    assert shown.out.splitlines()[3].split(maxsplit=1) == ["2", PETS[1]]


def test_mine_finds_nothing(vicinal: Shell, put: Put, minilm_path: Path) -> None:
    put("x.txt", "\n".join([PETS[0], MONEY[0]]))
    done = vicinal.quick("mine", "x.txt", "--threshold", "0.9", "-m", minilm_path)
    assert (done.code, done.out) == (0, "")
    assert "0 pairs" in done.err
    put("x.txt", PETS[0])
    assert "a pair takes two" in vicinal.quick("mine", "x.txt", "-m", minilm_path).err
    put("x.txt", "\n \n")
    assert "only blank" in vicinal.quick("mine", "x.txt", "-m", minilm_path).err


def test_cluster(vicinal: Shell, put: Put, minilm_path: Path) -> None:
    pytest.importorskip("sklearn")
    put("x.csv", "id,body\n" + "".join(f'{n},"{text}"\n' for n, text in enumerate([*PETS, *MONEY])))
    arguments = ["cluster", "x.csv", "-f", "body", "-k", "2", "-m", str(minilm_path)]
    done = vicinal(*arguments, "--labels", "labels.tsv")
    assert done.code == 0, done.err
    assert done.rows[0] == ["cluster", "size", "keywords", "line", "most central text"]
    assert [row[:2] for row in done.rows[1:]] == [["0", "3"], ["1", "3"]]
    assert {row[4] in PETS for row in done.rows[1:]} == {True, False}
    labels = [line.split("\t") for line in (vicinal.folder / "labels.tsv").read_text().splitlines()]
    assert labels[0] == ["line", "cluster", "text"]
    assert [row[0] for row in labels[1:]] == ["2", "3", "4", "5", "6", "7"]
    assert len({row[1] for row in labels[1:4]}) == len({row[1] for row in labels[4:]}) == 1


def test_cluster_as_json(vicinal: Shell, put: Put, minilm_path: Path) -> None:
    put("x.txt", "\n".join([*PETS, *MONEY]))
    arguments = ["--method", "communities", "--min-size", "2", "-t", "0.7", "-m", str(minilm_path)]
    done = vicinal.quick("cluster", "x.txt", *arguments, "--json")
    found = json.loads(done.out)
    assert [group["size"] for group in found] == [2, 2]
    assert {line["text"] for group in found for line in group["central"]} == {*PETS[:2], *MONEY[:2]}
    assert any("mat" in group["keywords"] for group in found)
    assert ", 2 of them in none" in done.err

    shown = vicinal.pretty("cluster", "x.txt", *arguments)
    assert narrow(shown.out)
    assert shown.out.startswith("0  2 texts  ")
    assert PETS[0] in shown.out and MONEY[0] in shown.out


def test_cluster_map(vicinal: Shell, put: Put, minilm_path: Path) -> None:
    pytest.importorskip("matplotlib")
    put("x.txt", "\n".join([*PETS, *MONEY]))
    done = vicinal(
        "cluster", "x.txt", "--method", "communities", "--min-size", "2", "-t", "0.5",
        "--plot", "my map.png", "--plot", "my map.html", "-m", minilm_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert (vicinal.folder / "my map.png").read_bytes().startswith(b"\x89PNG")
    assert "; map in my map.png; map in my map.html" in done.err
    assert {name for name in os.listdir(vicinal.folder) if name[0] != "."} == {
        "my map.png",
        "my map.html",
        "x.txt",
    }
    page = (vicinal.folder / "my map.html").read_text(encoding="utf-8")
    assert "<h1>2 clusters of 6 texts from x.txt</h1>" in page
    assert all(text in page for text in [*PETS, *MONEY])


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ([], "kmeans needs the number of clusters, e.g. -k 20"),
        (["-k", "9"], "there are only 6 texts"),
        (["-k", "2", "--labels", "./x.txt"], "--labels ./x.txt: this is the file of the texts too"),
        (
            ["-k", "2", "--plot", "a.png", "--labels", "a.png"],
            "--labels a.png: this is the file of --plot too",
        ),
        (["--method", "hdbscan", "-k", "3"], "leave -k out"),
        (["--method", "agglomerative"], "needs -k or --threshold"),
        (["-k", "2", "--threshold", "0.5"], "takes none"),
        (["-k", "2", "--plot", "map.txt"], "ends in .png (a picture) or .html"),
        (["-k", "2", "--plot", "a.png", "--plot", "no/map.html"], "no/map.html"),
        (["-k", "2", "--plot", "no/map.png"], "does not exist"),
    ],
)
def test_cluster_arguments(vicinal: Shell, put: Put, options: list[str], part: str) -> None:
    put("x.txt", "\n".join([*PETS, *MONEY]))
    done = vicinal.quick("cluster", "x.txt", *options)
    assert done.code == 1
    assert part in done.err


def test_fewer_clusters_than_asked_for(vicinal: Shell, put: Put) -> None:
    put("x.txt", "a\na\na\n")
    done = vicinal.quick("cluster", "x.txt", "-k", "2")
    assert done.code == 0 and "note: 1 in place of 2: the other texts have the same vectors" in done.err
    assert "n_clusters" not in done.err


def test_rerank(vicinal: Shell, put: Put, cross_encoder: str) -> None:
    put("x.txt", "\n".join([*MONEY, "", *PETS]))
    done = vicinal("rerank", "a small cat on a mat", "x.txt", "-m", cross_encoder, "-k", "2")
    assert done.code == 0, done.err
    assert {row[2] for row in done.rows} == set(PETS[:2])
    assert {row[1] for row in done.rows} == {"5", "6"}
    assert float(done.rows[0][0]) >= float(done.rows[1][0]) > 0.3

    found = json.loads(
        vicinal("rerank", "a small cat on a mat", "x.txt", "-m", cross_encoder, "--json", "-k", "9").out
    )
    assert len(found) == 6
    assert found[0].keys() == {"score", "line", "text"}

    put("x.txt", "\n".join([*PETS, "A cat and " + "very " * 100 + "long text"]))
    shown = vicinal.pretty("rerank", "a cat", "x.txt", "-m", cross_encoder)
    assert narrow(shown.out)
    assert len(shown.out.splitlines()) <= 1 + 4 * 3


def test_rerank_wants_a_query_and_a_cross_encoder(
    vicinal: Shell, put: Put, minilm_path: Path, cross_encoder: str
) -> None:
    put("x.txt", "a\n")
    assert "the query is blank" in vicinal.quick("rerank", " ", "x.txt", "-m", cross_encoder).err
    done = vicinal.quick("rerank", "a", "x.txt", "-m", minilm_path)
    assert done.code == 1
    assert done.err.startswith("error: ") and done.err.count("\n") == 1
    assert vicinal.quick("rerank", "a", "x.txt").code == 2


def test_quantize(vicinal: Shell, put: Put, one_layer: Path) -> None:
    pytest.importorskip("nncf")
    put("x.txt", "\n".join(f"{text}, said number {n}" for n in range(8) for text in [*PETS, *MONEY]))
    done = vicinal("quantize", one_layer, "x.txt", "small model", "--samples", "10", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["held_out"] == 5
    assert 0.8 < found["cosine_lowest"] <= found["cosine_mean"] <= 1
    assert found["bytes"][1] < found["bytes"][0]
    assert sorted(os.listdir(vicinal.folder)) == ["small model", "x.txt"]
    assert vicinal.quick("similarity", "a", "b", "-m", "small model", "--dtype", "int8").code == 0
    again = vicinal.quick("quantize", one_layer, "x.txt", "small model")
    assert (again.code, "exists already" in again.err) == (1, True)


def test_quantize_wants_texts(vicinal: Shell, put: Put, minilm_path: Path) -> None:
    put("x.txt", "\n".join(PETS))
    done = vicinal.quick("quantize", minilm_path, "x.txt", "small")
    assert (done.code, "holds 3 texts" in done.err) == (1, True)
    assert os.listdir(vicinal.folder) == ["x.txt"]
