"""examples/training_texts.py: how dictionaries, manual pages, HTML pages and docstrings become pairs."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
sys.path.insert(0, str(EXAMPLES))

import training_texts  # noqa: E402
from text_sources import dictionaries, manuals, pieces, python_docs  # noqa: E402
from text_sources.pieces import Pair  # noqa: E402

FIRST = "The lamp is lit at dusk by the keeper of the light."
SECOND = "It is put out again at dawn when ships can see the coast."
THIRD = "In fog a horn is blown every minute until the air is clear."
MAN = r"""
.\" a comment
.TH SLEEP 1
.SH NAME
sleep \- delay for a specified amount of time
.SH SYNOPSIS
.B sleep
NUMBER
.SH DESCRIPTION
Pause for
.I NUMBER
seconds. The program does nothing \fBat all\fR in this time, and then goes on.
.nf
code that is left out
.fi
.SH SEE ALSO
.BR usleep (3)
.SH EXIT STATUS
The status is 0 unless the number of seconds could not be read.
"""
PAGE = """<html><head><title>Lamps - Manual</title><style>h1 {}</style></head><body>
<nav><h2>Menu</h2><p>Everything that this site has to offer to you.</p></nav>
<h1>3.2. How to trim the wick<a>¶</a></h1>
<p>Cut the wick straight across, <b>and</b> wipe the burner with a dry cloth.</p>
<pre>cut --wick</pre>
<div class="sphinxsidebar"><p>Links that stand beside the text of the page.</p></div>
<dl><dt>lamp.setFlame(height)</dt><dd>Makes the flame as high as the height that is given, in millimetres.</dd></dl>
<p>Next: Oil, Previous: Glass</p></body></html>
"""


DOXYGEN = """<html><head><meta name="generator" content="Doxygen 1.9.4"/><title>Lamps: Class Reference</title></head>
<body>
<div class="contents"><h2>&#9670; trimWick() <span>[1/2]</span></h2>
<p>Cut the wick straight across, and wipe the burner with a dry cloth.</p>
<p>Definition at line 55 of file lamp.cc.</p></div></body></html>
"""


def test_one_sentence_asks_for_the_rest_of_its_paragraph() -> None:
    paragraph = f"{FIRST} {SECOND} {THIRD}"
    (pair,) = pieces.clozes("notes", [paragraph, "Too short. For a pair."])
    assert pair.source == "notes:cloze"
    assert pair.query in (FIRST, SECOND, THIRD)
    assert sorted([*pieces.sentences(pair.passage), pair.query]) == sorted([FIRST, SECOND, THIRD])
    assert list(pieces.clozes("notes", [paragraph])) == [pair]


def test_long_texts_are_cut_at_the_end_of_a_sentence() -> None:
    assert pieces.cut(f"{FIRST} {SECOND} {THIRD}", len(FIRST) + len(SECOND) + 20) == f"{FIRST} {SECOND}"
    assert pieces.cut("no end of a sentence here", 14) == "no end of a"
    assert pieces.cut(FIRST, len(FIRST)) == FIRST


@pytest.mark.parametrize(
    ("text", "prose"),
    [(FIRST, True), ("x = {1: [2, 3], 4: (5, 6)}; y[7:8] += 9", False), (">>> print(the lamp is lit)", False),
     ("Немного текста на другом языке", False), ("word", False)],
)  # fmt: skip
def test_what_counts_as_prose(text: str, prose: bool) -> None:
    assert pieces.is_prose(text) is prose


@pytest.mark.parametrize(
    ("name", "words"),
    [("get_file_name", "get file name"), ("GetFileName", "get file name"), ("HTTPServer", "http server"),
     ("os.path", "os path"), ("_private", "private")],
)  # fmt: skip
def test_the_words_of_an_identifier(name: str, words: str) -> None:
    assert pieces.words_of(name) == words


@pytest.mark.parametrize(
    ("text", "without"),
    [("3.2. How to trim¶", "How to trim"), ("A.1 Lamps", "Lamps"), ("Chapter 4. Oil", "Oil"),
     ("A lamp", "A lamp"), ("2 lamps", "lamps")],
)  # fmt: skip
def test_headings_lose_their_numbers(text: str, without: str) -> None:
    assert pieces.heading(text) == without


def test_pairs_come_once_and_say_something() -> None:
    same = Pair("a", "Lamp", FIRST)
    pairs = [same, same._replace(query="lamp"), Pair("a", FIRST, FIRST), Pair("a", FIRST[:-4], FIRST)]
    pairs += [Pair("a", "Description", f"{FIRST} {number}") for number in range(9)]
    found = list(pieces.unique_pairs(pairs))
    assert found[0] == same and len(found) == 5


def test_wordnet() -> None:
    line = (
        "00976953 04 n 03 foray 0 night_raid 0 maraud(a) 0 000 | a sudden short attack; "
        '"they made a foray into the next valley"'
    )
    found = list(dictionaries.wordnet_pairs(line))
    gloss = "a sudden short attack"
    assert found == [
        Pair("wordnet:gloss", "foray", gloss),
        Pair("wordnet:gloss", "night raid", gloss),
        Pair("wordnet:gloss", "maraud", gloss),
        Pair("wordnet:word", gloss, "foray, night raid, maraud"),
        Pair("wordnet:synonym", "foray", "night raid, maraud"),
        Pair("wordnet:example", f"foray: {gloss}", "they made a foray into the next valley"),
    ]


def test_dictd_reads_entries_by_its_index(tmp_path: Path) -> None:
    entries = [
        "about\n   nothing\n",
        "lamp\n\n   <light> A {device} that gives light when it is lit.\n",
        "x\n   y\n",
    ]
    text = "".join(entries).encode()
    starts = [0, len(entries[0]), len(entries[0]) + len(entries[1])]
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

    def number(value: int) -> str:
        return (digits[value // 64] if value >= 64 else "") + digits[value % 64]

    names = ["00-database-info", "lamp", "x"]
    lines = [
        f"{name}\t{number(s)}\t{number(len(e))}" for name, s, e in zip(names, starts, entries, strict=True)
    ]
    (tmp_path / "small.dict.dz").write_bytes(gzip.compress(text))
    (tmp_path / "small.index").write_text("\n".join([*reversed(lines), lines[1].replace("lamp", "lantern")]))
    found = list(dictionaries.dictd(tmp_path, "small"))
    assert found == [("lamp", entries[1]), ("x", entries[2])]


def test_definitions_of_terms() -> None:
    body = (
        "   <light> A {device} that gives light to a whole room.  It is lit at dusk, and\n   put out at dawn."
    )
    entry = f"lamp\n\n{body}\n\n   (1995-01-16)\n"
    first, second = dictionaries.foldoc_pairs("foldoc", [("lamp", entry)])
    assert first == (
        "foldoc:term",
        "lamp",
        "A device that gives light to a whole room. It is lit at dusk, and put out at dawn.",
    )
    assert second[1:] == (
        "A device that gives light to a whole room.",
        "lamp: It is lit at dusk, and put out at dawn.",
    )


def test_acronyms() -> None:
    found = list(
        dictionaries.vera_pairs([("hgc", 'HGC\n       Hercules Graphics Card [720x348] (IBM), "HGC"\n')])
    )
    assert found == [("vera:acronym", "HGC", "Hercules Graphics Card")]


def test_websters_definitions() -> None:
    entry = (
        "Lamp \\Lamp\\, n. [F. lampe.]\n   1. A thin plate or lamina of a metal. [Obs.]\n      [1913 Webster]\n\n"
        "   2. A vessel in which oil is burned with a wick, and that lights a room at night. --Shak.\n"
    )
    found = list(dictionaries.gcide_pairs([("lamp", entry)]))
    light = "A vessel in which oil is burned with a wick, and that lights a room at night."
    assert found == [
        ("gcide:word", "Lamp", "A thin plate or lamina of a metal."),
        ("gcide:word", "Lamp", light),
        ("gcide:definition", light, "Lamp"),
    ]


def test_synonyms(tmp_path: Path) -> None:
    file = tmp_path / "th.dat"
    file.write_text(
        "UTF-8\nlamp|2\n(noun)|lamp|lantern|light source|artefact (generic term)\n(verb)|look at\n"
    )
    assert list(dictionaries.mythes(file)) == [("mythes:synonym", "lamp", "lantern, light source")]


def test_manual_pages() -> None:
    described = "Pause for NUMBER seconds. The program does nothing at all in this time, and then goes on."
    status = "The status is 0 unless the number of seconds could not be read."
    assert list(manuals.man_pairs("coreutils", MAN)) == [
        ("coreutils:purpose", "delay for a specified amount of time", described),
        ("coreutils:named", "sleep delay for a specified amount of time", described),
        ("coreutils:name", "sleep", "delay for a specified amount of time"),
        ("coreutils:section", "sleep Description", described),
        ("coreutils:section", "Exit status", status),
    ]


def test_html_pages() -> None:
    assert list(manuals.html_pairs("lamps", PAGE)) == [
        (
            "lamps",
            "How to trim the wick",
            "Cut the wick straight across, and wipe the burner with a dry cloth.",
        ),
        ("lamps", "set flame", "Makes the flame as high as the height that is given, in millimetres."),
    ]


def test_pages_of_other_languages_are_passed_over(tmp_path: Path) -> None:
    for name in ("a.html", "a.html.en", "de/b.html", "c.de.html", "search.html", "d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert [file.name for file in manuals.html_files(tmp_path)] == ["a.html", "a.html.en"]


def test_docstrings() -> None:
    source = f'def light_the_lamp():\n    """Light the lamp at dusk.\n\n    {FIRST} See :func:`~lamps.out`.\n    """\n'
    ((name, text),) = python_docs.documented(source)
    assert list(python_docs.docstring_pairs(name, text)) == [
        ("python:first", "Light the lamp at dusk.", f"{FIRST} See lamps.out."),
        ("python:name", "light the lamp", f"Light the lamp at dusk. {FIRST} See lamps.out."),
    ]
    assert list(python_docs.documented("def broken(")) == []


def test_pages_of_doxygen_are_read_without_its_marks_and_places() -> None:
    title, sections = manuals.html_sections(DOXYGEN)
    assert sections == [
        ("trimWick()", ["Cut the wick straight across, and wipe the burner with a dry cloth."])
    ]
    assert title == "Lamps: Class Reference"
    others = DOXYGEN.replace("Doxygen 1.9.4", "texinfo")  # which calls a list of links its contents
    assert manuals.html_sections(others)[1] == []


def test_what_was_cut_is_kept_and_what_is_held_out_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    pages = cache / "root/lamps/usr/share/doc/lamps"
    pages.mkdir(parents=True)
    other = f"<h1>About the light</h1><p>{FIRST}</p><p>{SECOND} {THIRD}</p>"
    (pages / "index.html").write_text(PAGE + other)
    pod = cache / "root/perl-doc/usr/share/perl"
    pod.mkdir(parents=True)
    (pod / "a.pod").write_text(f"=head1 NAME\n\n{FIRST}\nAnd more of it.\n")
    for name in ("DICTIONARIES", "MANUALS", "SCIENCES", "PYTHON_PACKAGES"):
        monkeypatch.setattr(training_texts, name, ())
    monkeypatch.setattr(training_texts, "PAGES", ("lamps",))
    monkeypatch.setattr(python_docs, "installed", lambda packages: iter(()))
    out = tmp_path / "out"
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", ["training_texts.py", str(out), "--cache", str(cache)])
        training_texts.main()
        pairs = [json.loads(line) for line in (out / "pairs.jsonl").read_text().splitlines()]
        assert [pair["query"] for pair in pairs] == ["How to trim the wick", "set flame"]
        (pages / "index.html").write_text("")  # the second time the file of pairs is read
    assert np.all(["keeper" not in line for line in (out / "texts.txt").read_text().splitlines()])
