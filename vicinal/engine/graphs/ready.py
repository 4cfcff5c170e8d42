"""Ready graphs that a folder brings: ``openvino/*.xml`` and ``onnx/*.onnx``, float or quantised."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vicinal.core.openvino import load_openvino
from vicinal.engine.graphs.blocks import Blocks, Body, Node
from vicinal.engine.weights import Weights
from vicinal.errors import InputError, ModelFormatError
from vicinal.folder.graph_files import graph_files

# What quantize() writes, and what other tools call theirs.
INT8_FILE = "openvino/openvino_model_int8.xml"
_QUANTISED_MARKS = ("int8", "quantized", "_q4", "_bnb4")

_INPUTS = {"input_ids", "attention_mask", "token_type_ids", "position_ids"}
_VECTORS = {"last_hidden_state", "token_embeddings"}
_SCORES = {"logits", "scores"}
_NO_SCORES = {*_VECTORS, "sentence_embedding", "pooler_output", "text_embeds"}


def is_quantised(file: Path) -> bool:
    """Whether a graph file's name says that its weights are integers."""
    return any(mark in file.name for mark in _QUANTISED_MARKS)


def has_weights(folder: Path) -> bool:
    """Whether a folder holds weights of a transformer."""
    return any(folder.glob("*.safetensors")) or Weights.needs_torch(folder)


def choose_file(
    folder: Path, dtype: str, file_name: str | None, *, prefer_file: bool, buildable: bool
) -> Path | None:
    """The ready graph to run; None to build one from the weights.

    Args:
        folder: of the transformer.
        dtype: ``"int8"`` asks for a quantised graph; the others for any but that.
        file_name: a graph file of the folder that must be used.
        prefer_file: use a float graph file even where the weights could be built.
        buildable: whether there is a graph for the weights' architecture.

    Raises:
        InputError: the folder does not hold what was asked for.
    """
    files = graph_files(folder)
    if file_name is not None:
        found = [file for file in files if file_name in (file.name, file.relative_to(folder).as_posix())]
        if not found:
            raise InputError(
                f"{folder}: no graph file {file_name!r}; it holds {[file.name for file in files] or 'none'}"
            )
        return found[0]
    quantised = [file for file in files if is_quantised(file)]
    floats = [file for file in files if file not in quantised]
    if dtype == "int8":
        if not quantised:
            raise InputError(
                f"{folder}: dtype='int8' needs a quantised graph, and the folder has none. Write one with "
                "model.quantize(calibration_texts, path), then load that path"
            )
        return quantised[0]
    weights = has_weights(folder)
    if buildable and weights and not (prefer_file and floats):
        return None
    if floats:
        return floats[0]
    if quantised and dtype == "auto" and not weights:
        return quantised[0]
    if quantised and not weights:
        raise InputError(
            f"{folder}: dtype={dtype!r} was asked for, but the folder holds only the quantised graph "
            f"{quantised[0].name}; use dtype='int8' or 'auto'"
        )
    return None


def read_body(file: Path) -> tuple[Blocks, Body]:
    """Read a ready graph and find its token vectors and inputs.

    Raises:
        ModelFormatError: the file is damaged, or has no output of token vectors.
    """
    model = _read(file)
    ports = _vector_ports(model)
    if not ports:
        raise ModelFormatError(f"{file}: none of its outputs {_names(model)} are token vectors")
    width = ports[0].get_partial_shape()[2]
    if width.is_dynamic:
        raise ModelFormatError(f"{file}: the width of its token vectors is not fixed")
    inputs = _inputs(model, file)
    hidden = ports[0].get_node().input_value(0)
    return Blocks(Weights({}, file.parent)), Body(hidden, inputs, width.get_length())


