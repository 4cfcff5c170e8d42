"""BEIR: exact search with SentenceBERT, evaluated, and reranked with a cross-encoder."""

import json
import sys

from beir.reranking import Rerank
from beir.reranking.models import CrossEncoder
from beir.retrieval.evaluation import EvaluateRetrieval
from beir.retrieval.models import SentenceBERT
from beir.retrieval.search.dense import DenseRetrievalExactSearch
from corpus import TEXTS

corpus = {
    str(number): {"title": " ".join(text.split()[:2]), "text": " ".join(text.split()[2:])}
    for number, text in enumerate(TEXTS)
}
queries = {"0": "How do I make a sauce?", "1": "moons of the planets", "2": "my database is slow"}
answers = {"0": {"0": 1, "8": 1}, "1": {"16": 1, "26": 1, "23": 1}, "2": {"45": 1, "52": 1, "58": 1}}
FLOAT32 = {"torch_dtype": "float32"}  # rankings of near ties are exact

search = DenseRetrievalExactSearch(
    SentenceBERT(sys.argv[1], device="cpu", model_kwargs=FLOAT32), batch_size=16
)
retriever = EvaluateRetrieval(search, score_function="cos_sim", k_values=[1, 3, 10])
results = retriever.retrieve(corpus, queries)
dot = EvaluateRetrieval(search, score_function="dot", k_values=[3]).retrieve(corpus, queries)
measures = retriever.evaluate(answers, results, retriever.k_values)
mrr = retriever.evaluate_custom(answers, results, retriever.k_values, metric="mrr")
prompted = SentenceBERT(
    sys.argv[1], max_length=64, model_kwargs=FLOAT32, prompts={"query": "query: ", "passage": "passage: "}
)
scorer = Rerank(CrossEncoder(sys.argv[2], device="cpu", model_kwargs=FLOAT32), batch_size=16)
reranked = scorer.rerank(corpus, queries, results, top_k=5)
print(
    json.dumps(
        {
            "measures": {name: value for part in measures for name, value in part.items()},
            "mrr": mrr,
            "best": {q: sorted(hits, key=hits.get, reverse=True)[:3] for q, hits in results.items()},
            "scores": {q: max(hits.values()) for q, hits in dot.items()},
            "prompted": [float(value) for value in prompted.encode_queries(["a question"])[0][:4]],
            "reranked": {q: sorted(hits.items()) for q, hits in reranked.items()},
        }
    )
)
