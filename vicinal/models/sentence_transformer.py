"""SentenceTransformer: a model folder or name, and the vectors that it gives."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from vicinal.core.inputs import check_options, check_positive, explains_keywords
from vicinal.engine.graphs.source import SentenceGraph
from vicinal.engine.opening import (
    choose_source,
    needs_torch,
    open_engine,
    read_options,
    read_texts,
    refuse_cross_encoder,
)
from vicinal.engine.static import StaticTable
from vicinal.errors import InputError, InputTypeError
from vicinal.folder.card_records import ModelFacts, facts_of
from vicinal.folder.specs import TransformerSpec, with_pooling_prompt
from vicinal.models.encoding import EncodeOptions, Output, VectorModel
from vicinal.models.fitting import SentenceFit
from vicinal.models.keywords import refuse_with_modules
from vicinal.models.old_calls import ENCODE_ORDER, takes_old_calls
from vicinal.models.outputs import Precision
from vicinal.models.quantize import Quantizable
from vicinal.models.similarity import Similarity
from vicinal.models.truncation import OnTruncate
from vicinal.models.unsaid import pooled

if TYPE_CHECKING:
    from vicinal.core.torch import nn
    from vicinal.models.workers import WorkerPool
    from vicinal.nn.engine.live import Renewed
    from vicinal.vectors.similarity import SimilarityFunction

_SCORES = "it gives vectors; CrossEncoder(...) scores pairs of texts"


class SentenceTransformer(VectorModel, Similarity, SentenceFit, Quantizable):
    """Turns texts into vectors.

    It is no ``torch.nn.Module``, so that it needs no torch: as an attribute of one it is not trained, moved or saved
    with it. :class:`vicinal.torch.SentenceTransformer` is the same model as a torch module.

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
        truncate_dim: keep this many leading dimensions of each vector (Matryoshka models).
        dtype: ``"auto"`` computes in bfloat16 where the CPU does so natively (cosine to float32
            0.9999 or better), else in float32; ``"float32"`` is exact; ``"bfloat16"`` as named;
            ``"float16"`` likewise, or float32 where the CPU does not multiply float16; ``"int8"``
            needs a folder that :meth:`quantize` wrote.
        backend: ``"auto"`` takes OpenVINO on a CPU and torch on an accelerator or for modules that only
            torch runs; ``"openvino"`` builds the graph from the weights; ``"onnx"`` prefers a graph file that
            the folder holds; ``"torch"`` runs the torch modules anywhere.
        model_kwargs: ``dtype`` or ``torch_dtype`` (as the argument ``dtype``), ``file_name`` (a graph file
            of the folder), ``device_map`` (as ``device``, and wins over it). ``attn_implementation``,
            ``low_cpu_mem_usage``, ``use_safetensors`` and the like have no effect, as results do not depend on them.
        processor_kwargs: replace keys of ``tokenizer_config.json``, such as ``model_max_length`` (which wins over the
            folder's ``max_seq_length``), ``truncation_side`` or ``do_lower_case``; one that the folder's tokenizer
            does not obey is refused. ``tokenizer_kwargs`` is its old name.
        config_kwargs: replace keys of ``config.json``; a key that nothing reads is refused.
        module_classes: custom classes, derived from ``torch.nn.Module``, that the folder's ``modules.json`` names.
            Without ``trust_remote_code`` no others are used, the running script's own aside.
        model_card_data: a ``SentenceTransformerModelCardData``: what the model card shall say beside what the model
            knows of itself.
        pooling_mode: how token vectors become one, for a folder that does not say it (a plain one of transformers, or a
            ready graph): ``"mean"`` (default, which is said in the log), ``"cls"``, ``"max"``, ``"lasttoken"``, ...

    Raises:
        ModelNotFoundError, HubError: the name leads nowhere.
        ModelFormatError, UnsupportedModelError: the folder cannot be used.
    """

    kind = "SentenceTransformer"
    model_type = "SentenceTransformer"
    default_huggingface_organization = "sentence-transformers"

    _module_classes: tuple[type[Any], ...]
    _elsewhere: ClassVar[Mapping[str, str]] = {"predict": _SCORES, "rank": _SCORES}

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
        model_card_data: Any = None,
        pooling_mode: str | None = None,
    ) -> None:
        if (model_name_or_path is None) == (modules is None):
            raise InputTypeError(
                "model_name_or_path and modules: give a model folder or a hub name, or the modules, one of the two"
            )
        check_positive(truncate_dim, "truncate_dim")
        check_options(
            model_kwargs=model_kwargs,
            processor_kwargs=processor_kwargs,
            tokenizer_kwargs=tokenizer_kwargs,
            config_kwargs=config_kwargs,
        )
        if not isinstance(module_classes, Iterable):
            raise InputTypeError(f"module_classes is {module_classes!r}; give a list of classes")
        if modules is not None and pooling_mode is not None:
            raise InputError(
                f"pooling_mode={pooling_mode!r} has no effect on modules: put models.Pooling(dimension, "
                f"{pooling_mode!r}) among them"
            )
        if modules is not None:
            refuse_with_modules(
                {
                    "processor_kwargs": processor_kwargs,
                    "tokenizer_kwargs": tokenizer_kwargs,
                    "config_kwargs": config_kwargs,
                }
            )
        super().__init__(
            model_name_or_path,
            device=device,
            options=read_options(dtype=dtype, backend=backend, model_kwargs=model_kwargs),
            tokenizer_settings=(tokenizer_kwargs, processor_kwargs),
            trust_remote_code=trust_remote_code or bool((model_kwargs or {}).get("trust_remote_code")),
            cache_folder=cache_folder,
            revision=revision,
            local_files_only=local_files_only,
            token=token if token is not None else use_auth_token,
            config_kwargs=config_kwargs,
            model_card_data=model_card_data,
        )
        self._module_classes = tuple(module_classes)
        for place, each in enumerate(self._module_classes):
            if not isinstance(each, type):
                raise InputTypeError(
                    f"module_classes[{place}] is {type(each).__name__}; give classes, not names or objects"
                )
        if modules is not None:
            self._take_modules(modules)
        else:
            refuse_cross_encoder(self._spec)
            self._spec = pooled(self._spec, pooling_mode)
            self._open()
        self.truncate_dim = truncate_dim if truncate_dim is not None else self._spec.truncate_dim
        self._set_prompts(self._spec, prompts, default_prompt_name)
        self.similarity_fn_name = similarity_fn_name or self._spec.similarity_fn_name

    # from a folder or modules to an engine

    def _open(self) -> None:
        spec, options = self._spec, self._options
        trust = self.trust_remote_code
        if needs_torch(spec, options, self._device, trust_remote_code=trust) or spec.has_adapter:
            _ = self.module
            self._renew()
            return
        self._texts = read_texts(spec, self._tokenizer_settings)
        self._take_graph(choose_source(spec, options), options.dtype)

    def _take_graph(self, graph: SentenceGraph | StaticTable, dtype: str) -> None:
        self._graph, self._dimension = graph, graph.dimension
        self._engine = open_engine(graph, dtype)

    def _take_modules(self, modules: Sequence[Any]) -> None:
        from vicinal.core.torch import require_torch

        require_torch("modules=")
        from vicinal.nn.build import sequence_of

        self._module = sequence_of(modules).to(str(self._device))
        self._renew()

    def _make_module(self) -> nn.Sequential:
        from vicinal.nn.build import build_module

        module = build_module(
            self._spec,
            trust_remote_code=self.trust_remote_code,
            module_classes=self._module_classes,
            model_kwargs=self._options.torch_options,
            processor_kwargs=self._tokenizer_settings,
        )
        if self._engine is not None and isinstance(self._spec.source, TransformerSpec):
            module[0].max_seq_length = self._texts.max_length
        return module

    def _renewed(self) -> Renewed:
        from vicinal.nn.engine.live import renewed

        return renewed(self._module, self._options, self._device)

    # encode

    @takes_old_calls(order=ENCODE_ORDER)
    @explains_keywords
    def encode(
        self,
        sentences: str | Iterable[str],
        prompt_name: str | int | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        output_value: Output | None = "sentence_embedding",
        precision: Precision | None = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | Sequence[str] | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        pool: WorkerPool | None = None,
        chunk_size: int | None = None,
        *,
        on_truncate: OnTruncate = "warn",
        task: str | None = None,
    ) -> Any:
        """Compute vectors.

        Args:
            sentences: one text, or an iterable of texts.
            prompt_name: which of ``model.prompts`` to put before each text. An integer here is the batch
                size, as the oldest code wrote it.
            prompt: the text to put before each text; wins over ``prompt_name``.
            batch_size: texts per batch; None fills batches up to a number of tokens, which is faster.
            show_progress_bar: None shows one after two seconds of work in a terminal.
            output_value: ``"sentence_embedding"``; ``"token_embeddings"`` for the vector of every token;
                None for a dictionary with both and the token ids.
            precision: ``"int8"``, ``"uint8"``, ``"binary"`` or ``"ubinary"`` quantise the finished vectors.
            convert_to_numpy: an array (default); otherwise a list of rows.
            convert_to_tensor: a torch tensor; needs torch.
            device: moves the model there first; several devices share the work, one process each.
            normalize_embeddings: scale each vector to length 1.
            truncate_dim: keep this many leading dimensions; default the model's.
            on_truncate: what to do when a text is longer than ``max_seq_length``: warn once per call,
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
        options = EncodeOptions(
            prompt_name=prompt_name,
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
            task=task,
        )
        return self._encode(sentences, options, pool, chunk_size)

    def set_pooling_include_prompt(self, include_prompt: bool) -> None:
        """Decide whether the prompt's tokens take part in pooling (INSTRUCTOR models leave them out)."""
        if self._module is not None:
            for each in self._module.modules():
                if hasattr(each, "include_prompt"):
                    each.include_prompt = include_prompt
            return  # noticed at the next encode
        graph = self._graph
        assert isinstance(graph, (SentenceGraph, StaticTable))
        self._spec = with_pooling_prompt(self._spec, include_prompt)
        self._take_graph(replace(graph, spec=self._spec), getattr(self._engine, "dtype", "auto"))
        self._fingerprint = None  # the vectors are others now

    # facts and settings

    def get_embedding_dimension(self) -> int:
        """Length of the vectors that :meth:`encode` gives, ``truncate_dim`` obeyed."""
        return min(self._dimension, self.truncate_dim or self._dimension)

    def get_sentence_embedding_dimension(self) -> int:
        """The older name of :meth:`get_embedding_dimension`."""
        return self.get_embedding_dimension()

    @contextmanager
    def truncate_sentence_embeddings(self, truncate_dim: int | None) -> Iterator[None]:
        """Within the block, encode keeps only this many leading dimensions of each vector."""
        check_positive(truncate_dim, "truncate_dim")
        before, self.truncate_dim = self.truncate_dim, truncate_dim
        try:
            yield
        finally:
            self.truncate_dim = before

    truncate_embeddings = truncate_sentence_embeddings

    def __repr__(self) -> str:
        name = self.name_or_path or str(self._spec.folder)
        return (
            f"SentenceTransformer({name!r}, dimension={self.get_embedding_dimension()}, "
            f"max_seq_length={self.max_seq_length})"
        )

    # saving

    def _write(self, folder: Path) -> None:
        from vicinal.models.saving import folder_settings, save_folder, save_modules

        settings = folder_settings(
            self.kind,
            self.prompts,
            self.default_prompt_name,
            similarity_fn_name=self.similarity_fn_name,
            truncate_dim=self.truncate_dim,
        )
        sides = self._texts.sides
        if self._module is not None:
            save_modules(self._module, folder, settings, tokenizer_settings=sides)
        else:
            save_folder(
                self._spec,
                folder,
                settings,
                max_seq_length=self.max_seq_length,
                tokenizer_settings={**self._tokenizer_settings, **sides},
            )

    def _facts(self, name: str) -> ModelFacts:
        from vicinal.models.saving import module_facts

        length, similarity, prompts = self.max_seq_length, self.similarity_fn_name, dict(self.prompts)
        if self._module is not None:
            return module_facts(self._module, name, max_length=length, similarity=similarity, prompts=prompts)
        return facts_of(
            self._spec,
            name,
            max_length=length,
            dimension=self._dimension,
            similarity=similarity,
            prompts=prompts,
        )
