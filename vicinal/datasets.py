"""Data sets and loaders of old code, for ``fit``."""

from __future__ import annotations

import os
import random
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from vicinal.core.inputs import check_positive
from vicinal.core.torch import require_torch, torch_installed
from vicinal.errors import InputError, InputTypeError
from vicinal.readers.input_example import InputExample
from vicinal.readers.lines import opened

__all__ = [
    "DenoisingAutoEncoderDataset",
    "NoDuplicatesDataLoader",
    "ParallelSentencesDataset",
    "SentenceLabelDataset",
    "SentencesDataset",
]


class SentencesDataset:
    """A list of examples, as a data set for a torch ``DataLoader``.

    Args:
        examples: InputExample objects.
        model: not used; old code gives it.
    """

    def __init__(self, examples: Sequence[Any], model: Any = None) -> None:
        self.examples = examples

    def __getitem__(self, place: int) -> Any:
        return self.examples[place]

    def __len__(self) -> int:
        return len(self.examples)


class DenoisingAutoEncoderDataset:
    """Damaged sentences, each with the whole one: item i is ``InputExample(texts=[noise_fn(sentence), sentence])``.

    The input of denoising auto-encoders (Wang et al. 2021, TSDAE, arXiv:2104.06979); a data set for a torch
    ``DataLoader``. The damage is new each time that an item is asked for.

    Args:
        sentences: the sentences.
        noise_fn: text -> damaged text; None is :meth:`delete`.
    """

    def __init__(self, sentences: Sequence[str], noise_fn: Callable[[str], str] | None = None) -> None:
        if isinstance(sentences, str):
            raise InputTypeError("sentences is a text; give a list of texts")
        self.sentences = sentences
        self.noise_fn = self.delete if noise_fn is None else noise_fn

    def __getitem__(self, place: int) -> InputExample:
        sentence = self.sentences[place]
        return InputExample(texts=[self.noise_fn(sentence), sentence])

    def __len__(self) -> int:
        return len(self.sentences)

    @staticmethod
    def delete(text: str, del_ratio: float = 0.6) -> str:
        """The text without words and punctuation marks, of which each is left out by chance; at least one stays.

        Args:
            text: the text; one without words comes back as it is.
            del_ratio: the chance, 0 to 1, drawn from Python's generator.
        """
        words = re.findall(r"\s*(?:\w+|[^\w\s])", text)
        if not words:
            return text
        kept = [word for word in words if random.random() >= del_ratio]
        return "".join(kept or [random.choice(words)]).strip()


class NoDuplicatesDataLoader:
    """Batches in which no text comes twice, for MultipleNegativesRankingLoss: a second copy of a text would
    be a negative that is none.

    Examples come in a random order, drawn from Python's generator, and in a new one when all came; a round has as many
    batches as the examples fill, and the next one begins with those that are left. An example whose text is in the
    batch already waits for the next one. Texts that differ only in case or in outer white space count as the same.

    Args:
        train_examples: InputExample objects.
        batch_size: examples a batch.

    Raises:
        InputError: there are fewer examples than one batch takes; or, while batches are drawn, too few that
            share no text.
    """

    def __init__(self, train_examples: Sequence[Any], batch_size: int) -> None:
        check_positive(batch_size, "batch_size")
        if len(train_examples) < batch_size:
            raise InputError(
                f"train_examples holds {len(train_examples)}, fewer than batch_size={batch_size}: take a smaller one"
            )
        self.train_examples = train_examples
        self.batch_size = int(batch_size)
        self.collate_fn: Callable[[list[Any]], Any] | None = None
        self._order = list(range(len(train_examples)))
        random.shuffle(self._order)
        self._waiting = deque(self._order)

    @property
    def dataset(self) -> Sequence[Any]:
        """The examples, under the name that torch's loader gives them."""
        return self.train_examples

    def __len__(self) -> int:
        return len(self.train_examples) // self.batch_size

    def __iter__(self) -> Iterator[Any]:
        for _ in range(len(self)):
            batch = self._batch(self._waiting)
            yield batch if self.collate_fn is None else self.collate_fn(batch)

    def _batch(self, waiting: deque[int]) -> list[Any]:
        """Take examples from ``waiting``; those that must wait longer keep their order."""
        batch: list[Any] = []
        seen: set[str] = set()
        refilled, again = False, deque[int]()
        while len(batch) < self.batch_size:
            if not waiting:
                if refilled:
                    raise InputError(
                        f"no {self.batch_size} examples can be found that share no text (only {len(batch)}): "
                        "take a smaller batch_size, or examples with fewer repeated texts"
                    )
                refilled = True
                random.shuffle(self._order)
                waiting.extend(self._order)
            place = waiting.popleft()
            texts = {text.strip().lower() for text in self.train_examples[place].texts}
            if texts & seen:
                again.append(place)
            else:
                seen |= texts
                batch.append(self.train_examples[place])
        waiting.extendleft(reversed(again))
        return batch


