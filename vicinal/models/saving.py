"""A loaded model becomes a folder again, and a folder gets a name by its content."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import vicinal
from vicinal.config import DenseSpec, LayerNormSpec, ModelSpec, PoolingSpec, hidden_size, read_json
from vicinal.config_write import module_folders, write_bytes, write_configs, write_json
from vicinal.engine.graphs.source import SentenceGraph
from vicinal.errors import InputError

_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model.bin")
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "*.model",
)
_CROSS_ENCODER = (
    "config.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "modules.json",
)
_GRAPHS = ("openvino/*", "onnx/*", "openvino_model*", "model*.onnx")


def save_folder(
    spec: ModelSpec,
    target: Path,
    *,
    prompts: Mapping[str, str],
    default_prompt_name: str | None,
    similarity_fn_name: str,
    truncate_dim: int | None,
    max_seq_length: int,
    dimension: int,
    model_name: str | None,
) -> None:
    """Write ``spec`` and the settings to ``target``, a folder that other libraries load too.

    Raises:
        InputError: ``target`` is a file.
    """
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file; save takes a folder")
    target.mkdir(parents=True, exist_ok=True)
    spec = _with_pooling_width(spec)
    source = spec.transformer.folder
    if source.resolve() != target.resolve():
        _copy(source, target, (*_WEIGHTS, *_TOKENIZER, *_GRAPHS))
    for module, path in module_folders(spec):
        if (
            isinstance(module, (DenseSpec, LayerNormSpec))
            and module.folder.resolve() != (target / path).resolve()
        ):
            _copy(module.folder, target / path, _WEIGHTS)
    extra: dict[str, Any] = {
        "__version__": {"vicinal": vicinal.__version__},
        "model_type": "SentenceTransformer",
        "prompts": dict(prompts),
        "default_prompt_name": default_prompt_name,
        "similarity_fn_name": similarity_fn_name,
    }
    if truncate_dim is not None:
        extra["truncate_dim"] = truncate_dim
    write_configs(spec, target, extra, max_seq_length)
    if not (target / "README.md").exists():
        card = _card(model_name or target.name, spec, dimension, max_seq_length, similarity_fn_name)
        write_bytes(target / "README.md", card.encode())


def save_cross_encoder(spec: ModelSpec, target: Path, *, max_length: int) -> None:
    """Write a cross-encoder's folder: weights, tokenizer and configuration as they were loaded.

    Raises:
        InputError: ``target`` is a file.
    """
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file; save takes a folder")
    source = spec.transformer.folder
    if source.resolve() == target.resolve():
        return
    _copy(source, target, (*_WEIGHTS, *_TOKENIZER, *_CROSS_ENCODER))
    path = target / "tokenizer_config.json"
    settings = read_json(path) if path.is_file() else {}
    write_json(path, {**settings, "model_max_length": max_length})


def _with_pooling_width(spec: ModelSpec) -> ModelSpec:
    """A plain transformers folder does not write down its pooling; a saved one does."""
    width = hidden_size(spec.transformer.config, spec.transformer.folder)
    modules = tuple(
        replace(module, dimension=module.dimension or width) if isinstance(module, PoolingSpec) else module
        for module in spec.modules
    )
    return replace(spec, modules=modules)


def _copy(source: Path, target: Path, patterns: tuple[str, ...]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for pattern in patterns:
        for file in source.glob(pattern):
            if not file.is_file():
                continue
            to = target / file.relative_to(source)
            to.parent.mkdir(parents=True, exist_ok=True)
            scratch = to.with_name(to.name + ".tmp")
            shutil.copyfile(file, scratch)  # follows the links of a hub cache
            scratch.replace(to)


def _card(name: str, spec: ModelSpec, dimension: int, max_seq_length: int, similarity: str) -> str:
    modules = " -> ".join(type(module).__name__.removesuffix("Spec") for module in spec.modules)
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags:
- sentence-transformers
- sentence-similarity
- feature-extraction
---

# {name}

Maps texts to vectors of {dimension} numbers.

| | |
|---|---|
| architecture | {spec.transformer.model_type} |
| modules | {modules} |
| maximum length | {max_seq_length} tokens |
| similarity | {similarity} |

```python
from vicinal import SentenceTransformer  # or: from sentence_transformers import SentenceTransformer

model = SentenceTransformer({name!r})
vectors = model.encode(["A first text.", "A second one."])
print(model.similarity(vectors, vectors))
```
"""


def fingerprint(spec: ModelSpec, graph: SentenceGraph) -> str:
    """SHA-256 over everything that decides a vector: weights, tokenizer, modules, prompts and lengths.

    Two folders with the same bytes have the same fingerprint wherever they lie.
    """
    digest = hashlib.sha256()
    described: list[Any] = []
    for module in spec.modules:
        facts = {key: value for key, value in asdict(module).items() if key != "folder"}
        described.append([type(module).__name__, facts])
    described.append([dict(spec.prompts), spec.default_prompt_name, spec.truncate_dim])
    digest.update(json.dumps(described, sort_keys=True, default=str).encode())
    folder = spec.transformer.folder
    files = [graph.file, graph.file.with_suffix(".bin")] if graph.file is not None else []
    if not files:
        files = [file for pattern in _WEIGHTS for file in sorted(folder.glob(pattern))]
    files += [folder / "tokenizer.json", folder / "vocab.txt"]
    for module in spec.modules:
        if isinstance(module, (DenseSpec, LayerNormSpec)):
            files += [file for pattern in _WEIGHTS for file in sorted(module.folder.glob(pattern))]
    for file in files:
        if file.is_file():
            with file.open("rb") as stream:
                while block := stream.read(1 << 22):
                    digest.update(block)
    return digest.hexdigest()
