"""``from sentence_transformers.X import *`` gives the names of that release, and inspect finds files and sources."""

from __future__ import annotations

import importlib
import importlib.resources
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vicinal.compat.star import _NAMES, _OLDER, listed

OWN = [path for path in _NAMES if not path.startswith(("sparse_encoder", "multi_vector_encoder"))]
# Layouts and files that list nothing, with a name that each brings.
UNLISTED = {
    "quantization": "quantize_embeddings",
    "similarity_functions": "SimilarityFunction",
    "util.similarity": "cos_sim",
    "util.retrieval": "semantic_search",
    "readers.InputExample": "InputExample",
}
TORCH = {
    "trainer": "SentenceTransformerTrainer",
    "losses.cosine_similarity": "CosineSimilarityLoss",
    "sentence_transformer.model": "SentenceTransformer",
    "cross_encoder.trainer": "CrossEncoderTrainer",
}

pytestmark = pytest.mark.usefixtures("installed")


def starred(path: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(f"from sentence_transformers{'.' + path if path else ''} import *", names)
    names.pop("__builtins__")
    return names


@pytest.mark.parametrize("path", [*OWN, *_OLDER])
def test_the_listed_names_and_no_others(path: str) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    pytest.importorskip("datasets")
    wanted = set(listed(path) or ())
    found = starred(path)
    assert found.keys() <= wanted
    module = importlib.import_module(f"sentence_transformers.{path}".rstrip("."))
    for name in wanted - found.keys():  # not in Vicinal, or a stand-in, which is imported by its name only
        assert (
            getattr(getattr(module, name, None), "__module__", "vicinal.compat.absent")
            == "vicinal.compat.absent"
        )


@pytest.mark.parametrize(("path", "name"), UNLISTED.items())
def test_what_others_bring(path: str, name: str) -> None:
    found = starred(path)
    assert name in found
    assert not [each for each in found.values() if inspect.ismodule(each)]


@pytest.mark.parametrize(("path", "name"), TORCH.items())
def test_what_others_bring_with_torch(path: str, name: str) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    pytest.importorskip("datasets")
    assert name in starred(path)


def test_the_names_of_readers() -> None:
    assert {"InputExample", "STSDataReader", "NLIDataReader", "TripletReader"} <= starred("readers").keys()


def test_modules_have_files() -> None:
    package = importlib.import_module("sentence_transformers")
    assert Path(package.__file__ or "").is_file()
    for path in ("util", "evaluation", "readers", "util.similarity", "sentence_transformer.model"):
        module = importlib.import_module(f"sentence_transformers.{path}")
        assert Path(inspect.getfile(module)).is_file()
        assert inspect.getsource(module)
    assert importlib.resources.files("sentence_transformers").is_dir()
    assert list(pkgutil.iter_modules(package.__path__)) == []
    spec = importlib.util.find_spec("sentence_transformers")
    assert spec is not None
    assert Path(spec.origin or "").is_file()


def test_classes_and_functions_have_sources() -> None:
    from sentence_transformers import CrossEncoder, SentenceTransformer, util  # type: ignore[import-not-found]

    for each in (SentenceTransformer, CrossEncoder):
        assert f"class {each.__name__}" in inspect.getsource(each)
        assert inspect.getmodule(each) is sys.modules[each.__module__]
    assert list(inspect.signature(util.cos_sim).parameters) == ["a", "b"]
    assert "def cos_sim" in inspect.getsource(util.cos_sim)


def test_importing_the_package_still_loads_no_torch() -> None:
    code = (
        "import sys, vicinal; vicinal.install_as_sentence_transformers(replace=True)\n"
        "import sentence_transformers.util, sentence_transformers.evaluation\n"
        "assert not {'torch', 'transformers'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
