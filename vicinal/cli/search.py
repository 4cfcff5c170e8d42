"""``vicinal search``: one question, or one after the other at a prompt."""

from __future__ import annotations

import importlib
import json
import math
import sys
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from vicinal.cli.console import counted, is_terminal, one_line, say, screen, seconds_text, write_json
from vicinal.cli.failures import stop_if_interrupted
from vicinal.cli.filters import Filters, fields_of, read_filter, read_filters
from vicinal.cli.hits import show_hits, write_hits
from vicinal.cli.index import opened_to_read
from vicinal.cli.options import AsJson, IndexFile, MovedModel, one_of
from vicinal.cli.texts import check_argument
from vicinal.core.inputs import is_blank
from vicinal.errors import InputError, VicinalError

if TYPE_CHECKING:
    from vicinal import CrossEncoder
    from vicinal.index import Hit, Index, Mode, SearchReport

_MODES = ("dense", "lexical", "hybrid", "best")
_PROMPT = "search> "
_HELP = """\
Type a query. What begins with a colon is a command:
  :k 5           show five hits
  :mode hybrid   search by meaning (dense), by words
                 (lexical), by both (hybrid), or by both
                 and a reranker (best)
  :filter {...}  only documents whose metadata fit, e.g.
                 :filter {"year": {"$gte": 1950}}
  :filter        all documents again
  :show 2        the whole text of the second hit
  :help          this text
  :quit          leave, as Ctrl-D does
"""


@dataclass
class _Search:
    """An open index and how it is asked.

    Attributes:
        index: the index.
        top: hits at most.
        mode: dense, lexical, hybrid or best.
        where: the filter, None for none.
        reranker: orders the candidates again, None to leave it out.
        candidates: how many documents it gets, None for the usual number.
        budget: milliseconds for a search in mode best, None without a limit.
        as_json: whether hits are printed as JSON.
        lowest: hits with a lower score are left out, None for none.
        too_low: how many the last answer lost by that.
        report: what the last search used.
    """

    index: Index
    top: int
    mode: Mode
    where: dict[str, Any] | None
    reranker: CrossEncoder | None
    candidates: int | None
    budget: float | None
    as_json: bool
    lowest: float | None = None
    too_low: int = 0
    report: SearchReport | None = None

    @property
    def is_read(self) -> bool:
        """Whether the mode, which the prompt changes, reads candidates again."""
        return self.reranker is not None or self.mode == "best"

    def warm_up(self) -> float:
        """Load the model and the vectors, so that searching alone is measured; gives the seconds."""
        from vicinal.core.progress import waiting

        start = time.perf_counter()
        with waiting(f"loading {self.index.path} and its model"):
            self.index.search("warm", 1, None, self.mode, self.reranker, 2 if self.is_read else None)
        return time.perf_counter() - start

    def ask(self, query: str) -> tuple[list[Hit], float]:
        """The hits, and the seconds that finding them took."""
        from vicinal.errors import TruncationWarning

        start = time.perf_counter()
        with warnings.catch_warnings():
            if self.reranker is not None:  # a passage and the query may be a few tokens too long together
                warnings.simplefilter("ignore", TruncationWarning)
            found = self.index.search(
                query,
                self.top,
                self.where,
                self.mode,
                self.reranker,
                self.candidates if self.is_read else None,
                budget_ms=self.budget if self.mode == "best" else None,
            )
        hits, self.report = list(found), found.report
        self.too_low = 0
        if self.lowest is not None:
            hits = [hit for hit in found if hit.score >= self.lowest]
            self.too_low = len(found) - len(hits)
        return hits, time.perf_counter() - start

    def show(self, hits: list[Hit]) -> None:
        """Print hits in the way that suits stdout."""
        if is_terminal():
            from vicinal.index.retrievers import MODES

            if hits:
                show_hits(hits, explain=len(MODES[self.mode]) > 1 or self.reranker is not None)
        else:
            write_hits(hits)

    def summary(self, hits: list[Hit], took: float) -> str:
        """How many were found and in what time; of none, why perhaps."""
        count = self.index.count()
        if not count:
            return f"there is no document in {self.index.path}"
        time_text = f"{1000 * took:.1f} ms" if took < 1 else seconds_text(took)
        if hits:
            used = f" ({self.report})" if self.report is not None and self.mode == "best" else ""
            return f"{counted(len(hits), 'hit')} among {counted(count, 'document')} in {time_text}{used}"
        if self.too_low:
            return f"nothing found with a score of {self.lowest:g} or more; {counted(self.too_low, 'hit')} below it"
        known = self.index.info().fields
        unknown = [name for name in fields_of(self.where) if name not in known]
        if unknown:
            return f"nothing found: no document has a field {unknown[0]!r}; there are {', '.join(known) or 'none'}"
        return f"nothing found among {counted(count, 'document')} in {time_text}"


