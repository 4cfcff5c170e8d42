"""choose: models compared on someone's own documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_shell import Shell

from vicinal.cli.choose import _headed


@pytest.fixture
def notes(vicinal: Shell) -> Path:
    folder = vicinal.folder / "notes"
    folder.mkdir()
    topics = ["kettles", "orchids", "bicycles", "violins", "volcanoes", "lighthouses"]
    for topic in topics:
        body = " ".join(
            f"Point {n} about {topic} says that {topic} number {n} behave well." for n in range(9)
        )
        (folder / f"{topic}.md").write_text(f"# Keeping {topic} happy\n\n{body}\n")
    return folder


def test_a_table_and_json(vicinal: Shell, notes: Path, minilm_path: Path) -> None:
    done = vicinal("choose", "notes", "--model", minilm_path, "--queries", "6", "--json")
    assert done.code == 0, done.err
    assert "6 queries (6 of them headings), 6 passages of 6 documents" in done.err
    assert "6 queries tell little" in done.err
    found = json.loads(done.out)
    assert {each["model"] for each in found} == {"vicinal-mini", str(minilm_path)}
    sizes = {each["model"]: (each["dimensions"], each["bytes"] > 80e6) for each in found}
    assert sizes == {"vicinal-mini": (256, False), str(minilm_path): (384, True)}
    assert all(each["ndcg@10"] > 0.5 and each["recall@10"] == 1 for each in found)
    shown = vicinal.pretty("choose", "notes")
    assert all(len(line.rstrip()) <= 60 for line in shown.out.splitlines())
    assert "vicinal-mini" in shown.out and "9.9 MB" in shown.out


def test_a_judge(vicinal: Shell, notes: Path, cross_encoder: str, minilm_path: Path) -> None:
    done = vicinal("choose", "notes", "--judge", cross_encoder, "--queries", "3")
    assert done.code == 0, done.err
    assert "judging" in done.err and done.rows[0][0] == "vicinal-mini"
    wrong = vicinal("choose", "notes", "--judge", "vicinal-mini")
    assert wrong.code == 1 and "vicinal-mini" in wrong.err
    untrained = vicinal("choose", "notes", "--judge", minilm_path)
    assert untrained.code == 1 and "holds no head that scores pairs" in " ".join(untrained.err.split())


def test_titles_are_headings(vicinal: Shell) -> None:
    topics = ["kettles", "orchids", "bicycles", "violins"]
    bodies = [
        " ".join(f"Point {n} of {topic}: number {n} behaves well." for n in range(9)) for topic in topics
    ]
    titled = [(f"Keeping {topic} happy", body) for topic, body in zip(topics, bodies, strict=True)]
    pages = vicinal.folder / "pages"
    pages.mkdir()
    for number, (title, body) in enumerate(titled):
        heading = f"<h1>{title}</h1>" if number % 2 else ""
        (pages / f"{number}.html").write_text(f"<title>{title}</title><body>{heading}<p>{body}</p></body>")
    rows = [json.dumps({"title": title, "text": body}) for title, body in titled]
    (vicinal.folder / "rows.jsonl").write_text("\n".join(rows))
    (vicinal.folder / "rows.csv").write_text(
        "title,text\n" + "".join(f'"{title}","{body}"\n' for title, body in titled)
    )
    for source in ("pages", "rows.jsonl", "rows.csv"):
        done = vicinal.quick("choose", source, "--queries", "4")
        assert done.code == 0, done.err
        # half of the queries, as there are sentences enough
        assert "4 queries (2 of them headings), 4 passages of 4 documents" in done.err, source


@pytest.mark.parametrize(
    ("text", "title", "headed"),
    [
        ("Old tea is hot.", "Old tea", "# Old tea\n\nis hot."),
        ("Old tea\n\nIt is hot.", "Old tea", "# Old tea\n\nIt is hot."),
        ("It is hot.", " Old\ntea ", "# Old tea\n\nIt is hot."),
        ("Old teas are hot.", "Old tea", "# Old tea\n\nOld teas are hot."),
        ("# Old tea\n\nIt is hot.", "Old tea", "# Old tea\n\nIt is hot."),
        ("front\n\n## Old tea ##\n\nIt.", "Old tea", "front\n\n## Old tea ##\n\nIt."),
        ("Old tea\n=======\nIt is hot.", "Old tea", "Old tea\n=======\nIt is hot."),
        ("It is hot.", "", "It is hot."),
        ("It is hot.", None, "It is hot."),
        ("It is hot.", 7, "It is hot."),
    ],
)
def test_a_title_becomes_a_heading_once(text: str, title: object, headed: str) -> None:
    assert _headed(text, title) == headed


def test_what_is_refused(vicinal: Shell, notes: Path) -> None:
    short = vicinal.folder / "short.txt"
    short.write_text("Too short.")
    for arguments, message in (
        (["short.txt"], "short.txt: the 1 documents give no query"),
        (["nowhere"], "'nowhere' does not exist"),
        (["notes", "--queries", "0"], "--queries 0 is too small"),
    ):
        done = vicinal.quick("choose", *arguments)
        assert done.code != 0 and message in " ".join(done.err.split()), done.err
        assert "Traceback" not in done.err
