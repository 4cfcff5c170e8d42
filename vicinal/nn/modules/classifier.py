"""Classifier: a transformer with a classification head, which scores pairs of texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vicinal.errors import ModelFormatError, missing_extra
from vicinal.folder.json_files import read_json
from vicinal.folder.specs import TransformerSpec
from vicinal.folder.write import write_json, write_settings
from vicinal.nn.modules.base import Features, InputModule
from vicinal.nn.modules.layout import remember_buffers
from vicinal.nn.modules.memory import check_finite, own_memory
from vicinal.nn.modules.packed_pairs import packed_scores, packs_pairs
from vicinal.nn.modules.pretrained import load_config, quiet
from vicinal.nn.modules.transformer import Transformer

# What the other library reads in place of asking the weights; the names are its own.
_TASK = {
    "transformer_task": "sequence-classification",
    "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
    "module_output_name": "scores",
}
_MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}
]


class Classifier(Transformer):
    """Pairs of texts become scores, by a model of transformers with a classification head.

    Reads ``input_ids``, ``attention_mask`` and, where the architecture has it, ``token_type_ids``, all
    ``(n, length)``; writes ``scores`` ``(n, labels)``, before any activation.

    Args:
        model: the network of transformers.
        tokenizer: its tokenizer.
        max_length: tokens of a pair that count; default what tokenizer and architecture allow.
        do_lower_case: lower texts first.
    """

    def __init__(
        self, model: Any, tokenizer: Any, max_length: int | None = None, do_lower_case: bool = False
    ) -> None:
        InputModule.__init__(self)
        self.auto_model = model
        self.tokenizer = tokenizer
        self.do_lower_case = do_lower_case
        self._set_limit(max_length)

    @classmethod
    def load(cls, folder: str, **kwargs: Any) -> Classifier:
        """Read a module back from its folder."""
        return open_classifier(TransformerSpec(Path(folder), read_json(Path(folder) / "config.json")))[0]

    @property
    def num_labels(self) -> int:
        """Scores a pair."""
        return int(self.config.num_labels)

    def get_embedding_dimension(self) -> int:
        """Scores a pair, which is what an engine wants to know."""
        return self.num_labels

    def forward(self, features: Features, **kwargs: Any) -> Features:
        """Add ``scores``."""
        inputs = {key: value for key, value in features.items() if key in self._reads}
        inputs["input_ids"] = inputs["input_ids"].long()
        if not kwargs and packs_pairs(self.auto_model, inputs):
            features["scores"] = packed_scores(self.auto_model, inputs)
        else:
            features["scores"] = self.auto_model(**inputs, **kwargs, return_dict=True).logits
        return features

    def get_config_dict(self) -> dict[str, Any]:
        """What tells two classifiers apart, their weights aside."""
        return {
            "num_labels": self.num_labels,
            "max_seq_length": self.max_seq_length,
            "do_lower_case": self.do_lower_case,
        }

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Write model, tokenizer and settings; adapters are written into the weights."""
        self.save_model(output_path, merged=self.has_adapters)
        self.save_settings(output_path)

    def save_settings(self, output_path: str, *, config: bool = True) -> None:
        """Write everything but the weights: configuration and tokenizer."""
        super().save_settings(output_path, config=config)
        lower = {"do_lower_case": True} if self.do_lower_case else {}
        write_json(Path(output_path) / "sentence_bert_config.json", {**_TASK, **lower})
        write_json(Path(output_path) / "modules.json", _MODULES)

    def __repr__(self) -> str:
        return (
            f"Classifier({type(self.auto_model).__name__}, num_labels={self.num_labels}, "
            f"max_seq_length={self.max_seq_length})"
        )


def open_classifier(
    spec: TransformerSpec,
    num_labels: int | None = None,
    *,
    max_length: int | None = None,
    trust_remote_code: bool = False,
    config_kwargs: Mapping[str, Any] | None = None,
    processor_kwargs: Mapping[str, Any] | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
) -> tuple[Classifier, bool]:
    """Load a folder's network, with a head of ``num_labels`` scores.

    Where the folder holds no such head, a new one is drawn from torch's random numbers.

    Args:
        spec: the folder.
        num_labels: scores a pair; None for what the folder says.
        max_length: tokens of a pair that count.
        trust_remote_code: run code that the folder brings.
        config_kwargs: replace keys of ``config.json``.
        processor_kwargs: for ``AutoTokenizer.from_pretrained``.
        model_kwargs: for ``AutoModelForSequenceClassification.from_pretrained``.

    Returns:
        The module in evaluation mode, and whether its head is new.

    Raises:
        MissingExtraError: transformers is not installed.
        ModelFormatError: transformers cannot read the folder, or its weights are of something else.
        UnsupportedModelError: an architecture, or a variant of one, that transformers does not compute.
    """
    try:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
    except ImportError as error:
        raise missing_extra("transformers", "training a CrossEncoder", "train") from error
    if spec.files is not None:
        spec.files.check(whole=True)
    options: dict[str, Any] = {"dtype": torch.float32, **(model_kwargs or {})}
    config = load_config(spec.folder, trust_remote_code, dict(config_kwargs or {}))
    try:
        if num_labels is not None and config.num_labels != num_labels:
            config.num_labels = num_labels  # which also names the labels anew
        with quiet():
            model, found = AutoModelForSequenceClassification.from_pretrained(
                spec.folder,
                config=config,
                trust_remote_code=trust_remote_code,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **options,
            )
        tokenizer = AutoTokenizer.from_pretrained(
            spec.folder, trust_remote_code=trust_remote_code, **(processor_kwargs or {})
        )
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # transformers and safetensors raise what they like
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelFormatError(f"{spec.folder}: transformers cannot load this model ({reason})") from error
    own_memory(model)
    remember_buffers(model)
    check_finite(model, str(spec.folder))
    absent = set(found["missing_keys"]) | {each[0] for each in found["mismatched_keys"]}
    body = sorted(
        name for name in absent if name.startswith(f"{model.base_model_prefix}.") and "pooler" not in name
    )
    if body:
        raise ModelFormatError(
            f"{spec.folder}: its weights do not belong to config.json: {body[0]} is missing or of another shape"
        )
    if max_length is None and (processor_kwargs or {}).get("model_max_length") is None:
        max_length = spec.max_seq_length
    module = Classifier(model, tokenizer, max_length, spec.do_lower_case)
    module.eval()
    return module, bool(absent)


def classifier_module(
    spec: TransformerSpec, num_labels: int | None, **settings: Any
) -> tuple[nn.Sequential, bool]:
    """:func:`open_classifier` with the module as a ``Sequential``, as models hold theirs."""
    module, new = open_classifier(spec, num_labels, **settings)
    return nn.Sequential(module).eval(), new


def save_classifier(module: Classifier, folder: Path, activation: str | None) -> None:
    """Write a cross-encoder's folder, which all years of the other library read.

    Args:
        module: the network and its tokenizer.
        folder: made if absent; files of the same names are replaced.
        activation: class of the activation behind the scores, as ``torch.nn`` calls it; None leaves it open.
    """
    from vicinal.core.version import __version__

    folder.mkdir(parents=True, exist_ok=True)
    module.save(str(folder))
    settings = {
        "__version__": {"vicinal": __version__, "pytorch": torch.__version__},
        "model_type": "CrossEncoder",
        "prompts": {},
        "default_prompt_name": None,
    }
    write_settings(folder, settings, activation)
