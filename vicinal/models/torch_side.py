"""The torch side of a model: its module, and what users of torch expect of a model, handed on to it.

Nothing here imports torch until the module is asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from vicinal.core.native_calls import native_call
from vicinal.errors import InputTypeError
from vicinal.models.device import Device, names_device, read_device
from vicinal.models.hints import Hints

if TYPE_CHECKING:
    from vicinal.core.torch import Tensor, nn
    from vicinal.folder.card_records import TrainingRecord

Self = TypeVar("Self", bound="TorchSide")


class TorchSide:
    """Base of the models. A subclass sets ``_device`` and builds its module in ``_build_module``."""

    #: how the model was trained, for its card
    training_record: TrainingRecord | None = None

    #: verbs of other kinds of model -> what to use instead, for the error
    _elsewhere: ClassVar[Mapping[str, str]] = {}
    _module: Any = None
    _device: Device
    _renewal: threading.RLock  # one of a model's threads changes it at a time

    if not TYPE_CHECKING:  # to a type checker, what is absent is absent

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):  # a property failed in itself: let it say so
                return object.__getattribute__(self, name)
            remedy = self._elsewhere.get(name)
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}"
                + (f": {remedy}" if remedy else "")
            )

    def _build_module(self) -> Any:
        raise NotImplementedError

    @property
    def module(self) -> nn.Sequential:
        """The model as a ``torch.nn.Sequential``, for training; made when it is first asked for.

        From then on its weights are the model's: what changes them changes the vectors.

        Raises:
            MissingExtraError: torch or transformers is not installed.
        """
        if self._module is None:
            with native_call(), self._renewal:
                if self._module is None:  # of several threads that ask for it, all get one
                    self._module = self._build_module().to(str(self._device))
        module: nn.Sequential = self._module
        return module

    @cached_property
    def hints(self) -> Hints:
        """What was already said about the model's use."""
        return Hints()

    @property
    def device(self) -> Device:
        """Where the model computes: ``"cpu"``, ``"cuda"``, ...; a text with ``.type`` and ``.index``."""
        return self._device

    @property
    def _target_device(self) -> Device:
        return self._device

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """Move the model to a device, or change its weights' type, as ``torch.nn.Module.to`` does."""
        device = kwargs.pop("device", None)
        rest = []
        for each in args:
            if names_device(each):
                device = each
            elif type(each).__name__ in ("dtype", "Tensor", "Parameter", "bool"):
                rest.append(each)
            else:
                read_device(each)  # says what is wrong with it
        if device is not None:
            target = read_device(device)
            if target != self._device or self._module is not None:
                if target != "cpu" or self._module is not None:
                    self.module.to(str(target))
                self._device = target
        if rest or kwargs:
            self.module.to(*rest, **kwargs)
        return self

    def cpu(self: Self) -> Self:
        """Move the model to the CPU."""
        return self.to("cpu")

    def cuda(self: Self, device: int | str | None = None) -> Self:
        """Move the model to an NVIDIA GPU."""
        return self.to("cuda" if device is None else device)

    def half(self: Self) -> Self:
        """Round the weights to float16."""
        self.module.half()
        return self

    def bfloat16(self: Self) -> Self:
        """Round the weights to bfloat16."""
        self.module.bfloat16()
        return self

    def float(self: Self) -> Self:
        """Make the weights float32, as they are unless somebody changed them."""
        if self._module is not None:
            self._module.float()
        return self

    def train(self: Self, mode: bool = True) -> Self:
        """Switch dropout on (or off) for calls of the model; ``encode`` and ``predict`` always run without."""
        if mode or self._module is not None:
            self.module.train(mode)
        return self

    def eval(self: Self) -> Self:
        """Switch dropout off."""
        return self.train(False)

    @property
    def training(self) -> bool:
        """Whether dropout is on for calls of the model."""
        return bool(self._module is not None and self._module.training)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Freeze or thaw all weights."""
        self.module.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        self.module.zero_grad(set_to_none)

    def apply(self: Self, fn: Any) -> Self:
        """Call ``fn`` with each torch module."""
        self.module.apply(fn)
        return self

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """The weights that are trained."""
        yield from self.module.parameters(recurse)

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """The weights that are trained, by name."""
        yield from self.module.named_parameters(prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """What is not trained."""
        yield from self.module.buffers(recurse)

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """What is not trained, by name."""
        yield from self.module.named_buffers(prefix, recurse)

    def modules(self) -> Iterator[nn.Module]:
        """All torch modules, the inner ones too."""
        yield from self.module.modules()

    def named_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """All torch modules by name."""
        yield from self.module.named_modules()

    def children(self) -> Iterator[nn.Module]:
        """The modules in order."""
        yield from self.module.children()

    def named_children(self) -> Iterator[tuple[str, nn.Module]]:
        """The modules in order, by name."""
        yield from self.module.named_children()

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """All weights by name."""
        state: dict[str, Any] = self.module.state_dict(*args, **kwargs)
        return state

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """Take over weights by name; the next encode uses them."""
        return self.module.load_state_dict(state_dict, strict=strict, assign=assign)

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Run the modules on features, with gradients; arrays become tensors on the model's device."""
        if not isinstance(features, dict):
            raise InputTypeError(
                f"features is {type(features).__name__}, not a dictionary; tokenize(texts) makes one, and "
                "encode(texts) takes texts"
            )
        from vicinal.core.torch import to_device

        for module in self:
            features = module(to_device(features, str(self._device)), **kwargs)
            kwargs = {}
        return features

    __call__ = forward

    def __getitem__(self, place: int) -> nn.Module:
        found: nn.Module = self.module[place]
        return found

    def __setitem__(self, place: int, module: nn.Module) -> None:
        self.module[place] = module

    def __len__(self) -> int:
        return len(self.module)

    def __iter__(self) -> Iterator[nn.Module]:
        return iter(self.module)

    def __bool__(self) -> bool:
        return True

    def _first_module(self) -> nn.Module:
        return self[0]

    def _last_module(self) -> nn.Module:
        return self[-1]
