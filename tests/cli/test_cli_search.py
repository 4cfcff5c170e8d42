"""search: one question in a pipe and in a terminal, and the prompt."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_notes import KETTLE, SNOW, lines, numbers
from cli_shell import Shell
from rich.cells import cell_len

from vicinal.cli.hits import _described
from vicinal.index import Hit, Passage

Put = Callable[[str, "str | bytes"], str]


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid"])
def test_search_in_a_pipe(vicinal: Shell, notes: str, mode: str) -> None:
    done = vicinal.quick("search", notes, "kettle stove", "-k", "3", "--mode", mode)
    assert done.code == 0, done.err
    assert done.rows[0][0] == "1" and float(done.rows[0][1]) > 0
    assert done.rows[0][2:4] == ["k1", KETTLE["text"]]
    assert json.loads(done.rows[0][4]) == {"year": 1954, "tags": ["kitchen", "heat"]}
    assert len(done.rows) == (1 if mode == "lexical" else 3)
    assert re.search(r"^\d hits? among 8 documents in [\d.]+ ms; loading took [\d.]+ s\n$", done.err)
    assert os.listdir(vicinal.folder) == ["notes.db"]

    found = json.loads(vicinal.quick("search", notes, "kettle", "--mode", mode, "--json").out)
    assert found[0]["id"] == "k1"
    assert found[0]["passage"]["matches"] == [[4, 10]]
    assert (found[0]["scores"]["dense"] is None) == (mode == "lexical")


def test_words_need_no_quotes(vicinal: Shell, notes: str) -> None:
    apart = vicinal.quick("search", notes, "red", "bicycle", "-k", "1")
    assert apart.rows == vicinal.quick("search", notes, "red bicycle", "-k", "1").rows
    assert apart.rows[0][2] == "c1"


def test_filter(vicinal: Shell, notes: str) -> None:
    where = '{"$or": [{"price": {"$lt": 10}}, {"tags": "heat"}]}'
    done = vicinal.quick("search", notes, "a thing", "--filter", where)
    assert sorted(row[2] for row in done.rows) == ["c2", "k1"]
    none = vicinal.quick("search", notes, "a thing", "--filter", '{"$or": [{"yeer": 1954}]}')
    assert (none.code, none.out) == (0, "")
    assert "nothing found: no document has a field 'yeer'; there are lang, path, price" in none.err
    none = vicinal.quick("search", notes, "a thing", "--filter", '{"year": 3}', "--json")
    assert json.loads(none.out) == []
    assert "nothing found among 8 documents" in none.err


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--filter", '{"year": '], 'is no JSON (Expecting value at character 10): write it like \'{"year"'),
        (["--filter", "[1]"], "is no object"),
        (["--filter", "[" * 100_000], "is no JSON"),
        (["--filter", '{"year": {"$gtt": 1}}'], "unknown operator '$gtt' for 'year'"),
        (["--filter", '{"year": {"$in": 1}}'], "takes a list"),
        (["--filter", '{"year": "1'], "is no JSON (Unterminated string starting at character 10)"),
        (["--rerank", "./nothing"], "nothing"),
        (["-m", "./nothing"], "nothing"),
    ],
)
def test_search_options(vicinal: Shell, notes: str, options: list[str], part: str) -> None:
    done = vicinal.quick("search", notes, "a", *options)
    assert (done.code, done.out) == (1, "")
    assert part in done.err and done.err.startswith("error: ") and done.err.count("\n") == 1


def test_rerank(vicinal: Shell, notes: str, cross_encoder: str) -> None:
    arguments = ["search", notes, "snow on a mountain", "--rerank", cross_encoder, "--candidates", "4"]
    found = json.loads(vicinal.quick(*arguments, "-k", "2", "--json").out)
    assert found[0]["id"] == "k2" and len(found) == 2
    assert found[0]["score"] == found[0]["scores"]["rerank"] > found[1]["score"]


def test_mode_best(vicinal: Shell, notes: str, cross_encoder: str) -> None:
    arguments = ["search", notes, "snow on a mountain", "--mode", "best", "--rerank", cross_encoder]
    done = vicinal.quick(*arguments, "--candidates", "4", "--json")
    found = json.loads(done.out)
    assert len(found) == 8 and found[0]["id"] == "k2"
    assert [hit["scores"]["rerank"] is not None for hit in found] == [True] * 4 + [False] * 4
    assert "8 hits among 8 documents in" in done.err
    assert f"(dense + lexical, 4 passages read by {cross_encoder}); loading took" in done.err
    done = vicinal.quick(*arguments, "--budget-ms", "0.001")
    hybrid = vicinal.quick("search", notes, "snow on a mountain", "--mode", "hybrid")
    assert done.rows == hybrid.rows
    assert f"(dense + lexical; {cross_encoder} read nothing: budget_ms=0.001 leaves it no time)" in done.err
    typed = vicinal(
        *arguments[:2], *arguments[3:], "--json", "--budget-ms", "60000", stdin=b"snow\n:mode dense\nsnow\n"
    )
    best, dense = (json.loads(line) for line in typed.out.splitlines())
    assert (best["used"]["candidates"], best["used"]["left_out"]) == (8, [])
    assert "used" not in dense
    wrong = vicinal.quick("search", notes, "snow", "--budget-ms", "50", "--mode", "hybrid")
    assert (wrong.code, wrong.err) == (1, "error: --budget-ms is for --mode best, not for --mode hybrid\n")
    assert vicinal.quick(*arguments, "--budget-ms", "0").code == 1


@pytest.mark.parametrize("columns", [60, 120])
def test_search_in_a_terminal(vicinal: Shell, notes: str, put: Put, columns: int) -> None:
    long = (
        "Nothing of it is here. " * 15 + "Then the zeppelin rose over Lake Constance. " + "And so on. " * 15
    )
    put("z.jsonl", lines({"id": "z", "title": "日本語 [red]\x1b[31m", "text": long, "empty": None}))
    assert numbers(vicinal.quick("index", notes, "z.jsonl")) == [1, 0, 0]
    done = subprocess.run(
        [sys.executable, "-m", "vicinal", "search", notes, "zeppelins on the stove", "--mode", "hybrid"],
        cwd=vicinal.folder,
        env=vicinal.environment(FORCE_COLOR="1", COLUMNS=str(columns)),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert "\x1b[1;35mzeppelin\x1b[0m" in done.stdout and "\x1b[1;35mstove\x1b[0m" in done.stdout
    assert "\x1b[31m" not in done.stdout
    plain = re.sub(r"\x1b\[[\d;]*m", "", done.stdout)
    assert all(cell_len(line.rstrip()) <= columns for line in plain.splitlines())
    assert "日本語 [red] [31m" in plain and "empty" not in plain
    assert "… " in plain and " …" in plain
    assert "year: 1954" in plain and "tags: kitchen, heat" in plain
    assert re.search(r"lexical [\d.]+ \(no\. 1\)", plain)
    assert "path:" not in plain  # it is the id already


@pytest.mark.parametrize("width", [16, 50, 96])
def test_marks_stay_on_their_words(width: int) -> None:
    text = "# Wings\n\n" + "filler\t\twords \n" * 40 + "the Wing,\r\nand\u3000more\x00wings" + " and 翼" * 200
    matches = tuple(match.span() for match in re.finditer("(?i)wings?|翼", text))
    for title in ({}, {"title": "Wings"}, {"title": "elsewhere"}):
        shown = _described(Hit("a", 1.0, text, title, Passage(text, 0, len(text), matches)), width, True)
        marked = [str(shown)[span.start : span.end] for span in shown.spans if "magenta" in str(span.style)]
        assert marked and set(marked) <= {"Wings", "Wing", "wings", "翼"}
        assert ("Wings" in marked) == (title == {"title": "Wings"}) or width == 96


@pytest.mark.parametrize(
    ("text", "title", "first", "rest"),
    [
        ("Tea\n\nTea is hot.", "Tea", "a  Tea", "Tea is hot."),
        ("# Tea #\n\nTea is hot.", "Tea", "a  Tea", "Tea is hot."),
        ("Tea\n===\nHot.", "Tea", "a  Tea", "Hot."),
        ("Tea is hot.", "Tea", "a", "Tea is hot."),
        ("On wings Wings carry birds.", "On wings", "a", "On wings Wings carry birds."),
        ("Something else.", "Tea", "a  Tea", "Something else."),
        ("Tea", "Tea", "a  Tea", ""),
        ("Tea " + "and so on " * 90 + "zeppelin", "Tea", "a  Tea", "zeppelin"),
    ],
)
def test_no_words_are_lost_that_repeat_the_title(text: str, title: str, first: str, rest: str) -> None:
    at = text.find("zeppelin")
    matches = ((at, at + 8),) if at >= 0 else ()
    hit = Hit("a", 1.0, text, {"title": title}, Passage(text, 0, len(text), matches))
    shown = str(_described(hit, 80, False)).split("\n")
    assert shown[0] == first
    assert " ".join(shown[1:]).endswith(rest) and len(shown) == (2 if rest else 1)


def test_min_score(vicinal: Shell, notes: str) -> None:
    every = vicinal.quick("search", notes, "kettle stove")
    scores = [float(row[1]) for row in every.rows]
    some = vicinal.quick("search", notes, "kettle stove", "--min-score", f"{scores[2] - 1e-6}")
    assert some.rows == every.rows[:3] and "3 hits among 8 documents" in some.err
    none = vicinal.quick("search", notes, "kettle stove", "--min-score", "2", "--json")
    assert (none.code, json.loads(none.out)) == (0, [])
    assert "nothing found with a score of 2 or more; 8 hits below it" in none.err
    assert vicinal.quick("search", notes, "a", "--min-score", "nan").code == 1
    relative = "relative to each query's best hit"
    assert relative in vicinal.quick("search", notes, "kettle", "--mode", "hybrid", "--min-score", "0.5").err
    assert relative not in some.err + vicinal.quick("search", notes, "kettle", "--mode", "hybrid").err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_answers_that_cannot_be_written_end_the_prompt(vicinal: Shell, notes: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "vicinal", "search", notes, "--json"],
            input=b"kettle\nsnow\n", stdout=full, stderr=subprocess.PIPE,
            cwd=vicinal.folder, env=vicinal.environment(), timeout=120,
        )  # fmt: skip
    assert done.returncode == 1 and done.stderr.count(b"error:") == 1 and b"No space left" in done.stderr


def test_candidates_stay_with_the_modes_that_read_them(vicinal: Shell, notes: str) -> None:
    told = vicinal(
        "search", notes, "--mode", "best", "--candidates", "5", stdin=b"kettle\n:mode dense\nkettle\n"
    )
    assert told.code == 0 and "error" not in told.err and told.err.count("among 8 documents") == 2


def test_prompt_name(vicinal: Shell, put: Put, one_layer: Path) -> None:
    model = vicinal.folder / "prompted"
    shutil.copytree(one_layer, model, symlinks=True)
    config = model / "config_sentence_transformers.json"
    config.unlink(missing_ok=True)
    config.write_text(json.dumps({"prompts": {"snow": "snow on the mountain ", "query": ""}}))
    put("x.jsonl", lines(KETTLE, SNOW))
    assert numbers(vicinal.quick("index", "p.db", "x.jsonl", "-m", model)) == [2, 0, 0]
    plain = vicinal.quick("search", "p.db", "the kettle")
    prompted = vicinal.quick("search", "p.db", "the kettle", "--prompt-name", "snow")
    assert plain.rows[0][2] == "k1" and prompted.code == 0, prompted.err
    before, after = ({row[2]: float(row[1]) for row in done.rows} for done in (plain, prompted))
    assert after["k2"] > before["k2"]
    done = vicinal.quick("search", "p.db", "a", "--prompt-name", "rain")
    assert done.code == 1 and "--prompt-name rain" in done.err and "there are: snow, query" in done.err


# -- the prompt --------------------------------------------------------------------------------------


def test_prompt_from_a_pipe(vicinal: Shell, notes: str) -> None:
    typed = [
        "kettle", ":k 1", "", "hot water", ":mode lexical", "snow", ":show", ':filter {"year": 1954}',
        "snow", ":filter", ":filter {", ":k 0", ":mode x", ":show 9", ":dance", ":help", "snow", ":quit", "kettle",
    ]  # fmt: skip
    done = vicinal("search", notes, stdin="\n".join(typed).encode())
    assert done.code == 1, done.err
    answers = done.out.split("\n\n")
    assert [len(answer.splitlines()) for answer in answers[:2]] == [8, 1]
    assert answers[2].split("\t")[2] == "k2"
    assert answers[3].strip() == SNOW["text"]  # of :show; the filtered search found nothing
    assert "notes.db: 8 documents, dense search, ready after" in done.err
    assert "nothing found among 8 documents" in done.err
    for part in ("is no JSON", "give a number", "choose one of", "has 0 hits", ":dance is no command"):
        assert f"{part}" in done.err
    assert done.err.count("error: ") == 5
    assert ":quit          leave" in done.err
    assert len(re.findall(r"hits? among 8 documents in [\d.]+ ms\n", done.err)) == 4


def test_prompt_with_json(vicinal: Shell, notes: str) -> None:
    done = vicinal("search", notes, "-k", "2", "--json", stdin=b"kettle\nnaive caf\xc3\xa9\n")
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert [answer["query"] for answer in answers] == ["kettle", "naive café"]
    assert [len(answer["hits"]) for answer in answers] == [2, 2]
    assert answers[0]["milliseconds"] > 0


def test_prompt_in_a_terminal(vicinal: Shell, notes: str) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "vicinal", "search", notes],
        cwd=vicinal.folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=vicinal.environment(TERM="xterm-256color", COLUMNS="60"),
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    for typed in (b"the kettle\n", b"\x04", b""):
        at = len(seen)
        while typed == b"" or b"search> " not in seen[at:]:
            try:
                part = os.read(ours, 4096)
            except OSError:
                break
            seen += part
            if not part:
                break
        if typed:
            os.write(ours, typed)
    os.close(ours)
    assert process.wait(timeout=30) == 0
    assert b"\x1b[1;35mkettle" in seen and b" ms" in seen and b"\t" not in seen
