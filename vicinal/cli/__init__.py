"""The command ``vicinal``: it reads files, calls the library's public methods and prints."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process and exit."""
    if sys.argv[1:2] == ["run"]:  # a script's output, signals and errors are its own
        from vicinal.cli.script import run_script

        run_script(sys.argv[2:])
        return
    from vicinal.cli.app import app
    from vicinal.cli.failures import set_up_process, show_tracebacks

    set_up_process()
    arguments = sys.argv[1:]
    ours = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--debug" in ours:  # wherever it stands: it is typed after a command has failed, at its end
        arguments.remove("--debug")
        show_tracebacks()
    app(arguments, prog_name="vicinal")


__all__ = ["main"]
