"""openai: both encodings, dimensions, the list of models, and its types of errors."""

import asyncio

import openai
from served import KEY, LONG, MODEL, TEXTS, TOKENS, URL, VECTORS, assert_near, done, refused, shortened

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)

# Given no format, the client asks for base64 and decodes it.
answer = client.embeddings.create(model=MODEL, input=TEXTS)
assert [each.index for each in answer.data] == list(range(len(TEXTS)))
assert_near([each.embedding for each in answer.data], VECTORS)
assert answer.model == MODEL
assert answer.usage.prompt_tokens == answer.usage.total_tokens == sum(TOKENS)

floats = client.embeddings.create(model=MODEL, input=TEXTS, encoding_format="float")
assert_near([each.embedding for each in floats.data], [each.embedding for each in answer.data], 1e-6)
raw = client.embeddings.with_raw_response.create(model=MODEL, input=TEXTS[0], encoding_format="base64")
assert isinstance(raw.http_response.json()["data"][0]["embedding"], str)

one = client.embeddings.create(model=MODEL, input=TEXTS[0], dimensions=16, user="somebody")
assert_near([one.data[0].embedding], shortened(VECTORS, 16)[:1])
assert one.usage.prompt_tokens == TOKENS[0]

# Cut, and said so.
long = client.embeddings.with_raw_response.create(model=MODEL, input=[LONG, TEXTS[0]])
assert long.headers["x-vicinal-texts-cut"] == "1", dict(long.headers)

listed = [each.id for each in client.models.list()]
assert MODEL in listed, listed
assert client.models.retrieve(MODEL).id == MODEL

with refused(openai.BadRequestError):
    client.embeddings.create(model=MODEL, input=[])
with refused(openai.BadRequestError, "check_embedding_ctx_length=False"):
    client.embeddings.create(model=MODEL, input=[[9906, 1917]])
with refused(openai.BadRequestError, "dimensions"):
    client.embeddings.create(model=MODEL, input="text", dimensions=100_000)
with refused(openai.NotFoundError, "no-such-model"):
    client.embeddings.create(model="no-such-model", input="text")
with refused(openai.NotFoundError):
    client.models.retrieve("no-such-model")
with refused(openai.AuthenticationError):
    openai.OpenAI(base_url=f"{URL}/v1", api_key="wrong", max_retries=0).embeddings.create(
        model=MODEL, input="a"
    )


async def many():
    """Twenty requests at once, each with the answer of its own text."""
    async with openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY) as several:
        return await asyncio.gather(
            *(several.embeddings.create(model=MODEL, input=TEXTS[i % len(TEXTS)]) for i in range(20))
        )


found = asyncio.run(many())
assert_near([each.data[0].embedding for each in found], [VECTORS[i % len(TEXTS)] for i in range(20)])
done()
