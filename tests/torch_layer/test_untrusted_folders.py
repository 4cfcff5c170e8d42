"""A folder of unknown origin: nothing that it names is imported, constructed or called without the user's word."""

from __future__ import annotations

import json
import pickle
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tinyfolder import NORMALIZE, POOLING, TRANSFORMER, make_folder  # noqa: E402

from vicinal import CrossEncoder, SentenceTransformer, models  # noqa: E402
from vicinal.errors import InputTypeError, ModelFormatError, UnsupportedModelError, VicinalError  # noqa: E402

pytestmark = pytest.mark.torch
TEXTS = ["the cat sat on the mat", "a dog"]

# Whoever constructs, loads or imports it leaves a file behind.
CANARY = """
import torch
from pathlib import Path

class Plain:
    def __init__(self, *args, **kwargs):
        Path(MARK).touch()

class Loading:
    @classmethod
    def load(cls, *args, **kwargs):
        Path(MARK).touch()
        return cls()

class Derived(torch.nn.Module):
    def __init__(self, *args, **kwargs):
        Path(MARK).touch()
        super().__init__()

    def forward(self, features):
        return features

class ToSomethingElse(torch.nn.Module):
    @classmethod
    def load(cls, *args, **kwargs):
        return "no module"

def function(*args, **kwargs):
    Path(MARK).touch()
"""


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "the-canary-was-here"


@pytest.fixture
def canary(mark: Path) -> Iterator[Any]:
    """A loaded module, as any of the hundreds that a program has imported."""
    module = types.ModuleType("canary_of_tests")
    exec(f"MARK = {str(mark)!r}\n{CANARY}".replace("MARK)", f"{str(mark)!r})"), module.__dict__)
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


class Bomb:
    """A pickle that runs a command when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.mark,)


def folder_with(tmp_path: Path, kind: Any, **more: Any) -> Path:
    extra = {"idx": 2, "name": "2", "path": "2_More", "type": kind, **more}
    folder = Path(make_folder(tmp_path / "model", modules=[TRANSFORMER, POOLING, extra]))
    (folder / "2_More").mkdir(exist_ok=True)
    return folder


NAMES = [
    "canary_of_tests.Plain",
    "canary_of_tests.Loading",
    "canary_of_tests.Derived",
    "canary_of_tests.function",
    "subprocess.Popen",
    "os.system",
    "builtins.exec",
    "torch.load",
    "torch.nn.modules.linear.Linear",
    "__main__.__loader__",
    "vicinal.nn.modules.registry.open_custom",
    "vicinal.SentenceTransformer",
    "vicinal.models.WhitespaceTokenizer",
    "sentence_transformers.models.Module",
    "sentence_transformers.models.InputModule",
    "",
    ".",
    "..Dense",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", ["modules.json", "router"])
def test_a_named_class_is_not_touched(name: str, place: str, tmp_path: Path, canary: Any, mark: Path) -> None:
    if place == "router":
        folder = folder_with(tmp_path, "sentence_transformers.models.Router")
        settings = {"types": {"a": name}, "structure": {"query": ["a"]}, "parameters": {}}
        (folder / "2_More/router_config.json").write_text(json.dumps(settings))
        (folder / "2_More/a").mkdir()
    else:
        folder = folder_with(tmp_path, name)
    with pytest.raises(UnsupportedModelError, match=r"module_classes=.*trust_remote_code=True"):
        SentenceTransformer(folder, device="cpu")
    assert not mark.exists()


@pytest.mark.parametrize("name", ["Plain", "Loading", "function"])
def test_even_trust_wants_a_module(name: str, tmp_path: Path, canary: Any, mark: Path) -> None:
    """What is no module is not even constructed."""
    folder = folder_with(tmp_path, f"canary_of_tests.{name}")
    with pytest.raises(UnsupportedModelError, match=r"something else than a torch\.nn\.Module"):
        SentenceTransformer(folder, device="cpu", trust_remote_code=True)
    with pytest.raises(InputTypeError, match=r"module_classes\[0\]"):
        SentenceTransformer(folder, device="cpu", module_classes=[getattr(canary, name)])
    assert not mark.exists()


def test_a_load_that_gives_something_else(tmp_path: Path, canary: Any) -> None:
    folder = folder_with(tmp_path, "canary_of_tests.ToSomethingElse")
    with pytest.raises(ModelFormatError, match=r"ToSomethingElse\.load gave str"):
        SentenceTransformer(folder, device="cpu", module_classes=[canary.ToSomethingElse])


def test_with_the_users_word(tmp_path: Path, canary: Any, mark: Path) -> None:
    folder = folder_with(tmp_path, "canary_of_tests.Derived")
    plain = make_folder(tmp_path / "plain", modules=[TRANSFORMER, POOLING])
    expected = SentenceTransformer(plain, device="cpu", dtype="float32").encode(TEXTS)
    for options in ({"module_classes": [canary.Derived]}, {"trust_remote_code": True}):
        model = SentenceTransformer(folder, device="cpu", **options)  # type: ignore[arg-type]
        assert type(model[2]) is canary.Derived and mark.exists()
        np.testing.assert_allclose(model.encode(TEXTS), expected, atol=1e-5)
        mark.unlink()
    # A class of another module, given by the user under the same name, is the user's choice.
    assert (
        type(SentenceTransformer(folder, device="cpu", module_classes=[models.Normalize, canary.Derived])[2])
        is canary.Derived
    )


class Own(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        return features


def test_a_class_of_the_running_script(
    tmp_path: Path, canary: Any, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the script defines is the user's; what it has imported is not."""
    main = sys.modules["__main__"]
    own = type("Own", (Own,), {"__module__": "__main__"})
    monkeypatch.setattr(main, "Own", own, raising=False)
    monkeypatch.setattr(main, "Derived", canary.Derived, raising=False)
    monkeypatch.setattr(
        main, "NoModule", type("NoModule", (), {"__module__": "__main__", "load": canary.function}), False
    )
    assert type(SentenceTransformer(folder_with(tmp_path, "__main__.Own"), device="cpu")[2]) is own
    for name in ("Derived", "NoModule"):
        with pytest.raises(UnsupportedModelError, match="module_classes"):
            SentenceTransformer(folder_with(tmp_path, f"__main__.{name}"), device="cpu")
    assert not mark.exists()


