"""DenoisingAutoEncoderLoss: the peer's numbers, the formula, weights that are one, both loops, and what it refuses."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import datasets  # noqa: E402
from tinybert import WIDTH, sentences, write_tiny  # noqa: E402
from tokenizers.pre_tokenizers import ByteLevel  # noqa: E402

from vicinal import SentenceTransformer, losses, models  # noqa: E402
from vicinal import SentenceTransformerTrainer as Trainer  # noqa: E402
from vicinal import SentenceTransformerTrainingArguments as Arguments  # noqa: E402
from vicinal.datasets import DenoisingAutoEncoderDataset  # noqa: E402
from vicinal.errors import InputError, UnsupportedModelError  # noqa: E402

pytestmark = pytest.mark.torch

DAMAGED = ["cat on mat", "ran", "one two", "dog the"]
WHOLE = ["the cat sat on the mat", "a big red dog ran fast", "one two three", "the dog"]


def write_bytes_model(folder: Path, family: str) -> Path:
    """A RoBERTa or GPT-2 whose tokens are single bytes."""
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(ByteLevel.alphabet())]
    words = {token: number for number, token in enumerate(vocabulary)}
    network: Any
    tokenizer: Any
    if family == "roberta":
        config = transformers.RobertaConfig(
            vocab_size=len(words),
            hidden_size=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=66,
            type_vocab_size=1,
        )
        network = transformers.RobertaModel(config)
        tokenizer = transformers.RobertaTokenizer(vocab=words, merges=[], model_max_length=40)
    else:
        small = {"n_embd": WIDTH, "n_layer": 1, "n_head": 2, "n_positions": 64}
        config = transformers.GPT2Config(vocab_size=len(words), bos_token_id=0, eos_token_id=2, **small)
        network = transformers.GPT2LMHeadModel(config)
        special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
        tokenizer = transformers.GPT2Tokenizer(vocab=words, merges=[], model_max_length=40, **special)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("decoders")
    (root / "bert").mkdir()
    write_tiny(root / "bert", dropout=0.0)
    for family in ("roberta", "gpt2"):
        write_bytes_model(root / family, family)
    return {family: str(root / family) for family in ("bert", "roberta", "gpt2")}


def fill(network: Any) -> None:
    """Weights that depend on nothing but their names."""
    with torch.no_grad():
        for name, each in network.named_parameters():
            i = torch.arange(each.numel(), dtype=torch.float64)
            wave = 0.3 * torch.sin(0.61 * i + 0.0137 * i * i + len(name))
            each.copy_(wave.view_as(each) + (each.ndim == 1 and "weight" in name))


def made(folders: dict[str, str], encoder: str, decoder: str | None, tied: bool) -> tuple[Any, Any]:
    model = SentenceTransformer(folders[encoder], device="cpu")
    loss = losses.DenoisingAutoEncoderLoss(model, decoder and folders[decoder], tied)
    for each in (*model.module.modules(), *loss.decoder.modules()):
        if isinstance(each, torch.nn.Dropout):
            each.p = 0.0
    fill(model.transformers_model)
    fill(loss.decoder)
    return model, loss


def features(model: Any, *columns: list[str]) -> list[dict[str, Any]]:
    return [dict(model.module[0].tokenize(column)) for column in columns]


def norm(parameters: Any) -> float:
    found = [each.grad.double().square().sum() for each in parameters if each.grad is not None]
    return float(torch.stack(found).sum().sqrt())


# encoder, decoder, tied?, then as sentence-transformers 6.2.0 gives them with torch 2.13 and transformers 5.23: the
# value, and the norms of the gradients of the model, of the decoder, and of its cross-attention
FIGURES = [
    ("bert", None, True, 3.9195621, [4.8841300, 6.1982333, 2.9850952]),
    ("bert", "bert", False, 4.5335736, [0.7974258, 2.6171891, 0.5633958]),
    ("bert", "roberta", False, 6.3828387, [1.3666476, 2.7198233, 0.7731159]),
    ("roberta", None, True, 6.4724722, [2.4425786, 2.9957827, 0.9721465]),
    ("roberta", "bert", False, 4.4526343, [0.7914279, 2.7223129, 0.7191937]),
]


@pytest.mark.parametrize(("encoder", "decoder", "tied", "value", "norms"), FIGURES)
def test_values_and_gradients_equal_the_peer(
    folders: dict[str, str], encoder: str, decoder: str | None, tied: bool, value: float, norms: list[float]
) -> None:
    model, loss = made(folders, encoder, decoder, tied)
    found = loss(features(model, DAMAGED, WHOLE))
    found.backward()
    assert float(found.detach()) == pytest.approx(value, rel=2e-6)
    cross = [each for name, each in loss.decoder.named_parameters() if "cross" in name]
    parts = [model.transformers_model.parameters(), loss.decoder.parameters(), cross]
    assert [norm(each) for each in parts] == pytest.approx(norms, rel=1e-5)
    assert loss.need_retokenization == (decoder is not None and decoder != encoder)


def by_the_formula(loss: Any, embeddings: Any, ids: Any) -> Any:
    """The loss of BERT as a decoder, of one text at a time, in float64: (n, width) embeddings; a list of token ids."""
    state = {name: each.detach().double() for name, each in loss.decoder.state_dict().items()}
    config = loss.decoder.config

    def linear(x: Any, name: str) -> Any:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def normed(x: Any, name: str) -> Any:
        x = x - x.mean(-1, keepdim=True)
        x = x / (x.square().mean(-1, keepdim=True) + config.layer_norm_eps).sqrt()
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    def attended(x: Any, others: Any, name: str, ahead: bool) -> Any:
        heads = config.num_attention_heads
        query, key, value = (
            linear(each, f"{name}.self.{part}").unflatten(-1, (heads, -1)).transpose(0, 1)
            for each, part in ((x, "query"), (others, "key"), (others, "value"))
        )
        scores = query @ key.transpose(1, 2) / query.shape[-1] ** 0.5
        if not ahead:
            scores = scores.masked_fill(torch.ones(scores.shape[1:]).triu(1).bool(), float("-inf"))
        mixed = (scores.softmax(-1) @ value).transpose(0, 1).flatten(1)
        return normed(linear(mixed, f"{name}.output.dense") + x, f"{name}.output.LayerNorm")

    terms = []
    for embedding, text in zip(embeddings.double(), ids, strict=True):
        words, places, kinds = (
            state[f"bert.embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")
        )
        x = normed(words[text[:-1]] + places[: len(text) - 1] + kinds[0], "bert.embeddings.LayerNorm")
        for layer in range(config.num_hidden_layers):
            name = f"bert.encoder.layer.{layer}"
            x = attended(x, x, f"{name}.attention", ahead=False)
            x = attended(x, embedding[None], f"{name}.crossattention", ahead=True)
            inner = torch.nn.functional.gelu(linear(x, f"{name}.intermediate.dense"))
            x = normed(linear(inner, f"{name}.output.dense") + x, f"{name}.output.LayerNorm")
        x = torch.nn.functional.gelu(linear(x, "cls.predictions.transform.dense"))
        x = normed(x, "cls.predictions.transform.LayerNorm")
        scores = x @ words.T + state["cls.predictions.bias"]
        terms += list(-scores.log_softmax(-1).gather(1, torch.tensor(text[1:])[:, None]).flatten())
    return torch.stack(terms).mean()


def test_values_equal_the_formula(folders: dict[str, str]) -> None:
    model, loss = made(folders, "bert", None, True)
    with torch.no_grad():
        embeddings = model.module(features(model, DAMAGED)[0])["sentence_embedding"]
    ids = model.module[0].tokenizer(WHOLE)["input_ids"]
    wanted = by_the_formula(loss, embeddings, ids)
    found = loss(features(model, DAMAGED, WHOLE))
    assert float(found.detach()) == pytest.approx(float(wanted), rel=1e-5)
    # What pads a batch, on which side and how far, is no part of it.
    (damaged,) = features(model, DAMAGED)
    for side in ("left", "right"):
        model.module[0].tokenizer.padding_side = side
        whole = dict(model.module[0].tokenizer(WHOLE, padding="max_length", return_tensors="pt"))
        assert float(loss([damaged, whole]).detach()) == pytest.approx(float(wanted), rel=1e-5)


def test_a_tied_decoder_has_the_parameters_of_the_model(folders: dict[str, str]) -> None:
    model = SentenceTransformer(folders["bert"], device="cpu")
    before = model.encode(["the cat"])
    with torch.no_grad():  # a change since loading is kept
        model.transformers_model.encoder.layer[0].output.dense.bias.add_(0.5)
    changed = model.encode(["the cat"])
    loss = losses.DenoisingAutoEncoderLoss(model)
    assert not np.allclose(before, changed)
    np.testing.assert_array_equal(model.encode(["the cat"]), changed)
    encoder = dict(model.transformers_model.named_parameters())
    decoder = dict(loss.decoder.base_model.named_parameters())
    assert all(decoder[name] is encoder[name] for name in decoder if "cross" not in name)
    assert loss.decoder.get_output_embeddings().weight is encoder["embeddings.word_embeddings.weight"]
    assert not any("cross" in name for name in encoder)
    both = [*model.module.parameters(), *loss.parameters()]
    step = torch.optim.SGD(list({id(each): each for each in both}.values()), lr=0.1)
    loss(features(model, DAMAGED, WHOLE)).backward()
    step.step()
    assert all(decoder[name] is encoder[name] for name in decoder if "cross" not in name)
    assert not np.allclose(model.encode(["the cat"]), changed, atol=1e-4)

    for other in (
        copy.deepcopy(loss),
        copy.deepcopy(loss, {id(model): SentenceTransformer(folders["bert"])}),
    ):
        network = other.model.transformers_model
        assert network is not model.transformers_model
        assert (
            other.decoder.base_model.embeddings.word_embeddings.weight
            is network.embeddings.word_embeddings.weight
        )


def test_a_decoder_of_its_own_is_apart(folders: dict[str, str]) -> None:
    model = SentenceTransformer(folders["bert"], device="cpu")
    loss = losses.DenoisingAutoEncoderLoss(model, folders["gpt2"], tie_encoder_decoder=False)
    mine = {id(each) for each in model.module.parameters()}
    assert not any(id(each) in mine for each in loss.parameters())
    read = loss.retokenize(features(model, WHOLE)[0])
    assert [
        loss.tokenizer_decoder.decode(row, skip_special_tokens=True) for row in read["input_ids"]
    ] == WHOLE
    # A text of one token or none leaves a decoder without a token at the start nothing to predict.
    assert float(loss(features(model, ["a"], ["a"])).detach()) == 0
    value = loss(features(model, ["a", "cat"], ["", "the cat"]))
    value.backward()
    assert torch.isfinite(value) and np.isfinite(norm(loss.parameters()))
    assert loss.get_config_dict() == {"decoder_name_or_path": folders["gpt2"], "need_retokenization": True}


def test_a_vocabulary_that_grew(folders: dict[str, str]) -> None:
    model = SentenceTransformer(folders["bert"], device="cpu")
    model.module[0].tokenizer.add_tokens(["zebra", "yak"])
    network = model.transformers_model
    network.resize_token_embeddings(len(model.module[0].tokenizer), mean_resizing=False)
    loss = losses.DenoisingAutoEncoderLoss(model)
    assert (
        loss.decoder.base_model.embeddings.word_embeddings.weight is network.embeddings.word_embeddings.weight
    )
    assert loss.decoder.get_output_embeddings().weight is network.embeddings.word_embeddings.weight
    assert torch.isfinite(loss(features(model, ["the"], ["the zebra and the yak"])))


def test_fit_trains_the_model_and_saves_no_decoder(folders: dict[str, str], tmp_path: Path) -> None:
    torch.manual_seed(0)
    random.seed(0)
    model = SentenceTransformer(folders["bert"], device="cpu")
    before = model.encode(["the cat sat"])
    loss = losses.DenoisingAutoEncoderLoss(model)
    data = DenoisingAutoEncoderDataset(sentences(32))
    loader = torch.utils.data.DataLoader(data, batch_size=8)
    at_first = [float(loss(features(model, *columns)).detach()) for columns in [[sentences(16)] * 2]]
    cross = {name: each.detach().clone() for name, each in loss.decoder.named_parameters() if "cross" in name}
    model.fit(
        [(loader, loss)],
        epochs=3,
        warmup_steps=0,
        optimizer_params={"lr": 5e-3},
        show_progress_bar=False,
        output_path=str(tmp_path / "out"),
    )
    assert float(loss(features(model, sentences(16), sentences(16))).detach()) < 0.95 * at_first[0]
    assert not np.allclose(before, model.encode(["the cat sat"]), atol=1e-3)
    moved = dict(loss.decoder.named_parameters())
    assert all(
        not torch.equal(old, moved[name]) for name, old in cross.items() if name.endswith("value.weight")
    )
    again = SentenceTransformer(str(tmp_path / "out"), device="cpu")
    np.testing.assert_allclose(again.encode(["the cat sat"]), model.encode(["the cat sat"]), atol=1e-6)
    assert not again.transformers_model.config.is_decoder
    assert not any("cross" in name for name, _ in again.transformers_model.named_parameters())


@pytest.mark.parametrize("decoder", [None, "roberta"])
def test_the_trainer_trains_and_goes_on_from_a_checkpoint(
    folders: dict[str, str], tmp_path: Path, decoder: str | None
) -> None:
    texts = sentences(24)
    rows = datasets.Dataset.from_dict({"damaged": [each.split()[0] for each in texts], "text": texts})

    def trainer(steps: int) -> Any:
        torch.manual_seed(3)
        model = SentenceTransformer(folders["bert"], device="cpu")
        loss = losses.DenoisingAutoEncoderLoss(model, decoder and folders[decoder], decoder is None)
        arguments = Arguments(
            str(tmp_path / "run"),
            max_steps=steps,
            per_device_train_batch_size=8,
            save_steps=2,
            lr_scheduler_type="constant",
            learning_rate=1e-3,
            report_to="none",
            disable_tqdm=True,
        )
        return Trainer(model=model, args=arguments, train_dataset=rows, loss=loss)

    whole = trainer(4)
    whole.train()
    checkpoint = tmp_path / "run" / "checkpoint-2"
    again = trainer(4)
    start = again.owner.encode(["the cat"])
    again.train(resume_from_checkpoint=str(checkpoint))
    assert not np.allclose(again.owner.encode(["the cat"]), start, atol=1e-4)
    np.testing.assert_allclose(again.owner.encode(["the cat"]), whole.owner.encode(["the cat"]), atol=1e-6)
    if decoder is None:
        network, base = again.owner.transformers_model, again.loss.decoder.base_model
        assert base.embeddings.word_embeddings.weight is network.embeddings.word_embeddings.weight


def test_a_trainer_that_makes_its_model(folders: dict[str, str], tmp_path: Path) -> None:
    loss = losses.DenoisingAutoEncoderLoss(SentenceTransformer(folders["bert"], device="cpu"))
    texts = sentences(8)
    trainer = Trainer(
        model_init=lambda: SentenceTransformer(folders["bert"], device="cpu"),
        args=Arguments(str(tmp_path), max_steps=1, save_strategy="no", report_to="none", disable_tqdm=True),
        train_dataset=datasets.Dataset.from_dict({"damaged": texts, "text": texts}),
        loss=loss,
    )
    trainer.train()
    network, base = trainer.owner.transformers_model, trainer.loss.decoder.base_model
    assert network is not loss.model.transformers_model
    assert base.embeddings.word_embeddings.weight is network.embeddings.word_embeddings.weight


def test_what_cannot_work_is_refused_by_name(folders: dict[str, str], tmp_path: Path) -> None:
    model = SentenceTransformer(folders["bert"], device="cpu")
    with pytest.raises(InputError, match="needs decoder_name_or_path"):
        losses.DenoisingAutoEncoderLoss(model, tie_encoder_decoder=False)
    with pytest.warns(UserWarning, match="gpt2' is not used: a tied decoder"):
        losses.DenoisingAutoEncoderLoss(model, folders["gpt2"])
    losses.DenoisingAutoEncoderLoss(model, folders["bert"])  # its own name, as the examples give it

    loss = losses.DenoisingAutoEncoderLoss(model)
    with pytest.raises(InputError, match="1 text column, but needs 2"):
        loss(features(model, DAMAGED))
    with pytest.raises(InputError, match="needs the tokens of the whole texts"):
        loss.compute_loss_from_embeddings([torch.zeros(2, WIDTH)] * 2)

    vocabulary = model.module[0].tokenizer.get_vocab()
    small = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    mpnet = transformers.MPNetConfig(vocab_size=len(vocabulary), hidden_size=WIDTH, **small)
    transformers.MPNetModel(mpnet).save_pretrained(tmp_path / "mpnet")
    model.module[0].tokenizer.save_pretrained(tmp_path / "mpnet")
    with pytest.raises(
        UnsupportedModelError, match=r"no decoder of the architecture 'mpnet'; BERT, .*can be"
    ):
        losses.DenoisingAutoEncoderLoss(SentenceTransformer(str(tmp_path / "mpnet"), device="cpu"))
    llama = transformers.LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=WIDTH, pad_token_id=0, bos_token_id=1, eos_token_id=2, **small
    )
    transformers.LlamaForCausalLM(llama).save_pretrained(tmp_path / "llama")
    with pytest.raises(UnsupportedModelError, match="'llama' does not read an encoder"):
        losses.DenoisingAutoEncoderLoss(model, str(tmp_path / "llama"), tie_encoder_decoder=False)

    narrow = SentenceTransformer(modules=[*model.module, models.Dense(WIDTH, 8)], device="cpu")
    with pytest.raises(InputError, match="embeddings have 8 dimensions, but the decoder reads 24"):
        losses.DenoisingAutoEncoderLoss(narrow)
    static = SentenceTransformer(
        modules=[models.StaticEmbedding(model.module[0].tokenizer, embedding_dim=WIDTH)], device="cpu"
    )
    with pytest.raises(InputError, match="not compatible with a SentenceTransformer model based on a Static"):
        losses.DenoisingAutoEncoderLoss(static)
    del model.module[0].auto_model.encoder.layer[1]
    with pytest.raises(InputError, match="has no counterpart in the model"):
        losses.DenoisingAutoEncoderLoss(model)
