"""``import sentence_transformers`` means Vicinal: every path, every name, and nothing where it should not."""

from __future__ import annotations

import copy
import importlib
import importlib.metadata
import importlib.util
import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

import vicinal
from vicinal.compat import install_as_sentence_transformers, is_installed, uninstall
from vicinal.compat.absent import placeholder
from vicinal.compat.paths import PACKAGE, VERSION, Missing, lookup
from vicinal.errors import UnsupportedModelError

ROOT = Path(__file__).resolve().parents[2]
STOCK = json.loads((ROOT / "tools" / "sentence_transformers_6.2.json").read_text())

# path of the real package, in one of its layouts -> where Vicinal keeps the thing
PATHS = {
    "sentence_transformers:SentenceTransformer": "vicinal:SentenceTransformer",
    "sentence_transformers.SentenceTransformer:SentenceTransformer": "vicinal:SentenceTransformer",
    "sentence_transformers.sentence_transformer.model:SentenceTransformer": "vicinal:SentenceTransformer",
    "sentence_transformers.cross_encoder:CrossEncoder": "vicinal:CrossEncoder",
    "sentence_transformers.cross_encoder.CrossEncoder:CrossEncoder": "vicinal:CrossEncoder",
    "sentence_transformers.cross_encoder.model:CrossEncoder": "vicinal:CrossEncoder",
    "sentence_transformers.readers:InputExample": "vicinal:InputExample",
    "sentence_transformers.readers.InputExample:InputExample": "vicinal:InputExample",
    "sentence_transformers.sentence_transformer.readers.input_example:InputExample": "vicinal:InputExample",
    "sentence_transformers.util:cos_sim": "vicinal.util:cos_sim",
    "sentence_transformers.util:pytorch_cos_sim": "vicinal.util:pytorch_cos_sim",
    "sentence_transformers.util.similarity:cos_sim": "vicinal.util:cos_sim",
    "sentence_transformers.util.retrieval:semantic_search": "vicinal.util:semantic_search",
    "sentence_transformers.quantization:quantize_embeddings": "vicinal.vectors.quantization:quantize_embeddings",
    "sentence_transformers.similarity_functions:SimilarityFunction": "vicinal:SimilarityFunction",
    "sentence_transformers.evaluation:SimilarityFunction": "vicinal:SimilarityFunction",
    "sentence_transformers.evaluation:TripletEvaluator": "vicinal.evaluation:TripletEvaluator",
    "sentence_transformers.evaluation.TripletEvaluator:TripletEvaluator": "vicinal.evaluation:TripletEvaluator",
    "sentence_transformers.sentence_transformer.evaluation:TripletEvaluator": "vicinal.evaluation:TripletEvaluator",
}
# the same, of things that need torch
TORCH_PATHS = {
    "sentence_transformers.losses:CosineSimilarityLoss": "vicinal.losses:CosineSimilarityLoss",
    "sentence_transformers.losses.CosineSimilarityLoss:CosineSimilarityLoss": "vicinal.losses:CosineSimilarityLoss",
    "sentence_transformers.sentence_transformer.losses:CosineSimilarityLoss": "vicinal.losses:CosineSimilarityLoss",
    "sentence_transformers.sentence_transformer.losses.cosine_similarity:CosineSimilarityLoss": (
        "vicinal.losses:CosineSimilarityLoss"
    ),
    "sentence_transformers.models:Pooling": "vicinal.models:Pooling",
    "sentence_transformers.models.Pooling:Pooling": "vicinal.models:Pooling",
    "sentence_transformers.models.Transformer:Transformer": "vicinal.models:Transformer",
    "sentence_transformers.sentence_transformer.modules:Pooling": "vicinal.models:Pooling",
    "sentence_transformers.sentence_transformer.modules.pooling:Pooling": "vicinal.models:Pooling",
    "sentence_transformers.sentence_transformer.modules.tokenizer.whitespace:WhitespaceTokenizer": (
        "vicinal.nn.modules.word_tokenizers:WhitespaceTokenizer"
    ),
    "sentence_transformers.base.modules:Transformer": "vicinal.models:Transformer",
    "sentence_transformers.base.modules.transformer:Transformer": "vicinal.models:Transformer",
    "sentence_transformers.trainer:SentenceTransformerTrainer": "vicinal.training:SentenceTransformerTrainer",
    "sentence_transformers.training_args:BatchSamplers": "vicinal.training:BatchSamplers",
    "sentence_transformers.sentence_transformer.training_args:BatchSamplers": "vicinal.training:BatchSamplers",
    "sentence_transformers.cross_encoder.losses:BinaryCrossEntropyLoss": (
        "vicinal.cross_encoder.losses:BinaryCrossEntropyLoss"
    ),
}


# The home of the models.
MODELS = "vicinal.compat.models" if importlib.util.find_spec("torch") else "vicinal"
# Under the other name models are torch modules and similarities tensors, wherever torch is installed.
if importlib.util.find_spec("torch"):
    _THERE = dict.fromkeys(("SentenceTransformer", "CrossEncoder"), "vicinal.compat.models")
    _THERE |= dict.fromkeys(("cos_sim", "pytorch_cos_sim", "semantic_search"), "vicinal.compat.tensors")
    for _path, _place in PATHS.items():
        _name = _place.partition(":")[2]
        PATHS[_path] = f"{_THERE[_name]}:{_name}" if _name in _THERE else _place


