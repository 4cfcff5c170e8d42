"""The models that lie in the package itself: no cache and no network is needed for them."""

from __future__ import annotations

import difflib
from datetime import datetime, timezone
from pathlib import Path

from vicinal.hub.cache import CachedModel, size_of

BUNDLED = {"vicinal-mini": Path(__file__).parents[1] / "data" / "vicinal-mini"}


def bundled_models() -> list[CachedModel]:
    """All of them, by name."""
    return [
        CachedModel(
            name,
            folder,
            size_of(folder),
            (),
            True,
            datetime.fromtimestamp(folder.stat().st_mtime, timezone.utc),
        )
        for name, folder in sorted(BUNDLED.items())
    ]


def nearest_bundled(name: str) -> str | None:
    """The bundled model that a mistyped name resembles; None if it resembles none."""
    bare = name.rpartition("/")[2].lower().replace("_", "-")
    return next(iter(difflib.get_close_matches(bare, BUNDLED, n=1, cutoff=0.8)), None)
