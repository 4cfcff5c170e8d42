"""Evaluators of cross-encoders.

The names that begin with ``CE`` are what older code calls them. They are the same classes and give the same
dictionary of metrics; in old releases of the library that introduced them, a call gave one number.
"""

from __future__ import annotations

from vicinal.evaluation.cross_encoder.classification import CrossEncoderClassificationEvaluator
from vicinal.evaluation.cross_encoder.correlation import CrossEncoderCorrelationEvaluator
from vicinal.evaluation.cross_encoder.nano_beir import CrossEncoderNanoBEIREvaluator
from vicinal.evaluation.cross_encoder.reranking import CrossEncoderRerankingEvaluator

CECorrelationEvaluator = CrossEncoderCorrelationEvaluator
CERerankingEvaluator = CrossEncoderRerankingEvaluator
CEBinaryClassificationEvaluator = CrossEncoderClassificationEvaluator
CEBinaryAccuracyEvaluator = CrossEncoderClassificationEvaluator
CEF1Evaluator = CrossEncoderClassificationEvaluator
CESoftmaxAccuracyEvaluator = CrossEncoderClassificationEvaluator

__all__ = [
    "CEBinaryAccuracyEvaluator",
    "CEBinaryClassificationEvaluator",
    "CECorrelationEvaluator",
    "CEF1Evaluator",
    "CERerankingEvaluator",
    "CESoftmaxAccuracyEvaluator",
    "CrossEncoderClassificationEvaluator",
    "CrossEncoderCorrelationEvaluator",
    "CrossEncoderNanoBEIREvaluator",
    "CrossEncoderRerankingEvaluator",
]
