"""chonkie: a text cut where its subject changes, and chunks embedded with the whole text in view."""

import json
import sys

from chonkie import LateChunker, SemanticChunker, SentenceTransformerEmbeddings
from corpus import TOPICS
from sentence_transformers import SentenceTransformer

document = " ".join(f"{text}." for texts in TOPICS.values() for text in texts[:6])
model = SentenceTransformer(sys.argv[1], model_kwargs={"torch_dtype": "float32"})
embeddings = SentenceTransformerEmbeddings(model)
named = SentenceTransformerEmbeddings(sys.argv[1])
chunks = SemanticChunker(
    embedding_model=embeddings,
    threshold=0.5,
    chunk_size=64,
    similarity_window=1,
    min_characters_per_sentence=8,
)(document)
late = LateChunker(embedding_model=embeddings, chunk_size=48)(document)
print(
    json.dumps(
        {
            "semantic": [[chunk.text, chunk.token_count] for chunk in chunks],
            "late": [
                [chunk.text, chunk.token_count, [float(v) for v in chunk.embedding[:4]]] for chunk in late
            ],
            "similarity": float(embeddings.similarity(embeddings.embed("a cake"), named.embed("baking"))),
            "batch": [float(vector[0]) for vector in embeddings.embed_batch(["one", "two texts"])],
            "tokens": [list(embeddings.embed_as_tokens("A text of few words.").shape), named.max_seq_length],
            "counts": [
                embeddings.count_tokens(document),
                *embeddings.count_tokens_batch(["one", "two texts"]),
            ],
            "dimension": embeddings.dimension,
        }
    )
)
