"""How a command ends when it does not end well: one line on stderr and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, TextIO

from vicinal.cli.console import say, set_up_streams
from vicinal.cli.usage import Group, is_usage_error, show_usage_error
from vicinal.errors import VicinalError

_INTERRUPTED = 130
_PIPE_CLOSED = 141

_debug = False
_swallowed = False


def show_tracebacks() -> None:
    """What ``--debug`` does."""
    global _debug
    _debug = True


def _debugging() -> bool:
    return _debug or os.environ.get("VICINAL_DEBUG", "").lower() not in ("", "0", "false", "no")


class GuardedGroup(Group):
    """The group of all commands: turns exceptions into a line and an exit code."""

    def main(self, args: Sequence[str] | None = None, *arguments: Any, **options: Any) -> Any:
        """Run a command line, and end the process with its exit code."""
        typed = sys.argv[1:] if args is None else list(args)
        options["standalone_mode"] = False  # the parser raises its errors, in place of printing them
        try:
            code = super().main(typed, *arguments, **options)
        except Exception as error:
            if not is_usage_error(error):
                raise
            code = show_usage_error(error, typed)
        sys.exit(code if isinstance(code, int) else 0)

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Read the options before the command; ``--help`` prints here."""
        try:
            return super().make_context(*arguments, **options)
        except BrokenPipeError:
            _let_pipe_go()
            raise SystemExit(_PIPE_CLOSED) from None

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        with warnings.catch_warnings():
            warnings.showwarning = _note
            try:
                result = super().invoke(ctx)
                if sys.stdout is not None:
                    sys.stdout.flush()
            except KeyboardInterrupt:
                say("interrupted")
                raise SystemExit(_INTERRUPTED) from None
            except BrokenPipeError:
                _let_pipe_go()
                raise SystemExit(_PIPE_CLOSED) from None
            except (VicinalError, OSError, MemoryError) as error:
                if _debugging():
                    raise
                say(_sentence(error), "error")
                _let_rest_go()
                raise SystemExit(1) from None
            except Exception as error:
                if _debugging() or type(error).__module__.startswith(("typer", "click")):
                    raise  # typer's own: usage errors, and the exceptions that end a command early
                name = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                say(f"{name} (this was not foreseen; --debug shows where it happened)", "error")
                raise SystemExit(1) from None
            return result


def _sentence(error: BaseException) -> str:
    if isinstance(error, VicinalError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return f"out of memory{': ' + str(error) if str(error) else ''}"
    return str(error) or type(error).__name__


def _note(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    say(str(message), "note")


def _let_rest_go() -> None:
    """Drop what cannot be written, which the interpreter would try to at its end, with a traceback and another code."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        _let_pipe_go()


def _let_pipe_go() -> None:
    """Point stdout at nothing, so that the interpreter's last flush is quiet too."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _lost(report: sys.UnraisableHookArgs) -> None:
    """Ctrl-C can fall into a callback of the import system, where Python drops the exception."""
    global _swallowed
    if issubclass(report.exc_type, KeyboardInterrupt):
        _swallowed = True
    else:
        sys.__unraisablehook__(report)


def stop_if_interrupted() -> None:
    """Raise the KeyboardInterrupt that Python dropped, if it dropped one; for the long loops."""
    global _swallowed
    if _swallowed:
        _swallowed = False
        raise KeyboardInterrupt


def _end(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


def set_up_process() -> None:
    """Settings of the whole process, for the real command only: streams, and tidying up when told to end."""
    set_up_streams()
    sys.unraisablehook = _lost
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)
