"""Write docs/names.md: each public name of sentence-transformers, and whether Vicinal has it.

    python tools/compat_names.py            # write the page from the inventory and the present code
    python tools/compat_names.py --check    # exit code 1 if the page is not what would be written now
    PEER/bin/python tools/compat_names.py --inventory   # where sentence-transformers is installed: take stock anew

The inventory (names and parameters, no code) is tools/sentence_transformers_6.2.json. Why a name differs in what
it means rather than in what it takes no program can tell: REASONS is kept by hand.
"""

from __future__ import annotations

import inspect
import json
import pkgutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
INVENTORY = HERE / "sentence_transformers_6.2.json"
PAGE = HERE.parent / "docs" / "names.md"
PACKAGE = "sentence_transformers"

# Modules that have no __all__ and whose own definitions people import.
WITHOUT_ALL = (
    "data_collator",
    "model",
    "model_card",
    "trainer",
    "training_args",
    "peft_mixin",
    "fit_mixin",
    "quantization",
)
# Classes whose methods are compared one by one.
CLASSES = ("SentenceTransformer", "CrossEncoder")

# What stands behind a "no", or differs in a way that parameters do not show.
REASONS = {
    "SentenceTransformer": "a plain class; `model.module` is the torch Sequential, built when it is first needed",
    "CrossEncoder": "a plain class, as SentenceTransformer is",
    "CLIPModel": "text only",
    "ORIGINAL_TRANSFORMER_MODELS": "a bare name is looked for under sentence-transformers/ first, then as it is",
    "all_gather_padded": "of the token vectors of late interaction",
    "cat_padded_token_embeddings": "of the token vectors of late interaction",
    "stack_padded_token_embeddings": "of the token vectors of late interaction",
    "repad_flattened_features": "features are never flattened here",
    "get_sentence_features": "there it leads to a method that the modules of today lack",
    "set_keep_in_fp32_modules": "`dtype=` says in what the whole model computes",
}

# A part of the path or name -> why the whole area is not here.
_SPARSE = "no sparse encoders; `Index` searches by words (FTS5) and vectors together"
_MULTI = "no late-interaction (multi-vector) encoders"
_EXPORT = "`vicinal quantize` and `model.quantize()` write int8 OpenVINO models; no ONNX files are written"
_CARD = "the model card is written from what the trainer sees"
AREAS = {
    "sparse": _SPARSE,
    "Sparse": _SPARSE,
    "multi_vector": _MULTI,
    "MultiVector": _MULTI,
    "maxsim": _MULTI,
    "backend.": _EXPORT,
    "export_": _EXPORT,
    "ModelCardCallback": _CARD,
    "ModelCardData": _CARD,
    "model_card.": _CARD,
}


def main(arguments: list[str]) -> int:
    """Do what the command line says; the exit code."""
    if arguments == ["--inventory"]:
        INVENTORY.write_text(json.dumps(inventory(), indent=1, sort_keys=True) + "\n")
        return 0
    if arguments == ["--check"]:
        return int(PAGE.read_text() != page())
    if arguments:
        print(__doc__)
        return 2
    PAGE.write_text(page())
    return 0


# ----- taking stock of the real package -----------------------------------------------------------------------


def inventory() -> dict[str, Any]:
    """Names by module, each once (where the shortest path to it is), with the parameters of what is called."""
    package = import_module(PACKAGE)
    paths = [PACKAGE, *(found.name for found in pkgutil.walk_packages(package.__path__, f"{PACKAGE}."))]
    seen: set[tuple[str, int]] = set()
    modules: dict[str, dict[str, list[str] | None]] = {}
    for path in sorted(paths, key=lambda path: (path.count("."), path)):
        names = _public_names(path)
        for name in names:
            value = getattr(import_module(path), name)
            if inspect.ismodule(value) or (name, id(value)) in seen:
                continue
            seen.add((name, id(value)))
            modules.setdefault(path, {})[name] = parameters(value)
    methods = {name: _methods(getattr(package, name)) for name in CLASSES}
    return {"version": package.__version__, "modules": modules, "methods": methods}


def _public_names(path: str) -> list[str]:
    last = path.rpartition(".")[2]
    try:
        module = import_module(path)
    except ImportError:
        return []
    if hasattr(module, "__all__"):
        return sorted(name for name in module.__all__ if not name.startswith("_"))
    if last not in WITHOUT_ALL:
        return []
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == path
    )


