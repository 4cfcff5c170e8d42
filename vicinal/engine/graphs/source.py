"""Where the graph of a model folder comes from, chosen once and able to build it again anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vicinal.engine.graphs import build_body, check_weights, has_graph
from vicinal.engine.graphs.heads import sentence_vector, token_vectors
from vicinal.engine.graphs.ready import choose_file, is_quantised, read_body
from vicinal.errors import ModelFormatError
from vicinal.folder.kinds import embedding_dimension
from vicinal.folder.specs import ModelSpec

DTYPES = ("auto", "float32", "bfloat16", "float16", "int8")


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
        return self.file is not None and is_quantised(self.file)

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
    transformer = spec.transformer
    file = choose_file(
        transformer.folder, dtype, file_name, prefer_file=prefer_file, buildable=has_graph(transformer)
    )
    if file is None:
        check_weights(transformer)
    return SentenceGraph(spec, file)