class SentenceLabelDataset:
    """Examples in groups of one label each, for the losses that look for triplets in a batch (BatchHardTripletLoss,
    ...): a batch must hold several examples of a label.

    An iterable data set for a torch ``DataLoader``, whose ``batch_size`` should be a multiple of ``samples_per_label``.
    The labels come in a random order, one group each, then in a new one, until as many examples were given as there
    are; all draws are from numpy's generator (``np.random.seed``). No example comes twice in a group.

    Args:
        examples: InputExample objects with a label; those whose label has fewer than ``samples_per_label`` are left
            out.
        samples_per_label: examples of a group.
        with_replacement: taken and without effect on the order: each turn of the labels draws from all examples.

    Raises:
        InputError: no label has enough examples.
    """

    def __init__(
        self, examples: Sequence[Any], samples_per_label: int = 2, with_replacement: bool = False
    ) -> None:
        check_positive(samples_per_label, "samples_per_label")
        self.samples_per_label = int(samples_per_label)
        self.with_replacement = with_replacement
        groups: dict[Any, list[Any]] = {}
        for example in examples:
            groups.setdefault(example.label, []).append(example)
        self._groups = [group for group in groups.values() if len(group) >= self.samples_per_label]
        if not self._groups:
            raise InputError(
                f"no label has samples_per_label={samples_per_label} examples: take a smaller number, or more examples"
            )
        self._labels = np.arange(len(self._groups))
        np.random.shuffle(self._labels)  # noqa: NPY002 - the generator that old code seeds
        if torch_installed():  # what tells a DataLoader that this is iterated over
            require_torch("SentenceLabelDataset").utils.data.IterableDataset.register(type(self))

    def __iter__(self) -> Iterator[Any]:
        given = 0
        while given < len(self):
            for label in self._labels:
                if given >= len(self):
                    return
                group = self._groups[label]
                chosen = np.random.choice(len(group), self.samples_per_label, replace=False)  # noqa: NPY002
                given += len(chosen)
                yield from (group[place] for place in chosen)
            np.random.shuffle(self._labels)  # noqa: NPY002

    def __len__(self) -> int:
        return sum(map(len, self._groups))


