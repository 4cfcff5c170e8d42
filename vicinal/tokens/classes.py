"""Which tokenizer class a folder means: by its own word, by its architecture, by its files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The class that builds nothing: ``tokenizer.json`` is the tokenizer.
GENERIC = "TokenizersBackend"

_GENERIC_NAMES = (GENERIC, "PreTrainedTokenizer", "PreTrainedTokenizerFast", "PythonBackend")

# Names of transformers' classes that are one and the same class there.
_SAME: dict[str, str] = {
    **dict.fromkeys(
        (
            "ElectraTokenizer",
            "LayoutLMTokenizer",
            "LxmertTokenizer",
            "MobileBertTokenizer",
            "SqueezeBertTokenizer",
        ),
        "BertTokenizer",
    ),
    **dict.fromkeys(
        ("BartTokenizer", "LEDTokenizer", "LongformerTokenizer", "MvpTokenizer"), "RobertaTokenizer"
    ),
}

# Which class an architecture has where the folder names none.
_MODEL_TYPES: dict[str, tuple[str, ...]] = {
    "AlbertTokenizer": ("albert",),
    "BertTokenizer": (
        "bert",
        "convbert",
        "distilbert",
        "electra",
        "ernie",
        "layoutlm",
        "lxmert",
        "megatron-bert",
        "mobilebert",
        "nomic_bert",
        "squeezebert",
        "visual_bert",
    ),
    "CamembertTokenizer": ("camembert",),
    "GPT2Tokenizer": ("gpt2", "gpt_neo", "gptj", "opt"),
    "MPNetTokenizer": ("mpnet",),
    "Qwen2Tokenizer": ("qwen2", "qwen2_moe", "qwen3", "qwen3_moe"),
    "RobertaTokenizer": (
        "bart",
        "data2vec-text",
        "ibert",
        "led",
        "lilt",
        "longformer",
        "roberta",
        "roberta-prelayernorm",
    ),
    "T5Tokenizer": ("mt5", "t5"),
    "XLMRobertaTokenizer": ("gte", "jina_embeddings_v3", "xlm-roberta", "xmod"),
    GENERIC: ("modernbert", "modernbert-decoder", "nystromformer", "umt5", "xlm-roberta-xl"),
}
_BY_MODEL_TYPE = {kind: name for name, kinds in _MODEL_TYPES.items() for kind in kinds}

# Architectures whose folders are known to name a class that is not theirs; their own is taken.
_NAMED_WRONGLY = ("modernbert", "modernbert-decoder", "qwen2")

# Architectures without a class; what the folder names is taken.
_WITHOUT_CLASS = ("", "eurobert", "llama", "longt5")


def class_of(
    options: Mapping[str, Any], config: Mapping[str, Any], content: Mapping[str, Any] | None
) -> str | None:
    """The class that reads a folder; :data:`GENERIC` where ``tokenizer.json`` is taken as it is.

    This follows transformers 5.23, whose choice decides over the token ids of every library beside this one.

    Args:
        options: ``tokenizer_config.json``.
        config: ``config.json``.
        content: ``tokenizer.json``, if there is one.

    Returns:
        None where only transformers knows: an architecture without a row here.
    """
    declared = _plain(options.get("tokenizer_class") or config.get("tokenizer_class"))
    model_type = str(config.get("model_type") or "")
    own = _BY_MODEL_TYPE.get(model_type)
    if own is None and model_type not in _WITHOUT_CLASS:
        return None
    if declared == "LlamaTokenizer" and has_byte_level(content):
        return GENERIC
    if declared is None:
        return own or GENERIC
    if own is None or own == declared:
        return GENERIC if declared in _GENERIC_NAMES else declared
    if own == GENERIC or declared in _GENERIC_NAMES:
        # An architecture with a class of its own whose folder says "generic": the file decides. And the
        # other way round: a generic architecture reads no class that the folder names.
        wrongly = own != GENERIC and model_type in _NAMED_WRONGLY
        return own if wrongly else GENERIC
    return own if model_type in _NAMED_WRONGLY else declared


def _plain(name: Any) -> str | None:
    if not isinstance(name, str) or not name:
        return None
    if name in _GENERIC_NAMES:
        return str(name)
    short: str = name.removesuffix("Fast")
    return _SAME.get(short, short)


def has_byte_level(content: Mapping[str, Any] | None) -> bool:
    """Whether ``tokenizer.json`` cuts texts into bytes, whatever its class does."""
    return any(_mentions((content or {}).get(part)) for part in ("pre_tokenizer", "decoder"))


def _mentions(part: Any) -> bool:
    if isinstance(part, dict):
        return part.get("type") == "ByteLevel" or any(map(_mentions, part.values()))
    return isinstance(part, list) and any(map(_mentions, part))
