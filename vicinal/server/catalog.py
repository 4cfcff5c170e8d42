"""The models that a server holds, under the names that clients use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vicinal.core.names import is_hub_name
from vicinal.errors import InputError
from vicinal.folder.specs import UNLIMITED, PoolingSpec, TransformerSpec
from vicinal.models.scorer import load_scorer
from vicinal.models.sentence_transformer import SentenceTransformer
from vicinal.models.steps import Reading
from vicinal.server.errors import Refused
from vicinal.server.lanes import Lane, lane_for
from vicinal.server.records import ModelEntry, ModelKind
from vicinal.server.settings import Settings, served_name


@dataclass(eq=False)
class Served:
    """A loaded model.

    Attributes:
        entry: what clients are told of it.
        model: the model.
        given: the name under which it was asked for.
    """

    entry: ModelEntry
    model: Any
    given: str
    budget: int | None = None
    _lanes: dict[str | None, Lane] = field(default_factory=dict)

    def lane(self, reading: Reading) -> Lane:
        """The lane of the engine that reads so; a model with a Router has one for each route."""
        known = self._lanes.get(reading.task)
        if known is None:
            known = lane_for(
                reading.engine, getattr(reading.texts, "pad_id", 0), self.budget, self.entry.max_length
            )
            self._lanes[reading.task] = known
        return known


class Catalog:
    """Models by name.

    Args:
        settings: which ones.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._served: dict[str, Served] = {}

    def load(self, said: Callable[[str], None] = lambda name: None) -> None:
        """Load all models, one after the other.

        Args:
            said: told the name of each before it is loaded.

        Raises:
            ModelNotFoundError, HubError, ModelFormatError, UnsupportedModelError: one cannot be loaded.
            InputError: two would have the same name.
        """
        for name in self._settings.models:
            said(name)
            self.add(name, SentenceTransformer(name, dtype=self._settings.dtype))
        for name in self._settings.rerankers:
            said(name)
            self.add(name, load_scorer(name, self._settings.dtype))

    def add(self, given: str, model: Any) -> Served:
        """Serve a loaded model.

        Raises:
            InputError: another one has its name.
        """
        name = served_name(given)
        if name in self._served:
            raise InputError(
                f"{given} and {self._served[name].given} would both be served as {name!r}: rename one of the folders"
            )
        entry = _embedding(name, model) if hasattr(model, "encode_query") else _scorer(name, model)
        self._served[name] = Served(entry, model, given, self._settings.batch_tokens)
        return self._served[name]

    def find_given(self, given: str) -> Served | None:
        """The model that was asked for under just this name or path."""
        return next((each for each in self._served.values() if each.given == given), None)

    def all(self) -> list[Served]:
        """All of them, in the order of loading."""
        return list(self._served.values())

    def find(self, name: str | None, kinds: ModelKind | Sequence[ModelKind]) -> Served:
        """The model of a name, or the first of a kind.

        Raises:
            Refused: there is none, or it is of another kind.
        """
        wanted = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        fit = [each for each in self._served.values() if each.entry.kind in wanted]
        if name is None:
            if not fit:
                raise Refused("not_found", f"no {' or '.join(wanted)} model is served", param="model")
            return fit[0]
        found = self._served.get(name) or self._by_last_part(name)
        if found is None or found not in fit:
            known = ", ".join(each.entry.id for each in fit) or "none"
            what = "is not served" if found is None else f"is a model of the kind {found.entry.kind!r}"
            raise Refused(
                "not_found", f"the model {_short(name)!r} {what} here; {known} would do", param="model"
            )
        return found

    def _by_last_part(self, name: str) -> Served | None:
        """A name with or without its organisation, and without Ollama's ``:latest``, where that says which it is."""
        name = name.removesuffix(":latest")
        if not is_hub_name(name):
            return None
        last = name.rpartition("/")[2]
        fit = [each for each in self._served.values() if each.entry.id.rpartition("/")[2] == last]
        exact = [each for each in fit if "/" not in name or "/" not in each.entry.id]
        return exact[0] if len(exact) == 1 else None


def _short(name: str) -> str:
    return name if len(name) <= 100 else name[:100] + "..."


def _embedding(name: str, model: SentenceTransformer) -> ModelEntry:
    modules: Iterable[Any] = () if model._spec is None else model._spec.modules
    pooling = next((each for each in modules if isinstance(each, PoolingSpec)), None)
    return ModelEntry(
        id=name,
        kind="embedding",
        dimension=model.get_embedding_dimension(),
        max_length=_limit(model.max_seq_length),
        fingerprint=model.fingerprint,
        pooling="+".join(pooling.modes) if pooling else None,
        dtype=model.dtype,
        prompts=tuple(model.prompts),
        **_files(model),
    )


def _scorer(name: str, model: Any) -> ModelEntry:
    config = _config(model)
    named = config.get("id2label") or {}
    labels = tuple(str(named.get(str(i), named.get(i, f"LABEL_{i}"))) for i in range(model.num_labels))
    return ModelEntry(
        id=name,
        kind="reranker" if model.num_labels == 1 else "classifier",
        dimension=model.num_labels,
        max_length=_limit(model.max_length),
        fingerprint=model.fingerprint,
        labels=labels,
        dtype=model.dtype,
        prompts=tuple(model.prompts),
        **_files(model),
    )


def _limit(length: int | None) -> int | None:
    return int(length) if length and length < UNLIMITED else None


def _config(model: Any) -> Any:
    source = None if model._spec is None else model._spec.source
    return source.config if isinstance(source, TransformerSpec) else {}


def _files(model: Any) -> dict[str, Any]:
    """When the weights were written, their size, and the name of the architecture."""
    folder = None if model._spec is None else Path(model._spec.folder)
    if folder is None or not folder.is_dir():
        return {"created": 0}
    files = [each for each in folder.rglob("*") if each.is_file()]
    written = max((int(each.stat().st_mtime) for each in files), default=0)
    named = _config(model).get("architectures") or [""]
    return {
        "created": written,
        "size_bytes": sum(each.stat().st_size for each in files),
        "architecture": str(named[0]),
    }
