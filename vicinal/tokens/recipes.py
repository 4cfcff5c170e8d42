"""How each tokenizer class of transformers is put together from a folder's vocabulary and options.

Since transformers 5 most classes take the vocabulary, and the template of special tokens, from ``tokenizer.json``, and
make everything else themselves: ``do_lower_case`` of ``tokenizer_config.json`` wins over the file's normalizer. What is
built here equals transformers 5.23, id for id; other versions of it may differ in rare cases.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from vicinal.errors import ModelFormatError
from vicinal.tokens.settings import NAMED, Token, TokenizerSettings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Named = dict[str, "Token | None"]

_BERT = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
_ROBERTA = {
    "bos": "<s>",
    "eos": "</s>",
    "unk": "<unk>",
    "sep": "</s>",
    "pad": "<pad>",
    "cls": "<s>",
    "mask": "<mask>",
}
_ALBERT = {
    "bos": "[CLS]", "eos": "[SEP]", "unk": "<unk>", "sep": "[SEP]", "pad": "<pad>", "cls": "[CLS]", "mask": "[MASK]"
}  # fmt: skip
_QWEN = {"unk": "<|endoftext|>", "eos": "<|endoftext|>", "pad": "<|endoftext|>"}
_GPT = {"unk": "<|endoftext|>", "bos": "<|endoftext|>", "eos": "<|endoftext|>"}


@dataclass(frozen=True)
class Recipe:
    """A tokenizer class.

    Attributes:
        build: vocabulary and rules, without added tokens.
        defaults: its special tokens where the folder names none.
        finish: sets the special tokens around texts; None leaves them to the file.
        token_types: whether its texts have types, so that a pair's second text is told from the first.
        extra: further special tokens where the folder names none.
        strips_mask: whether the mask takes the space before it.
        options: the options that it has beside those of every class.
    """

    build: Callable[[TokenizerSettings, Named], Tokenizer]
    defaults: Mapping[str, str]
    finish: Callable[[Tokenizer, Named, TokenizerSettings], None] | None = None
    token_types: bool = False
    extra: tuple[str, ...] = ()
    strips_mask: bool = False
    options: tuple[str, ...] = ()

    def named(self, settings: TokenizerSettings) -> Named:
        """The special tokens by name, the class's own where the folder says nothing."""
        from tokenizers import AddedToken

        found: Named = {}
        for key in NAMED:
            default = self.defaults.get(key.removesuffix("_token"))
            token = settings.options.get(key, default)
            if self.strips_mask and key == "mask_token" and isinstance(token, str):
                token = AddedToken(token, lstrip=True, special=True)
            found[key] = token
        return found


# The three kinds of vocabularies


def _word_piece(settings: TokenizerSettings, named: Named) -> Tokenizer:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    options = settings.options
    unknown = str(named["unk_token"])
    vocabulary = _vocabulary(settings)
    if vocabulary is None:
        path = settings.folder / "vocab.txt"
        if not path.is_file():
            raise _no_files(settings, "tokenizer.json (nor vocab.txt)")
        vocabulary = models.WordPiece.read_file(str(path))
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=bool(options.get("tokenize_chinese_chars", True)),
        strip_accents=options.get("strip_accents"),
        lowercase=bool(options.get("do_lower_case", True)),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _bytes(settings: TokenizerSettings) -> Tokenizer:
    """A byte-level BPE model; what cuts texts into words comes after."""
    from tokenizers import Tokenizer, models

    vocabulary, merges = _vocabulary(settings), (settings.content or {}).get("model", {}).get("merges")
    if vocabulary is None:
        paths = [settings.folder / name for name in ("vocab.json", "merges.txt")]
        if not all(path.is_file() for path in paths):
            raise _no_files(settings, "tokenizer.json (nor vocab.json with merges.txt)")
        vocabulary, merges = models.BPE.read_file(*map(str, paths))
    pairs = [tuple(each.split(" ")) if isinstance(each, str) else tuple(each) for each in merges or ()]
    return Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=cast(Any, pairs),
            dropout=None,
            continuing_subword_prefix="",
            end_of_word_suffix="",
            fuse_unk=False,
        )
    )


