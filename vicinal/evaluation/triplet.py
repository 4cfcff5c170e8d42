"""Is an anchor closer to its positive than to its negative?"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vicinal.core.inputs import caller_level, explains_keywords
from vicinal.errors import InputError
from vicinal.evaluation.base import Measured, VectorEvaluator, mean, model_similarity
from vicinal.evaluation.checks import check_examples, check_lengths, similarity_names, text_column
from vicinal.readers.input_example import InputExample
from vicinal.vectors.similarity import SimilarityFunction, as_similarity, pairwise_function


class TripletEvaluator(VectorEvaluator):
    """Share of triplets whose anchor is more like the positive than like the negative.

    The metric is ``cosine_accuracy``, and the same of every other similarity that is asked for; of several
    also the largest, ``max_accuracy``. The primary one is that of ``main_similarity_function`` if given, else
    the largest.

    Args:
        anchors: n texts.
        positives: n texts that belong to the anchors.
        negatives: n texts that do not.
        main_similarity_function: whose accuracy is the primary metric.
        margin: by how much the positive must be ahead; a number for every similarity, or a dictionary from
            similarity to number (0 where one is missing).
        name: stands before the metrics' names and in the file's.
        batch_size: texts per batch; None leaves it to the model.
        show_progress_bar: while encoding.
        write_csv: append to ``triplet_evaluation_{name}_results.csv`` where ``output_path`` is given.
        truncate_dim: evaluate this many first dimensions of the vectors.
        similarity_fn_names: the similarities to compute: "cosine", "dot", "euclidean", "manhattan"; None is
            ``main_similarity_function``, or the model's own.
        main_distance_function: the old name of ``main_similarity_function``.

    Raises:
        InputError: columns of different lengths or empty ones, an unknown name, a negative margin.
        InputTypeError: something that is not a text (its position is named).
    """

    @explains_keywords
    def __init__(
        self,
        anchors: Sequence[str],
        positives: Sequence[str],
        negatives: Sequence[str],
        main_similarity_function: str | SimilarityFunction | None = None,
        margin: float | Mapping[str, float] | None = None,
        name: str = "",
        batch_size: int | None = None,
        show_progress_bar: bool | None = False,
        write_csv: bool = True,
        truncate_dim: int | None = None,
        similarity_fn_names: Sequence[str | SimilarityFunction] | None = None,
        main_distance_function: str | SimilarityFunction | None = None,
    ) -> None:
        if main_distance_function is not None:
            warnings.warn(
                "main_distance_function is deprecated: use main_similarity_function",
                DeprecationWarning,
                stacklevel=caller_level(),
            )
            if main_similarity_function is None:
                main_similarity_function = main_distance_function
        self._set_up("triplet_evaluation", name, batch_size, show_progress_bar, write_csv, truncate_dim)
        self.anchors = text_column(anchors, "anchors")
        self.positives = text_column(positives, "positives")
        self.negatives = text_column(negatives, "negatives")
        check_lengths(anchors=self.anchors, positives=self.positives, negatives=self.negatives)
        main = main_similarity_function
        self.main_similarity_function = None if main is None else as_similarity(main).value
        self.similarity_fn_names = similarity_names(similarity_fn_names, main)
        self.margin = _margins(margin)

    @classmethod
    def from_input_examples(cls, examples: Sequence[InputExample], **keywords: Any) -> TripletEvaluator:
        """From examples of anchor, positive, negative; ``keywords`` are the other arguments of the class."""
        check_examples(examples, 3)
        anchors, positives, negatives = ([example.texts[place] for example in examples] for place in range(3))
        return cls(anchors, positives, negatives, **keywords)

    def get_config_dict(self) -> dict[str, Any]:
        margins = {"margin": dict(self.margin)} if any(self.margin.values()) else {}
        return {**margins, **super().get_config_dict()}

    def _measure(self, model: Any) -> Measured:
        (anchors,) = self._embed(model, self.anchors, encode_fn_name="query")
        positives, negatives = self._embed(model, self.positives, self.negatives, encode_fn_name="document")
        names = self.similarity_fn_names or [model_similarity(model)]
        metrics, row = {}, {}
        for each in names:
            compare = pairwise_function(each)
            ahead = compare(anchors, positives) > compare(anchors, negatives) + self.margin[each]
            metrics[f"{each}_accuracy"] = row[f"accuracy_{each}"] = mean(ahead)
        if len(names) > 1:
            metrics["max_accuracy"] = max(metrics.values())
        main = self.main_similarity_function or ("max" if len(names) > 1 else names[0])
        return Measured(metrics, f"{main}_accuracy", row)


def _margins(margin: float | Mapping[str, float] | None) -> dict[str, float]:
    names = SimilarityFunction.possible_values()
    if isinstance(margin, Mapping):
        given = {as_similarity(each).value: float(value) for each, value in margin.items()}
    else:
        given = dict.fromkeys(names, 0.0 if margin is None else float(margin))
    for each, value in given.items():
        if not (value >= 0 and np.isfinite(value)):
            raise InputError(f"margin={value} of {each!r}: it must be 0 or more")
    return {each: given.get(each, 0.0) for each in names}
