"""How good is a model? Evaluators: called with one, they give metrics.

They need numpy alone, use only the model's public methods, leave it as it is, and write nothing but a line of a
CSV file when they are given an ``output_path``.
"""

from __future__ import annotations

from vicinal.evaluation.base import SentenceEvaluator
from vicinal.evaluation.binary_classification import BinaryClassificationEvaluator
from vicinal.evaluation.embedding_similarity import EmbeddingSimilarityEvaluator
from vicinal.evaluation.information_retrieval import InformationRetrievalEvaluator
from vicinal.evaluation.label_accuracy import LabelAccuracyEvaluator
from vicinal.evaluation.mse import MSEEvaluator
from vicinal.evaluation.mse_from_dataframe import MSEEvaluatorFromDataFrame
from vicinal.evaluation.nano_beir import NanoBEIREvaluator
from vicinal.evaluation.paraphrase_mining import ParaphraseMiningEvaluator
from vicinal.evaluation.reranking import RerankingEvaluator
from vicinal.evaluation.sequential import SequentialEvaluator
from vicinal.evaluation.translation import TranslationEvaluator
from vicinal.evaluation.triplet import TripletEvaluator
from vicinal.vectors.similarity import SimilarityFunction

BaseEvaluator = SentenceEvaluator

__all__ = [
    "BaseEvaluator",
    "BinaryClassificationEvaluator",
    "EmbeddingSimilarityEvaluator",
    "InformationRetrievalEvaluator",
    "LabelAccuracyEvaluator",
    "MSEEvaluator",
    "MSEEvaluatorFromDataFrame",
    "NanoBEIREvaluator",
    "ParaphraseMiningEvaluator",
    "RerankingEvaluator",
    "SentenceEvaluator",
    "SequentialEvaluator",
    "SimilarityFunction",
    "TranslationEvaluator",
    "TripletEvaluator",
]
