"""Distillation: a transformer becomes a table with one vector a token, a hundred times as fast to use.

The steps, with numpy and the teacher's own engine only:

1. every token of the vocabulary goes through the teacher by itself;
2. the vectors are reduced to ``dim`` numbers with PCA;
3. each row is weighted by the token's frequency, ``a / (a + p)`` (SIF: Arora, Liang and Ma, "A Simple but
   Tough-to-Beat Baseline for Sentence Embeddings", ICLR 2017);
4. where there are texts, the rows are trained until the averages agree with the teacher's vectors of the
   texts (:mod:`vicinal.distillation.training`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.core.inputs import as_texts, check_choice, check_positive, explains_keywords
from vicinal.core.version import __version__
from vicinal.distillation.coverage import coverage_texts
from vicinal.distillation.training import Lesson, Settings, train, unit
from vicinal.engine.base import Batch
from vicinal.errors import InputError
from vicinal.folder.specs import UNLIMITED, ModelSpec, NormalizeSpec, StaticEmbeddingSpec
from vicinal.folder.static import PRECISIONS, write_static
from vicinal.folder.write import write_bytes, write_configs
from vicinal.models.sentence_transformer import SentenceTransformer
from vicinal.tokens.static import StaticTokenizer
from vicinal.tokens.text import Ragged

Floats = NDArray[np.float32]
Report = Callable[[str], None]

# SIF's constant; the paper finds 1e-3 to 1e-4 equally good, and the smaller one left more to be learned well.
_SIF = 1e-4
# Every twentieth text is held out, this many at most.
_HELD_OUT, _MOST_HELD_OUT = 20, 2000
# Texts encoded between two lines of a report.
_PART = 8192


@dataclass(frozen=True)
class Distilled:
    """A static model that is not a folder yet.

    Attributes:
        rows: ``(vocabulary, dim)`` float32.
        tokenizer: the content of its ``tokenizer.json``.
        teacher: name or folder of the model that it was made from.
        prompts: the teacher's.
        normalize: whether its vectors have length 1.
    """

    rows: Floats
    tokenizer: dict[str, Any]
    teacher: str
    prompts: dict[str, str]
    normalize: bool = True

    def save(
        self, path: str | os.PathLike[str], *, precision: str = "float32", card: str | None = None
    ) -> Path:
        """Write the model's folder.

        Args:
            path: the folder, made if absent.
            precision: ``"float32"`` or ``"float16"``, which sentence-transformers reads too, or ``"int8"``, a
                quarter of the size, which only Vicinal reads (and ``model.save`` turns into float32).
            card: the content of ``README.md``; None for a short one.

        Returns:
            The folder.
        """
        check_choice(precision, PRECISIONS, "precision")
        target = Path(path)
        if target.exists() and not target.is_dir():
            raise InputError(f"{target} is a file; save takes a folder")
        write_static(target, self.rows, self.tokenizer, precision=precision)
        modules = (StaticEmbeddingSpec(target), *((NormalizeSpec(),) if self.normalize else ()))
        extra = {
            "__version__": {"vicinal": __version__},
            "model_type": "SentenceTransformer",
            "prompts": self.prompts,
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        }
        write_configs(ModelSpec(target, modules), target, extra, UNLIMITED)
        text = card or f"# {target.name}\n\nStatic embeddings, distilled by Vicinal from {self.teacher}.\n"
        write_bytes(target / "README.md", text.encode())
        return target


@explains_keywords
def distill(
    teacher: str | os.PathLike[str] | SentenceTransformer,
    *,
    dim: int = 256,
    texts: Iterable[str] | None = None,
    coverage: int | None = None,
    frequencies: Iterable[str] | None = None,
    sif: float = _SIF,
    settings: Settings | None = None,
    report: Report | None = None,
) -> Distilled:
    """Make a static model that imitates ``teacher``.

    Args:
        teacher: a sentence model, or the name or folder of one.
        dim: numbers a vector, at most the teacher's.
        texts: what to train on, like the texts that the model will see; some ten thousand. Without any, the
            rows are those of the single tokens, weighted: quick, and clearly worse.
        coverage: made-up texts to train on beside them, so that words which the texts lack are learned too
            (on texts of another kind than the trained ones, nothing helps more); None for twice as many.
        frequencies: texts whose words are counted for the weights; None for ``texts``; without either,
            Zipf's law along the vocabulary, which begins with frequent tokens in most tokenizers.
        sif: the constant ``a`` of the weights; larger makes frequent tokens count more.
        settings: of the training.
        report: called with a line of text now and then.

    Raises:
        InputError: ``dim`` is larger than the teacher's, or the teacher is static itself.
    """
    check_positive(dim, "dim")
    model = teacher if isinstance(teacher, SentenceTransformer) else SentenceTransformer(teacher)
    name = str(teacher) if not isinstance(teacher, SentenceTransformer) else str(model._spec.folder)
    width = model.get_embedding_dimension()
    if isinstance(model._spec.source, StaticEmbeddingSpec):
        raise InputError(f"{name} is a static model already; distill a transformer")
    if dim > width:
        raise InputError(f"dim={dim}: the teacher {name} gives vectors of {width}; take that or less")
    say = report or _nothing
    from tokenizers import Tokenizer

    student = StaticTokenizer(Tokenizer.from_str(json.dumps(_tokenizer(model))))
    real = [] if texts is None else list(dict.fromkeys(as_texts(texts, "texts")[0]))
    counted = real if frequencies is None else as_texts(frequencies, "frequencies")[0]
    tokens = token_vectors(model)
    say(f"{len(tokens)} tokens went through the teacher")
    share = token_shares(student(counted), len(tokens))
    real_ids = student(real)
    usable = np.flatnonzero(real_ids.lengths)
    real = [real[place] for place in usable]
    held = real[::_HELD_OUT][:_MOST_HELD_OUT] if len(real) >= 2 * _HELD_OUT else []
    apart = set(held)
    lesson_texts = [text for text in real if text not in apart]
    made = coverage_texts(model.tokenizer, lesson_texts, 2 * len(real) if coverage is None else coverage, 1)
    targets = [unit(_encode(model, part, say)) for part in (held, lesson_texts + made if held else [])]
    basis = principal_axes(tokens if not held else targets[1], dim, centred=not held)
    rows = weighted_rows(tokens, basis, share, sif)
    if held:
        lessons = [
            Lesson(student(part), unit(vectors @ basis), vectors)
            for part, vectors in zip((held, lesson_texts + made), targets, strict=True)
        ]
        rows = train(rows, lessons[1], lessons[0], settings or Settings(), say)
    return Distilled(rows, _tokenizer(model), name, dict(model.prompts))


def _nothing(line: str) -> None:
    pass


def _encode(model: SentenceTransformer, texts: list[str], say: Report) -> Floats:
    """The teacher's vectors; what it cuts off is not said, as there is nothing to do about it."""
    out = np.empty((len(texts), model.get_embedding_dimension()), dtype=np.float32)
    for first in range(0, len(texts), _PART):
        part = texts[first : first + _PART]
        out[first : first + len(part)] = model.encode(part, on_truncate="ignore", show_progress_bar=False)
        say(f"{first + len(part)} of {len(texts)} texts went through the teacher")
    return out


