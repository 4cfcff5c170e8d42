"""The models as torch modules: for code that puts them into networks, hooks them, or overrides what they compute."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from vicinal.core.torch import require_torch
from vicinal.models import cross_encoder, sentence_transformer
from vicinal.models.base import Model
from vicinal.models.device import read_device
from vicinal.models.torch_side import TorchSide
from vicinal.tokens.text import TextTokenizer

require_torch("vicinal.torch")

from vicinal.nn.engine.called import CalledEngine, CalledScorer  # noqa: E402
from vicinal.nn.modules.customised import is_customised  # noqa: E402
from vicinal.nn.registered import Registered, Unbuilt  # noqa: E402

if TYPE_CHECKING:
    from vicinal.engine.base import Engine

# What a subclass may override, or an object replace, so that the engine no longer computes what the model does.
_METHODS = ("forward", "tokenize", "preprocess")


class TorchModel(Registered, Model):
    """A model that is an ``nn.Sequential`` of its modules, made when they are first touched.

    ``encode`` and ``predict`` run on the fast engine for as long as it computes what the modules do. Where ``forward``,
    ``tokenize`` or a module inside is overridden, replaced, wrapped or hooked, they call the model itself.
    """

    def _called_engine(self) -> Engine:
        """An engine that calls this model."""
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
            self._device = read_device(str(first.device))

    def _refresh(self) -> None:
        if self._is_called():
            with self._renewal:
                if not isinstance(self._engine, (CalledEngine, CalledScorer)):
                    _ = self.module
                    self._engine, self._graph, self._mark = self._called_engine(), None, None
                    self._dimension = self._engine.dimension
            return
        if isinstance(self._engine, (CalledEngine, CalledScorer)):
            self._mark = None
        super()._refresh()

    def _is_called(self) -> bool:
        """Whether what the model computes was changed by its user."""
        facts, cls = self.__dict__, type(self)
        if facts["_forward_hooks"] or facts["_forward_pre_hooks"]:
            return True
        for name in _METHODS:
            if name in facts or getattr(cls, name) is not getattr(TorchModel, name):
                return True
        return self._is_built and any(map(is_customised, self._modules.values()))


class SentenceTransformer(TorchModel, sentence_transformer.SentenceTransformer):
    """:class:`vicinal.SentenceTransformer` as a ``torch.nn.Sequential`` of its modules.

    Arguments, verbs and results are the same. An attribute of an ``nn.Module``, it is trained, moved and saved with
    that; it can be hooked, wrapped, compiled and subclassed. The modules are made when they are first touched, so that
    loading and encoding need neither transformers nor a second copy of the weights until then.
    """

    @wraps(sentence_transformer.SentenceTransformer.__init__)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._register()
        sentence_transformer.SentenceTransformer.__init__(self, *args, **kwargs)

    def _called_engine(self) -> Engine:
        known = isinstance(self._texts, TextTokenizer)
        return CalledEngine(self, str(self._device), self._texts.count if known else None)  # type: ignore[return-value]


class CrossEncoder(TorchModel, cross_encoder.CrossEncoder):
    """:class:`vicinal.CrossEncoder` as a ``torch.nn.Sequential`` of its module; see :class:`SentenceTransformer`."""

    @wraps(cross_encoder.CrossEncoder.__init__)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._register()
        cross_encoder.CrossEncoder.__init__(self, *args, **kwargs)

    def _called_engine(self) -> Engine:
        return CalledScorer(self, self.num_labels, str(self._device))
