"""Man pages as text, in both sets of macros."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vicinal.errors import InputError
from vicinal.readers.manual import manual_text
from vicinal.readers.records import Fields, Record, read_source
from vicinal.readers.sources import find_sources

MAN = r""".\" a comment
.TH LS "1" "May 2022" "GNU"
.SH NAME
ls \- list directory \fBcontents\fP
.de XX
macro \\$1
..
.SH SYNOPSIS
.B ls
[\fI\,OPTION\/\fR]... \" inline comment
.PP
Sort entries,
.BR sort (1),
with \(aqquotes\(aq and \[u00E9].
.TP
\fB\-a\fR, \fB\-\-all\fR
do not ignore entries starting with .
.nf
  two
  lines
.fi
"""
MDOC = r""".Dd May 1, 2020
.Dt CAT 1
.Os
.Sh NAME
.Nm cat
.Nd concatenate files
.Sh SYNOPSIS
.Nm
.Op Fl benu
.Op Ar file ...
.Sh DESCRIPTION
The
.Nm
utility reads
.Ar file Ns s
in order, see
.Xr head 1 .
"""


def test_man_macros() -> None:
    text, title = manual_text(MAN)
    assert title == "ls(1)"
    assert text.split("\n") == [
        "NAME",
        "ls - list directory contents",
        "",
        "SYNOPSIS",
        "ls [OPTION]...",
        "",
        "Sort entries, sort(1), with 'quotes' and é.",
        "",
        "-a, --all do not ignore entries starting with .",
        "",
        "  two",
        "  lines",
    ]


def test_mdoc_macros() -> None:
    text, title = manual_text(MDOC)
    assert title == "cat(1)"
    assert "cat concatenate files" in text
    assert "cat [-benu] [file ...]" in text
    assert "The cat utility reads files in order, see head 1." in text


@given(st.text(alphabet="\\.'\"()[]*fnsBIRaTHSe -\n\x00é{}$1", max_size=200))
def test_no_page_is_too_odd(raw: str) -> None:
    text, _ = manual_text(raw)
    assert text == text.strip()


def records(path: Path) -> list[Record | InputError]:
    return [record for source in find_sources([path]) for record in read_source(source, Fields())]


def test_man_pages_are_known_by_their_beginning(tmp_path: Path) -> None:
    (tmp_path / "man1").mkdir()
    with gzip.open(tmp_path / "man1" / "ls.1.gz", "wt") as file:
        file.write(MAN)
    (tmp_path / "cat.1").write_text(MDOC)
    (tmp_path / "open.3pm").write_bytes(b".TH OPEN 3pm\n.SH NAME\ncaf\xe9\n")  # an old page in latin-1
    (tmp_path / "dir.1").write_text(".so man1/ls.1\n")
    (tmp_path / "syslog.1").write_text("Nov 1 kernel: started\n")
    cat, link, old, page = records(tmp_path)
    assert isinstance(cat, Record) and cat.metadata == {"path": "cat.1", "title": "cat(1)"}
    assert isinstance(link, InputError) and "stands for another man page" in str(link)
    assert isinstance(old, Record) and old.text == "NAME\ncafé"
    assert isinstance(page, Record) and (page.id, page.metadata["title"]) == ("man1/ls.1.gz", "ls(1)")
    with pytest.raises(InputError, match="unknown kind"):
        find_sources([tmp_path / "syslog.1"])
