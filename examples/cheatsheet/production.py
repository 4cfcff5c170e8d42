"""Search as a service would do it: everything prepared once, then one function for both steps.

python production.py CROSS_ENCODER [MODEL]
"""

import sys

from sentence_transformers import CrossEncoder, SentenceTransformer, util

retriever = SentenceTransformer(sys.argv[2] if len(sys.argv) > 2 else "vicinal-mini")
reranker = CrossEncoder(sys.argv[1] if len(sys.argv) > 1 else "cross-encoder/stsb-TinyBERT-L4")

DOCUMENTS = [
    "To reset your password, open the settings and choose 'Forgot password'.",
    "Parcels are delivered within three working days.",
    "You can return any article within 30 days.",
    "We accept credit cards and bank transfers.",
    "The warranty covers defects for two years.",
    "Our shop is open from nine to six on weekdays.",
    "A gift card can be used for every article in the shop.",
    "To change your address, write to our support.",
]
VECTORS = retriever.encode(DOCUMENTS, normalize_embeddings=True)


def search(question: str, top_k: int = 3, candidates: int = 100) -> list[dict[str, str | float]]:
    """The documents that answer a question best: their text and score, best first."""
    vector = retriever.encode(question, normalize_embeddings=True)
    hits = util.semantic_search(vector, VECTORS, top_k=candidates, score_function=util.dot_score)[0]
    texts = [DOCUMENTS[hit["corpus_id"]] for hit in hits]
    ranked = reranker.rank(question, texts, top_k=top_k)
    return [{"text": texts[each["corpus_id"]], "score": float(each["score"])} for each in ranked]


for question in ("How long does the delivery of parcels take?", "I have to reset my password."):
    print("question:", question)
    for answer in search(question):
        print(f"    {answer['score']:.3f}  {answer['text']}")
