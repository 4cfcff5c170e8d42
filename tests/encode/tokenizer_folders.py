"""Tokenizer folders in the forms that are found on the hub: families, files present, options."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinyfolder import LETTERS, WORDS
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from tokenizers.processors import BertProcessing, RobertaProcessing, TemplateProcessing

MORE = [
    "The",
    "Cat",
    "café",
    "cafe",
    "中",
    "文",
    "##文",
    "new",
    "##york",
    "E",
    "##e",
    "é",
    "É",
    "##é",
    "ta",
    "##ta",
]
CAPITALS = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ<>[]_|/", *(f"##{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")]
PIECES = [*dict.fromkeys([*LETTERS, *(f"##{letter}" for letter in LETTERS), *CAPITALS, *WORDS, *MORE])]

BERT_VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PIECES]
MPNET_VOCABULARY = ["<s>", "<pad>", "</s>", "<unk>", *PIECES, "[UNK]", "<mask>"]

# The printable characters that byte-level tokenizers write bytes with, in the order of the library.
_BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
_MERGES = ["t h", "th e", "Ġ t", "Ġt h", "Ġth e", "c a", "ca t", "Ġ c", "Ġc a", "Ġca t", "T h", "Th e", "Ã ©"]

SCORES = [(f"▁{word}", -3.0) for word in [*WORDS, "The", "cafe"]] + [
    (letter, -8.0) for letter in [*LETTERS, "▁", "T", "é", "中", "▁a", "▁t", "``", '"', "<", ">", "/"]
]

CONFIG = {"model_max_length": 20}


def write(folder: Path, name: str, value: Any) -> None:
    """A file of the folder: text, or JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    (folder / name).write_text(text, encoding="utf-8")


def bpe_parts(*special: str, last: tuple[str, ...] = ()) -> tuple[dict[str, int], list[str]]:
    """Vocabulary and merges of a byte-level tokenizer."""
    made = [merge.replace(" ", "") for merge in _MERGES]
    tokens = [*special, *_BYTES, *made, *last]
    return {token: place for place, token in enumerate(tokens)}, _MERGES


def bert_file(lowercase: bool = True, strip_accents: bool | None = None, **token: Any) -> Tokenizer:
    """BERT's ``tokenizer.json``."""
    vocabulary = {token: place for place, token in enumerate(BERT_VOCABULARY)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip_accents)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(BERT_VOCABULARY[:5])
    return tokenizer


