"""Chroma: a collection in memory whose embedding function is SentenceTransformerEmbeddingFunction."""

import json
import sys

import chromadb
from chromadb.utils import embedding_functions
from corpus import LABELS, TEXTS

function = embedding_functions.SentenceTransformerEmbeddingFunction(
    model_name=sys.argv[1], normalize_embeddings=True
)
client = chromadb.EphemeralClient(settings=chromadb.Settings(anonymized_telemetry=False))
collection = client.create_collection("texts", embedding_function=function)
collection.add(
    ids=[str(number) for number in range(len(TEXTS))],
    documents=TEXTS,
    metadatas=[{"label": label} for label in LABELS],
)
found = collection.query(query_texts=["my query is slow", "penalty shootout"], n_results=3)
filtered = collection.query(query_texts=["my query is slow"], n_results=2, where={"label": 1})
print(
    json.dumps(
        {
            "ids": found["ids"],
            "distances": found["distances"],
            "filtered": filtered["ids"],
            "configuration": function.get_config()["normalize_embeddings"],
        }
    )
)
