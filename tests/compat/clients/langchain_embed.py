"""LangChain: HuggingFaceEmbeddings with encode_kwargs, alone and in an in-memory vector store."""

import json
import sys

from corpus import TEXTS
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_huggingface import HuggingFaceEmbeddings

embeddings = HuggingFaceEmbeddings(
    model_name=sys.argv[1],
    model_kwargs={"device": "cpu"},
    encode_kwargs={"normalize_embeddings": True, "batch_size": 8},
    query_encode_kwargs={"normalize_embeddings": True, "prompt": "query: "},
)
documents = embeddings.embed_documents(["A line\nbreak.", "", "Second text."])
query = embeddings.embed_query("How do I bake bread?")
store = InMemoryVectorStore.from_texts(TEXTS, embedding=embeddings)
found = store.similarity_search_with_score("How do I bake bread?", k=3)
plain = HuggingFaceEmbeddings(model_name=sys.argv[1])
print(
    json.dumps(
        {
            "documents": [vector[:8] for vector in documents],
            "query": query[:8],
            "width": len(query),
            "types": [type(documents).__name__, type(documents[0]).__name__, type(query[0]).__name__],
            "found": [[document.page_content, score] for document, score in found],
            "plain": plain.embed_documents(["Second text."])[0][:8],
        }
    )
)