def roberta_file(prefix_space: bool = False) -> Tokenizer:
    """RoBERTa's ``tokenizer.json``."""
    vocabulary, merges = bpe_parts("<s>", "<pad>", "</s>", "<unk>", last=("<mask>",))
    pairs: Any = [tuple(merge.split()) for merge in merges]
    tokenizer = Tokenizer(models.BPE(vocabulary, pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return tokenizer


def qwen_file() -> Tokenizer:
    """Qwen's ``tokenizer.json``, which puts one token behind a text."""
    vocabulary, merges = bpe_parts(last=("<|endoftext|>", "<|im_start|>"))
    pairs: Any = [tuple(merge.split()) for merge in merges]
    tokenizer = Tokenizer(models.BPE(vocabulary, pairs))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    end = vocabulary["<|endoftext|>"]
    tokenizer.post_processor = TemplateProcessing(
        single="$A <|endoftext|>",
        pair="$A <|endoftext|> $B <|endoftext|>",
        special_tokens=[("<|endoftext|>", end)],
    )
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>"])
    return tokenizer


def unigram_file(
    special: list[str], unknown: int, first: str | None, last: str, twice: bool = False
) -> Tokenizer:
    """A SentencePiece tokenizer's ``tokenizer.json``."""
    pieces = [*((token, 0.0) for token in special), *SCORES]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    before, between = f"{first} " if first else "", f"{last} " if twice else ""
    tokenizer.post_processor = TemplateProcessing(
        single=f"{before}$A {last}",
        pair=f"{before}$A {last} {between}$B {last}",
        special_tokens=[(token, special.index(token)) for token in {first, last} if token],
    )
    tokenizer.add_special_tokens(special)
    return tokenizer


def xlm_file() -> Tokenizer:
    """XLM-RoBERTa's."""
    return unigram_file(["<s>", "<pad>", "</s>", "<unk>", "<mask>"], 3, "<s>", "</s>", twice=True)


def albert_file() -> Tokenizer:
    """ALBERT's."""
    return unigram_file(["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"], 1, "[CLS]", "[SEP]")


def t5_file() -> Tokenizer:
    """T5's, with two of its hundred extra ids."""
    return unigram_file(["<pad>", "</s>", "<unk>", "<extra_id_1>", "<extra_id_0>"], 2, None, "</s>")


def with_tokens(tokenizer: Tokenizer, *tokens: Any) -> Tokenizer:
    """The same with added tokens."""
    tokenizer.add_tokens(list(tokens))
    return tokenizer


def with_limits(tokenizer: Tokenizer) -> Tokenizer:
    """The same, cut and padded on the left by its own file."""
    tokenizer.enable_truncation(12, direction="left")
    tokenizer.enable_padding(direction="left", pad_id=0, pad_token="[PAD]")
    return tokenizer


def added(number: int, content: str, **facts: Any) -> dict[str, Any]:
    """An entry of ``added_tokens_decoder``."""
    base = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}
    return {str(number): {"content": content, **base, **facts}}


def make(
    folder: Path,
    model_type: str,
    tokenizer: Callable[[], Tokenizer] | None,
    options: dict[str, Any] | None,
    files: dict[str, Any],
    more_config: dict[str, Any],
) -> Path:
    """A folder without weights."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder, "config.json", {"model_type": model_type, **more_config})
    if tokenizer is not None:
        tokenizer().save(str(folder / "tokenizer.json"))
    if options is not None:
        write(folder, "tokenizer_config.json", {**CONFIG, **options})
    for name, value in files.items():
        write(folder, name, value)
    return folder


VOCAB_TXT = {"vocab.txt": "\n".join(BERT_VOCABULARY) + "\n"}
MPNET_TXT = {"vocab.txt": "\n".join(MPNET_VOCABULARY) + "\n"}
_ROBERTA_PARTS = bpe_parts("<s>", "<pad>", "</s>", "<unk>", last=("<mask>",))
ROBERTA_TXT = {
    "vocab.json": _ROBERTA_PARTS[0],
    "merges.txt": "#version: 0.2\n" + "\n".join(_ROBERTA_PARTS[1]) + "\n",
}
_QWEN_PARTS = bpe_parts(last=("<|endoftext|>",))
QWEN_TXT = {"vocab.json": _QWEN_PARTS[0], "merges.txt": "\n".join(_QWEN_PARTS[1]) + "\n"}
FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}

Case = tuple[str, Callable[[], Tokenizer] | None, "dict[str, Any] | None", dict[str, Any], dict[str, Any]]


def case(
    model_type: str,
    tokenizer: Callable[[], Tokenizer] | None = None,
    options: dict[str, Any] | None = None,
    files: dict[str, Any] | None = None,
    **config: Any,
) -> Case:
    """One folder of the matrix."""
    return model_type, tokenizer, options, files or {}, config


NAMED_BERT = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}

CASES: dict[str, Case] = {
    # BERT, from its vocabulary alone
    "bert vocab": case("bert", None, None, VOCAB_TXT),
    "bert vocab cased": case("bert", None, {"do_lower_case": False}, VOCAB_TXT),
    "bert vocab accents kept": case("bert", None, {"strip_accents": False}, VOCAB_TXT),
    "bert vocab accents stripped, cased": case(
        "bert", None, {"strip_accents": True, "do_lower_case": False}, VOCAB_TXT
    ),
    "bert vocab no chinese": case("bert", None, {"tokenize_chinese_chars": False}, VOCAB_TXT),
    "bert vocab never_split": case("bert", None, {"never_split": ["hello"]}, VOCAB_TXT),
    "bert vocab added_tokens.json": case(
        "bert", None, {}, {**VOCAB_TXT, "added_tokens.json": {"[NEW]": 200, "new york": 201}}
    ),
    "bert vocab special_tokens_map": case(
        "bert",
        None,
        {},
        {**VOCAB_TXT, "special_tokens_map.json": {"mask_token": {"content": "[MASK]", "lstrip": True}}},
    ),
    "bert vocab other names": case(
        "bert", None, {"cls_token": "the", "sep_token": "cat", "pad_token": "dog"}, VOCAB_TXT
    ),
    "bert vocab added_tokens_decoder": case(
        "bert",
        None,
        {
            "added_tokens_decoder": {
                **added(0, "[PAD]"),
                **added(150, "Hello", special=False, normalized=True),
            }
        },
        VOCAB_TXT,
    ),
    # BERT, tokenizer.json and options beside it
    "bert file": case("bert", bert_file, {"tokenizer_class": "BertTokenizer"}),
    "bert file, fast name": case("bert", bert_file, {"tokenizer_class": "BertTokenizerFast"}),
    "bert file, no options": case("bert", bert_file),
    "bert file cased, options uncased": case("bert", lambda: bert_file(False), {"do_lower_case": True}),
    "bert file uncased, options cased": case("bert", bert_file, {"do_lower_case": False}),
    "bert file, accents": case("bert", bert_file, {"strip_accents": False}),
    "bert file, chinese": case("bert", bert_file, {"tokenize_chinese_chars": False}),
    "bert file, generic": case("bert", lambda: bert_file(False), {**FAST, "do_lower_case": True}),
    "bert file, decoder": case(
        "bert",
        lambda: with_tokens(bert_file(), "new york"),
        {"added_tokens_decoder": {**added(0, "[PAD]"), **added(300, "<e>", lstrip=True)}},
    ),
    "bert file, its own tokens": case(
        "bert", lambda: with_tokens(bert_file(), "new york", "Cat"), NAMED_BERT
    ),
    "bert file, additional": case("bert", bert_file, {"additional_special_tokens": ["<e1>", "hello"]}),
    "bert file, extra list": case("bert", bert_file, {"extra_special_tokens": ["<e1>"]}),
    "bert file, extra names": case("bert", bert_file, {"extra_special_tokens": {"image_token": "<img>"}}),
    "bert file, token of its own": case("bert", bert_file, {"image_token": "<img>", "query_token": "query"}),
    "bert file, map additional": case(
        "bert", bert_file, {}, {"special_tokens_map.json": {"additional_special_tokens": ["<e1>", "<e2>"]}}
    ),
    "bert file, typed tokens": case(
        "bert", bert_file, {"mask_token": {"__type": "AddedToken", "content": "[MASK]", "lstrip": True}}
    ),
    "bert file, sides": case("bert", bert_file, {"truncation_side": "left", "padding_side": "left"}),
    "bert file, its own sides": case("bert", lambda: with_limits(bert_file())),
    "bert file, long": case("bert", bert_file, {"model_max_length": int(1e30)}),
    "bert file, split special": case("bert", bert_file, {"split_special_tokens": True}),
    "bert file, no types": case("bert", bert_file, {"model_input_names": ["input_ids", "attention_mask"]}),
    "bert generic, decoder": case(
        "bert", bert_file, {**FAST, "added_tokens_decoder": added(300, "<e>", lstrip=True, rstrip=True)}
    ),
    "bert generic, added_tokens.json": case(
        "bert", bert_file, FAST, {"added_tokens.json": {"new york": 201}}
    ),
    "bert generic, names": case("bert", bert_file, {**FAST, **NAMED_BERT, "bos_token": "<b>"}),
    "bert that is xlm": case("bert", xlm_file, {"tokenizer_class": "XLMRobertaTokenizer"}),
    "bert with a class in config.json": case("bert", xlm_file, {}, tokenizer_class="XLMRobertaTokenizerFast"),
    # relatives of BERT
    "distilbert": case("distilbert", bert_file, {"tokenizer_class": "DistilBertTokenizer"}),
    "distilbert cased vocab": case("distilbert", None, {"do_lower_case": False}, VOCAB_TXT),
    "electra": case("electra", bert_file, {"tokenizer_class": "ElectraTokenizer", "strip_accents": False}),
    "nomic": case("nomic_bert", bert_file, {"tokenizer_class": "BertTokenizer"}),
    "mpnet vocab": case("mpnet", None, {}, MPNET_TXT),
    "mpnet vocab, accents": case(
        "mpnet", None, {"tokenizer_class": "MPNetTokenizer", "strip_accents": False}, MPNET_TXT
    ),
    "mpnet vocab cased": case("mpnet", None, {"do_lower_case": False}, MPNET_TXT),
    "modernbert": case("modernbert", qwen_file, {"tokenizer_class": "PreTrainedTokenizerFast"}),
    "modernbert, wrong name": case(
        "modernbert", bert_file, {"tokenizer_class": "BertTokenizer", "do_lower_case": False}
    ),
    # byte-level
    "roberta file": case("roberta", roberta_file, {"tokenizer_class": "RobertaTokenizer"}),
    "roberta file, prefix space": case("roberta", roberta_file, {"add_prefix_space": True}),
    "roberta file with prefix space, options without": case(
        "roberta", lambda: roberta_file(True), {"add_prefix_space": False}
    ),
    "roberta parts": case("roberta", None, {}, ROBERTA_TXT),
    "roberta parts, prefix space": case("roberta", None, {"add_prefix_space": True}, ROBERTA_TXT),
    "roberta parts, mask": case(
        "roberta",
        None,
        {"mask_token": {"__type": "AddedToken", "content": "<mask>", "lstrip": True}},
        {**ROBERTA_TXT, "added_tokens.json": {"<new>": 400}},
    ),
    "longformer": case("longformer", roberta_file, {"tokenizer_class": "LongformerTokenizer"}),
    "qwen3 file": case("qwen3", qwen_file, {"tokenizer_class": "Qwen2Tokenizer", "padding_side": "left"}),
    "qwen3 parts": case("qwen3", None, {"tokenizer_class": "Qwen2Tokenizer"}, QWEN_TXT),
    "qwen2 wrong name": case("qwen2", qwen_file, {"tokenizer_class": "PreTrainedTokenizerFast"}),
    "qwen3 file, more tokens": case(
        "qwen3", qwen_file, {"additional_special_tokens": ["<|im_end|>"], "eos_token": "<|im_start|>"}
    ),
    "gpt2 file": case("gpt2", qwen_file, {"add_prefix_space": True}),
    "gpt2 parts": case("gpt2", None, {"add_bos_token": True}, QWEN_TXT),
    # SentencePiece
    "xlm-roberta": case("xlm-roberta", xlm_file, {"tokenizer_class": "XLMRobertaTokenizer"}),
    "xlm-roberta, prefix": case("xlm-roberta", xlm_file, {"add_prefix_space": False}),
    "xlm-roberta, mask": case(
        "xlm-roberta", xlm_file, {"mask_token": {"__type": "AddedToken", "content": "<mask>", "lstrip": True}}
    ),
    "camembert": case("camembert", xlm_file, {"tokenizer_class": "CamembertTokenizer"}),
    "albert": case("albert", albert_file, {"tokenizer_class": "AlbertTokenizer"}),
    "albert cased": case("albert", albert_file, {"do_lower_case": False, "keep_accents": True}),
    "t5": case("t5", t5_file, {"tokenizer_class": "T5Tokenizer"}),
    "t5, tokens": case("t5", t5_file, {"extra_special_tokens": ["<extra_id_0>", "<extra_id_1>"]}),
    "umt5": case("umt5", t5_file, {"tokenizer_class": "T5Tokenizer"}),
    # architectures without a class here
    "unknown architecture": case(
        "brand-new", bert_file, {"tokenizer_class": "BertTokenizer", "do_lower_case": False}
    ),
    "unknown class": case("bert", bert_file, {"tokenizer_class": "BrandNewTokenizer"}),
    "deberta": case("deberta-v2", xlm_file, {"tokenizer_class": "DebertaV2Tokenizer"}),
    "japanese": case(
        "bert",
        None,
        {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "basic"},
        VOCAB_TXT,
    ),
    "japanese letters": case(
        "bert",
        None,
        {
            "tokenizer_class": "BertJapaneseTokenizer",
            "word_tokenizer_type": "basic",
            "subword_tokenizer_type": "character",
        },
        VOCAB_TXT,
    ),
}
