"""Tokenizers that only transformers knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vicinal.errors import ModelFormatError, UnsupportedModelError
from vicinal.tokens.guard import check_growth, guarded
from vicinal.tokens.settings import Built, TokenizerSettings

_OPTIONS = ("model_max_length", "truncation_side", "padding_side", "pad_token", "pad_token_id")


def by_transformers(
    settings: TokenizerSettings, name: str | None, changes: Mapping[str, Any], *, needed: bool = True
) -> Built | None:
    """Let transformers read a folder.

    Args:
        settings: the folder.
        name: the class or architecture, for messages.
        changes: what replaces keys of ``tokenizer_config.json``.
        needed: False where the folder can be read without.

    Returns:
        None where transformers is not installed and not needed.

    Raises:
        UnsupportedModelError: transformers is not installed.
        ModelFormatError: it cannot read the folder either.
    """
    folder = settings.folder
    auto = _auto_tokenizer()
    if auto is None:
        if not needed:
            return None
        declared = settings.options.get("tokenizer_class")
        if settings.content is None and not any(folder.glob("*.model")) and declared is None:
            raise ModelFormatError(
                f"{folder}: no tokenizer.json (nor vocab.txt, nor vocab.json with merges.txt). transformers writes "
                "one: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
            )
        raise UnsupportedModelError(
            f"{folder}: its tokenizer is a {declared or name}, which only transformers can read from these files: "
            "pip install 'vicinal[train]'"
        )
    kind = settings.options.get("tokenizer_class") or name
    check_growth(settings.content, settings.file)
    with guarded(f"{folder} ({kind})", "cannot be read by transformers either"):
        return given(auto.from_pretrained(folder, **changes))


def _auto_tokenizer() -> Any:
    """The class that reads any tokenizer; None where transformers is not installed, or not wholly."""
    try:
        from transformers import AutoTokenizer
    except ImportError:
        return None
    return AutoTokenizer


def given(tokenizer: Any) -> Built:
    """A tokenizer of transformers as ours.

    Args:
        tokenizer: any ``PreTrainedTokenizerBase``; it is copied, not kept.
    """
    from tokenizers import Tokenizer

    options = {key: getattr(tokenizer, key, None) for key in _OPTIONS}
    types = "token_type_ids" in tokenizer.model_input_names
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        return Built(None, options, types, slow=tokenizer)
    return Built(Tokenizer.from_str(backend.to_str()), options, types)
