"""huggingface_hub.InferenceClient: the tasks that text-embeddings-inference has."""

from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from served import (
    CLASSIFIER,
    KEY,
    LABELS,
    LONG,
    MODEL,
    SHARES,
    TEXTS,
    URL,
    VECTORS,
    assert_near,
    done,
    refused,
)

client = InferenceClient(model=URL, token=KEY)

assert_near(client.feature_extraction(TEXTS), VECTORS)
assert_near(client.feature_extraction(TEXTS[0]), VECTORS[:1])
assert_near(client.feature_extraction(TEXTS, normalize=True, truncate=True), VECTORS)
# The client wants a list of numbers, of the first text with the others.
assert_near(client.sentence_similarity(TEXTS[0], other_sentences=TEXTS[1:]), VECTORS[1:] @ VECTORS[0])

labels = InferenceClient(model=f"{URL}/predict", token=KEY).text_classification(TEXTS[0])
assert {each.label: round(each.score, 2) for each in labels} == {
    label: round(share, 2) for label, share in zip(LABELS, SHARES, strict=True)
}, labels
best = InferenceClient(model=f"{URL}/predict", token=KEY).text_classification(TEXTS[0], top_k=1)
assert [each.label for each in best] == [labels[0].label]
assert labels[0].score == max(each.score for each in labels)

endpoint = InferenceClient(provider="hf-inference", token=KEY)
assert endpoint.health_check(model=URL)
info = endpoint.get_endpoint_info(model=URL)
assert info["model_id"] == MODEL and "embedding" in info["model_type"], info
assert CLASSIFIER

with refused(HfHubHTTPError, "422", "tokens"):
    client.feature_extraction(LONG, truncate=False)
with refused(HfHubHTTPError, "401"):
    InferenceClient(model=URL, token="wrong").feature_extraction("text")
done()
