"""How commands are described and misunderstood: help that fits the terminal, and errors in what was typed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup

from vicinal.cli.console import say, tell

if TYPE_CHECKING:
    _Described = TyperCommand
else:
    _Described = object

_WIDEST = 80
_NARROWEST = 24
# Some versions of typer show the Python type of an argument, and braces around those that are required.
_TYPE = re.compile(r" <[\w\[\], |]+>$")
_BRACES = re.compile(r"\{([A-Z_]+)\}")

# The parser's messages about a value, and what a person is told.
_VALUE_ERRORS = (
    (re.compile(r"Input should be a valid integer.*"), "is not a whole number"),
    (re.compile(r"Input should be a valid number.*"), "is not a number"),
    (re.compile(r"(?:\S+ )?is not a valid int(?:eger)?\.?"), "is not a whole number"),
    (re.compile(r"(?:\S+ )?is not a valid float\.?"), "is not a number"),
    (re.compile(r"Input should be greater than or equal to (\S+)"), r"is too small: give \1 or more"),
    (re.compile(r"Input should be less than or equal to (\S+)"), r"is too large: give \1 or less"),
    (re.compile(r"\S+ is not in the range x>=(\S+?)\.?"), r"is too small: give \1 or more"),
    (re.compile(r"\S+ is not in the range (\S+)<=x<=(\S+?)\.?"), r"is out of range: give \1 to \2"),
    (re.compile(r"(?:Value error, )?'.*' is not one of (.+?)\.?"), r"is unknown: choose one of \1"),
)


def _fitting(base: Any) -> Any:
    """The formatter of help, for terminals of any width and without the names of Python types."""

    class Fitting(base):  # type: ignore[misc]
        def __init__(self, indent_increment: int = 2, width: Any = None, max_width: Any = None) -> None:
            columns = min(_WIDEST, shutil.get_terminal_size().columns) - 2
            super().__init__(indent_increment, max(_NARROWEST, columns), max_width)

        def write_usage(self, prog: str, args: str = "", prefix: Any = None) -> None:
            super().write_usage(prog, _BRACES.sub(r"\1", args), prefix)

        def write_dl(self, rows: Sequence[tuple[str, str]], *arguments: Any, **options: Any) -> None:
            super().write_dl([(_TYPE.sub("", name), text) for name, text in rows], *arguments, **options)

    return Fitting


class Described(_Described):
    """What commands and groups of commands share: their help and usage fit the terminal."""

    def get_help(self, ctx: Any) -> str:
        """The whole help."""
        ctx.formatter_class = _fitting(type(ctx).formatter_class)
        return super().get_help(ctx)

    def get_usage(self, ctx: Any) -> str:
        """The usage line alone."""
        ctx.formatter_class = _fitting(type(ctx).formatter_class)
        return super().get_usage(ctx)


class Command(Described, TyperCommand):
    """A command."""


class Group(Described, TyperGroup):
    """A group of commands."""


def is_usage_error(error: Exception) -> bool:
    """Whether the parser raised it; its module is typer's or click's, by the version of typer."""
    return hasattr(error, "format_message") and type(error).__module__.startswith(("typer", "click"))


def show_usage_error(error: Any, arguments: Sequence[str]) -> int:
    """Say what is wrong with what was typed; gives the exit code.

    Args:
        error: the parser's.
        arguments: what was typed, behind the command's name.
    """
    code = int(error.exit_code)
    if type(error).__name__ == "NoArgsIsHelpError":
        tell(f"{error.format_message()}\n")
        return code
    context = getattr(error, "ctx", None)
    if context is not None:
        tell(f"{context.get_usage()}\n")
    message = _message(error, arguments).rstrip(".")
    hint = "" if context is None else f"`{context.command_path} -h` lists "
    what = "the commands" if isinstance(getattr(context, "command", None), TyperGroup) else "the options"
    say(message + (f" ({hint}{what})" if hint else ""), "error")
    return code


def _message(error: Any, arguments: Sequence[str]) -> str:
    unknown = getattr(error, "option_name", None)
    if unknown is not None and type(error).__name__ == "NoSuchOption":
        near = _near_option(str(unknown), error.ctx)
        return f"No such option: {unknown}" + (f". Did you mean {near}?" if near else "")
    parameter = getattr(error, "param", None)
    text = str(error.message)
    if parameter is None or not text or type(error).__name__ != "BadParameter":
        extra = re.fullmatch(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", text)
        return str(error.format_message()) if extra is None else f"Unexpected argument: {extra[1]}"
    named = max(getattr(parameter, "opts", ["the argument"]), key=len)
    value = _typed(parameter, arguments)
    for pattern, words in _VALUE_ERRORS:
        found = pattern.fullmatch(text)
        if found is not None and str(value).lower() == "nan":
            return f"{named} {value} is not a number"
        if found is not None:
            shown = found.expand(words).replace("'", "")
            return f"{named} {value} {shown}" if value else f"The value of {named} {shown}"
    return f"{named}{' ' + value if value else ''}: {text.removeprefix('Value error, ')}"


def _near_option(unknown: str, context: Any) -> str | None:
    """The option that was meant, perhaps: the nearest, or the one letter of what was typed with two hyphens."""
    there = [name for each in context.command.get_params(context) for name in each.opts]
    bare = unknown.lstrip("-")
    if f"-{bare}" in there:
        return f"-{bare}"
    begun = [name for name in there if bare and name.startswith(f"--{bare}")]
    return next(iter([*begun, *get_close_matches(f"--{bare}", there, 1)]), None)


def _typed(parameter: Any, arguments: Sequence[str]) -> str | None:
    """The value that was given to an option; None where it can't be told."""
    values = []
    for place, argument in enumerate(arguments):
        if argument == "--":
            break
        for name in parameter.opts:
            if argument == name and place + 1 < len(arguments):
                values.append(arguments[place + 1])
            elif argument.startswith(f"{name}="):
                values.append(argument.partition("=")[2])
    if len(values) > 1 and getattr(parameter, "multiple", False):
        return None  # all count, and which of them is wrong is not known
    return values[-1] if values else None  # of an option given twice the last one counts
