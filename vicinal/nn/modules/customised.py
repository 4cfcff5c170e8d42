"""Whether modules still compute what their classes say, so that a faster way may stand for them."""

from __future__ import annotations

from torch import nn
from torch.nn.modules import module as global_hooks

# Where a module may come from whose computation is known: its weights alone decide what it gives.
_KNOWN = ("torch.nn.modules.", "transformers.", "vicinal.", "peft.")
# Classes of these that were put in the place of another one, and compute differently.
_SUBSTITUTES = ("torch.nn.modules.lazy",)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


def is_customised(module: nn.Module) -> bool:
    """Whether the caller hooked, replaced or wrapped what a module or one inside it computes.

    That is: a forward hook (also a global one), a ``forward`` set on an object, a class of the caller's own, or one
    that stands for others, such as those of ``torch.compile`` and of dynamic quantisation.
    """
    if global_hooks._global_forward_hooks or global_hooks._global_forward_pre_hooks:
        return True
    return any(_is_changed(each) for each in module.modules())


def _is_changed(module: nn.Module) -> bool:
    facts = module.__dict__
    if "forward" in facts or any(facts.get(name) for name in _HOOKS):
        return True
    home = type(module).__module__
    return not home.startswith(_KNOWN) or home.startswith(_SUBSTITUTES)
