"""Haystack: documents embedded, retrieved, ranked for diversity, answers evaluated; one pipeline."""

import json
import sys

from corpus import TEXTS
from haystack import Document, Pipeline
from haystack.components.evaluators.sas_evaluator import SASEvaluator
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.utils import ComponentDevice
from haystack_integrations.components.embedders.sentence_transformers import (
    SentenceTransformersDocumentEmbedder,
    SentenceTransformersTextEmbedder,
)
from haystack_integrations.components.rankers.sentence_transformers import SentenceTransformersDiversityRanker

path, cpu = sys.argv[1], ComponentDevice.from_str("cpu")
store = InMemoryDocumentStore(embedding_similarity_function="cosine")
embedder = SentenceTransformersDocumentEmbedder(model=path, device=cpu, progress_bar=False, batch_size=16)
embedder.warm_up()
store.write_documents(embedder.run([Document(content=text) for text in TEXTS])["documents"])

pipeline = Pipeline()
pipeline.add_component(
    "embedder",
    SentenceTransformersTextEmbedder(model=path, device=cpu, progress_bar=False, normalize_embeddings=True),
)
pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=6))
pipeline.add_component("ranker", SentenceTransformersDiversityRanker(model=path, device=cpu, top_k=3))
pipeline.connect("embedder.embedding", "retriever.query_embedding")
pipeline.connect("retriever.documents", "ranker.documents")
question = "What did the telescope see?"
answer = pipeline.run(
    {"embedder": {"text": question}, "ranker": {"query": question}}, include_outputs_from={"retriever"}
)

int8 = SentenceTransformersTextEmbedder(model=path, device=cpu, progress_bar=False, precision="ubinary")
int8.warm_up()
evaluator = SASEvaluator(model=path, device=cpu)
evaluator.warm_up()
judged = evaluator.run(
    ground_truth_answers=["A distant spiral galaxy", "Garlic"],
    predicted_answers=["a galaxy far away", "An onion"],
)
print(
    json.dumps(
        {
            "found": [[document.content, document.score] for document in answer["retriever"]["documents"]],
            "diverse": [document.content for document in answer["ranker"]["documents"]],
            "bits": int8.run("A text.")["embedding"][:12],
            "judged": [float(score) for score in judged["individual_scores"]],
        }
    )
)
