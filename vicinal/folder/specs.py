"""What a model folder says, as frozen dataclasses: everything but this package sees these and no file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from vicinal.errors import ModelFormatError
from vicinal.folder.config_values import completed
from vicinal.folder.graph_files import graph_files
from vicinal.folder.source_files import SourceFiles

#: ``max_seq_length`` of a model that has no limit.
UNLIMITED = 10_000_000

# The legacy flag of each mode, in the order in which flagged modes lie in a concatenated vector.
POOLING_FLAGS: dict[str, str] = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}

ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "Sigmoid", "SiLU", "Softmax")


@dataclass(frozen=True)
class TransformerSpec:
    """A transformer in ``folder``: its ``config.json`` and how texts are prepared for it.

    Attributes:
        files: those of the folder, as they were when it was read; None where nobody looked. So for other modules.
    """

    folder: Path
    config: Mapping[str, Any] = field(repr=False)
    max_seq_length: int | None = None
    do_lower_case: bool = False
    files: SourceFiles | None = field(default=None, repr=False, compare=False, kw_only=True)

    @property
    def has_only_graphs(self) -> bool:
        """Whether nothing but ready graphs says what the transformer is: the folder has no ``config.json``."""
        return has_only_graphs(self.folder)

    @property
    def model_type(self) -> str:
        """Name of the architecture family, as transformers spells it (``"bert"``, ``"qwen3"``, ...)."""
        return str(self.config.get("model_type", "")).lower()


@dataclass(frozen=True)
class StaticEmbeddingSpec:
    """One vector per token, averaged; ``tokenizer.json`` and ``model.safetensors`` lie in ``folder``.

    Attributes:
        drop_unknown: leave unknown tokens out of the average, as model2vec does and sentence-transformers
            does not.
        max_seq_length: tokens that count, None for the limit that ``tokenizer.json`` states, if any.
    """

    folder: Path
    drop_unknown: bool = False
    max_seq_length: int | None = None
    files: SourceFiles | None = field(default=None, repr=False, compare=False, kw_only=True)


@dataclass(frozen=True)
class PoolingSpec:
    """Token vectors become one vector; the vectors of several modes are concatenated in their order."""

    modes: tuple[str, ...]
    dimension: int | None = None
    include_prompt: bool = True


@dataclass(frozen=True)
class DenseSpec:
    """``activation(x W^T + b)``, plus ``x`` itself where ``residual``; weights lie in ``folder``."""

    folder: Path
    in_features: int
    out_features: int
    bias: bool = True
    activation: str = "Tanh"
    residual: bool = False
    on_tokens: bool = False
    files: SourceFiles | None = field(default=None, repr=False, compare=False, kw_only=True)


@dataclass(frozen=True)
class NormalizeSpec:
    """Scale to length 1 (Euclidean)."""

    on_tokens: bool = False


@dataclass(frozen=True)
class LayerNormSpec:
    """Layer normalisation of the sentence vector; weights lie in ``folder``."""

    folder: Path
    dimension: int
    files: SourceFiles | None = field(default=None, repr=False, compare=False, kw_only=True)


@dataclass(frozen=True)
class DropoutSpec:
    """Does nothing outside training; kept so that saving gives back what was loaded."""

    rate: float = 0.2


@dataclass(frozen=True)
class CustomSpec:
    """A module that only PyTorch runs: a rarer one of this field, or a custom one.

    Attributes:
        folder: where its configuration and weights lie.
        type_name: its class, as ``modules.json`` names it.
    """

    folder: Path
    type_name: str


ModuleSpec: TypeAlias = (
    TransformerSpec
    | CustomSpec
    | StaticEmbeddingSpec
    | PoolingSpec
    | DenseSpec
    | NormalizeSpec
    | LayerNormSpec
    | DropoutSpec
)


@dataclass(frozen=True)
class ModelSpec:
    """A whole model folder.

    Attributes:
        pooling_assumed: whether the folder does not say how token vectors become one, so that their mean is taken.
    """

    folder: Path
    modules: tuple[ModuleSpec, ...]
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    similarity_fn_name: str | None = None
    truncate_dim: int | None = None
    model_type: str | None = None
    activation_fn: str | None = None
    pooling_assumed: bool = False

    def check_files(self, graph: Path | None = None, *, whole: bool = False) -> None:
        """Refuse to go on with files that are not those the model was loaded from; see :class:`SourceFiles`.

        Raises:
            ModelFormatError: one was replaced, changed or removed.
        """
        for module in self.modules:
            files: SourceFiles | None = getattr(module, "files", None)
            if files is not None:
                files.check(graph if module is self.modules[0] else None, whole=whole)

    def renew_files(self, folder: Path) -> None:
        """Take the files as they are now, if the model itself wrote them to the ``folder`` that it came from."""
        for module in self.modules:
            files: SourceFiles | None = getattr(module, "files", None)
            if files is not None and files.folder.resolve().is_relative_to(folder.resolve()):
                files.renew()

    @property
    def source(self) -> TransformerSpec | StaticEmbeddingSpec | CustomSpec:
        """The first module, which reads the text."""
        first = self.modules[0]
        return first if isinstance(first, (StaticEmbeddingSpec, CustomSpec)) else self.transformer

    @property
    def needs_torch(self) -> bool:
        """Whether a module is one that only PyTorch runs."""
        return any(isinstance(module, CustomSpec) for module in self.modules)

    @property
    def has_adapter(self) -> bool:
        """Whether the folder holds an adapter for another model's weights, and none of its own."""
        return is_adapter(self.source.folder)

    @property
    def transformer(self) -> TransformerSpec:
        """The first module, where it must be a transformer."""
        first = self.modules[0]
        if not isinstance(first, TransformerSpec):
            raise ModelFormatError(
                f"{self.folder}: the first module is {type(first).__name__}, not a Transformer"
            )
        return first


def has_only_graphs(folder: Path) -> bool:
    """Whether a folder has ready graphs and no ``config.json``."""
    return not (folder / "config.json").is_file() and bool(graph_files(folder))


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter of peft in the place of weights."""
    return (folder / "adapter_config.json").is_file() and not any(
        (folder / name).is_file()
        for name in (
            "model.safetensors",
            "model.safetensors.index.json",
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
        )
    )


def with_pooling_prompt(spec: ModelSpec, include_prompt: bool) -> ModelSpec:
    """The same model, with prompts pooled or left out."""
    modules = tuple(
        replace(module, include_prompt=include_prompt) if isinstance(module, PoolingSpec) else module
        for module in spec.modules
    )
    return replace(spec, modules=modules)


def hidden_size(config: Mapping[str, Any], folder: Path) -> int:
    """Width of the token vectors, under the name that the architecture gives it.

    Raises:
        ModelFormatError: config.json does not say.
    """
    known = completed(config)
    for key in ("hidden_size", "dim", "n_embd", "d_model"):
        if isinstance(known.get(key), (int, float)):
            return int(known[key])
    raise ModelFormatError(f"{folder}/config.json: the key 'hidden_size' is missing")
