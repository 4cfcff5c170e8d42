"""Where the graph of a cross-encoder's folder comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vicinal.engine.graphs import build_body, has_graph
from vicinal.engine.graphs.classifiers import head_labels, logits
from vicinal.engine.graphs.ready import choose_file, is_quantised, read_scores
from vicinal.errors import ModelFormatError
from vicinal.folder.specs import TransformerSpec


@dataclass(frozen=True)
class ClassifierGraph:
    """Pairs' ids in, one score per label out; built again wherever it is needed.

    Attributes:
        spec: the folder's transformer.
        file: a ready graph (``.xml`` or ``.onnx``), None to build it from the weights.
    """

    spec: TransformerSpec
    file: Path | None = None

    @property
    def quantized(self) -> bool:
        """Whether it is an int8 graph."""
        return self.file is not None and is_quantised(self.file)

    @property
    def labels(self) -> int:
        """Scores per pair.

        Raises:
            ModelFormatError: the checkpoint holds no classification head, or the graph file has no such output.
            UnsupportedModelError: there is no graph for the architecture.
        """
        if self.file is None:
            return head_labels(self.spec)
        return written_labels(self.spec) or self._labels_of_file(self.file)

    def _labels_of_file(self, file: Path) -> int:
        *_, found = read_scores(file)
        if found is None:
            raise ModelFormatError(
                f"{file}: how many labels it scores is not fixed, and {self.spec.folder}/config.json does not say it "
                "either (id2label)"
            )
        return found

    def __call__(self, output: str) -> Any:
        """Build the model; ``output`` is always the scores before any activation."""
        if self.spec.files is not None:
            self.spec.files.check()
        if self.file is None:
            blocks, body = build_body(self.spec, token_types=True)
            scores, _ = logits(blocks, body, self.spec)
            return blocks.openvino.Model([scores], list(body.inputs.values()), "vicinal")
        blocks, scores, inputs, labels = read_scores(self.file)
        if labels not in (None, self.labels):
            raise ModelFormatError(
                f"{self.file}: it scores {labels} labels, and {self.spec.folder}/config.json says "
                f"{self.labels} (id2label)"
            )
        return blocks.openvino.Model([scores], list(inputs.values()), "vicinal")


def choose_scorer_file(
    spec: TransformerSpec, dtype: str, file_name: str | None, prefer_file: bool
) -> Path | None:
    """The ready graph that scores pairs; None to build one from the weights. Arguments as in ``choose_file``.

    Raises:
        InputError: the folder does not hold what was asked for.
    """
    buildable = has_graph(spec, head=True)
    return choose_file(spec.folder, dtype, file_name, prefer_file=prefer_file, buildable=buildable)


def written_labels(spec: TransformerSpec) -> int | None:
    """How many labels a folder's ``config.json`` names; None where it says nothing."""
    names, count = spec.config.get("id2label"), spec.config.get("num_labels")
    if isinstance(names, dict) and names:
        return len(names)
    return count if isinstance(count, int) and count > 0 else None
