"""PolyFuzz: lists of strings matched by vectors, from a path and from a model."""

import json
import sys

from polyfuzz import PolyFuzz
from polyfuzz.models import SentenceEmbeddings
from sentence_transformers import SentenceTransformer

FROM = ["apple", "apples", "football match", "databse", "slow query", "planet"]
TO = ["fruit", "soccer game", "database", "performance of SQL", "Jupiter", "apple pie"]

matcher = PolyFuzz(
    SentenceEmbeddings(SentenceTransformer(sys.argv[1]), min_similarity=0.1, cosine_method="sklearn")
)
matches = matcher.match(FROM, TO).get_matches()
several = PolyFuzz(
    SentenceEmbeddings(sys.argv[1], min_similarity=0, top_n=2, cosine_method="knn", model_id="two")
)
several.fit(TO)
transformed = next(iter(several.transform(FROM).values()))
matcher.group(SentenceEmbeddings(sys.argv[1], min_similarity=0.3), link_min_similarity=0.3)
print(
    json.dumps(
        {
            "matches": matches.to_dict("list"),
            "transformed": {
                name: column
                for name, column in transformed.to_dict("list").items()
                if not name.endswith("_2")
            },
            "clusters": {str(k): sorted(v) for k, v in matcher.get_clusters().items()},
        }
    )
)
