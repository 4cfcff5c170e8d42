"""The model card, a README.md: metadata for the hub, then text for people."""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vicinal.folder.card_records import (
    DatasetRecord,
    ModelFacts,
    TrainingRecord,
    is_local_path,
    name_on_hub,
    shown_arguments,
    title_of,
)
from vicinal.folder.write import write_bytes

_TASKS = {
    "semantic-similarity": "Semantic Similarity",
    "information-retrieval": "Information Retrieval",
    "binary-classification": "Binary Classification",
    "triplet": "Triplet",
    "reranking": "Reranking",
    "cross-encoder-correlation": "Cross Encoder Correlation",
    "cross-encoder-classification": "Cross Encoder Classification",
    "cross-encoder-reranking": "Cross Encoder Reranking",
}


def write_card(
    folder: Path,
    facts: ModelFacts,
    record: TrainingRecord | None = None,
    *,
    original: Path | None = None,
    new: bool = False,
) -> None:
    """Give a folder its README.md.

    A model that was trained (``record``), or of which its user said something (``new``), gets a new card. Otherwise
    a card that lies there stays, and that of ``original``, the folder the model was loaded from, is copied; only where
    there is none, one is written.
    """
    target = folder / "README.md"
    if record is None and not new:
        if target.is_file():
            return
        if original is not None and (original / "README.md").is_file():
            write_bytes(target, (original / "README.md").read_bytes())
            return
    if not facts.name:  # of a folder given as "."
        facts = replace(facts, name=title_of(folder))
    write_bytes(target, render(facts, record).encode("utf-8", "replace"))


def render(facts: ModelFacts, record: TrainingRecord | None = None) -> str:
    """The text of a README.md.

    Args:
        facts: what the model is.
        record: how it was trained; None for a model that was only loaded.
    """
    from huggingface_hub import CardData

    front = CardData(**_without_controls(_metadata(facts, record))).to_yaml()
    parts = [f"---\n{front}\n---", f"# {cell(facts.title or facts.name)}"]
    parts += [_summary(facts, record), _facts_table(facts), _usage(facts)]
    if record is not None:
        parts += _training(record)
    return "\n\n".join(part for part in parts if part) + "\n"


def _metadata(facts: ModelFacts, record: TrainingRecord | None) -> dict[str, Any]:
    kind = ["cross-encoder", "reranker"] if facts.cross_encoder else ["sentence-similarity"]
    tags = [
        "sentence-transformers",
        *kind,
        *([] if facts.cross_encoder else ["feature-extraction"]),
        "vicinal",
    ]
    found: dict[str, Any] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "text-ranking" if facts.cross_encoder else "sentence-similarity",
        "tags": tags,
    }
    if facts.language:
        found["language"] = list(facts.language)
    if facts.license:
        found["license"] = facts.license
    tags += [tag for tag in facts.tags if tag not in tags]
    if facts.base_model:
        found["base_model"] = facts.base_model
    if facts.datasets:
        found["datasets"] = list(facts.datasets)
    if record is None:
        return found
    tags += ["generated_from_trainer", f"dataset_size:{sum(each.rows for each in record.datasets)}"]
    tags += dict.fromkeys(f"loss:{each.loss}" for each in record.datasets if each.loss)
    base = name_on_hub(record.base_model)
    if base:
        found.setdefault("base_model", base)
    known = [each.hub_name for each in record.datasets if name_on_hub(each.hub_name)]
    named = list(dict.fromkeys([*facts.datasets, *known]))
    if named:
        found["datasets"] = named
    results = list(_results(record))
    if results:
        found["metrics"] = list(
            dict.fromkeys(metric["type"] for each in results for metric in each["metrics"])
        )
        found["model-index"] = [{"name": facts.title or facts.name, "results": results}]
    return found


def _without_controls(value: Any) -> Any:
    """Control characters and line separators become spaces: YAML writers do not all bring them back."""
    if isinstance(value, str):
        return "".join(" " if unicodedata.category(each) in ("Cc", "Zl", "Zp") else each for each in value)
    if isinstance(value, list):
        return [_without_controls(each) for each in value]
    if isinstance(value, dict):
        return {key: _without_controls(each) for key, each in value.items()}
    return value


def _results(record: TrainingRecord) -> Iterator[dict[str, Any]]:
    """One entry of the hub's ``model-index`` for each evaluator, and one for what belongs to none."""
    left = {key: value for key, value in record.after.items() if math.isfinite(value)}
    groups: list[tuple[str, str, dict[str, float]]] = []
    for each in sorted(record.evaluators, key=lambda each: -len(each.name)):  # "dev-hard_" before "dev_"
        own = {key: left.pop(key) for key in list(left) if each.name and key.startswith(each.name + "_")}
        groups.append((each.name, each.task, {key[len(each.name) + 1 :]: own[key] for key in own}))
    alone = record.evaluators[0].task if len(record.evaluators) == 1 else "evaluation"
    groups.append(("evaluation", alone, left))
    for name, task, metrics in groups:
        if metrics:
            yield {
                "task": {"type": task, "name": _TASKS.get(task, _titled(task))},
                "dataset": {"name": name, "type": "unknown"},
                "metrics": [
                    {"type": key, "value": float(value), "name": _titled(key)}
                    for key, value in metrics.items()
                ],
            }


