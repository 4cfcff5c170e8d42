"""A tokenizer's folder becomes a ``tokenizers.Tokenizer``, as transformers would make it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vicinal.errors import InputError, ModelFormatError
from vicinal.folder.json_files import read_optional
from vicinal.tokens.classes import GENERIC, class_of
from vicinal.tokens.guard import check_growth, guarded
from vicinal.tokens.recipes import RECIPES, Named
from vicinal.tokens.settings import NAMED, Built, TokenizerSettings, as_token, read_settings

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def build_tokenizer(folder: Path, config: Mapping[str, Any], changes: Mapping[str, Any]) -> Built:
    """Read a folder as ``AutoTokenizer.from_pretrained`` of transformers 5.23 does, without transformers.

    Classes without a recipe here go through transformers, where it is installed.

    Args:
        folder: where the tokenizer lies.
        config: ``config.json``, whose architecture has a tokenizer class of its own.
        changes: what replaces keys of ``tokenizer_config.json``.

    Raises:
        ModelFormatError: files are missing, damaged, or contradict each other.
        UnsupportedModelError: a class that only transformers knows, which is not installed.
    """
    options = read_optional(folder / "tokenizer_config.json")
    settings = read_settings(folder, options, changes)
    name = class_of(options, config, settings.content)
    readable = name in RECIPES or (name == GENERIC and settings.content is not None)
    if readable:
        check_keywords(changes, str(name), folder)
    if not readable or _needs_sentencepiece(settings, name):
        from vicinal.tokens.foreign import by_transformers

        # An architecture that nobody here knows may have a folder that says everything.
        said = class_of(options, {}, settings.content) if name is None else None
        enough = said in RECIPES or (said == GENERIC and settings.content is not None)
        found = by_transformers(settings, name or config.get("model_type"), changes, needed=not enough)
        if found is not None:
            return found
        name = said
    check_growth(settings.content, settings.file)
    with guarded(folder):
        return _generic(settings) if name == GENERIC else _by_recipe(settings, str(name))


# Options that every class obeys. Those for the way back from ids to text, and those that transformers itself no
# longer looks at, are accepted: they change nothing there either.
_OPTIONS = frozenset(
    {*NAMED, "additional_special_tokens", "extra_special_tokens", "added_tokens_decoder", "model_max_length",
     "padding_side", "truncation_side", "split_special_tokens", "model_input_names", "add_bos_token",
     "add_eos_token"}
)  # fmt: skip
_WITHOUT_EFFECT = frozenset({"use_fast", "clean_up_tokenization_spaces", "trust_remote_code"})


def check_keywords(changes: Mapping[str, Any], name: str, folder: Path) -> None:
    """Refuse a keyword that would do nothing.

    Raises:
        InputError: this class has no such option.
    """
    known = _OPTIONS | set(RECIPES[name].options if name in RECIPES else ())
    unknown = sorted(set(changes) - known - _WITHOUT_EFFECT)
    if unknown:
        kind = name if name in RECIPES else "tokenizer.json, which says everything itself"
        raise InputError(
            f"processor_kwargs: {unknown[0]!r} has no effect on the tokenizer of {folder} ({kind}); what has one: "
            f"{', '.join(sorted(known))}"
        )


def _needs_sentencepiece(settings: TokenizerSettings, name: str | None) -> bool:
    """Whether the vocabulary lies in a file of SentencePiece alone."""
    return settings.content is None and name in ("AlbertTokenizer", "CamembertTokenizer", "T5Tokenizer",
                                                 "XLMRobertaTokenizer")  # fmt: skip


def _generic(settings: TokenizerSettings) -> Built:
    """``tokenizer.json`` as it is, with the tokens that the other files add."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(settings.file))
    named: Named = {key: settings.options.get(key) for key in NAMED}
    _add_tokens(tokenizer, settings, named, settings.options.get("extra_special_tokens"))
    _around_generic(tokenizer, settings, named)
    return _with_sides(tokenizer, settings, named, token_types=False)


