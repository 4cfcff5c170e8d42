"""The library's messages in the words of the command line: options in place of arguments of Python."""

from __future__ import annotations

import re
from itertools import pairwise

# Argument -> the option that sets it; "" for what no option sets.
_OPTIONS = {
    "batch_size": "--batch-size",
    "candidates": "--candidates",
    "chunk_tokens": "--chunk-tokens",
    "columns": "--columns",
    "dim": "--dim",
    "dtype": "--dtype",
    "field": "--field",
    "filter": "--filter",
    "format": "--format",
    "id_field": "--id-field",
    "max_length": "--max-seq-length",
    "max_seq_length": "--max-seq-length",
    "metadata_fields": "--metadata-field",
    "min_cluster_size": "--min-size",
    "min_score": "--min-score",
    "mode": "--mode",
    "model_name_or_path": "--model",
    "n_clusters": "--clusters",
    "pooling_mode": "--pooling-mode",
    "precision": "--precision",
    "prompt_name": "--prompt-name",
    "revision": "--revision",
    "text_field": "--text-field",
    "threshold": "--threshold",
    "top_k": "--top",
    "truncate_dim": "--truncate-dim",
}
_NAMED = re.compile(rf"(?<![\w./'\"-])({'|'.join(_OPTIONS)})=(?:'([^']*)'|\"([^\"]*)\"|(-?\w[\w.]*))")
_EQUALS = re.compile(r"(?<![\w-])(--[a-z-]+)='([^']*)'")
_LIST = re.compile(r"(?<![\w\]])\[('[^']*'(?:, '[^']*')*)\]")
_JSON_KINDS = {
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "dict": "an object",
    "list": "a list",
    "str": "a text",
    "NoneType": "null",
}
_KIND = re.compile(rf"\b(is|holds) ({'|'.join(_JSON_KINDS)})(?=(?: \(.*?\))?(?:, not|;|:))")

# What speaks to people who write Python, and what those are told who type commands.
_SENTENCES = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r", or set on_truncate=.*", ""),
        (
            r"leave pooling_mode out, or put the model together with modules=\[\.\.\.\]",
            "leave the option out",
        ),
        (r"; load_best_model_at_end=True keeps the best", ""),
        (r"\. prompt= takes the text itself", ""),
        (r", file_name=None", ""),
        (r"cache_folder=\.\.\. or (?=SENTENCE_TRANSFORMERS_HOME)", ""),
        (r"[Gg]ive a valid token=\.\.\., renew (.+?), or give token=False for a public model", r"Renew \1"),
        (r"(?:give )?token=\.\.\. or (?:set )?(?=HF_TOKEN)", "set "),
        (r"needs set HF_TOKEN", "needs HF_TOKEN"),
        (r"was asked for with token=True", "needs a token"),
        (r", or give the token itself", ""),
        (r"local_files_only=True", "only the cache may be used"),
        (r"Load it with CrossEncoder\(\.\.\.\) and use predict\(\) or rank\(\)", "`vicinal rerank` takes it"),
        (
            r"or train one with CrossEncoder\(\.\.\.\)\.fit\(\.\.\.\)",
            "or train one with `vicinal train --cross-encoder`",
        ),
        (r"the first module is (?:\w+), not a Transformer", "it does not begin with a transformer"),
        (r"which trust_remote_code=True runs", "which only Python runs, if told to trust it"),
        (
            r"pass module_classes=\[\.\.\.\], or trust_remote_code=True, which runs code that",
            "load it from Python, told to trust it, which runs code that",
        ),
        (r"SentenceTransformer\(\.\.\.\)", "a model for vectors"),
        (r"on_truncate='ignore'", "a smaller text"),
        (r"Name the columns in this order", "Name them with --columns, in this order"),
        (r"name the columns(?= *$)", "name the columns with --columns"),
        (r"(\d+ columns) are named, but (\d+) needed", r"--columns names \1, but \2 are needed"),
        (r"say so as its format", "say so with --format"),
        (r"samples: none has", "no sample has"),
        (r"calibration_texts holds (?=\d)", "the model is calibrated on "),
    )
)


def in_options(message: str) -> str:
    """A message of the library as a person at the command line reads it."""
    for pattern, words in _SENTENCES:
        message = pattern.sub(words, message)
    message = _EQUALS.sub(r"\1 \2", _NAMED.sub(_option, message))
    message = _LIST.sub(lambda found: found[1].replace("'", ""), message)
    return _KIND.sub(lambda found: f"{found[1]} {_JSON_KINDS[found[2]]}", message)


def _option(found: re.Match[str]) -> str:
    value = next(value for value in found.groups()[1:] if value is not None)
    return f"{_OPTIONS[found[1]]} {value}"


def as_sentence(message: str) -> str:
    """The lines of a message as one; those of a list, which are indented, keep apart."""
    lines = [line for line in message.splitlines() if line.strip()]
    joined = lines[0].strip() if lines else ""
    for before, line in pairwise(lines):
        ended = before.rstrip().endswith((".", ":", ";", ",", "!", "?"))
        listed = line.startswith("  "), before.startswith("  ")
        between = " " if ended or not any(listed) else "; " if listed[0] else ". "
        joined += between + line.strip()
    return joined
