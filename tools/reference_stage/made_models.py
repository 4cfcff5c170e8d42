"""Tiny random models, laid out as the hub's cache under the names that the examples ask for."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

from made_data import ROWS, near, question, sentence

_REVISION = "0" * 40
# Name -> (architecture, hidden size, layers, kind): an encoder, a sentence model, a cross-encoder, a static table.
MODELS = {
    "distilbert/distilbert-base-uncased": ("distilbert", 768, 3, "encoder"),
    "google-bert/bert-base-uncased": ("bert", 768, 3, "encoder"),
    "microsoft/MiniLM-L12-H384-uncased": ("bert", 384, 3, "encoder"),
    "distilbert/distilroberta-base": ("roberta", 768, 3, "encoder"),
    "FacebookAI/roberta-base": ("roberta", 768, 3, "encoder"),
    "FacebookAI/xlm-roberta-base": ("bert", 768, 3, "encoder"),
    "microsoft/mpnet-base": ("mpnet", 768, 3, "encoder"),
    "answerdotai/ModernBERT-base": ("modernbert", 768, 3, "encoder"),
    "nreimers/TinyBERT_L-4_H-312_v2": ("bert", 312, 3, "encoder"),
    "nreimers/MiniLM-L6-H384-uncased": ("bert", 384, 3, "encoder"),
    "sentence-transformers/all-MiniLM-L6-v2": ("bert", 384, 3, "sentences"),
    "sentence-transformers/multi-qa-MiniLM-L6-cos-v1": ("bert", 384, 3, "sentences"),
    "sentence-transformers/quora-distilbert-multilingual": ("distilbert", 768, 3, "sentences"),
    "mixedbread-ai/mxbai-embed-large-v1": ("bert", 1024, 3, "sentences"),
    "sentence-transformers/stsb-distilbert-base": ("distilbert", 768, 3, "sentences"),
    "sentence-transformers/stsb-roberta-base-v2": ("roberta", 768, 12, "sentences"),
    "sentence-transformers/nli-distilroberta-base-v2": ("roberta", 768, 3, "sentences"),
    "sentence-transformers/nq-distilbert-base-v1": ("distilbert", 768, 3, "sentences"),
    "sentence-transformers/all-mpnet-base-v2": ("mpnet", 768, 12, "sentences"),
    "sentence-transformers/LaBSE": ("bert", 768, 3, "sentences"),
    "sentence-transformers/stsb-distilroberta-base-v2": ("roberta", 768, 3, "sentences"),
    "sentence-transformers/paraphrase-distilroberta-base-v2": ("roberta", 768, 3, "sentences"),
    "sentence-transformers/paraphrase-MiniLM-L6-v2": ("bert", 384, 3, "sentences"),
    "sentence-transformers/paraphrase-MiniLM-L3-v2": ("bert", 384, 3, "sentences"),
    "sentence-transformers/bert-base-nli-mean-tokens": ("bert", 768, 3, "sentences"),
    "sentence-transformers/allenai-specter": ("bert", 768, 3, "sentences"),
    "sentence-transformers/all-distilroberta-v1": ("roberta", 768, 3, "sentences"),
    "sentence-transformers/static-retrieval-mrl-en-v1": ("static", 1024, 0, "static"),
    "cross-encoder/stsb-distilroberta-base": ("roberta", 768, 3, "pairs"),
    "cross-encoder/ms-marco-TinyBERT-L2": ("bert", 128, 2, "pairs"),
    "cross-encoder/ms-marco-TinyBERT-L2-v2": ("bert", 128, 2, "pairs"),
    "cross-encoder/ms-marco-MiniLM-L6-v2": ("bert", 384, 3, "pairs"),
    "openai/clip-vit-base-patch32": ("", 0, 0, ""),
}


def _words() -> list[str]:
    texts = [make(n) for n in range(ROWS) for make in (sentence, near, question)]
    words = {word for text in texts for word in "".join(c if c.isalnum() else " " for c in text).split()}
    letters = [*string.ascii_lowercase, *string.digits]
    return [
        *sorted(words - set(letters)),
        *letters,
        *(f"##{letter}" for letter in letters),
        *string.punctuation,
    ]


def _word_pieces() -> Any:
    from transformers import BertTokenizer

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return BertTokenizer(
        vocab={word: n for n, word in enumerate([*special, *_words()])}, model_max_length=128
    )


def _byte_pieces() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import RobertaTokenizer

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator([sentence(n) for n in range(ROWS)], trainer)
    model = json.loads(trained.to_str())["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    return RobertaTokenizer(vocab=model["vocab"], merges=merges, model_max_length=128)


def _config(architecture: str, width: int, layers: int, vocabulary: int) -> Any:
    import transformers

    heads = 4
    if architecture == "distilbert":
        return transformers.DistilBertConfig(
            vocab_size=vocabulary,
            dim=width,
            n_layers=layers,
            n_heads=heads,
            hidden_dim=64,
            max_position_embeddings=520,
            dropout=0.0,
            attention_dropout=0.0,
            seq_classif_dropout=0.0,
        )
    shared: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 64,
        "max_position_embeddings": 520,
    }
    if architecture == "modernbert":
        return transformers.ModernBertConfig(
            **shared,
            pad_token_id=0,
            cls_token_id=2,
            sep_token_id=3,
            bos_token_id=2,
            eos_token_id=3,
        )
    cls = {"bert": "BertConfig", "roberta": "RobertaConfig", "mpnet": "MPNetConfig"}[architecture]
    return getattr(transformers, cls)(
        **shared,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **({"pad_token_id": 1} if architecture in ("roberta", "mpnet") else {}),
    )


def _write(name: str, folder: Path) -> None:
    import torch
    import transformers

    architecture, width, layers, kind = MODELS[name]
    torch.manual_seed(len(name))
    tokenizer = _byte_pieces() if architecture == "roberta" else _word_pieces()
    if kind == "static":
        _write_static(folder, tokenizer, width)
        return
    config = _config(architecture, width, layers, len(tokenizer))
    if kind == "pairs":
        config.num_labels = 1
        model = transformers.AutoModelForSequenceClassification.from_config(config)
    else:
        # The published weights have heads: BERT's with its pooler.
        head = (
            transformers.AutoModelForPreTraining
            if architecture == "bert"
            else transformers.AutoModelForMaskedLM
        )
        model = transformers.AutoModel if kind == "sentences" else head
        model = model.from_config(config)
    # Random weights of the usual size give nearly the same vector for every text.
    with torch.no_grad():
        for name_, weights in model.named_parameters():
            if weights.dim() > 1 and "position" not in name_:
                weights.mul_(4)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if kind == "sentences":
        _write_modules(folder, width)


def _write_modules(folder: Path, width: int) -> None:
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (path, kind) in enumerate([("", "Transformer"), ("1_Pooling", "Pooling")])
    ]
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": width, "pooling_mode_mean_tokens": True}
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (folder / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": 64, "do_lower_case": False})
    )


def _write_static(folder: Path, tokenizer: Any, width: int) -> None:
    import torch
    from safetensors.torch import save_file

    (folder / "0_StaticEmbedding").mkdir()
    tokenizer.backend_tokenizer.save(str(folder / "0_StaticEmbedding" / "tokenizer.json"))
    table = {"embedding.weight": torch.randn(len(tokenizer), width)}
    save_file(table, folder / "0_StaticEmbedding" / "model.safetensors")
    module = {
        "idx": 0,
        "name": "0",
        "path": "0_StaticEmbedding",
        "type": "sentence_transformers.models.StaticEmbedding",
    }
    (folder / "modules.json").write_text(json.dumps([module]))


def write_hub(home: Path) -> None:
    """Write what is missing of the models into a cache of the hub.

    Args:
        home: what ``HF_HOME`` will say.
    """
    for name, (architecture, *_) in MODELS.items():
        folder = home / "hub" / ("models--" + name.replace("/", "--"))
        if not architecture or (folder / "refs" / "main").exists():
            continue
        snapshot = folder / "snapshots" / _REVISION
        snapshot.mkdir(parents=True, exist_ok=True)
        _write(name, snapshot)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(_REVISION)


if __name__ == "__main__":
    import sys

    write_hub(Path(sys.argv[1]))