def _titled(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").title()


def _summary(facts: ModelFacts, record: TrainingRecord | None) -> str:
    name = facts.base_model or (name_on_hub(record.base_model) if record is not None else None)
    base = f", fine-tuned from {cell(name)}" if name else ""
    use = f" Made for {cell(facts.task)}." if facts.task else ""
    if facts.cross_encoder:
        scores = "a score" if len(facts.labels) < 2 else f"{len(facts.labels)} scores"
        return f"Reads two texts together and gives {scores} for the pair{base}.{use}"
    return f"Maps texts to vectors of {facts.dimension} numbers{base}.{use}"


def _facts_table(facts: ModelFacts) -> str:
    length = "unlimited" if facts.max_length is None else f"{facts.max_length} tokens"
    rows = [
        ("architecture", facts.architecture),
        ("modules", " -> ".join(facts.modules)),
        ("dimension", "" if facts.dimension is None else str(facts.dimension)),
        ("maximum length", length),
        ("similarity", facts.similarity or ""),
        ("labels", ", ".join(facts.labels)),
        *((f"prompt {name!r}", repr(text)) for name, text in facts.prompts.items() if text),
    ]
    return table(("", ""), [row for row in rows if row[1]])


def _usage(facts: ModelFacts) -> str:
    if facts.cross_encoder:
        kind = "CrossEncoder"
        work = 'scores = model.predict([("A question?", "An answer."), ("A question?", "Another one.")])'
        if len(facts.labels) < 2:
            work += '\nranking = model.rank("A question?", ["An answer.", "Another one."])'
    else:
        kind = "SentenceTransformer"
        work = (
            'vectors = model.encode(["A first text.", "A second one."])\n'
            "print(model.similarity(vectors, vectors))"
        )
    sections = ["## How to use it"]
    for title, package in (("Vicinal (no PyTorch needed)", "vicinal"), ("sentence-transformers", "")):
        package = package or "sentence_transformers"
        sections.append(
            f"With {title}, `pip install {package.replace('_', '-')}`:\n\n```python\nfrom {package} import {kind}\n\n"
            f"model = {kind}({facts.name!r})\n{work}\n```"
        )
    return "\n\n".join(sections)


def _training(record: TrainingRecord) -> Iterator[str]:
    yield from _scores(record)
    if record.datasets:
        yield "## Training data"
        for each in record.datasets:
            yield from _dataset(each)
    if record.evaluation_datasets:
        yield "## Evaluation data"
        for each in record.evaluation_datasets:
            yield from _dataset(each)
    arguments = shown_arguments(record.arguments)
    if arguments:
        yield "## Hyper-parameters that differ from the defaults"
        yield table(("name", "value"), arguments.items())
    yield from _log(record)
    facts = []
    if record.seconds is not None:
        facts.append(f"Training took {record.seconds:.0f} s")
    if record.examples_per_second is not None:
        facts.append(f"{record.examples_per_second:.1f} examples a second")
    if facts:
        yield ", ".join(facts) + "."
    if record.versions:
        yield "## Versions"
        yield table(("package", "version"), record.versions.items())


def _scores(record: TrainingRecord) -> Iterator[str]:
    if not record.after and not record.before:
        return
    yield "## Scores"
    rows = []
    for key in dict.fromkeys([*record.after, *record.before]):
        before, after = record.before.get(key), record.after.get(key)
        change = "" if before is None or after is None else f"{after - before:+.4f}"
        rows.append(
            (key, "" if before is None else float(before), "" if after is None else float(after), change)
        )
    yield table(("metric", "before training", "after", "change"), rows)


def _dataset(each: DatasetRecord) -> Iterator[str]:
    yield f"### {cell(title_of(each.name) if is_local_path(each.name) else each.name)}"
    yield f"{each.rows} rows; columns: {', '.join(cell(name) for name in each.columns) or 'none'}."
    if each.statistics:
        head = ("column", "holds", "least", "mean", "largest")
        rows = [
            (name, _holds(found), *(found.get(key, "") for key in ("min", "mean", "max")))
            for name, found in each.statistics.items()
        ]
        yield table(head, rows)
    if each.examples:
        yield table(each.columns, [[row.get(name) for name in each.columns] for row in each.examples])
    if each.loss:
        yield f"Loss: {cell(each.loss)}{_with(each.loss_arguments)}."


def _holds(found: Mapping[str, Any]) -> str:
    return f"{found['type']} ({found['unit']})" if found.get("unit") else str(found["type"])


def _with(arguments: Mapping[str, Any]) -> str:
    shown = [f"{cell(key)} = {cell(value)}" for key, value in shown_arguments(arguments).items()]
    return " with " + ", ".join(shown) if shown else ""


def _log(record: TrainingRecord) -> Iterator[str]:
    if not record.evaluations:
        return
    metrics = list(dict.fromkeys(key for _, _, found in record.evaluations for key in found))
    yield "## Evaluation during training"
    rows = [
        (f"{epoch:.2f}", step, *(float(found[key]) if key in found else "" for key in metrics))
        for epoch, step, found in record.evaluations
    ]
    yield table(("epoch", "step", *metrics), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; nothing in a cell can break it."""
    lines = [f"| {' | '.join(map(cell, head))} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(map(cell, row))} |" for row in rows]
    return "\n".join(lines)


def cell(value: Any) -> str:
    """A value inside a table: one line, no markup of its own."""
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) >= 1e-3 or value == 0 else f"{value:.3g}"
    text = html.escape(" ".join(str(value).split()), quote=False)
    for mark in ("\\", "|", "`", "*", "_", "[", "]"):
        text = text.replace(mark, "\\" + mark)
    return text
