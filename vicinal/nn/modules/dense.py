"""Dense: a linear layer with an activation on sentence or token vectors."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vicinal.core.inputs import check_positive
from vicinal.errors import InputError
from vicinal.folder.specs import ACTIVATIONS
from vicinal.nn.modules.base import Features, Module, read_feature, read_state


class Dense(Module):
    """``activation(x W^T + b)``, plus ``x`` itself where ``use_residual``.

    Args:
        in_features: length of the vectors that come.
        out_features: length of those that leave.
        bias: whether there is a ``b``.
        activation_function: a torch module without arguments, default ``Tanh()``; None for none.
        init_weight: ``(out_features, in_features)``, instead of random numbers.
        init_bias: ``(out_features,)``, likewise.
        module_input_name: the key that is read, default ``"sentence_embedding"``.
        module_output_name: the key that is written, default the same.
        use_residual: add the input to the output; their lengths must agree.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        activation_function: Callable[[Tensor], Tensor] | None = nn.Tanh(),  # noqa: B008 - it has no state
        init_weight: Tensor | None = None,
        init_bias: Tensor | None = None,
        module_input_name: str = "sentence_embedding",
        module_output_name: str | None = None,
        use_residual: bool = False,
    ) -> None:
        super().__init__()
        check_positive(in_features, "in_features")
        check_positive(out_features, "out_features")
        if use_residual and in_features != out_features:
            raise InputError(
                f"use_residual=True adds input and output, so in_features={in_features} and "
                f"out_features={out_features} must agree"
            )
        self.in_features, self.out_features, self.bias = in_features, out_features, bias
        self.use_residual = use_residual
        self.module_input_name = module_input_name
        self.module_output_name = module_output_name or module_input_name
        self.activation_function = activation_function or nn.Identity()
        self.linear = nn.Linear(in_features, out_features, bias=bias)
        with torch.no_grad():
            if init_weight is not None:
                self.linear.weight.copy_(init_weight)
            if init_bias is not None:
                self.linear.bias.copy_(init_bias)

    def get_embedding_dimension(self) -> int:
        """Length of the vectors that leave."""
        return self.out_features

    get_sentence_embedding_dimension = get_embedding_dimension

    def forward(self, features: Features) -> Features:
        """Replace the vectors."""
        vectors = read_feature(features, self.module_input_name, self)
        result = self.activation_function(self.linear(vectors))
        features[self.module_output_name] = vectors + result if self.use_residual else result
        return features

    def get_config_dict(self) -> dict[str, Any]:
        """Keys that older readers do not know are left out where they say nothing new."""
        kind = type(self.activation_function)
        settings: dict[str, Any] = {
            "in_features": self.in_features,
            "out_features": self.out_features,
            "bias": self.bias,
            "activation_function": f"{kind.__module__}.{kind.__qualname__}",
        }
        if self.use_residual:
            settings["use_residual"] = True
        if (self.module_input_name, self.module_output_name) != ("sentence_embedding",) * 2:
            settings["module_input_name"] = self.module_input_name
            settings["module_output_name"] = self.module_output_name
        return settings

    @classmethod
    def load(cls, folder: str, **kwargs: Any) -> Dense:
        """Read a module back from its folder."""
        settings = cls.load_config(folder)
        known = inspect.signature(cls).parameters
        if not any(each.kind is each.VAR_KEYWORD for each in known.values()):
            # Newer versions may say more; what this one does not know changes nothing that it computes.
            settings = {key: value for key, value in settings.items() if key in known}
        # Without the key, the layer's own default; null has always meant none.
        named = settings.pop("activation_function", "Tanh")
        module = cls(**settings, activation_function=activation_of(named or "Identity"))
        read_state(module, Path(folder))
        return module


def activation_of(name: str) -> nn.Module:
    """The activation that a ``config.json`` names, by its last part.

    Raises:
        InputError: an unknown one.
    """
    package, _, short = str(name).rpartition(".")
    if short not in ACTIVATIONS or package.split(".")[0] not in ("", "torch"):
        raise InputError(f"activation_function={name!r}: known are {', '.join(ACTIVATIONS)}")
    made: nn.Module = nn.Softmax(dim=-1) if short == "Softmax" else getattr(nn, short)()
    return made