def _byte_level(settings: TokenizerSettings, named: Named) -> Tokenizer:
    from tokenizers import pre_tokenizers

    tokenizer = _bytes(settings)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=_prefix_space(settings, False))
    return tokenizer


# How Qwen cuts texts into words: contractions, words, single digits, punctuation, ends of lines, spaces.
_QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)


def _qwen(settings: TokenizerSettings, named: Named) -> Tokenizer:
    from tokenizers import Regex, normalizers, pre_tokenizers

    tokenizer = _bytes(settings)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN_WORDS), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=_prefix_space(settings, False), use_regex=False),
        ]
    )
    return tokenizer


def _unigram(settings: TokenizerSettings, unknown: int | str, prefix_space: bool) -> Tokenizer:
    """A Unigram model, whose texts are cut at spaces.

    Args:
        settings: the folder.
        unknown: the unknown token, or its number.
        prefix_space: whether a text's first word is one like the others.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = (settings.content or {}).get("model", {}).get("vocab")
    if not isinstance(vocabulary, list):
        raise _no_files(settings, "tokenizer.json with a Unigram vocabulary")
    pieces = [tuple(piece) for piece in vocabulary]
    if isinstance(unknown, str):
        unknown = next((place for place, piece in enumerate(pieces) if piece[0] == unknown), 0)
    tokenizer = Tokenizer(models.Unigram(cast(Any, pieces), unk_id=unknown, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always" if prefix_space else "never"),
        ]
    )
    return tokenizer


def _sentence_piece(
    unknown: int | None, fixed_prefix: bool = False
) -> Callable[[TokenizerSettings, Named], Tokenizer]:
    """Build a Unigram tokenizer.

    Args:
        unknown: the unknown token's number; None for where it stands in the vocabulary.
        fixed_prefix: whether ``add_prefix_space`` is always true.
    """

    def build(settings: TokenizerSettings, named: Named) -> Tokenizer:
        from tokenizers import normalizers

        prefix_space = fixed_prefix or _prefix_space(settings, True)
        tokenizer = _unigram(settings, str(named["unk_token"]) if unknown is None else unknown, prefix_space)
        table = _character_table(settings)
        if table is not None:
            tokenizer.normalizer = normalizers.Precompiled(table)
        return tokenizer

    return build


def _albert(settings: TokenizerSettings, named: Named) -> Tokenizer:
    from tokenizers import normalizers

    tokenizer = _unigram(settings, 1, _prefix_space(settings, True))
    steps: list[Any] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not settings.options.get("keep_accents", False):
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if settings.options.get("do_lower_case", True):
        steps.append(normalizers.Lowercase())
    table = _character_table(settings)
    if table is not None:
        steps.append(normalizers.Precompiled(table))
    tokenizer.normalizer = normalizers.Sequence(steps)
    _template(tokenizer, "[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", settings,
              {"[CLS]": str(named["cls_token"]), "[SEP]": str(named["sep_token"])})  # fmt: skip
    return tokenizer


# The special tokens around texts


def _around_bert(tokenizer: Tokenizer, named: Named, settings: TokenizerSettings) -> None:
    first, last = str(named["cls_token"]), str(named["sep_token"])
    single = f"{first}:0 $A:0 {last}:0"
    _template(tokenizer, single, f"{single} $B:1 {last}:1", settings, {first: first, last: last})


def _around_roberta(tokenizer: Tokenizer, named: Named, settings: TokenizerSettings) -> None:
    from tokenizers.processors import RobertaProcessing

    first, last = str(named["cls_token"]), str(named["sep_token"])
    tokenizer.post_processor = RobertaProcessing(
        (last, _id_of(tokenizer, last, settings)),
        (first, _id_of(tokenizer, first, settings)),
        trim_offsets=bool(settings.options.get("trim_offsets", True)),
        add_prefix_space=_prefix_space(settings, False),
    )


def _around_xlm(tokenizer: Tokenizer, named: Named, settings: TokenizerSettings) -> None:
    first, last = str(named["bos_token"]), str(named["eos_token"])
    single = f"{first} $A {last}"
    _template(tokenizer, single, f"{single} {last} $B {last}", settings, {first: first, last: last})


def _around_t5(tokenizer: Tokenizer, named: Named, settings: TokenizerSettings) -> None:
    _template(tokenizer, "$A </s>", "$A </s> $B </s>", settings, {"</s>": str(named["eos_token"])})


def _qwen_specials(tokenizer: Tokenizer, named: Named, settings: TokenizerSettings) -> None:
    from tokenizers import AddedToken

    every = [
        *named.values(),
        *settings.more_named.values(),
        *(settings.options.get("extra_special_tokens") or ()),
    ]
    texts = dict.fromkeys(str(token) for token in every if token)
    tokenizer.add_tokens([AddedToken(text, special=True) for text in texts])


def _template(
    tokenizer: Tokenizer, single: str, pair: str, settings: TokenizerSettings, tokens: Mapping[str, str]
) -> None:
    """Set a template; ``tokens`` says which token stands for each of its names."""
    from tokenizers.processors import TemplateProcessing

    tokenizer.post_processor = TemplateProcessing(
        single=single,
        pair=pair,
        special_tokens=[(name, _id_of(tokenizer, token, settings)) for name, token in tokens.items()],
    )


def _id_of(tokenizer: Tokenizer, token: str, settings: TokenizerSettings) -> int:
    found: int | None = tokenizer.token_to_id(token)
    if found is None:
        raise ModelFormatError(f"{settings.folder}: the vocabulary lacks the special token {token!r}")
    return found


# What the files hold


def _vocabulary(settings: TokenizerSettings) -> dict[str, int] | None:
    """Token to id; a list of pieces counts them."""
    found: Any = (settings.content or {}).get("model", {}).get("vocab")
    if isinstance(found, list):
        return {str(each[0] if isinstance(each, list) else each): place for place, each in enumerate(found)}
    return found if isinstance(found, dict) else None


def _character_table(settings: TokenizerSettings) -> bytes | None:
    """SentencePiece's table of characters, from the normalizer of ``tokenizer.json``."""
    rules = (settings.content or {}).get("normalizer") or {}
    for rule in rules.get("normalizers", [rules]):
        if rule.get("type") == "Precompiled" and "precompiled_charsmap" in rule:
            return base64.b64decode(rule["precompiled_charsmap"])
    return None


