"""The map of clusters: places, labels, colours, the picture and the page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vicinal.errors import InputError
from vicinal.vectors.label_places import place_labels
from vicinal.vectors.map_page import save_page
from vicinal.vectors.maps import (
    COLOURS,
    GREY,
    SHAPES,
    colours_of,
    flat_map,
    middles,
    project,
    save_map,
    shapes_of,
)

HOSTILE = "</script><script>alert(1)</script><!-- & \x1b[31m \u202e $x^2$ {} \u2028 ' \""


def groups(each: int = 30, count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Directions in 40 dimensions, in more groups than a plane of principal components can part."""
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((count, 40)) * 2
    rows = np.concatenate([centre + rng.standard_normal((each, 40)) for centre in centres])
    return rows.astype(np.float32), np.repeat(np.arange(count), each)


def purity(points: np.ndarray, truth: np.ndarray) -> float:
    """How often the nearest point is of the same group."""
    distances = np.square(points[:, None] - points[None]).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    return float((truth[distances.argmin(axis=1)] == truth).mean())


def test_tsne_keeps_groups_together_and_is_the_same_again() -> None:
    pytest.importorskip("sklearn")
    rows, truth = groups()
    points = project(rows)
    assert points.shape == (360, 2) and points.dtype == rows.dtype
    assert purity(points, truth) > 0.98 > 0.9 > purity(flat_map(rows), truth)
    np.testing.assert_array_equal(points, project(rows.copy()))
    # By direction, whatever the length.
    np.testing.assert_array_equal(project(rows * 8), points)


def test_neighbours_keep_groups_together_without_scikit_learn() -> None:
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import numpy as np; from vicinal.vectors.maps import project\n"
        "rows = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)\n"
        "points = project(rows, 'neighbours'); print(points.shape, points.dtype)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["(40,", "2)", "float32"]
    rows, truth = groups()
    assert purity(project(rows, "neighbours"), truth) > 0.95
    assert project(rows.astype(np.float64), "neighbours").dtype == np.float64


def test_many_rows_go_between_their_neighbours() -> None:
    pytest.importorskip("sklearn")
    rows, truth = groups()
    assert purity(project(rows, exact=120), truth) > 0.95


@pytest.mark.parametrize(
    "rows", [np.zeros((0, 4)), np.ones((1, 4)), np.ones((3, 1)), np.zeros((40, 3)), np.eye(7)]
)
def test_few_equal_and_empty_rows_have_places(rows: np.ndarray) -> None:
    pytest.importorskip("sklearn")
    points = project(rows)
    assert points.shape == (len(rows), 2) and np.isfinite(points).all()


def test_projections_that_do_not_exist() -> None:
    with pytest.raises(InputError, match="method is 'umap'"):
        project(np.eye(3), "umap")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="exact is 3"):
        project(np.eye(3), exact=3)
    with pytest.raises(InputError, match="embeddings"):
        project(np.array([[np.nan, 1.0]] * 6))


@given(
    st.lists(st.tuples(st.floats(-50, 1050), st.floats(-50, 850)), max_size=60),
    st.floats(20, 300),
    st.floats(8, 40),
)
def test_labels_never_cover_each_other(
    anchors: list[tuple[float, float]], width: float, height: float
) -> None:
    sizes = [[(width, height), (20.0, height)] for _ in anchors]
    frame = (0.0, 0.0, 1000.0, 800.0)
    found = place_labels(anchors, sizes, frame)
    boxes = []
    for place in found:
        if place is not None:
            half = sizes[0][place.choice][0] / 2
            boxes.append((place.x - half, place.y - height / 2, place.x + half, place.y + height / 2))
    for left, bottom, right, top in boxes:
        assert left >= -1e-6 and bottom >= -1e-6 and right <= 1000 + 1e-6 and top <= 800 + 1e-6
    for one, other in combinations(boxes, 2):
        free = (one[2] - other[0], other[2] - one[0], one[3] - other[1], other[3] - one[1])
        assert min(free) <= 1e-6
    if anchors:
        assert found[0] is not None and found[0].choice == 0


def test_a_label_with_room_stands_on_its_point() -> None:
    assert place_labels([(100, 100)], [[(50, 10)]], (0, 0, 200, 200)) == [(100, 100, 0)]
    close = place_labels([(100, 100), (104, 100)], [[(50, 10)]] * 2, (0, 0, 200, 200))
    assert close[1] is not None
    assert 0 < np.hypot(close[1].x - 104, close[1].y - 100) < 60


def _linear(colour: str) -> np.ndarray:
    value = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _lab_of(linear: np.ndarray) -> np.ndarray:
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(matrix) @ linear.clip(0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Linear light as eyes without one kind of receptor see it (Machado, Oliveira and Fernandes, 2009, severity 1).
EYES = {
    "all receptors": np.eye(3),
    "no red": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "no green": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
    "no blue": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]]
    ),
}


