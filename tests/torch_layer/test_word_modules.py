"""Modules in front of and behind word vectors: against numpy, and against sentence-transformers' own numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from vicinal import SentenceTransformer, models  # noqa: E402
from vicinal.errors import InputError, InputTypeError, ModelFormatError  # noqa: E402

pytestmark = pytest.mark.torch

VOCAB = ["hello", "world", "good", "day", "the"]
TABLE = np.array([[1, 2, 3], [4, 5, 6], [-1, 0, 1], [2, -2, 2], [9, 9, 9]], dtype=np.float32)


def words(**options: Any) -> Any:
    tokenizer = models.WhitespaceTokenizer(VOCAB, stop_words={"the"}, do_lower_case=True)
    return models.WordEmbeddings(tokenizer, TABLE, **options)


def test_bow_numbers_of_sentence_transformers() -> None:
    bow = models.BoW(VOCAB, {"hello": 2.0, "good": 0.5}, unknown_word_weight=0.7)
    model = SentenceTransformer(modules=[bow], device="cpu")
    found = model.encode(["hello hello good World zzz", "", "the day"])
    assert found == pytest.approx(np.array([[4, 0.7, 0.5, 0, 0], [0] * 5, [0, 0, 0, 0.7, 0.7]]))
    once = models.BoW(VOCAB, {"hello": 2.0}, cumulative_term_frequency=False)
    assert once.tokenize(["hello hello good World"])["sentence_embedding"].tolist() == [[2, 1, 1, 0, 0]]


@pytest.mark.parametrize(
    ("lower", "text", "expected"),
    [
        # Recorded from sentence-transformers 6.2.
        (False, "Hello, world!", [0, 1]),
        (False, "...hello...", [0]),
        (False, "(Good) day", [2, 3]),
        (False, "the U.S. u.s. 'x'", [5, 6, 9]),
        (False, "it's", [7]),
        (False, "-hello-world-", []),
        (False, "HELLO Good GOOD", [0, 2]),
        (False, "the. The", []),
        (True, "(Good) day", [3]),
        (True, "the U.S. u.s. 'x'", [6, 6, 9]),
        (True, "HELLO Good GOOD", [0]),
    ],
)
def test_words_are_looked_up_as_there(lower: bool, text: str, expected: list[int]) -> None:
    vocab = ["hello", "world", "Good", "day", "the", "U.S.", "u.s", "it's", "its", "x"]
    assert models.WhitespaceTokenizer(vocab, {"the"}, lower).tokenize(text) == expected


def test_default_stop_words_and_saving(tmp_path: Path) -> None:
    tokenizer = models.WhitespaceTokenizer(["night", "the", "moon", "of", "!"])
    assert tokenizer.tokenize("The night of the moon !") == [1, 0, 3, 1, 2]
    tokenizer.save(str(tmp_path))
    assert models.WhitespaceTokenizer.load(str(tmp_path)).__dict__ == tokenizer.__dict__


def test_word_embeddings_average_the_known_words() -> None:
    model = SentenceTransformer(modules=[words(max_seq_length=2), models.Pooling(3)], device="cpu")
    found = model.encode(["Hello, world! the day", "good", "nothing known", ""], on_truncate="ignore")
    assert found.tolist() == [[2.5, 3.5, 4.5], [-1, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert not model.encode(["日本語 テキスト", "слово"]).any()  # unknown in any script
    assert model.max_seq_length == 2 and model.count_tokens("hello day day") == 3
    with pytest.warns(UserWarning, match="1 of 2 texts were cut to 2 tokens"):
        model.encode(["good", "hello world day"])
    model.max_seq_length = 3
    assert model.encode("hello world day").tolist() == pytest.approx([7 / 3, 5 / 3, 11 / 3])


def test_word_vectors_from_a_file(tmp_path: Path) -> None:
    for name, head in (("glove.txt", ""), ("word2vec.txt", "2 3\n")):
        (tmp_path / name).write_text(head + "moon 1 2 3\nnight 4 5 6\n")
        module = models.WordEmbeddings.from_text_file(tmp_path / name)
        assert module.tokenizer.get_vocab() == ["PADDING_TOKEN", "moon", "night"]
        assert module.emb_layer.weight.tolist() == [[0, 0, 0], [1, 2, 3], [4, 5, 6]]
    (tmp_path / "bad.txt").write_text("hello 1 2 3\nworld 4 5\n")
    with pytest.raises(ModelFormatError, match="line 2: 2 numbers, the first word has 3"):
        models.WordEmbeddings.from_text_file(tmp_path / "bad.txt")


def test_word_weights_scale_before_pooling() -> None:
    weights = models.WordWeights(VOCAB, {"hello": 2.0, "good": 0.5}, unknown_word_weight=0.25)
    model = SentenceTransformer(modules=[words(), weights, models.Pooling(3)], device="cpu")
    total = 2 * TABLE[0] + 0.25 * TABLE[1] + 0.5 * TABLE[2]
    assert model.encode("hello world good") == pytest.approx(total / 2.75)  # a weighted mean
    model[2] = models.Pooling(3, "mean_sqrt_len")
    assert model.encode("hello world good") == pytest.approx(total / 2.75**0.5)
    assert not model.encode("").any()


def test_cnn_is_a_sum_over_neighbours() -> None:
    torch.manual_seed(1)
    cnn = models.CNN(3, 2, [1, 3])
    tokens = torch.randn(2, 5, 3)
    found = cnn({"token_embeddings": tokens})["token_embeddings"].detach().numpy()
    assert found.shape == (2, 5, 4) and cnn.get_embedding_dimension() == 4
    padded = np.pad(tokens.double().numpy(), ((0, 0), (1, 1), (0, 0)))
    weight, bias = (each.detach().double().numpy() for each in (cnn.convs[1].weight, cnn.convs[1].bias))
    for place in range(5):
        window = padded[:, place : place + 3]
        expected = np.einsum("nkw,cwk->nc", window, weight) + bias
        assert found[:, place, 2:] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_lstm_does_not_read_padding(bidirectional: bool) -> None:
    torch.manual_seed(2)
    lstm = models.LSTM(3, 4, num_layers=2, bidirectional=bidirectional).eval()
    tokens = torch.randn(2, 6, 3)
    mask = torch.tensor([[1] * 6, [1, 1, 0, 0, 0, 0]])
    found = lstm({"token_embeddings": tokens, "attention_mask": mask})["token_embeddings"]
    alone, _ = lstm.encoder(tokens[1:, :2])
    assert found.shape == (2, 6, lstm.get_embedding_dimension())
    assert torch.allclose(found[1:, :2], alone, atol=1e-6)
    assert not found[1, 2:].any()


def test_weighted_layers() -> None:
    layers = [torch.full((1, 2, 3), float(value)) for value in (1, 10, 100)]
    module = models.WeightedLayerPooling(
        3, num_hidden_layers=2, layer_start=1, layer_weights=torch.tensor([1.0, 3])
    )
    found = module({"all_layer_embeddings": layers})["token_embeddings"]
    assert found.tolist() == torch.full((1, 2, 3), 310 / 4).tolist()
    with pytest.raises(InputError, match="output_hidden_states"):
        module({})
    with pytest.raises(InputError, match="transformer has 1"):
        module({"all_layer_embeddings": layers[:2]})


@pytest.mark.parametrize("kind", ["CNN", "LSTM", "WordWeights", "BoW", "plain"])
def test_folders_go_and_come(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    first: Any = words(update_embeddings=True, max_seq_length=7)
    middle: dict[str, list[Any]] = {
        "CNN": [models.CNN(3, 2), models.Pooling(6)],
        "LSTM": [models.LSTM(3, 4), models.Pooling(8, "max")],
        "WordWeights": [models.WordWeights(VOCAB, {"day": 3.0}), models.Pooling(3)],
        "plain": [models.Pooling(3)],
        "BoW": [models.Dense(5, 2)],
    }
    chain = [models.BoW(VOCAB, {"day": 2.0}) if kind == "BoW" else first, *middle[kind]]
    model = SentenceTransformer(modules=chain, device="cpu")
    texts = ["hello good day", "the world", ""]
    expected = model.encode(texts)
    model.save(str(tmp_path))
    again = SentenceTransformer(str(tmp_path), device="cpu")
    assert np.array_equal(again.encode(texts), expected)
    assert [type(each) for each in again] == [type(each) for each in chain]
    assert again[0].get_config_dict() == chain[0].get_config_dict()


def test_a_folder_in_the_newest_spelling(tmp_path: Path) -> None:
    """As sentence-transformers 6.2 writes it."""
    from safetensors.numpy import save_file

    package = "sentence_transformers.sentence_transformer.modules"
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": f"{package}.word_embeddings.WordEmbeddings"},
        {"idx": 1, "name": "1", "path": "1_CNN", "type": f"{package}.cnn.CNN"},
        {"idx": 2, "name": "2", "path": "2_Pooling", "type": f"{package}.pooling.Pooling"},
    ]
    files: dict[str, Any] = {
        "modules.json": modules,
        "wordembedding_config.json": {
            "tokenizer_class": f"{package}.tokenizer.whitespace.WhitespaceTokenizer",
            "update_embeddings": False,
            "max_seq_length": 6,
        },
        "whitespacetokenizer_config.json": {"vocab": VOCAB, "stop_words": ["the"], "do_lower_case": True},
        "1_CNN/cnn_config.json": {
            "in_embedding_dimension": 3,
            "out_channels": 2,
            "kernel_sizes": [1],
            "stride_sizes": [1],
        },
        "2_Pooling/config.json": {"embedding_dimension": 2, "pooling_mode": "mean", "include_prompt": True},
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content))
    save_file({"emb_layer.weight": TABLE}, tmp_path / "model.safetensors")
    weight = np.array([[1, 0, 1], [0, 2, 0]], dtype=np.float32)
    kernel = {"convs.0.weight": weight[:, :, None].copy(), "convs.0.bias": np.ones(2, dtype=np.float32)}
    save_file(kernel, tmp_path / "1_CNN" / "model.safetensors")
    expected = TABLE[[0, 3]].mean(0) @ weight.T + 1
    assert SentenceTransformer(str(tmp_path), device="cpu").encode("Hello day!") == pytest.approx(expected)


def test_impossible_arguments() -> None:
    with pytest.raises(InputError, match="odd widths"):
        models.CNN(3, 2, [2])
    with pytest.raises(InputTypeError, match="hidden_dim"):
        models.LSTM(3)
    with pytest.raises(InputError, match="vocab is empty"):
        models.BoW([])
    with pytest.raises(InputTypeError, match="WhitespaceTokenizer"):
        models.WordEmbeddings(object(), TABLE)
    with pytest.raises(InputError, match="layer_start=13"):
        models.WeightedLayerPooling(3, layer_start=13)
    model = SentenceTransformer(modules=[models.BoW(VOCAB)], device="cpu")
    with pytest.raises(InputError, match="no limit to set"):
        model.max_seq_length = 5


def test_a_table_that_is_too_short_for_its_tokenizer() -> None:
    tokenizer = SentenceTransformer("vicinal-mini").module[0].tokenizer
    table = models.StaticEmbedding(tokenizer, np.ones((50, 4), np.float32))
    with pytest.raises(ModelFormatError, match=r"gives the id \d+, but there are vectors for 50 tokens"):
        SentenceTransformer(modules=[table]).encode("hello world")