def _prefix_space(settings: TokenizerSettings, default: bool) -> bool:
    found = settings.options.get("add_prefix_space")
    return default if found is None else bool(found)


def _no_files(settings: TokenizerSettings, wanted: str) -> ModelFormatError:
    return ModelFormatError(
        f"{settings.folder}: no {wanted}. transformers writes a tokenizer.json: "
        "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
    )


_WORDS = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
_SPACE = ("add_prefix_space",)

#: The classes that are built here, by their names.
RECIPES: dict[str, Recipe] = {
    "AlbertTokenizer": Recipe(_albert, _ALBERT, options=("do_lower_case", "keep_accents", *_SPACE)),
    "BertTokenizer": Recipe(_word_piece, _BERT, _around_bert, token_types=True, options=_WORDS),
    "CamembertTokenizer": Recipe(
        _sentence_piece(None),
        _ROBERTA,
        _around_xlm,
        extra=("<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"),
        strips_mask=True,
        options=_SPACE,
    ),
    "DistilBertTokenizer": Recipe(_word_piece, _BERT, _around_bert, options=_WORDS),
    "GPT2Tokenizer": Recipe(_byte_level, _GPT, options=_SPACE),
    "MPNetTokenizer": Recipe(
        _word_piece,
        {**_ROBERTA, "unk": "[UNK]"},
        _around_roberta,
        strips_mask=True,
        options=_WORDS,
    ),
    "Qwen2Tokenizer": Recipe(_qwen, _QWEN, _qwen_specials, options=_SPACE),
    "RobertaTokenizer": Recipe(_byte_level, _ROBERTA, _around_roberta, options=_SPACE),
    "T5Tokenizer": Recipe(
        _sentence_piece(2, fixed_prefix=True),
        {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"},
        _around_t5,
        extra=tuple(f"<extra_id_{number}>" for number in range(100)),
    ),
    "XLMRobertaTokenizer": Recipe(_sentence_piece(3), _ROBERTA, _around_xlm, options=_SPACE),
}