def search(
    db: IndexFile,
    query: Annotated[
        list[str] | None,
        typer.Argument(metavar="QUERY", help="What is looked for; without it, a prompt.", show_default=False),
    ] = None,
    top: Annotated[int, typer.Option("-k", "--top", metavar="N", min=1, help="Hits at most.")] = 10,
    filter: Filters = None,
    mode: Annotated[
        str,
        typer.Option(
            metavar="MODE",
            help="dense (by meaning), lexical (by words), hybrid (both) or best (both and a reranker).",
            callback=one_of(*_MODES),
        ),
    ] = "dense",
    rerank: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="A cross-encoder that reads the best candidates again.", show_default=False
        ),
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Documents that --rerank gets; if not given, 100, and 30 in mode best.",
            show_default=False,
        ),
    ] = None,
    budget_ms: Annotated[
        float | None,
        typer.Option(
            "--budget-ms",
            metavar="N",
            help="In mode best, milliseconds that a search may take once the models are loaded.",
            show_default=False,
        ),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="Only hits whose score, as it is printed, is X or more.", show_default=False
        ),
    ] = None,
    prompt_name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Put this prompt of the model before the query; if not given, its prompt for queries.",
            show_default=False,
        ),
    ] = None,
    model: MovedModel = None,
    as_json: AsJson = False,
) -> None:
    """Search an index.

    Prints rank, score, id, the best passage and the metadata of each document found, the best first. Without a
    query it asks for one after the other; :help at the prompt tells more.
    """
    words = None if query is None else " ".join(check_argument(word, "the query") for word in query)
    if words is not None and is_blank(words):
        raise InputError("the query is blank")
    chosen = cast("Mode", mode)
    where = read_filters(filter)
    if min_score is not None and not math.isfinite(min_score):
        raise InputError(f"--min-score {min_score}: give a finite number")
    if candidates is not None and rerank is None and chosen != "best":
        raise InputError(f"--candidates is for --rerank and for --mode best, not for --mode {chosen} alone")
    if budget_ms is not None and chosen != "best":
        raise InputError(f"--budget-ms is for --mode best, not for --mode {chosen}")
    if budget_ms is not None and not (math.isfinite(budget_ms) and budget_ms > 0):
        raise InputError(f"--budget-ms {budget_ms:g}: give a number above 0")
    _say_of_scores(min_score, chosen, rerank is not None)
    with opened_to_read(db, model, prompt_name) as opened:
        reranker = None
        if rerank is not None:
            from vicinal.core.progress import waiting
            from vicinal.models.scorer import load_scorer

            with waiting(f"loading {rerank}"):
                reranker = load_scorer(rerank)
        asked = _Search(opened, top, chosen, where, reranker, candidates, budget_ms, as_json, min_score)
        if words is None:
            _converse(asked, db)
            return
        loading = asked.warm_up()
        hits, took = asked.ask(words)
        if as_json:
            write_json([hit.to_dict() for hit in hits])
        else:
            asked.show(hits)
        say(f"{asked.summary(hits, took)}; loading took {seconds_text(loading)}")


def _say_of_scores(lowest: float | None, mode: Mode, reranks: bool) -> None:
    """Say where a threshold means little."""
    if lowest is not None and (mode == "best" or (mode == "hybrid" and not reranks)):
        say(
            f"scores of mode {mode} are relative to each query's best hit: --min-score can't tell there whether "
            "anything is relevant; in mode dense it can (vicinal calibrate)",
            "note",
        )


