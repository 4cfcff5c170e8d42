"""Transformer: any encoder of the transformers library as the first module."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vicinal.core.files import share_as_usual
from vicinal.core.inputs import check_positive
from vicinal.errors import InputError, InputTypeError
from vicinal.folder.json_files import read_optional
from vicinal.folder.specs import TransformerSpec
from vicinal.folder.write import write_json
from vicinal.nn.modules.adapters import adapter_state, merged_copy
from vicinal.nn.modules.base import Features, InputModule
from vicinal.nn.modules.customised import is_customised
from vicinal.nn.modules.packing import packed_vectors, packs
from vicinal.nn.modules.pretrained import auto_classes, inputs_of, load_config, load_encoder, quiet, resolve
from vicinal.tokens.guard import check_growth, check_lengths, guarded
from vicinal.tokens.text import lowercase

_SETTINGS = "sentence_bert_config.json"
# What transformers writes where a tokenizer states no limit is int(1e30).
_NO_LIMIT = 10_000_000


class Transformer(InputModule):
    """Texts become token vectors, by a model of transformers.

    Args:
        model_name_or_path: a model folder or a hub name.
        max_seq_length: tokens of a text that count; default what tokenizer and architecture allow.
        model_kwargs: for ``AutoModel.from_pretrained`` (``torch_dtype``, ``attn_implementation``, ...);
            ``model_args`` is its old name.
        processor_kwargs: for ``AutoTokenizer.from_pretrained``; older names: ``tokenizer_kwargs``,
            ``tokenizer_args``.
        config_kwargs: for ``AutoConfig.from_pretrained``; ``config_args`` is its old name.
        cache_dir: where downloaded models lie.
        do_lower_case: lower texts first.
        tokenizer_name_or_path: the tokenizer's folder or name, default the model's.

    Reads ``input_ids`` and ``attention_mask``, both ``(n, length)``; writes ``token_embeddings``
    ``(n, length, width)``, and ``all_layer_embeddings`` where the configuration asks for hidden states.

    Raises:
        MissingExtraError: transformers is not installed.
        ModelNotFoundError, HubError: the name leads nowhere.
    """

    save_in_root = True
    config_file_name = _SETTINGS

    def __init__(
        self,
        model_name_or_path: str | os.PathLike[str],
        max_seq_length: int | None = None,
        model_args: Mapping[str, Any] | None = None,
        tokenizer_args: Mapping[str, Any] | None = None,
        config_args: Mapping[str, Any] | None = None,
        cache_dir: str | None = None,
        do_lower_case: bool = False,
        tokenizer_name_or_path: str | os.PathLike[str] | None = None,
        *,
        model_kwargs: Mapping[str, Any] | None = None,
        processor_kwargs: Mapping[str, Any] | None = None,
        tokenizer_kwargs: Mapping[str, Any] | None = None,
        config_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        _, _, AutoTokenizer = auto_classes()
        check_positive(max_seq_length, "max_seq_length")
        model_options = {**(model_args or {}), **(model_kwargs or {})}
        config_options = {**(config_args or {}), **(config_kwargs or {})}
        tokenizer_options = {**(tokenizer_args or {}), **(tokenizer_kwargs or {}), **(processor_kwargs or {})}
        folder = resolve(model_name_or_path, cache_dir, model_options)
        tokenizer_folder = (
            folder
            if tokenizer_name_or_path is None
            else resolve(tokenizer_name_or_path, cache_dir, tokenizer_options)
        )
        trust = bool(model_options.pop("trust_remote_code", False))
        config = config_options.pop("config", None) or load_config(folder, trust, config_options)
        asked_dtype = model_options.pop("torch_dtype", None)
        asked_dtype = model_options.get("dtype", asked_dtype)
        #: what the caller wants computed in, such as ``"float32"``; None where nothing was said
        self.asked_dtype = None if asked_dtype in (None, "auto") else str(asked_dtype).removeprefix("torch.")
        model_options.setdefault("dtype", torch.float32 if asked_dtype is None else asked_dtype)
        self.auto_model = load_encoder(folder, config, trust, model_options)
        check_growth(read_optional(tokenizer_folder / "tokenizer.json"), tokenizer_folder / "tokenizer.json")
        with guarded(tokenizer_folder):
            self.tokenizer = AutoTokenizer.from_pretrained(
                tokenizer_folder, trust_remote_code=trust, **tokenizer_options
            )
        self.do_lower_case = do_lower_case
        asked = tokenizer_options.get("model_max_length")
        self._set_limit(max_seq_length if asked is None else None)

    @classmethod
    def from_spec(
        cls,
        spec: TransformerSpec,
        *,
        trust_remote_code: bool = False,
        processor_kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Transformer:
        """The module of a model folder, with the limits that the folder states, or ``processor_kwargs``."""
        # What the file itself says is transformers' to read; only the caller's own changes are handed on.
        written = read_optional(spec.folder / "config.json")
        changed = {
            key: value
            for key, value in spec.config.items()
            if key not in _NOT_SETTINGS and (key not in written or written[key] != value)
        }
        model_kwargs = {**options, "trust_remote_code": trust_remote_code}
        return cls(
            spec.folder,
            spec.max_seq_length,
            do_lower_case=spec.do_lower_case,
            model_kwargs=model_kwargs,
            config_kwargs=changed,
            processor_kwargs=processor_kwargs,
        )

    @classmethod
    def load(cls, folder: str, **kwargs: Any) -> Transformer:
        """Read a module back from its folder."""
        settings = cls.load_config(folder)
        length = settings.get("max_seq_length")
        return cls(folder, length, do_lower_case=bool(settings.get("do_lower_case", False)), **kwargs)

    @property
    def model(self) -> Any:
        """The name that sentence-transformers 6 gives to ``auto_model``."""
        return self.auto_model

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__("auto_model" if name == "model" else name, value)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Read weights by the names of sentence-transformers 6 too: ``model.`` in place of ``auto_model.``."""
        for key in [key for key in state_dict if key.startswith(f"{prefix}model.")]:
            state_dict[f"{prefix}auto_{key[len(prefix) :]}"] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _limit(self, asked: int | None) -> int | None:
        declared = getattr(self.tokenizer, "model_max_length", None)
        limits = [asked or (declared if declared and declared < _NO_LIMIT else None), self.position_limit]
        known = [int(limit) for limit in limits if limit]
        return min(known) if known else None

    def _set_limit(self, asked: int | None) -> None:
        limit = self._limit(asked)
        if limit is not None:
            self.tokenizer.model_max_length = limit

    @property
    def position_limit(self) -> int | None:
        """Tokens that the architecture has positions for; None if it sets no limit."""
        from vicinal.engine.opening import position_limit

        return position_limit(TransformerSpec(Path(), self.config.to_dict()))

    @property
    def max_seq_length(self) -> int | None:
        """Tokens of a text that count, special tokens included: the tokenizer's ``model_max_length``."""
        return self._limit(None)

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        check_positive(value, "max_seq_length")
        limit = self.position_limit
        if limit is not None and value > limit:
            raise InputError(f"max_seq_length={value}: this architecture has positions for {limit} tokens")
        self.tokenizer.model_max_length = int(value)

    @property
    def has_adapters(self) -> bool:
        """Whether there are adapters, active or not; then these are saved, and not the model under them."""
        return bool(getattr(self.auto_model, "_hf_peft_config_loaded", False))

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the adapters that take part in what :meth:`forward` computes."""
        return adapter_state(self.auto_model)

    @property
    def config(self) -> Any:
        """The configuration of the transformers model."""
        return self.auto_model.config

    def get_embedding_dimension(self) -> int:
        """Width of the token vectors."""
        from vicinal.folder.specs import hidden_size

        return hidden_size(self.config.to_dict(), Path(str(self.config.name_or_path)))

    get_word_embedding_dimension = get_embedding_dimension

    def tokenize(
        self, texts: Sequence[str | Sequence[str] | Mapping[str, str]], padding: bool | str = True
    ) -> Features:
        """Token ids of some texts, or of pairs of texts, padded to the longest and cut at the limit.

        Args:
            texts: texts; or pairs; or dictionaries of one text.
            padding: as transformers' tokenizers take it.
        """
        if texts and isinstance(texts[0], Mapping):
            texts = [next(iter(each.values())) for each in texts if isinstance(each, Mapping)]
        columns: list[list[str]]
        if texts and not isinstance(texts[0], str):
            columns = [[pair[place] for pair in texts] for place in range(len(texts[0]))]  # type: ignore[index]
        else:
            columns = [list(texts)]  # type: ignore[arg-type]
        for column in columns:
            for place, text in enumerate(column):
                if not isinstance(text, str):
                    raise InputTypeError(f"texts[{place}] is {type(text).__name__}, not a text: {text!r}")
        if self.do_lower_case:
            columns = self._lowered(columns)
        for column in columns:
            check_lengths(column)
        with guarded(self.tokenizer.name_or_path or "this module", "cannot split these texts"):
            return dict(
                self.tokenizer(
                    *columns,
                    padding=padding,
                    truncation="longest_first",
                    return_tensors="pt",
                    max_length=self.max_seq_length,
                )
            )

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **options: Any) -> Features:
        """As :meth:`tokenize`, of texts behind a prompt.

        Args:
            inputs: texts.
            prompt: put before each text; how many tokens it takes is ``features["prompt_length"]``, for a pooling that
                leaves it out.
            options: further arguments of :meth:`tokenize`.
        """
        if not prompt:
            return Transformer.tokenize(self, inputs, **options)
        features = Transformer.tokenize(self, [prompt + text for text in inputs], **options)
        ids = Transformer.tokenize(self, [prompt])["input_ids"][0].tolist()
        ends = bool(ids) and ids[-1] in self.tokenizer.all_special_ids
        return {**features, "prompt_length": len(ids) - ends}

    def _lowered(self, columns: list[list[str]]) -> list[list[str]]:
        """Make the tokenizer ignore case, which leaves special tokens in a text whole; or lower the texts."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is None:  # one that is written in Python
            return [[text.lower() for text in column] for column in columns]
        lowercase(backend)
        return columns

    @cached_property
    def _reads(self) -> frozenset[str]:
        return inputs_of(self.auto_model)

    def forward(self, features: Features, **kwargs: Any) -> Features:
        """Add ``token_embeddings``."""
        inputs = {key: value for key, value in features.items() if key in self._reads}
        inputs["input_ids"] = inputs["input_ids"].long()
        if not kwargs and packs(self.config, inputs) and not is_customised(self.auto_model):
            features["token_embeddings"] = packed_vectors(self.auto_model, inputs)
            return features
        outputs = self.auto_model(**inputs, **kwargs, return_dict=True)
        tokens: Tensor = outputs.last_hidden_state
        features["token_embeddings"] = tokens
        if self.config.output_hidden_states and outputs.get("hidden_states") is not None:
            features["all_layer_embeddings"] = outputs.hidden_states
        return features

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens and those that would be cut included."""
        lowered = [text.lower() for text in texts] if self.do_lower_case else list(texts)
        with quiet():  # it warns that the text is longer than the model reads
            ids = self.tokenizer(lowered, padding=False, truncation=False)["input_ids"] if lowered else []
        return [len(each) for each in ids]

    def get_config_dict(self) -> dict[str, Any]:
        """What ``sentence_bert_config.json`` holds."""
        return {"max_seq_length": self.max_seq_length, "do_lower_case": self.do_lower_case}

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Write model, tokenizer and settings."""
        self.save_model(output_path)
        self.save_settings(output_path, config=not self.has_adapters)

    def save_model(self, output_path: str, *, merged: bool = False) -> None:
        """Write weights and ``config.json``; an engine that still reads the old file keeps reading the old one.

        Args:
            output_path: the folder.
            merged: write active adapters into the weights; otherwise they are written alone, without the model.
        """
        target = Path(output_path)
        target.mkdir(parents=True, exist_ok=True)
        model = merged_copy(self.auto_model) if merged or not self.has_adapters else self.auto_model
        with tempfile.TemporaryDirectory(dir=target, prefix=".saving-") as scratch, quiet():
            model.save_pretrained(scratch)
            for pattern in _STALE:
                for file in target.glob(pattern):
                    file.unlink()
            for file in list(Path(scratch).iterdir()):
                share_as_usual(file)
                file.replace(target / file.name)

    def save_settings(self, output_path: str, *, config: bool = True) -> None:
        """Write everything but the weights; a folder of adapters has no ``config.json`` either."""
        Path(output_path).mkdir(parents=True, exist_ok=True)
        if config:
            self.config.save_pretrained(output_path)
        else:
            (Path(output_path) / "config.json").unlink(missing_ok=True)
        self.tokenizer.save_pretrained(output_path)
        write_json(Path(output_path) / _SETTINGS, self.get_config_dict())

    def __repr__(self) -> str:
        return (
            f"Transformer({type(self.auto_model).__name__}, width={self.get_embedding_dimension()}, "
            f"max_seq_length={self.max_seq_length})"
        )


# What would be read in place of, or would contradict, the weights that are written.
_STALE = (
    "model*.safetensors*",
    "pytorch_model*",
    "adapter_*",
    "openvino/*",
    "onnx/*",
    "openvino_model*",
    "model*.onnx",
)

# Keys of config.json that say where it comes from and not what the model is.
_NOT_SETTINGS = {
    "_name_or_path",
    "architectures",
    "auto_map",
    "dtype",
    "gradient_checkpointing",
    "model_type",
    "torch_dtype",
    "transformers_version",
}
