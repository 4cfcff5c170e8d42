"""What every kind of model is and does, once: loaded by name, limited, saved, shared, evaluated."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from vicinal.core.inputs import as_texts, caller_level, check_positive
from vicinal.engine.opening import Options, holds_only_graphs, position_limit, read_spec
from vicinal.errors import InputError, InputTypeError
from vicinal.models.adapters import Adapters
from vicinal.models.device import read_device
from vicinal.models.features import preprocess, tokenize
from vicinal.models.keywords import check_keywords
from vicinal.models.members import Members
from vicinal.models.merging import Merging
from vicinal.models.prompts import Prompted
from vicinal.models.renewal import Renewal

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from vicinal.folder.card_records import ModelFacts
    from vicinal.models.workers import WorkerPool

Self = TypeVar("Self", bound="Model")


class Model(Renewal, Prompted, Adapters, Members, Merging):
    """Base of ``SentenceTransformer``, ``CrossEncoder`` and further kinds.

    A kind brings its own verbs (``encode``, ``predict``) and:

    * ``kind``: its name in a folder's ``config_sentence_transformers.json``;
    * a constructor that ends with an engine, or with a torch module to build one from;
    * ``_make_module`` and ``_renewed``: its torch module, and an engine from that (see ``renewal.py``);
    * ``_write`` and ``_facts``: its folder, and what its card says.
    """

    kind: str

    def __init__(
        self,
        model_name_or_path: str | os.PathLike[str] | None,
        *,
        device: Any,
        options: Options,
        tokenizer_settings: Sequence[Mapping[str, Any] | None],
        trust_remote_code: bool,
        cache_folder: str | os.PathLike[str] | None,
        revision: str | None,
        local_files_only: bool,
        token: bool | str | None,
        config_kwargs: Mapping[str, Any] | None,
        model_card_data: Any = None,
    ) -> None:
        """Find and read the folder, if there is a name; arguments as in ``SentenceTransformer``.

        Args:
            tokenizer_settings: ``processor_kwargs`` under its names of all years, the newest last.
        """
        self.__setstate__({"_spec": None, "_engine": None, "_mark": None})
        device = options.device if options.device is not None else device
        self._device = read_device(device)
        self._options = options
        self._tokenizer_settings = {
            key: value for each in tokenizer_settings for key, value in (each or {}).items()
        }
        self.trust_remote_code = trust_remote_code
        if not isinstance(model_name_or_path, (str, os.PathLike, type(None))):
            raise InputTypeError(
                f"model_name_or_path is {type(model_name_or_path).__name__}; give a model folder or a hub name"
            )
        self.name_or_path = "" if model_name_or_path is None else os.fspath(model_name_or_path)
        if model_name_or_path is not None:
            self._spec = read_spec(
                model_name_or_path,
                cache_folder=cache_folder,
                revision=revision,
                local_files_only=local_files_only,
                token=token,
                config_kwargs=config_kwargs,
                organisation=self.default_huggingface_organization or "sentence-transformers",
            )
            if device is None and holds_only_graphs(self._spec):
                self._device = read_device("cpu")
            check_keywords(self._spec, config_kwargs, self._tokenizer_settings)
        if model_card_data is not None:
            self.model_card_data = model_card_data

    @classmethod
    def load(cls: type[Self], input_path: str | os.PathLike[str]) -> Self:
        """The same as ``cls(input_path)``, as old code writes it."""
        return cls(input_path)  # type: ignore[call-arg]

    # tokens

    @property
    def max_seq_length(self) -> int:
        """Tokens of an input that count, special tokens included; what is longer is cut."""
        if self._module is not None:
            length = getattr(self._module[0], "max_seq_length", None)
            return int(length or self._texts.max_length)
        return self._texts.max_length

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        self._limit_length(value, "max_seq_length")

    def get_max_seq_length(self) -> int:
        """The same as :attr:`max_seq_length`."""
        return self.max_seq_length

    def _limit_length(self, value: int, name: str) -> None:
        """Set the limit, for the module too; ``name`` is what the caller calls it.

        Raises:
            InputTypeError: not an integer.
            InputError: not positive, or more tokens than the architecture has positions for.
        """
        if value is None:
            raise InputTypeError(f"{name}=None: give the number of tokens that count")
        check_positive(value, name)
        limit = position_limit(self._spec.source)
        if limit is not None and value > limit:
            raise InputError(f"{name}={value}: this architecture has positions for {limit} tokens")
        self._texts.max_length = int(value)
        if self._module is not None and hasattr(self._module[0], "max_seq_length"):
            self._module[0].max_seq_length = int(value)

    @property
    def tokenizer(self) -> Tokenizer:
        """A copy of the ``tokenizers.Tokenizer``, the same one each time; truncation and padding are done elsewhere.

        Whatever is done to it, vectors stay what they are. To change how texts are split, assign a tokenizer, or set
        :attr:`max_seq_length`; ``processor_kwargs`` changes the folder's options when the model is loaded.
        """
        found: Tokenizer = self._texts.given
        return found

    @tokenizer.setter
    def tokenizer(self, value: Any) -> None:
        """Give the torch module another tokenizer, which encode, training and saving use from then on.

        Raises:
            MissingExtraError: torch is not installed.
            InputTypeError: not a tokenizer of the kind that the module has.
        """
        first: Any = self.module[0]
        known = getattr(first, "tokenizer", None)
        if known is None or not all(hasattr(value, name) for name in _tokenizer_methods(known)):
            raise InputTypeError(
                f"tokenizer is {type(value).__name__}; {type(first).__name__} has a {type(known).__name__}. Of a "
                "tokenizers.Tokenizer, transformers makes one: PreTrainedTokenizerFast(tokenizer_object=...)"
            )
        first.tokenizer = value

    def tokenize(self, texts: str | Iterable[Any], task: str | None = None) -> dict[str, Any]:
        """What the model's first module reads, cut to ``max_seq_length`` and padded to the longest text.

        For a transformer: ``input_ids`` and ``attention_mask``, ``(n, length)`` int64, and ``token_type_ids``
        for pairs. For a static model: ``input_ids`` ``(total,)``, all texts in one row, and ``offsets`` ``(n,)``, where
        each begins. These are torch tensors in a process that has imported torch, else arrays.

        Args:
            texts: texts, or pairs of texts, or dictionaries of one text.
            task: for models with a ``Router``.
        """
        return tokenize(self, texts, task)

    def preprocess(
        self, inputs: str | Iterable[Any], prompt: str | None = None, *, task: str | None = None
    ) -> dict[str, Any]:
        """:meth:`tokenize`, with a prompt before each text, whose tokens ``prompt_length`` counts."""
        return preprocess(self, inputs, prompt, task)

    @overload
    def count_tokens(self, sentences: str) -> int: ...

    @overload
    def count_tokens(self, sentences: list[str]) -> list[int]: ...

    @overload
    def count_tokens(self, sentences: Iterable[str]) -> int | list[int]: ...

    def count_tokens(self, sentences: str | Iterable[str]) -> int | list[int]:
        """Tokens of a text, or of each text, before truncation and with special tokens.

        Compare with :attr:`max_seq_length` to see what would be cut.
        """
        texts, single = as_texts(sentences)
        counts: list[int] = self._texts.count(texts).tolist()
        return counts[0] if single else counts

    # saving and sharing

    def _write(self, folder: Path) -> None:
        """Write weights, tokenizer and settings."""
        raise NotImplementedError

    def _facts(self, name: str) -> ModelFacts:
        """What the card says of the model, under this name."""
        raise NotImplementedError

    def save(
        self,
        path: str | os.PathLike[str],
        model_name: str | None = None,
        create_model_card: bool = True,
        train_datasets: Sequence[str] | None = None,
        safe_serialization: bool = True,
        *,
        allow_non_finite: bool = False,
    ) -> None:
        """Write a model folder that Vicinal and sentence-transformers load.

        Args:
            path: the folder, made if absent; files of the same names are replaced.
            model_name: the title of the model card, default the folder's name.
            create_model_card: write README.md.
            train_datasets: names of data sets on the hub, for the card's metadata.
            safe_serialization: False changes nothing but for a warning; weights are written as safetensors only.
            allow_non_finite: write weights that hold NaN or infinite numbers, too; only torch reads them.

        Raises:
            InputError: ``path`` is a file, or the weights are not finite: the training diverged.
        """
        _check_safe(safe_serialization)
        from vicinal.folder.card import write_card

        if self._module is not None and not allow_non_finite:
            from vicinal.nn.modules.memory import not_finite

            broken = not_finite(self._module)
            if broken is not None:
                raise InputError(
                    f"{os.fspath(path)} is not written: the weight {broken!r} holds NaN or infinite numbers, as the "
                    "training diverged. Train again with a lower learning rate, or pass allow_non_finite=True"
                )

        folder = Path(path)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file; save takes a folder")
        self._write(folder)
        if self._spec is not None:
            self._spec.renew_files(folder)
        if create_model_card:
            original = self._spec.folder if self._module is None else None
            facts, said = self._said_facts(model_name or folder.name, train_datasets or ())
            write_card(folder, facts, self.training_record, original=original, new=said)

    save_pretrained = save

    def _said_facts(self, name: str, datasets: Sequence[str] = ()) -> tuple[ModelFacts, bool]:
        """What the card says, with what the user said of the model on top; and whether that was anything."""
        said = self._card_data.said() if hasattr(self._card_data, "said") else {}
        facts = self._facts(said.get("model_id") or name)
        if not said and not datasets:
            return facts, False
        ids = [each["id"] for each in said.get("train_datasets", ()) if each.get("id")]
        more = replace(
            facts,
            language=tuple(said.get("language") or facts.language),
            license=said.get("license") or facts.license,
            title=said.get("model_name") or "",
            task=said.get("task_name") or "",
            tags=tuple(said.get("tags", ())),
            datasets=tuple(dict.fromkeys([*ids, *datasets])),
            base_model=said.get("base_model"),
        )
        return more, True

    def push_to_hub(
        self,
        repo_id: str,
        token: str | bool | None = None,
        private: bool | None = None,
        safe_serialization: bool = True,
        commit_message: str | None = None,
        local_model_path: str | os.PathLike[str] | None = None,
        exist_ok: bool = False,
        replace_model_card: bool = False,
        train_datasets: Sequence[str] | None = None,
        revision: str | None = None,
        create_pr: bool = False,
    ) -> str:
        """Save the model to a repository of the hub; see :func:`vicinal.hub.publish.push_to_hub`.

        Returns:
            The address of the commit.
        """
        _check_safe(safe_serialization)
        from vicinal.hub.publish import push_to_hub

        return push_to_hub(
            self,
            repo_id,
            token=token,
            private=private,
            commit_message=commit_message,
            local_model_path=local_model_path,
            exist_ok=exist_ok,
            replace_model_card=replace_model_card,
            train_datasets=train_datasets,
            revision=revision,
            create_pr=create_pr,
        )

    def save_to_hub(self, repo_id: str, organization: str | None = None, **options: Any) -> str:
        """The old name of :meth:`push_to_hub`, whose other arguments it takes."""
        from vicinal.hub.publish import save_to_hub

        return save_to_hub(self, repo_id, organization, **options)

    def evaluate(self, evaluator: Any, output_path: str | os.PathLike[str] | None = None) -> Any:
        """Call an evaluator with this model.

        Args:
            evaluator: called with ``(model, output_path)``.
            output_path: the folder for its files, made if absent.
        """
        if output_path is not None:
            Path(output_path).mkdir(parents=True, exist_ok=True)
        return evaluator(self, None if output_path is None else os.fspath(output_path))

    # worker processes

    def start_multi_process_pool(self, target_devices: Sequence[Any] | None = None) -> WorkerPool:
        """Start worker processes with copies of this model.

        Args:
            target_devices: one worker each: ``["cuda:0", "cuda:1"]``, ``["cpu"] * 4``; default all GPUs, or
                the CPU's cores.
        """
        from vicinal.models.workers import WorkerPool

        return WorkerPool(self, target_devices)

    @staticmethod
    def stop_multi_process_pool(pool: WorkerPool) -> None:
        """End the workers of a pool."""
        pool.close()


def _tokenizer_methods(known: Any) -> tuple[str, ...]:
    """What tells a tokenizer of transformers from one of the tokenizers library."""
    ours = hasattr(known, "encode_batch")
    return ("encode_batch", "to_str") if ours else ("model_max_length", "save_pretrained")


def _check_safe(safe_serialization: bool) -> None:
    """Say that no pickles are written.

    Warns:
        UserWarning: ``safe_serialization`` is False.
    """
    if not safe_serialization:
        warnings.warn(
            "safe_serialization=False has no effect: weights are written as safetensors only",
            UserWarning,
            stacklevel=caller_level(),
        )