def _methods(owner: type) -> dict[str, list[str] | None]:
    found = {}
    for name in dir(owner):
        holder = next((base for base in owner.__mro__ if name in vars(base)), object)
        if not name.startswith("_") and holder.__module__.startswith(PACKAGE):
            value = vars(holder)[name]
            found[name] = parameters(getattr(owner, name)) if not isinstance(value, property) else None
    return found


def parameters(value: Any) -> list[str] | None:
    """The parameters a callable is called with; None for what is not called."""
    if not callable(value):
        return None
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return None
    names = [
        ("**" if one.kind is one.VAR_KEYWORD else "*" if one.kind is one.VAR_POSITIONAL else "") + name
        for name, one in signature.parameters.items()
        if name != "self"
    ]
    if inspect.isclass(value) and value.__name__.endswith(
        "TrainingArguments"
    ):  # the 100 of transformers' own
        from transformers import TrainingArguments

        theirs = set(inspect.signature(TrainingArguments).parameters)
        names = [name for name in names if name not in theirs]
    return names


# ----- the page -----------------------------------------------------------------------------------------------


def page() -> str:
    """What docs/names.md shall say."""
    from vicinal.compat.paths import Missing, lookup

    stock = json.loads(INVENTORY.read_text())
    rows: dict[str, list[tuple[str, str, str]]] = {}
    for path, names in stock["modules"].items():
        inner = path.partition(".")[2]
        for name, wanted in names.items():
            ours = lookup(inner, name)
            rows.setdefault(path, []).append((name, *_verdict(path, name, wanted, ours, ours is Missing)))
    for owner, names in stock["methods"].items():
        ours = lookup("", owner)
        for name, wanted in names.items():
            has = hasattr(ours, name)
            method = inspect.getattr_static(ours, name) if has else None
            value = None if isinstance(method, property) or not has else getattr(ours, name)
            rows.setdefault(f"{owner}.", []).append((name, *_verdict(owner, name, wanted, value, not has)))
    return "\n".join([_head(stock["version"], rows), *(_table(path, rows[path]) for path in sorted(rows))])


def _verdict(path: str, name: str, wanted: list[str] | None, ours: Any, missing: bool) -> tuple[str, str]:
    reason = REASONS.get(f"{path}.{name}", REASONS.get(name, ""))
    if missing:
        return "no", reason or next((why for part, why in AREAS.items() if part in f"{path}.{name}"), "")
    lacking, more = _difference(wanted, parameters(ours))
    note = "; ".join(
        part
        for part in (
            "without " + ", ".join(f"`{name}`" for name in lacking) if lacking else "",
            reason,
            "adds " + ", ".join(f"`{name}`" for name in more) if more else "",
        )
        if part
    )
    return ("differs" if lacking or reason else "yes"), note


def _difference(wanted: list[str] | None, ours: list[str] | None) -> tuple[list[str], list[str]]:
    if wanted is None or ours is None:
        return [], []
    takes_all = any(name.startswith("**") for name in ours)
    lacking = [] if takes_all else [name for name in wanted if name not in ours and not name.startswith("*")]
    more = [name for name in ours if name not in wanted and not name.startswith("*")]
    return lacking, more


def _head(version: str, rows: dict[str, list[tuple[str, str, str]]]) -> str:
    counts = {
        verdict: sum(row[1] == verdict for table in rows.values() for row in table)
        for verdict in ("yes", "differs", "no")
    }
    return f"""# Every public name of sentence-transformers {version}, and whether Vicinal has it

Written by `tools/compat_names.py`; a test keeps it true. **yes**: the name is there and takes every parameter.
**differs**: it is there; the note says what it does not take, or what else is different. **no**: it is not there
(the sparse and multi-vector classes can be imported under `vicinal run`; using one raises an error that says so).
*adds* names parameters that only Vicinal has. Each name stands where its shortest path is; longer and older paths
(`sentence_transformers.models.Transformer`, `sentence_transformers.sentence_transformer.losses`, ...) lead to the
same things. [compatibility.md](compatibility.md) says how old code is run.

{counts["yes"]} yes, {counts["differs"]} differ, {counts["no"]} no.
"""


def _table(path: str, rows: list[tuple[str, str, str]]) -> str:
    title = f"Methods and attributes of {path[:-1]}" if path.endswith(".") else f"`{path}`"
    if rows and all(row[1] == "no" for row in rows) and len({row[2] for row in rows}) == 1:
        names = ", ".join(f"`{row[0]}`" for row in rows)
        return f"## {title}\n\nNone of it ({rows[0][2] or 'not yet'}): {names}.\n"
    lines = [f"## {title}", "", "| name | | note |", "|---|---|---|"]
    lines += [f"| `{name}` | {verdict} | {note} |" for name, verdict, note in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
