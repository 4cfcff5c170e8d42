"""infinity_emb: its torch engines, whose classes inherit from CrossEncoder and SentenceTransformer, serve."""

import asyncio
import json
import sys

from corpus import TEXTS
from infinity_emb import AsyncEmbeddingEngine, EngineArgs

QUESTION = "What did the telescope see?"


def arguments(path: str) -> EngineArgs:
    """The engine of torch, on the CPU, in float32."""
    return EngineArgs(
        model_name_or_path=path,
        engine="torch",
        device="cpu",
        dtype="float32",
        bettertransformer=False,
        model_warmup=False,
        batch_size=8,
    )


async def main() -> None:
    """Scores and vectors."""
    scorer = AsyncEmbeddingEngine.from_args(arguments(sys.argv[2]))
    async with scorer:
        ranked, used = await scorer.rerank(query=QUESTION, docs=TEXTS)
        raw, _ = await scorer.rerank(query=QUESTION, docs=TEXTS[:4], raw_scores=True)
        best, _ = await scorer.rerank(query=QUESTION, docs=TEXTS, top_n=3)
    encoder = AsyncEmbeddingEngine.from_args(arguments(sys.argv[1]))
    async with encoder:
        vectors, tokens = await encoder.embed(sentences=TEXTS[:9])
    print(
        json.dumps(
            {
                "ranked": [[score.index, float(score.relevance_score)] for score in ranked[:10]],
                "raw": [[score.index, float(score.relevance_score)] for score in raw],
                "best": [score.index for score in best],
                "used": used,
                "vectors": [[float(value) for value in vector[:4]] for vector in vectors],
                "tokens": tokens,
            }
        )
    )


asyncio.run(main())
