"""Token ids of many kinds of folders against transformers' own AutoTokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_tokens import rows_of, types_of
from tokenizer_folders import CASES, make

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
