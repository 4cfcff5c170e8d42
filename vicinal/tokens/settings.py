"""What the files of a tokenizer's folder say together: which class it is, its options, its added tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from vicinal.errors import ModelFormatError
from vicinal.folder.json_files import read_json, read_optional

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer

Token: TypeAlias = "str | AddedToken"

#: The special tokens that every tokenizer class has names for, in the order in which they are added.
NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


@dataclass
class TokenizerSettings:
    """The content of a tokenizer's files.

    Attributes:
        folder: where they lie.
        options: ``tokenizer_config.json`` with what replaces its keys, and what older files add to it.
        more_named: special tokens under names of the model's own, such as ``image_token``.
        added: tokens beside the vocabulary, by the number that the files give them.
        content: ``tokenizer.json``; None where there is none.
    """

    folder: Path
    options: dict[str, Any]
    more_named: dict[str, Token] = field(default_factory=dict)
    added: dict[int, AddedToken] = field(default_factory=dict)
    content: dict[str, Any] | None = None

    @property
    def file(self) -> Path:
        """``tokenizer.json``."""
        return self.folder / "tokenizer.json"


@dataclass(frozen=True)
class Built:
    """What a folder's tokenizer is.

    Attributes:
        backend: it splits texts and puts special tokens around them.
        options: how it is used: ``model_max_length``, ``truncation_side``, ``padding_side``, ``pad_token``.
        token_types: whether the second text of a pair is told from the first by its types.
        slow: the tokenizer of transformers, where that alone can split texts; ``backend`` is then None.
    """

    backend: Tokenizer | None
    options: Mapping[str, Any]
    token_types: bool = True
    slow: Any = None


def read_settings(folder: Path, options: Mapping[str, Any], changes: Mapping[str, Any]) -> TokenizerSettings:
    """Put the files of a folder together, the newer over the older ones.

    ``added_tokens_decoder`` of ``tokenizer_config.json`` says everything about added tokens where it is there;
    otherwise ``special_tokens_map.json``, ``added_tokens.json`` and ``tokenizer.json`` do, in this order.

    Args:
        folder: where they lie.
        options: ``tokenizer_config.json``.
        changes: what the caller replaces of it.

    Raises:
        ModelFormatError: a damaged file, or a value that is not a token where one belongs.
    """
    found = TokenizerSettings(folder, dict(options))
    if found.file.is_file():
        try:
            found.content = read_json(found.file)
            if not isinstance(found.content.get("model"), dict):
                raise ModelFormatError("its key 'model' is missing")
        except ModelFormatError as error:
            raise ModelFormatError(
                f"{folder}: its tokenizer cannot be read ({error}); download the model again"
            ) from error
        for key in ("add_bos_token", "add_eos_token"):  # the file's own template says it
            found.options.pop(key, None)
    found.options.update(changes)
    _take_more_named(found)
    if "added_tokens_decoder" in found.options:
        listed = found.options.pop("added_tokens_decoder")
        try:
            found.added = {int(number): as_token(token, folder) for number, token in listed.items()}
        except (AttributeError, ValueError) as error:
            raise ModelFormatError(
                f"{folder}/tokenizer_config.json: 'added_tokens_decoder' must map numbers to tokens"
            ) from error
    else:
        try:
            _read_older_files(found, changes)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelFormatError(
                f"{folder}: the added tokens of its tokenizer cannot be read ({error!r}); download the model again"
            ) from error
    for key in ("additional_special_tokens", "extra_special_tokens"):
        if isinstance(found.options.get(key), str):  # each of its letters would become a token
            raise ModelFormatError(
                f"{folder}: {key!r} of its tokenizer is the text {found.options[key]!r}; it must be a list of tokens"
            )
    known = {token.content: token for token in found.added.values()}
    for key in NAMED:
        value = found.options.get(key)
        if value is not None:
            token = value if isinstance(value, str) else as_token(value, folder)
            found.options[key] = known.get(str(token), token)
    return found


def _take_more_named(found: TokenizerSettings) -> None:
    options = found.options
    if "additional_special_tokens" in options and not options.get("extra_special_tokens"):
        options["extra_special_tokens"] = options.pop("additional_special_tokens")
    for key in list(options):
        if key.endswith("_token") and key not in NAMED and isinstance(options[key], str):
            found.more_named[key] = options.pop(key)
    extra = options.get("extra_special_tokens")
    if isinstance(extra, dict) and "content" not in extra:
        found.more_named.update(options.pop("extra_special_tokens"))
    found.more_named = {
        key: value if isinstance(value, str) else as_token(value, found.folder)
        for key, value in found.more_named.items()
    }


def _read_older_files(found: TokenizerSettings, changes: Mapping[str, Any]) -> None:
    folder, options = found.folder, found.options
    for key, value in read_optional(folder / "special_tokens_map.json").items():
        if changes.get(key):
            continue
        if key == "extra_special_tokens" and isinstance(value, dict):
            found.more_named.update(value)
        elif key == "extra_special_tokens" and isinstance(value, list):
            before = list(options.get(key) or [])
            options[key] = before + [each for each in value if each not in before]
        else:
            options[key] = as_token(value, folder, special=True) if isinstance(value, dict) else value
    special = {str(options[key]) for key in NAMED if options.get(key)}
    special.update(str(token) for token in options.get("extra_special_tokens") or ())
    for text, number in read_optional(folder / "added_tokens.json").items():
        facts = {"content": text, "special": text in special, "normalized": text not in special}
        found.added[int(number)] = as_token(facts, folder)
    for facts in (found.content or {}).get("added_tokens") or ():
        found.added[int(facts["id"])] = as_token({**facts, "id": None}, folder)


def as_token(value: Any, folder: Path, *, special: bool | None = None) -> AddedToken:
    """A token from the way files write it down.

    Raises:
        ModelFormatError: it is something else.
    """
    from tokenizers import AddedToken

    if isinstance(value, AddedToken):
        return value
    if not isinstance(value, dict) or not isinstance(value.get("content"), str):
        raise ModelFormatError(f"{folder}: the tokenizer's files hold {value!r} where a token belongs")
    facts = {key: value[key] for key in _FACTS if key in value}
    if special is not None:
        facts["special"] = special
    return AddedToken(value["content"], **facts)


_FACTS = ("single_word", "lstrip", "rstrip", "normalized", "special")