def value(place: str) -> object:
    """The value at ``module:name``."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


@pytest.mark.usefixtures("installed")
class TestNames:
    @pytest.mark.parametrize("path", PATHS)
    def test_paths_of_all_layouts(self, path: str) -> None:
        assert value(path) is value(PATHS[path])

    @pytest.mark.torch
    @pytest.mark.parametrize("path", TORCH_PATHS)
    def test_paths_that_need_torch(self, path: str) -> None:
        pytest.importorskip("torch")
        assert value(path) is value(TORCH_PATHS[path])

    @pytest.mark.torch
    @pytest.mark.parametrize("path", STOCK["modules"])
    def test_every_name_that_vicinal_has_can_be_imported_from_its_module(self, path: str) -> None:
        pytest.importorskip("torch")
        inner = path.partition(".")[2]
        for name in STOCK["modules"][path]:
            found = lookup(inner, name)
            if found is not Missing:
                assert getattr(importlib.import_module(path), name) is found

    def test_every_name_of_the_package_is_there_or_stands_in(self) -> None:
        package = importlib.import_module(PACKAGE)
        for name in (
            "SentenceTransformer",
            "CrossEncoder",
            "InputExample",
            "SimilarityFunction",
            "LoggingHandler",
        ):
            assert getattr(package, name).__name__ == name
        for name in ("SparseEncoder", "MultiVectorEncoder", "export_optimized_onnx_model"):
            assert getattr(package, name) is placeholder(name)

    def test_star(self) -> None:
        names: dict[str, object] = {}
        exec("from sentence_transformers import *", names)
        assert names["SentenceTransformer"] is value(f"{MODELS}:SentenceTransformer")
        assert names["InputExample"] is vicinal.InputExample
        assert "SparseEncoder" not in names  # a stand-in is imported by its name only
        exec("from sentence_transformers.util import *", names)
        assert names["community_detection"] is vicinal.util.community_detection

    def test_class_and_submodule_of_one_name(self) -> None:
        importlib.import_module("sentence_transformers.SentenceTransformer")
        package = importlib.import_module(PACKAGE)
        assert package.SentenceTransformer is value(f"{MODELS}:SentenceTransformer")
        assert isinstance(sys.modules["sentence_transformers.SentenceTransformer"], ModuleType)
        evaluation = importlib.import_module("sentence_transformers.evaluation")
        importlib.import_module("sentence_transformers.evaluation.TripletEvaluator")
        assert evaluation.TripletEvaluator is vicinal.evaluation.TripletEvaluator

    def test_submodules_are_one_thing_however_they_are_reached(self) -> None:
        package = importlib.import_module(PACKAGE)
        for name in (
            "util",
            "evaluation",
            "quantization",
            "readers",
            "cross_encoder",
            "similarity_functions",
        ):
            assert getattr(package, name) is importlib.import_module(f"{PACKAGE}.{name}")
            assert name not in dir(vicinal) or getattr(package, name) is not getattr(vicinal, name, None)

    def test_modules_of_vicinal_are_not_names_of_it(self) -> None:
        package = importlib.import_module(PACKAGE)
        assert importlib.import_module("vicinal.errors").InputError
        assert not hasattr(package, "errors")
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("sentence_transformers.errors")

    def test_versions(self) -> None:
        assert importlib.import_module(PACKAGE).__version__ == VERSION
        for name in ("sentence-transformers", "sentence_transformers", "Sentence-Transformers"):
            assert importlib.metadata.version(name) == VERSION
        assert importlib.metadata.metadata("sentence-transformers")["Name"] == "sentence-transformers"
        assert importlib.metadata.version("pytest") == pytest.__version__  # others are still found

    def test_unknown_names_and_paths(self) -> None:
        package = importlib.import_module(PACKAGE)
        with pytest.raises(AttributeError, match=r"no attribute 'Nothing'.*docs/names.md"):
            _ = package.Nothing
        with pytest.raises(ImportError, match="Nothing"):
            exec("from sentence_transformers.util import Nothing")
        for path in ("nothing", "util.nothing", "losses.nothing.more", "index"):
            with pytest.raises(ModuleNotFoundError, match=r"nothing|index"):
                importlib.import_module(f"{PACKAGE}.{path}")
        assert importlib.util.find_spec(f"{PACKAGE}.nothing") is None

    def test_reload(self) -> None:
        package = importlib.import_module(PACKAGE)
        assert importlib.reload(package) is package
        assert package.SentenceTransformer is value(f"{MODELS}:SentenceTransformer")

    def test_dir_lists_names(self) -> None:
        assert {"SentenceTransformer", "InputExample"} <= set(dir(importlib.import_module(PACKAGE)))
        assert {"cos_sim", "semantic_search"} <= set(dir(importlib.import_module(f"{PACKAGE}.util")))

    def test_threads_import_at_once(self) -> None:
        paths = [*PATHS] * 4
        with ThreadPoolExecutor(16) as threads:
            found = list(threads.map(value, paths))
        assert all(one is value(PATHS[path]) for one, path in zip(found, paths, strict=True))


class TestAbsent:
    def test_nothing_is_an_instance(self) -> None:
        stand_in = placeholder("SparseEncoder")
        assert stand_in is not None and not isinstance(object(), stand_in)
        assert placeholder("SparseEncoder") is stand_in
        assert placeholder("cos_sim") is None

    def test_making_one_says_what_is_missing(self) -> None:
        stand_in = placeholder("SparseEncoder")
        assert stand_in is not None
        with pytest.raises(UnsupportedModelError, match="SparseEncoder: Vicinal has no sparse encoders"):
            stand_in("a model")


class TestTypeNames:
    """KeyBERT and BERTopic look for the package's name in that of the type."""

    def test_models_say_sentence_transformers_while_installed(self, installed: None) -> None:
        assert "sentence_transformers" in str(vicinal.SentenceTransformer)
        assert "sentence_transformers" in str(vicinal.CrossEncoder)
        for cls in (value(f"{MODELS}:SentenceTransformer"), value(f"{MODELS}:CrossEncoder")):
            assert getattr(importlib.import_module(cls.__module__), cls.__name__) is cls

    def test_uninstall_gives_the_names_back(self) -> None:
        install_as_sentence_transformers(replace=True)
        uninstall()
        assert vicinal.SentenceTransformer.__module__ == "vicinal.models.sentence_transformer"
        assert vicinal.CrossEncoder.__module__ == "vicinal.models.cross_encoder"

    def test_pickles_and_copies_of_models_name_vicinal(self, installed: None, minilm_path: Path) -> None:
        model = vicinal.SentenceTransformer(str(minilm_path))
        written = pickle.dumps(model)
        assert b"sentence_transformers.sentence_transformer" not in written
        wanted = model.encode("A text.")
        assert (pickle.loads(written).encode("A text.") == wanted).all()
        assert (copy.deepcopy(model).encode("A text.") == wanted).all()
        uninstall()
        assert (pickle.loads(written).encode("A text.") == wanted).all()


