"""Encoding and saving as in v2.3 to v5: prompts, truncation, precisions, pools of processes, cards."""

import copy
import json
import logging
import os
import pickle
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import torch
from sentence_transformers import LoggingHandler, SentenceTransformer, SimilarityFunction, util
from sentence_transformers.quantization import quantize_embeddings, semantic_search_faiss
from steps import EXACT, SENTENCES, bert, run, scratch, step, tiny

S = SENTENCES


def new(**settings):
    return SentenceTransformer(tiny(), device="cpu", model_kwargs=EXACT, **settings)


@cache
def model():
    return new()


@step
def encodes_lists_and_texts():
    return model().encode(S), model().encode(S[0]), model().encode([S[0]]).shape


@step
def encodes_nothing():
    return model().encode([]).shape, model().encode("").shape


@step
def encodes_tuples_and_arrays():
    return model().encode(tuple(S[:2])), model().encode(np.array(S[:2]))


@step
def encodes_to_lists_of_tensors():
    found = model().encode(S[:2], convert_to_numpy=False)
    return type(found), found


@step
def encodes_one_text_to_a_tensor():
    return model().encode(S[0], convert_to_numpy=False), model().encode(S[0], convert_to_tensor=True)


@step
def encodes_tokens():
    found = model().encode(S[:2], output_value="token_embeddings")
    return type(found), found


@step
def encodes_everything():
    found = model().encode(S[0], output_value=None)
    return sorted(found), found["sentence_embedding"]


@step
def encodes_everything_of_a_list():
    found = model().encode(S[:2], output_value=None)
    return type(found), [one["token_embeddings"].shape for one in found]


@step
def order_of_long_and_short_texts_is_kept():
    texts = [" ".join(S), "cat", S[0], "dog " * 10]
    return model().encode(texts, batch_size=2), model().encode(texts, batch_size=1)


@step
def normalizes():
    return model().encode(S[:2], normalize_embeddings=True), model().encode(
        S[0], normalize_embeddings=True, convert_to_tensor=True
    )


@step
def arguments_by_position():
    return model().encode(S[:2], None, "one two ").shape


@step
def prompts_of_the_constructor():
    one = new(prompts={"query": "one two ", "passage": "three "}, default_prompt_name="query")
    return one.encode(S[:2]), one.encode(S[:2], prompt_name="passage"), one.prompts, one.default_prompt_name


@step
def a_prompt_of_the_call():
    return model().encode(S[:2], prompt="one two "), model().encode(["one two " + text for text in S[:2]])


@step
def an_unknown_prompt_fails():
    return model().encode(S, prompt_name="nothing")


@step
def prompts_are_saved():
    one = new(prompts={"query": "one two "})
    path = scratch("prompted")
    one.save_pretrained(path)
    again = SentenceTransformer(path, model_kwargs=EXACT)
    return again.prompts, again.encode(S[0], prompt_name="query")


@step
def prompts_outside_of_pooling():
    one = new(prompts={"query": "one two "})
    one.set_pooling_include_prompt(False)
    return one.encode(S[:2], prompt_name="query"), one[1].include_prompt


@step
def queries_and_documents():
    one = new(prompts={"query": "one ", "document": "two "})
    return one.encode_query(S[:2]), one.encode_document(S[:2]), one.encode_query(S[0]).shape


@step
def truncates_in_the_constructor():
    one = new(truncate_dim=8)
    return one.encode(S[:2]), one.get_sentence_embedding_dimension(), one.truncate_dim


@step
def truncates_in_a_block():
    one = new()
    with one.truncate_sentence_embeddings(truncate_dim=5):
        inside = one.encode(S[:2])
    return inside, one.encode(S[:2]).shape


@step
def truncates_in_the_call():
    return model().encode(S[:2], truncate_dim=6), model().encode(
        S[:2], truncate_dim=6, normalize_embeddings=True
    )


@step
def truncates_embeddings():
    return util.truncate_embeddings(model().encode(S[:2]), 4), util.truncate_embeddings(torch.ones(2, 6), 3)


