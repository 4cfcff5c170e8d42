"""Rows become a batch: the texts of each column as the model reads them, and the labels."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from vicinal.errors import InputError
from vicinal.nn.training.columns import ColumnPlan, plan_columns

# The batch's keys that are no features.
_LABEL, _NAME, _ROLES = "label", "dataset_name", "column_names"


class SentenceTransformerDataCollator:
    """Tokenises the texts of a batch.

    The batch is one flat dictionary: ``{role}_{feature}`` (``anchor_input_ids``, ``anchor_attention_mask``,
    ...) for each text column, ``label``, ``dataset_name`` where there are several data sets, and
    ``column_names``, the roles in order. A subclass that makes features in another way overrides
    :meth:`column_features`, and :func:`split_batch` finds them again.

    Args:
        tokenize: texts -> features, a dictionary of tensors.
        plans: data set -> what its columns are for; None takes a column called label, labels, score
            or scores for the label, and the others for texts.
        prompts: as in the training arguments.
        prompt_length: prompt -> number of tokens that pooling leaves out; None where it leaves none out.
        router_mapping: column -> route; needs a ``tokenize`` that takes ``task``.
    """

    def __init__(
        self,
        tokenize: Callable[..., dict[str, Any]],
        plans: Mapping[str | None, ColumnPlan] | None = None,
        prompts: Any = None,
        prompt_length: Callable[[str], int] | None = None,
        router_mapping: Mapping[str, Any] | None = None,
    ) -> None:
        self.tokenize = tokenize
        self.plans = dict(plans or {})
        self._plans_rows = plans is None
        self._given_prompts = prompts
        self.prompt_length = prompt_length
        self.router_mapping = router_mapping or {}
        if self.router_mapping and "task" not in inspect.signature(tokenize).parameters:
            raise InputError(
                f"router_mapping={dict(self.router_mapping)!r}: the model does not begin with a Router, which alone "
                "has routes; leave it out"
            )
        self._prompts = {name: _by_role(prompts, name, plan) for name, plan in self.plans.items()}
        self._routes = {name: _by_role(self.router_mapping, name, plan) for name, plan in self.plans.items()}
        self._lengths: dict[str, int] = {}

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """One batch of rows, all of one data set."""
        name = rows[0].get(_NAME)
        if self._plans_rows and name not in self.plans:
            self._plan(name, [column for column in rows[0] if column != _NAME])
        plan = self.plans[name]
        batch: dict[str, Any] = {}
        for role, column in plan.texts:
            values = [row[column] for row in rows]
            features = self.column_features(
                values, self._prompts[name].get(role, ""), self._routes[name].get(role)
            )
            batch.update({f"{role}_{key}": value for key, value in features.items()})
        if plan.label is not None:
            batch[_LABEL] = self.labels([row[plan.label] for row in rows])
        if name is not None:
            batch[_NAME] = name
        batch[_ROLES] = tuple(role for role, _ in plan.texts)
        return batch

    def _plan(self, name: str | None, columns: list[str]) -> None:
        """Give the columns of a data set their roles."""
        plan = plan_columns(columns, None, "rows")
        self.plans[name] = plan
        self._prompts[name] = _by_role(self._given_prompts, name, plan)
        self._routes[name] = _by_role(self.router_mapping, name, plan)

    def column_features(self, texts: list[Any], prompt: str = "", task: str | None = None) -> dict[str, Any]:
        """The features of one column."""
        if prompt:
            texts = [prompt + text for text in texts]
        features = dict(self.tokenize(texts) if task is None else self.tokenize(texts, task=task))
        if prompt and self.prompt_length is not None:
            if prompt not in self._lengths:
                self._lengths[prompt] = self.prompt_length(prompt)
            features["prompt_length"] = self._lengths[prompt]
        return features

    def labels(self, values: list[Any]) -> Any:
        """The labels as one tensor: (n,) or (n, k)."""
        if isinstance(values[0], torch.Tensor):
            return torch.stack(values)
        return torch.tensor(values)


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
