"""A server of random models of two layers: one that gives vectors and has prompts, a reranker, a classifier."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vicinal import CrossEncoder, SentenceTransformer

TEXTS = [
    "the cat sat on the mat",
    "a bird",
    "one two three four five six seven",
    "the cat sat on the mat",
    "",
    "Größe 你好 🙂 the dog",
    " ".join(["big red dog under the tree"] * 9),
]
PROMPTS = {"query": "the big ", "document": "a small ", "clustering": "one two "}


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Texts of every sort: twice the same, none, strange letters, and one that is too long for the models."""
    return list(TEXTS)


@pytest.fixture(scope="session")
def prompted_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with prompts."""
    folder = tmp_path_factory.mktemp("p") / "embedder"
    shutil.copytree(tiny_folder, folder)
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": PROMPTS}))
    return folder


@pytest.fixture(scope="session")
def asked(serve: Callable[..., Any], prompted_folder: Path, scorer_folder: Path, labels_folder: Path) -> Any:
    """The server: ``embedder``, ``scorer`` and ``classifier``."""
    return serve(models=(str(prompted_folder),), rerankers=(str(scorer_folder), str(labels_folder)))


@pytest.fixture(scope="session")
def model(prompted_folder: Path) -> SentenceTransformer:
    """The same model in this process."""
    return SentenceTransformer(prompted_folder, dtype="float32")


@pytest.fixture(scope="session")
def scorer(scorer_folder: Path) -> CrossEncoder:
    """The same reranker in this process."""
    return CrossEncoder(scorer_folder, dtype="float32")


@pytest.fixture(scope="session")
def logits(labels_folder: Path) -> Any:
    """The classifier in this process, with torch: text, and perhaps another one, to one number per label."""
    import torch
    import transformers

    network = transformers.BertForSequenceClassification.from_pretrained(labels_folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(labels_folder)

    def compute(*texts: str) -> Any:
        with torch.no_grad():
            return network(**tokenizer(*texts, return_tensors="pt")).logits[0].double().numpy()

    return compute
