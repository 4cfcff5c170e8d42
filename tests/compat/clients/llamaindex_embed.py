"""LlamaIndex: HuggingFaceEmbedding, alone, asynchronously and inside a VectorStoreIndex."""

import asyncio
import json
import sys

from corpus import TEXTS
from llama_index.core import Document, VectorStoreIndex
from llama_index.embeddings.huggingface import HuggingFaceEmbedding

model = HuggingFaceEmbedding(
    model_name=sys.argv[1], max_length=128, query_instruction="Find: ", embed_batch_size=8, device="cpu"
)
index = VectorStoreIndex.from_documents([Document(text=text) for text in TEXTS], embed_model=model)
found = index.as_retriever(similarity_top_k=3).retrieve("moons of planets")
print(
    json.dumps(
        {
            "text": model.get_text_embedding("One text.")[:8],
            "query": model.get_query_embedding("One text.")[:8],
            "later": asyncio.run(model.aget_text_embedding("One text."))[:8],
            "batch": [vector[:8] for vector in model.get_text_embedding_batch(["One text.", "Another."])],
            "found": [[node.text, node.score] for node in found],
        }
    )
)
