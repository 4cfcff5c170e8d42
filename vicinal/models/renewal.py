"""A model's engine follows its torch module: built from it, and rebuilt when it changed."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vicinal.core.native_calls import native_call
from vicinal.engine.base import Engine
from vicinal.engine.graphs.source import SentenceGraph
from vicinal.engine.opening import Options
from vicinal.engine.static import StaticTable
from vicinal.folder.specs import ModelSpec
from vicinal.models.torch_side import TorchSide
from vicinal.tokens.text import TextTokenizer

if TYPE_CHECKING:
    from vicinal.core.torch import nn
    from vicinal.engine.graphs.classifier_source import ClassifierGraph
    from vicinal.nn.engine.live import Renewed


class Renewal(TorchSide):
    """Base of the models: holds folder, tokenizer, engine and torch module, and keeps them in step.

    A kind of model implements :meth:`_make_module` and :meth:`_renewed`.

    Attributes:
        trust_remote_code: whether code of the folder, or named by it, may run.
    """

    trust_remote_code: bool

    _spec: ModelSpec
    _texts: TextTokenizer
    _engine: Engine
    #: what the engine was built from; None where the torch module itself runs
    _graph: SentenceGraph | StaticTable | ClassifierGraph | None = None
    #: width of the engine's rows: dimensions of a vector, or scores of a pair
    _dimension: int
    _options: Options
    _tokenizer_settings: Mapping[str, Any]
    #: the module as it was when the engine was built; None for not yet
    _mark: Any
    _fingerprint: str | None = None

    def _make_module(self) -> nn.Sequential:
        """Load the torch module from the folder."""
        raise NotImplementedError

    def _renewed(self) -> Renewed:
        """Tokenizer and engine from what the module holds now."""
        raise NotImplementedError

    def _build_module(self) -> Any:
        from vicinal.core.torch import require_torch

        require_torch(f"{type(self).__name__}.module")
        module = self._make_module()
        if self._engine is not None:
            from vicinal.nn.engine.live import marks

            self._mark = marks(module, self._engine)
        return module

    def _refresh(self) -> None:
        """Make engine and tokenizer those of the module, if there is one and it changed since."""
        if self._module is None:
            return
        from vicinal.nn.engine.live import marks

        with native_call(), self._renewal:
            if self._mark is None or self._mark != marks(self._module, self._engine):
                self._renew()
            length = getattr(self._module[0], "max_seq_length", None)
            if length is not None and length != self._texts.max_length:
                self._texts.max_length = int(length)

    def _renew(self) -> None:
        """Rebuild everything from what the module holds now.

        Raises:
            ModelFormatError: its weights hold NaN or infinite numbers.
        """
        from vicinal.nn.modules.memory import check_finite

        check_finite(self._module, type(self).__name__)
        found = self._renewed()
        spec, before = found.spec, self._spec
        if before is not None:  # what the folder says beyond its modules stays true
            spec = replace(
                spec,
                prompts=before.prompts,
                default_prompt_name=before.default_prompt_name,
                similarity_fn_name=before.similarity_fn_name,
                truncate_dim=before.truncate_dim,
                model_type=before.model_type,
                activation_fn=before.activation_fn,
            )
        self._spec, self._graph, self._texts = spec, found.graph, found.texts
        self._engine, self._dimension = found.engine, found.engine.dimension
        self._mark = found.mark
        self._fingerprint = None

    @property
    def dtype(self) -> str:
        """What the model computes in, e.g. ``"bfloat16"``; ``"int8"`` for a quantised graph."""
        self._refresh()
        if self._graph is not None and self._graph.quantized:
            return "int8"
        return str(getattr(self._engine, "precision", "float32"))

    @property
    def fingerprint(self) -> str:
        """Names the model by its content: weights, modules, tokenizer, and the folder's own prompts and lengths.

        SHA-256, in hexadecimal digits. The same folder gives the same fingerprint wherever it lies, and a trained
        model another one. What is set on a loaded model beside its weights (``prompts``, ``max_seq_length``,
        ``activation_fn``) is not part of it; and a model whose ``module`` was asked for is named by what it holds in
        memory, so that its saved folder may have another fingerprint.
        """
        from vicinal.models.saving import fingerprint

        self._refresh()
        if self._graph is None:  # the modules themselves run, and nothing says whether they changed
            from vicinal.nn.engine.live import content_digest

            return content_digest(self.module)
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self._spec, self._graph.file, self._tokenizer_settings)
        return self._fingerprint

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state.pop("_renewal", None)
        if "_texts" in state:
            state["_texts"] = copy.copy(state["_texts"])  # a copy's max_seq_length is its own
        if self._module is not None:  # the engine may read a folder that goes away with the original
            state["_mark"] = state["_engine"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _renewal=threading.RLock())
