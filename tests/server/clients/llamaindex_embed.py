"""llama-index-embeddings-openai: texts and queries, one by one and in batches."""

import asyncio

from llama_index.embeddings.openai import OpenAIEmbedding
from served import KEY, MODEL, TEXTS, URL, VECTORS, assert_near, done, shortened

given = {"model_name": MODEL, "api_base": f"{URL}/v1", "api_key": KEY, "max_retries": 0}
embeddings = OpenAIEmbedding(embed_batch_size=2, **given)
assert_near(embeddings.get_text_embedding_batch(TEXTS), VECTORS)
assert_near(embeddings.get_query_embedding(TEXTS[0]), VECTORS[0])
assert_near(asyncio.run(embeddings.aget_text_embedding_batch(TEXTS)), VECTORS)
assert_near(OpenAIEmbedding(dimensions=16, **given).get_text_embedding(TEXTS[0]), shortened(VECTORS, 16)[0])
done()