def _mode(name: str) -> Mode:
    if name not in _MODES:
        raise InputError(f":mode {name}: choose one of {', '.join(_MODES)}")
    return cast("Mode", name)


# -- the prompt --------------------------------------------------------------------------------------


def _converse(asked: _Search, db: str) -> None:
    """Answer queries until the input ends."""
    if sys.stdin is None:
        raise InputError("standard input is closed: give the query as an argument")
    if sys.stdin.isatty():
        with suppress(ImportError):  # gives input() a history and line editing
            importlib.import_module("readline")
    loading = asked.warm_up()
    count = counted(asked.index.count(), "document")
    say(f"{db}: {count}, {asked.mode} search, ready after {seconds_text(loading)}; :help tells more")
    last: list[Hit] = []
    wrong = False
    while (line := _next_line()) is not None:
        stop_if_interrupted()
        try:
            line = check_argument(line, "the query").strip()
            if line.startswith(":"):
                if not _obey(line, asked, last):
                    break
            elif not is_blank(line):
                last, took = asked.ask(line)
                _reply(asked, line, last, took)
        except KeyboardInterrupt:
            say("interrupted; :quit leaves")
        except VicinalError as error:  # not OSError: what cannot be written ends the command
            say(str(error), "error")
            wrong = True
        sys.stdout.flush()
    if wrong and not sys.stdin.isatty():
        raise typer.Exit(1)


def _next_line() -> str | None:
    """The next line without its end, an empty one after Ctrl-C, None at the end."""
    try:
        if sys.stdin.isatty() and sys.stdout.isatty():
            return input(_PROMPT)  # the only way to a history
        if sys.stdin.isatty() and sys.stderr is not None:
            sys.stderr.write(_PROMPT)
            sys.stderr.flush()
        line = sys.stdin.readline()
        return line.rstrip("\n") if line else None
    except EOFError:
        say("")
        return None
    except KeyboardInterrupt:
        say("\n:quit leaves, as Ctrl-D does")
        return ""


def _reply(asked: _Search, query: str, hits: list[Hit], took: float) -> None:
    if asked.as_json:
        found = [hit.to_dict() for hit in hits]
        line = {"query": query, "milliseconds": round(1000 * took, 3), "hits": found}
        if asked.mode == "best" and asked.report is not None:
            line["used"] = asked.report.to_dict()
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
        return
    asked.show(hits)
    say(asked.summary(hits, took))
    sys.stdout.write("\n")  # answers stay apart, in a pipe too


def _obey(line: str, asked: _Search, last: list[Hit]) -> bool:
    """Do what a line with a colon says; False ends the conversation."""
    name, _, rest = line[1:].partition(" ")
    rest = rest.strip()
    if name in ("quit", "q", "exit"):
        return False
    if name in ("help", "h", "?"):
        if sys.stderr is not None:
            sys.stderr.write(_HELP)
    elif name == "k":
        asked.top = _number(rest, ":k")
        say(f"{counted(asked.top, 'hit')} at most")
    elif name == "mode":
        asked.mode = _mode(rest)
        say(f"{asked.mode} search")
        _say_of_scores(asked.lowest, asked.mode, asked.reranker is not None)
    elif name == "filter":
        asked.where = read_filter(rest, ":filter") if rest else None
        say("all documents" if asked.where is None else f"only {json.dumps(asked.where, ensure_ascii=False)}")
    elif name == "show":
        place = _number(rest or "1", ":show")
        if place > len(last):
            raise InputError(f":show {place}: the last answer has {counted(len(last), 'hit')}")
        _show_text(last[place - 1])
    else:
        raise InputError(f":{name} is no command; :help lists them")
    return True


def _number(text: str, command: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:9]) > 0):
        raise InputError(f"{command} {text!r}: give a number from 1 on")
    return int(text[:9])


def _show_text(hit: Hit) -> None:
    if is_terminal():
        screen().print("\n".join(one_line(line) for line in hit.text.splitlines()))
    else:
        sys.stdout.write(hit.text.rstrip("\n") + "\n")
