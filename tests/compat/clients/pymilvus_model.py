"""pymilvus.model: its embedding and reranking functions, without a server."""

import json
import sys

from corpus import TEXTS
from pymilvus.model.dense import SentenceTransformerEmbeddingFunction
from pymilvus.model.reranker import CrossEncoderRerankFunction

function = SentenceTransformerEmbeddingFunction(
    model_name=sys.argv[1], query_instruction="query: ", normalize_embeddings=False
)
plain = SentenceTransformerEmbeddingFunction(sys.argv[1], batch_size=7)
rerank = CrossEncoderRerankFunction(model_name=sys.argv[2], device="cpu")
question = "What did the telescope see?"
ranked = rerank(question, TEXTS, top_k=3)
print(
    json.dumps(
        {
            "dimensions": function.dim,
            "query": [float(value) for value in function.encode_queries(["A question."])[0][:6]],
            "documents": [[float(value) for value in row[:3]] for row in plain.encode_documents(TEXTS[:9])],
            "called": [float(value) for value in plain(["A text."])[0][:6]],
            "ranked": [[result.index, float(result.score)] for result in ranked],
        }
    )
)
