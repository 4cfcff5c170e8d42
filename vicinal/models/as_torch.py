"""The models as torch modules: for code that puts them into networks, hooks them, or overrides what they compute."""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from typing import Any, ClassVar

from vicinal.core.torch import require_torch
from vicinal.folder.specs import TransformerSpec
from vicinal.models import cross_encoder, sentence_transformer
from vicinal.models.base import Model
from vicinal.models.device import Device
from vicinal.models.torch_side import TorchSide
from vicinal.models.transformers_side import TransformersSide
from vicinal.tokens.text import TextTokenizer

require_torch("vicinal.torch")

from vicinal.nn.engine.called import CalledEngine, CalledScorer, LiveEngine  # noqa: E402
from vicinal.nn.engine.live import structure_mark  # noqa: E402
from vicinal.nn.engine.pairs import TorchScorer  # noqa: E402
from vicinal.nn.engine.texts import ModuleEngine  # noqa: E402
from vicinal.nn.modules.customised import (  # noqa: E402
    has_global_hooks,
    has_patched_classes,
    is_customised,
)
from vicinal.nn.registered import Registered, Unbuilt  # noqa: E402

# What a subclass may override, or an object replace, so that the engine no longer computes what the model does.
_METHODS = ("forward", "tokenize", "preprocess")


class TorchModel(Registered, TransformersSide):
    """A model that is an ``nn.Sequential`` of its modules, made when they are first touched.

    ``encode`` and ``predict`` run on the fast engine for as long as it computes what the modules do. Where ``forward``,
    ``tokenize`` or a module inside is overridden, replaced, wrapped or hooked, they call the model itself.
    """

    #: whether the engine runs the modules because their user changed what they compute
    _follows = False

    def _changed_engine(self, whole: bool) -> Any:
        """An engine that calls the modules, or the model as a whole."""
        raise NotImplementedError

    @staticmethod
    def _own_class() -> Any:
        """The class here that a caller's subclass derives from."""
        raise NotImplementedError

    def __setstate__(self, state: dict[str, Any]) -> None:
        Model.__setstate__(self, state)
        if "_modules" not in self.__dict__:
            self.__dict__["_modules"] = Unbuilt(self)

    def __getstate__(self) -> dict[str, Any]:
        state = Model.__getstate__(self)
        if not self._is_built:
            del state["_modules"]
        return state

    # torch's own methods, where those of the plain models know more
    to = TorchSide.to
    cpu = TorchSide.cpu
    cuda = TorchSide.cuda
    half = TorchSide.half
    bfloat16 = TorchSide.bfloat16
    float = TorchSide.float
    forward = TorchSide.forward
    __getitem__ = TorchSide.__getitem__
    __bool__ = TorchSide.__bool__

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self.__dict__})

    def _moved(self) -> None:
        first = next(self.parameters(), None)
        if first is not None and str(first.device) != str(self._device):
            self._device = Device(str(first.device))

    def _refresh(self) -> None:
        whole = self._is_overridden()
        if whole or self._is_customised():
            with self._renewal:
                kinds = (CalledEngine, CalledScorer) if whole else (LiveEngine, TorchScorer)
                stale = self._mark is None or self._mark != structure_mark(self.module)
                if stale or not isinstance(self._engine, kinds):
                    self._engine, self._graph = self._changed_engine(whole), None
                    self._dimension = self._engine.dimension
                    self._mark = structure_mark(self.module)
                    self._follows = True
            return
        if self._follows:
            self._mark, self._follows = None, False
        super()._refresh()

    def _is_customised(self) -> bool:
        """Whether a module, or what one that is not made yet would be, computes something else than its class says."""
        if self._is_built:
            return any(map(is_customised, self._modules.values()))
        source = self._spec.source if self._spec is not None else None
        architecture = source.model_type if isinstance(source, TransformerSpec) else None
        return has_global_hooks() or has_patched_classes(architecture)

    def _is_overridden(self) -> bool:
        """Whether the model as a whole computes or reads something else than its modules."""
        facts, cls = self.__dict__, type(self)
        if facts["_forward_hooks"] or facts["_forward_pre_hooks"]:
            return True
        return any(
            name in facts or getattr(cls, name) is not getattr(self._own_class(), name) for name in _METHODS
        )


def _constructor(plain: Any) -> Any:
    """The constructor of a plain model, with the same signature, for a model that is a torch module first."""

    @wraps(plain)
    def construct(self: TorchModel, *args: Any, **kwargs: Any) -> None:
        self._register()
        plain(self, *args, **kwargs)

    return construct


class SentenceTransformer(TorchModel, sentence_transformer.SentenceTransformer):
    """:class:`vicinal.SentenceTransformer` as a ``torch.nn.Sequential`` of its modules.

    Arguments, verbs and results are the same. An attribute of an ``nn.Module``, it is trained, moved and saved with
    that; it can be hooked, wrapped, compiled and subclassed. The modules are made when they are first touched, so that
    loading and encoding need neither transformers nor a second copy of the weights until then.
    """

    _default_prompts: ClassVar[Mapping[str, str]] = {
        "query": "",
        "document": "",
    }  # as sentence-transformers has them

    __init__ = _constructor(sentence_transformer.SentenceTransformer.__init__)

    @staticmethod
    def _own_class() -> Any:
        return SentenceTransformer

    def _changed_engine(self, whole: bool) -> Any:
        engine: Any = self._engine
        if isinstance(engine, ModuleEngine) and not whole:  # calls the modules already
            return engine
        count = self._texts.count if isinstance(self._texts, TextTokenizer) else None
        if count is not None and not whole:
            return LiveEngine(self.module, str(self._device))
        return CalledEngine(self, str(self._device), count)


class CrossEncoder(TorchModel, cross_encoder.CrossEncoder):
    """:class:`vicinal.CrossEncoder` as a ``torch.nn.Sequential`` of its module; see :class:`SentenceTransformer`."""

    __init__ = _constructor(cross_encoder.CrossEncoder.__init__)

    @staticmethod
    def _own_class() -> Any:
        return CrossEncoder

    def _changed_engine(self, whole: bool) -> Any:
        if whole:
            return CalledScorer(self, self.num_labels, str(self._device))
        return TorchScorer(self.module, self.num_labels, str(self._device), "float32")
