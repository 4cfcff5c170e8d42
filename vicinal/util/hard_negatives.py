"""Hard negatives: texts that a model finds similar to an anchor although they are not its positives."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Literal

import numpy as np

from vicinal.core.inputs import as_count, as_number, as_texts, caller_level, check_choice, check_flag
from vicinal.core.progress import progress_bar
from vicinal.errors import InputTypeError
from vicinal.util.candidates import Search, scored
from vicinal.util.choosing import Limits, choose, range_end
from vicinal.util.kept_embeddings import Encoder, workers
from vicinal.util.mining_report import report
from vicinal.util.mining_rows import FORMATS, Negatives, Pairs, Source, rows_of
from vicinal.vectors.similarity import SimilarityFunction, as_similarity


def mine_hard_negatives(
    dataset: Any,
    model: Any,
    anchor_column_name: str | None = None,
    positive_column_name: str | None = None,
    corpus: list[str] | None = None,
    cross_encoder: Any = None,
    range_min: int = 0,
    range_max: int | None = None,
    max_score: float | None = None,
    min_score: float | None = None,
    absolute_margin: float | None = None,
    relative_margin: float | None = None,
    num_negatives: int = 3,
    sampling_strategy: Literal["random", "top"] = "top",
    query_prompt_name: str | None = None,
    query_prompt: str | None = None,
    corpus_prompt_name: str | None = None,
    corpus_prompt: str | None = None,
    include_positives: bool = False,
    output_format: Literal["triplet", "n-tuple", "labeled-pair", "labeled-list"] = "triplet",
    output_scores: bool = False,
    batch_size: int = 32,
    faiss_batch_size: int = 16384,
    use_faiss: bool = False,
    use_multi_process: list[str] | bool = False,
    verbose: bool = True,
    cache_folder: str | None = None,
    as_triplets: bool | None = None,
    margin: float | None = None,
) -> Any:
    """Add hard negatives to (anchor, positive) pairs.

    All texts are encoded and compared as unit vectors, by the model's similarity function. For each anchor the best
    ``range_max + p`` documents are found (exactly, in blocks, in bounded memory), with p the most rows that an anchor
    has; no others are looked at. Its own positives are removed, whichever row they stand in; then those that
    ``max_score``, ``min_score`` and the margins forbid, so that a small ``range_max`` with a low ``max_score`` may
    leave none. The first ``range_min`` of the rest are passed over, and ``num_negatives`` of the others are taken.

    A positive that nobody marked as one looks like a very hard negative. ``relative_margin=0.05`` removes most of
    these (Moreira et al. 2024, "NV-Retriever", arXiv:2407.15831); ``range_min`` and ``max_score`` help too.

    Args:
        dataset: a ``datasets.Dataset``, or a list of dicts (which needs no package); the same kind comes back. Only
            the two columns are used; pairs that come twice count once. An anchor with several rows has several
            positives.
        model: gives embeddings: a SentenceTransformer, or any object whose ``encode`` takes a list of texts and the
            keywords ``batch_size``, ``show_progress_bar`` and ``convert_to_numpy``. ``encode_query`` and
            ``encode_document`` are called where it has them.
        anchor_column_name: the column of anchors; None is the first one.
        positive_column_name: the column of positives; None is the second one.
        corpus: more texts to choose from; the positives of all anchors are always among them. Anchors in it are
            texts like others: ``max_score`` keeps an anchor from being its own negative.
        cross_encoder: scores the candidates and positives again, where scores are limited. It is slow, and its
            opinion of what is a false negative is the better one.
        range_min: so many of the best candidates are passed over.
        range_max: candidates beyond this rank are not taken. None is ``range_min + num_negatives + p``, with p the
            most rows that an anchor has, or ``range_min + 10 * num_negatives + p`` where ``max_score``, a margin, or
            ``min_score`` with a cross-encoder limits scores.
        max_score: a negative scores at most this.
        min_score: a negative scores at least this.
        absolute_margin: a negative scores at least this much less than the worst positive of its anchor.
        relative_margin: the same, as a share of that positive's score: at most ``p - |p| * relative_margin``.
        num_negatives: negatives for each anchor.
        sampling_strategy: ``"top"`` takes the best candidates, ``"random"`` draws from them with Python's generator
            (``random.seed`` makes it repeatable). In the result the best comes first either way.
        query_prompt_name: name of the model's prompt for anchors.
        query_prompt: the prompt itself, put before each anchor; it goes before a name.
        corpus_prompt_name: name of the model's prompt for documents.
        corpus_prompt: the prompt itself.
        include_positives: keep an anchor's positives among the candidates, to make data for a reranking evaluator; the
            result is then always an n-tuple, as its columns are the ranking.
        output_format: of the rows, with the names of the two columns:

            * ``"triplet"``: anchor, positive, ``negative``; a row for each negative that was found;
            * ``"n-tuple"``: anchor, positive, ``negative_1``, ``negative_2``, ...; only if all were found;
            * ``"labeled-pair"``: anchor, text, ``label`` (1 or 0); all positives, and the negatives that were found;
            * ``"labeled-list"``: anchor, list of texts, ``labels``: a positive and the negatives, if one was found.

        output_scores: add ``scores`` (of the positive, then of each negative) to triplets and n-tuples; give ``score``
            or ``scores`` in place of labels to the others.
        batch_size: given to the models.
        faiss_batch_size: not used: the blocks of the search suit the processor.
        use_faiss: not used: the search is exact, as faiss's is here, and needs no package.
        use_multi_process: encode in several processes: True, or a list of devices.
        verbose: print scores of positives and negatives, and what the limits excluded.
        cache_folder: keep embeddings in this folder, as ``query_embeddings_*.npy`` and ``corpus_embeddings_*.npy``.
            They are used again while the texts, the prompts and the model (its weights too) stay the same.
        as_triplets: deprecated: True is ``output_format="triplet"``, False ``"n-tuple"``.
        margin: deprecated: ``absolute_margin``.

    Returns:
        The rows, grouped by anchor, in the order in which anchors come first. An anchor without enough negatives is
        treated as ``output_format`` says; there may be no rows at all.

    Raises:
        InputError: a column that is not there, limits that leave no candidates, or a number out of bounds.
        InputTypeError: a data set, a model or a text that is none.

    Warns:
        DeprecationWarning: ``as_triplets`` or ``margin`` is given.
        UserWarning: ``cross_encoder`` is given, but nothing that makes use of it.
    """
    if as_triplets is not None:
        output_format = "triplet" if as_triplets else "n-tuple"
        _deprecated("as_triplets", f"output_format={output_format!r}")
    if margin is not None:
        absolute_margin = margin
        _deprecated("margin", f"absolute_margin={margin} or relative_margin")
    check_choice(output_format, FORMATS, "output_format")
    check_choice(sampling_strategy, ("random", "top"), "sampling_strategy")
    for name, flag in (
        ("include_positives", include_positives),
        ("output_scores", output_scores),
        ("use_faiss", use_faiss),
        ("verbose", verbose),
    ):
        check_flag(flag, name)
    wanted = as_count(num_negatives, "num_negatives")
    batch_size = as_count(batch_size, "batch_size")
    as_count(faiss_batch_size, "faiss_batch_size")
    _check_model(model, "model", "encode")
    if cross_encoder is not None:
        _check_model(cross_encoder, "cross_encoder", "predict")
    devices = _devices(use_multi_process)
    source = Source(dataset)
    names = source.columns(anchor_column_name, positive_column_name)
    pairs = Pairs.of(source.texts(names[0]), source.texts(names[1]), _corpus(corpus))
    limits = _limits(
        wanted,
        pairs.most,
        cross_encoder is not None,
        range_min,
        range_max,
        {
            "max_score": max_score,
            "min_score": min_score,
            "absolute_margin": absolute_margin,
            "relative_margin": relative_margin,
        },
    )
    if cross_encoder is not None and not limits.of_scores:
        warnings.warn(
            "cross_encoder has no effect, as no score is limited: give max_score, min_score, absolute_margin or "
            "relative_margin (min_score=float('-inf') lets every candidate pass, with its score)",
            UserWarning,
            stacklevel=caller_level(),
        )
    if include_positives:
        output_format = "n-tuple"

    shows = None if verbose else False
    with ExitStack() as stack:
        encode = Encoder(
            model, batch_size, shows, stack.enter_context(workers(model, devices, "model")), cache_folder
        )
        search = Search(
            pairs,
            encode(pairs.anchors, "query", query_prompt_name, query_prompt),
            encode(pairs.documents, "corpus", corpus_prompt_name, corpus_prompt),
            as_similarity(getattr(model, "similarity_fn_name", None) or SimilarityFunction.COSINE),
        )
    left_out: dict[str, int] = {}
    looked_at = 0
    chosen = []
    with ExitStack() as stack:
        predict, pair_scores = None, None
        if cross_encoder is not None and limits.of_scores:
            pool = stack.enter_context(workers(cross_encoder, devices, "cross_encoder"))
            predict = _predictor(cross_encoder, batch_size, pool)
            texts = zip(pairs.anchor.tolist(), pairs.document.tolist(), strict=True)
            pair_scores = scored(predict, [(pairs.anchors[a], pairs.documents[d]) for a, d in texts])
        if pair_scores is None:
            pair_scores = search.positives()
        starts = np.searchsorted(pairs.anchor, np.arange(len(pairs.anchors)))
        lowest = np.minimum.reduceat(pair_scores, starts)
        advance = stack.enter_context(progress_bar(len(pairs.anchors), shows, "Mining", "anchors"))
        for some in search.candidates(limits.range_max + pairs.most, bool(include_positives), predict):
            part = slice(some.first, some.first + len(some.ids))
            looked_at += int(np.count_nonzero(some.usable))
            chosen.append(choose(some, lowest[part], limits, wanted, sampling_strategy == "random", left_out))
            if advance is not None:
                advance(len(some.ids))
    negatives = Negatives(*(np.concatenate(each) for each in zip(*chosen, strict=True)))
    if verbose:
        print(report(pairs, pair_scores, negatives, limits, left_out, looked_at))
    return source.like(rows_of(pairs, pair_scores, negatives, names, output_format, bool(output_scores)))


def _deprecated(argument: str, instead: str) -> None:
    warnings.warn(
        f"the argument {argument!r} of mine_hard_negatives is deprecated: give {instead}",
        DeprecationWarning,
        stacklevel=caller_level(),
    )


def _check_model(model: Any, argument: str, method: str) -> None:
    if isinstance(model, (str, os.PathLike)) or not hasattr(model, method):
        kind = "CrossEncoder" if method == "predict" else "SentenceTransformer"
        raise InputTypeError(f"{argument} is {type(model).__name__}, which has no {method}(): give a {kind}")


def _corpus(corpus: Any) -> list[str]:
    if corpus is None:
        return []
    texts, single = as_texts(corpus, "corpus")
    if single:
        raise InputTypeError("corpus is one text: give a list of texts")
    return texts


def _devices(use_multi_process: Any) -> bool | Sequence[Any]:
    if isinstance(use_multi_process, (list, tuple)):
        return use_multi_process
    check_flag(use_multi_process, "use_multi_process")
    return bool(use_multi_process)


def _limits(
    wanted: int, most: int, rescored: bool, range_min: Any, range_max: Any, scores: dict[str, Any]
) -> Limits:
    """The limits, checked.

    Args:
        wanted: negatives for each anchor.
        most: rows that an anchor may have.
        rescored: whether there is a cross-encoder.
        range_min: as given.
        range_max: as given; None finds one.
        scores: the limits of scores, as given.
    """
    numbers = {
        # An infinite one forbids nothing.
        name: None if given is None else as_number(given, name, float("-inf"), float("inf"), "a number")
        for name, given in scores.items()
    }
    for name in ("absolute_margin", "relative_margin"):
        if numbers[name] is not None:
            as_number(scores[name], name, -sys.float_info.max, sys.float_info.max, "a finite number")
    first = as_count(range_min, "range_min", 0)
    if range_max is None:
        counts = ("max_score", "absolute_margin", "relative_margin", *(("min_score",) if rescored else ()))
        end = range_end(wanted, first, most, any(numbers[name] is not None for name in counts))
    else:
        end = as_count(range_max, "range_max")
    limits = Limits(first, end, **numbers)
    limits.check(wanted)
    return limits


def _predictor(cross_encoder: Any, batch_size: int, pool: Any) -> Any:
    options: dict[str, Any] = {"batch_size": batch_size, "show_progress_bar": False}
    if pool is not None:
        options["pool"] = pool

    def predict(pairs: list[tuple[str, str]]) -> Any:
        return cross_encoder.predict(pairs, **options)

    return predict
