"""How the hits of a search look: in a terminal, in a pipe."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from vicinal.cli.console import id_text, one_line, plain_table, scored, screen, shortened, write

if TYPE_CHECKING:
    from rich.text import Text

    from vicinal.index import Hit

Span = tuple[int, int]

_MATCHED = "bold magenta"
# Wider lines are hard to read, and a passage gets this many of them.
_WIDEST = 96
_TALLEST = 3
# Ids of documents with the same passage that are named.
_NAMED = 3
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
# What follows a title that is a line of its own: the line's end, and perhaps marks that underline it.
_LINE_END = re.compile(r"[# \t\r]*(?:$|\n(?:([=\-~^\"'`#*+.:_])\1{2,}[ \t]*(?:\n|$))?)")
_HEADING_MARKS = re.compile(r"[#\s]*")


def write_hits(hits: Sequence[Hit]) -> None:
    """Rank, score, id, passage and metadata, tab-separated."""
    for rank, hit in enumerate(hits, start=1):
        passage = one_line(hit.passage.text)
        metadata = json.dumps(hit.metadata, ensure_ascii=False)  # holds no tab and no line break
        write(f"{rank}\t{hit.score:.6f}\t{id_text(hit.id)}\t{passage}\t{metadata}\n")


def show_hits(hits: Sequence[Hit], explain: bool) -> None:
    """Hits for a person; the words of the query stand out.

    Args:
        hits: what was found.
        explain: whether to add score and rank by each retriever.
    """
    console = screen()
    scores = [_score(hit, explain) for hit in hits]
    used = len(str(len(hits))) + 2 + max(map(len, scores), default=0) + 2
    width = max(16, min(_WIDEST, console.width - used))
    table = plain_table(headings=False)
    table.padding = (0, 2, 1, 0)
    table.add_column(justify="right", no_wrap=True, style="dim")
    table.add_column(justify="right", no_wrap=True, style="bold")
    table.add_column(overflow="fold", max_width=width)
    for rank, (hit, score) in enumerate(zip(hits, scores, strict=True), start=1):
        table.add_row(str(rank), score, _described(hit, width, explain))
    console.print(table)


def _score(hit: Hit, explain: bool) -> str:
    # Fused scores are means that lie close together: three decimals would not tell them apart.
    return f"{hit.score:.4f}" if explain and hit.rerank is None else scored(hit.score)


def _described(hit: Hit, width: int, explain: bool) -> Text:
    from rich.text import Text

    title, passage, begins = _title_and_passage(hit)
    shown = Text()
    shown.append(id_text(hit.id), style="cyan")
    text, spans = _window(*passage, _TALLEST * (width - 3 - width // 16))
    # A passage that begins with the title shows it, unless the part with the query's words lies further on.
    if title[0] and not (begins and text.startswith(title[0])):
        shown.append("  ")
        shown.append_text(_marked(*title, "bold"))
    if text:
        shown.append("\n")
        shown.append_text(_marked(*_dotted(text, spans, hit), ""))
    for line in (_metadata_line(hit), _duplicates_line(hit), _retrievers_line(hit) if explain else ""):
        if line:
            shown.append("\n")
            shown.append(shortened(line, width), style="dim")
    return shown


def _marked(text: str, spans: Iterable[Span], style: str) -> Text:
    from rich.text import Text

    marked = Text(text, style=style)
    for start, end in spans:
        marked.stylize(_MATCHED, start, end)
    return marked


def _title_and_passage(hit: Hit) -> tuple[tuple[str, list[Span]], tuple[str, list[Span]], bool]:
    """Both with the places of the query's words, and whether the passage begins with the title.

    A title that is a line of its own at the start of the passage is taken out of it: it is shown above. Where it
    only begins a sentence, as in "Tea is hot", the passage keeps it.
    """
    first = hit.passage.start
    text = hit.passage.text
    spans = [(start - first, end - first) for start, end in hit.passage.matches]
    title = hit.metadata.get("title")
    if not isinstance(title, str) or not title.strip():
        return ("", []), _cleaned(text, spans, 0, len(text)), False
    marks = _HEADING_MARKS.match(text)
    begin = marks.end() if marks is not None else 0
    if first == 0 and text.startswith(title.strip(), begin):
        cut = begin + len(title.strip())
        shown = _cleaned(text, spans, begin, cut)
        line_end = _LINE_END.match(text, cut)
        if line_end is not None:
            return shown, _cleaned(text, spans, line_end.end(), len(text)), False
        return shown, _cleaned(text, spans, begin, len(text)), True
    return (one_line(title), []), _cleaned(text, spans, 0, len(text)), False


def _cleaned(text: str, spans: Iterable[Span], start: int, end: int) -> tuple[str, list[Span]]:
    """``text[start:end]`` on one line, and where the spans inside of it are now."""
    parts: list[str] = []
    length = 0
    moved: list[Span] = []

    def append(piece: str) -> None:
        nonlocal length
        piece = _BLANKS.sub(" ", piece)
        if not length or parts[-1].endswith(" "):
            piece = piece.lstrip(" ")
        if piece:
            parts.append(piece)
            length += len(piece)

    at = start
    for left, right in spans:
        if left < at or right > end:
            continue
        append(text[at:left])
        before = length
        append(text[left:right])
        moved.append((before, length))
        at = right
    append(text[at:end])
    return "".join(parts).rstrip(" "), moved


def _window(text: str, spans: list[Span], cells: int) -> tuple[str, list[Span]]:
    """The part of a long passage that holds most of the query's words, cut between words."""
    from rich.cells import cell_len

    room = max(8, cells * len(text) // max(1, cell_len(text)))
    if len(text) <= room:
        return text, spans

    def richness(start: int) -> tuple[int, int, int]:
        inside = [text[a:b].casefold() for a, b in spans if start <= a and b <= start + room]
        return len(set(inside)), len(inside), -start

    starts = {0} | {_word_start(text, left - room // 4) for left, _ in spans}
    start = max(starts, key=richness)
    start = 0 if richness(0)[:2] == richness(start)[:2] else start
    end = start + room
    if end < len(text):
        blank = text.rfind(" ", start + room // 2, end)
        end = end if blank < 0 else blank
    before, after = "… " if start else "", " …" if end < len(text) else ""
    shift = len(before) - start
    kept = [(left + shift, right + shift) for left, right in spans if start <= left and right <= end]
    return before + text[start:end] + after, kept


def _dotted(text: str, spans: list[Span], hit: Hit) -> tuple[str, list[Span]]:
    """With an ellipsis where the document goes on before or after its passage."""
    before = "… " if hit.passage.start and not text.startswith("…") else ""
    after = " …" if hit.passage.end < len(hit.text.rstrip()) and not text.endswith("…") else ""
    return before + text + after, [(a + len(before), b + len(before)) for a, b in spans]


def _word_start(text: str, place: int) -> int:
    if place <= 0:
        return 0
    blank = text.find(" ", place)
    return place if blank < 0 or blank - place > 40 else blank + 1


def _metadata_line(hit: Hit) -> str:
    return " · ".join(
        f"{name}: {_plain(value)}"
        for name, value in hit.metadata.items()
        if value not in (None, "", [], {}) and name != "title" and value != hit.id
    )


def _duplicates_line(hit: Hit) -> str:
    if not hit.duplicates:
        return ""
    shown = ", ".join(map(id_text, hit.duplicates[:_NAMED]))
    more = f" and {len(hit.duplicates) - _NAMED} more" if len(hit.duplicates) > _NAMED else ""
    return f"the same in {shown}{more}"


def _plain(value: Any) -> str:
    if isinstance(value, list) and not any(isinstance(item, (list, dict)) for item in value):
        return ", ".join(map(_plain, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _retrievers_line(hit: Hit) -> str:
    return " · ".join(
        f"{name} {scored(ranked.score)} (no. {ranked.rank})"
        for name, ranked in hit.retrievers.items()
        if ranked is not None
    )
