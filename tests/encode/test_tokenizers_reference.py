"""Token ids of many kinds of folders against transformers' own AutoTokenizer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from test_tokens import rows_of, types_of
from tinyfolder import BERT, bert_weights, write_json
from tokenizer_folders import BERT_VOCABULARY as VOCABULARY
from tokenizer_folders import CASES, make

from vicinal import SentenceTransformer
from vicinal.errors import UnsupportedModelError
from vicinal.folder.json_files import read_json
from vicinal.folder.specs import TransformerSpec
from vicinal.tokens.folder import load_tokenizer

transformers = pytest.importorskip("transformers", reason="the reference is transformers' AutoTokenizer")

TEXTS = [
    "",
    " ",
    "the cat sat on the mat",
    "The Cat sat. HELLO World!",
    " the  cat\t\n the\r\ncat ",
    "café cafe\u0301 Café É",
    "中文 the中cat 文文",
    "[CLS] the [MASK] cat [SEP] [PAD] [UNK]",
    "<s> the <mask> cat </s> <pad> <unk> <MASK>",
    "<|endoftext|>the<|im_start|> <|im_end|>",
    "new york New York newyork [NEW]<e> <e1> <e2> hello<img> query",
    "x <extra_id_0>y<extra_id_99> <s>NOTUSED ``the'' cat",
    "😀 the 😀😀 \u200b\u00a0\0\ufeff\ufffd",
    "don't it's 12,345.67 aaa" + "a" * 120,
    "İstanbul ﬁne ﷺ Ⅳ ½ ß ẞ Σς",
    "the " * 40,
]


def reference(folder: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("name", CASES)
def test_ids_are_those_of_transformers(tmp_path: Path, name: str) -> None:
    folder = make(tmp_path, *CASES[name])
    theirs = reference(folder)
    ours = load_tokenizer(TransformerSpec(folder, read_json(folder / "config.json")))
    limit = min(theirs.model_max_length, 512)
    assert ours.max_length == limit
    assert (ours.truncation_side, ours.padding_side) == (theirs.truncation_side, theirs.padding_side)
    assert rows_of(ours(TEXTS)) == theirs(TEXTS, truncation=True, max_length=limit)["input_ids"]
    pairs = (TEXTS, TEXTS[::-1])
    found, expected = ours.pairs(*pairs), theirs(*pairs, truncation=True, max_length=limit)
    assert rows_of(found) == expected["input_ids"]
    types = expected.get("token_type_ids") or [[0] * len(row) for row in expected["input_ids"]]
    assert types_of(found) == types
    full = theirs(TEXTS)["input_ids"]
    assert ours.count(TEXTS).tolist() == [len(row) for row in full]


WITH_WEIGHTS = [
    "bert vocab cased",
    "bert vocab added_tokens.json",
    "bert file uncased, options cased",
    "bert file, decoder",
    "bert generic, names",
    "bert that is xlm",
    "japanese",
]


def model_folder(folder: Path, name: str, **extra: Any) -> Path:
    """A folder of the matrix with random weights, for more tokens than it has."""
    model_type, tokenizer, options, files, _ = CASES[name]
    assert model_type == "bert"
    config = {**BERT, "vocab_size": 320}
    make(folder, "bert", tokenizer, {**(options or {}), **extra}, files, config)
    save_file(bert_weights(0, config), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.filterwarnings("ignore::vicinal.errors.UnknownScriptWarning")
@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_encode_tokenize_and_module_agree(tmp_path: Path, name: str) -> None:
    torch = pytest.importorskip("torch")
    folder = model_folder(tmp_path, name)
    model = SentenceTransformer(folder, dtype="float32")
    texts = [text for text in TEXTS if text.strip()]
    before = model.encode(texts, on_truncate="ignore")
    ids = model.tokenize(texts)["input_ids"]
    features = model.module[0].tokenize(texts)
    assert np.array_equal(np.asarray(ids), features["input_ids"].numpy())
    with torch.inference_mode():
        by_module = model.module(features)["sentence_embedding"].numpy()
    np.testing.assert_allclose(by_module, before, atol=1e-4)
    with torch.no_grad():
        next(model.module.parameters())[0, 0] += 1e-7
    np.testing.assert_allclose(model.encode(texts, on_truncate="ignore"), before, atol=1e-4)
    assert np.array_equal(np.asarray(model.tokenize(texts)["input_ids"]), features["input_ids"].numpy())
    model.save(tmp_path / "saved")
    again = SentenceTransformer(tmp_path / "saved", dtype="float32")
    np.testing.assert_allclose(again.encode(texts, on_truncate="ignore"), before, atol=1e-4)


def test_lower_case_leaves_special_tokens_whole_with_and_without_the_module(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    folder = model_folder(tmp_path, "bert vocab cased")
    write_json(folder / "sentence_bert_config.json", {"do_lower_case": True})
    model = SentenceTransformer(folder, dtype="float32")
    ids = np.asarray(model.tokenize(["The [MASK] CAT", "the cat"])["input_ids"])
    assert ids[0].tolist() == [2, VOCABULARY.index("the"), 4, VOCABULARY.index("cat"), 3]
    assert model.module[0].tokenize(["The [MASK] CAT", "the cat"])["input_ids"].tolist() == ids.tolist()


def test_a_class_that_only_transformers_knows_is_refused_by_name_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    for name, said in [("japanese", "BertJapaneseTokenizer"), ("unknown class", "BrandNewTokenizer")]:
        folder = make(tmp_path / name, *CASES[name])
        with pytest.raises(UnsupportedModelError, match=rf"{said}.*pip install 'vicinal\[train\]'"):
            load_tokenizer(TransformerSpec(folder, read_json(folder / "config.json")))
    folder = make(tmp_path / "sp", "xlm-roberta", None, {}, {"sentencepiece.bpe.model": "x"}, {})
    with pytest.raises(UnsupportedModelError, match="XLMRobertaTokenizer"):
        load_tokenizer(TransformerSpec(folder, read_json(folder / "config.json")))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("bert file", {"do_lower_case": False}),
        ("bert file", {"strip_accents": False, "tokenize_chinese_chars": False}),
        ("bert file", {"additional_special_tokens": ["new york"], "truncation_side": "left"}),
        ("bert file", {"model_max_length": 7, "use_fast": True}),
        ("bert vocab", {"sep_token": "cat", "mask_token": "the"}),
        ("roberta file", {"add_prefix_space": True}),
        ("gpt2 file", {"add_bos_token": True, "add_eos_token": True}),
        ("albert", {"do_lower_case": False, "keep_accents": True}),
        ("japanese", {"subword_tokenizer_type": "character"}),
    ],
)
def test_keywords_do_what_they_do_in_transformers(tmp_path: Path, name: str, changes: dict[str, Any]) -> None:
    folder = make(tmp_path, *CASES[name])
    theirs = transformers.AutoTokenizer.from_pretrained(folder, **changes)
    ours = load_tokenizer(TransformerSpec(folder, read_json(folder / "config.json")), settings=changes)
    limit = min(theirs.model_max_length, 512)
    assert ours.max_length == limit
    assert rows_of(ours(TEXTS)) == theirs(TEXTS, truncation=True, max_length=limit)["input_ids"]
    plain = load_tokenizer(TransformerSpec(folder, read_json(folder / "config.json")))
    assert rows_of(ours(TEXTS)) != rows_of(plain(TEXTS))
