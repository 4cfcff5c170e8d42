"""What every kind of model says of itself, in the words of sentence-transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from vicinal.core.inputs import array_items
from vicinal.errors import InputError, InputTypeError
from vicinal.folder.specs import ModelSpec, TransformerSpec

if TYPE_CHECKING:
    from vicinal.engine.opening import Options
    from vicinal.folder.card_records import TrainingRecord
    from vicinal.models.card_data import BaseModelCardData


class Settings(dict[str, Any]):
    """A ``config.json``, whose keys are attributes too, as transformers' configurations have them."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"config.json has no key {name!r}") from None

    def to_dict(self) -> dict[str, Any]:
        """The keys as a dictionary of their own."""
        return dict(self)


class Members:
    """Base of the models."""

    #: the kind of model, as ``config_sentence_transformers.json`` names it
    model_type: ClassVar[str]
    #: who publishes the models that a bare name means
    default_huggingface_organization: ClassVar[str | None] = None

    _spec: ModelSpec
    _options: Options
    _module: Any
    _card_data: Any = None
    #: whether :meth:`tokenize` asks the torch module, although none was made yet
    _tokenizes_by_module = False
    module: Any
    name_or_path: str
    training_record: TrainingRecord | None
    active_adapters: Callable[[], list[str]]
    tokenizer: Any

    # the model card

    @property
    def model_card_data_class(self) -> type[BaseModelCardData]:
        """The class of :attr:`model_card_data`."""
        from vicinal.models.card_data import card_data_class

        return card_data_class(self.model_type)

    @property
    def model_card_data(self) -> Any:
        """What its user says about the model, for its card: language, license, tags, ...; :meth:`save` writes it."""
        if self._card_data is None:
            self.model_card_data = self.model_card_data_class()
        return self._card_data

    @model_card_data.setter
    def model_card_data(self, value: Any) -> None:
        if not callable(getattr(value, "to_dict", None)):
            raise InputTypeError(
                f"model_card_data is {type(value).__name__}; give a {self.model_card_data_class.__name__}(language=...)"
            )
        self._card_data = value
        if hasattr(value, "register_model"):
            value.register_model(self)

    # what it takes and how it computes

    @property
    def modalities(self) -> list[str]:
        """What the model reads: ``["text"]``."""
        return ["text"]

    def supports(self, modality: Any) -> bool:
        """Whether the model reads ``"text"``, ``"image"``, ...: text it does."""
        return modality in self.modalities

    def is_singular_input(self, inputs: Any) -> bool:
        """Whether something is one input, of which ``encode`` gives one vector, and not a list of inputs."""
        items = array_items(inputs)
        return items is None or (bool(items) and all(map(_is_message, items)))

    @property
    def backend(self) -> str:
        """What was asked to compute: ``"openvino"`` or ``"onnx"``; ``"torch"`` for everything else."""
        asked = self._options.backend
        return asked if asked in ("openvino", "onnx") else "torch"

    def get_backend(self) -> str:
        """The same as :attr:`backend`."""
        return self.backend

    def get_model_kwargs(self) -> list[str]:
        """Names of further arguments that ``encode`` hands on to the modules; ``task`` of models with a ``Router``."""
        first: Any = self._module[0] if self._module is not None else None
        return ["task"] if hasattr(first, "route_of") else []

    @property
    def module_kwargs(self) -> dict[str, list[str]]:
        """For each module by its number, the arguments that it is called with beside the features."""
        if self._module is not None:
            return {
                name: list(getattr(each, "forward_kwargs", ()))
                for name, each in self._module.named_children()
            }
        return {str(place): [] for place in range(len(self._spec.modules))}

    @property
    def transformers_model(self) -> Any:
        """The network of transformers; None where the model begins with something else.

        Raises:
            MissingExtraError: torch or transformers is not installed.
        """
        if self._module is None and not isinstance(self._spec.source, TransformerSpec):
            return None
        for module in self.module.modules():
            found = getattr(module, "auto_model", None)
            if found is not None:
                return found
        return None

    @property
    def processor(self) -> Any:
        """The same as ``tokenizer``."""
        return self.tokenizer

    @property
    def config(self) -> Mapping[str, Any] | None:
        """The transformer's ``config.json``, its keys as attributes too; None where there is no transformer."""
        if self._module is not None:
            network = self.transformers_model
            return None if network is None else Settings(network.config.to_dict())
        source = self._spec.source
        return Settings(source.config) if isinstance(source, TransformerSpec) else None

    # adapters

    def has_peft_compatible_model(self) -> bool:
        """Whether the model has a transformer, which adapters can be put on."""
        return hasattr(self.transformers_model, "add_adapter")

    def check_peft_compatible_model(self) -> None:
        """Refuse models without a transformer.

        Raises:
            InputError: there is none.
        """
        if not self.has_peft_compatible_model():
            raise InputError(f"{self.name_or_path}: adapters are for transformers, and this model has none")

    def active_adapter(self) -> str:
        """Name of the first active adapter."""
        return self.active_adapters()[0]


def _is_message(value: Any) -> bool:
    """Whether something is a message of a chat."""
    return isinstance(value, Mapping) and "role" in value and "content" in value
