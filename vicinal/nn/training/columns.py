"""Which column is used for what, and the check of all rows before the first step."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from vicinal.core.inputs import caller_level
from vicinal.core.visible import visible
from vicinal.errors import InputError, InputTypeError, VicinalError
from vicinal.nn.losses.base import Loss
from vicinal.nn.training.order import warn_of_order
from vicinal.nn.training.rows import Sources, datasets, is_stream

#: The first of these that a data set has is its label; every other column is a text.
LABEL_COLUMNS = ("label", "labels", "score", "scores")

#: ``["question", "answer", "label"]``, or role -> column: ``{"anchor": "question", "label": "y"}``
Columns: TypeAlias = Sequence[str] | Mapping[str, str]

_ROWS_AT_ONCE = 50_000
_STREAM_ROWS = 1000
_EXAMPLE = 60


@dataclass(frozen=True)
class ColumnPlan:
    """What the columns of a data set are for.

    Attributes:
        texts: (role, column) of each text column, in the order in which the loss gets them.
        label: the label's column, if there is one.
    """

    texts: tuple[tuple[str, str], ...]
    label: str | None = None

    @property
    def names(self) -> list[str]:
        """All columns that are read."""
        return [*(column for _, column in self.texts), *([self.label] if self.label is not None else [])]


def plan_columns(
    available: Sequence[str], columns: Columns | None, name: str, labels: Sequence[str] = LABEL_COLUMNS
) -> ColumnPlan:
    """Give each column its role.

    Args:
        available: the columns of the data set.
        columns: which to use, in which role; None uses all, in their order.
        name: what errors call the data set.
        labels: the first of these that is there is the label.

    Raises:
        InputError: a column that is asked for is not there, or nothing is left to read.
        InputTypeError: ``columns`` is neither a list nor a dictionary of names.
    """
    if columns is None:
        wanted = {each: each for each in available}
    elif isinstance(columns, Mapping):
        wanted = dict(columns)
    elif isinstance(columns, str) or not isinstance(columns, Sequence):
        raise InputTypeError(
            f"columns={columns!r} is {type(columns).__name__}; give a list or a dictionary of names"
        )
    else:
        wanted = {each: each for each in columns}
    for role, column in wanted.items():
        if not isinstance(role, str) or not isinstance(column, str):
            raise InputTypeError(f"columns: {role!r} -> {column!r}; roles and columns are texts")
        if column not in available:
            raise InputError(
                f"{name} has no column {column!r}"
                + (f", which columns= wants as {role!r}" if role != column else "")
                + f"; it has {', '.join(map(repr, available)) or 'none'}"
            )
    label = next((each for each in labels if each in wanted), None)
    texts = tuple((role, column) for role, column in wanted.items() if role != label)
    if not texts:
        raise InputError(
            f"{name} has no text column; it has {', '.join(map(repr, available)) or 'no columns'}"
        )
    return ColumnPlan(texts, None if label is None else wanted[label])


def plan_sources(
    sources: Sources,
    columns: Columns | Mapping[str, Columns] | None,
    argument: str,
    labels: Sequence[str] = LABEL_COLUMNS,
) -> dict[str | None, ColumnPlan]:
    """Give each column of each data set its role.

    Args:
        columns: as in :func:`plan_columns`, for all data sets or for each by name.
        argument: the name of ``sources`` in errors.
        labels: as in :func:`plan_columns`.

    Raises:
        InputError, InputTypeError: as in :func:`plan_columns`.

    Warns:
        UserWarning: no columns are chosen, and their names speak for another order.
    """
    each_its_own: Any = None
    if isinstance(columns, Mapping) and any(not isinstance(each, str) for each in columns.values()):
        each_its_own = columns
    plans = {}
    for name, dataset in sources.items():
        chosen: Any = columns if each_its_own is None else each_its_own.get(name)
        label = argument if name is None else f"{argument}[{name!r}]"
        known = dataset.column_names
        # A stream that was never looked into does not know, and set_transform makes columns of its own.
        if known is None or (not is_stream(dataset) and dataset.format["type"] == "custom"):
            known = list(next(iter(dataset), {}))
        plans[name] = plan_columns(known, chosen, label, labels)
        if chosen is None:
            warn_of_order([column for _, column in plans[name].texts], label)
    return plans


@dataclass
class Finding:
    """What the check saw of a data set.

    Attributes:
        lines: (column, role, type, example) of each column.
        error: the first thing that cannot work.
    """

    name: str
    rows: int | None
    loss: str
    lines: list[tuple[str, str, str, str]] = field(default_factory=list)
    error: VicinalError | None = None


def check_sources(
    sources: Sources, plans: Mapping[str | None, ColumnPlan], losses: Mapping[str | None, Any], argument: str
) -> list[Finding]:
    """Read all rows of all data sets (the first 1000 of a stream) and say what they hold."""
    return [
        _check(dataset, plans[name], losses[name], argument if name is None else f"{argument}[{name!r}]")
        for name, dataset in sources.items()
    ]


def _check(dataset: Any, plan: ColumnPlan, loss: Any, name: str) -> Finding:
    rows = None if is_stream(dataset) else len(dataset)
    # What a transform makes of the rows is not in the table below.
    if is_stream(dataset) or dataset.format["type"] == "custom":
        first = (
            dataset.take(_STREAM_ROWS)
            if is_stream(dataset)
            else (dataset[i] for i in range(min(rows or 0, 1000)))
        )
        dataset = datasets.Dataset.from_list(list(first))
    found = Finding(name, rows, getattr(loss, "name", type(loss).__name__))
    schema = dataset.data.schema
    examples = dataset.with_format(None)[0]
    for place, (role, column) in enumerate(plan.texts, 1):
        use = f"text {place}" if role == column else f"text {place}: {role}"
        found.lines.append((column, use, str(schema.field(column).type), _shown(examples[column])))
    try:
        _check_texts(dataset, plan, loss, name)
    except VicinalError as error:
        found.error = error
    try:
        meaning = _check_label(dataset, plan, loss, name)
    except VicinalError as error:
        meaning, found.error = "label", found.error or error
    if plan.label is not None:
        kind, spread = str(schema.field(plan.label).type), _spread(dataset, plan.label)
        found.lines.append((plan.label, meaning, f"{kind}{spread}", _shown(examples[plan.label])))
    return found


def _check_texts(dataset: Any, plan: ColumnPlan, loss: Any, name: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if hasattr(loss, "check_columns"):
        try:
            loss.check_columns(len(plan.texts))
        except InputError as error:
            columns = ", ".join(repr(column) for _, column in plan.texts)
            raise InputError(f"{error} ({name}: {columns}; columns= chooses)") from error
    # Where rows are each other's negatives, and nothing but texts says what is alike, an empty text is wrong.
    empty_hurts = getattr(loss, "labels", None) == "none"
    one_text = isinstance(loss, Loss) and not hasattr(loss, "check_lists")
    for role, column in plan.texts:
        kind = dataset.data.schema.field(column).type
        for first, values in _parts(dataset, column):
            if values.null_count:
                row = first + pc.index(pc.is_null(values), True).as_py()
                raise InputTypeError(
                    f"{name}[{row}][{column!r}] is None, not a text: drop the row, or write ''"
                )
            if pa.types.is_list(kind) or pa.types.is_large_list(kind):
                if one_text:
                    raise InputTypeError(
                        f"{name}[{first}][{column!r}] is a list, and {type(loss).__name__} takes one text a column: "
                        "give each its own column (mine_hard_negatives: output_format='n-tuple'), or train a "
                        "CrossEncoder, whose LambdaLoss takes lists"
                    )
                continue
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                remedy = (
                    ""
                    if column in LABEL_COLUMNS
                    else f" If it is the label, say columns={{..., 'label': {column!r}}}"
                )
                raise InputTypeError(
                    f"{name}[{first}][{column!r}] is {values[0].as_py()!r}, not a text, and the column is used as "
                    f"{role!r}.{remedy} or leave it out with remove_columns({column!r})"
                )
            if empty_hurts:
                row = pc.index(pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(values)), 0), True).as_py()
                if row >= 0:
                    raise InputError(
                        f"{name}[{first + row}][{column!r}] is an empty text, which {type(loss).__name__} would "
                        "push away from every other: drop the row"
                    )


def _check_label(dataset: Any, plan: ColumnPlan, loss: Any, name: str) -> str:
    kind = getattr(loss, "labels", "any")
    if plan.label is None:
        if kind != "none" and hasattr(loss, "check_labels"):
            try:
                loss.check_labels(None, len(plan.texts))
            except InputError as error:
                raise InputError(
                    f"{name}: {error}. A column named {', '.join(LABEL_COLUMNS)} is the label; columns= names another"
                ) from error
        return "label"
    for first, values in _parts(dataset, plan.label):
        if values.null_count:
            row = first + next(i for i, value in enumerate(values) if not value.is_valid)
            raise InputTypeError(f"{name}[{row}][{plan.label!r}] is None, not a label: drop the row")
        if hasattr(loss, "check_lists"):
            labels = values.to_pylist()
            loss.check_labels(labels, len(plan.texts), f"{name}[{plan.label!r}]", first)
            column = plan.texts[1][1]
            documents = dataset.with_format(None)[first : first + len(values)][column]
            loss.check_lists(documents, labels, f"{name}[{column!r}]", first)
        elif kind != "none" and hasattr(loss, "check_labels"):
            loss.check_labels(
                _array(values, f"{name}[{first}][{plan.label!r}]"),
                len(plan.texts),
                f"{name}[{plan.label!r}]",
                first,
            )
    if kind == "none" and isinstance(loss, Loss) and len(plan.texts) == 2:
        _warn_of_unread_zeros(dataset, plan.label, loss, name)
    return "label" if kind != "none" else "label (not used)"


def _warn_of_unread_zeros(dataset: Any, column: str, loss: Loss, name: str) -> None:
    """Warn of pairs labelled 1 and 0, of which a loss without labels would take all for positives."""
    found: set[Any] = set()
    for _, values in _parts(dataset, column):
        found.update(values.unique().to_pylist() if not hasattr(values.type, "value_type") else [None])
    if found == {0, 1}:
        warnings.warn(
            f"{name}[{column!r}] is 1 or 0, and {loss.name} reads no labels: pairs with label 0 are trained as those "
            "with label 1; filter them out, or remove the column if that is meant",
            UserWarning,
            stacklevel=caller_level(),
        )


def _parts(dataset: Any, column: str) -> Iterator[tuple[int, Any]]:
    """(first row, Arrow array) of the parts of a column."""
    first = 0
    for table in dataset.select_columns([column]).with_format("arrow").iter(_ROWS_AT_ONCE):
        values = table[column].combine_chunks()
        yield first, values
        first += len(values)


def _array(values: Any, name: str) -> Any:
    import pyarrow as pa

    kind = values.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return values.to_numpy(zero_copy_only=False)
    found = values.to_pylist()
    if not isinstance(found[0], (list, tuple)):
        raise InputTypeError(f"{name} is {found[0]!r}, which is {type(found[0]).__name__}, not a number")
    try:
        return np.array(found, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise InputTypeError(
            f"{name}: the lists of labels are not of one length, or hold no numbers"
        ) from error


def _spread(dataset: Any, column: str) -> str:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = dataset.data.schema.field(column).type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return ""
    limits = [pc.min_max(values).as_py() for _, values in _parts(dataset, column)]
    known = [each for each in limits if each["min"] is not None]
    if not known:
        return ""
    return f", {min(each['min'] for each in known):g} to {max(each['max'] for each in known):g}"


def _shown(value: Any) -> str:
    text = visible(" ".join(value.split())) if isinstance(value, str) else repr(value)
    return text if len(text) <= _EXAMPLE else text[: _EXAMPLE - 1] + "…"


def show(findings: Iterable[Finding]) -> None:
    """Print one table a data set to stderr: which column goes where, with the first row as the example."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(stderr=True)
    for found in findings:
        rows = "a stream" if found.rows is None else f"{found.rows:,} rows"
        title = Text(visible(f"{found.name}: {rows}, {found.loss}"))
        table = Table(title=title, title_justify="left", title_style="bold")
        for head in ("column", "used as", "type", "first row"):
            table.add_column(head, overflow="fold")
        for line in found.lines:
            table.add_row(*(Text(visible(cell)) for cell in line))
        console.print(table)
