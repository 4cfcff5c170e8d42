"""The collator, where older code looks for it; all names are those of :mod:`vicinal.training`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vicinal.training import __all__ as __all__
from vicinal.training import __dir__ as __dir__
from vicinal.training import __getattr__ as __getattr__

if TYPE_CHECKING:
    from vicinal.training import *  # noqa: F403
