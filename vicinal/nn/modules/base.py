"""What every module has: a configuration that its file holds, weights, and a way from and to a folder."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from vicinal.errors import ModelFormatError, UnsupportedModelError
from vicinal.folder.write import write_bytes, write_json
from vicinal.nn.modules.files import ModuleFiles
from vicinal.nn.modules.memory import check_finite

# input_ids, attention_mask, token_embeddings, sentence_embedding, prompt_length, ...
Features: TypeAlias = dict[str, Any]

WEIGHTS_FILE = "model.safetensors"
_OLD_WEIGHTS_FILE = "pytorch_model.bin"


class Module(nn.Module, ModuleFiles, ABC):  # type: ignore[misc, unused-ignore]
    """Base of the modules; your own may derive from it, or from ``torch.nn.Module`` alone.

    A subclass names its constructor's arguments in ``config_keys``, keeps each as an attribute of the same
    name, and so saves and loads without further code::

        class Scale(Module):
            config_keys = ("factor",)

            def __init__(self, factor: float = 1.0) -> None:
                super().__init__()
                self.factor = factor

            def forward(self, features):
                features["sentence_embedding"] = features["sentence_embedding"] * self.factor
                return features
    """

    config_keys: ClassVar[Sequence[str]] = ()
    #: arguments of ``forward`` beside the features
    forward_kwargs: ClassVar[Collection[str]] = frozenset()
    save_in_root: ClassVar[bool] = False

    @abstractmethod
    def forward(self, features: Features) -> Features:
        """Read some keys of ``features``, add or replace others, and return it."""

    def get_config_dict(self) -> dict[str, Any]:
        """What the module's ``config.json`` holds."""
        return {key: getattr(self, key) for key in self.config_keys}

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Write configuration and weights to a folder, which is made if need be."""
        self.save_config(output_path)
        self.save_weights(output_path)

    def save_config(self, output_path: str, filename: str | None = None) -> None:
        """Write ``config.json``, if there is anything to say."""
        settings = self.get_config_dict()
        if settings:
            write_json(Path(output_path) / (filename or self.config_file_name), settings)

    def save_weights(self, output_path: str) -> None:
        """Write ``model.safetensors``, if the module has weights."""
        write_state(self, Path(output_path))

    @classmethod
    def load(cls, folder: str, **kwargs: Any) -> Module:
        """Read a module back from its folder.

        Raises:
            ModelFormatError: configuration or weights are missing, damaged or of another module.
        """
        settings = cls.load_config(folder)
        try:
            module = cls(**settings)
        except TypeError as error:
            raise ModelFormatError(
                f"{folder}: its configuration is not that of {cls.__name__} ({error})"
            ) from error
        read_state(module, Path(folder))
        return module

    @classmethod
    def load_torch_weights(
        cls,
        model_name_or_path: str,
        subfolder: str = "",
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        model: nn.Module | None = None,
    ) -> Any:
        """``model`` with the weights of a folder; without a model, the tensors by name.

        Raises:
            ModelFormatError: there are none, or they are damaged or of another module.
        """
        folder = Path(
            cls.load_dir_path(model_name_or_path, subfolder, token, cache_folder, revision, local_files_only)
        )
        if model is not None:
            read_state(model, folder)
            return model
        state = find_state(folder)
        if state is None:
            raise ModelFormatError(f"{folder}: there are no weights (model.safetensors)")
        return state

    def save_torch_weights(self, output_path: str, safe_serialization: bool = True) -> None:
        """Write the weights, if there are any; always as safetensors."""
        write_state(self, Path(output_path))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.get_config_dict()})"


def _through_tokenize(self: Any, inputs: Any, prompt: str | None = None, **options: Any) -> Features:
    """Features of some texts, with ``prompt`` before each, by ``tokenize``."""
    features: Features = self.tokenize([prompt + text for text in inputs] if prompt else inputs, **options)
    return features


def _through_preprocess(method: Any) -> Any:
    """A ``tokenize`` that calls ``preprocess``, and has its parameters."""

    @wraps(method)
    def tokenize(self: Any, *args: Any, **options: Any) -> Any:
        return self.preprocess(*args, **options)

    tokenize.__name__ = "tokenize"
    tokenize.__qualname__ = f"{method.__qualname__.rpartition('.')[0]}.tokenize"
    return tokenize


class InputModule(Module):
    """A first module: it also turns texts into features.

    A subclass overrides :meth:`tokenize`, or :meth:`preprocess`, as newer code calls it; each then means the other.
    """

    tokenizer: Any
    #: what it reads
    modalities: ClassVar[Sequence[str]] = ("text",)

    def save_tokenizer(self, output_path: str, **options: Any) -> None:
        """Write the tokenizer, if it has ``save_pretrained``."""
        save = getattr(getattr(self, "tokenizer", None), "save_pretrained", None)
        if save is not None:
            save(output_path, **options)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = vars(cls)
        if "preprocess" in own and "tokenize" not in own:
            cls.tokenize = _through_preprocess(own["preprocess"])  # type: ignore[method-assign]
        elif "tokenize" in own and "preprocess" not in own:
            cls.preprocess = _through_tokenize

    def tokenize(self, texts: Sequence[Any]) -> Features:
        """Features of some texts: a dictionary of tensors, padded to the longest."""
        raise NotImplementedError(
            f"{type(self).__name__} has no tokenize(texts): write it, or preprocess(inputs)"
        )

    # Any: the parameters beside the texts are those of a subclass.
    preprocess: Any = _through_tokenize

    @property
    def max_seq_length(self) -> int | None:
        """Tokens of a text that count; None where nothing is cut."""
        return None


def read_feature(features: Features, name: str, module: nn.Module) -> Tensor:
    """What the modules before made under this name.

    Raises:
        ModelFormatError: nothing.
    """
    if name not in features:
        raise ModelFormatError(
            f"{module!r} reads {name!r}, which no module before it makes; there are: {', '.join(map(str, features))}"
        )
    found: Tensor = features[name]
    return found


def write_state(module: nn.Module, folder: Path) -> None:
    """Write a module's weights and buffers to ``model.safetensors``, whole or not at all."""
    from safetensors.torch import save

    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    if state:
        write_bytes(folder / WEIGHTS_FILE, save(_unshared(state), metadata={"format": "pt"}))


