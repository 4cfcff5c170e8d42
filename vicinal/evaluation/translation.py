"""Is a text's translation the nearest one?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vicinal.core.inputs import explains_keywords
from vicinal.evaluation.base import Measured, VectorEvaluator, mean
from vicinal.evaluation.checks import check_lengths, text_column
from vicinal.vectors.search import semantic_search


class TranslatedTextsEvaluator(VectorEvaluator):
    """Base of evaluators of texts and their translations."""

    def _set_texts(self, source_sentences: Sequence[str], target_sentences: Sequence[str]) -> None:
        self.source_sentences = text_column(source_sentences, "source_sentences")
        self.target_sentences = text_column(target_sentences, "target_sentences")
        check_lengths(source_sentences=self.source_sentences, target_sentences=self.target_sentences)


_SHOWN = 5  # matches that are printed


class TranslationEvaluator(TranslatedTextsEvaluator):
    """Share of texts whose translation has the highest cosine among all translations, in both directions.

    The metrics are ``src2trg_accuracy``, ``trg2src_accuracy`` and their mean, ``mean_accuracy``, which is the
    primary one.

    Args:
        source_sentences: n texts.
        target_sentences: n texts, the translations in the same order.
        show_progress_bar: while encoding.
        batch_size: texts per batch; None leaves it to the model.
        name: stands before the metrics' names and in the file's.
        print_wrong_matches: print each source sentence whose best match is not its translation, and the five best.
        write_csv: append to ``translation_evaluation_{name}_results.csv`` where ``output_path`` is given.
        truncate_dim: evaluate this many first dimensions of the vectors.

    Raises:
        InputError: columns of different lengths or empty ones.
        InputTypeError: something that is not a text (its position is named).
    """

    primary_metric = "mean_accuracy"
    csv_headers = ("epoch", "steps", "src2trg", "trg2src")

    @explains_keywords
    def __init__(
        self,
        source_sentences: Sequence[str],
        target_sentences: Sequence[str],
        show_progress_bar: bool | None = False,
        batch_size: int | None = None,
        name: str = "",
        print_wrong_matches: bool = False,
        write_csv: bool = True,
        truncate_dim: int | None = None,
    ) -> None:
        self._set_up("translation_evaluation", name, batch_size, show_progress_bar, write_csv, truncate_dim)
        self._set_texts(source_sentences, target_sentences)
        self.print_wrong_matches = print_wrong_matches

    def _measure(self, model: Any) -> Measured:
        source, target = self._embed(model, self.source_sentences, self.target_sentences)
        if self.print_wrong_matches:
            self._print_wrong(source, target)
        there, back = _nearest(source, target), _nearest(target, source)
        metrics = {
            "src2trg_accuracy": there,
            "trg2src_accuracy": back,
            "mean_accuracy": (there + back) / 2,
        }
        row = {"src2trg": there, "trg2src": back}
        return Measured(metrics, "mean_accuracy", row)

    def _print_wrong(self, source: Any, target: Any) -> None:
        for place, hits in enumerate(semantic_search(source, target, top_k=_SHOWN)):
            if hits[0]["corpus_id"] == place:
                continue
            print(f"source {place}: {self.source_sentences[place]}")
            print(f"  its translation, {place}: {self.target_sentences[place]}")
            for hit in hits:
                number = int(hit["corpus_id"])
                print(f"  {hit['score']:.4f}  {number}: {self.target_sentences[number]}")


def _nearest(texts: Any, others: Any) -> float:
    """Share of rows whose counterpart is the best match."""
    found = [hits[0]["corpus_id"] for hits in semantic_search(texts, others, top_k=1)]
    return mean(np.array(found) == np.arange(len(found)))
