"""Rows become a batch: the texts of each column as the model reads them, and the labels."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from vicinal.errors import InputError
from vicinal.nn.training.columns import LABEL_COLUMNS, ColumnPlan, plan_columns
from vicinal.nn.training.order import warn_of_order

# The batch's keys that are no features.
_LABEL, _NAME, _ROLES = "label", "dataset_name", "column_names"


@dataclass
class BaseDataCollator:
    """Base of the collators, which make a batch of rows: it knows which columns are texts and which one is the label.

    Args:
        preprocess_fn: texts -> features, a dictionary of tensors; usually ``model.preprocess``. One that takes
            ``prompt`` and ``task`` is given both; for one that takes no prompt the prompt is put before each text.
        valid_label_columns: the first of these that a row has is its label; every other column is a text.
        router_mapping: column -> route, or data set -> such a dictionary.
        prompts: as in the training arguments.
        max_length: tokens that a text is cut to, or route -> tokens; needs a ``preprocess_fn`` that takes it.
    """

    preprocess_fn: Callable[..., Any]
    valid_label_columns: list[str] = field(default_factory=lambda: list(LABEL_COLUMNS))
    router_mapping: Any = field(default_factory=dict, repr=False)
    prompts: Any = field(default_factory=dict, repr=False)
    max_length: Any = field(default=None, repr=False)

    _known: dict[tuple[str | None, tuple[str, ...]], ColumnPlan] = field(
        default_factory=dict, init=False, repr=False
    )

    def know(self, plans: Mapping[str | None, ColumnPlan]) -> None:
        """Read the columns of these data sets as planned, and not as their names say."""
        self._known |= {(name, tuple(plan.names)): plan for name, plan in plans.items()}

    def plan_of(self, row: Mapping[str, Any]) -> ColumnPlan:
        """What the columns of a row are for."""
        name = row.get(_NAME)
        columns = tuple(column for column in row if column != _NAME)
        plan = self._known.get((name, columns))
        if plan is None:
            # A transform of the user's may give more columns than are read.
            fitting = [
                each
                for (known, names), each in self._known.items()
                if known == name and set(names) <= set(columns)
            ]
            plan = max(fitting, key=lambda each: len(each.names), default=None)
        return plan or plan_columns(columns, None, "rows", self.valid_label_columns)

    def maybe_warn_about_column_order(self, column_names: Sequence[str]) -> None:
        """Warn where the names of text columns speak for another order; the trainers do it by themselves.

        Warns:
            UserWarning: ``("positive", "anchor")``, say.
        """
        warn_of_order(list(column_names), "the data set")

    def labels(self, values: list[Any]) -> Any:
        """The labels as one tensor: (n,) or (n, k)."""
        if isinstance(values[0], torch.Tensor):
            return torch.stack(values)
        return torch.tensor(values)


@dataclass
class SentenceTransformerDataCollator(BaseDataCollator):
    """Tokenises the texts of a batch.

    The batch is one flat dictionary: ``{role}_{feature}`` (``anchor_input_ids``, ``anchor_attention_mask``,
    ...) for each text column, ``label``, ``dataset_name`` where there are several data sets, and
    ``column_names``, the roles in order. A subclass that makes features in another way overrides
    :meth:`column_features`, and :func:`split_batch` finds them again.
    """

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """One batch of rows, all of one data set."""
        if not features:
            return {}
        name = features[0].get(_NAME)
        plan = self.plan_of(features[0])
        prompts = _by_role(self.prompts, name, plan)
        routes = _by_role(self.router_mapping, name, plan)
        batch: dict[str, Any] = {}
        for role, column in plan.texts:
            values = [row[column] for row in features]
            found = self.column_features(values, prompts.get(role, ""), routes.get(role))
            batch.update({f"{role}_{key}": value for key, value in found.items()})
        if plan.label is not None:
            batch[_LABEL] = self.labels([row[plan.label] for row in features])
        if name is not None:
            batch[_NAME] = name
        batch[_ROLES] = tuple(role for role, _ in plan.texts)
        return batch

    def column_features(self, texts: list[Any], prompt: str = "", task: str | None = None) -> dict[str, Any]:
        """The features of one column."""
        length = self.max_length.get(task) if isinstance(self.max_length, Mapping) else self.max_length
        given = {"task": task, "max_length": length}
        options = {key: value for key, value in given.items() if value is not None}
        if prompt and _takes_prompt(self.preprocess_fn):
            options["prompt"] = prompt
        elif prompt:
            texts = [prompt + text for text in texts]
        return dict(self.preprocess_fn(texts, **options))


def _takes_prompt(function: Callable[..., Any]) -> bool:
    return "prompt" in inspect.signature(function).parameters


def split_batch(batch: Mapping[str, Any]) -> tuple[list[dict[str, Any]], Any, str | None]:
    """(features of each column, labels, name of the data set) of a batch.

    A collator of one's own need not name the columns: they are then found by their ``{role}_input_ids``.
    """
    roles: Iterable[str] | None = batch.get(_ROLES)
    if roles is None:
        roles = [key.removesuffix("_input_ids") for key in batch if key.endswith("_input_ids")]
    columns: dict[str, dict[str, Any]] = {role: {} for role in roles}
    # "a_b_input_ids" is the column "a_b" where there is one, though it begins with "a_" too.
    by_length = sorted(columns, key=len, reverse=True)
    for key, value in batch.items():
        if key in (_LABEL, "labels", _NAME, _ROLES):
            continue
        role = next((each for each in by_length if key.startswith(f"{each}_")), None)
        if role is not None:
            columns[role][key[len(role) + 1 :]] = value
    return list(columns.values()), batch.get(_LABEL, batch.get("labels")), batch.get(_NAME)


def _by_role(given: Any, name: str | None, plan: ColumnPlan) -> dict[str, str]:
    """role -> value, out of one value for all, a dictionary by column, or one by data set."""
    if isinstance(given, Mapping) and name is not None and name in given:
        given = given[name]
    elif isinstance(given, Mapping) and any(isinstance(value, Mapping) for value in given.values()):
        return {}
    if not given:
        return {}
    if isinstance(given, str):
        return {role: given for role, _ in plan.texts}
    found = {role: given.get(role, given.get(column)) for role, column in plan.texts}
    return {role: value for role, value in found.items() if value}


def check_names(given: Any, plans: Iterable[tuple[str | None, ColumnPlan]], argument: str) -> None:
    """Refuse the name of a column or data set that does not exist: it would be ignored for ever.

    Raises:
        InputError: names it, and those that exist.
    """
    if not isinstance(given, Mapping):
        return
    known = list(plans)
    columns = {each for _, plan in known for pair in plan.texts for each in pair}
    names = {name for name, _ in known if name is not None}
    for key, value in given.items():
        if key not in columns | names:
            raise InputError(
                f"{argument}[{key!r}]: there is no text column or data set of this name; there are "
                f"{', '.join(map(repr, sorted(columns | names)))}"
            )
        if key in names and isinstance(value, Mapping):
            check_names(value, [(None, plan) for name, plan in known if name == key], f"{argument}[{key!r}]")
