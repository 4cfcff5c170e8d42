"""Every kind of module that v0.4 to v5 had: built, called, put into a model, saved and loaded."""

import json
import os

import numpy as np
import torch
from sentence_transformers import SentenceTransformer, models
from sentence_transformers.models.tokenizer import WhitespaceTokenizer
from steps import EXACT, SENTENCES, WORDS, bert, fill, old_folder, run, scratch, step
from torch import nn

S = SENTENCES


def words():
    return models.Transformer(bert(), model_args=EXACT)


def glove(length=None):
    draw = np.random.default_rng(2)
    vocabulary = ["PADDING_TOKEN", *WORDS]
    weights = draw.normal(0, 1, (len(vocabulary), 6)).astype(np.float32)
    weights[0] = 0
    return models.WordEmbeddings(
        WhitespaceTokenizer(vocab=vocabulary, stop_words=["the"]), weights, max_seq_length=length or 100
    )


def save_and_load(model, name):
    path = scratch(name)
    model.save(path)
    again = SentenceTransformer(path, model_kwargs=EXACT)
    return bool(np.allclose(model.encode(S), again.encode(S), atol=1e-5)), [
        type(one).__name__ for one in again
    ]


def features(batch=2, length=3, width=4):
    draw = np.random.default_rng(1)
    mask = torch.ones(batch, length, dtype=torch.long)
    mask[1, 2:] = 0
    tokens = torch.from_numpy(draw.normal(0, 1, (batch, length, width)).astype(np.float32))
    return {"token_embeddings": tokens, "attention_mask": mask, "cls_token_embeddings": tokens[:, 0]}


def pooled(**settings):
    return models.Pooling(4, **settings)(features())["sentence_embedding"]


@step
def pools_by_the_mean():
    return pooled(pooling_mode_mean_tokens=True)


@step
def pools_by_the_first_token():
    return pooled(pooling_mode_cls_token=True, pooling_mode_mean_tokens=False)


@step
def pools_by_the_maximum():
    return pooled(pooling_mode_max_tokens=True, pooling_mode_mean_tokens=False)


@step
def pools_by_the_root_of_the_length():
    return pooled(pooling_mode_mean_sqrt_len_tokens=True, pooling_mode_mean_tokens=False)


@step
def pools_by_weights_and_the_last_token():
    return (
        pooled(pooling_mode_weightedmean_tokens=True, pooling_mode_mean_tokens=False),
        pooled(pooling_mode_lasttoken=True, pooling_mode_mean_tokens=False),
    )


@step
def pools_by_several_at_once():
    module = models.Pooling(
        4, pooling_mode_cls_token=True, pooling_mode_max_tokens=True, pooling_mode_mean_tokens=True
    )
    return module(features())["sentence_embedding"], module.get_sentence_embedding_dimension()


@step
def pools_by_name():
    return (
        pooled(pooling_mode="max"),
        pooled(pooling_mode="cls"),
        models.Pooling(4, "lasttoken")(features())["sentence_embedding"],
    )


@step
def pooling_from_positional_arguments():
    return models.Pooling(24, "mean").get_sentence_embedding_dimension()


@step
def pooling_is_saved():
    path = scratch("pooling")
    os.makedirs(path)
    models.Pooling(4, pooling_mode="max").save(path)
    return models.Pooling.load(path)(features())["sentence_embedding"], os.listdir(path)


@step
def normalizes():
    out = models.Normalize()({"sentence_embedding": torch.tensor([[3.0, 4.0], [0.0, 0.0]])})
    return out["sentence_embedding"]


@step
def dense_is_called():
    dense = fill(models.Dense(in_features=4, out_features=3, activation_function=nn.Tanh()))
    return dense({"sentence_embedding": torch.ones(2, 4)})[
        "sentence_embedding"
    ], dense.get_sentence_embedding_dimension()


@step
def dense_is_seeded():
    torch.manual_seed(4)
    return models.Dense(4, 3).linear.weight


@step
def dense_takes_weights():
    dense = models.Dense(
        2, 2, bias=True, init_weight=torch.eye(2), init_bias=torch.ones(2), activation_function=nn.Identity()
    )
    return dense({"sentence_embedding": torch.tensor([[1.0, 2.0]])})["sentence_embedding"], dense.linear.bias


@step
def dense_says_its_config():
    return models.Dense(4, 3, activation_function=nn.ReLU()).get_config_dict(), str(models.Dense(4, 3))[:5]


