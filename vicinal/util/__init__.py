"""The names that this field keeps in ``util``; each is defined, and documented, in a module of its own.

Importing this loads numpy and nothing else.
"""

from __future__ import annotations

from typing import Any

from vicinal.core.arrays import is_tensor
from vicinal.util.dataset import resolve_ids
from vicinal.util.hard_negatives import mine_hard_negatives
from vicinal.vectors.ann import semantic_search_faiss, semantic_search_usearch
from vicinal.vectors.clustering import cluster
from vicinal.vectors.corpus import CorpusMatrix
from vicinal.vectors.mining import community_detection, paraphrase_mining, paraphrase_mining_embeddings
from vicinal.vectors.pairwise import (
    pairwise_angle_sim,
    pairwise_cos_sim,
    pairwise_dot_score,
    pairwise_euclidean_sim,
    pairwise_manhattan_sim,
)
from vicinal.vectors.quantization import quantize_embeddings
from vicinal.vectors.rows import normalize_embeddings, truncate_embeddings
from vicinal.vectors.search import information_retrieval, semantic_search
from vicinal.vectors.similarity import (
    SimilarityFunction,
    cos_sim,
    dot_score,
    euclidean_sim,
    manhattan_sim,
    pytorch_cos_sim,
)

__all__ = [
    "CorpusMatrix",
    "SimilarityFunction",
    "batch_to_device",
    "cluster",
    "community_detection",
    "cos_sim",
    "dot_score",
    "euclidean_sim",
    "information_retrieval",
    "manhattan_sim",
    "mine_hard_negatives",
    "normalize_embeddings",
    "pairwise_angle_sim",
    "pairwise_cos_sim",
    "pairwise_dot_score",
    "pairwise_euclidean_sim",
    "pairwise_manhattan_sim",
    "paraphrase_mining",
    "paraphrase_mining_embeddings",
    "pytorch_cos_sim",
    "quantize_embeddings",
    "resolve_ids",
    "semantic_search",
    "semantic_search_faiss",
    "semantic_search_usearch",
    "truncate_embeddings",
]


def batch_to_device(batch: dict[str, Any], target_device: Any) -> dict[str, Any]:
    """Move the tensors of a batch to a device, in place.

    Args:
        batch: names to tensors or anything else; what is no tensor stays as it is.
        target_device: a ``torch.device`` or its name.

    Returns:
        The same dict.
    """
    for name, value in batch.items():
        if is_tensor(value):
            batch[name] = value.to(target_device)
    return batch