@step
def precisions():
    return [model().encode(S, precision=one) for one in ("binary", "ubinary")]


@step
def quantizes_to_bits():
    embeddings = model().encode(S)
    return quantize_embeddings(embeddings, precision="binary"), quantize_embeddings(
        torch.from_numpy(embeddings), precision="ubinary"
    )


@step
def quantizes_to_bytes():
    embeddings = np.linspace(-1, 1, 80, dtype=np.float32).reshape(10, 8)
    ranges = np.array([[-1.0] * 8, [1.0] * 8], dtype=np.float32)
    return (
        quantize_embeddings(embeddings, precision="int8", ranges=ranges).dtype.name,
        quantize_embeddings(embeddings, precision="uint8", calibration_embeddings=embeddings).shape,
    )


@step
def searches_in_bits():
    embeddings = model().encode(S)
    found, _ = semantic_search_faiss(
        embeddings[:2],
        corpus_embeddings=quantize_embeddings(embeddings, precision="ubinary"),
        corpus_precision="ubinary",
        top_k=1,
        rescore=True,
    )
    return [[hit["corpus_id"] for hit in one] for one in found]


@step
def similarity():
    embeddings = model().encode(S[:3])
    return model().similarity(embeddings, embeddings), model().similarity_pairwise(embeddings, embeddings)


@step
def similarity_function_is_set():
    one = new()
    one.similarity_fn_name = SimilarityFunction.DOT_PRODUCT
    first = (
        one.similarity_fn_name,
        one.similarity(np.eye(2, dtype=np.float32), np.ones((1, 2), dtype=np.float32)),
    )
    one.similarity_fn_name = "manhattan"
    return first, one.similarity([[1.0, 2.0]], [[0.0, 0.0]])


@step
def similarity_function_is_saved():
    path = scratch("similar")
    new(similarity_fn_name="dot").save_pretrained(path)
    return SentenceTransformer(path).similarity_fn_name


@step
def dimensions_and_lengths():
    one = model()
    return (
        one.get_sentence_embedding_dimension(),
        one.get_max_seq_length(),
        one.max_seq_length,
        one.get_embedding_dimension(),
    )


@step
def cuts_long_texts():
    one = new()
    one.max_seq_length = 6
    long = " ".join(S)
    return one.encode(long), one.tokenize([long])["input_ids"].shape


@step
def tokenizer_kwargs():
    one = SentenceTransformer(tiny(), model_kwargs=EXACT, tokenizer_kwargs={"model_max_length": 5})
    return one.encode(S[:2]), one.tokenizer.model_max_length


@step
def config_kwargs():
    one = SentenceTransformer(tiny(), model_kwargs=EXACT, config_kwargs={"num_hidden_layers": 1})
    return one.encode(S[:2])


@step
def model_kwargs():
    one = SentenceTransformer(
        tiny(),
        model_kwargs={"torch_dtype": "float32", "attn_implementation": "eager", "low_cpu_mem_usage": True},
    )
    return one.encode(S[:2])


@step
def local_files_and_cache():
    one = SentenceTransformer(
        tiny(), cache_folder=scratch("cache"), local_files_only=True, trust_remote_code=False
    )
    return one.encode(S[:1]).shape


@step
def pool_of_processes():
    one = new()
    pool = one.start_multi_process_pool(["cpu", "cpu"])
    found = one.encode_multi_process(S, pool, chunk_size=3)
    normalized = one.encode_multi_process(S[:4], pool, batch_size=2, normalize_embeddings=True)
    one.stop_multi_process_pool(pool)
    return found, normalized, sorted(pool)


@step
def saves_and_loads():
    path = scratch("saved")
    model().save(path)
    again = SentenceTransformer(path, model_kwargs=EXACT)
    return again.encode(S[:2]), sorted(one for one in os.listdir(path) if "token" not in one)


