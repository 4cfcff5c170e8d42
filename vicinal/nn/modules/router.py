"""Router: queries and documents go different ways through a model."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from vicinal.errors import InputError, ModelFormatError
from vicinal.folder.json_files import read_json
from vicinal.folder.paths import inside
from vicinal.folder.specs import CustomSpec
from vicinal.folder.write import write_json
from vicinal.nn.modules.base import Features, InputModule, save_any
from vicinal.nn.modules.registry import open_custom, type_name

_FILES = ("router_config.json", "config.json")


class Router(InputModule):
    """Sends features along one of several lists of modules, by the task that they are for.

    ``encode_query`` asks for the route ``"query"``, ``encode_document`` for ``"document"``, ``encode(...,
    task=...)`` for any; a text in a dictionary, ``{"query": "..."}``, names its route itself.

    Args:
        sub_modules: route -> its modules. As a model's first module, each route begins with one that reads
            texts.
        default_route: where texts go that name no task.
        allow_empty_key: without ``default_route``, the first route is the default one.
        route_mappings: ``(task, modality)`` -> route, where the names differ; None stands for any.

    Raises:
        InputError: no routes, or a default that is none of them.
    """

    save_in_root = True
    config_file_name = _FILES[0]

    def __init__(
        self,
        sub_modules: Mapping[str, Sequence[nn.Module]],
        default_route: str | None = None,
        allow_empty_key: bool = True,
        route_mappings: Mapping[tuple[str | None, Any], str] | None = None,
    ) -> None:
        super().__init__()
        if not sub_modules:
            raise InputError("sub_modules is empty: give a list of modules for each route")
        self.sub_modules = nn.ModuleDict({name: nn.Sequential(*each) for name, each in sub_modules.items()})
        self.route_mappings = dict(route_mappings or {})
        self.allow_empty_key = allow_empty_key
        if default_route is None and allow_empty_key:
            default_route = next(iter(sub_modules))
        for route in (default_route, *self.route_mappings.values()):
            if route is not None and route not in self.sub_modules:
                raise InputError(f"route {route!r} is none of {', '.join(map(repr, self.sub_modules))}")
        self.default_route = default_route

    @classmethod
    def for_query_document(
        cls,
        query_modules: Sequence[nn.Module],
        document_modules: Sequence[nn.Module],
        default_route: str | None = "document",
        allow_empty_key: bool = True,
    ) -> Router:
        """A router with the routes ``"query"`` and ``"document"``."""
        return cls({"query": query_modules, "document": document_modules}, default_route, allow_empty_key)

    def route_of(self, task: str | None) -> str:
        """The route of a task.

        Raises:
            InputError: there is none.
        """
        for key in ((task, "text"), (task, None), (None, "text")):
            if key in self.route_mappings:
                return str(self.route_mappings[key])
        if task is None and self.default_route is not None:
            return self.default_route
        if task is None or task not in self.sub_modules:
            raise InputError(
                f"task={task!r} has no route; there are {', '.join(map(repr, self.sub_modules))}. Use encode_query, "
                "encode_document or encode(..., task=...), or give the Router a default_route"
            )
        return task

    def get_embedding_dimension(self) -> int | None:
        """Length of the vectors that leave; None where no module knows."""
        for route in self.sub_modules.values():
            for each in reversed(list(route)):
                for name in ("get_embedding_dimension", "get_sentence_embedding_dimension"):
                    if callable(getattr(each, name, None)):
                        found: int | None = getattr(each, name)()
                        return found
        return None

    get_sentence_embedding_dimension = get_embedding_dimension

    @property
    def _firsts(self) -> list[Any]:
        return [route[0] for route in self.sub_modules.values() if len(route)]

    @property
    def tokenizer(self) -> Any:
        """That of the default route, else the first one found."""
        firsts = [*self.sub_modules[self.default_route][:1]] if self.default_route else []
        found = (getattr(each, "tokenizer", None) for each in [*firsts, *self._firsts])
        return next((each for each in found if each is not None), None)

    @property
    def max_seq_length(self) -> int | None:
        """The longest that a route reads; None where no route cuts."""
        limits = [getattr(each, "max_seq_length", None) for each in self._firsts]
        known = [int(limit) for limit in limits if limit is not None]
        return max(known) if known else None

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        for each in self._firsts:
            if getattr(each, "max_seq_length", None) is not None:
                each.max_seq_length = value

    def tokenize(self, texts: Sequence[Any], task: str | None = None) -> Features:
        """Features of texts that all go the same way.

        Args:
            texts: texts, or dictionaries ``{route: text}`` of one and the same route.
            task: what they are for.
        """
        texts, task = self._texts_and_task(texts, task)
        features: Features = self._first(task).tokenize(texts)
        if task is not None:
            features["task"] = task
        return features

    def count_tokens(self, texts: Sequence[Any], task: str | None = None) -> list[int] | None:
        """Tokens of each text on its way, or None where that way's first module does not count."""
        texts, task = self._texts_and_task(texts, task)
        count = getattr(self._first(task), "count_tokens", None)
        return None if count is None else list(count(texts))

    def limit_of(self, task: str | None) -> int | None:
        """``max_seq_length`` of a task's route."""
        limit: int | None = getattr(self._first(task), "max_seq_length", None)
        return limit

    def _first(self, task: str | None) -> Any:
        route = self.sub_modules[self.route_of(task)]
        if not len(route) or not hasattr(route[0], "tokenize"):
            raise InputError(f"the route {self.route_of(task)!r} has no module that reads texts")
        return route[0]

    def _texts_and_task(self, texts: Sequence[Any], task: str | None) -> tuple[list[Any], str | None]:
        if not texts or not isinstance(texts[0], Mapping):
            return list(texts), task
        keys = {key for each in texts for key in each}
        if len(keys) != 1 or any(not isinstance(each, Mapping) or len(each) != 1 for each in texts):
            raise InputError(
                f"texts in one call must go one way, and these name {sorted(keys)}; call once for each"
            )
        (found,) = keys
        return [each[found] for each in texts], task if task is not None else found

    def forward(self, features: Features, task: str | None = None, **kwargs: Any) -> Features:
        """Run the modules of the route; ``task`` wins over ``features["task"]``."""
        result: Features = features
        for each in self.sub_modules[self.route_of(task if task is not None else features.get("task"))]:
            result = each(result)
        return result

    def get_config_dict(self) -> dict[str, Any]:
        """The parameters, as ``router_config.json`` holds them."""
        return {
            "default_route": self.default_route,
            "allow_empty_key": self.allow_empty_key,
            "route_mappings": {str(key): route for key, route in self.route_mappings.items()},
        }

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Write each module to a folder of its own, and which belongs where."""
        types: dict[str, str] = {}
        structure: dict[str, list[str]] = {}
        for route, modules in self.sub_modules.items():
            structure[route] = []
            for place, each in enumerate(modules):
                name = f"{route}_{place}_{type(each).__name__}"
                types[name] = type_name(each)
                structure[route].append(name)
                save_any(each, Path(output_path) / name)
        settings = {"types": types, "structure": structure, "parameters": self.get_config_dict()}
        write_json(Path(output_path) / _FILES[0], settings)

    @classmethod
    def load(
        cls,
        folder: str,
        *,
        module_classes: Iterable[type[nn.Module]] = (),
        trust_remote_code: bool = False,
        **kwargs: Any,
    ) -> Router:
        """Read a module back from its folder, that of an ``Asym`` too."""
        home = Path(folder)
        file = next((home / name for name in _FILES if (home / name).is_file()), home / _FILES[0])
        settings = read_json(file)
        try:
            types, structure = settings["types"], settings["structure"]
            places = {
                route: [(name, str(types[name])) for name in names] for route, names in structure.items()
            }
            parameters = dict(settings.get("parameters") or {})
            mappings = {
                _mapping_key(key): str(route)
                for key, route in (parameters.pop("route_mappings", None) or {}).items()
            }
        except KeyError as error:
            raise ModelFormatError(f"{file}: the key {error} is missing") from error
        except (TypeError, AttributeError, ValueError) as error:
            raise ModelFormatError(f"{file}: not the settings of a Router ({error})") from error
        routes = {
            route: [
                open_custom(
                    CustomSpec(inside(home, name, file.name), kind), module_classes, trust_remote_code
                )
                for name, kind in found
            ]
            for route, found in places.items()
        }
        known = inspect.signature(cls).parameters
        unknown = [name for name in parameters if name not in known or name == "sub_modules"]
        if unknown:
            raise ModelFormatError(f"{file}: the parameter {unknown[0]!r} is not known")
        return cls(routes, **parameters, route_mappings=mappings)

    def __repr__(self) -> str:
        routes = {name: [type(each).__name__ for each in way] for name, way in self.sub_modules.items()}
        return f"Router({routes}, default_route={self.default_route!r})"


def _mapping_key(written: str) -> tuple[str | None, Any]:
    """``("query", "text")`` from its text.

    Raises:
        ValueError: it is the text of something else.
    """
    try:
        key = ast.literal_eval(written)
    except (SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"{written[:80]!r} is not a pair of task and modality") from error
    if not isinstance(key, tuple) or len(key) != 2:
        raise ValueError(f"{written[:80]!r} is not a pair of task and modality")
    return key


class Asym(Router):
    """The older name of :class:`Router`: different modules for different kinds of text."""
