"""What code around a trainer reaches for: its loss, the features of a batch, the model that callbacks get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers.trainer_callback import CallbackHandler

from vicinal.nn.training.finite import FiniteTrainer
from vicinal.nn.training.trained import LossLike


class OwnersCallbacks(CallbackHandler):
    """Gives callbacks the model that is trained, and not the module with its losses that Trainer knows."""

    model: Any

    def call_event(self, event: str, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """As transformers has it, with ``model=`` a SentenceTransformer or CrossEncoder."""
        held = self.model
        inner = held if hasattr(held, "owner") else getattr(held, "module", held)  # as DDP wraps it
        self.model = getattr(inner, "owner", held)
        try:
            return super().call_event(event, args, state, control, **kwargs)
        finally:
            self.model = held


class ReachedTrainer(FiniteTrainer):
    """Members that a ``ModelTrainer`` has for its callers and subclasses."""

    _given_loss: Any
    _ready: bool
    owner: Any
    trained: Any
    trained_model: Any
    read_batch: Any

    def _hand_out_owner(self) -> None:
        """From here on callbacks get the model itself; called once, when the trainer is made."""
        self.callback_handler.__class__ = OwnersCallbacks

    @property
    def loss(self) -> LossLike | Mapping[str, LossLike]:
        """The loss that is computed, or the losses by data set; another, or its class, may be assigned."""
        given = self._given_loss
        if not self._ready:
            ready: LossLike | Mapping[str, LossLike] = given
            return ready
        if isinstance(given, Mapping):
            return {name: self.trained.loss_of(name) for name in given}
        made: LossLike = self.trained.loss_of(None)
        return made

    @loss.setter
    def loss(self, given: LossLike | Mapping[str, LossLike]) -> None:
        self._given_loss = given
        self.model = self.model_wrapped = self.trained_model(self.owner)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, with the parts of a loss that gives several, each a mean since the last entry."""
        for training, prefix in ((True, ""), (False, "eval_")):
            mine = [key for key in self.trained.parts if key[0] == training]
            if f"{prefix}loss" in logs:
                for key in mine:
                    values = self.trained.parts.pop(key)
                    logs[f"{prefix}{key[1]}"] = float(sum(values) / len(values))
            elif not training and any(name.startswith("eval_") for name in logs):
                for key in mine:  # of data sets by name, whose parts are not told apart
                    del self.trained.parts[key]
        super().log(logs, start_time)

    def collect_features(self, inputs: Mapping[str, Any]) -> tuple[list[Any], Any]:
        """What the loss is called with, of a batch: the columns (features, or texts), and the labels or None."""
        columns, labels, _ = self.read_batch(inputs)
        return columns, labels
