"""cohere, version 1: vectors, types of vectors, reranking, errors."""

import cohere
from served import (
    DOCUMENTS,
    KEY,
    LONG,
    MODEL,
    ORDER,
    QUERY,
    RERANKER,
    SCORES,
    TEXTS,
    URL,
    VECTORS,
    assert_near,
    done,
    refused,
)

client = cohere.Client(api_key=KEY, base_url=URL)

answer = client.embed(texts=TEXTS, model=MODEL, input_type="search_document")
assert answer.response_type == "embeddings_floats", answer.response_type
assert_near(answer.embeddings, VECTORS)
assert answer.texts == TEXTS

# More than a request may hold: the client cuts them into requests, which it joins again.
many = client.embed(texts=[f"text {i}" for i in range(200)], model=MODEL)
assert len(many.embeddings) == 200
with refused(cohere.BadRequestError, "96"):
    client.embed(texts=["a"] * 97, model=MODEL, batching=False)

typed = client.embed(texts=TEXTS, model=MODEL, embedding_types=["float", "int8", "ubinary"])
assert typed.response_type == "embeddings_by_type"
assert_near(typed.embeddings.float_, VECTORS)
assert len(typed.embeddings.int8[0]) == VECTORS.shape[1]
assert len(typed.embeddings.ubinary[0]) == -(-VECTORS.shape[1] // 8)

ranked = client.rerank(model=RERANKER, query=QUERY, documents=DOCUMENTS)
assert [each.index for each in ranked.results] == ORDER
assert_near([each.relevance_score for each in ranked.results], SCORES[ORDER])
assert all(each.document is None for each in ranked.results)
assert all(0 <= each.relevance_score <= 1 for each in ranked.results)
best = client.rerank(
    query=QUERY, documents=[{"text": each} for each in DOCUMENTS], top_n=2, return_documents=True
)
assert [each.document.text for each in best.results] == [DOCUMENTS[i] for i in ORDER[:2]]
assert best.meta.billed_units.search_units == 1
fields = [{"title": each, "author": "nobody"} for each in DOCUMENTS]
assert [e.index for e in client.rerank(query=QUERY, documents=fields, rank_fields=["title"]).results] == ORDER

assert {each.name: each.endpoints for each in client.models.list().models}[MODEL] == ["embed"]

with refused(cohere.BadRequestError, "tokens", "256"):
    client.embed(texts=[LONG], model=MODEL, truncate="NONE")
with refused(cohere.NotFoundError, "no-such-model"):
    client.embed(texts=TEXTS, model="no-such-model")
with refused(cohere.UnauthorizedError):
    cohere.Client(api_key="wrong", base_url=URL).rerank(query=QUERY, documents=DOCUMENTS)
done()
