"""openai: a server that takes little at once answers with 429, which the client raises or waits for."""

import asyncio

import openai
from served import KEY, MODEL, TEXTS, URL, done


async def crowd(retries):
    """A hundred requests at once; what each brings."""
    async with openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=retries) as client:
        return await asyncio.gather(
            *(client.embeddings.create(model=MODEL, input=TEXTS * 4) for _ in range(100)),
            return_exceptions=True,
        )


found = asyncio.run(crowd(0))
refusals = [each for each in found if isinstance(each, openai.RateLimitError)]
answers = [each for each in found if not isinstance(each, Exception)]
assert refusals and answers, (len(refusals), len(answers))
assert len(refusals) + len(answers) == 100, [each for each in found if isinstance(each, Exception)]
assert all(int(each.response.headers["retry-after"]) >= 1 for each in refusals)
assert all(len(each.data) == 4 * len(TEXTS) for each in answers)
done()
