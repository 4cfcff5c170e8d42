"""A model folder becomes a ``torch.nn.Sequential``, and back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from vicinal.errors import InputTypeError
from vicinal.folder.specs import (
    CustomSpec,
    DenseSpec,
    DropoutSpec,
    LayerNormSpec,
    ModelSpec,
    ModuleSpec,
    NormalizeSpec,
    PoolingSpec,
    StaticEmbeddingSpec,
    TransformerSpec,
    hidden_size,
)
from vicinal.folder.write import write_json
from vicinal.nn.modules.base import read_state, save_any
from vicinal.nn.modules.dense import Dense, activation_of
from vicinal.nn.modules.heads import Dropout, LayerNorm, Normalize
from vicinal.nn.modules.pooling import Pooling
from vicinal.nn.modules.registry import open_custom, type_name
from vicinal.nn.modules.static_embedding import StaticEmbedding
from vicinal.nn.modules.transformer import Transformer


def build_module(
    spec: ModelSpec,
    *,
    trust_remote_code: bool = False,
    module_classes: Iterable[type[nn.Module]] = (),
    model_kwargs: Mapping[str, Any] | None = None,
    processor_kwargs: Mapping[str, Any] | None = None,
) -> nn.Sequential:
    """The modules of a folder, in evaluation mode.

    Args:
        spec: the folder.
        trust_remote_code: whether classes may come from a file of the folder or from anywhere on the path.
        module_classes: custom classes that the folder names.
        model_kwargs: for ``AutoModel.from_pretrained``.
        processor_kwargs: for ``AutoTokenizer.from_pretrained``.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        UnsupportedModelError: a class cannot be found, or may not be imported.
        ModelFormatError: the files of the folder are no longer those that ``spec`` was read from.
    """
    spec.check_files(whole=True)
    options = _Options(
        spec, trust_remote_code, tuple(module_classes), dict(model_kwargs or {}), dict(processor_kwargs or {})
    )
    return nn.Sequential(*[BUILDERS[type(module)](module, options) for module in spec.modules]).eval()


@dataclass(frozen=True)
class _Options:
    """What building a module may depend on besides its spec; see :func:`build_module`."""

    model: ModelSpec
    trust_remote_code: bool
    module_classes: tuple[type[nn.Module], ...]
    model_kwargs: Mapping[str, Any]
    processor_kwargs: Mapping[str, Any]


def _transformer(spec: TransformerSpec, options: _Options) -> nn.Module:
    return Transformer.from_spec(
        spec,
        trust_remote_code=options.trust_remote_code,
        processor_kwargs=options.processor_kwargs,
        **options.model_kwargs,
    )


def _custom(spec: CustomSpec, options: _Options) -> nn.Module:
    return open_custom(spec, options.module_classes, options.trust_remote_code)


def _static(spec: StaticEmbeddingSpec, options: _Options) -> nn.Module:
    length = options.processor_kwargs.get("model_max_length")
    return StaticEmbedding.from_spec(spec if length is None else replace(spec, max_seq_length=int(length)))


def _pooling(spec: PoolingSpec, options: _Options) -> nn.Module:
    width = spec.dimension
    if width is None:
        first = options.model.transformer
        width = hidden_size(first.config, first.folder)
    return Pooling(width, spec.modes, spec.include_prompt)


def _dense(spec: DenseSpec, options: _Options) -> nn.Module:
    dense = Dense(
        spec.in_features,
        spec.out_features,
        spec.bias,
        activation_of(spec.activation),
        module_input_name=_vectors(spec.on_tokens),
        use_residual=spec.residual,
    )
    read_state(dense, spec.folder)
    return dense


def _normalize(spec: NormalizeSpec, options: _Options) -> nn.Module:
    return Normalize(_vectors(spec.on_tokens))


def _layer_norm(spec: LayerNormSpec, options: _Options) -> nn.Module:
    norm = LayerNorm(spec.dimension)
    read_state(norm, spec.folder)
    return norm


def _dropout(spec: DropoutSpec, options: _Options) -> nn.Module:
    return Dropout(spec.rate)


def _vectors(on_tokens: bool) -> str:
    return "token_embeddings" if on_tokens else "sentence_embedding"


#: How torch runs each kind of module: (spec, options) -> the module.
BUILDERS: dict[type[Any], Callable[[Any, _Options], nn.Module]] = {
    CustomSpec: _custom,
    DenseSpec: _dense,
    DropoutSpec: _dropout,
    LayerNormSpec: _layer_norm,
    NormalizeSpec: _normalize,
    PoolingSpec: _pooling,
    StaticEmbeddingSpec: _static,
    TransformerSpec: _transformer,
}

# What a model has to know of a module that no folder holds, by its class: the way back from module to spec.
_SPECS: dict[type[nn.Module], Callable[[Any], ModuleSpec]] = {
    Pooling: lambda module: PoolingSpec(module.modes, module.embedding_dimension, module.include_prompt),
}


def spec_of(module: nn.Module, folder: Path) -> ModuleSpec:
    """The spec of a module that no folder holds; a custom one in ``folder`` where nothing more must be known."""
    for cls, describe in _SPECS.items():
        if isinstance(module, cls):
            return describe(module)
    return CustomSpec(folder, type_name(module))


def sequence_of(modules: Sequence[Any]) -> nn.Sequential:
    """Modules that a user put together, as one; each is checked.

    Raises:
        InputTypeError: nothing, or something that is not an ``nn.Module``.
    """
    found = list(modules.values()) if isinstance(modules, Mapping) else list(modules)
    if not found:
        raise InputTypeError("modules is empty: give at least a module that reads texts and one that pools")
    for place, module in enumerate(found):
        if not isinstance(module, nn.Module):
            raise InputTypeError(f"modules[{place}] is {type(module).__name__}, not a torch.nn.Module")
    return nn.Sequential(OrderedDict(modules)) if isinstance(modules, Mapping) else nn.Sequential(*found)


def write_modules(module: nn.Sequential, folder: Path, *, transformer_weights: bool = True) -> None:
    """Write every module to a folder of its own, and ``modules.json``.

    Args:
        module: what to write.
        folder: where to.
        transformer_weights: whether the largest file is wanted too.
    """
    entries = []
    folder.mkdir(parents=True, exist_ok=True)
    for place, each in enumerate(module):
        name = type(each).__name__
        in_root = place == 0 and bool(getattr(each, "save_in_root", False))
        path = "" if in_root else f"{place}_{name}"
        if isinstance(each, Transformer) and not transformer_weights:
            (folder / path).mkdir(exist_ok=True)
            each.save_settings(str(folder / path))
        else:
            save_any(each, folder / path)
        entries.append({"idx": place, "name": str(place), "path": path, "type": type_name(each)})
    write_json(folder / "modules.json", entries)


def dimension_of(module: nn.Sequential) -> int:
    """Length of the sentence vectors, by the last module that says so, else by a try."""
    for each in reversed(list(module)):
        for name in ("get_embedding_dimension", "get_sentence_embedding_dimension"):
            found = getattr(each, name)() if callable(getattr(each, name, None)) else None
            if found is not None:
                return int(found)
    import torch

    first: Any = module[0]
    with torch.no_grad():
        features = module(first.tokenize(["dimension"]))
    return int(features["sentence_embedding"].shape[-1])
