"""LanceDB: a table that embeds what is added and asked, and its cross-encoder reranker."""

import json
import sys
import tempfile

import lancedb
from corpus import LABELS, TEXTS
from lancedb.embeddings import get_registry
from lancedb.pydantic import LanceModel, Vector
from lancedb.rerankers import CrossEncoderReranker

function = get_registry().get("sentence-transformers").create(name=sys.argv[1], device="cpu")


class Row(LanceModel):
    """A text, its label and its vector."""

    text: str = function.SourceField()
    label: int
    vector: Vector(function.ndims()) = function.VectorField()  # type: ignore[valid-type]


with tempfile.TemporaryDirectory() as folder:
    table = lancedb.connect(folder).create_table("texts", schema=Row)
    table.add([{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)])
    found = table.search("my query is slow").limit(4).to_list()
    filtered = table.search("my query is slow").where("label = 1").limit(2).to_list()
    reranker = CrossEncoderReranker(sys.argv[2], device="cpu", model_kwargs={"torch_dtype": "float32"})
    reranked = table.search("What did the telescope see?").limit(10).rerank(reranker=reranker).to_list()
print(
    json.dumps(
        {
            "dimensions": function.ndims(),
            "found": [[hit["text"], hit["_distance"]] for hit in found],
            "filtered": [[hit["text"], hit["_distance"]] for hit in filtered],
            "reranked": [[hit["text"], hit["_relevance_score"]] for hit in reranked[:4]],
        }
    )
)
