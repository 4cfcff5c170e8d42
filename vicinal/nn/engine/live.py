"""What a torch module holds at this moment: a mark to notice changes by, and a folder made of it."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from vicinal.engine.base import Engine
from vicinal.engine.graphs.classifier_source import ClassifierGraph
from vicinal.engine.graphs.source import DTYPES, SentenceGraph
from vicinal.engine.opening import (
    Options,
    choose_source,
    needs_torch,
    open_engine,
    position_limit,
    read_texts,
)
from vicinal.engine.static import StaticTable
from vicinal.errors import UnsupportedModelError
from vicinal.folder.read import read_model_spec
from vicinal.folder.specs import CustomSpec, ModelSpec
from vicinal.nn.build import dimension_of, spec_of, write_modules
from vicinal.nn.engine.texts import ModuleEngine, ModuleTexts
from vicinal.nn.engine.tokens import TorchEngine
from vicinal.nn.modules.classifier import Classifier
from vicinal.nn.modules.layout import is_as_configured, layout_of
from vicinal.nn.modules.registry import type_name
from vicinal.nn.modules.static_embedding import StaticEmbedding
from vicinal.nn.modules.transformer import Transformer
from vicinal.tokens.folder import texts_of
from vicinal.tokens.foreign import given
from vicinal.tokens.text import TextTokenizer

_TOKENIZER_PARTS = ("normalizer", "pre_tokenizer", "model", "post_processor")


@dataclass(frozen=True)
class Renewed:
    """What encode and predict need, made from a module.

    Attributes:
        spec: the model; its folder goes away with the engine.
        graph: what the engine was made of; None for the torch engines.
        texts: the tokenizer.
        engine: what computes.
        mark: what :func:`marks` gives for as long as the module stays as it was.
    """

    spec: ModelSpec
    graph: SentenceGraph | StaticTable | ClassifierGraph | None
    texts: TextTokenizer
    engine: Engine
    mark: tuple[Any, ...]


def renewed(module: nn.Sequential, options: Options, device: str) -> Renewed:
    """Make engine and tokenizer from what a module holds now."""
    scratch = ScratchFolder()
    first: Any = module[0]
    if type(first) not in (Transformer, StaticEmbedding):
        return _on_its_own(module, device, scratch)
    asked = getattr(first, "asked_dtype", None)  # not in modules that older pickles hold
    if options.dtype == "auto" and asked in DTYPES:
        options = replace(options, dtype=asked)
    # The mark comes first: what another thread changes from here on shows at the next encode.
    structure = structure_mark(module)
    write_modules(module, scratch.path, transformer_weights=False)
    try:
        spec = read_model_spec(scratch.path)
    except UnsupportedModelError:  # an activation of torch's that no folder names, say
        return _on_its_own(module, device, scratch)
    texts = read_texts(spec, {}) if isinstance(first, StaticEmbedding) else texts_of_module(first, spec)
    if needs_torch(spec, options, device, trust_remote_code=_runs_own_code(first)) or not follows_config(
        first
    ):
        live = TorchEngine.is_live_on(module, device, options.dtype)
        mark = (structure, _state(module, live))
        engine: Engine = TorchEngine(module, dimension_of(module), device, options.dtype)
        scratch.goes_with(engine)
        return Renewed(spec, None, texts, engine, mark)
    mark = (structure, _state(module, live=False))
    if not isinstance(first, StaticEmbedding):
        first.save_model(str(scratch.path), merged=True)
        spec = read_model_spec(scratch.path)
    plain = Options(precision_of(module, "auto" if options.dtype == "int8" else options.dtype), "auto")
    graph = choose_source(spec, plain)
    engine = open_engine(graph, plain.dtype)
    scratch.goes_with(engine)
    return Renewed(spec, graph, texts, engine, mark)


def _runs_own_code(first: nn.Module) -> bool:
    """Whether a transformer is of a class that its folder brought, which no graph is made after."""
    network = getattr(first, "auto_model", None)
    return type(network).__module__.startswith("transformers_modules.")


def precision_of(module: nn.Module, dtype: str) -> str:
    """What to compute in: by its own choice an engine takes no less than ``half`` or ``double`` asked for."""
    first = next(module.parameters(), None)
    if dtype != "auto" or first is None:
        return dtype
    return {torch.float64: "float32", torch.float16: "float16"}.get(first.dtype, dtype)


def follows_config(first: Any) -> bool:
    """Whether the network inside a module, if any, is the one that a graph is made after."""
    network = getattr(first, "auto_model", None)
    return network is None or is_as_configured(network)


def texts_of_module(first: Any, spec: ModelSpec) -> TextTokenizer:
    """The tokenizer that a module holds now, as one for the engines; a copy.

    Args:
        first: a :class:`Transformer`, or what has its attributes.
        spec: the module as it was written.
    """
    limit = position_limit(spec.transformer)
    return texts_of(given(first.tokenizer), spec.transformer, position_limit=limit)


def _on_its_own(module: nn.Sequential, device: str, scratch: ScratchFolder) -> Renewed:
    """For a first module that splits texts in its own way; nothing is written."""
    first, *others = module
    modules = (CustomSpec(scratch.path, type_name(first)), *(spec_of(each, scratch.path) for each in others))
    engine = ModuleEngine(module, dimension_of(module), device)
    scratch.goes_with(engine)
    texts = cast(TextTokenizer, ModuleTexts(first))
    return Renewed(
        ModelSpec(scratch.path, modules),
        None,
        texts,
        cast(Engine, engine),
        mark_of(module, live=True),
    )


def marks(module: nn.Sequential, engine: Engine) -> tuple[Any, ...]:
    """Changes when the engine is no longer what the module is."""
    return mark_of(module, live=isinstance(engine, (TorchEngine, ModuleEngine)) and engine.is_live)


def mark_of(module: nn.Sequential, live: bool) -> tuple[Any, ...]:
    """What an engine that is made now is to be compared with.

    Args:
        live: the engine runs the module itself, and no copy of its weights.
    """
    return (structure_mark(module), _state(module, live))


def _state(module: nn.Module, live: bool) -> Any:
    if not live:
        return weights_mark(module)
    first = next(module.parameters(), None)
    return "cpu" if first is None else str(first.device)


def content_digest(module: nn.Sequential) -> str:
    """SHA-256 over structure and weights of a module that no folder holds."""
    digest = hashlib.sha256()
    for each in module:
        settings = each.get_config_dict() if hasattr(each, "get_config_dict") else {}
        digest.update(f"{type(each).__name__} {sorted(settings.items())!r}".encode())
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def structure_mark(module: nn.Sequential) -> tuple[Any, ...]:
    """Which modules there are and how each is configured, the maximum length aside."""
    found: list[Any] = []
    for each in module:
        settings = each.get_config_dict() if hasattr(each, "get_config_dict") else {}
        facts = {key: value for key, value in settings.items() if key != "max_seq_length"}
        found.append(
            (id(each), repr(sorted(facts.items())), getattr(each, "adapters", ()), _tokenizer_mark(each))
        )
    networks = [each.auto_model for each in module.modules() if isinstance(each, (Transformer, Classifier))]
    return (*found, *map(layout_of, networks))


def _tokenizer_mark(module: Any) -> tuple[Any, ...]:
    """Changes when a module gets another tokenizer, or its tokenizer more tokens, or a part in place of its own.

    Truncation and padding, which transformers sets for each call, have no part in it.
    """
    tokenizer = getattr(module, "tokenizer", None)
    backend: Any = getattr(tokenizer, "backend_tokenizer", tokenizer)
    size = backend.get_vocab_size() if hasattr(backend, "get_vocab_size") else None
    parts = tuple(_content(getattr(backend, name, None)) for name in _TOKENIZER_PARTS)
    return (id(tokenizer), size, getattr(tokenizer, "truncation_side", None), *parts)


def _content(part: Any) -> Any:
    """Something small that tells two parts of a tokenizer apart."""
    if part is None:
        return None
    try:
        return hash(bytes(part.__getstate__()))  # 2 ms for the model of 30,000 words
    except Exception:  # a part written in Python
        return repr(part)


def weights_mark(module: nn.Module) -> tuple[Any, ...]:
    """A number that changes with any bit of the weights.

    Version counters alone would miss what is written through ``tensor.data``, as optimisers and old code do.
    Reading all weights takes about as long as copying them (10 ms for 90 MB).
    """
    tensors = [*module.named_parameters(), *module.named_buffers()]
    return tuple((name, tuple(tensor.shape), str(tensor.dtype), _digest(tensor)) for name, tensor in tensors)


def _digest(tensor: Tensor) -> int:
    flat = tensor.detach().contiguous().flatten()
    if flat.device.type != "cpu":
        # Wrapping sums of the bits, and of the bits by place: all on the device, one number to fetch.
        bits = flat.view(torch.uint8).to(torch.int64)
        places = torch.arange(len(bits), device=bits.device, dtype=torch.int64)
        return int((bits * (2 * places + 1)).sum())
    import xxhash

    return int(xxhash.xxh3_64_intdigest(memoryview(flat.view(torch.uint8).numpy())))


class ScratchFolder:
    """A temporary folder that goes away with this object, in the process that made it."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="vicinal-"))
        self._end = weakref.finalize(self, _remove, str(self.path), os.getpid())

    def goes_with(self, owner: Any) -> None:
        """Let it go away with ``owner`` instead, which may have to read from it until then."""
        self._end.detach()
        self._end = weakref.finalize(owner, _remove, str(self.path), os.getpid())


def _remove(path: str, process: int) -> None:
    # A forked child holds a copy of the folder's object, and its parent still needs the files.
    if os.getpid() == process:
        shutil.rmtree(path, ignore_errors=True)