def _unshared(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tied weights get memory of their own: the format has no other way to say them twice."""
    seen: set[int] = set()
    own: dict[str, Tensor] = {}
    for name, tensor in state.items():
        own[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(tensor.data_ptr())
    return own


def read_state(module: nn.Module, folder: Path) -> None:
    """Read a module's weights, if it has any.

    Raises:
        ModelFormatError: the file is absent, damaged, or of another module.
    """
    if not module.state_dict():
        return
    state = find_state(folder)
    if state is None:
        raise ModelFormatError(
            f"{folder}: the weights of {type(module).__name__} are missing ({WEIGHTS_FILE})"
        )
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise ModelFormatError(f"{folder}: these are not the weights of {module!r}: {error}") from error
    check_finite(module, str(folder))


def find_state(folder: Path) -> dict[str, Tensor] | None:
    """The tensors of a folder's weights file by name; None where there is no such file."""
    if (folder / WEIGHTS_FILE).is_file():
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            found: dict[str, Tensor] = load_file(folder / WEIGHTS_FILE)
        except SafetensorError as error:
            raise ModelFormatError(f"{folder / WEIGHTS_FILE}: damaged ({error})") from error
        return found
    if (folder / _OLD_WEIGHTS_FILE).is_file():
        from vicinal.engine.weights import read_checkpoint

        arrays = read_checkpoint(folder / _OLD_WEIGHTS_FILE)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
    return None


def save_any(module: nn.Module, folder: Path) -> None:
    """Save a module of any class: by its own ``save``, else its weights alone."""
    folder.mkdir(parents=True, exist_ok=True)
    save = getattr(module, "save", None)
    if callable(save):
        save(str(folder))
    else:
        write_state(module, folder)


def load_any(cls: type[nn.Module], folder: Path, **options: Any) -> nn.Module:
    """Load a module of any class from its folder: by its own ``load``, else made anew and filled.

    Args:
        cls: the class.
        folder: where the module was saved.
        options: for ``load``.

    Raises:
        UnsupportedModelError: the class has no ``load`` and its constructor wants arguments.
    """
    load = getattr(cls, "load", None)
    if callable(load):
        loaded: nn.Module = load(str(folder), **options)
        return loaded
    needed = [
        name
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if needed:
        raise UnsupportedModelError(
            f"{folder}: {cls.__name__}({', '.join(needed)}, ...) cannot be made again from its folder. Derive it "
            "from vicinal.models.Module and name its arguments in config_keys, or give it save() and load()"
        )
    module = cls()
    read_state(module, folder)
    return module