def _by_recipe(settings: TokenizerSettings, name: str) -> Built:
    recipe = RECIPES[name]
    named = recipe.named(settings)
    tokenizer = recipe.build(settings, named)
    template = _template_of_file(settings)
    if template is not None:
        tokenizer.post_processor = template
    extra = settings.options.get("extra_special_tokens", settings.options.get("additional_special_tokens"))
    _add_tokens(tokenizer, settings, named, recipe.extra if extra is None else extra)
    if recipe.finish is not None:
        recipe.finish(tokenizer, named, settings)
    _around_generic(tokenizer, settings, named, finished=recipe.finish is not None)
    return _with_sides(tokenizer, settings, named, token_types=recipe.token_types)


def _template_of_file(settings: TokenizerSettings) -> Any:
    """The special tokens around texts, as ``tokenizer.json`` has them."""
    import json

    from tokenizers import Tokenizer

    content = settings.content
    if content is None or not content.get("post_processor"):
        return None
    empty = {"type": "WordLevel", "vocab": {}, "unk_token": "?"}
    parts = {
        "version": "1.0",
        "added_tokens": [],
        "model": empty,
        "post_processor": content["post_processor"],
    }
    return Tokenizer.from_str(json.dumps(parts)).post_processor


def _add_tokens(tokenizer: Tokenizer, settings: TokenizerSettings, named: Named, extra: Any) -> None:
    """Make the added and special tokens whole ones; those that the vocabulary lacks get the next free ids."""
    from tokenizers import AddedToken

    waiting = [token for _, token in sorted(settings.added.items())]
    known = {token.content for token in waiting}
    known.update(token.content for token in tokenizer.get_added_tokens_decoder().values())
    every = [token for token in (*named.values(), *settings.more_named.values()) if token is not None]
    names = {str(token) for token in every if str(token)}
    for token in (*every, *(extra or ())):
        token = token if isinstance(token, str) else as_token(token, settings.folder)
        if str(token) not in known:
            known.add(str(token))
            waiting.append(AddedToken(token, special=True) if isinstance(token, str) else token)
    for token in waiting:
        if not token.special and token.content in names:
            token.special = True
    if waiting:
        tokenizer.add_tokens(waiting)
    tokenizer.encode_special_tokens = bool(settings.options.get("split_special_tokens", False))


def _around_generic(
    tokenizer: Tokenizer, settings: TokenizerSettings, named: Named, finished: bool = False
) -> None:
    """Put the first and last token around texts where the options, and no class or file, say so."""
    options = settings.options
    said = "add_bos_token" in options or "add_eos_token" in options
    if tokenizer.post_processor is not None and (finished or not said):
        return
    from tokenizers.processors import TemplateProcessing

    first = str(named["bos_token"]) if options.get("add_bos_token") and named["bos_token"] else None
    last = str(named["eos_token"]) if options.get("add_eos_token") and named["eos_token"] else None
    single = " ".join(filter(None, (first and f"{first}:0", "$A:0", last and f"{last}:0")))
    second = " ".join(filter(None, (first and f"{first}:1", "$B:1", last and f"{last}:1")))
    tokenizer.post_processor = TemplateProcessing(
        single=single,
        pair=f"{single} {second}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (first, last) if token],
    )


def _with_sides(
    tokenizer: Tokenizer, settings: TokenizerSettings, named: Named, *, token_types: bool
) -> Built:
    """What ``tokenizer.json`` says of cutting and padding holds where the options say nothing."""
    content, options = settings.content or {}, dict(settings.options)
    cut, padded = content.get("truncation"), content.get("padding")
    if cut:
        options.setdefault("truncation_side", str(cut.get("direction", "Right")).lower())
    if padded:
        options.setdefault("padding_side", str(padded.get("direction", "Right")).lower())
        if named["pad_token"] is None:
            named = {**named, "pad_token": padded.get("pad_token")}
    options["pad_token"] = None if named["pad_token"] is None else str(named["pad_token"])
    inputs = options.get("model_input_names")
    if inputs is not None:
        token_types = "token_type_ids" in inputs
    if tokenizer.get_vocab_size() == 0:
        raise ModelFormatError(f"{settings.folder}: its tokenizer's vocabulary is empty")
    return Built(tokenizer, options, token_types)
