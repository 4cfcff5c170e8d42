"""The files of ready graphs in a folder: ``openvino/*.xml`` and ``onnx/*.onnx``."""

from __future__ import annotations

from pathlib import Path


def graph_files(folder: Path) -> list[Path]:
    """Ready graphs, the plainest name first: ``openvino_model.xml`` before its variants, then ONNX."""
    found = [*folder.glob("openvino/*.xml"), *folder.glob("onnx/*.onnx")]
    found += [*folder.glob("openvino_model*.xml"), *folder.glob("model*.onnx")]
    return sorted(found, key=lambda file: (file.suffix != ".xml", len(file.name), file.name))
