"""From starting to the end: models and indexes are loaded, found by name, and let go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal

from vicinal.server.call import Call, current_call
from vicinal.server.catalog import Catalog, Served
from vicinal.server.checks import check_texts
from vicinal.server.errors import Refused
from vicinal.server.indexes import Indexes
from vicinal.server.metrics import Metrics
from vicinal.server.pipeline import Pipeline
from vicinal.server.records import (
    ModelEntry,
    ModelKind,
)
from vicinal.server.settings import Settings

State = Literal["starting", "ready", "draining", "failed"]

_ANY: tuple[ModelKind, ...] = ("embedding", "reranker", "classifier")


class Lifecycle:
    """The models and indexes of a server: loading and naming them, and the end.

    Args:
        settings: which ones, and the limits.

    Attributes:
        settings: as given.
        state: ``"starting"`` until all models are loaded, ``"draining"`` once the server ends.
        failure: why it could not start.
        active: requests that are being answered.
        metrics: what is counted.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.state: State = "starting"
        self.failure: BaseException | None = None
        self.active = 0
        self.metrics = Metrics()
        self._catalog = Catalog(settings)
        self._pipeline = Pipeline(settings, self.metrics)
        self._indexes = Indexes(settings, self._catalog, self._pipeline)

    # -- starting and ending -----------------------------------------------------------------------------

    def load(self) -> None:
        """Load all models and open all indexes, in the calling thread; the state tells when it is done."""
        try:
            self._load()
            if self.state == "starting":
                self.state = "ready"
        except BaseException as error:
            self.failure, self.state = error, "failed"
            raise

    def _load(self) -> None:
        token = current_call.set(Call())  # what is computed here has no deadline
        try:
            self._catalog.load()
            for served in self._catalog.all():
                self._pipeline.warm_up(served)
            self._indexes.load()
        finally:
            current_call.reset(token)

    def start(self, ended: Callable[[], None] = lambda: None) -> threading.Thread:
        """Load in a thread, which calls ``ended`` when everything is loaded, or nothing more will be."""

        def run() -> None:
            with suppress(BaseException):  # kept as `failure`
                self.load()
            ended()

        thread = threading.Thread(target=run, name="vicinal-load", daemon=True)
        thread.start()
        return thread

    def drain(self) -> None:
        """Take no more requests."""
        if self.state in ("starting", "ready"):
            self.state = "draining"

    def close(self) -> None:
        """Let go of threads and files."""
        self._indexes.close()
        self._pipeline.close()

    def check_ready(self) -> None:
        """Refuse work while there are no models yet, or no more.

        Raises:
            Refused: starting, draining, or failed.
        """
        if self.state != "ready":
            raise Refused("unhealthy", f"the server is {self.state}; try again later", retry_after=2)

    # -- what there is -----------------------------------------------------------------------------------

    def models(self) -> list[ModelEntry]:
        """All models, the default of each kind first among its kind."""
        return [each.entry for each in self._catalog.all()]

    def entry(self, name: str | None, kind: ModelKind | Sequence[ModelKind]) -> ModelEntry:
        """The model of a name, or the first of a kind.

        Raises:
            Refused: there is none, or it is of another kind.
        """
        return self._find(name, kind).entry

    def check_texts(self, value: Any, name: str = "input") -> list[str]:
        """See :func:`vicinal.server.checks.check_texts`."""
        return check_texts(value, self.settings, name)

    def _find(self, name: str | None, kind: ModelKind | Sequence[ModelKind]) -> Served:
        self.check_ready()
        return self._catalog.find(name, kind)