class ParallelSentencesDataset:
    """Translations, each with the vector that a teacher gives the sentence in its own language.

    With MSELoss a student learns to give all translations the teacher's vector of the original (Reimers and
    Gurevych 2020, "Making Monolingual Sentence Embeddings Multilingual Using Knowledge Distillation"). It is a data
    set for a torch ``DataLoader``; item i is ``InputExample(texts=[sentence], label=vector)``.

    Args:
        student_model: the model that is trained; kept as an attribute only.
        teacher_model: its ``encode`` gives the labels.
        batch_size: sentences that the teacher encodes at a time.
        use_embedding_cache: keep all of the teacher's vectors; False keeps those of the last batch.
    """

    def __init__(
        self, student_model: Any, teacher_model: Any, batch_size: int = 8, use_embedding_cache: bool = True
    ) -> None:
        check_positive(batch_size, "batch_size")
        if isinstance(teacher_model, str) or not hasattr(teacher_model, "encode"):
            raise InputTypeError(f"teacher_model is {type(teacher_model).__name__}; give a model")
        self.student_model, self.teacher_model = student_model, teacher_model
        self.batch_size, self.use_embedding_cache = int(batch_size), use_embedding_cache
        self._sets: list[list[tuple[str, str]]] = []
        self._weights: list[int] = []
        self._order: list[tuple[str, str]] | None = None
        self._vectors: dict[str, Any] = {}

    def load_data(
        self,
        filepath: str | os.PathLike[str],
        weight: int = 100,
        max_sentences: int | None = None,
        max_sentence_length: int | None = 128,
    ) -> None:
        """Read a file (``.gz`` too) with a sentence and its translations in each line, tabs between.

        Arguments and errors as in :meth:`add_dataset`.
        """
        with opened(filepath) as lines:
            rows = [line.bare.split("\t") for line in lines]
        self.add_dataset(rows, weight, max_sentences, max_sentence_length)

    def add_dataset(
        self,
        parallel_sentences: Sequence[Sequence[str]],
        weight: int = 100,
        max_sentences: int | None = None,
        max_sentence_length: int | None = 128,
    ) -> None:
        """Add sentences.

        Args:
            parallel_sentences: rows of a sentence and its translations.
            weight: how often rows of these are drawn, beside the other sets' weights.
            max_sentences: rows to take at most.
            max_sentence_length: characters; rows with a longer sentence are left out. None takes all.

        Raises:
            InputError: no row is left.
        """
        check_positive(weight, "weight")
        check_positive(max_sentences, "max_sentences")
        pairs: dict[tuple[str, str], None] = {}
        taken = 0
        for row in parallel_sentences:
            sentences = [each.strip() for each in row if each.strip()]
            too_long = max_sentence_length is not None and any(
                len(each) > max_sentence_length for each in sentences
            )
            if not sentences or too_long:
                continue
            pairs |= {(sentences[0], each): None for each in sentences}
            taken += 1
            if taken == max_sentences:
                break
        if not pairs:
            raise InputError(
                f"no row of parallel_sentences has sentences of at most {max_sentence_length} characters"
            )
        self._sets.append(list(pairs))
        self._weights.append(int(weight))
        self._order = None

    def __len__(self) -> int:
        return sum(map(len, self._sets))

    def __getitem__(self, place: int) -> InputExample:
        order = self._ordered()
        original, sentence = order[place]
        if original not in self._vectors:
            self._encode(place % len(order))
        return InputExample(texts=[sentence], label=self._vectors[original])

    def _ordered(self) -> list[tuple[str, str]]:
        """All items, the sets in turn as their weights say; a set that is used up begins again."""
        if self._order is None:
            given = [0] * len(self._sets)
            self._order = []
            for count in range(len(self)):
                share = [weight * (count + 1) / sum(self._weights) for weight in self._weights]
                chosen = max(range(len(given)), key=lambda number: share[number] - given[number])
                items = self._sets[chosen]
                self._order.append(items[given[chosen] % len(items)])
                given[chosen] += 1
        return self._order

    def _encode(self, place: int) -> None:
        """Ask the teacher for this item's vector, and for those of the items behind it."""
        order = self._ordered()
        wanted: dict[str, None] = {}
        for original, _ in order[place:]:
            if original not in self._vectors:
                wanted[original] = None
            if len(wanted) == self.batch_size:
                break
        vectors = self.teacher_model.encode(list(wanted), batch_size=self.batch_size, show_progress_bar=False)
        if not self.use_embedding_cache:
            self._vectors.clear()
        self._vectors.update(zip(wanted, vectors, strict=True))