def token_vectors(model: SentenceTransformer) -> Floats:
    """``(vocabulary, dim)``: the teacher's vector of each token, alone between the special tokens."""
    count = max(model.tokenizer.get_vocab().values()) + 1
    count = min(count, model._texts.vocabulary or count)
    prefix, suffix = model._texts._single.parts
    around = len(prefix) + 1 + len(suffix)
    ids = np.empty((count, around), dtype=np.int32)
    ids[:, : len(prefix)], ids[:, len(prefix) + 1 :] = prefix, suffix
    ids[:, len(prefix)] = np.arange(count)
    out = np.empty((count, model.get_embedding_dimension()), dtype=np.float32)

    def batches(size: int = 256) -> Iterator[tuple[int, Batch]]:
        for first in range(0, count, size):
            part = ids[first : first + size]
            yield first, Batch(part, np.full(len(part), around, dtype=np.int32))

    for first, vectors in model._engine.run_many(batches()):
        out[first : first + len(vectors)] = vectors[:, : out.shape[1]]
    return out


def token_shares(texts: Ragged, vocabulary: int) -> NDArray[np.float64]:
    """``(vocabulary,)``: which share of all tokens each is; Zipf's law for those that the texts lack.

    Both are mixed, the law counting as much as ten thousand tokens do, so that a token that is not in the
    texts by chance still has its place.
    """
    law = 1.0 / (np.arange(vocabulary) + 100.0)
    law /= law.sum()
    counts = np.bincount(texts.ids, minlength=vocabulary)[:vocabulary].astype(np.float64)
    shares: NDArray[np.float64] = (counts + 10_000 * law) / (counts.sum() + 10_000)
    return shares


def principal_axes(vectors: Floats, dim: int, *, centred: bool) -> Floats:
    """``(width, dim)``: the orthonormal axes along which ``vectors`` vary most.

    Not centred, products of projected vectors come as close to the products before as ``dim`` numbers can.
    """
    shifted = vectors - vectors.mean(axis=0) if centred else vectors
    moments = (shifted.T @ shifted).astype(np.float64)
    _, axes = np.linalg.eigh(moments)  # from the smallest to the largest
    # The sign of an axis is arbitrary: its largest number is made positive, so that every run gives the same.
    largest = axes[np.argmax(np.abs(axes), axis=0), np.arange(axes.shape[1])]
    return np.ascontiguousarray((axes * np.sign(largest))[:, ::-1][:, :dim], dtype=np.float32)


def weighted_rows(tokens: Floats, basis: Floats, shares: NDArray[np.float64], sif: float) -> Floats:
    """``(vocabulary, dim)``: projected token vectors, each times ``sif / (sif + share)``."""
    weights = (sif / (sif + shares)).astype(np.float32)
    rows: Floats = (tokens @ basis) * weights[:, None]
    return rows


def _tokenizer(model: SentenceTransformer) -> dict[str, Any]:
    """The teacher's ``tokenizer.json``, without added tokens that the teacher has no vector for."""
    content: dict[str, Any] = json.loads(model.tokenizer.to_str())
    if model._texts.vocabulary is not None:
        added = content.get("added_tokens") or []
        content["added_tokens"] = [token for token in added if token["id"] < model._texts.vocabulary]
    return content