def read_scores(file: Path) -> tuple[Blocks, Node, dict[str, Node], int | None]:
    """Read a cross-encoder's ready graph: ``(B, labels)`` scores, its inputs, and how many labels it says.

    Raises:
        ModelFormatError: the file is damaged, or has no output of scores.
    """
    model = _read(file)
    ports = _score_ports(model)
    if not ports:
        raise ModelFormatError(
            f"{file}: none of its outputs {_names(model)} are scores of pairs; it is no graph of a cross-encoder"
        )
    inputs = _inputs(model, file)
    blocks, scores = Blocks(Weights({}, file.parent)), ports[0].get_node().input_value(0)
    if _rank(ports[0]) == 1:  # one label, squeezed
        return blocks, blocks.ops.unsqueeze(scores, blocks.integers(1)), inputs, 1
    width = ports[0].get_partial_shape()[1]
    return blocks, scores, inputs, None if width.is_dynamic else width.get_length()


def said_by_graph(file: Path) -> dict[str, Any]:
    """Keys of ``config.json`` that a graph knows: how wide its token vectors are, or that it scores pairs.

    Raises:
        ModelFormatError: the file is damaged, or gives neither.
    """
    model = _read(file)
    ports = _vector_ports(model)
    if ports and not ports[0].get_partial_shape()[2].is_dynamic:
        return {"hidden_size": ports[0].get_partial_shape()[2].get_length()}
    if not ports and _score_ports(model):
        return {"architectures": ["ForSequenceClassification"]}
    raise ModelFormatError(
        f"{file}: none of its outputs {_names(model)} are token vectors of a fixed width or scores of pairs"
    )


def _vector_ports(model: Any) -> list[Any]:
    ranked = [port for port in model.outputs if _rank(port) == 3]
    return [port for port in ranked if port.get_names() & _VECTORS] or ranked


def _score_ports(model: Any) -> list[Any]:
    ports = [port for port in model.outputs if port.get_names() & _SCORES and _rank(port) in (1, 2)]
    if not ports and len(model.outputs) == 1:  # under a name of the exporter's own
        ports = [port for port in model.outputs if _rank(port) == 2 and not port.get_names() & _NO_SCORES]
    return ports


def _read(file: Path) -> Any:
    """The model of a file."""
    openvino = load_openvino()
    try:
        core = openvino.Core()
        # A mapped file that is overwritten changes the vectors, and one that is cut off ends the process.
        core.set_property({"ENABLE_MMAP": False})
        with _with_its_data(file) as path:
            return core.read_model(path)
    except RuntimeError as error:
        raise ModelFormatError(
            f"{file}: cannot be read as a graph ({str(error).strip().splitlines()[-1]})"
        ) from error


@contextmanager
def _with_its_data(file: Path) -> Iterator[Path]:
    """An ONNX file in one folder with the files of its tensors.

    OpenVINO refuses tensors outside the graph's folder, and in a hub cache everything is a link to a folder of blobs.
    So the files of one model, and no others, are put together for the time of reading.
    """
    home = file.resolve().parent
    beside = [
        each
        for each in file.parent.iterdir()
        if each.suffix != ".onnx" and each.is_symlink() and each.is_file() and each.resolve().parent == home
    ]
    if file.suffix != ".onnx" or not file.is_symlink() or not beside:
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="vicinal-") as folder:
        for each in (file, *beside):
            try:
                os.link(each.resolve(), Path(folder) / each.name)
            except OSError:  # another file system
                shutil.copyfile(each, Path(folder) / each.name)
        yield Path(folder) / file.name


def _inputs(model: Any, file: Path) -> dict[str, Node]:
    """The inputs of a model by name."""
    inputs = {node.output(0).get_any_name(): node for node in model.get_parameters()}
    if set(inputs) - _INPUTS or "attention_mask" not in inputs or "input_ids" not in inputs:
        raise ModelFormatError(f"{file}: its inputs {sorted(inputs)} are not those of a text encoder")
    for name, node in inputs.items():
        if node.get_partial_shape().is_static:
            raise ModelFormatError(
                f"{file}: its input {name!r} has the fixed shape {list(node.get_partial_shape().to_shape())}; export "
                "the graph with dynamic axes for texts and tokens"
            )
    return inputs


def _rank(port: Any) -> int | None:
    rank = port.get_partial_shape().rank
    return None if rank.is_dynamic else int(rank.get_length())


def _names(model: Any) -> list[list[str]]:
    return [sorted(port.get_names()) for port in model.outputs]
