"""Checkpoints of ``fit``: all that makes a resumed run the same as one that was never interrupted."""

from __future__ import annotations

import os
import random
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vicinal.errors import InputError, InputTypeError, ModelFormatError

_STATE_FILE = "training_state.pt"
_NO_BATCH = object()
_NAME = re.compile(r"checkpoint-(\d+)")


@dataclass
class Place:
    """Where a run is.

    Attributes:
        step: steps done, over all epochs.
        best: the best score yet.
        first_score: the score before training.
        saved: whether the output folder holds a model of this run.
    """

    step: int = 0
    best: float | None = None
    first_score: float | None = None
    saved: bool = False


class Batches:
    """A loader's batches without an end; it knows how to come back to where it was.

    Args:
        loader: what gives the batches.
        name: what errors call it.

    Raises:
        InputError: it has no batch.
        InputTypeError: it has no length, or cannot be gone through.
    """

    def __init__(self, loader: Any, name: str) -> None:
        if not hasattr(loader, "__iter__") or not hasattr(loader, "__len__"):
            raise InputTypeError(
                f"{name} holds {type(loader).__name__}: give a torch DataLoader, or a list of batches"
            )
        self.name = name
        self.length = len(loader)
        if not self.length:
            raise InputError(
                f"{name}: its loader has no batch: the data set is empty, or smaller than the batch with drop_last=True"
            )
        self.loader = loader
        self._iterator: Iterator[Any] | None = None
        self._start: dict[str, Any] = {}
        self._taken = 0

    def __len__(self) -> int:
        return self.length

    def next(self) -> Any:
        """The next batch; behind the last comes the first of a new round."""
        if self._iterator is None:
            self._begin()
        assert self._iterator is not None
        try:
            batch = next(self._iterator)
        except StopIteration:
            self._begin()
            batch = next(self._iterator, _NO_BATCH)
            if batch is _NO_BATCH:
                raise InputError(
                    f"{self.name}: its loader has a length of {self.length} and gave no batch when it was gone through "
                    "again: give a DataLoader, or a list of batches"
                ) from None
        self._taken += 1
        return batch

    def _begin(self) -> None:
        # A loader draws its order from the generators' state of this moment.
        self._start = _random_state(self._generators)
        self._iterator, self._taken = iter(self.loader), 0

    @property
    def _generators(self) -> list[torch.Generator]:
        holders = (self.loader, getattr(self.loader, "sampler", None))
        found = {
            id(each): each for each in (getattr(holder, "generator", None) for holder in holders) if each
        }
        return list(found.values())

    def state(self) -> dict[str, Any]:
        """What :meth:`restore` needs."""
        return {
            "start": self._start,
            "taken": self._taken,
            "generators": [g.get_state() for g in self._generators],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to where a loader over the same data was."""
        if not state["start"]:
            return
        _set_random_state(state["start"], self._generators)
        self._begin()
        assert self._iterator is not None
        for _ in range(state["taken"]):
            next(self._iterator)
        self._taken = state["taken"]
        for generator, known in zip(self._generators, state["generators"], strict=True):
            generator.set_state(known)


def write_checkpoint(
    folder: Path,
    limit: int,
    save: Callable[[str, str], None],
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    schedule: Any,
    batches: Sequence[Batches],
    place: Place,
) -> None:
    """Write ``folder/checkpoint-STEP``, a model folder that also holds the state of the run; whole or not at all.

    Args:
        save: writes the model to the folder that it is given, for the folder whose name it is given.
        limit: how many checkpoints to keep, the newest; 0 keeps all.
    """
    target, scratch = folder / f"checkpoint-{place.step}", folder / f".saving-{place.step}"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        save(str(scratch), target.name)
        state = {
            "modules": {name: module.state_dict() for name, module in modules.items()},
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "batches": [each.state() for each in batches],
            "place": asdict(place),
            "random": _random_state([]),
        }
        torch.save(state, scratch / _STATE_FILE)
        shutil.rmtree(target, ignore_errors=True)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if limit > 0:
        for _, old in sorted(_checkpoints(folder))[:-limit]:
            shutil.rmtree(old, ignore_errors=True)


def find_checkpoint(
    asked: bool | str | os.PathLike[str], folder: str | os.PathLike[str] | None
) -> Path | None:
    """The checkpoint to go on from: a named one; or, for True, the newest of ``folder``, None if it has none.

    Raises:
        InputError: the named folder is no checkpoint.
    """
    if asked is False or asked is None:
        return None
    if asked is True:
        assert folder is not None
        return max(_checkpoints(Path(folder)), default=(0, None))[1]
    if not (Path(asked) / _STATE_FILE).is_file():
        raise InputError(
            f"resume_from_checkpoint={os.fspath(asked)!r} holds no {_STATE_FILE}: give a folder checkpoint-STEP"
        )
    return Path(asked)


def read_checkpoint(
    folder: Path,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    schedule: Any,
    batches: Sequence[Batches],
) -> Place:
    """Bring everything to where it was when the checkpoint was written.

    Raises:
        ModelFormatError: the checkpoint is damaged, or of another model, loss or optimizer.
    """
    try:
        state = torch.load(folder / _STATE_FILE, map_location="cpu", weights_only=True)
        for name, module in modules.items():
            module.load_state_dict(state["modules"][name])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        for each, known in zip(batches, state["batches"], strict=True):
            each.restore(known)
        _set_random_state(state["random"], [])
        return Place(**state["place"])
    except Exception as error:  # a damaged file raises anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelFormatError(
            f"{folder}: cannot go on from this checkpoint with this model, losses, data and optimizer ({reason})"
        ) from error


def _checkpoints(folder: Path) -> list[tuple[int, Path]]:
    found = []
    for each in folder.glob("checkpoint-*"):
        name = _NAME.fullmatch(each.name)
        if name and (each / _STATE_FILE).is_file():
            found.append((int(name[1]), each))
    return found


def _random_state(generators: Sequence[torch.Generator]) -> dict[str, Any]:
    """The state of Python's, numpy's and torch's generators, in types that torch.load trusts."""
    state: dict[str, Any] = {
        "python": random.getstate(),
        "torch": torch.get_rng_state(),
        "own": [each.get_state() for each in generators],
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        kind, keys, *rest = numpy.get_state()
        state["numpy"] = [kind, torch.from_numpy(keys.astype("int64")), *rest]
    return state


def _set_random_state(state: Mapping[str, Any], generators: Sequence[torch.Generator]) -> None:
    random.setstate(state["python"])
    torch.set_rng_state(state["torch"])
    for generator, known in zip(generators, state["own"], strict=True):
        generator.set_state(known)
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    if "numpy" in state:
        import numpy

        kind, keys, *rest = state["numpy"]
        # The legacy generator is the one that loaders and old code draw from.
        numpy.random.set_state((kind, keys.numpy().astype("uint32"), *rest))  # noqa: NPY002
