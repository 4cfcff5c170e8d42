"""The name sentence_transformers means Vicinal in a test, and nothing before and after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vicinal.compat import install_as_sentence_transformers, uninstall


@pytest.fixture
def installed() -> Iterator[None]:
    """Install, and take back."""
    assert install_as_sentence_transformers(replace=True)
    yield
    uninstall()
