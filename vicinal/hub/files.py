"""Which files of a model are needed, and which of them are missing or damaged on disk.

Nothing here touches the network or imports another package.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from vicinal.errors import HubError

#: Folders that never hold a module of the model.
_OTHER_FOLDERS = re.compile(
    r"(onnx|openvino|coreml|checkpoint-?\d*|runs|eval|assets|images?|imgs|figures|\..*)", re.IGNORECASE
)
_TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
    "bpe.codes",
)
_SMALL_FILES = re.compile(
    r".*\.(json|model|jinja|tiktoken)|vocab\.txt|merges\.txt|bpe\.codes"
    r"|(modeling|configuration|tokenization|processing|custom)_.*\.py"
)
#: JSON files that describe the training run and not the model.
_UNNEEDED = re.compile(
    r"(data_config|trainer_state|all_results|train_results|eval_results|training_args)\.json|.*\.index\.json"
)
_TORCH_SHARD = re.compile(r"pytorch_model-\d+-of-\d+\.bin")
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_WEIGHTS = re.compile(r".*\.(safetensors|bin|onnx|onnx_data|xml)")
_LARGEST_HEADER = 100 * 2**20  # the safetensors format's own limit


@dataclass(frozen=True)
class Problem:
    """A file of a model folder that cannot be used: it is missing, or it is there and damaged."""

    file: str
    reason: str
    damaged: bool = False

    def __str__(self) -> str:
        return f"{self.file} {self.reason}"


def is_weights(file: str) -> bool:
    """Whether a file of :func:`files_needed` holds weights (those are fetched last)."""
    return _WEIGHTS.fullmatch(PurePosixPath(file).name) is not None


def is_inside(name: str) -> bool:
    """Whether a relative POSIX path stays inside its folder on every operating system."""
    if not name or name.startswith("/") or any(c in name for c in "\\:\0"):
        return False
    return not any(part in ("", ".", "..") for part in name.split("/"))


def files_needed(siblings: Sequence[str]) -> list[str]:
    """Choose, from everything that lies in a model repository, what loading the model needs.

    Configurations, tokenizer files, the folders of modules, and one format of weights: safetensors (one
    file, or an index and its shards); ``pytorch_model.bin`` where a folder has no safetensors; OpenVINO and
    then ONNX only where the repository has neither.

    Args:
        siblings: the paths in the repository, with ``/`` between folders.

    Returns:
        The paths to fetch, sorted.

    Raises:
        HubError: a path leaves the model's folder.
    """
    for name in siblings:
        if not is_inside(name):
            raise HubError(
                f"The hub lists a file {name!r}, which would be written outside the model's folder. "
                "Nothing was downloaded: do not use this repository."
            )
    folders: dict[str, list[str]] = defaultdict(list)
    for name in siblings:
        folder, _, file = name.rpartition("/")
        folders[folder].append(file)
    has_modules = "modules.json" in siblings
    needed: list[str] = []
    has_weights = False
    for folder, files in folders.items():
        if folder and (not has_modules or _OTHER_FOLDERS.fullmatch(folder.split("/")[0])):
            continue
        if folder and not re.match(r"\d+_", folder) and not any(f.endswith("config.json") for f in files):
            continue
        weights = _choose_weights(files)
        has_weights = has_weights or bool(weights)
        small = [f for f in files if _SMALL_FILES.fullmatch(f) and not _UNNEEDED.fullmatch(f)]
        needed += [f"{folder}/{f}" if folder else f for f in {*small, *weights}]
    if not has_weights:
        needed += _choose_graph(siblings)
    return sorted(set(needed))


def _choose_weights(files: Sequence[str]) -> list[str]:
    """One format of weights from the names in one folder."""
    if "model.safetensors" in files:
        return ["model.safetensors"]
    if "model.safetensors.index.json" in files:
        return [f for f in files if f == "model.safetensors.index.json" or _SHARD.fullmatch(f)]
    other = [f for f in files if f.endswith(".safetensors")]
    if other:
        return other
    if "pytorch_model.bin" in files:
        return ["pytorch_model.bin"]
    return [f for f in files if f == "pytorch_model.bin.index.json" or _TORCH_SHARD.fullmatch(f)]


def _choose_graph(siblings: Sequence[str]) -> list[str]:
    """An OpenVINO model, else an ONNX one; the plainly named before the quantised and optimised ones."""
    for suffix, plain in ((".xml", "openvino_model.xml"), (".onnx", "model.onnx")):
        graphs = [n for n in siblings if n.endswith(suffix) and _graph_folder(n)]
        if graphs:
            graph = min(graphs, key=lambda n: (not n.endswith(plain), len(n), n))
            stem = graph[: -len(suffix)]
            beside = {f"{stem}.bin"} if suffix == ".xml" else {f"{graph}_data", f"{graph}.data"}
            return [graph, *(n for n in siblings if n in beside)]
    return []


def _graph_folder(name: str) -> bool:
    return name.rpartition("/")[0] in ("", "onnx", "openvino")


def find_problems(folder: Path) -> list[Problem]:
    """Say what a model folder lacks, cheaply: a few small JSON files and the headers of the weights are read.

    Only what is certain is reported. A module of an unknown type, for example, is not judged.

    Args:
        folder: a snapshot in the cache.

    Returns:
        The missing and the damaged files; empty if the folder is whole.
    """
    if (folder / "modules.json").exists():
        modules, problem = _read_json(folder, "modules.json")
        if problem:
            return [problem]
        if not isinstance(modules, list) or not all(isinstance(m, dict) for m in modules):
            return [Problem("modules.json", "is not a list of modules", damaged=True)]
        return [problem for module in modules for problem in _module_problems(folder, module)]
    return _transformer_problems(folder, "")


def _module_problems(folder: Path, module: dict[str, Any]) -> list[Problem]:
    path = str(module.get("path", "")).strip("/")
    if path and not is_inside(path):
        return []  # config.py refuses it, with a message of its own
    kind = str(module.get("type", "")).rpartition(".")[2]
    if kind == "Transformer":
        return _transformer_problems(folder, path)
    problems = []
    if kind in ("Pooling", "Dense", "LayerNorm"):
        _, problem = _read_json(folder, f"{path}/config.json" if path else "config.json")
        problems += [problem] if problem else []
    if kind in ("Dense", "LayerNorm", "StaticEmbedding"):
        problems += _weights_problems(folder, path)
    if kind == "StaticEmbedding":
        problems += _tokenizer_problems(folder, path)
    return problems


def _transformer_problems(folder: Path, path: str) -> list[Problem]:
    name = f"{path}/config.json" if path else "config.json"
    _, problem = _read_json(folder, name)
    problems = [problem] if problem else []
    return [*problems, *_weights_problems(folder, path), *_tokenizer_problems(folder, path)]


def _tokenizer_problems(folder: Path, path: str) -> list[Problem]:
    here = folder / path
    if not any((here / f).exists() or (folder / f).exists() for f in _TOKENIZER_FILES):
        return [Problem(f"{path}/tokenizer.json" if path else "tokenizer.json", "is missing")]
    file = here / "tokenizer.json"
    if file.exists() and not _ends_like_json(file):
        return [Problem(file.relative_to(folder).as_posix(), "is cut off", damaged=True)]
    return []


def _weights_problems(folder: Path, path: str) -> list[Problem]:
    here = folder / path
    prefix = f"{path}/" if path else ""
    if (here / "model.safetensors").exists():
        reason = safetensors_damage(here / "model.safetensors")
        return [Problem(f"{prefix}model.safetensors", reason, damaged=True)] if reason else []
    for index in ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
        if (here / index).exists():
            return _shard_problems(folder, prefix, index)
    if (here / "pytorch_model.bin").exists():
        empty = (here / "pytorch_model.bin").stat().st_size == 0
        return [Problem(f"{prefix}pytorch_model.bin", "is empty", damaged=True)] if empty else []
    found = [f for pattern in ("*.safetensors", "*.xml", "*.onnx") for f in here.glob(pattern)]
    found += [*folder.glob("openvino/*.xml"), *folder.glob("onnx/*.onnx")]
    graphs = [f for f in found if f.exists()]
    if not graphs:
        return [Problem(f"{prefix}model.safetensors", "is missing")]
    absent = [
        f.with_suffix(".bin") for f in graphs if f.suffix == ".xml" and not f.with_suffix(".bin").exists()
    ]
    return [Problem(f.relative_to(folder).as_posix(), "is missing") for f in absent]


def _shard_problems(folder: Path, prefix: str, index: str) -> list[Problem]:
    content, problem = _read_json(folder, prefix + index)
    if problem:
        return [problem]
    shards = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(shards, dict) or not shards:
        return [Problem(prefix + index, "has no weight_map", damaged=True)]
    problems = []
    for shard in sorted({str(s) for s in shards.values()}):
        file = folder / (prefix + shard)
        if not is_inside(shard):
            problems.append(Problem(prefix + index, f"names {shard!r}, outside its folder", damaged=True))
        elif not file.exists():
            problems.append(Problem(prefix + shard, "is missing"))
        elif shard.endswith(".safetensors") and (reason := safetensors_damage(file)):
            problems.append(Problem(prefix + shard, reason, damaged=True))
    return problems


def safetensors_damage(file: Path) -> str | None:
    """Compare a safetensors file's header with the file's size.

    Args:
        file: the file; only its first bytes are read.

    Returns:
        What is wrong with it, as the end of a sentence, or None.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > _LARGEST_HEADER:
            return f"is damaged: its {size:,} bytes are not a safetensors file"
        if size < 8 + length:
            return f"is cut off: it has {size:,} bytes and its header alone needs {8 + length:,}"
        raw = stream.read(length)
    try:
        header = json.loads(raw)
        ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return "is damaged: its header is not that of a safetensors file"
    expected = 8 + length + max(ends, default=0)
    if size < expected:
        return f"is cut off: it has {size:,} bytes of {expected:,}"
    if size > expected:
        return f"is damaged: it has {size:,} bytes and its header describes {expected:,}"
    return None


def _read_json(folder: Path, name: str) -> tuple[Any, Problem | None]:
    try:
        return json.loads((folder / name).read_bytes()), None
    except FileNotFoundError:
        return None, Problem(name, "is missing")
    except ValueError:
        return None, Problem(name, "is damaged: it is not JSON", damaged=True)


def _ends_like_json(file: Path) -> bool:
    with file.open("rb") as stream:
        stream.seek(-min(64, file.stat().st_size), 2)
        return stream.read().rstrip().endswith(b"}")
