"""Training data in every accepted form becomes data sets by name, and these one list of rows."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, TypeAlias

from torch.utils.data import Dataset as TorchDataset

from vicinal.errors import InputError, InputTypeError, missing_extra

try:
    import datasets as datasets
except ImportError as error:
    raise missing_extra("datasets", "a trainer", "train") from error

#: name -> data set; a single data set has the name None
Sources: TypeAlias = dict[str | None, Any]

_NAMES = ("dataset_name", "return_loss")


def read_sources(data: Any, argument: str) -> Sources:
    """Data sets by name.

    Args:
        data: a ``datasets.Dataset`` or ``IterableDataset``; a list of dictionaries or of InputExample; a
            ``DatasetDict`` or dictionary of such; or None.
        argument: its name in errors.

    Raises:
        InputTypeError: it is something else.
        InputError: it is empty.
    """
    if data is None:
        return {}
    if isinstance(data, Mapping):
        if not data:
            raise InputError(f"{argument} is an empty dictionary: give at least one data set")
        found: Sources = {}
        for name, each in data.items():
            if not isinstance(name, str):
                raise InputTypeError(
                    f"{argument}: the name {name!r} of a data set is {type(name).__name__}, not a text"
                )
            found[name] = _read_one(each, f"{argument}[{name!r}]")
        streams = [name for name, each in found.items() if is_stream(each)]
        if streams and len(found) > 1:
            raise InputError(
                f"{argument}[{streams[0]!r}] is an IterableDataset, whose length nobody knows; several data sets "
                "are mixed by their lengths: load it as a Dataset, or train on it alone"
            )
        return found
    return {None: _read_one(data, argument)}


def is_stream(dataset: Any) -> bool:
    """Whether it can only be read from its beginning."""
    return isinstance(dataset, datasets.IterableDataset)


def check_length(sources: Sources, max_steps: int) -> None:
    """Refuse a stream to train on where nothing says how long.

    Raises:
        InputError: ``max_steps`` is not set.
    """
    if max_steps <= 0 and any(map(is_stream, sources.values())):
        raise InputError(
            "train_dataset is an IterableDataset, whose length nobody knows, so that num_train_epochs says nothing: "
            "give max_steps= in the training arguments (one epoch is rows / per_device_train_batch_size)"
        )


def _read_one(data: Any, argument: str) -> Any:
    if isinstance(data, datasets.Dataset):
        found = data
    elif is_stream(data):
        return data
    elif isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        found = _from_rows(list(data), argument)
    else:
        raise InputTypeError(
            f"{argument} is {type(data).__name__}; give a datasets.Dataset, a list of dictionaries or of "
            "InputExample, or a dictionary of such"
        )
    if not len(found):
        raise InputError(f"{argument} has no rows")
    for name in _NAMES:
        if name in found.column_names:
            raise InputError(f"{argument} has a column {name!r}, a name that is taken; rename_column() it")
    return found


def _from_rows(rows: list[Any], argument: str) -> Any:
    """A data set of dictionaries, or of InputExample with the columns ``sentence_0``, ..., ``label``."""
    if not rows:
        raise InputError(f"{argument} is an empty list")
    dictionaries = [_row(row, f"{argument}[{place}]") for place, row in enumerate(rows)]
    names = list(dictionaries[0])
    for place, row in enumerate(dictionaries):
        if list(row) != names and set(row) != set(names):
            raise InputError(
                f"{argument}[{place}] has the columns {', '.join(row)}, but {argument}[0] has {', '.join(names)}; "
                "all rows need the same"
            )
    columns: dict[str, Any] = {name: [row[name] for row in dictionaries] for name in names}
    if names and columns.get("label") == [None] * len(rows):
        del columns["label"]
    for name, values in columns.items():
        texts = [isinstance(value, str) for value in values]
        if any(texts) and not all(texts):
            place = texts.index(False)
            raise InputTypeError(
                f"{argument}[{place}][{name!r}] is {values[place]!r}, but other rows have a text there: drop the row"
            )
    try:
        return datasets.Dataset.from_dict(columns)
    except (ValueError, TypeError) as error:  # pyarrow's errors are of these
        raise InputTypeError(f"{argument}: the values of a column are not of one type ({error})") from error


def _row(row: Any, name: str) -> dict[str, Any]:
    if isinstance(row, Mapping):
        return dict(row)
    texts = getattr(row, "texts", None)
    if texts is None:
        raise InputTypeError(f"{name} is {type(row).__name__}, not a dictionary or an InputExample")
    return {**{f"sentence_{i}": text for i, text in enumerate(texts)}, "label": getattr(row, "label", None)}


class Rows(TorchDataset):
    """Data sets one behind another; a row is a dictionary, with its data set's name under ``dataset_name``."""

    def __init__(self, sources: Sources) -> None:
        self.names = list(sources)
        self.datasets = list(sources.values())
        self.cumulative_sizes = list(accumulate(map(len, self.datasets)))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1] if self.cumulative_sizes else 0

    @property
    def column_names(self) -> Any:
        """The columns of the data set; of several, data set -> its columns."""
        if self.names == [None]:
            return self.datasets[0].column_names
        return {name: each.column_names for name, each in zip(self.names, self.datasets, strict=True)}

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return len(self)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return self.__getitems__([row])[0]

    def __getitems__(self, rows: Iterable[int]) -> list[dict[str, Any]]:
        """Some rows at once, which torch's loader asks for and the Arrow table gives in one piece."""
        wanted = list(rows)
        found: list[dict[str, Any]] = [{}] * len(wanted)
        places: dict[int, list[int]] = {}
        for place, row in enumerate(wanted):
            places.setdefault(bisect_right(self.cumulative_sizes, row), []).append(place)
        for number, mine in places.items():
            first = self.cumulative_sizes[number - 1] if number else 0
            columns = self.datasets[number][[wanted[place] - first for place in mine]]
            name = self.names[number]
            more = {} if name is None else {"dataset_name": name}
            for i, place in enumerate(mine):
                found[place] = {**{key: values[i] for key, values in columns.items()}, **more}
        return found
