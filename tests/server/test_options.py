"""Every option of ``vicinal serve`` is an environment variable too."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from vicinal.cli.serve import serve
from vicinal.server import process


@pytest.fixture
def command() -> Any:
    app = typer.Typer()
    app.command()(serve)
    return typer.main.get_command(app)


def test_every_option_has_the_variable_of_its_name(command: Any) -> None:
    options = [each for each in command.params if each.param_type_name == "option" and each.name != "help"]
    named = {each.name: each.envvar for each in options if each.expose_value}
    named = {name: variable for name, variable in named.items() if "completion" not in name}
    assert named == {name: f"VICINAL_{name.upper()}" for name in named}
    assert len(named) > 20


def test_the_dtype_of_the_environment_is_taken(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    monkeypatch.setattr(process, "serve", lambda settings, *told: taken.append(settings))
    monkeypatch.setenv("VICINAL_DTYPE", "float32")
    monkeypatch.setenv("VICINAL_CACHE", "off")
    command([], standalone_mode=False)
    assert [each.dtype for each in taken] == ["float32"]
    monkeypatch.setenv("VICINAL_DTYPE", "float31")
    with pytest.raises(Exception, match="float31"):
        command([], standalone_mode=False)
