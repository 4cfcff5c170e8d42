"""The tokenizer of a transformer's folder, in every format that folders hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vicinal.errors import ModelFormatError
from vicinal.folder.json_files import read_json
from vicinal.folder.specs import UNLIMITED, TransformerSpec
from vicinal.tokens.text import TextTokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def load_tokenizer(
    spec: TransformerSpec, *, position_limit: int | None = None, settings: dict[str, Any] | None = None
) -> TextTokenizer:
    """The tokenizer of a transformer's folder.

    Args:
        spec: where it lies, and the folder's own ``max_seq_length``.
        position_limit: positions that the architecture has; never exceeded.
        settings: keys that replace those of ``tokenizer_config.json``.

    Raises:
        ModelFormatError: no tokenizer that can be read without PyTorch, or a damaged one.
    """
    folder = spec.folder
    path = folder / "tokenizer_config.json"
    options = {**(read_json(path) if path.is_file() else {}), **(settings or {})}
    backend = _backend(folder, options)
    limits = [position_limit]
    declared = options.get("model_max_length")
    if declared is not None and (isinstance(declared, bool) or not isinstance(declared, (int, float))):
        raise ModelFormatError(f"{path}: 'model_max_length' must be a number, found {declared!r}")
    # transformers writes int(1e30) where a tokenizer has no limit
    limits.append(spec.max_seq_length or (int(declared) if declared and declared < UNLIMITED else None))
    for key in ("truncation_side", "padding_side"):
        if options.get(key, "right") not in ("right", "left"):
            raise ModelFormatError(f"{path}: {key!r} must be 'right' or 'left', found {options[key]!r}")
    vocabulary = spec.config.get("vocab_size")
    known = [limit for limit in limits if limit]
    return TextTokenizer(
        backend,
        max_length=min(known) if known else 512,
        pad_id=_pad_id(backend, options, spec),
        lower=spec.do_lower_case,
        truncation_side=str(options.get("truncation_side", "right")),
        padding_side=str(options.get("padding_side", "right")),
        vocabulary=vocabulary if isinstance(vocabulary, int) and vocabulary > 0 else None,
    )


def _backend(folder: Path, options: dict[str, Any]) -> Tokenizer:
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    try:
        if path.is_file():
            return Tokenizer.from_file(str(path))
        if (folder / "vocab.txt").is_file():
            from tokenizers.implementations import BertWordPieceTokenizer

            return Tokenizer.from_str(
                BertWordPieceTokenizer(
                    str(folder / "vocab.txt"),
                    lowercase=bool(options.get("do_lower_case", True)),
                    strip_accents=options.get("strip_accents"),
                    handle_chinese_chars=bool(options.get("tokenize_chinese_chars", True)),
                ).to_str()
            )
        if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
            return _byte_level(folder, options)
    except Exception as error:  # the library raises plain Exception for damaged files
        raise ModelFormatError(
            f"{folder}: its tokenizer cannot be read ({error}); download the model again"
        ) from error
    raise ModelFormatError(
        f"{folder}: no tokenizer.json (nor vocab.txt, nor vocab.json with merges.txt). "
        "transformers writes one: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
    )


def _byte_level(folder: Path, options: dict[str, Any]) -> Tokenizer:
    from tokenizers import Tokenizer
    from tokenizers.implementations import ByteLevelBPETokenizer
    from tokenizers.processors import RobertaProcessing

    built = ByteLevelBPETokenizer(
        str(folder / "vocab.json"),
        str(folder / "merges.txt"),
        add_prefix_space=bool(options.get("add_prefix_space", False)),
    )
    tokenizer = Tokenizer.from_str(built.to_str())
    first, last = tokenizer.token_to_id("<s>"), tokenizer.token_to_id("</s>")
    if first is not None and last is not None:
        tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
        tokenizer.post_processor = RobertaProcessing(("</s>", last), ("<s>", first))
    return tokenizer


def _pad_id(backend: Tokenizer, options: dict[str, Any], spec: TransformerSpec) -> int:
    token = options.get("pad_token")
    token = token.get("content") if isinstance(token, dict) else token
    found = backend.token_to_id(token) if isinstance(token, str) else None
    if found is None:
        found = spec.config.get("pad_token_id")
    return int(found) if found is not None else 0
