"""What an example finds around it: no network, small data, two training steps, no questions to a person."""

from __future__ import annotations

import builtins
import functools
import gzip
import importlib
import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from made_data import ROWS, load_dataset, near, question, sentence

#: Optimizer steps that each training takes.
STEPS = 2
_BATCH = 4
_HOMES = (
    "sentence_transformers.sentence_transformer.evaluation",
    "sentence_transformers.cross_encoder.evaluation",
)


def set_stage(package: str) -> None:
    """Prepare this process.

    Args:
        package: what ``sentence_transformers`` shall mean, ``"vicinal"`` or ``"reference"``.
    """
    if package == "vicinal":
        import vicinal

        vicinal.install_as_sentence_transformers(replace=True)
        _compute_in_float32()
    _shrink_data()
    _shrink_training()
    _answer_prompts()
    _split_words_simply()
    _download_made_files()
    _record_metrics()


def seed_everything() -> None:
    """The same random numbers for each example, whatever ran before it."""
    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (examples draw from it)
    torch.manual_seed(0)


def _compute_in_float32() -> None:
    """As the reference computes: bfloat16, the default where the CPU has it, differs in the third digit."""
    from vicinal.engine import openvino

    openvino.native_bfloat16 = lambda core: False


def _shrink_data() -> None:
    import datasets

    datasets.load_dataset = load_dataset
    table = datasets.Dataset
    select, split, sample = table.select, table.train_test_split, random.Random.sample

    @functools.wraps(select)
    def select_existing(self: Any, indices: Any, *args: Any, **kwargs: Any) -> Any:
        # What lies behind the end of the small table is taken from its last quarter.
        rows = [row for row in list(indices)[: 4 * ROWS] if row < len(self)]
        return select(self, rows or range(len(self) - len(self) // 4, len(self)), *args, **kwargs)

    @functools.wraps(split)
    def split_quarter(self: Any, test_size: Any = None, **kwargs: Any) -> Any:
        if isinstance(test_size, int) and test_size >= len(self):
            test_size = max(1, len(self) // 4)
        kwargs.setdefault("seed", 0)
        return split(self, test_size=test_size, **kwargs)

    @functools.wraps(sample)
    def sample_existing(self: Any, population: Any, k: int, **kwargs: Any) -> Any:
        return sample(self, population, min(k, len(population)), **kwargs)

    item = table.__getitem__

    @functools.wraps(item)
    def column_as_list(self: Any, key: Any) -> Any:
        # As older releases of datasets gave it: several examples add two of them.
        found = item(self, key)
        return list(found) if isinstance(key, str) else found

    table.__getitem__ = column_as_list
    table.select = select_existing
    table.train_test_split = split_quarter
    random.sample = functools.partial(sample_existing, random._inst)  # type: ignore[attr-defined]


def _shrink_training() -> None:
    import transformers

    finish = transformers.TrainingArguments.__post_init__

    @functools.wraps(finish)
    def finish_small(self: Any) -> None:
        self.max_steps = STEPS
        self.per_device_train_batch_size = self.per_device_eval_batch_size = _BATCH
        self.logging_steps = 1
        self.eval_steps = self.save_steps = STEPS
        self.fp16 = self.bf16 = False
        self.use_cpu = True
        self.dataloader_num_workers = 0
        self.dataloader_persistent_workers = False
        self.dataloader_prefetch_factor = None
        self.report_to = "none"
        self.push_to_hub = False
        self.torch_compile = False
        self.disable_tqdm = True
        finish(self)

    transformers.TrainingArguments.__post_init__ = finish_small


def _answer_prompts() -> None:
    left = ["who eats the garden?", "who paints a blue boat?"]

    def answer(prompt: str = "") -> str:
        if not left:
            raise SystemExit(0)
        print(prompt, left[0])
        return left.pop(0)

    builtins.input = answer


def _split_words_simply() -> None:
    try:
        import nltk
    except ImportError:
        return
    nltk.download = lambda *_, **__: True
    nltk.word_tokenize = lambda text, *_, **__: text.split()
    nltk.sent_tokenize = lambda text, *_, **__: [part + "." for part in text.split(". ") if part.strip()]


def _download_made_files() -> None:
    for home in ("sentence_transformers.util", "sentence_transformers.util.file_io"):
        try:
            module = importlib.import_module(home)
            module.http_get  # noqa: B018
        except (ImportError, AttributeError):
            continue  # a package without the function gets none
        module.http_get = make_file


def make_file(url: str, path: str | os.PathLike[str]) -> None:
    """In place of ``http_get``: a small file of the kind that is asked for."""
    name = url.rpartition("/")[2]
    numbers = range(ROWS)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if name.startswith("simplewiki") and name.endswith(".gz"):
        _gzip(
            target,
            [json.dumps({"title": question(n), "paragraphs": [sentence(n), near(n)]}) for n in numbers],
        )
    elif name.startswith("wiki-programmming"):
        _gzip(
            target,
            [
                json.dumps({"title": question(n), "text": sentence(n), "paragraphs": [sentence(n), near(n)]})
                for n in numbers
            ],
        )
    elif name == "emnlp2016-2018.json":
        papers = [
            {"title": question(n), "abstract": sentence(n), "url": "", "venue": "", "year": "2016"}
            for n in numbers
        ]
        target.write_text(json.dumps(papers))
    elif name == "quora_duplicate_questions.tsv":
        rows = [f"{n}\t{n}\t{n + ROWS}\t{question(n)}\t{near(n)}\t{n % 2}" for n in numbers]
        target.write_text("\n".join(["id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", *rows]) + "\n")
    elif name == "wikipedia_doc_frequencies.txt":
        words = sorted(
            {word for n in numbers for word in sentence(n).split()} | {f"word{n}" for n in range(25_000)}
        )
        target.write_text("\n".join(["1000", *(f"{word}\t{n + 1}" for n, word in enumerate(words))]) + "\n")
    elif name.endswith(".pt"):
        import torch

        torch.save(torch.randn(2 * ROWS, 768, generator=torch.Generator().manual_seed(0)), target)
    elif "top1000" in name:
        _gzip(target, [f"{n % 4}\t{n}\t{question(n % 4)}\t{sentence(n)}" for n in numbers])
    elif "queries" in name:
        _gzip(target, [f"{n}\t{question(n)}" for n in numbers])
    elif "qrels" in name:
        target.write_text("".join(f"{n % 4} 0 {n} {n % 3}\n" for n in numbers))
    else:
        raise FileNotFoundError(f"no made-up file stands in for {url}")


def _gzip(path: Path, lines: list[str]) -> None:
    with gzip.open(path, "wt", encoding="utf8") as out:
        out.write("\n".join(lines) + "\n")


def lay_out_files() -> None:
    """Files that examples expect in the present folder."""
    chance = random.Random(0)
    words = sorted({word.strip(".?") for n in range(ROWS) for word in sentence(n).split()})
    _gzip(
        Path("glove.6B.300d.txt.gz"),
        [" ".join([word, *(f"{chance.uniform(-1, 1):.4f}" for _ in range(300))]) for word in words],
    )
    pairs = Path("bucc2018/de-en")
    pairs.mkdir(parents=True)
    for language, make in (("de", near), ("en", sentence)):
        lines = "".join(f"{language}-{n}\t{make(n)}\n" for n in range(ROWS))
        (pairs / f"de-en.training.{language}").write_text(lines)
    (pairs / "de-en.training.gold").write_text("".join(f"de-{n}\ten-{n}\n" for n in range(ROWS)))
    Path("output").mkdir()
    cached = Path(os.environ["HF_HOME"], "hub/models--sentence-transformers--all-MiniLM-L6-v2/snapshots")
    Path("output/programming-model").symlink_to(next(cached.iterdir()).resolve())
    Path("sentences.txt").write_text("".join(f"{sentence(n)}\n" for n in range(ROWS)))
    Path("generated_queries.tsv").write_text("".join(f"{question(n)}\t{sentence(n)}\n" for n in range(ROWS)))


def _record_metrics() -> None:
    """Print what each evaluator returns, so that two runs can be compared whatever they log."""
    depth = [0]
    for home in _HOMES:
        module = importlib.import_module(home)
        for name in dir(module):
            cls = getattr(module, name, None)
            if isinstance(cls, type) and name.endswith("Evaluator"):
                cls.__call__ = _recorded(cls.__call__, depth)  # type: ignore[method-assign]


def _recorded(call: Callable[..., Any], depth: list[int]) -> Callable[..., Any]:
    @functools.wraps(call)
    def recorded(self: Any, *args: Any, **kwargs: Any) -> Any:
        depth[0] += 1
        try:
            found = call(self, *args, **kwargs)
        finally:
            depth[0] -= 1
        if depth[0] == 0:
            values = found if isinstance(found, dict) else {"score": found}
            for key, value in sorted(values.items()):
                print(f"RECORD {key} {float(value):.6f}", flush=True)
        return found

    return recorded


if __name__ == "__main__":
    sys.exit("reference_examples.py runs this")
