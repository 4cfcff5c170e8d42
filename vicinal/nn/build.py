"""A model folder becomes a ``torch.nn.Sequential``, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
) -> nn.Sequential:
    """The modules of a folder, in evaluation mode.

    Args:
        spec: the folder.
        trust_remote_code: whether classes may come from a file of the folder or from anywhere on the path.
        module_classes: classes of your own that the folder names.
        model_kwargs: for ``AutoModel.from_pretrained``.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        UnsupportedModelError: a class cannot be found, or may not be imported.
    """
    classes = tuple(module_classes)
    built: list[nn.Module] = []
    for module in spec.modules:
        if isinstance(module, TransformerSpec):
            options = dict(model_kwargs or {})
            built.append(Transformer.from_spec(module, trust_remote_code=trust_remote_code, **options))
        elif isinstance(module, CustomSpec):
            built.append(open_custom(module, classes, trust_remote_code))
        else:
            built.append(_built(module, spec))
    return nn.Sequential(*built).eval()


def _built(module: ModuleSpec, spec: ModelSpec) -> nn.Module:
    if isinstance(module, StaticEmbeddingSpec):
        return StaticEmbedding.from_spec(module)
    if isinstance(module, PoolingSpec):
        width = module.dimension or hidden_size(spec.transformer.config, spec.transformer.folder)
        return Pooling(width, module.modes, module.include_prompt)
    if isinstance(module, DenseSpec):
        dense = Dense(
            module.in_features,
            module.out_features,
            module.bias,
            activation_of(module.activation),
            module_input_name="token_embeddings" if module.on_tokens else "sentence_embedding",
            use_residual=module.residual,
        )
        read_state(dense, module.folder)
        return dense
    if isinstance(module, NormalizeSpec):
        return Normalize("token_embeddings" if module.on_tokens else "sentence_embedding")
    if isinstance(module, LayerNormSpec):
        norm = LayerNorm(module.dimension)
        read_state(norm, module.folder)
        return norm
    assert isinstance(module, DropoutSpec)
    return Dropout(module.rate)


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
    return nn.Sequential(*found)


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