@pytest.mark.parametrize("trust", [False, True])
def test_files_beside_the_model_are_not_imported(tmp_path: Path, mark: Path, trust: bool) -> None:
    """Trust in a folder is no trust in what lies around it."""
    folder = folder_with(tmp_path, "strange_name.Thing")
    code = f"from pathlib import Path\nPath({str(mark)!r}).touch()"
    (tmp_path / "strange_name.py").write_text(code)
    for name in ("strange_name.Thing", "../strange_name.Thing", f"{tmp_path}/strange_name.Thing"):
        for path in ("2_More", ""):
            extra = {"idx": 2, "name": "2", "path": path, "type": name}
            (folder / "modules.json").write_text(json.dumps([TRANSFORMER, POOLING, extra]))
            with pytest.raises(UnsupportedModelError):
                SentenceTransformer(folder, device="cpu", trust_remote_code=trust)
    assert not mark.exists()
    if trust:  # that of the folder itself is
        (folder / "strange_name.py").write_text(code)
        extra = {"idx": 2, "name": "2", "path": "2_More", "type": "strange_name.Thing"}
        (folder / "modules.json").write_text(json.dumps([TRANSFORMER, POOLING, extra]))
        with pytest.raises(UnsupportedModelError, match="no class 'Thing'"):
            SentenceTransformer(folder, device="cpu", trust_remote_code=True)
        assert mark.exists()


