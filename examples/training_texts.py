"""Make (query, passage) pairs and plain texts for training out of Debian's documentation and Python's docstrings.

    python examples/training_texts.py OUT [--cache FOLDER]

Downloads packages with ``apt-get download`` into the cache folder (about 550 MB; no root needed), unpacks them there
with ``dpkg-deb -x`` and writes to OUT

    pairs.jsonl   one {"source", "query", "passage"} a line
    texts.txt     one text a line: every query and passage, and paragraphs that are part of no pair
    counts.json   how many pairs each source gave

The order is that of the sources; shuffle before training. perl-doc is a set to be judged by: it is downloaded to
leave out what stands there too, and nothing of it is written.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from text_sources import dictionaries, manuals, python_docs
from text_sources.pieces import Pair, clozes, is_prose, sentences, unique_pairs

DICTD = "usr/share/dictd"
# Packages with manual pages alone.
MANUALS = (
    "manpages", "manpages-dev", "glibc-doc", "coreutils", "util-linux", "findutils", "systemd", "curl",
    "openssh-client", "openssh-server", "iproute2", "procps", "tar", "grep", "sed", "gawk", "rsync",
    "cron", "apt", "dpkg", "dpkg-dev", "login", "passwd", "sudo", "mount", "e2fsprogs", "lvm2",
    "nftables", "iptables", "tmux", "make", "gdb", "postfix", "mdadm", "cryptsetup-bin",
    "network-manager", "gnupg", "gpg", "wget", "less", "diffutils", "binutils-common", "gcc-12",
    "valgrind", "strace", "tcpdump", "nmap", "debhelper", "devscripts", "git-man", "mariadb-client",
    "mariadb-server", "subversion", "mercurial-common", "bash", "dash", "openssl", "libssl-doc",
    "tcl8.6-doc", "tk8.6-doc", "libncurses-dev", "xfsprogs", "btrfs-progs", "qemu-system-common",
    "samba-common-bin", "bind9-dnsutils",
)  # fmt: skip
# Packages with HTML pages.
PAGES = (
    "python3.11-doc", "git-doc", "apache2-doc", "zsh-doc", "debian-faq", "debian-reference-en", "developers-reference",
    "harden-doc", "anarchism", "postgresql-doc-15", "python-django-doc", "octave-doc",
)  # fmt: skip
# The same, of science and engineering.
SCIENCES = (
    "libdeal.ii-doc", "rheolef-doc", "python-fluids-doc", "calculix-ccx-doc", "python-escript-doc", "yade-doc",
    "python-astropy-doc", "python-brian-doc", "maxima-doc", "geographiclib-doc",
)  # fmt: skip
DICTIONARIES = ("wordnet-base", "dict-foldoc", "dict-gcide", "dict-jargon", "dict-vera", "mythes-en-us")
# Packages of Python whose docstrings are read, where they are installed, after those of the standard library.
PYTHON_PACKAGES = ("numpy", "scipy", "sklearn", "pandas", "networkx")
HELD_OUT = "perl-doc"


def unpacked(name: str, cache: Path) -> Path | None:
    """The folder of a package's files, downloaded if need be; None if there is no such package."""
    folder = cache / "root" / name
    if folder.is_dir():
        return folder
    debs = cache / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    if not list(debs.glob(f"{name}_*.deb")):
        done = subprocess.run(["apt-get", "download", "-q", name], cwd=debs, capture_output=True, text=True)
        if done.returncode:
            print(f"{name}: not downloaded: {done.stderr.strip()[-200:]}", file=sys.stderr)
            return None
    (deb,) = debs.glob(f"{name}_*.deb")
    partial = folder.with_name(name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    subprocess.run(["dpkg-deb", "-x", str(deb), str(partial)], check=True)
    partial.rename(folder)
    return folder


def of_dictionary(name: str, folder: Path) -> Iterator[Pair]:
    """The pairs of one of :data:`DICTIONARIES`."""
    if name == "wordnet-base":
        yield from dictionaries.wordnet(folder / "usr/share/wordnet")
    elif name == "mythes-en-us":
        yield from dictionaries.mythes(folder / "usr/share/mythes/th_en_US_v2.dat")
    else:
        short = name.removeprefix("dict-")
        entries = dictionaries.dictd(folder / DICTD, short)
        if short == "vera":
            yield from dictionaries.vera_pairs(entries)
        elif short == "gcide":
            yield from dictionaries.gcide_pairs(entries)
        else:
            yield from dictionaries.foldoc_pairs(short, entries)


def of_manuals(name: str, folder: Path) -> Iterator[Pair]:
    """Sections of manual pages, and their paragraphs."""
    for page in manuals.man_pages(folder):
        yield from manuals.man_pairs(name, page)
        yield from clozes(name, _paragraphs(manuals.man_sections(page)))


def of_pages(name: str, folder: Path) -> Iterator[Pair]:
    """Sections of HTML pages, and their paragraphs."""
    for file in manuals.html_files(folder):
        page = file.read_text(encoding="utf-8", errors="replace")
        yield from manuals.html_pairs(name, page)
        yield from clozes(name, _paragraphs(manuals.html_sections(page)[1]))


def of_docstrings(name: str, folder: Path) -> Iterator[Pair]:
    """Docstrings of the standard library, or of an installed package."""
    for file in python_docs.python_files(folder):
        try:
            source = file.read_text(encoding="utf-8")
        except (ValueError, OSError):
            continue
        for called, text in python_docs.documented(source):
            yield from python_docs.docstring_pairs(called, text)
            yield from clozes("python", python_docs.docstring_paragraphs(text))


def _paragraphs(sections: Iterable[tuple[str, list[str]]]) -> Iterator[str]:
    return (paragraph for _, parts in sections for paragraph in parts if is_prose(paragraph))


def all_pairs(cache: Path) -> Iterator[Pair]:
    """The pairs of all sources that can be had, in order; what was cut is kept in the cache folder."""
    kinds: tuple[tuple[Sequence[str], Callable[[str, Path], Iterator[Pair]]], ...] = (
        (DICTIONARIES, of_dictionary),
        (MANUALS, of_manuals),
        ((*PAGES, *SCIENCES), of_pages),
    )
    for names, cutter in kinds:
        for name in names:
            folder = unpacked(name, cache)
            if folder is not None:
                yield from _kept(cache / "cut" / f"{name}.jsonl", cutter, name, folder)
    for name, folder in python_docs.installed(PYTHON_PACKAGES):
        yield from _kept(cache / "cut" / f"python {name}.jsonl", of_docstrings, name, folder)


def _kept(
    path: Path, cutter: Callable[[str, Path], Iterator[Pair]], name: str, folder: Path
) -> Iterator[Pair]:
    """The pairs of one source, from the file where they are kept if it is there."""
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(".partial")
        with partial.open("w", encoding="utf-8") as file:
            for pair in cutter(name, folder):
                file.write(json.dumps(pair._asdict(), ensure_ascii=False) + "\n")
        partial.rename(path)
        print(f"{name}: cut", file=sys.stderr, flush=True)
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield Pair(**json.loads(line))


def held_out_texts(cache: Path) -> set[str]:
    """The paragraphs and sentences of perl-doc, to be left out."""
    folder = unpacked(HELD_OUT, cache)
    if folder is None:
        return set()
    found: set[str] = set()
    for file in sorted(folder.rglob("*.pod")):
        for part in file.read_text(encoding="utf-8", errors="replace").split("\n\n"):
            text = " ".join(part.split())
            if len(text) >= 40:
                found.update(each.lower() for each in (text, *sentences(text)) if len(each) >= 40)
    return found


def make(out: Path, cache: Path) -> None:
    """Write pairs.jsonl, texts.txt and counts.json to ``out``; packages are kept in ``cache``."""
    out.mkdir(parents=True, exist_ok=True)
    apart = held_out_texts(cache)

    def stands_apart(pair: Pair) -> bool:
        parts = (pair.query, pair.passage, *sentences(pair.passage))
        return any(part.lower() in apart for part in parts)

    counts: Counter[str] = Counter()
    texts: dict[str, None] = {}
    with (out / "pairs.jsonl.partial").open("w", encoding="utf-8") as file:
        for pair in unique_pairs(all_pairs(cache)):
            if stands_apart(pair):
                continue
            counts[pair.source] += 1
            texts[pair.query] = texts[pair.passage] = None
            file.write(json.dumps(pair._asdict(), ensure_ascii=False) + "\n")
    lines = [text for text in texts if is_prose(text, 12)]
    (out / "texts.txt.partial").write_text("\n".join(lines) + "\n", encoding="utf-8")
    summary = {"pairs": counts.total(), "texts": len(lines), "sources": dict(sorted(counts.items()))}
    (out / "counts.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    for name in ("pairs.jsonl", "texts.txt"):
        (out / f"{name}.partial").rename(out / name)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="the folder to write to")
    parser.add_argument("--cache", type=Path, default=Path(".packages"), help="where packages are kept")
    arguments = parser.parse_args()
    make(arguments.out, arguments.cache)
    print((arguments.out / "counts.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
