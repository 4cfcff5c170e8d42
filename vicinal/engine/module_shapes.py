"""Whether the modules behind a model's first one fit each other and their weights, seen at loading."""

from __future__ import annotations

from collections.abc import Iterable

from vicinal.engine.weights import Weights
from vicinal.errors import ModelFormatError
from vicinal.folder.kinds import kind_of
from vicinal.folder.specs import DenseSpec, LayerNormSpec, ModuleSpec


def check_modules(modules: Iterable[ModuleSpec], width: int) -> None:
    """Compare the sizes that modules state with those of their weights, and with what the module before gives.

    Only the headers of the files are read.

    Args:
        modules: those behind the first one.
        width: length of the vectors that come to them.

    Raises:
        ModelFormatError: sizes that do not fit; the file, the key and its value are named.
    """
    for module in modules:
        if isinstance(module, DenseSpec):
            path = module.folder / "config.json"
            if module.in_features != width:
                raise ModelFormatError(
                    f"{path}: 'in_features' is {module.in_features}, but the vectors that come have {width} "
                    "dimensions; correct it, or download the model again"
                )
            _fits(module, "linear.weight", "out_features", (module.out_features, module.in_features))
            if module.bias:
                _fits(module, "linear.bias", "bias", (module.out_features,))
            elif not Weights.needs_torch(module.folder) and "linear.bias" in Weights.open(module.folder):
                raise ModelFormatError(
                    f"{path}: 'bias' is false, but the weights hold a tensor 'linear.bias'; correct it, or download "
                    "the model again"
                )
            if module.residual and module.out_features != width:
                raise ModelFormatError(
                    f"{path}: 'use_residual' needs as many 'out_features' ({module.out_features}) as the vectors that "
                    f"come have dimensions ({width}); correct it, or download the model again"
                )
        elif isinstance(module, LayerNormSpec):
            if module.dimension != width:
                raise ModelFormatError(
                    f"{module.folder / 'config.json'}: 'dimension' is {module.dimension}, but the vectors that come "
                    f"have {width} dimensions; correct it, or download the model again"
                )
            _fits(module, "norm.weight", "dimension", (width,))
            _fits(module, "norm.bias", "dimension", (width,))
        width = kind_of(module).width(module, width)


def _fits(module: DenseSpec | LayerNormSpec, tensor: str, key: str, shape: tuple[int, ...]) -> None:
    if Weights.needs_torch(module.folder):
        return  # compared when it is read
    found = Weights.open(module.folder).shape(tensor)
    if found != shape:
        raise ModelFormatError(
            f"{module.folder / 'config.json'}: {key!r} does not fit the weights: the tensor {tensor!r} has the shape "
            f"{found} instead of {shape}; correct it, or download the model again"
        )
