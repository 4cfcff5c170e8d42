"""Programs as people wrote them for sentence-transformers since v0.3 give on Vicinal what they give there.

Each file of programs/ is one program of many steps and knows nothing of Vicinal. programs/expected.json holds what its
steps gave with sentence-transformers 6.2.0 (torch 2.13.0, transformers 5.23.0): programs/record.py made it.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("datasets")

HERE = Path(__file__).resolve().parent / "programs"
EXPECTED: dict[str, dict[str, Any]] = json.loads((HERE / "expected.json").read_text())

# Why Vicinal gives something else, on purpose.
_OVERRIDE = "an overridden tokenize counts in encode, as it did before 6; 6.2 calls preprocess alone"
_BEFORE = "the evaluator is also asked before the first step, for the comparison that the run ends with"
_FIT = "fit counts epochs and steps as it always did (epoch 0, step -1); 6.2 gives those of its trainer"
_WEIGHTS = "weights keep the names of all years before 6 (0.auto_model...); load_state_dict reads 6.2's too"
_MODALITY = "features have no key for their modality: all is text"
_KEYS = "settings have the keys that every release reads; 6.2 has other names for some"
DIFFERS: dict[str, dict[str, str]] = {
    "program_v0_training": {
        "an_input_example_has_defaults": "an example without texts has an empty list of them, not None",
        "collates_a_batch": _MODALITY,
        "pooling_speaks_of_itself": _KEYS,
        "saves_loads_and_encodes_the_same": _KEYS,
        "the_trained_folder_has_its_csv": _FIT,
        "trains_with_another_optimizer_and_a_callback": _FIT,
    },
    "program_v1_internals": {
        "embeds_by_hand": _MODALITY,
        "names_of_parameters": _WEIGHTS,
        "state_dict_goes_round": _WEIGHTS,
    },
    "program_v2_custom": {
        "a_subclass_of_transformer": _OVERRIDE,
        "a_subclass_with_its_own_tokenize": _OVERRIDE,
        "an_own_evaluator_in_fit": _BEFORE,
    },
    "program_v2_modules": {
        "dense_says_its_config": _KEYS,
        "static_embedding_of_a_dimension": "a static model has no limit of length: None, not infinity",
        "transformer_says_its_features": _MODALITY,
        "word_embeddings_from_a_text_file": (
            "WhitespaceTokenizer() leaves out punctuation alone; 6.2's list of English words can be given as stop_words"
        ),
    },
    "program_v3_encode": {
        "encodes_everything": _MODALITY,
        "encodes_everything_of_a_list": "token vectors of a text end with the text; 6.2 keeps its batch's padding",
        "pool_of_processes": "a pool is an object, not a dictionary of queues",
        "encodes_nothing": "no texts give an array of shape (0, dimensions)",
        "wrong_inputs_fail": "a number is a TypeError",
    },
    "program_v3_evaluation": {
        "unequal_lists_fail": "a ValueError that names the lengths, not an AssertionError"
    },
    "program_v3_trainer": {"evaluates_with_an_own_evaluator": _BEFORE},
}

pytestmark = pytest.mark.slow


def run(program: str, model: Path) -> dict[str, Any]:
    """What the steps of a program give under ``vicinal run``."""
    root = HERE.parents[2]
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": str(root),
    }
    done = subprocess.run(
        [sys.executable, "-B", "-m", "vicinal", "run", str(HERE / f"{program}.py"), str(model)],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def differences(found: Any, wanted: Any, near: float, where: str = "") -> list[str]:
    """Where two records differ: numbers by more than ``near`` (of their size where that is above 1)."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        if list(found) != list(wanted):
            return [f"{where} has {list(found)}, wanted {list(wanted)}"]
        return [
            line
            for name in wanted
            for line in differences(found[name], wanted[name], near, f"{where}.{name}")
        ]
    if isinstance(wanted, list) and isinstance(found, list):
        if len(found) != len(wanted):
            return [f"{where} has {len(found)} items, wanted {len(wanted)}: {found}"]
        pairs = enumerate(zip(found, wanted, strict=True))
        return [
            line for place, (one, two) in pairs for line in differences(one, two, near, f"{where}[{place}]")
        ]
    numbers = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in (found, wanted))
    if numbers and (isinstance(wanted, float) or isinstance(found, float)):
        same = (math.isnan(found) and math.isnan(wanted)) or abs(found - wanted) <= near * max(
            1.0, abs(wanted)
        )
        return [] if same else [f"{where} is {found}, wanted {wanted}"]
    return (
        []
        if found == wanted and type(found) is type(wanted)
        else [f"{where} is {found!r}, wanted {wanted!r}"]
    )


def compare(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Where a step differs."""
    if "raises" in wanted:
        if "raises" not in found:
            return [f"gives {found['gives']}, wanted {wanted['raises'][0]}"]
        same = wanted["raises"][0] in found["raises"]
        return [] if same else [f"raises {found['raises'][0]}, wanted {wanted['raises'][0]}"]
    if "raises" in found:
        return [f"raises {found['raises'][0]}: {found['says']}"]
    return differences(found["gives"], wanted["gives"], wanted["near"])


@pytest.mark.parametrize("program", sorted(EXPECTED))
def test_a_program_gives_what_it_gives_on_sentence_transformers(program: str, minilm_path: Path) -> None:
    found, wanted = run(program, minilm_path), EXPECTED[program]
    assert list(found) == list(wanted)
    wrong = {step: compare(found[step], wanted[step]) for step in wanted}
    wrong = {step: lines for step, lines in wrong.items() if lines}
    known = DIFFERS.get(program, {})
    text = "\n".join(f"{step}: {'; '.join(lines[:4])}" for step, lines in wrong.items() if step not in known)
    assert not text, f"\n{text}"
    assert set(known) == set(wrong), "a step that differed agrees now: take it off the list"


def test_the_programs_have_at_least_150_steps_that_agree() -> None:
    passed = [
        step
        for program, steps in EXPECTED.items()
        for step, one in steps.items()
        if "gives" in one and step not in DIFFERS.get(program, {})
    ]
    assert len(passed) >= 150


def test_every_program_is_recorded() -> None:
    assert sorted(path.stem for path in HERE.glob("program_*.py")) == sorted(EXPECTED)
