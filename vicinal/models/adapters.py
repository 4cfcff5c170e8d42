"""Adapters (LoRA and others, of the peft library) on a model's transformer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from vicinal.errors import InputError


class Adapters:
    """Base of the models: ``encode`` and ``predict`` compute with the active adapters, on the CPU too.

    Every method needs peft (the extra ``peft``) and raises MissingExtraError without it, and InputError where
    the model's first module is no transformer.
    """

    module: Any
    name_or_path: str

    def add_adapter(self, adapter_config: Any, adapter_name: str | None = None) -> None:
        """Add a new adapter, activate it and freeze all other weights.

        Args:
            adapter_config: of peft, such as ``LoraConfig(r=16, target_modules=["query", "value"])``.
            adapter_name: default ``"default"``.
        """
        network = self._network("add_adapter()")
        from vicinal.nn.modules.adapters import add_adapter

        add_adapter(network, adapter_config, adapter_name)
        if self.name_or_path and not os.path.isdir(self.name_or_path):
            # Else the folder of the hub's cache would be named as the base, which is nowhere else.
            bare = "/" not in self.name_or_path
            name = f"sentence-transformers/{self.name_or_path}" if bare else self.name_or_path
            network.peft_config[adapter_name or "default"].base_model_name_or_path = name

    def load_adapter(
        self,
        peft_model_id: str | os.PathLike[str] | None = None,
        adapter_name: str | None = None,
        *,
        peft_config: Mapping[str, Any] | None = None,
        adapter_state_dict: Mapping[str, Any] | None = None,
        is_trainable: bool = False,
        token: str | bool | None = None,
        revision: str | None = None,
    ) -> None:
        """Add an adapter that was trained before, and activate it.

        Args:
            peft_model_id: its folder or hub name.
            adapter_name: default ``"default"``.
            peft_config, adapter_state_dict: configuration and weights, instead of a folder.
            is_trainable: whether it is to be trained further.
            token: for a private one.
            revision: branch, tag or commit on the hub.
        """
        from vicinal.nn.modules.adapters import load_adapter

        load_adapter(
            self._network("load_adapter()"),
            None if peft_model_id is None else str(peft_model_id),
            adapter_name,
            {
                "peft_config": peft_config,
                "adapter_state_dict": adapter_state_dict,
                "is_trainable": is_trainable,
                "adapter_kwargs": {"revision": revision, "token": token} if revision or token else None,
            },
        )

    def set_adapter(self, adapter_name: str | list[str]) -> None:
        """Activate this adapter, or these, and no other."""
        self._network("set_adapter()").set_adapter(adapter_name)

    def enable_adapters(self) -> None:
        """Switch the active adapters on again."""
        self._network("enable_adapters()").enable_adapters()

    def disable_adapters(self) -> None:
        """Switch all adapters off: the results are those of the base model."""
        self._network("disable_adapters()").disable_adapters()

    def active_adapters(self) -> list[str]:
        """Names of the active adapters."""
        names: list[str] = self._network("active_adapters()").active_adapters()
        return names

    def delete_adapter(self, adapter_names: str | list[str]) -> None:
        """Take these adapters away."""
        self._network("delete_adapter()").delete_adapter(adapter_names)

    def get_adapter_state_dict(
        self, adapter_name: str | None = None, state_dict: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Weights of an adapter by name; None takes the active one."""
        state: dict[str, Any] = self._network("get_adapter_state_dict()").get_adapter_state_dict(
            adapter_name, state_dict
        )
        return state

    def gradient_checkpointing_enable(
        self, gradient_checkpointing_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        """Train with less memory: activations are computed again on the way back (Chen et al. 2016)."""
        kwargs = None if gradient_checkpointing_kwargs is None else dict(gradient_checkpointing_kwargs)
        network = self._transformer("gradient_checkpointing_enable()")
        # transformers renamed it in version 5.
        enable = getattr(network, "activation_checkpointing_enable", network.gradient_checkpointing_enable)
        enable(kwargs)

    def gradient_checkpointing_disable(self) -> None:
        """Keep activations again."""
        network = self._transformer("gradient_checkpointing_disable()")
        getattr(network, "activation_checkpointing_disable", network.gradient_checkpointing_disable)()

    def _network(self, purpose: str) -> Any:
        from vicinal.core.torch import require_torch

        require_torch(purpose)
        from vicinal.nn.modules.pretrained import require_peft

        require_peft(purpose)
        return self._transformer(purpose)

    def _transformer(self, purpose: str) -> Any:
        first = self.module[0]
        if not hasattr(first, "auto_model"):
            raise InputError(f"{purpose} is for transformers; this model begins with {type(first).__name__}")
        return first.auto_model