@step
def dense_is_saved():
    path = scratch("dense")
    os.makedirs(path)
    dense = fill(models.Dense(4, 3, bias=False, activation_function=nn.Sigmoid()))
    dense.save(path)
    again = models.Dense.load(path)
    return again.linear.weight, type(again.activation_function), sorted(os.listdir(path))


@step
def dense_in_a_model():
    model = SentenceTransformer(modules=[words(), models.Pooling(24), fill(models.Dense(24, 5))])
    return model.encode(S[:2]), save_and_load(model, "dense-model")


@step
def layer_norm_in_a_model():
    model = SentenceTransformer(modules=[words(), models.Pooling(24), models.LayerNorm(24)])
    return model.encode(S[:2]), model[2].get_sentence_embedding_dimension(), save_and_load(model, "ln-model")


@step
def dropout_in_a_model():
    model = SentenceTransformer(modules=[words(), models.Pooling(24), models.Dropout(0.3)])
    return model.encode(S[:2]), model[2].dropout, save_and_load(model, "dropout-model")


@step
def normalize_in_a_model():
    model = SentenceTransformer(modules=[words(), models.Pooling(24), models.Normalize()])
    return np.linalg.norm(model.encode(S[:2]), axis=1), save_and_load(model, "norm-model")


@step
def lstm_in_a_model():
    torch.manual_seed(3)
    lstm = models.LSTM(word_embedding_dimension=6, hidden_dim=8, num_layers=1, bidirectional=True)
    model = SentenceTransformer(modules=[glove(), lstm, models.Pooling(lstm.get_word_embedding_dimension())])
    return model.encode(S[:3]), lstm.get_word_embedding_dimension(), save_and_load(model, "lstm-model")


@step
def cnn_in_a_model():
    torch.manual_seed(3)
    cnn = models.CNN(in_word_embedding_dimension=24, out_channels=4, kernel_sizes=[1, 3, 5])
    model = SentenceTransformer(modules=[words(), cnn, models.Pooling(cnn.get_word_embedding_dimension())])
    return model.encode(S[:3]), cnn.get_word_embedding_dimension(), save_and_load(model, "cnn-model")


@step
def weighted_layers_in_a_model():
    first = models.Transformer(bert(), model_args=EXACT, config_args={"output_hidden_states": True})
    layers = models.WeightedLayerPooling(24, num_hidden_layers=2, layer_start=1)
    model = SentenceTransformer(modules=[first, layers, models.Pooling(24)])
    return model.encode(S[:2]), layers.layer_weights


@step
def bag_of_words():
    bow = models.BoW(vocab=["cat", "dog", "tree"], word_weights={"cat": 2.0}, unknown_word_weight=1)
    model = SentenceTransformer(modules=[bow])
    return model.encode(S), model.get_sentence_embedding_dimension()


@step
def bag_of_words_with_a_dense_layer():
    bow = models.BoW(vocab=WORDS, cumulative_term_frequency=False)
    dense = fill(models.Dense(in_features=bow.get_sentence_embedding_dimension(), out_features=4))
    model = SentenceTransformer(modules=[bow, dense])
    return model.encode(S[:3]), save_and_load(model, "bow-model")


@step
def word_embeddings_with_pooling():
    embeddings = glove()
    model = SentenceTransformer(
        modules=[embeddings, models.Pooling(embeddings.get_word_embedding_dimension())]
    )
    return model.encode(S[:3]), model.max_seq_length, save_and_load(model, "glove-model")


@step
def word_embeddings_from_a_text_file():
    path = scratch("glove.txt")
    with open(path, "w") as out:
        for number, word in enumerate(WORDS[:12]):
            out.write(word + " " + " ".join(str(round(0.1 * number + 0.01 * i, 3)) for i in range(4)) + "\n")
    embeddings = models.WordEmbeddings.from_text_file(path)
    model = SentenceTransformer(modules=[embeddings, models.Pooling(4)])
    return model.encode(["a cat", "a cat sat on", "unknownword"]), embeddings.get_word_embedding_dimension()


@step
def word_weights_in_a_model():
    embeddings = glove()
    weights = models.WordWeights(
        vocab=embeddings.tokenizer.get_vocab(), word_weights={"cat": 3.0, "dog": 0.5}, unknown_word_weight=1.0
    )
    model = SentenceTransformer(modules=[embeddings, weights, models.Pooling(6)])
    return model.encode(S[:3])


@step
def deep_averaging_network():
    embeddings = glove()
    dan1 = fill(models.Dense(in_features=6, out_features=6), seed=1)
    dan2 = fill(models.Dense(in_features=6, out_features=6), seed=2)
    model = SentenceTransformer(modules=[embeddings, models.Pooling(6), dan1, dan2])
    return model.encode(S[:3])


