"""What transformers' Trainer trains: the model and its losses as one module, and their checkpoints."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from vicinal.errors import InputError, InputTypeError, ModelFormatError, UnsupportedModelError
from vicinal.folder.paths import inside
from vicinal.folder.write import write_bytes
from vicinal.nn.modules.registry import open_like
from vicinal.nn.training.refused import refuse_constant

LOSSES_FILE = "losses.safetensors"

#: A loss, or what makes one of a model: a class, a function; or data set -> one of these.
LossLike: TypeAlias = nn.Module | Callable[[Any], nn.Module]

# What callbacks and scripts ask of ``trainer.model``; the model itself answers.
_HANDED_ON = (
    "device",
    "encode",
    "encode_document",
    "encode_query",
    "get_sentence_embedding_dimension",
    "max_seq_length",
    "model_card_data",
    "predict",
    "preprocess",
    "push_to_hub",
    "rank",
    "save",
    "save_pretrained",
    "similarity",
    "similarity_pairwise",
    "tokenize",
    "tokenizer",
)


class TrainedModel(nn.Module):
    """The modules of a model and the losses that train them; a call gives the loss of a batch.

    With features in place of columns a call is one of the model, and ``[0]`` is the model's first module: what a
    ``compute_loss`` of one's own does with its ``model``.

    The model itself is no module: it is :attr:`owner`, whose weights these are.

    Args:
        owner: the model.
        losses: data set -> its loss, or a single one under None.
    """

    # The loss is a mean over the batch, which the trainer divides among the steps that it accumulates.
    accepts_loss_kwargs = False

    def __init__(self, owner: Any, losses: Mapping[str | None, nn.Module]) -> None:
        super().__init__()
        object.__setattr__(self, "owner", owner)
        self.module = owner.module
        #: Of losses that give several: (training?, part) -> its values since the last entry of the log.
        self.parts: dict[tuple[bool, str], list[Tensor]] = {}
        distinct = list({id(loss): loss for loss in losses.values()}.values())
        # By number: names of data sets need not be names of attributes.
        self.losses = nn.ModuleList(distinct)
        self.places = {
            name: next(i for i, each in enumerate(distinct) if each is loss) for name, loss in losses.items()
        }

    def __getattr__(self, name: str) -> Any:
        if name in _HANDED_ON:
            return getattr(self.owner, name)
        return super().__getattr__(name)

    def __getitem__(self, place: int | slice) -> Any:
        return self.module[place]

    def own_state(self) -> dict[str, Tensor]:
        """The losses' own weights, without those of a model that is a submodule of its loss."""
        return self.without_model(self.losses.state_dict())

    def without_model(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What of the losses' state is not the model's."""
        models = tuple(
            f"{name}."
            for name, each in self.losses.named_modules(remove_duplicate=False)
            if each is self.owner or each is self.module
        )
        return {key: value for key, value in state.items() if not (models and key.startswith(models))}

    def loss_of(self, name: str | None) -> Any:
        """The loss of a data set.

        Raises:
            InputError: there is none for it.
        """
        place = self.places.get(name, self.places.get(None))
        if place is None:
            known = ", ".join(map(repr, self.places))
            raise InputError(f"there is no loss for the data set {name!r}; loss= has {known}")
        return self.losses[place]

    def forward(
        self,
        columns: list[Any] | Mapping[str, Any],
        labels: Tensor | None = None,
        dataset_name: str | None = None,
    ) -> Any:
        """The loss of a batch: features of each column, labels, and which data set it is of.

        Of the features of one column: what the model answers.
        """
        if isinstance(columns, Mapping):
            return self.owner(columns)
        found = self.loss_of(dataset_name)(columns, labels)
        if isinstance(found, Mapping):
            for name, part in found.items():
                self.parts.setdefault((self.training, name), []).append(part.detach())
            found = sum(found.values())
        loss: Tensor = found
        if self.training and torch.is_grad_enabled():
            refuse_constant(loss, self.name_of(dataset_name))
        return loss

    def name_of(self, name: str | None) -> str:
        """How errors call the loss of a data set."""
        return type(self.loss_of(name)).__name__

    def activation_checkpointing_enable(
        self, activation_checkpointing_kwargs: Any = None, **options: Any
    ) -> None:
        """Have the transformer compute activations again in the backward pass, instead of keeping them."""
        self._checkpointing("activation_checkpointing_kwargs", activation_checkpointing_kwargs, options)

    def gradient_checkpointing_enable(
        self, gradient_checkpointing_kwargs: Any = None, **options: Any
    ) -> None:
        """The older name of :meth:`activation_checkpointing_enable`."""
        self._checkpointing("gradient_checkpointing_kwargs", gradient_checkpointing_kwargs, options)

    def _checkpointing(self, argument: str, kwargs: Any, options: dict[str, Any]) -> None:
        method = argument.replace("_kwargs", "_enable")
        inner = [each for each in self.module.modules() if hasattr(each, method) and each is not self]
        if not inner:
            raise InputError(
                "gradient_checkpointing: no module of this model can compute its activations again"
            )
        # The outermost one switches its own layers.
        getattr(inner[0], method)(**{argument: kwargs}, **options)


def make_losses(
    given: Any,
    owner: Any,
    names: list[str | None],
    old: Any = None,
    prepare: Callable[[Any, Any], Any] | None = None,
) -> dict[str | None, nn.Module]:
    """data set -> loss, for a model.

    Args:
        given: a loss, a class or function that makes one of a model, or data set -> one of these.
        owner: the model.
        names: the data sets that need one.
        old: the model for which ready losses were made, if they are to be copied for ``owner``.
        prepare: called with a loss, or what makes one, and the model; gives the loss. Default :func:`ready_loss`.

    Raises:
        InputError: a data set has no loss, or a loss was made for another model.
        InputTypeError: something that is no loss.
    """
    if not isinstance(given, Mapping):
        return {None: _made(given, owner, "loss", old, prepare)}
    missing = [name for name in names if name not in given]
    if missing:
        raise InputError(
            f"loss has no entry for the data set {missing[0]!r}; it has {', '.join(map(repr, given))}. "
            "A dictionary of losses goes with a dictionary of data sets with the same names"
        )
    ready: dict[int, nn.Module] = {}
    for name, each in given.items():
        if id(each) not in ready or not isinstance(each, nn.Module):
            ready[id(each)] = _made(each, owner, f"loss[{name!r}]", old, prepare)
    return {name: ready[id(each)] for name, each in given.items()}


def ready_loss(given: Any, owner: Any) -> Any:
    """A loss for a model: the given one, or what the class or function makes."""
    if isinstance(given, type) or (callable(given) and not isinstance(given, nn.Module)):
        return given(owner)
    return given


def _made(
    given: Any, owner: Any, name: str, old: Any, prepare: Callable[[Any, Any], Any] | None
) -> nn.Module:
    if isinstance(given, nn.Module) and old is not None:
        # A copy with the same start, in which the new model stands wherever the old one stood.
        given = copy.deepcopy(given, {id(old): owner})
    given = (prepare or ready_loss)(given, owner)
    if not isinstance(given, nn.Module):
        raise InputTypeError(
            f"{name} is {type(given).__name__}; give a loss, e.g. losses.CoSENTLoss(model), or its class"
        )
    model = getattr(given, "model", owner)
    if model is not owner and model is not getattr(owner, "module", owner) and model is not owner.module:
        raise InputError(
            f"{name} was made for another model than the trainer's, which it would train in its place: "
            f"{type(given).__name__}(model, ...) with the same model"
        )
    return given


def write_losses(trained: TrainedModel, folder: Path, state: Mapping[str, Tensor] | None = None) -> None:
    """Write the losses' own parameters, where they have any."""
    if state is None:
        own = trained.own_state()
    else:
        gathered = {
            key.removeprefix("losses."): value for key, value in state.items() if key.startswith("losses.")
        }
        own = trained.without_model(gathered)
    if own:
        # A clone each: parameters that losses share would be refused.
        write_bytes(
            folder / LOSSES_FILE, save({key: value.detach().cpu().clone() for key, value in own.items()})
        )


def read_modules(module: nn.Sequential, folder: Path) -> None:
    """Take over the weights of a model folder, in place.

    Raises:
        ModelFormatError: the folder is of another model, or incomplete.
    """
    if not (folder / "modules.json").is_file():
        raise ModelFormatError(f"{folder} is no checkpoint of a training run: it has no modules.json")
    entries = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    if len(entries) != len(module):
        raise ModelFormatError(f"{folder} has {len(entries)} modules, the model has {len(module)}")
    for each, entry in zip(module, entries, strict=True):
        saved = open_like(each, inside(folder, entry["path"], "modules.json"))
        try:
            each.load_state_dict(saved.state_dict())
        except RuntimeError as error:
            raise ModelFormatError(
                f"{folder}: the module {each!r} is not that of the checkpoint: {error}"
            ) from error


def read_losses(trained: TrainedModel, folder: Path) -> None:
    """Take over the losses' own parameters, where they have any.

    Raises:
        ModelFormatError: they are missing, or those of other losses.
    """
    own = trained.own_state()
    if not own:
        return
    if not (folder / LOSSES_FILE).is_file():
        raise ModelFormatError(
            f"{folder}: {LOSSES_FILE} is missing, which holds the parameters of the losses"
        )
    try:
        found = load_file(folder / LOSSES_FILE)
        rest = {key: value for key, value in trained.losses.state_dict().items() if key not in own}
        trained.losses.load_state_dict({**rest, **found})
    except RuntimeError as error:
        raise ModelFormatError(
            f"{folder / LOSSES_FILE}: these are parameters of other losses: {error}"
        ) from error


def whole_model(owner: Any, state: Mapping[str, Tensor]) -> Any:
    """The model with weights that several processes hold in parts; the live one holds only a part."""
    if not owner.name_or_path:
        raise UnsupportedModelError(
            "a model made of modules= cannot be saved from sharded weights: save it once, and load that"
        )
    own = {"module_classes": owner._module_classes} if hasattr(owner, "_module_classes") else {}
    whole = type(owner)(owner.name_or_path, device="cpu", trust_remote_code=owner.trust_remote_code, **own)
    prefix = "module."
    weights = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    whole.module.load_state_dict(weights)
    return whole
