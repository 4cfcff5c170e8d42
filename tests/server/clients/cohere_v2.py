"""cohere, version 2: every type of vectors, both ends of a text that is too long, reranking, errors."""

import base64

import cohere
import numpy as np
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
    TOKENS,
    URL,
    VECTORS,
    assert_near,
    done,
    refused,
    shortened,
)

client = cohere.ClientV2(api_key=KEY, base_url=URL)
DOCUMENT = {"model": MODEL, "input_type": "search_document"}

answer = client.embed(
    texts=TEXTS, embedding_types=["float", "int8", "uint8", "binary", "ubinary", "base64"], **DOCUMENT
)
found = answer.embeddings
assert_near(found.float_, VECTORS)
assert answer.meta.tokens.input_tokens == answer.meta.billed_units.input_tokens == sum(TOKENS)
assert_near([np.frombuffer(base64.b64decode(each), "<f4") for each in found.base64], found.float_, 1e-7)
signs = np.packbits(np.array(found.float_) > 0, axis=1)
assert (signs == np.array(found.ubinary)).all()
assert (signs.astype(int) - 128 == np.array(found.binary)).all()
small = np.array(found.int8)
assert (small + 128 == np.array(found.uint8)).all()
assert small.min() >= -128 and small.max() <= 127
unit = small / np.linalg.norm(small, axis=1, keepdims=True)
assert_near(unit @ unit.T, VECTORS @ VECTORS.T, 5e-3)
# The same text in another company has the same small numbers.
again = client.embed(texts=TEXTS[:1], embedding_types=["int8"], **DOCUMENT).embeddings.int8
assert np.abs(np.array(again[0]) - small[0]).max() <= 1

plain = client.embed(texts=TEXTS, output_dimension=16, **DOCUMENT)
assert plain.response_type == "embeddings_by_type"
assert_near(plain.embeddings.float_, shortened(VECTORS, 16))
parts = [{"content": [{"type": "text", "text": each}]} for each in TEXTS]
assert_near(client.embed(inputs=parts, **DOCUMENT).embeddings.float_, VECTORS)

end = client.embed(texts=[LONG], **DOCUMENT)
start = client.embed(texts=[LONG], truncate="START", **DOCUMENT)
assert end.meta.warnings and "cut" in end.meta.warnings[0]
assert np.abs(np.array(end.embeddings.float_) - np.array(start.embeddings.float_)).max() > 1e-3
with refused(cohere.BadRequestError):
    client.embed(texts=[LONG], truncate="NONE", **DOCUMENT)

ranked = client.rerank(model=RERANKER, query=QUERY, documents=DOCUMENTS)
assert [each.index for each in ranked.results] == ORDER
assert_near([each.relevance_score for each in ranked.results], SCORES[ORDER])
assert len(client.rerank(model=RERANKER, query=QUERY, documents=DOCUMENTS, top_n=1).results) == 1
assert len(client.rerank(model=RERANKER, query=QUERY, documents=DOCUMENTS, top_n=10_000).results) == len(
    DOCUMENTS
)

with refused(cohere.BadRequestError, "documents"):
    client.rerank(model=RERANKER, query=QUERY, documents=[])
with refused(cohere.BadRequestError, "images"):
    client.embed(images=["data:image/png;base64,AAAA"], model=MODEL, input_type="image")
with refused(cohere.NotFoundError, "no-such-model"):
    client.rerank(model="no-such-model", query=QUERY, documents=DOCUMENTS)
with refused(cohere.UnauthorizedError):
    cohere.ClientV2(api_key="wrong", base_url=URL).embed(texts=TEXTS, **DOCUMENT)
done()
