"""What the dialects that rerank share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vicinal.models.activations import sigmoid
from vicinal.server.call import current_call

if TYPE_CHECKING:
    from vicinal.server.records import Scored
    from vicinal.server.service import Service


async def best_first(
    service: Service,
    query: str,
    texts: list[str],
    *,
    raw: bool = False,
    top_n: int | None = None,
    **options: Any,
) -> tuple[Scored, list[tuple[int, np.float32]]]:
    """The best texts for a query.

    Args:
        service: what computes.
        query: the query.
        texts: the texts.
        raw: the model's own scores; otherwise 0 to 1.
        top_n: how many, None for all.
        options: as :meth:`Service.rerank` has them.

    Returns:
        What was computed, and places and scores by falling score, equal ones in the order of the texts.
    """
    scored = await service.rerank(query, texts, raw=True, **options)
    # Ranked before the sigmoid, which makes large scores equal.
    order = np.argsort(-scored.scores, kind="stable")[:top_n]
    scores = scored.scores[order]
    return scored, list(zip(order.tolist(), scores if raw else sigmoid(scores), strict=True))


async def shortened(
    service: Service, texts: list[str], limit: int | None, model: str | None
) -> tuple[list[str], int]:
    """Texts of at most some tokens, and how many of them were cut.

    Args:
        service: what knows the tokens.
        texts: the texts.
        limit: tokens per text, None for no limit.
        model: the reranker.
    """
    # A token has one byte at least: most texts need not be split.
    long = [place for place, text in enumerate(texts) if limit is not None and len(text.encode()) > limit]
    if limit is None or not long:
        return texts, 0
    model = service.entry(model, "reranker").id
    split = await service.tokenize([texts[place] for place in long], model=model, add_special_tokens=False)
    found, cut = list(texts), 0
    for place, tokens in zip(long, split, strict=True):
        if len(tokens) > limit:
            stop = tokens[limit - 1].stop
            found[place] = texts[place].encode()[:stop].decode(errors="ignore")
            cut += 1
    call = current_call.get()
    if call is not None:
        call.cut += cut
    return found, cut
