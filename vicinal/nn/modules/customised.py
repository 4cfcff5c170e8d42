"""Whether modules still compute what their classes say, so that a faster way may stand for them."""

from __future__ import annotations

import sys
from typing import Any

from torch import nn
from torch.nn.modules import module as global_hooks

from vicinal.nn.modules.layout import keeps_buffers

# Where a module may come from whose computation is known: its weights alone decide what it gives.
_KNOWN = ("torch.nn.modules.", "transformers.", "vicinal.", "peft.")
# Classes of these that were put in the place of another one, and compute differently.
_SUBSTITUTES = ("torch.nn.modules.lazy",)
# Where the ``forward`` of such a class may come from; decorators leave others than the class's own.
_HOMES = ("torch.", "transformers.", "vicinal.", "peft.")
# The modules that engines compute without making them.
_OURS = tuple(f"vicinal.nn.modules.{name}" for name in ("pooling", "dense", "heads", "transformer"))
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


def is_customised(module: nn.Module) -> bool:
    """Whether the caller hooked, replaced or wrapped what a module or one inside it computes.

    That is: a forward hook (also a global one), a ``forward`` set on an object or a class, a class of the caller's own,
    or one that stands for others, such as those of ``torch.compile`` and of dynamic quantisation; and the buffers of
    a network that say where its tokens stand.
    """
    return has_global_hooks() or any(_is_changed(each) for each in module.modules())


def has_global_hooks() -> bool:
    """Whether hooks of all modules are registered."""
    return bool(global_hooks._global_forward_hooks or global_hooks._global_forward_pre_hooks)


def has_patched_classes(architecture: str | None) -> bool:
    """Whether the caller replaced the ``forward`` of a class that modules not made yet would be of.

    Args:
        architecture: the transformer's, as ``config.json`` names it; None for a model without one.
    """
    homes = list(_OURS)
    if architecture is not None:
        name = architecture.replace("-", "_")
        homes.append(f"transformers.models.{name}.modeling_{name}")
    loaded = [sys.modules[home] for home in homes if home in sys.modules]
    return any(_is_patched(each) for module in loaded for each in vars(module).values())


def _is_patched(value: Any) -> bool:
    if not isinstance(value, type) or not issubclass(value, nn.Module):
        return False
    home: Any = getattr(vars(value).get("forward"), "__module__", None)
    return isinstance(home, str) and value.__module__.startswith(_KNOWN) and not home.startswith(_HOMES)


def _is_changed(module: nn.Module) -> bool:
    facts = module.__dict__
    if "forward" in facts or any(facts.get(name) for name in _HOOKS):
        return True
    if not keeps_buffers(module) or _is_patched(type(module)):
        return True
    home = type(module).__module__
    return not home.startswith(_KNOWN) or home.startswith(_SUBSTITUTES)
