"""A ``nn.Sequential`` whose children are made when they are first touched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn


class Registered(nn.Sequential):  # type: ignore[misc, unused-ignore]
    """First base of the models that are torch modules; a model of ``vicinal.models`` comes second.

    That model holds its modules in ``_module`` (None until they are needed) and makes them in ``module``. Here they
    are the children of the model itself: ``_modules`` is the very dictionary of ``module``, or until then a
    dictionary that is filled as soon as anyone looks into it.
    """

    #: Not the property of the plain models: torch sets it. True until somebody says otherwise, as in torch.
    training = True

    def _register(self) -> None:
        """Become a module without children; called first in a constructor."""
        nn.Module.__init__(self)
        self.__dict__["_modules"] = Unbuilt(self)

    @property
    def _is_built(self) -> bool:
        return not isinstance(self.__dict__.get("_modules"), Unbuilt)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_module":  # held beside the children: it has the same ones
            self.__dict__["_module"] = value
            if value is not None:
                self.__dict__["_modules"] = value._modules
            return
        if isinstance(getattr(type(self), name, None), property):  # such as activation_fn, given as a module
            object.__setattr__(self, name, value)
            return
        super().__setattr__(name, value)
        if name == "_modules" and self.__dict__.get("_module") is not None:  # as `del model[-1]` does
            self.__dict__["_module"].__dict__["_modules"] = value

    def __getattr__(self, name: str) -> Any:
        if "_parameters" in self.__dict__:
            for kind in ("_parameters", "_buffers", "_modules"):
                held = self.__dict__[kind]
                if name in held:
                    return held[name]
        plain: Any = super(nn.Module, self)
        return plain.__getattr__(name)

    def train(self, mode: bool = True) -> Any:
        """Switch dropout on or off; modules that are not made yet have none on."""
        if self._is_built or mode:
            super().train(mode)
            self.module.training = mode
        self.training = mode
        return self

    def _replicate_for_data_parallel(self) -> Any:
        """A copy whose children another device gets; nn.Module's own would hang them into this model too."""
        inner = self.module._replicate_for_data_parallel()
        replica = self.__new__(type(self))
        replica.__dict__.update(self.__dict__, _parameters={}, _module=inner, _modules=inner._modules)
        replica.__dict__["_is_replica"] = True
        return replica

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        found = super()._apply(fn, recurse)
        self._moved()
        return found

    def _moved(self) -> None:
        """Called after parameters may have changed their device; a model notes where it is."""

    def __iter__(self) -> Iterator[nn.Module]:
        return iter(self._modules.values())


class Unbuilt(dict[str, Any]):
    """The children of a model whose modules nobody has needed yet."""

    def __init__(self, owner: Registered) -> None:
        super().__init__()
        self._owner = owner

    def _built(self) -> dict[str, Any]:
        owner = self._owner
        if owner.__dict__["_modules"] is self:
            _ = owner.module  # sets _modules
        children: dict[str, Any] = owner.__dict__["_modules"]
        return children

    def __contains__(self, name: object) -> bool:
        # torch asks for the name of every attribute that is set; children are called by their number.
        return isinstance(name, str) and name.isdigit() and name in self._built()

    def __getitem__(self, name: str) -> Any:
        return self._built()[name]

    def __setitem__(self, name: str, module: Any) -> None:
        self._built()[name] = module

    def __delitem__(self, name: str) -> None:
        del self._built()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._built())

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._built())

    def __len__(self) -> int:
        return len(self._built())

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return "{}  # not made yet"

    def keys(self) -> Any:
        return self._built().keys()

    def values(self) -> Any:
        return self._built().values()

    def items(self) -> Any:
        return self._built().items()

    def get(self, name: str, default: Any = None) -> Any:
        return self._built().get(name, default)

    def pop(self, *args: Any) -> Any:
        return self._built().pop(*args)

    def popitem(self) -> Any:
        return self._built().popitem()

    def copy(self) -> dict[str, Any]:
        return self._built().copy()

    def update(self, *args: Any, **more: Any) -> None:
        self._built().update(*args, **more)

    def setdefault(self, name: str, default: Any = None) -> Any:
        return self._built().setdefault(name, default)

    def clear(self) -> None:
        self._built().clear()