@pytest.mark.parametrize("eyes", EYES)
def test_colours_differ_for_all_eyes(eyes: str) -> None:
    seen = [_lab_of(EYES[eyes] @ _linear(colour)) for colour in (*COLOURS, GREY)]
    least = 45 if eyes == "all receptors" else 20
    for (first, one), (second, other) in combinations(enumerate(seen), 2):
        assert np.linalg.norm(one - other) > least, (first, second)


def test_equal_colours_lie_apart_and_differ_in_shape() -> None:
    rng = np.random.default_rng(0)
    centres = {number: (float(x), float(y)) for number, (x, y) in enumerate(rng.random((24, 2)))}
    colours = colours_of(centres)
    shapes = shapes_of(colours)
    assert len({(colours[number], shapes[number]) for number in centres}) == 24
    nearest = {
        number: min(
            (each for each in centres if each != number),
            key=lambda each: np.hypot(
                centres[each][0] - centres[number][0], centres[each][1] - centres[number][1]
            ),
        )
        for number in centres
    }
    assert sum(colours[number] != colours[each] for number, each in nearest.items()) >= 22
    assert len(set(colours_of({number: (float(number), 0.0) for number in range(8)}).values())) == len(
        COLOURS
    )


def test_the_middle_of_a_cluster_is_one_of_its_points() -> None:
    points = np.array([[0, 0], [1, 0], [9, 9], [5, 5.0]])
    assert middles(points, [0, 0, 0, -1]) == {0: (1.0, 0.0)}


def test_the_picture_has_title_colours_and_labels(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    rng = np.random.default_rng(1)
    points = np.concatenate([rng.normal((x, 0), 0.1, (50, 2)) for x in range(3)])
    labels = np.repeat([0, 1, -1], 50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_map(tmp_path / "map.png", points, labels, {0: "a $b", 1: "\x1b[31m"}, "T $x", "below")
    picture = imread(tmp_path / "map.png")[:, :, :3]
    assert picture.shape == (1350, 1800, 3)
    for colour, there in ((COLOURS[0], True), (COLOURS[1], True), (COLOURS[2], False)):
        wanted = [0.75 * int(colour[at : at + 2], 16) / 255 + 0.25 for at in (1, 3, 5)]  # on white
        assert ((np.abs(picture - wanted) < 0.02).all(axis=2).sum() > 100) == there
    assert (picture[:40].min(axis=2) < 0.3).any()  # the title
    save_map(tmp_path / "none.png", np.zeros((0, 2)), [])
    save_map(tmp_path / "one.png", np.zeros((1, 2)), [0])


def test_letters_that_no_font_has_are_said(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.warns(UserWarning, match=r"lack letters .*\.html"):
        save_map(tmp_path / "map.png", np.eye(2), [0, 1], {0: "\U00012000"})


class Page(HTMLParser):
    """The elements of a page, and the text of each script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script":
            self.scripts.append(data)


def test_the_page_is_one_file_and_texts_are_only_texts(tmp_path: Path) -> None:
    texts = [HOSTILE, "日本語 עברית", "x" * 900]
    points = np.array([[0, 0], [10, 5], [-10, -5.0]])
    save_page(
        tmp_path / "map.html", points, [0, 0, -1], texts, {0: [HOSTILE, "b"]}, HOSTILE, "by @DATA@", [4, 7, 9]
    )
    raw = (tmp_path / "map.html").read_text(encoding="utf-8")
    page = Page(raw)
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert not any({"src", "href", "onclick", "action"} & set(attributes) for _, attributes in page.tags)
    assert set(re.findall(r"https?://[^\"' )]*", raw)) == {"http://www.w3.org/2000/svg"}
    assert "\x1b" not in raw and "\u202e" not in raw
    policy = next(attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes)
    assert policy is not None and policy.startswith("default-src 'none';")
    data = json.loads(page.scripts[0])
    assert data["labels"] == [0, 0, -1] and data["lines"] == [4, 7, 9]
    assert data["texts"][0].startswith("</script><script>alert(1)</script><!-- & \\x1b[31m \\u202e $x^2$")
    assert data["texts"][1] == texts[1] and len(data["texts"][2]) == 400
    assert (data["x"], data["y"]) == ([5000, 10000, 0], [5000, 2500, 7500])  # the second axis points down
    assert data["clusters"][0]["words"].endswith(", b") and data["clusters"][0]["color"] == COLOURS[0]
    assert {each["shape"] for each in data["clusters"]} <= set(SHAPES)


def test_a_page_of_nothing_and_of_too_little(tmp_path: Path) -> None:
    save_page(tmp_path / "map.html", np.zeros((0, 2)), [], [], {}, "nothing")
    with pytest.raises(InputError, match="texts has 1 entries"):
        save_page(tmp_path / "map.html", np.zeros((2, 2)), [0, 0], ["a"], {}, "t")
    with pytest.raises(InputError, match="points"):
        save_page(tmp_path / "map.html", np.full((1, 2), np.nan), [0], ["a"], {}, "t")
