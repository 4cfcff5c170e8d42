"""encode, and the other ways to ask for it: what is common to models that give vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vicinal.core.inputs import as_texts, check_choice, check_flag, check_positive, explains_keywords
from vicinal.core.progress import progress_bar
from vicinal.engine.base import is_text_engine
from vicinal.errors import InputError, InputTypeError
from vicinal.folder.specs import PoolingSpec
from vicinal.models.ahead import AHEAD_FROM, fill_ahead
from vicinal.models.base import Model
from vicinal.models.device import one_or_several
from vicinal.models.forward import Forward
from vicinal.models.outputs import Precision, as_tensors, check_results, converted, quantized
from vicinal.models.truncation import ON_TRUNCATE, OnTruncate, Truncations
from vicinal.tokens.text import TextTokenizer
from vicinal.vectors.rows import scale_to_unit

if TYPE_CHECKING:
    from vicinal.models.workers import WorkerPool

Output = Literal["sentence_embedding", "token_embeddings"]

_OUTPUTS = ("sentence_embedding", "token_embeddings", None)
_FLAGS = ("show_progress_bar", "convert_to_numpy", "convert_to_tensor", "normalize_embeddings")
_PRECISIONS = ("float32", "int8", "uint8", "binary", "ubinary")

# Texts that are tokenised and sorted together. Sorting more gains nothing, as batches of equal length
# fill up long before; and the window bounds what is held besides texts and vectors.
_WINDOW = 32_768


class EncodeOptions(NamedTuple):
    """How a call of ``encode`` wants its texts encoded; the fields are its arguments, under their names.

    (A NamedTuple, because it is made for every call: that costs a microsecond less than a frozen dataclass.)
    """

    prompt_name: str | None = None
    prompt: str | None = None
    batch_size: int | None = None
    show_progress_bar: bool | None = None
    output_value: Output | None = "sentence_embedding"
    precision: Precision | None = "float32"
    convert_to_numpy: bool = True
    convert_to_tensor: bool = False
    device: Any = None
    normalize_embeddings: bool = False
    truncate_dim: int | None = None
    on_truncate: OnTruncate = "warn"
    task: str | None = None

    @property
    def quantized_to(self) -> Precision:
        """``precision``; None means float32, as old code has it."""
        return "float32" if self.precision is None else self.precision

    def check(self) -> None:
        """Refuse what is invalid, before any work.

        Raises:
            InputError, InputTypeError: an invalid value, or two that contradict each other.
            MissingExtraError: tensors are wanted and torch is not installed.
        """
        check_positive(self.batch_size, "batch_size")
        check_positive(self.truncate_dim, "truncate_dim")
        check_choice(self.output_value, _OUTPUTS, "output_value")
        check_choice(self.quantized_to, _PRECISIONS, "precision")
        check_choice(self.on_truncate, ON_TRUNCATE, "on_truncate")
        for name in _FLAGS:
            check_flag(getattr(self, name), name)
        if self.output_value != "sentence_embedding" and self.quantized_to != "float32":
            raise InputError(
                f"precision={self.precision!r} is for sentence vectors only; leave it out, or "
                f"output_value={self.output_value!r}"
            )
        if self.convert_to_tensor:
            from vicinal.core.torch import require_torch

            require_torch("convert_to_tensor=True")


class VectorModel(Model):
    """Base of models that give vectors; a kind says how in its own :meth:`encode`.

    Attributes:
        truncate_dim: how many leading numbers of each vector ``encode`` keeps; None keeps all.
    """

    truncate_dim: int | None
    encode: Callable[..., Any]

    @explains_keywords
    def encode_query(
        self,
        sentences: str | Iterable[str],
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        output_value: Output | None = "sentence_embedding",
        precision: Precision | None = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        pool: WorkerPool | None = None,
        chunk_size: int | None = None,
        *,
        on_truncate: OnTruncate = "warn",
    ) -> Any:
        """:meth:`encode` with the prompt named ``"query"``, where the model has one.

        Arguments, result and errors as in :meth:`encode`.
        """
        options = EncodeOptions(
            prompt_name=self._role(("query",), prompt_name, prompt),
            prompt=prompt,
            batch_size=batch_size,
            show_progress_bar=show_progress_bar,
            output_value=output_value,
            precision=precision,
            convert_to_numpy=convert_to_numpy,
            convert_to_tensor=convert_to_tensor,
            device=device,
            normalize_embeddings=normalize_embeddings,
            truncate_dim=truncate_dim,
            on_truncate=on_truncate,
            task="query",
        )
        return self.encode(sentences, **options._asdict(), pool=pool, chunk_size=chunk_size)

    @explains_keywords
    def encode_document(
        self,
        sentences: str | Iterable[str],
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        output_value: Output | None = "sentence_embedding",
        precision: Precision | None = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        pool: WorkerPool | None = None,
        chunk_size: int | None = None,
        *,
        on_truncate: OnTruncate = "warn",
    ) -> Any:
        """:meth:`encode` with the prompt ``"document"``, ``"passage"`` or ``"corpus"``, if there is one.

        Arguments, result and errors as in :meth:`encode`.
        """
        options = EncodeOptions(
            prompt_name=self._role(("document", "passage", "corpus"), prompt_name, prompt),
            prompt=prompt,
            batch_size=batch_size,
            show_progress_bar=show_progress_bar,
            output_value=output_value,
            precision=precision,
            convert_to_numpy=convert_to_numpy,
            convert_to_tensor=convert_to_tensor,
            device=device,
            normalize_embeddings=normalize_embeddings,
            truncate_dim=truncate_dim,
            on_truncate=on_truncate,
            task="document",
        )
        return self.encode(sentences, **options._asdict(), pool=pool, chunk_size=chunk_size)

    def encode_multi_process(
        self,
        sentences: Iterable[str],
        pool: WorkerPool,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        chunk_size: int | None = None,
        show_progress_bar: bool | None = None,
        precision: Precision = "float32",
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
    ) -> NDArray[Any]:
        """:meth:`encode` by the processes of a pool: the older way to say ``encode(..., pool=pool)``."""
        vectors: NDArray[Any] = self.encode(
            sentences,
            prompt_name=prompt_name,
            prompt=prompt,
            batch_size=batch_size,
            show_progress_bar=show_progress_bar,
            precision=precision,
            normalize_embeddings=normalize_embeddings,
            truncate_dim=truncate_dim,
            pool=pool,
            chunk_size=chunk_size,
        )
        return vectors

    @explains_keywords
    def encode_iter(
        self,
        sentences: Iterable[str],
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        *,
        chunk_size: int = 4096,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        on_truncate: OnTruncate = "warn",
        task: str | None = None,
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the ``(dim,)`` float32 vector of each text, in order, with bounded memory.

        Args:
            sentences: any iterable of texts, endless ones included.
            chunk_size: texts read ahead; they are sorted by length for speed.

        Other arguments, and errors, as in :meth:`encode`.
        """
        options = EncodeOptions(
            batch_size=batch_size,
            normalize_embeddings=normalize_embeddings,
            truncate_dim=truncate_dim,
            on_truncate=on_truncate,
            task=task,
        )
        # Mistakes show at the call, not at the first vector.
        options.check()
        check_positive(chunk_size, "chunk_size")
        if isinstance(sentences, (str, bytes)):
            raise InputTypeError("sentences is a single text; encode_iter takes an iterable of texts")
        if not isinstance(sentences, Iterable):
            raise InputTypeError(f"sentences is {type(sentences).__name__}, not an iterable of texts")
        text = self._prompt(prompt, prompt_name)
        self._refresh()
        return self._vectors(iter(sentences), text, options, chunk_size)

    def _vectors(
        self, source: Iterator[str], prompt: str, options: EncodeOptions, chunk_size: int
    ) -> Iterator[NDArray[np.float32]]:
        first = 0
        while chunk := list(islice(source, chunk_size)):
            texts, _ = as_texts(chunk, first=first)
            forward = self._forward(prompt, options)
            yield from self._rows(forward, texts, options, first)
            first += len(chunk)
            options = options._replace(batch_size=forward.batch_size)  # what fitted into memory

    def _encode(
        self,
        sentences: str | Iterable[str],
        options: EncodeOptions,
        pool: WorkerPool | None,
        chunk_size: int | None,
    ) -> Any:
        """What ``SentenceTransformer.encode`` promises."""
        texts, single = as_texts(sentences)
        options.check()
        device, devices = one_or_several(options.device)
        if device is not None and pool is None:
            self.to(device)
        self._refresh()
        prompt = self._prompt(options.prompt, options.prompt_name)
        by_workers = bool(texts) and (pool is not None or devices is not None)
        parts = self._by_workers(texts, prompt, options, pool, devices, chunk_size) if by_workers else []
        if options.output_value != "sentence_embedding":
            found = [each for part in parts for each in part]
            if not by_workers:
                found = self._tokens(self._forward(prompt, options), texts, options)
            if options.convert_to_tensor:
                found = [as_tensors(each) for each in found]
            return found[0] if single else found
        if by_workers:
            rows = np.concatenate(parts)
        else:
            rows = self._rows(
                self._forward(prompt, options), texts, options, show_progress_bar=options.show_progress_bar
            )
        return converted(
            quantized(rows, options.quantized_to),
            single,
            options.convert_to_numpy,
            options.convert_to_tensor,
        )

    def _by_workers(
        self,
        texts: list[str],
        prompt: str,
        options: EncodeOptions,
        pool: WorkerPool | None,
        devices: Sequence[Any] | None,
        chunk_size: int | None,
    ) -> list[Any]:
        """What ``encode`` gives for each chunk of the texts, in float32: ranges of int8 are those of all vectors."""
        from vicinal.models.workers import by_workers

        arguments = {
            "prompt": prompt,
            "batch_size": options.batch_size,
            "output_value": options.output_value,
            "normalize_embeddings": options.normalize_embeddings,
            "truncate_dim": options.truncate_dim if options.truncate_dim is not None else self.truncate_dim,
            "on_truncate": options.on_truncate,
            "task": options.task,
        }
        return by_workers(
            self, "encode", texts, arguments, pool, devices, chunk_size, options.show_progress_bar
        )

    def _rows(
        self,
        forward: Forward,
        texts: list[str],
        options: EncodeOptions,
        first: int = 0,
        show_progress_bar: bool | None = False,
    ) -> NDArray[np.float32]:
        """``(n, dim)``: the vectors of texts, of which the first has the number ``first``."""
        if isinstance(self._texts, TextTokenizer):  # others do not say what they do not know
            self.hints.script(texts, self._texts)
        rows = np.empty((len(texts), self._kept(options)), dtype=np.float32)
        with progress_bar(len(texts), show_progress_bar, "Encoding") as progress:

            def finish(window: NDArray[np.float32], start: int) -> None:
                check_results(window, self.name_or_path, forward.engine, first + start)
                if options.normalize_embeddings:
                    scale_to_unit(window)

            if forward.on_accelerator and len(texts) > AHEAD_FROM:
                fill_ahead(forward, texts, rows, _WINDOW, finish, progress, first)
            else:
                for start in range(0, len(texts), _WINDOW):
                    window = rows[start : start + _WINDOW]
                    forward.fill(texts[start : start + _WINDOW], window, first + start, progress)
                    finish(window, start)
        forward.cut.report()
        self.hints.only_unknown(forward.unknown)
        return rows

    def _tokens(self, forward: Forward, texts: list[str], options: EncodeOptions) -> list[Any]:
        """The token vectors of each text, or a dictionary of everything."""
        whole = options.output_value is None
        found = forward.tokens(texts, whole)
        for facts in found if whole else ():
            facts["sentence_embedding"] = facts["sentence_embedding"][: self._kept(options)]
            if options.normalize_embeddings:
                scale_to_unit(facts["sentence_embedding"][None, :])
        forward.cut.report()
        self.hints.only_unknown(forward.unknown)
        return found

    def _kept(self, options: EncodeOptions) -> int:
        """Dimensions that a call's vectors have."""
        asked = options.truncate_dim or self.truncate_dim or self._dimension
        self.hints.short(asked, self._dimension, self.name_or_path)
        return min(self._dimension, asked)

    def _forward(self, prompt: str, options: EncodeOptions) -> Forward:
        engine = self._engine
        if hasattr(engine, "for_task"):
            engine = engine.for_task(options.task)
        cut = Truncations(options.on_truncate, self.max_seq_length)
        own = is_text_engine(engine)  # it finds out the prompt's length by itself
        length = 0 if own else self._prompt_length(prompt)
        return Forward(engine, self._texts, cut, prompt, length, options.batch_size)

    def _prompt_length(self, prompt: str) -> int:
        """Leading tokens that pooling leaves out."""
        pooling = next((module for module in self._spec.modules if isinstance(module, PoolingSpec)), None)
        if not prompt or pooling is None or pooling.include_prompt:
            return 0
        return self._texts.prompt_length(prompt)
