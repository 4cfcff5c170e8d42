from __future__ import annotations

import pytest

from vicinal.index import Index

from .fakes import FakeModel


@pytest.fixture
def path(tmp_path):
    return tmp_path / "texts.db"


@pytest.fixture
def index(path):
    with Index(path, FakeModel()) as opened:
        yield opened
