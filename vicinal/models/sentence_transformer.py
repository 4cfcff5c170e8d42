"""SentenceTransformer: a model folder or name, and the vectors that it gives."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from vicinal.core.inputs import as_prompts, as_texts, check_choice, check_positive, explains_keywords
from vicinal.core.progress import progress_bar
from vicinal.engine.base import is_text_engine
from vicinal.engine.opening import (
    choose_source,
    needs_torch,
    position_limit,
    read_options,
    read_spec,
    read_texts,
    refuse_cross_encoder,
)
from vicinal.errors import InputError, InputTypeError
from vicinal.folder.specs import PoolingSpec, with_pooling_prompt
from vicinal.models.adapters import Adapters
from vicinal.models.device import read_device
from vicinal.models.features import tokenize
from vicinal.models.forward import Forward
from vicinal.models.outputs import Precision, as_tensors, converted, normalize, quantized
from vicinal.models.renewal import Renewal
from vicinal.models.sharing import Sharing, check_safe
from vicinal.models.truncation import Truncations
from vicinal.tokens.text import TextTokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from vicinal.models.workers import WorkerPool
    from vicinal.vectors.similarity import SimilarityFunction

Output = Literal["sentence_embedding", "token_embeddings"]
OnTruncate = Literal["warn", "error", "ignore"]

_OUTPUTS = ("sentence_embedding", "token_embeddings", None)
_PRECISIONS = ("float32", "int8", "uint8", "binary", "ubinary")
_ON_TRUNCATE = ("warn", "error", "ignore")

# Texts that are tokenised and sorted together. Sorting more gains nothing, as batches of equal length
# fill up long before; and the window bounds what is held besides texts and vectors.
_WINDOW = 32_768


class SentenceTransformer(Renewal, Adapters, Sharing):
    """Turns texts into vectors.

    Args:
        model_name_or_path: a model folder, a hub name (``org/name``), or a bare name, which means
            ``sentence-transformers/name``.
        modules: ``torch.nn.Module`` objects to put a model together from, instead of a folder: the first reads
            texts (``models.Transformer(...)``), the others work on its features (``models.Pooling(...)``).
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, ...; None takes an NVIDIA GPU where torch can
            use one. Accelerators need torch.
        prompts: name -> text put before each input; added to the folder's prompts.
        default_prompt_name: the prompt for calls of ``encode`` that name none.
        similarity_fn_name: ``"cosine"``, ``"dot"``, ``"euclidean"`` or ``"manhattan"``.
        cache_folder: where downloaded models lie; default ``SENTENCE_TRANSFORMERS_HOME``, then the hub's own.
        trust_remote_code: run code that the folder brings, for modules and architectures of its own.
        revision: branch, tag or commit on the hub.
        local_files_only: never ask the hub.
        token: for private models; True takes the stored one. ``use_auth_token`` is its old name.
        truncate_dim: keep this many leading numbers of each vector (Matryoshka models).
        dtype: ``"auto"`` computes in bfloat16 where the processor does so natively (cosine to float32
            0.9999 or better), else in float32; ``"float32"`` is exact; ``"bfloat16"`` as named;
            ``"float16"`` likewise, or float32 where the processor does not multiply float16; ``"int8"``
            needs a folder that :meth:`quantize` wrote.
        backend: ``"auto"`` takes OpenVINO on a processor and torch on an accelerator or for modules that only
            torch runs; ``"openvino"`` builds the graph from the weights; ``"onnx"`` prefers a graph file that
            the folder holds; ``"torch"`` runs the torch modules anywhere.
        model_kwargs: ``dtype`` or ``torch_dtype`` (as the argument ``dtype``), ``file_name`` (a graph file
            of the folder), ``attn_implementation`` (no effect, as results do not depend on it).
        processor_kwargs: replace keys of ``tokenizer_config.json``, such as ``model_max_length`` or
            ``truncation_side``. ``tokenizer_kwargs`` is its old name.
        config_kwargs: replace keys of ``config.json``.
        module_classes: classes of your own that the folder's ``modules.json`` names.

    Raises:
        ModelNotFoundError, HubError: the name leads nowhere.
        ModelFormatError, UnsupportedModelError: the folder cannot be used.
    """

    @explains_keywords
    def __init__(
        self,
        model_name_or_path: str | os.PathLike[str] | None = None,
        *,
        modules: Sequence[Any] | None = None,
        device: Any = None,
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        similarity_fn_name: str | SimilarityFunction | None = None,
        cache_folder: str | os.PathLike[str] | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        local_files_only: bool = False,
        token: bool | str | None = None,
        use_auth_token: bool | str | None = None,
        truncate_dim: int | None = None,
        dtype: str = "auto",
        backend: str = "auto",
        model_kwargs: Mapping[str, Any] | None = None,
        processor_kwargs: Mapping[str, Any] | None = None,
        tokenizer_kwargs: Mapping[str, Any] | None = None,
        config_kwargs: Mapping[str, Any] | None = None,
        module_classes: Sequence[type[Any]] = (),
    ) -> None:
        if (model_name_or_path is None) == (modules is None):
            raise InputTypeError(
                "model_name_or_path and modules: give a model folder or a hub name, or the modules, one of the two"
            )
        check_positive(truncate_dim, "truncate_dim")
        options = read_options(dtype=dtype, backend=backend, model_kwargs=model_kwargs)
        self.__setstate__({"_spec": None, "_engine": None, "_mark": None})
        self._device = read_device(device)
        self._options = options
        self._tokenizer_settings = {**(processor_kwargs or {}), **(tokenizer_kwargs or {})}
        self.trust_remote_code = trust_remote_code
        self._module_classes = tuple(module_classes)
        if modules is not None:
            spec = self._take_modules(modules)
        else:
            assert model_name_or_path is not None
            spec = read_spec(
                model_name_or_path,
                cache_folder=cache_folder,
                revision=revision,
                local_files_only=local_files_only,
                token=token if token is not None else use_auth_token,
                config_kwargs=config_kwargs,
            )
            refuse_cross_encoder(spec)
            self._spec = spec
            if needs_torch(spec, options, self._device) or spec.has_adapter:
                self._module = self.module
                self._renew()
            else:
                source = choose_source(spec, options)
                self._set_up(spec, source, read_texts(spec, self._tokenizer_settings), options.dtype)
        self.name_or_path = "" if model_name_or_path is None else os.fspath(model_name_or_path)
        self.truncate_dim: int | None = truncate_dim if truncate_dim is not None else spec.truncate_dim
        self.prompts: dict[str, str] = {**spec.prompts, **as_prompts(prompts)}
        self.default_prompt_name = default_prompt_name or spec.default_prompt_name
        if self.default_prompt_name is not None:
            self._prompt(None, self.default_prompt_name)
        self.similarity_fn_name = similarity_fn_name or spec.similarity_fn_name

    # encode

    @explains_keywords
    def encode(
        self,
        sentences: str | Iterable[str],
        prompt_name: str | int | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        output_value: Output | None = "sentence_embedding",
        precision: Precision = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | Sequence[str] | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        on_truncate: OnTruncate = "warn",
        *,
        pool: WorkerPool | None = None,
        chunk_size: int | None = None,
        task: str | None = None,
    ) -> Any:
        """Compute vectors.

        Args:
            sentences: one text, or an iterable of texts.
            prompt_name: which of ``model.prompts`` to put before each text. An integer here is the batch
                size, as the oldest code wrote it.
            prompt: the text to put before each text; wins over ``prompt_name``.
            batch_size: texts a batch; None fills batches up to a number of tokens, which is faster.
            show_progress_bar: None shows one after two seconds of work in a terminal.
            output_value: ``"sentence_embedding"``; ``"token_embeddings"`` for the vector of every token;
                None for a dictionary with both and the token ids.
            precision: ``"int8"``, ``"uint8"``, ``"binary"`` or ``"ubinary"`` quantise the finished vectors.
            convert_to_numpy: an array (default); otherwise a list of rows.
            convert_to_tensor: a torch tensor; needs torch.
            device: moves the model there first; several devices work in turn, a process each.
            normalize_embeddings: scale each vector to length 1.
            truncate_dim: keep this many leading numbers; default the model's.
            on_truncate: what to do when a text is longer than ``max_seq_length``: warn once a call,
                raise, or nothing.
            pool: processes that do the work (:meth:`start_multi_process_pool`).
            chunk_size: texts that a process takes at a time, default a fair share.
            task: ``"query"``, ``"document"`` or another route, for models with a ``Router``; no effect on others.

        Returns:
            ``(dim,)`` float32 for one text, ``(n, dim)`` for n texts, ``(0, dim)`` for none. Token
            vectors: ``(tokens, hidden)`` for one text, a list of these for several.

        Raises:
            InputTypeError: something that is not text, with its position.
            InputError: an argument with an impossible value.
            TruncationError: ``on_truncate="error"`` and a text is too long.
        """
        if not isinstance(prompt_name, str) and hasattr(prompt_name, "__index__"):  # numpy's integers too
            if batch_size is not None or isinstance(prompt_name, bool):
                raise InputTypeError(
                    f"prompt_name={prompt_name!r} is {type(prompt_name).__name__}, not a name"
                )
            prompt_name, batch_size = None, prompt_name
        if isinstance(device, (list, tuple)) and len(device) == 1:
            device = device[0]
        if pool is not None or isinstance(device, (list, tuple)):
            from vicinal.models.pool import encode_in_pool

            return encode_in_pool(
                self,
                sentences,
                pool,
                devices=None if pool is not None else device,
                prompt_name=prompt_name,
                prompt=prompt,
                batch_size=batch_size,
                chunk_size=chunk_size,
                show_progress_bar=show_progress_bar,
                output_value=output_value,
                precision=precision,
                convert_to_numpy=convert_to_numpy,
                convert_to_tensor=convert_to_tensor,
                normalize_embeddings=normalize_embeddings,
                truncate_dim=truncate_dim,
                on_truncate=on_truncate,
                task=task,
            )
        texts, single = as_texts(sentences)
        check_positive(batch_size, "batch_size")
        check_positive(truncate_dim, "truncate_dim")
        check_choice(output_value, _OUTPUTS, "output_value")
        check_choice(precision, _PRECISIONS, "precision")
        check_choice(on_truncate, _ON_TRUNCATE, "on_truncate")
        if device is not None:
            self.to(device)
        self._refresh()
        if output_value != "sentence_embedding" and precision != "float32":
            raise InputError(
                f"precision={precision!r} is for sentence vectors only; leave it out, or output_value={output_value!r}"
            )
        if convert_to_tensor:
            from vicinal.core.torch import require_torch

            require_torch("convert_to_tensor=True")
        text = self._prompt(prompt, prompt_name)
        forward = self._forward(text, batch_size, on_truncate, task)
        dimension = min(self._dimension, truncate_dim or self.truncate_dim or self._dimension)
        if output_value != "sentence_embedding":
            tokens = forward.tokens(texts, output_value is None)
            if output_value is None:
                for facts in tokens:
                    facts["sentence_embedding"] = facts["sentence_embedding"][:dimension]
                    if normalize_embeddings:
                        normalize(facts["sentence_embedding"][None, :])
            if convert_to_tensor:
                tokens = [as_tensors(found) for found in tokens]
            forward.cut.report()
            return tokens[0] if single else tokens
        if isinstance(self._texts, TextTokenizer):  # others do not say what they do not know
            self.hints.script(texts, self._texts)
        result = np.empty((len(texts), dimension), dtype=np.float32)
        with progress_bar(len(texts), show_progress_bar, "Encoding") as progress:
            for first in range(0, len(texts), _WINDOW):
                window = result[first : first + _WINDOW]
                forward.fill(texts[first : first + _WINDOW], window, first, progress)
                if normalize_embeddings:
                    normalize(window)
        forward.cut.report()
        return converted(quantized(result, precision), single, convert_to_numpy, convert_to_tensor)

    @explains_keywords
    def encode_query(
        self,
        sentences: str | Iterable[str],
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        output_value: Output | None = "sentence_embedding",
        precision: Precision = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        on_truncate: OnTruncate = "warn",
    ) -> Any:
        """:meth:`encode` with the prompt named ``"query"``, where the model has one.

        Arguments, result and errors as in :meth:`encode`.
        """
        return self.encode(
            sentences,
            self._role(("query",), prompt_name, prompt),
            prompt,
            batch_size,
            show_progress_bar,
            output_value,
            precision,
            convert_to_numpy,
            convert_to_tensor,
            device,
            normalize_embeddings,
            truncate_dim,
            on_truncate,
            task="query",
        )

    @explains_keywords
    def encode_document(
        self,
        sentences: str | Iterable[str],
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        output_value: Output | None = "sentence_embedding",
        precision: Precision = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        on_truncate: OnTruncate = "warn",
    ) -> Any:
        """:meth:`encode` with the prompt ``"document"``, ``"passage"`` or ``"corpus"``, if there is one.

        Arguments, result and errors as in :meth:`encode`.
        """
        return self.encode(
            sentences,
            self._role(("document", "passage", "corpus"), prompt_name, prompt),
            prompt,
            batch_size,
            show_progress_bar,
            output_value,
            precision,
            convert_to_numpy,
            convert_to_tensor,
            device,
            normalize_embeddings,
            truncate_dim,
            on_truncate,
            task="document",
        )

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
        check_positive(chunk_size, "chunk_size")
        check_positive(batch_size, "batch_size")
        check_positive(truncate_dim, "truncate_dim")
        check_choice(on_truncate, _ON_TRUNCATE, "on_truncate")
        if isinstance(sentences, (str, bytes)):
            raise InputTypeError("sentences is a single text; encode_iter takes an iterable of texts")
        if not isinstance(sentences, Iterable):
            raise InputTypeError(f"sentences is {type(sentences).__name__}, not an iterable of texts")
        # Mistakes show at the call, not at the first vector.
        text = self._prompt(prompt, prompt_name)
        self._refresh()
        return self._vectors(
            sentences, text, batch_size, chunk_size, normalize_embeddings, truncate_dim, on_truncate, task
        )

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
            prompt_name,
            prompt,
            batch_size,
            show_progress_bar,
            precision=precision,
            normalize_embeddings=normalize_embeddings,
            truncate_dim=truncate_dim,
            pool=pool,
            chunk_size=chunk_size,
        )
        return vectors

    def _vectors(
        self,
        sentences: Iterable[str],
        prompt: str,
        batch_size: int | None,
        chunk_size: int,
        normalize_embeddings: bool,
        truncate_dim: int | None,
        on_truncate: str,
        task: str | None,
    ) -> Iterator[NDArray[np.float32]]:
        source, first = iter(sentences), 0
        dimension = min(self._dimension, truncate_dim or self.truncate_dim or self._dimension)
        while chunk := list(islice(source, chunk_size)):
            texts, _ = as_texts(chunk, first=first)
            if isinstance(self._texts, TextTokenizer):  # others do not say what they do not know
                self.hints.script(texts, self._texts)
            forward = self._forward(prompt, batch_size, on_truncate, task)
            result = np.empty((len(texts), dimension), dtype=np.float32)
            forward.fill(texts, result, first)
            batch_size = forward.batch_size
            if normalize_embeddings:
                normalize(result)
            forward.cut.report()
            yield from result
            first += len(chunk)

    def _forward(self, prompt: str, batch_size: int | None, on_truncate: str, task: str | None) -> Forward:
        engine = self._engine
        if hasattr(engine, "for_task"):
            engine = engine.for_task(task)
        cut = Truncations(on_truncate, self.max_seq_length)
        own = is_text_engine(engine)  # it finds out the prompt's length by itself
        return Forward(
            engine, self._texts, cut, prompt, 0 if own else self._prompt_length(prompt), batch_size
        )

    # prompts

    def _prompt(self, prompt: str | None, prompt_name: str | None) -> str:
        if prompt is not None:
            if not isinstance(prompt, str):
                raise InputTypeError(f"prompt={prompt!r} is {type(prompt).__name__}, not a text")
            return prompt
        name = prompt_name if prompt_name is not None else self.default_prompt_name
        if name is None:
            return ""
        if not isinstance(name, str):
            raise InputTypeError(f"prompt_name={name!r} is {type(name).__name__}, not a name")
        if name not in self.prompts:
            raise InputError(
                f"prompt_name={name!r}: the model has no prompt of this name; "
                f"it has {', '.join(map(repr, self.prompts)) or 'none'}. prompt= takes the text itself"
            )
        return self.prompts[name]

    def _role(self, names: Sequence[str], prompt_name: str | None, prompt: str | None) -> str | None:
        if prompt_name is not None or prompt is not None:
            return prompt_name
        known = [name for name in names if name in self.prompts]
        # A folder's empty "document" must not hide its "passage".
        return next((name for name in known if self.prompts[name]), known[0] if known else None)

    def _prompt_length(self, prompt: str) -> int:
        if not prompt or self._pooling is None or self._pooling.include_prompt:
            return 0
        return self._texts.prompt_length(prompt)

    @property
    def _pooling(self) -> PoolingSpec | None:
        return next((module for module in self._spec.modules if isinstance(module, PoolingSpec)), None)

    def set_pooling_include_prompt(self, include_prompt: bool) -> None:
        """Decide whether the prompt's tokens take part in pooling (INSTRUCTOR models leave them out)."""
        if self._module is not None:
            for each in self._module.modules():
                if hasattr(each, "include_prompt"):
                    each.include_prompt = include_prompt
            return  # noticed at the next encode
        spec = with_pooling_prompt(self._spec, include_prompt)
        dtype = getattr(self._engine, "dtype", "auto")
        assert self._graph is not None
        self._set_up(spec, replace(self._graph, spec=spec), self._texts, dtype)
        self._fingerprint = None  # the vectors are others now

    # similarity

    @property
    def similarity_fn_name(self) -> str:
        """Name of the function behind :meth:`similarity`; ``"cosine"`` where nobody chose one."""
        return self._similarity_fn_name or "cosine"

    @similarity_fn_name.setter
    def similarity_fn_name(self, value: str | SimilarityFunction | None) -> None:
        from vicinal.vectors.similarity import SimilarityFunction

        if value is not None and not isinstance(value, SimilarityFunction):
            check_choice(value, [*SimilarityFunction.possible_values(), "dot_product"], "similarity_fn_name")
            value = "dot" if value == "dot_product" else value
        self._similarity_fn_name = None if value is None else str(SimilarityFunction(value).value)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """``(n, m)`` similarities of all pairs; numpy in, numpy out; torch in, torch out."""
        from vicinal.vectors.similarity import SimilarityFunction

        return SimilarityFunction.to_similarity_fn(self.similarity_fn_name)(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """``(n,)`` similarities of each row with its counterpart."""
        from vicinal.vectors.similarity import SimilarityFunction

        return SimilarityFunction.to_similarity_pairwise_fn(self.similarity_fn_name)(embeddings1, embeddings2)

    # facts and settings

    def get_embedding_dimension(self) -> int:
        """Length of the vectors that :meth:`encode` gives, ``truncate_dim`` obeyed."""
        return min(self._dimension, self.truncate_dim or self._dimension)

    def get_sentence_embedding_dimension(self) -> int:
        """The older name of :meth:`get_embedding_dimension`."""
        return self.get_embedding_dimension()

    @property
    def max_seq_length(self) -> int:
        """Tokens of a text that count, special tokens included; what is longer is cut."""
        if self._module is not None:
            length = getattr(self._module[0], "max_seq_length", None)
            return self._texts.max_length if length is None else int(length)
        return self._texts.max_length

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        if value is None:
            raise InputTypeError("max_seq_length=None: give the number of tokens that count")
        check_positive(value, "max_seq_length")
        limit = position_limit(self._spec.source)
        if limit is not None and value > limit:
            raise InputError(f"max_seq_length={value}: this architecture has positions for {limit} tokens")
        self._texts.max_length = int(value)
        if self._module is not None and hasattr(self._module[0], "max_seq_length"):
            self._module[0].max_seq_length = int(value)

    def get_max_seq_length(self) -> int:
        """The same as :attr:`max_seq_length`."""
        return self.max_seq_length

    @property
    def dtype(self) -> str:
        """What encode computes in, e.g. ``"bfloat16"``; ``"int8"`` for a quantised graph."""
        self._refresh()
        if self._graph is not None and self._graph.quantized:
            return "int8"
        return str(getattr(self._engine, "precision", "float32"))

    @property
    def tokenizer(self) -> Tokenizer:
        """The ``tokenizers.Tokenizer``; truncation and padding are done elsewhere."""
        return self._texts.backend

    def tokenize(self, texts: str | Iterable[Any], task: str | None = None) -> dict[str, Any]:
        """What the model's first module reads, cut to ``max_seq_length`` and padded to the longest text.

        For a transformer: ``input_ids`` and ``attention_mask``, ``(n, length)`` int64, and ``token_type_ids``
        for pairs. For a static model: ``input_ids`` ``(total,)``, all texts in one row, and ``offsets`` ``(n,)``, where
        each begins. These are torch tensors in a process that has imported torch, else arrays.

        Args:
            texts: texts, or pairs of texts, or dictionaries of one text.
            task: for models with a ``Router``.
        """
        return tokenize(self, texts, task)

    preprocess = tokenize

    @overload
    def count_tokens(self, sentences: str) -> int: ...

    @overload
    def count_tokens(self, sentences: list[str]) -> list[int]: ...

    @overload
    def count_tokens(self, sentences: Iterable[str]) -> int | list[int]: ...

    def count_tokens(self, sentences: str | Iterable[str]) -> int | list[int]:
        """Tokens of a text, or of each text, before truncation and with special tokens.

        Compare with :attr:`max_seq_length` to see what would be cut.
        """
        texts, single = as_texts(sentences)
        counts: list[int] = self._texts.count(texts).tolist()
        return counts[0] if single else counts

    @contextmanager
    def truncate_sentence_embeddings(self, truncate_dim: int | None) -> Iterator[None]:
        """Within the block, encode keeps only this many leading numbers of each vector."""
        check_positive(truncate_dim, "truncate_dim")
        before, self.truncate_dim = self.truncate_dim, truncate_dim
        try:
            yield
        finally:
            self.truncate_dim = before

    truncate_embeddings = truncate_sentence_embeddings

    @property
    def fingerprint(self) -> str:
        """Names the model by its content: weights, modules and pooling, so that vectors can be told apart."""
        from vicinal.models.saving import fingerprint

        self._refresh()
        if self._graph is None:  # the modules themselves run, and nothing says whether they changed
            from vicinal.nn.engine.live import content_digest

            return content_digest(self.module)
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self._spec, self._graph)
        return self._fingerprint

    def __repr__(self) -> str:
        name = self.name_or_path or str(self._spec.folder)
        return (
            f"SentenceTransformer({name!r}, dimension={self.get_embedding_dimension()}, "
            f"max_seq_length={self.max_seq_length})"
        )

    # training

    @explains_keywords
    def fit(
        self,
        train_objectives: Iterable[tuple[Any, Any]],
        evaluator: Any = None,
        epochs: int = 1,
        steps_per_epoch: int | None = None,
        scheduler: str = "WarmupLinear",
        warmup_steps: int = 10_000,
        optimizer_class: Any = None,
        optimizer_params: Mapping[str, Any] | None = None,
        weight_decay: float = 0.01,
        evaluation_steps: int = 0,
        output_path: str | os.PathLike[str] | None = None,
        save_best_model: bool = True,
        max_grad_norm: float | None = 1.0,
        use_amp: bool | None = None,
        callback: Callable[[float, int, int], Any] | None = None,
        show_progress_bar: bool = True,
        checkpoint_path: str | os.PathLike[str] | None = None,
        checkpoint_save_steps: int = 500,
        checkpoint_save_total_limit: int = 0,
        resume_from_checkpoint: bool | str | os.PathLike[str] = False,
    ) -> None:
        """Train the model; the short way, :class:`SentenceTransformerTrainer` is the long one.

        Afterwards :meth:`encode` uses the new weights; they are those of the last step, also where
        ``output_path`` holds better ones.

        Args:
            train_objectives: pairs of a torch ``DataLoader`` over InputExample and a loss. Each step takes one
                batch of each pair in turn and updates the weights after each; short loaders begin anew.
            evaluator: called with the model before training, after each epoch and every ``evaluation_steps``.
            epochs: how often to go through the data.
            steps_per_epoch: default the batches of the shortest loader.
            scheduler: ``"constantlr"``, ``"warmupconstant"``, ``"warmuplinear"``, ``"warmupcosine"`` or
                ``"warmupcosinewithhardrestarts"``.
            warmup_steps: steps in which the learning rate grows from 0. If they are more than the run has, a
                tenth of the run is taken, with a warning.
            optimizer_class: default ``torch.optim.AdamW``, the fused one.
            optimizer_params: its arguments, default ``{"lr": 2e-5}``.
            weight_decay: of all weights but biases and norms.
            evaluation_steps: steps between evaluations; 0 for the end of each epoch only.
            output_path: where the model is saved; evaluators write into its folder ``eval``.
            save_best_model: save whenever the evaluator finds a better one; if False, or without an evaluator,
                the last one is saved.
            max_grad_norm: gradients are scaled down to this norm; None leaves them.
            use_amp: matrix products in bfloat16; None does so where the device computes them natively.
            callback: called with (score, epoch, steps) after each evaluation but the first.
            show_progress_bar: a bar with the loss and examples a second.
            checkpoint_path: folder for ``checkpoint-STEP``, from which a run goes on as if never interrupted.
            checkpoint_save_steps: steps between checkpoints.
            checkpoint_save_total_limit: how many to keep, the newest; 0 keeps all.
            resume_from_checkpoint: True takes the newest in ``checkpoint_path``, if there is one; or its folder.

        Raises:
            InputError, InputTypeError: examples that the loss cannot mean, named, before the first step; a loss
                or gradient that is no number, with its step, before it harms the weights.
            MissingExtraError: torch or transformers is not installed.

        Warns:
            UserWarning: the evaluator's score fell; or ``warmup_steps`` exceeds the run.
        """
        from vicinal.core.torch import require_torch

        require_torch("fit")
        from vicinal.nn.fit.loop import Settings
        from vicinal.nn.fit.sentence_transformer import fit

        settings = Settings(
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
            scheduler=scheduler,
            warmup_steps=warmup_steps,
            optimizer_class=optimizer_class,
            optimizer_params={"lr": 2e-5} if optimizer_params is None else optimizer_params,
            weight_decay=weight_decay,
            evaluation_steps=evaluation_steps,
            output_path=output_path,
            save_best_model=save_best_model,
            max_grad_norm=max_grad_norm,
            use_amp=use_amp,
            callback=callback,
            show_progress_bar=show_progress_bar,
            checkpoint_path=checkpoint_path,
            checkpoint_save_steps=checkpoint_save_steps,
            checkpoint_save_total_limit=checkpoint_save_total_limit,
            resume_from_checkpoint=resume_from_checkpoint,
        )
        fit(self, train_objectives, evaluator, settings)

    # saving

    @classmethod
    def load(cls, input_path: str | os.PathLike[str]) -> SentenceTransformer:
        """The same as ``SentenceTransformer(input_path)``, as old code writes it."""
        return cls(input_path)

    def save(
        self,
        path: str | os.PathLike[str],
        model_name: str | None = None,
        create_model_card: bool = True,
        *,
        safe_serialization: bool = True,
    ) -> None:
        """Write a model folder that Vicinal and sentence-transformers load.

        Args:
            path: the folder, made if absent; files of the same names are replaced.
            model_name: the title of the model card, default the folder's name.
            create_model_card: write README.md.
            safe_serialization: True; weights are written as safetensors only.
        """
        check_safe(safe_serialization)
        from vicinal.models.saving import save_folder, save_modules

        if self._module is not None:
            save_modules(
                self._module,
                Path(path),
                prompts=self.prompts,
                default_prompt_name=self.default_prompt_name,
                similarity_fn_name=self.similarity_fn_name,
                truncate_dim=self.truncate_dim,
                max_seq_length=self.max_seq_length,
                tokenizer_settings=self._texts.sides,
                model_name=model_name,
                record=self.training_record,
                card=create_model_card,
            )
            return
        save_folder(
            self._spec,
            Path(path),
            prompts=self.prompts,
            default_prompt_name=self.default_prompt_name,
            similarity_fn_name=self.similarity_fn_name,
            truncate_dim=self.truncate_dim,
            max_seq_length=self.max_seq_length,
            dimension=self._dimension,
            tokenizer_settings=self._texts.sides,
            model_name=model_name,
            card=create_model_card,
        )

    save_pretrained = save

    def quantize(
        self, calibration_texts: Iterable[str], path: str | os.PathLike[str], *, samples: int = 300
    ) -> Path:
        """Write an int8 version of this model: about a quarter of the size, faster, and a little less exact.

        Weights and activations of the matrix products become 8-bit integers, with ranges that are measured
        on the texts (static post-training quantisation by NNCF, which the extra ``quantize`` brings).

        Args:
            calibration_texts: texts like those that the model will see, 100 or more.
            path: the new folder; ``SentenceTransformer(path)`` loads it.
            samples: how many of the texts to use.

        Returns:
            The folder.

        Raises:
            MissingExtraError: nncf is not installed.
            InputError: there are no texts, or the model is quantised already.
        """
        from vicinal.engine.graphs.source import SentenceGraph
        from vicinal.models.quantize import quantize_graph, replace_weights

        texts, _ = as_texts(calibration_texts, "calibration_texts")
        if not isinstance(self._graph, SentenceGraph):
            reason = "runs on torch" if self._graph is None else "is a static model, an average of rows"
            raise InputError(f"{self._spec.folder} {reason}: there is no graph to quantise")
        if self._graph.quantized:
            raise InputError(f"{self._spec.folder} is quantised already; start from the float model")
        quantized = quantize_graph(self._graph, texts, self._texts, samples)
        self.save(path)
        replace_weights(Path(path), quantized)
        return Path(path)