class TestInstalling:
    def test_again_changes_nothing(self, installed: None) -> None:
        before = list(sys.meta_path)
        assert install_as_sentence_transformers()
        assert sys.meta_path == before

    def test_uninstall(self) -> None:
        assert install_as_sentence_transformers(replace=True)
        importlib.import_module("sentence_transformers.util")
        uninstall()
        assert not is_installed()
        assert not any(name.partition(".")[0] == PACKAGE for name in sys.modules)
        uninstall()  # twice is as good as once

    def test_importing_vicinal_installs_nothing_and_installing_is_light(self) -> None:
        code = """
import sys, vicinal, vicinal.compat
assert not vicinal.compat.is_installed()
vicinal.compat.install_as_sentence_transformers()
import sentence_transformers, sentence_transformers.util
from sentence_transformers import InputExample, util
heavy = {"torch", "transformers", "openvino", "sklearn", "scipy", "datasets"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
from sentence_transformers import SentenceTransformer, CrossEncoder
heavy -= {"torch"}  # there they are torch modules
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr

    @pytest.fixture
    def real(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A folder on the path that has a package of that name."""
        folder = tmp_path / PACKAGE
        folder.mkdir()
        (folder / "__init__.py").write_text("__version__ = 'the real one'\nSentenceTransformer = 'real'\n")
        (folder / "util.py").write_text("cos_sim = 'real'\n")
        monkeypatch.syspath_prepend(tmp_path)
        return folder

    def test_the_real_package_is_left_alone(self, real: Path) -> None:
        assert not install_as_sentence_transformers()
        assert not is_installed()
        assert importlib.import_module(PACKAGE).SentenceTransformer == "real"
        assert not install_as_sentence_transformers()  # imported or not
        uninstall()
        sys.modules.pop(PACKAGE)

    def test_unless_asked_for(self, real: Path) -> None:
        try:
            assert install_as_sentence_transformers(replace=True)
            assert importlib.import_module(PACKAGE).SentenceTransformer is value(
                f"{MODELS}:SentenceTransformer"
            )
            assert (
                importlib.import_module(f"{PACKAGE}.util").community_detection
                is vicinal.util.community_detection
            )
        finally:
            uninstall()
        assert importlib.import_module(PACKAGE).SentenceTransformer == "real"
        sys.modules.pop(PACKAGE)

    def test_replacing_what_was_imported_warns(self, real: Path) -> None:
        taken = importlib.import_module(PACKAGE).SentenceTransformer
        try:
            with pytest.warns(RuntimeWarning, match="was imported before and is replaced"):
                assert install_as_sentence_transformers(replace=True)
            assert taken == "real"
            assert importlib.import_module(PACKAGE).SentenceTransformer is value(
                f"{MODELS}:SentenceTransformer"
            )
        finally:
            uninstall()