@step
def saves_with_a_name():
    path = scratch("named")
    model().save_pretrained(path, model_name="my/model", create_model_card=True)
    with open(os.path.join(path, "README.md")) as file:
        text = file.read()
    return (
        "SentenceTransformer" in text,
        "sentence-similarity" in text,
        "my/model" in text,
        text.startswith("---"),
    )


@step
def saves_without_a_card():
    path = scratch("cardless")
    model().save(path, create_model_card=False)
    return os.path.exists(os.path.join(path, "README.md"))


@step
def settings_of_a_saved_model():
    path = scratch("settings")
    new(prompts={"query": "q: "}, similarity_fn_name="cosine").save(path)
    with open(os.path.join(path, "config_sentence_transformers.json")) as file:
        found = json.load(file)
    return (
        found["similarity_fn_name"],
        found["prompts"]["query"],
        found["default_prompt_name"],
        "__version__" in found,
    )


@step
def copies_and_pickles():
    one = new(prompts={"query": "one "}, truncate_dim=6)
    two, three = copy.deepcopy(one), pickle.loads(pickle.dumps(one))
    return two.encode(S[0], prompt_name="query"), three.truncate_dim, three.prompts["query"]


@step
def a_model_card_of_data():
    from sentence_transformers import SentenceTransformerModelCardData

    data = SentenceTransformerModelCardData(
        language="en", license="apache-2.0", model_name="Tiny model", tags=["tiny"]
    )
    one = SentenceTransformer(tiny(), model_kwargs=EXACT, model_card_data=data)
    path = scratch("card")
    one.save(path)
    with open(os.path.join(path, "README.md")) as file:
        text = file.read()
    return "apache-2.0" in text, "Tiny model" in text, "- tiny" in text, one.model_card_data.license


@step
def a_card_data_of_the_model():
    one = new()
    one.model_card_data.set_model_id("me/tiny")
    one.model_card_data.add_tags(["more"])
    return one.model_card_data.model_id, "more" in one.model_card_data.tags, one.model_card_data.license


@step
def backend_and_kwargs():
    return model().get_backend(), model().backend, model().get_model_kwargs()


@step
def modalities():
    return model().modalities, model().supports("text"), model().supports("image")


@step
def logs():
    logger = logging.getLogger("v3-encode")
    logger.handlers = [LoggingHandler(logging.WARNING)]
    logger.warning("to tqdm")
    return logger.handlers[0].level


@step
def fetches_a_file():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"some rows\n" * 10
            self.send_response(200 if self.path == "/rows.txt" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path = scratch("got/rows.txt")
    util.http_get(f"http://127.0.0.1:{server.server_port}/rows.txt", path)
    server.shutdown()
    server.server_close()
    with open(path) as file:
        return len(file.read())


@step
def batches_to_a_device():
    batch = util.batch_to_device({"a": torch.ones(2), "b": "text"}, torch.device("cpu"))
    return batch["a"].device, batch["b"]


@step
def names_of_classes():
    return util.import_from_string("torch.nn.Tanh"), util.fullname(torch.nn.Tanh())


@step
def kinds_of_folders():
    return (
        util.is_sentence_transformer_model(tiny()),
        util.is_sentence_transformer_model(bert()),
        bool(util.load_file_path(tiny(), "modules.json")),
    )


@step
def environment():
    return util.get_device_name(), util.is_datasets_available(), util.is_training_available()


@step
def normalizes_by_hand():
    return util.normalize_embeddings(torch.tensor([[3.0, 4.0], [1.0, 0.0]]))


@step
def sparse_by_scipy():
    found = util.to_scipy_coo(torch.tensor([[0.0, 1.0], [2.0, 0.0]]).to_sparse())
    return found.toarray(), type(found).__name__


@step
def wrong_inputs_fail():
    return model().encode(5)


@step
def a_wrong_output_value_fails():
    return model().encode(S[:1], precision="int3")


@step
def encodes_in_threads():
    found = {}
    threads = [threading.Thread(target=lambda n=n: found.update({n: model().encode(S[n])})) for n in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return [found[n] for n in range(3)]


if __name__ == "__main__":
    run(near=1e-4)
