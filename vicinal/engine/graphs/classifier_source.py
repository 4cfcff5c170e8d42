"""The graph of a cross-encoder's folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vicinal.engine.graphs import build_body
from vicinal.engine.graphs.classifiers import head_labels, logits
from vicinal.folder.specs import TransformerSpec


@dataclass(frozen=True)
class ClassifierGraph:
    """Pairs' ids in, one score per label out; built again wherever it is needed.

    Attributes:
        spec: the folder's transformer.
    """

    spec: TransformerSpec

    # Always built from float weights: there are no ready graphs of cross-encoders.
    file = None
    quantized = False

    @property
    def labels(self) -> int:
        """Scores per pair.

        Raises:
            ModelFormatError: the checkpoint holds no classification head.
            UnsupportedModelError: there is no graph for the architecture.
        """
        return head_labels(self.spec)

    def __call__(self, output: str) -> Any:
        """Build the model; ``output`` is always the scores before any activation."""
        if self.spec.files is not None:
            self.spec.files.check()
        blocks, body = build_body(self.spec, token_types=True)
        scores, _ = logits(blocks, body, self.spec)
        return blocks.openvino.Model([scores], list(body.inputs.values()), "vicinal")