@pytest.mark.parametrize("path", ["../outside", "a/../../outside", "/outside", "\\outside", 5, ["a"]])
def test_a_path_that_leaves_the_folder(path: Any, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    folder = folder_with(tmp_path, "sentence_transformers.models.Router")
    router = {"types": {"a": "sentence_transformers.models.Normalize"}, "structure": {"query": [path]}}
    if not isinstance(path, list):
        router["types"][str(path)] = router["types"]["a"]  # type: ignore[index, call-overload]
    (folder / "2_More/router_config.json").write_text(json.dumps(router))
    with pytest.raises(ModelFormatError, match=r"router_config\.json"):
        SentenceTransformer(folder, device="cpu")
    entry = {**NORMALIZE, "path": path}
    (folder / "modules.json").write_text(json.dumps([TRANSFORMER, POOLING, entry]))
    with pytest.raises(ModelFormatError, match=r"modules\.json"):
        SentenceTransformer(folder, device="cpu")


@pytest.mark.parametrize(
    "parameters",
    [
        {"route_mappings": {"__import__('os').system('x')": "query"}},
        {"route_mappings": {"(" * 5000: "query"}},
        {"route_mappings": {"'query'": "query"}},
        {"route_mappings": 3},
        {"route_mappings": {"('a', None)": []}},
        {"sub_modules": {}},
        {"unheard": 1},
        7,
    ],
)
def test_parameters_of_a_router(parameters: Any, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "sentence_transformers.models.Router")
    types = {"a": "sentence_transformers.models.Normalize"}
    settings = {"types": types, "structure": {"query": ["a"]}, "parameters": parameters}
    (folder / "2_More/router_config.json").write_text(json.dumps(settings))
    (folder / "2_More/a").mkdir()
    with pytest.raises(VicinalError):
        SentenceTransformer(folder, device="cpu")


@pytest.mark.filterwarnings("ignore::vicinal.errors.NewHeadWarning")
@pytest.mark.parametrize("name", ["canary_of_tests.Tanh", "os.Tanh", "my.activations.Sigmoid"])
def test_activations_of_other_packages(name: str, tmp_path: Path, canary: Any, mark: Path) -> None:
    """Neither run nor taken for torch's of the same name."""
    canary.Tanh = canary.Sigmoid = canary.Derived
    folder = folder_with(tmp_path, "sentence_transformers.models.Dense")
    dense = {"in_features": 16, "out_features": 16, "activation_function": name}
    (folder / "2_More/config.json").write_text(json.dumps(dense))
    with pytest.raises(UnsupportedModelError, match="activation_function"):
        SentenceTransformer(folder, device="cpu")
    scorer = Path(make_folder(tmp_path / "pairs"))
    torch.manual_seed(0)
    CrossEncoder(scorer, device="cpu", num_labels=1).save(scorer)
    settings = scorer / "config_sentence_transformers.json"
    written = {**json.loads(settings.read_text()), "activation_fn": None}
    settings.write_text(json.dumps(written))
    for file, change in (
        ("config_sentence_transformers.json", {"activation_fn": name}),
        ("config.json", {"sentence_transformers": {"activation_fn": name}}),
        ("config.json", {"sbert_ce_default_activation_function": name}),
    ):
        before = (scorer / file).read_text()
        changed = {**json.loads(before), "sentence_transformers": None, **change}
        (scorer / file).write_text(json.dumps(changed))
        with pytest.raises(UnsupportedModelError, match="activation"):
            CrossEncoder(scorer, device="cpu")
        (scorer / file).write_text(before)
    assert not mark.exists()


@pytest.mark.filterwarnings("ignore::vicinal.errors.NewHeadWarning")
@pytest.mark.parametrize("kind", [SentenceTransformer, CrossEncoder])
@pytest.mark.parametrize(
    "key", ["attn_implementation", "_attn_implementation", "_attn_implementation_internal"]
)
def test_a_kernel_of_the_hub(kind: Any, key: str, tmp_path: Path) -> None:
    """transformers would download and run native code that config.json names."""
    folder = Path(make_folder(tmp_path))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, key: "somebody/kernel"}))
    model = kind(folder, device="cpu", backend="torch")
    assert model.module[0].config._attn_implementation in ("sdpa", "eager")