@step
def whitespace_tokenizer():
    tokenizer = WhitespaceTokenizer(vocab=["cat", "dog"], stop_words={"the"}, do_lower_case=True)
    return tokenizer.tokenize("The cat, dog. bird"), tokenizer.get_vocab()


@step
def static_embedding():
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(os.path.join(bert(), "tokenizer.json"))
    draw = np.random.default_rng(6)
    weights = draw.normal(0, 1, (tokenizer.get_vocab_size(), 5)).astype(np.float32)
    model = SentenceTransformer(modules=[models.StaticEmbedding(tokenizer, embedding_weights=weights)])
    return model.encode(S[:3]), model.get_sentence_embedding_dimension(), save_and_load(model, "static-model")


@step
def static_embedding_of_a_dimension():
    from tokenizers import Tokenizer

    torch.manual_seed(1)
    module = models.StaticEmbedding(
        Tokenizer.from_file(os.path.join(bert(), "tokenizer.json")), embedding_dim=7
    )
    return module.embedding.weight.shape, module.get_sentence_embedding_dimension(), module.max_seq_length


@step
def transformer_takes_old_arguments():
    module = models.Transformer(
        bert(), max_seq_length=8, model_args={"attn_implementation": "eager"}, do_lower_case=True
    )
    return module.max_seq_length, module.get_word_embedding_dimension(), module.do_lower_case


@step
def transformer_says_its_features():
    module = words()
    found = module.tokenize([S[0], S[1]])
    out = module(dict(found))
    return sorted(found), out["token_embeddings"].shape, sorted(out)


@step
def transformer_tokenizes_pairs_and_prompts():
    module = words()
    return module.tokenize([(S[0], S[1])])["input_ids"], module.tokenize([[S[2], S[3]]])["token_type_ids"]


@step
def transformer_is_saved():
    path = scratch("transformer")
    os.makedirs(path)
    words().save(path)
    return sorted(one for one in os.listdir(path) if "token" not in one)


@step
def router_of_queries_and_documents():
    router = models.Router.for_query_document(
        query_modules=[words(), models.Pooling(24, "mean")],
        document_modules=[words(), models.Pooling(24, "max")],
    )
    model = SentenceTransformer(modules=[router])
    return model.encode_query(S[:2]), model.encode_document(S[:2]), model.get_sentence_embedding_dimension()


@step
def router_is_saved():
    router = models.Router.for_query_document(
        query_modules=[words(), models.Pooling(24, "cls")],
        document_modules=[words(), models.Pooling(24, "max")],
    )
    model = SentenceTransformer(modules=[router])
    path = scratch("router")
    model.save(path)
    again = SentenceTransformer(path, model_kwargs=EXACT)
    return again.encode_query(S[0]), again.encode_document(S[0])


@step
def an_old_folder_with_cls_pooling():
    path = old_folder("oldcls", pooling_mode_cls_token=True, pooling_mode_mean_tokens=False)
    return SentenceTransformer(path, model_kwargs=EXACT).encode(S[:2])


@step
def an_old_folder_with_normalize():
    path = old_folder("oldnorm", "Normalize", pooling_mode_mean_tokens=True)
    model = SentenceTransformer(path, model_kwargs=EXACT)
    return model.encode(S[:2]), len(model)


@step
def an_old_folder_with_several_poolings():
    path = old_folder("oldtwo", pooling_mode_max_tokens=True, pooling_mode_mean_tokens=True)
    model = SentenceTransformer(path, model_kwargs=EXACT)
    return model.encode(S[:2]), model.get_sentence_embedding_dimension()


@step
def a_folder_without_modules():
    model = SentenceTransformer(bert(), model_kwargs=EXACT)
    return model.encode(S[:2]), [type(one).__name__ for one in model]


@step
def files_of_a_saved_model():
    model = SentenceTransformer(modules=[words(), models.Pooling(24), models.Normalize()])
    path = scratch("files")
    model.save(path)
    with open(os.path.join(path, "modules.json")) as file:
        modules = json.load(file)
    return [[one["idx"], one["name"], one["path"], one["type"].rpartition(".")[2]] for one in modules]


@step
def a_nameless_module_fails():
    return SentenceTransformer(modules=[words(), "pooling"])


@step
def a_missing_folder_fails():
    return SentenceTransformer(scratch("nowhere/at-all"))


if __name__ == "__main__":
    run(near=1e-4)
