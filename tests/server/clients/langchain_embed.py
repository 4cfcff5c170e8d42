"""langchain-openai: texts work; ids of another tokenizer, which it sends by default, are refused with the remedy."""

import openai
import tiktoken
from langchain_openai import OpenAIEmbeddings
from served import KEY, MODEL, TEXTS, URL, VECTORS, assert_near, done, refused

given = {"model": MODEL, "base_url": f"{URL}/v1", "api_key": KEY, "max_retries": 0}
embeddings = OpenAIEmbeddings(check_embedding_ctx_length=False, **given)
assert_near(embeddings.embed_documents(TEXTS), VECTORS)
assert_near(embeddings.embed_query(TEXTS[0]), VECTORS[0])

# The tokens of OpenAI's models come from the network; these, of one byte each, are as foreign to the model.
BYTES = tiktoken.Encoding(
    "bytes", pat_str=r"(?s:.)", mergeable_ranks={bytes([i]): i for i in range(256)}, special_tokens={}
)
tiktoken.get_encoding = lambda name: BYTES
with refused(openai.BadRequestError, "check_embedding_ctx_length=False"):
    OpenAIEmbeddings(**given).embed_documents(TEXTS)
done()
