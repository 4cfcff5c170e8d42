"""Where the graph of a model folder comes from, chosen once and able to build it again anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vicinal.core.openvino import load_openvino
from vicinal.engine.graphs import FAMILIES, build_body, check_weights
from vicinal.engine.graphs.blocks import Blocks, Body
from vicinal.engine.graphs.heads import sentence_vector, token_vectors
from vicinal.engine.weights import Weights
from vicinal.errors import InputError, ModelFormatError
from vicinal.folder.kinds import embedding_dimension
from vicinal.folder.specs import ModelSpec

DTYPES = ("auto", "float32", "bfloat16", "float16", "int8")
# What quantize() writes, and what other tools call theirs.
INT8_FILE = "openvino/openvino_model_int8.xml"
_INT8_MARKS = ("int8", "quantized")


@dataclass(frozen=True)
class SentenceGraph:
    """The graph of a folder: texts' ids in, sentence or token vectors out.

    Attributes:
        spec: the folder.
        file: a ready graph (``.xml`` or ``.onnx``) of the transformer, None to build it from the weights.
    """

    spec: ModelSpec
    file: Path | None = None

    @property
    def dimension(self) -> int:
        """Width of the sentence vectors."""
        return embedding_dimension(self.spec)

    @property
    def quantized(self) -> bool:
        """Whether it is an int8 graph."""
        return self.file is not None and _is_quantised(self.file)

    def __call__(self, output: str) -> Any:
        """Build the model with the output ``"sentence"``, ``"tokens"`` or ``"body"`` (no modules at all)."""
        self.spec.check_files(self.file)
        blocks, body = build_body(self.spec.transformer) if self.file is None else read_body(self.file)
        if output == "body":
            node = body.hidden
        elif output == "tokens":
            node = token_vectors(blocks, body, self.spec.modules[1:])
        else:
            node, width = sentence_vector(blocks, body, self.spec.modules[1:])
            if width != self.dimension:
                raise ModelFormatError(
                    f"{self.spec.folder}: the modules give vectors of {width}, its config files say {self.dimension}"
                )
        return blocks.openvino.Model([node], list(body.inputs.values()), "vicinal")


def _is_quantised(file: Path) -> bool:
    return any(mark in file.name for mark in _INT8_MARKS)


def choose_graph(spec: ModelSpec, dtype: str, file_name: str | None, prefer_file: bool) -> SentenceGraph:
    """Decide between the weights and a ready graph file.

    Args:
        dtype: ``"int8"`` asks for a quantised graph; the others for any but that.
        file_name: a graph file of the folder that must be used.
        prefer_file: use a float graph file even where the weights could be built.

    Raises:
        InputError: the folder does not hold what was asked for.
        UnsupportedModelError: the architecture is unknown and there is no graph file.
    """
    folder = spec.transformer.folder
    files = _graph_files(folder)
    if file_name is not None:
        found = [file for file in files if file_name in (file.name, file.relative_to(folder).as_posix())]
        if not found:
            raise InputError(
                f"{folder}: no graph file {file_name!r}; it holds {[file.name for file in files] or 'none'}"
            )
        return SentenceGraph(spec, found[0])
    quantised = [file for file in files if _is_quantised(file)]
    floats = [file for file in files if file not in quantised]
    if dtype == "int8":
        if not quantised:
            raise InputError(
                f"{folder}: dtype='int8' needs a quantised graph, and the folder has none. Write one with "
                "model.quantize(calibration_texts, path), then load that path"
            )
        return SentenceGraph(spec, quantised[0])
    has_weights = any(folder.glob("*.safetensors")) or (folder / "pytorch_model.bin").is_file()
    if spec.transformer.model_type in FAMILIES and has_weights and not (prefer_file and floats):
        check_weights(spec.transformer)
        return SentenceGraph(spec)
    if floats:
        return SentenceGraph(spec, floats[0])
    if quantised and dtype == "auto" and not has_weights:
        return SentenceGraph(spec, quantised[0])
    if quantised and not has_weights:
        raise InputError(
            f"{folder}: dtype={dtype!r} was asked for, but the folder holds only the quantised graph "
            f"{quantised[0].name}; use dtype='int8' or 'auto'"
        )
    check_weights(spec.transformer)  # raises and says what is missing
    return SentenceGraph(spec)


def has_graph_file(folder: Path) -> bool:
    """Whether a folder holds a ready graph."""
    return bool(_graph_files(folder))


def _graph_files(folder: Path) -> list[Path]:
    """Ready graphs, the plainest name first: ``openvino_model.xml`` before its variants, then ONNX."""
    found = [*folder.glob("openvino/*.xml"), *folder.glob("onnx/*.onnx")]
    found += [*folder.glob("openvino_model*.xml"), *folder.glob("model*.onnx")]
    return sorted(found, key=lambda file: (file.suffix != ".xml", len(file.name), file.name))


def read_body(file: Path) -> tuple[Blocks, Body]:
    """Read a ready graph and find its token vectors and inputs.

    Raises:
        ModelFormatError: the file is damaged, or has no output of token vectors.
    """
    openvino = load_openvino()
    try:
        core = openvino.Core()
        # A mapped file that is overwritten changes the vectors, and one that is cut off ends the process.
        core.set_property({"ENABLE_MMAP": False})
        model = core.read_model(file)
    except RuntimeError as error:
        raise ModelFormatError(
            f"{file}: cannot be read as a graph ({str(error).splitlines()[-1]})"
        ) from error
    ranked = [port for port in model.outputs if port.get_partial_shape().rank.get_length() == 3]
    wanted = ("last_hidden_state", "token_embeddings")
    ports = [port for port in ranked if any(name in wanted for name in port.get_names())] or ranked
    if not ports:
        raise ModelFormatError(
            f"{file}: none of its outputs {[sorted(port.get_names()) for port in model.outputs]} are token vectors"
        )
    hidden = ports[0].get_node().input_value(0)
    inputs = {node.output(0).get_any_name(): node for node in model.get_parameters()}
    unknown = set(inputs) - {"input_ids", "attention_mask", "token_type_ids", "position_ids"}
    if unknown or "attention_mask" not in inputs or "input_ids" not in inputs:
        raise ModelFormatError(f"{file}: its inputs {sorted(inputs)} are not those of a text encoder")
    width = ports[0].get_partial_shape()[2]
    if width.is_dynamic:
        raise ModelFormatError(f"{file}: the width of its token vectors is not fixed")
    return Blocks(Weights({}, file.parent)), Body(hidden, inputs, width.get_length())
