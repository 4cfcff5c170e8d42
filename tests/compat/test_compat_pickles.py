"""Pickles that sentence-transformers 6.2.0 and 2.x wrote, and modules.json in all spellings, load on Vicinal."""

from __future__ import annotations

import base64
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from vicinal import InputExample, SentenceTransformer, SimilarityFunction

# pickle.dumps(InputExample(guid="7", texts=["a", "b"], label=0.5)), protocols 2 and 4, by 6.2.0
EXAMPLES = [
    "gAJjc2VudGVuY2VfdHJhbnNmb3JtZXJzLnNlbnRlbmNlX3RyYW5zZm9ybWVyLnJlYWRlcnMuaW5wdXRfZXhhbXBsZQpJbnB1dEV4YW1w"
    "bGUKcQApgXEBfXECKFgEAAAAZ3VpZHEDWAEAAAA3cQRYBQAAAHRleHRzcQVdcQYoWAEAAABhcQdYAQAAAGJxCGVYBQAAAGxhYmVscQlHP+AA"
    "AAAAAAB1Yi4=",
    "gASVjQAAAAAAAACMQHNlbnRlbmNlX3RyYW5zZm9ybWVycy5zZW50ZW5jZV90cmFuc2Zvcm1lci5yZWFkZXJzLmlucHV0X2V4YW1wbGWUjAxJ"
    "bnB1dEV4YW1wbGWUk5QpgZR9lCiMBGd1aWSUjAE3lIwFdGV4dHOUXZQojAFhlIwBYpRljAVsYWJlbJRHP+AAAAAAAAB1Yi4=",
]
# pickle.dumps(SimilarityFunction.DOT_PRODUCT)
FUNCTIONS = [
    "gAJjc2VudGVuY2VfdHJhbnNmb3JtZXJzLnV0aWwuc2ltaWxhcml0eQpTaW1pbGFyaXR5RnVuY3Rpb24KcQBYAwAAAGRvdHEBhXECUnEDLg==",
    "gASVSgAAAAAAAACMJXNlbnRlbmNlX3RyYW5zZm9ybWVycy51dGlsLnNpbWlsYXJpdHmUjBJTaW1pbGFyaXR5RnVuY3Rpb26Uk5SMA2RvdJSF"
    "lFKULg==",
]
OLD_NAMES = [
    b"sentence_transformers.readers.InputExample",
    b"sentence_transformers.readers",
    b"sentence_transformers",
]


@pytest.mark.usefixtures("installed")
class TestPickles:
    @pytest.mark.parametrize("text", EXAMPLES)
    def test_examples(self, text: str) -> None:
        example = pickle.loads(base64.b64decode(text))
        assert type(example) is InputExample
        assert (example.guid, example.texts, example.label) == ("7", ["a", "b"], 0.5)

    @pytest.mark.parametrize("name", OLD_NAMES)
    def test_examples_under_older_names(self, name: bytes) -> None:
        new = b"sentence_transformers.sentence_transformer.readers.input_example"
        example = pickle.loads(base64.b64decode(EXAMPLES[0]).replace(new, name))
        assert type(example) is InputExample
        assert example.texts == ["a", "b"]

    @pytest.mark.parametrize("text", FUNCTIONS)
    def test_similarity_functions(self, text: str) -> None:
        assert pickle.loads(base64.b64decode(text)) is SimilarityFunction.DOT_PRODUCT

    def test_what_is_written_needs_no_stand_in(self) -> None:
        written = pickle.dumps([InputExample(texts=["a"], label=1.0), SimilarityFunction.COSINE])
        assert b"sentence_transformers" not in written
        assert b"vicinal" in written


SPELLINGS = {
    "2.x": ("sentence_transformers.models.Transformer", "sentence_transformers.models.Pooling"),
    "2.x, files": (
        "sentence_transformers.models.Transformer.Transformer",
        "sentence_transformers.models.Pooling.Pooling",
    ),
    "6.x": (
        "sentence_transformers.base.modules.transformer.Transformer",
        "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    ),
    "6.x, short": (
        "sentence_transformers.base.modules.Transformer",
        "sentence_transformers.sentence_transformer.modules.Pooling",
    ),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_types_in_modules_json(tmp_path: Path, minilm_path: Path, spelling: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(minilm_path, folder)
    types = json.loads((folder / "modules.json").read_text())
    for module, name in zip(types, SPELLINGS[spelling], strict=False):
        module["type"] = name
    (folder / "modules.json").write_text(json.dumps(types))
    texts = ["A text.", "Another one."]
    wanted = SentenceTransformer(str(minilm_path), dtype="float32").encode(texts)
    found = SentenceTransformer(str(folder), dtype="float32").encode(texts)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
