"""ollama: vectors of both routes, its list of models, and its one type of error."""

import numpy as np
import ollama
from served import KEY, LONG, MODEL, TEXTS, TOKENS, URL, VECTORS, assert_near, done, refused, shortened

client = ollama.Client(host=URL, headers={"Authorization": f"Bearer {KEY}"})

answer = client.embed(model=MODEL, input=TEXTS)
assert_near(answer.embeddings, VECTORS)
assert_near(np.linalg.norm(answer.embeddings, axis=1), np.ones(len(TEXTS)), 1e-5)
assert answer.model == MODEL
assert answer.prompt_eval_count == sum(TOKENS)
assert answer.total_duration > 0
assert_near(client.embed(model=MODEL, input=TEXTS[0]).embeddings, VECTORS[:1])
assert_near(client.embed(model=MODEL, input=TEXTS, dimensions=16).embeddings, shortened(VECTORS, 16))
assert_near(client.embeddings(model=MODEL, prompt=TEXTS[1]).embedding, VECTORS[1])
assert client.embed(model=MODEL, input="").embeddings == []
assert client.embed(model=MODEL, input=[]).embeddings == []

# The name that the list has works as well.
names = [each.model for each in client.list().models]
assert len(names) == 1 and names[0].startswith(MODEL), names
assert_near(client.embed(model=names[0], input=TEXTS).embeddings, VECTORS)
assert client.list().models[0].size > 0
assert client.show(names[0]).capabilities == ["embedding"]
assert [each.model for each in client.ps().models] == names

assert len(client.embed(model=MODEL, input=LONG).embeddings) == 1
for status, options in {
    400: {"model": MODEL, "input": LONG, "truncate": False},
    404: {"model": "no-such-model", "input": "text"},
}.items():
    with refused(ollama.ResponseError, f"(status code: {status})"):
        client.embed(**options)
with refused(ollama.ResponseError, "(status code: 401)"):
    ollama.Client(host=URL).embed(model=MODEL, input="text")
done()
