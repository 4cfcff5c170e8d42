"""The tokenizer of a transformer's folder, in every format that folders hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vicinal.errors import InputError, ModelFormatError
from vicinal.folder.json_files import read_optional
from vicinal.folder.specs import UNLIMITED, TransformerSpec
from vicinal.tokens.build import build_tokenizer, check_keywords
from vicinal.tokens.classes import GENERIC, class_of
from vicinal.tokens.recipes import RECIPES
from vicinal.tokens.settings import Built
from vicinal.tokens.slow import SlowTokenizer
from vicinal.tokens.text import TextTokenizer


def load_tokenizer(
    spec: TransformerSpec, *, position_limit: int | None = None, settings: dict[str, Any] | None = None
) -> TextTokenizer:
    """The tokenizer of a transformer's folder.

    Args:
        spec: where it lies, and the folder's own ``max_seq_length``.
        position_limit: positions that the architecture has; never exceeded.
        settings: keys that replace those of ``tokenizer_config.json``; ``model_max_length`` wins over the folder's
            own limits too.

    Raises:
        InputError: a key of ``settings`` that this tokenizer does not obey, or an invalid value.
        UnsupportedModelError: a tokenizer class that only transformers knows, which is not installed.
        ModelFormatError: no tokenizer that can be read without PyTorch, or a damaged one.
    """
    folder, changes = spec.folder, dict(settings or {})
    _check(changes, "processor_kwargs", InputError)
    _check(
        read_optional(folder / "tokenizer_config.json"),
        f"{folder / 'tokenizer_config.json'}",
        ModelFormatError,
    )
    built = build_tokenizer(folder, spec.config, changes)
    return texts_of(built, spec, position_limit=position_limit, max_length=changes.get("model_max_length"))


def check_settings(spec: TransformerSpec, settings: Mapping[str, Any]) -> None:
    """Refuse what a folder's tokenizer would not obey; of a class that only transformers knows, nothing.

    Raises:
        InputError: a key without effect, or an invalid value.
    """
    _check(settings, "processor_kwargs", InputError)
    options = read_optional(spec.folder / "tokenizer_config.json")
    name = class_of(options, spec.config, None)
    if name is not None and (name in RECIPES or name == GENERIC):
        check_keywords(settings, name, spec.folder)


def texts_of(
    built: Built, spec: TransformerSpec, *, position_limit: int | None, max_length: int | None = None
) -> TextTokenizer:
    """A tokenizer with the limits of its folder.

    Args:
        built: the tokenizer.
        spec: the folder.
        position_limit: positions that the architecture has; never exceeded.
        max_length: tokens of a text that count, instead of what the folder says.
    """
    declared = built.options.get("model_max_length")
    # transformers writes int(1e30) where a tokenizer has no limit
    own = int(declared) if declared and declared < UNLIMITED else None
    if max_length is not None:
        own = int(max_length) if max_length < UNLIMITED else None
    elif spec.max_seq_length:
        own = spec.max_seq_length
    known = [limit for limit in (own, position_limit) if limit]
    if not known and spec.has_only_graphs:
        raise ModelFormatError(
            f"{spec.folder}: nothing says how many tokens of a text its graph takes (there is no config.json, and "
            "tokenizer_config.json has no model_max_length); pass processor_kwargs={'model_max_length': 512}, or "
            "whatever the model was trained with"
        )
    vocabulary = spec.config.get("vocab_size")
    facts: dict[str, Any] = {
        "max_length": min(known) if known else 512,
        "pad_id": _pad_id(built, spec),
        "truncation_side": str(built.options.get("truncation_side") or "right"),
        "padding_side": str(built.options.get("padding_side") or "right"),
        "vocabulary": vocabulary if isinstance(vocabulary, int) and vocabulary > 0 else None,
        "token_types": built.token_types,
        "lower": spec.do_lower_case,
        "name": str(spec.folder),
    }
    if built.backend is None:
        return SlowTokenizer(built.slow, **facts)
    return TextTokenizer(built.backend, **facts)


def _check(options: Mapping[str, Any], where: str, kind: type[ModelFormatError] | type[InputError]) -> None:
    """Refuse a limit that is no number, and sides that there are not.

    Raises:
        ModelFormatError, InputError: such a value; whichever ``kind`` is.
    """
    limit = options.get("model_max_length")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, (int, float))):
        raise kind(f"{where}: 'model_max_length' must be a number, found {limit!r}")
    if limit is not None and kind is InputError and limit < 1:
        raise kind(f"{where}: 'model_max_length' must be positive, found {limit!r}")
    for key in ("truncation_side", "padding_side"):
        if options.get(key, "right") not in ("right", "left"):
            raise kind(f"{where}: {key!r} must be 'right' or 'left', found {options[key]!r}")


def _pad_id(built: Built, spec: TransformerSpec) -> int:
    token = built.options.get("pad_token")
    found = built.options.get("pad_token_id")
    if found is None and built.backend is not None and token is not None:
        found = built.backend.token_to_id(str(token))
    if found is None:
        found = spec.config.get("pad_token_id")
    return int(found) if found is not None else 0