def test_code_that_config_json_names(tmp_path: Path, mark: Path) -> None:
    folder = Path(make_folder(tmp_path / "model"))
    (folder / "own_code.py").write_text(
        f"from pathlib import Path\nPath({str(mark)!r}).touch()\nclass Own: pass"
    )
    config = json.loads((folder / "config.json").read_text())
    parts = ("AutoConfig", "AutoModel", "AutoModelForSequenceClassification", "AutoTokenizer")
    config["auto_map"] = dict.fromkeys(parts, "own_code.Own")
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    tokenizer["auto_map"] = {"AutoTokenizer": ["own_code.Own", "own_code.Own"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    SentenceTransformer(folder, device="cpu", backend="torch").encode(TEXTS)
    config["model_type"] = "unheard"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModelError, match="trust_remote_code=True"):
        SentenceTransformer(folder, device="cpu")
    assert not mark.exists()


def test_pickles_in_the_place_of_weights(tmp_path: Path, mark: Path) -> None:
    folder = Path(make_folder(tmp_path / "model"))
    (folder / "model.safetensors").unlink()
    bomb = pickle.dumps({"a": Bomb(mark)}, protocol=2)
    (folder / "pytorch_model.bin").write_bytes(bomb)
    for options in ({}, {"backend": "torch"}):
        with pytest.raises(ModelFormatError, match=r"pytorch_model\.bin|transformers cannot load"):
            SentenceTransformer(folder, device="cpu", **options).encode(TEXTS)  # type: ignore[arg-type]
    torch.save({"a": Bomb(mark)}, folder / "pytorch_model.bin")
    with pytest.raises(ModelFormatError, match=r"pytorch_model\.bin"):
        SentenceTransformer(folder, device="cpu").encode(TEXTS)
    dense = folder_with(tmp_path / "dense", "sentence_transformers.models.Dense")
    settings = {
        "in_features": 16,
        "out_features": 16,
        "activation_function": "torch.nn.modules.activation.Tanh",
    }
    (dense / "2_More/config.json").write_text(json.dumps(settings))
    (dense / "2_More/pytorch_model.bin").write_bytes(bomb)
    for options in ({}, {"backend": "torch"}):
        with pytest.raises(ModelFormatError, match=r"pytorch_model\.bin"):
            SentenceTransformer(dense, device="cpu", **options).encode(TEXTS)  # type: ignore[arg-type]
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["Dense", "LSTM", "CNN", "BoW", "WordWeights", "WordEmbeddings", "Router"])
@pytest.mark.parametrize("settings", ["[]", "{", '{"unheard": 1}', '{"vocab": 3, "in_features": "x"}'])
def test_settings_that_are_none(kind: str, settings: str, tmp_path: Path) -> None:
    """Modules of ours: an error of ours, whatever their files hold."""
    folder = folder_with(tmp_path, f"sentence_transformers.models.{kind}")
    names = ("config.json", "lstm_config.json", "cnn_config.json", "wordembedding_config.json")
    for name in (*names, "router_config.json", "whitespacetokenizer_config.json"):
        (folder / "2_More" / name).write_text(settings)
    with pytest.raises(VicinalError):
        SentenceTransformer(folder, device="cpu").encode(TEXTS)


def test_tokenizers_of_words(tmp_path: Path, canary: Any, mark: Path) -> None:
    canary.WhitespaceTokenizer = canary.Loading
    for name in ("canary_of_tests.Loading", "os.system", "x.WordTokenizer", "x.Path", "x.ABC"):
        words = models.WordEmbeddings(models.WhitespaceTokenizer(["cat", "dog"]), np.eye(2, dtype=np.float32))
        folder = tmp_path / name
        SentenceTransformer(modules=[words, models.Pooling(2)], device="cpu").save(folder)
        path = folder / "wordembedding_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "tokenizer_class": name}))
        with pytest.raises(UnsupportedModelError, match="none of Vicinal's word tokenizers"):
            SentenceTransformer(folder, device="cpu")
    assert not mark.exists()


def test_modules_of_a_checkpoint_lie_inside_it(tmp_path: Path) -> None:
    from vicinal.nn.training.trained import read_modules

    model = SentenceTransformer(make_folder(tmp_path / "model", modules=[TRANSFORMER, POOLING]), device="cpu")
    model.save(tmp_path / "checkpoint")
    read_modules(model.module, tmp_path / "checkpoint")
    entries = json.loads((tmp_path / "checkpoint/modules.json").read_text())
    entries[1]["path"] = "../model/1_Pooling"
    (tmp_path / "checkpoint/modules.json").write_text(json.dumps(entries))
    with pytest.raises(ModelFormatError, match="leaves the model folder"):
        read_modules(model.module, tmp_path / "checkpoint")
