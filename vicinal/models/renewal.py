"""A model's engine follows its torch module: made of it, and made anew when it changed."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vicinal.engine.base import Engine
from vicinal.engine.graphs.source import SentenceGraph
from vicinal.engine.opening import Options, open_engine
from vicinal.engine.static import StaticTable
from vicinal.folder.specs import ModelSpec, TransformerSpec
from vicinal.models.torch_side import TorchSide
from vicinal.tokens.text import TextTokenizer


class Renewal(TorchSide):
    """Base of ``SentenceTransformer``: holds its folder, tokenizer and engine, and keeps them in step.

    Attributes:
        trust_remote_code: whether code of the folder, or named by it, may run.
    """

    _spec: ModelSpec
    _engine: Engine
    _texts: TextTokenizer
    _graph: SentenceGraph | StaticTable | None
    _dimension: int
    _options: Options
    _tokenizer_settings: Mapping[str, Any]
    _module_classes: tuple[type[Any], ...]
    _mark: Any
    _fingerprint: str | None = None
    _renewal: threading.RLock
    trust_remote_code: bool

    def _set_up(
        self, spec: ModelSpec, graph: SentenceGraph | StaticTable, texts: TextTokenizer, dtype: str
    ) -> None:
        """Take a folder, without any torch."""
        self._spec = spec
        self._graph = graph
        self._texts = texts
        self._dimension = graph.dimension
        self._engine = open_engine(graph, dtype)

    def _take_modules(self, modules: Sequence[Any]) -> ModelSpec:
        from vicinal.core.torch import require_torch

        require_torch("modules=")
        from vicinal.nn.build import sequence_of

        self._module = sequence_of(modules).to(str(self._device))
        self._renew()
        return self._spec

    def _build_module(self) -> Any:
        from vicinal.core.torch import require_torch

        require_torch("model.module")
        from vicinal.nn.build import build_module
        from vicinal.nn.engine.live import marks

        module = build_module(
            self._spec,
            trust_remote_code=self.trust_remote_code,
            module_classes=self._module_classes,
            model_kwargs=self._options.torch_options,
        )
        if self._engine is not None:  # else the tokenizer is yet to come
            if isinstance(self._spec.source, TransformerSpec):
                module[0].max_seq_length = self._texts.max_length
            self._mark = marks(module, self._engine)
        return module

    def _refresh(self) -> None:
        """Make engine and tokenizer those of the module, if there is one and it changed since."""
        if self._module is None:
            return
        from vicinal.nn.engine.live import marks

        with self._renewal:
            if self._mark is None or self._mark != marks(self._module, self._engine):
                self._renew()
            length = getattr(self._module[0], "max_seq_length", None)
            if length is not None and length != self._texts.max_length:
                self._texts.max_length = int(length)

    def _renew(self) -> None:
        """Set up everything anew from what the module holds now."""
        from vicinal.nn.engine.live import Renewed, renewed

        found: Renewed = renewed(self._module, self._options, self._device, self._tokenizer_settings)
        before = self._spec
        if before is not None:
            found = replace(
                found,
                spec=replace(
                    found.spec,
                    prompts=before.prompts,
                    default_prompt_name=before.default_prompt_name,
                    similarity_fn_name=before.similarity_fn_name,
                    truncate_dim=before.truncate_dim,
                ),
            )
        self._spec, self._graph, self._texts = found.spec, found.graph, found.texts
        self._engine, self._dimension = found.engine, found.engine.dimension
        self._mark = found.mark
        self._fingerprint = None

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state.pop("_renewal", None)
        if self._module is not None:  # the engine may read a folder that goes away with the original
            state["_mark"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _renewal=threading.RLock())
