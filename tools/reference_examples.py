"""Run the examples of sentence-transformers on Vicinal and on itself, with tiny models and made-up data.

    python tools/reference_examples.py CHECKOUT                     # which imports do not resolve
    python tools/reference_examples.py CHECKOUT --run FOLDER        # run them all on both, two training steps each
    python tools/reference_examples.py CHECKOUT --run FOLDER --only nli --package vicinal

CHECKOUT is the repository of sentence-transformers, or a folder with its examples/; nothing of it is kept here.
Running needs an environment with sentence-transformers 6.2 and what Vicinal needs (torch, transformers, datasets,
peft, accelerate, openvino, ...), for instance .bench/peer, and no network: models come from a cache in FOLDER that
the first run writes, data sets and downloads from tools/reference_stage. What each example printed lies in
FOLDER/<package>/<example>/log. The table says for each example whether it ran, and how far the numbers that both
print, and the weights that both save, are apart.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

STAGE = Path(__file__).resolve().parent / "reference_stage"
ROOT = STAGE.parent.parent
PACKAGE = "sentence_transformers"
# Kinds of models that Vicinal does not have, and services that no test has.
_OTHER_KINDS = ("sparse_encoder", "multi_vector_encoder", "multimodal", "clip")
_NOT_RUN = (*_OTHER_KINDS, "unsloth")
_BI = "sentence-transformers/all-MiniLM-L6-v2"
ARGUMENTS = {
    "eval_askubuntu": [_BI],
    "train_ct_from_file": ["sentences.txt"],
    "train_ct_improved_from_file": ["sentences.txt"],
    "train_simcse_from_file": ["sentences.txt"],
    "train_tsdae_from_file": ["sentences.txt"],
    "train_mlm": ["distilbert/distilbert-base-uncased", "sentences.txt"],
    "evaluation_translation_matching": [_BI, "sentence-transformers/parallel-sentences-talks", "en-de"],
    "eval_cross_encoder_trec_dl": ["cross-encoder/ms-marco-TinyBERT-L2-v2"],
    "train_sts_seed_optimization": ["google-bert/bert-base-uncased", "2", "0.5"],
    "eval_msmarco": [_BI],
    "evaluation_stsbenchmark": [_BI],
    "matryoshka_eval_stsb": ["plot.png", "--model_names", _BI, "--dimensions", "384", "128", "64"],
}


def unresolved(file: Path) -> Iterator[str]:
    """The imports of a file that fail while ``sentence_transformers`` means Vicinal."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[tuple[str, str | None]] = []
        if isinstance(node, ast.Import):
            names = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [(node.module, alias.name) for alias in node.names]
        for module, name in names:
            if module.partition(".")[0] == PACKAGE and not _resolves(module, name):
                yield f"{module} {name or ''}".strip()


def _resolves(module: str, name: str | None) -> bool:
    try:
        found = importlib.import_module(module)
        if name is not None and not hasattr(found, name):
            importlib.import_module(f"{module}.{name}")
    except ImportError:
        return False
    return True


def check_imports(files: list[Path], examples: Path) -> int:
    """Print what does not resolve; returns how many imports of text models these are."""
    import vicinal

    vicinal.install_as_sentence_transformers(replace=True)
    fails: Counter[tuple[str, bool]] = Counter()
    for file in files:
        other = any(word in file.relative_to(examples).parts for word in _OTHER_KINDS)
        for name in unresolved(file):
            fails[name, other or any(word in name for word in _OTHER_KINDS)] += 1
    for (name, other), times in sorted(fails.items(), key=lambda item: (item[0][1], item[0][0])):
        print(f"{times:4} {name}" + ("   (a kind of model that Vicinal does not have)" if other else ""))
    ours = sum(not other for _, other in fails)
    print(f"{len(files)} examples; {ours} names for text models do not resolve")
    return ours


def run(files: list[Path], examples: Path, folder: Path, packages: list[str], python: Path) -> int:
    """Run examples and print the table; returns how many ran on the reference and not on Vicinal."""
    sys.path.insert(0, str(STAGE))
    home = folder / "hf"
    environment = {
        **os.environ,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "WANDB_DISABLED": "true",
        "MPLBACKEND": "Agg",
        "PYTHONPATH": os.pathsep.join((str(STAGE), str(ROOT))),
    }
    subprocess.run([python, STAGE / "made_models.py", home], check=True, env=environment)
    jobs = []
    for file in files:
        name = ".".join(file.relative_to(examples).with_suffix("").parts)
        if f"import {PACKAGE}" in (text := file.read_text(encoding="utf-8")) or f"from {PACKAGE}" in text:
            jobs.append({"name": name, "path": str(file), "arguments": ARGUMENTS.get(file.stem, [])})
    lines = "".join(json.dumps(job) + "\n" for job in jobs)
    for package in packages:
        command = [python, STAGE / "run_examples.py", package, folder / package]
        subprocess.run(command, check=True, env=environment, input=lines, text=True)
    return _table([str(job["name"]) for job in jobs], folder)


def _table(names: list[str], folder: Path) -> int:
    from compare import compare

    both, lost = 0, 0
    print("\n| example | reference | vicinal | numbers | largest difference | weights | where, or why not |")
    print("|---|---|---|---|---|---|---|")
    for name in names:
        theirs, ours = (_ran(folder / package / name) for package in ("reference", "vicinal"))
        count, worst, where, weights = 0, "", "", ""
        if theirs and ours:
            both += 1
            count, difference, where, weights = compare(
                folder / "reference" / name, folder / "vicinal" / name
            )
            worst, where = f"{difference:.1e}", where if difference > 1e-3 else ""
        else:
            lost += theirs
            where = _last_line(folder / ("vicinal" if theirs else "reference") / name)
        marks = ("ran" if theirs else "no", "ran" if ours else "no")
        cells = [name, *marks, str(count or ""), worst, weights, where.replace("|", "\\|")]
        print("| " + " | ".join(cells) + " |")
    print(f"\n{len(names)} examples; {both} ran on both, {lost} on the reference alone")
    return lost


def _ran(folder: Path) -> bool:
    status = folder / "status.json"
    return status.exists() and json.loads(status.read_text())["code"] == 0


def _last_line(folder: Path) -> str:
    log = folder / "log"
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1][:160] if lines else "not run"


def main() -> int:
    """The command line; exit code 1 if something of the reference's does not work here."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--run", type=Path, metavar="FOLDER")
    parser.add_argument("--only", default="", help="examples whose path contains this")
    parser.add_argument("--package", choices=("reference", "vicinal"), help="run on this one only")
    parser.add_argument("--python", type=Path, default=ROOT / ".bench/peer/bin/python")
    given = parser.parse_args()
    examples = given.checkout.resolve()
    if (examples / "examples").is_dir():
        examples = examples / "examples"
    files = [file for file in sorted(examples.rglob("*.py")) if given.only in str(file.relative_to(examples))]
    if given.run is None:
        return int(check_imports(files, examples) > 0)
    texts = [file for file in files if not set(_NOT_RUN) & set(file.relative_to(examples).parts)]
    packages = [given.package] if given.package else ["reference", "vicinal"]
    return int(run(texts, examples, given.run.resolve(), packages, given.python) > 0)


if __name__ == "__main__":
    sys.exit(main())
