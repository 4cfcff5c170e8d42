"""SentenceTransformer: a model folder or name, and the vectors that it gives."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from vicinal import batching
from vicinal.config import ModelSpec, PoolingSpec, with_pooling_prompt
from vicinal.engine.base import Engine
from vicinal.engine.graphs.source import SentenceGraph
from vicinal.engine.static import StaticTable
from vicinal.errors import InputError, InputTypeError, UnsupportedModelError
from vicinal.inputs import as_prompts, as_texts, check_choice, check_positive, explains_keywords
from vicinal.models.loading import (
    check_device,
    choose_source,
    open_engine,
    position_limit,
    read_options,
    read_spec,
    read_texts,
    refuse_cross_encoder,
)
from vicinal.models.truncation import Truncations
from vicinal.progress import progress_bar
from vicinal.tokens import Ragged, TextTokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from vicinal.similarity import SimilarityFunction

Output = Literal["sentence_embedding", "token_embeddings"]
Precision = Literal["float32", "int8", "uint8", "binary", "ubinary"]
OnTruncate = Literal["warn", "error", "ignore"]

_OUTPUTS = ("sentence_embedding", "token_embeddings", None)
_PRECISIONS = ("float32", "int8", "uint8", "binary", "ubinary")
_ON_TRUNCATE = ("warn", "error", "ignore")

# Texts that are tokenised and sorted together. Sorting more gains nothing, as batches of equal length
# fill up long before; and the window bounds what is held besides texts and vectors.
_WINDOW = 32_768

# Padded tokens a batch. The widest activation of a small model (4 x 384 numbers a token) then stays
# about within the caches that a core has for itself; measured best of 256 to 8192 on two cores.
_TOKEN_BUDGET = 1024


class SentenceTransformer:
    """Turns texts into vectors.

    Args:
        model_name_or_path: a model folder, a hub name (``org/name``), or a bare name, which means
            ``sentence-transformers/name``.
        modules: models put together from PyTorch modules; they need the torch layer.
        device: ``"cpu"`` or None; this engine runs on the processor.
        prompts: name -> text put before each input; added to the folder's prompts.
        default_prompt_name: the prompt for calls of ``encode`` that name none.
        similarity_fn_name: ``"cosine"``, ``"dot"``, ``"euclidean"`` or ``"manhattan"``.
        cache_folder: where downloaded models lie; default ``SENTENCE_TRANSFORMERS_HOME``, then the hub's own.
        trust_remote_code: accepted for old code; code from a folder is never run by this engine.
        revision: branch, tag or commit on the hub.
        local_files_only: never ask the hub.
        token: for private models; True takes the stored one. ``use_auth_token`` is its old name.
        truncate_dim: keep this many leading numbers of each vector (Matryoshka models).
        dtype: ``"auto"`` computes in bfloat16 where the processor does so natively (cosine to float32
            0.9999 or better), else in float32; ``"float32"`` is exact; ``"bfloat16"`` as named;
            ``"float16"`` likewise, or float32 where the processor does not multiply float16; ``"int8"``
            needs a folder that :meth:`quantize` wrote.
        backend: ``"auto"`` and ``"openvino"`` build the graph from the weights; ``"onnx"`` prefers a
            graph file that the folder holds.
        model_kwargs: ``dtype`` or ``torch_dtype`` (as the argument ``dtype``), ``file_name`` (a graph file
            of the folder), ``attn_implementation`` (no effect, as results do not depend on it).
        processor_kwargs: replace keys of ``tokenizer_config.json``, such as ``model_max_length`` or
            ``truncation_side``. ``tokenizer_kwargs`` is its old name.
        config_kwargs: replace keys of ``config.json``.

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
        device: str | None = None,
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
    ) -> None:
        if modules is not None:
            raise UnsupportedModelError(
                "modules=: models put together from PyTorch modules need the torch layer"
            )
        if model_name_or_path is None:
            raise InputTypeError("model_name_or_path is missing: give a model folder or a hub name")
        check_positive(truncate_dim, "truncate_dim")
        options = read_options(device=device, dtype=dtype, backend=backend, model_kwargs=model_kwargs)
        spec = read_spec(
            model_name_or_path,
            cache_folder=cache_folder,
            revision=revision,
            local_files_only=local_files_only,
            token=token if token is not None else use_auth_token,
            config_kwargs=config_kwargs,
        )
        refuse_cross_encoder(spec)
        self._set_up(
            spec,
            choose_source(spec, options),
            read_texts(spec, {**(processor_kwargs or {}), **(tokenizer_kwargs or {})}),
            options.dtype,
        )
        self.name_or_path = os.fspath(model_name_or_path)
        self.trust_remote_code = trust_remote_code
        self.truncate_dim: int | None = truncate_dim if truncate_dim is not None else spec.truncate_dim
        self.prompts: dict[str, str] = {**spec.prompts, **as_prompts(prompts)}
        self.default_prompt_name = default_prompt_name or spec.default_prompt_name
        if self.default_prompt_name is not None:
            self._prompt(None, self.default_prompt_name)
        self.similarity_fn_name = similarity_fn_name or spec.similarity_fn_name

    def _set_up(
        self, spec: ModelSpec, graph: SentenceGraph | StaticTable, texts: TextTokenizer, dtype: str
    ) -> None:
        self._spec = spec
        self._graph = graph
        self._texts = texts
        self._dimension = graph.dimension
        self._engine: Engine = open_engine(graph, dtype)

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
        device: str | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        on_truncate: OnTruncate = "warn",
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
            device: ``"cpu"`` or None.
            normalize_embeddings: scale each vector to length 1.
            truncate_dim: keep this many leading numbers; default the model's.
            on_truncate: what to do when a text is longer than ``max_seq_length``: warn once a call,
                raise, or nothing.

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
        texts, single = as_texts(sentences)
        check_positive(batch_size, "batch_size")
        check_positive(truncate_dim, "truncate_dim")
        check_choice(output_value, _OUTPUTS, "output_value")
        check_choice(precision, _PRECISIONS, "precision")
        check_choice(on_truncate, _ON_TRUNCATE, "on_truncate")
        check_device(device)
        if output_value != "sentence_embedding" and precision != "float32":
            raise InputError(
                f"precision={precision!r} is for sentence vectors only; leave it out, or output_value={output_value!r}"
            )
        if convert_to_tensor:
            from vicinal.nn.tensors import require_torch

            require_torch("convert_to_tensor=True")
        text = self._prompt(prompt, prompt_name)
        cut = Truncations(on_truncate, self.max_seq_length)
        dimension = min(self._dimension, truncate_dim or self.truncate_dim or self._dimension)
        if output_value != "sentence_embedding":
            tokens = self._encode_tokens(texts, text, output_value, batch_size, cut)
            if output_value is None:
                for facts in tokens:
                    facts["sentence_embedding"] = facts["sentence_embedding"][:dimension]
                    if normalize_embeddings:
                        _normalize(facts["sentence_embedding"][None, :])
            if convert_to_tensor:
                tokens = [_as_tensors(found) for found in tokens]
            cut.report()
            return tokens[0] if single else tokens
        result = np.empty((len(texts), dimension), dtype=np.float32)
        with progress_bar(len(texts), show_progress_bar, "Encoding") as progress:
            for first in range(0, len(texts), _WINDOW):
                window = result[first : first + _WINDOW]
                self._encode_window(
                    texts[first : first + _WINDOW], window, text, batch_size, cut, first, progress
                )
                if normalize_embeddings:
                    _normalize(window)
        cut.report()
        return _converted(_quantized(result, precision), single, convert_to_numpy, convert_to_tensor)

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
        return self._vectors(
            sentences, text, batch_size, chunk_size, normalize_embeddings, truncate_dim, on_truncate
        )

    def _vectors(
        self,
        sentences: Iterable[str],
        prompt: str,
        batch_size: int | None,
        chunk_size: int,
        normalize: bool,
        truncate_dim: int | None,
        on_truncate: str,
    ) -> Iterator[NDArray[np.float32]]:
        source, first = iter(sentences), 0
        dimension = min(self._dimension, truncate_dim or self.truncate_dim or self._dimension)
        while chunk := list(islice(source, chunk_size)):
            texts, _ = as_texts(chunk, first=first)
            cut = Truncations(on_truncate, self.max_seq_length)
            result = np.empty((len(texts), dimension), dtype=np.float32)
            self._encode_window(texts, result, prompt, batch_size, cut, first, None)
            if normalize:
                _normalize(result)
            cut.report()
            yield from result
            first += len(chunk)

    def _encode_window(
        self,
        texts: list[str],
        out: NDArray[np.float32],
        prompt: str,
        batch_size: int | None,
        cut: Truncations,
        first: int,
        progress: Any,
    ) -> None:
        ragged = self._tokenize(texts, prompt, cut, first)
        batching.run_all(
            self._engine,
            ragged,
            out,
            pad_id=self._texts.pad_id,
            token_budget=_TOKEN_BUDGET,
            batch_size=batch_size,
            prompt_length=self._prompt_length(prompt),
            progress=progress,
        )

    def _tokenize(self, texts: list[str], prompt: str, cut: Truncations, first: int) -> Ragged:
        ragged = self._texts([prompt + text for text in texts] if prompt else texts)
        cut.add(ragged, first)
        return ragged

    def _encode_tokens(
        self, texts: list[str], prompt: str, output: Output | None, batch_size: int | None, cut: Truncations
    ) -> list[Any]:
        ragged = self._tokenize(texts, prompt, cut, 0)
        results: list[Any] = [None] * len(texts)
        for rows in batching.plan(ragged.lengths, _TOKEN_BUDGET, batch_size):
            batch = batching.pad(ragged, rows, self._texts.pad_id, self._prompt_length(prompt))
            hidden = self._engine.run_tokens(batch)
            vectors = self._engine.run(batch) if output is None else None
            for place, row in enumerate(rows):
                length = batch.lengths[place]
                ids = batch.input_ids[place, :length].astype(np.int64)
                found: Any = hidden[place, :length].copy()
                if vectors is not None:
                    found = {
                        "input_ids": ids,
                        "attention_mask": np.ones_like(ids),
                        "token_embeddings": found,
                        "sentence_embedding": vectors[place].copy(),
                    }
                results[row] = found
        return results

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
        spec = with_pooling_prompt(self._spec, include_prompt)
        dtype = getattr(self._engine, "dtype", "auto")
        self._set_up(spec, replace(self._graph, spec=spec), self._texts, dtype)
        self.__dict__.pop("fingerprint", None)  # the vectors are others now

    # similarity

    @property
    def similarity_fn_name(self) -> str:
        """Name of the function behind :meth:`similarity`; ``"cosine"`` where nobody chose one."""
        return self._similarity_fn_name or "cosine"

    @similarity_fn_name.setter
    def similarity_fn_name(self, value: str | SimilarityFunction | None) -> None:
        from vicinal.similarity import SimilarityFunction

        if value is not None and not isinstance(value, SimilarityFunction):
            check_choice(value, [*SimilarityFunction.possible_values(), "dot_product"], "similarity_fn_name")
            value = "dot" if value == "dot_product" else value
        self._similarity_fn_name = None if value is None else str(SimilarityFunction(value).value)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """``(n, m)`` similarities of all pairs; numpy in, numpy out; torch in, torch out."""
        from vicinal.similarity import SimilarityFunction

        return SimilarityFunction.to_similarity_fn(self.similarity_fn_name)(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """``(n,)`` similarities of each row with its counterpart."""
        from vicinal.similarity import SimilarityFunction

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

    def get_max_seq_length(self) -> int:
        """The same as :attr:`max_seq_length`."""
        return self.max_seq_length

    @property
    def device(self) -> str:
        """Where encode computes: ``"cpu"``."""
        return "cpu"

    @property
    def dtype(self) -> str:
        """What encode computes in, e.g. ``"bfloat16"``; ``"int8"`` for a quantised graph."""
        from vicinal.engine.openvino import OpenVINOEngine

        if self._graph.quantized:
            return "int8"
        return self._engine.precision if isinstance(self._engine, OpenVINOEngine) else "float32"

    @property
    def tokenizer(self) -> Tokenizer:
        """The ``tokenizers.Tokenizer``; truncation and padding are done elsewhere."""
        return self._texts.backend

    def tokenize(self, texts: str | Iterable[str]) -> dict[str, NDArray[np.int64]]:
        """Ids and attention mask, ``(n, length)`` int64, padded on the folder's side and truncated."""
        canonical, _ = as_texts(texts, "texts")
        batch = batching.pad(self._texts(canonical), np.arange(len(canonical)), self._texts.pad_id)
        ids, mask = batch.input_ids.astype(np.int64), batch.attention_mask.astype(np.int64)
        if self._texts.padding_side == "left":
            shifts = ids.shape[1] - batch.lengths
            places = (np.arange(ids.shape[1])[None, :] - shifts[:, None]) % ids.shape[1]
            ids, mask = np.take_along_axis(ids, places, 1), np.take_along_axis(mask, places, 1)
        return {"input_ids": ids, "attention_mask": mask}

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

    @cached_property
    def fingerprint(self) -> str:
        """Names the model by its content: weights, modules and pooling, so that vectors can be told apart."""
        from vicinal.models.saving import fingerprint

        return fingerprint(self._spec, self._graph)

    def __repr__(self) -> str:
        return (
            f"SentenceTransformer({str(self._spec.folder)!r}, dimension={self.get_embedding_dimension()}, "
            f"max_seq_length={self.max_seq_length})"
        )

    # saving

    def save(self, path: str | os.PathLike[str], model_name: str | None = None) -> None:
        """Write a model folder that Vicinal and sentence-transformers load.

        Args:
            path: the folder, made if absent; files of the same names are replaced.
            model_name: the title of the model card, default the folder's name.
        """
        from vicinal.models.saving import save_folder

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
        from vicinal.models.quantize import quantize_model

        texts, _ = as_texts(calibration_texts, "calibration_texts")
        return quantize_model(self, texts, Path(path), samples)


def _normalize(rows: NDArray[np.float32]) -> None:
    """Scale rows to length 1, in place; a zero row stays zero."""
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    rows /= np.maximum(norms, 1e-12)[:, None]


def _as_tensors(found: Any) -> Any:
    from vicinal.nn.tensors import as_tensor

    return (
        {key: as_tensor(each) for key, each in found.items()} if isinstance(found, dict) else as_tensor(found)
    )


def _quantized(rows: NDArray[np.float32], precision: Precision) -> NDArray[Any]:
    if precision == "float32":
        return rows
    if not len(rows):  # nothing to measure; the type and width of a filled result all the same
        packed = precision in ("binary", "ubinary")
        width = -(-rows.shape[1] // 8) if packed else rows.shape[1]
        return np.empty((0, width), dtype=np.int8 if precision in ("int8", "binary") else np.uint8)
    from vicinal.quantization import quantize_embeddings

    quantized: NDArray[Any] = quantize_embeddings(rows, precision=precision)
    return quantized


def _converted(rows: NDArray[Any], single: bool, to_numpy: bool, to_tensor: bool) -> Any:
    value: Any = rows[0] if single else rows
    if to_tensor:
        from vicinal.nn.tensors import as_tensor

        return as_tensor(value)
    return value if to_numpy or single else list(rows)
