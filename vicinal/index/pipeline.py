"""Retrieve and rerank as one object."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from vicinal.core.inputs import as_texts, check_positive, explains_keywords, is_blank
from vicinal.errors import InputTypeError
from vicinal.index.reranking import Reranker, check_reranker, rerank_scores
from vicinal.vectors.corpus import CorpusMatrix


class BiEncoder(Protocol):
    """What the first stage needs: a ``SentenceTransformer``, or anything with these methods."""

    def encode_query(self, sentences: Any) -> Any:
        """``(dim,)`` for a text, ``(n, dim)`` for several."""
        ...

    def encode_document(self, sentences: Any) -> Any:
        """``(n, dim)``."""
        ...


class SearchPipeline:
    """Searches a corpus with vectors, then reads the best candidates with a cross-encoder.

    Nogueira and Cho 2019; with ``cross_encoder=None`` it is a plain semantic search.

    Args:
        bi_encoder: a model, or the name or folder of one.
        cross_encoder: likewise, or anything with ``rank`` or ``predict``; None leaves the second stage out.
        corpus: the texts, encoded here, once.
        corpus_embeddings: their vectors, ``(n, dim)``, if they are there already.
        show_progress_bar: while the corpus is encoded; None shows one after two seconds in a terminal.

    Example::

        pipeline = SearchPipeline("all-MiniLM-L6-v2", "cross-encoder/ms-marco-MiniLM-L6-v2", corpus=texts)
        for hit in pipeline.search("how do I pause a program?", top_k=5):
            print(f"{hit['score']:.3f}  {hit['text']}")
    """

    @explains_keywords
    def __init__(
        self,
        bi_encoder: str | os.PathLike[str] | BiEncoder,
        cross_encoder: str | os.PathLike[str] | Reranker | None = None,
        corpus: Iterable[str] = (),
        *,
        corpus_embeddings: Any = None,
        show_progress_bar: bool | None = None,
    ) -> None:
        if isinstance(bi_encoder, (str, os.PathLike)):
            from vicinal.models.sentence_transformer import SentenceTransformer

            bi_encoder = SentenceTransformer(bi_encoder)
        if isinstance(cross_encoder, (str, os.PathLike)):
            from vicinal.models.scorer import load_scorer

            cross_encoder = load_scorer(cross_encoder)
        if cross_encoder is not None:
            check_reranker(cross_encoder)
        if isinstance(corpus, str):
            raise InputTypeError("corpus is a single text; give a list of texts")
        self.bi_encoder: BiEncoder = bi_encoder
        self.cross_encoder: Reranker | None = cross_encoder
        self.corpus, _ = as_texts(corpus, "corpus")
        if corpus_embeddings is None:
            corpus_embeddings = _encode(bi_encoder, self.corpus, show_progress_bar)
        self._matrix = CorpusMatrix(corpus_embeddings)
        if len(self._matrix) != len(self.corpus):
            raise InputTypeError(
                f"corpus_embeddings has {len(self._matrix)} rows, the corpus {len(self.corpus)} texts"
            )

    @explains_keywords
    def search(self, query: str, top_k: int = 5, candidates: int = 100) -> list[dict[str, Any]]:
        """The best texts for a query.

        Args:
            query: one text.
            top_k: how many to return.
            candidates: how many the first stage hands to the cross-encoder (at least ``top_k``).

        Returns:
            ``[{"corpus_id", "score", "text", "retrieval_score"}]``, best first. ``score`` is the
            cross-encoder's where there is one, else the cosine, which is always in ``retrieval_score``. A blank query
            finds nothing.

        Raises:
            InputTypeError: the query is not a text.
            InputError: a count below 1.
        """
        if not isinstance(query, str):
            raise InputTypeError(f"query is {type(query).__name__}, not a text")
        check_positive(top_k, "top_k")
        check_positive(candidates, "candidates")
        wanted = top_k if self.cross_encoder is None else max(top_k, candidates)
        if not self.corpus or is_blank(query):
            return []
        found = self._matrix.search(self.bi_encoder.encode_query(query), top_k=wanted)[0]
        hits = [
            {
                "corpus_id": int(hit["corpus_id"]),
                "score": hit["score"],
                "text": self.corpus[int(hit["corpus_id"])],
                "retrieval_score": hit["score"],
            }
            for hit in found
        ]
        return hits if self.cross_encoder is None else rerank(self.cross_encoder, query, hits, top_k)

    def __len__(self) -> int:
        return len(self.corpus)

    def __repr__(self) -> str:
        return (
            f"SearchPipeline({self.bi_encoder!r}, {self.cross_encoder!r}, corpus of {len(self.corpus)} texts)"
        )


def rerank(
    reranker: Reranker, query: str, hits: Sequence[dict[str, Any]], top_k: int | None = None
) -> list[dict[str, Any]]:
    """Hits with a ``"text"``, in the order and with the ``"score"`` that a cross-encoder gives them."""
    scores = rerank_scores(reranker, query, [hit["text"] for hit in hits])
    order = sorted(range(len(hits)), key=lambda place: -scores[place])
    return [{**hits[place], "score": scores[place]} for place in order[:top_k]]


def _encode(model: BiEncoder, texts: list[str], show_progress_bar: bool | None) -> Any:
    from vicinal.models.sentence_transformer import SentenceTransformer

    if isinstance(model, SentenceTransformer):
        return model.encode_document(texts, show_progress_bar=show_progress_bar)
    return model.encode_document(texts)
