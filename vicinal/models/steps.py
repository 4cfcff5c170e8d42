"""encode and predict in two parts, token ids and then results, for callers that mix texts of several calls.

What is read here is what ``encode`` and ``predict`` read: prompt, role, limits, engine. The caller batches.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from vicinal.errors import InputError
from vicinal.models.encoding import EncodeOptions, VectorModel
from vicinal.tokens.static import StaticTokenizer

if TYPE_CHECKING:
    from vicinal.engine.base import Engine
    from vicinal.models.scoring import PairModel
    from vicinal.tokens.text import TextTokenizer

Role = Literal["query", "document"]
_ROLES: dict[str, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage", "corpus")}


@dataclass(frozen=True)
class Reading:
    """How a model reads texts.

    Attributes:
        engine: what computes.
        texts: the tokenizer, with the limit and the side of the call.
        prompt: put before each text; of pairs, before the first one.
        prompt_length: tokens of it that pooling leaves out.
        task: the route of a model with a ``Router``; None for others.
    """

    engine: Engine
    texts: TextTokenizer
    prompt: str = ""
    prompt_length: int = 0
    task: str | None = None


def text_reading(
    model: VectorModel,
    *,
    prompt_name: str | None = None,
    role: Role | None = None,
    side: str | None = None,
    max_length: int | None = None,
) -> Reading:
    """How ``encode`` reads texts; with a role, how ``encode_query`` or ``encode_document`` does.

    Args:
        model: the model.
        prompt_name: as for ``encode``.
        role: ``"query"`` or ``"document"``.
        side: ``"right"`` or ``"left"``, where texts are cut; None for the model's own.
        max_length: tokens that count, if that is fewer than the model reads.

    Raises:
        InputError: there is no such prompt.
    """
    if role is not None:
        prompt_name = model._role(_ROLES[role], prompt_name, None)
    prompt = model._prompt(None, prompt_name)
    forward = model._forward(prompt, EncodeOptions(task=role))
    texts = _limited(forward.texts, side, max_length)
    routes = hasattr(forward.engine, "for_task")
    return Reading(forward.engine, texts, prompt, forward.prompt_length, role if routes else None)


def pair_reading(
    model: PairModel,
    *,
    prompt_name: str | None = None,
    side: str | None = None,
    max_length: int | None = None,
) -> Reading:
    """How ``predict`` reads pairs; arguments and errors as for :func:`text_reading`."""
    engine: Any = model._engine
    prompt = model._prompt(None, prompt_name)
    return Reading(engine, _limited(model._texts, side, max_length), prompt)


def _limited(texts: Any, side: str | None, max_length: int | None) -> Any:
    if (side is None or side == texts.truncation_side) and (
        max_length is None or max_length >= texts.max_length
    ):
        return texts
    if not hasattr(texts, "split"):
        raise InputError("this model splits texts by itself: neither the side nor the limit can be chosen")
    if side == "left" and isinstance(texts, StaticTokenizer):
        raise InputError("a static model cuts texts at their end; it cannot keep the end instead")
    other = copy.copy(texts)
    if side is not None:
        other.truncation_side = side
    if max_length is not None:
        other.max_length = min(max_length, texts.max_length)
    return other
