"""Clusters are found again, and described by what sets them apart."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vicinal.errors import InputError, MissingExtraError
from vicinal.vectors.clustering import central_rows, cluster
from vicinal.vectors.keywords import keywords
from vicinal.vectors.maps import flat_map, project, save_map

pytest.importorskip("sklearn")


def three_groups() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [60, 40, 20])
    rows = np.eye(3, 16)[truth] + 0.05 * rng.standard_normal((120, 16))
    order = rng.permutation(120)
    return (rows[order] * rng.uniform(0.5, 5, (120, 1))).astype(np.float32), truth[order]


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("kmeans", {"n_clusters": 3}),
        ("agglomerative", {"n_clusters": 3}),
        ("agglomerative", {"threshold": 0.6}),
        ("hdbscan", {}),
        ("communities", {"threshold": 0.8}),
    ],
)
@pytest.mark.parametrize("container", ["numpy", "torch"])
def test_clear_groups_are_found_largest_first(method: Any, options: dict[str, Any], container: str) -> None:
    rows, truth = three_groups()
    if container == "torch":
        torch = pytest.importorskip("torch")
        labels = cluster(torch.tensor(rows), method=method, **options)
        assert isinstance(labels, torch.Tensor)
        labels = labels.numpy()
    else:
        labels = cluster(rows, method=method, **options)
    kept = labels >= 0
    assert kept.mean() > 0.9
    np.testing.assert_array_equal(labels[kept], truth[kept])


def test_zero_rows_and_few_rows() -> None:
    rows, _ = three_groups()
    rows[5] = 0
    for options in ({"n_clusters": 4}, {"n_clusters": 4, "method": "agglomerative"}, {"method": "hdbscan"}):
        assert cluster(rows, **options).shape == (120,)
    assert cluster(rows[:1], 1).tolist() == [0]
    assert cluster(np.empty((0, 3)), 1).tolist() == []
    assert cluster(rows[:3], method="communities", min_cluster_size=3).tolist() == [-1, -1, -1]


def test_impossible_arguments() -> None:
    rows, _ = three_groups()
    for options, message in (
        ({"method": "dbscan"}, "is not one of .kmeans"),
        ({}, "needs n_clusters"),
        ({"n_clusters": 0}, "n_clusters is 0"),
        ({"n_clusters": 121}, "1 to 120"),
        ({"n_clusters": 3, "threshold": 0.5}, "takes no threshold"),
        ({"n_clusters": 3, "method": "hdbscan"}, "leave it out"),
        ({"method": "agglomerative"}, "one of them"),
        ({"method": "communities", "threshold": 2.0}, "threshold is 2.0"),
        ({"method": "hdbscan", "min_cluster_size": 1}, "min_cluster_size is 1"),
    ):
        with pytest.raises(InputError, match=message):
            cluster(rows, **options)
    rows[9] = np.inf
    with pytest.raises(InputError, match="row 9 contains infinity"):
        cluster(rows, 3)


def test_missing_libraries_are_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"'vicinal\[cluster\]'"):
        cluster(np.eye(4), 2)
    with pytest.raises(MissingExtraError, match="matplotlib"):
        save_map(tmp_path / "map.png", np.zeros((2, 2)), [0, 1])
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(MissingExtraError, match="sklearn"):
        project(np.eye(6))


def test_keywords_set_clusters_apart() -> None:
    texts = [
        "the cat purrs",
        "the cat sleeps",
        "the c++ compiler",
        "c++ is the answer",
        "the sea",
        "the salt sea",
    ]
    texts += ["the moon", "a moon", "noise"]
    found = keywords(texts, [0, 0, 1, 1, 2, 2, 3, 3, -1], top=2)
    assert list(found) == [0, 1, 2, 3]
    assert [words[0][0] for words in found.values()] == ["cat", "c++", "sea", "moon"]
    assert all(word != "the" for words in found.values() for word, _ in words[:1])
    assert keywords(["sun moon sun", "moon", "ice"], [0, 0, 1]) == {
        0: [("moon", pytest.approx(np.log1p(4 / 2 / 2))), ("sun", pytest.approx(0.5 * np.log1p(4 / 2 / 1)))],
        1: [("ice", pytest.approx(np.log1p(4 / 2 / 1)))],
    }
    assert keywords(["...", "!"], [0, 0]) == {0: []} and keywords([], []) == {}
    with pytest.raises(InputError, match="2 rows"):
        keywords(["a", "b"], [0])
    with pytest.raises(InputError, match="top is 0"):
        keywords(["a"], [0], top=0)


def test_common_words_need_no_list() -> None:
    texts = [f"how to {word} in {word}" for word in ("linq", "bash", "scala", "excel", "spring")]
    found = keywords(texts, range(5))
    assert [[w for w, _ in words] for words in found.values()] == [[t.split()[-1]] for t in texts]


def test_no_word_stands_for_two_clusters_and_none_is_common() -> None:
    texts = [
        "how do I sort the files of a folder in 2009",
        "a file: how to copy the file",
        "I'm in the sea, don't swim",
    ]
    texts += ["swim in the sea with a file", "der Wald und die Bäume", "le bois et les arbres sont verts"]
    found = keywords(texts, [0, 0, 1, 1, 2, 3])
    words = [word for each in found.values() for word, _ in each]
    assert len(words) == len(set(words))
    assert not {"the", "how", "i'm", "don't", "und", "die", "les", "et", "2009", "a"} & set(words)
    assert found[0][0][0] == "file" and "files" not in words
    assert {"sea", "swim"} == {word for word, _ in found[1]}
    assert {"wald", "bäume"} == {word for word, _ in found[2]}


def test_singular_and_plural_are_one_word() -> None:
    texts = [
        "one query, two queries",
        "an address",
        "addresses",
        "addresses and boxes",
        "this class, these classes",
    ]
    found = [word for word, _ in keywords([*texts, "a box", "status of a bus"], [0] * 7)[0]]
    assert {"addresses", "bus", "status"} <= set(found)
    assert len({"query", "queries"} & set(found)) == len({"class", "classes"} & set(found)) == 1
    assert len({"box", "boxes"} & set(found)) == 1 and "address" not in found


def test_central_rows_are_nearest_to_the_mean_direction() -> None:
    rows, truth = three_groups()
    found = central_rows(rows, truth, top=2)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    for number, chosen in found.items():
        likeness = unit @ unit[truth == number].mean(axis=0)
        likeness[truth != number] = -2
        assert chosen == np.argsort(-likeness)[:2].tolist()
    assert central_rows(rows, np.full(120, -1)) == {}


def test_map_is_the_principal_plane(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((5_000, 10)) * np.array([9, 5, *[0.1] * 8]) + 3
    points = flat_map(rows)
    np.testing.assert_allclose(points, (rows - rows.mean(axis=0))[:, :2], atol=0.7)
    np.testing.assert_array_equal(points, flat_map(rows.copy()))
    assert flat_map(np.ones((3, 1))).tolist() == [[0, 0]] * 3 and flat_map(np.empty((0, 4))).shape == (0, 2)
    pytest.importorskip("matplotlib")
    picture = tmp_path / "map.png"
    save_map(picture, points[:50], [*range(25), *[-1] * 25], names={0: "first"}, title="A map")
    assert picture.read_bytes().startswith(b"\x89PNG")
