"""Ten thousand calls with garbage end well or in an error of Vicinal (see fuzz.py for more of them)."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz import fuzz


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_garbage_ends_in_an_error_of_vicinal(tmp_path: Path, seed: int) -> None:
    faults = fuzz(tmp_path, 5000, seed)
    assert faults.calls == 5000
    assert not faults.kinds, faults.report()
