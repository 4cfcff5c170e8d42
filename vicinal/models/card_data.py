"""What users say about a model for its card: the objects behind ``model.model_card_data``."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from vicinal.errors import InputError, InputTypeError
from vicinal.folder.card_records import base_model_of, versions

__all__ = [
    "BaseModelCardData",
    "CrossEncoderModelCardData",
    "SentenceTransformerModelCardData",
    "generate_model_card",
    "get_versions",
]

_KEPT_BACK = ("model", "eval_results_dict", "local_files_only", "generate_widget_examples")


@dataclass
class BaseModelCardData:
    """Facts for a model card that no file holds.

    Args:
        language: codes, ``"en"`` or ``["en", "de"]``.
        license: the hub's code, such as ``"apache-2.0"``.
        model_name: the card's title.
        model_id: the model's name on the hub, ``"org/name"``; the examples load it.
        train_datasets, eval_datasets: ``[{"name": "SNLI", "id": "stanfordnlp/snli"}, ...]``; ids go into the metadata.
        task_name: what the model is for, in words.
        tags: the hub's tags.
        local_files_only: kept; nothing here asks the hub.
        generate_widget_examples: kept; Vicinal's cards hold no examples for a widget.

    Raises:
        InputError: ``model_id`` is not of the form ``org/name``.
    """

    language: str | list[str] | None = field(default_factory=list)
    license: str | None = None
    model_name: str | None = None
    model_id: str | None = None
    train_datasets: list[dict[str, str]] = field(default_factory=list)
    eval_datasets: list[dict[str, str]] = field(default_factory=list)
    task_name: str | None = "retrieval"
    tags: list[str] = field(
        default_factory=lambda: ["sentence-transformers", "sentence-similarity", "feature-extraction"]
    )
    local_files_only: bool = False
    generate_widget_examples: bool = True

    base_model: str | None = field(default=None, init=False)
    base_model_revision: str | None = field(default=None, init=False)
    eval_results_dict: dict[Any, dict[str, Any]] = field(default_factory=dict, init=False)
    best_model_step: int | None = field(default=None, init=False)
    pipeline_tag: str = field(default="sentence-similarity", init=False)
    library_name: str = field(default="sentence-transformers", init=False)
    version: dict[str, str] = field(default_factory=versions, init=False)
    model: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.language, str):
            self.language = [self.language]
        if self.language is not None and not isinstance(self.language, (list, tuple)):
            raise InputTypeError(
                f"language is {type(self.language).__name__}; give a code, 'en', or a list of codes"
            )
        self.train_datasets = self.validate_datasets(self.train_datasets)
        self.eval_datasets = self.validate_datasets(self.eval_datasets)
        if self.model_id:
            self.set_model_id(self.model_id)

    def validate_datasets(
        self, dataset_list: list[dict[str, Any]], infer_languages: bool | None = None
    ) -> list[dict[str, Any]]:
        """The data sets, each with a name: its id where it has none. ``infer_languages`` has no effect.

        Raises:
            InputError: one has neither a name nor an id.
            InputTypeError: one is not a dictionary.
        """
        for place, each in enumerate(dataset_list):
            if not isinstance(each, dict):
                raise InputTypeError(
                    f"dataset {place} is {type(each).__name__}; give {{'name': ..., 'id': 'org/name'}}"
                )
            if "id" not in each and "name" not in each:
                raise InputError(f"dataset {place} is {each!r}, without 'name' and 'id': give one of them")
        return [
            {**each, "name": each["id"]} if "id" in each and "name" not in each else each
            for each in dataset_list
        ]

    def register_model(self, model: Any) -> None:
        """Say whose card it is; a model does so itself."""
        self.model = model
        if self.base_model is None:
            self.base_model = base_model_of(model)

    def set_model_id(self, model_id: str) -> None:
        """The model's name on the hub.

        Raises:
            InputError: not of the form ``org/name``.
        """
        if not isinstance(model_id, str):
            raise InputTypeError(f"model_id is {type(model_id).__name__}; give a text, 'org/name'")
        if model_id.count("/") != 1:
            raise InputError(f"model_id={model_id!r}: give the owner too, 'org/name'")
        self.model_id = model_id

    def set_base_model(self, model_id: str, revision: str | None = None) -> None:
        """What the model was trained from, by its name on the hub."""
        self.base_model, self.base_model_revision = model_id, revision

    def set_language(self, language: str | list[str]) -> None:
        """The language's code, or several."""
        self.language = [language] if isinstance(language, str) else language

    def set_license(self, license: str) -> None:
        """The license's code on the hub."""
        self.license = license

    def add_tags(self, tags: str | list[str]) -> None:
        """Add tags that are not there yet."""
        more = [tags] if isinstance(tags, str) else tags
        self.tags += [tag for tag in dict.fromkeys(more) if tag not in self.tags]

    def set_losses(self, losses: list[Any]) -> None:
        """Tag the card with the names of losses, as trainers do by themselves."""
        self.add_tags([f"loss:{type(loss).__name__}" for loss in losses])

    def set_best_model_step(self, step: int) -> None:
        """Remember the step of the best model."""
        self.best_model_step = step

    def set_evaluation_metrics(
        self, evaluator: Any, metrics: dict[str, Any], epoch: float = 0, step: int = 0
    ) -> None:
        """Remember an evaluator's metrics; a trainer's card has them by itself, with epoch and step."""
        self.eval_results_dict[evaluator] = dict(metrics)

    def get_default_model_name(self) -> str:
        """The title of a card that nobody gave one."""
        name = type(self.model).__name__ if self.model is not None else _kind_of(self)
        return f"{name} based on {self.base_model}" if self.base_model else name

    def said(self) -> dict[str, Any]:
        """The fields that differ from the defaults, for a card: what its user said."""
        plain = type(self)()
        plain.register_model(self.model)
        names = (
            "language",
            "license",
            "model_name",
            "model_id",
            "train_datasets",
            "task_name",
            "tags",
            "base_model",
        )
        return {name: getattr(self, name) for name in names if getattr(self, name) != getattr(plain, name)}

    def to_dict(self) -> dict[str, Any]:
        """All fields, with the title and what training filled in."""
        found = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in _KEPT_BACK}
        record = getattr(self.model, "training_record", None)
        if record is not None:
            found["train_datasets"] = self.train_datasets or [_named(each) for each in record.datasets]
            found["eval_datasets"] = self.eval_datasets or [
                _named(each) for each in record.evaluation_datasets
            ]
            found["base_model"] = self.base_model or record.base_model
        found["model_name"] = self.model_name or self.get_default_model_name()
        return found

    def get(self, key: str, default: Any = None) -> Any:
        """A field by its name; ``default`` where it is None."""
        value = getattr(self, key, None)
        return default if value is None else value

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self, key, value)

    def __contains__(self, key: str) -> bool:
        return hasattr(self, key)

    def to_yaml(self, line_break: str | None = None, original_order: list[str] | None = None) -> str:
        """The card's metadata."""
        from huggingface_hub import CardData

        data = self.to_dict()
        names = ("language", "license", "tags", "base_model", "pipeline_tag", "library_name")
        kept: dict[str, Any] = {name: data[name] for name in names if data.get(name)}
        ids = [each["id"] for each in data["train_datasets"] if each.get("id")]
        if ids:
            kept["datasets"] = ids
        return str(CardData(**kept).to_yaml(line_break=line_break))


@dataclass
class SentenceTransformerModelCardData(BaseModelCardData):
    """Facts for the card of a ``SentenceTransformer``; arguments as in :class:`BaseModelCardData`."""

    task_name: str | None = (
        "semantic textual similarity, semantic search, paraphrase mining, classification, clustering, and more"
    )
    tags: list[str] = field(
        default_factory=lambda: [
            "sentence-transformers",
            "sentence-similarity",
            "feature-extraction",
            "dense",
        ]
    )


@dataclass
class CrossEncoderModelCardData(BaseModelCardData):
    """Facts for the card of a ``CrossEncoder``; arguments as in :class:`BaseModelCardData`."""

    task_name: str | None = None
    tags: list[str] = field(default_factory=lambda: ["sentence-transformers", "cross-encoder", "reranker"])
    pipeline_tag: str = field(default="text-ranking", init=False)

    def register_model(self, model: Any) -> None:
        """Say whose card it is; the task follows the number of labels."""
        super().register_model(model)
        if self.task_name is None:
            one = getattr(model, "num_labels", 1) == 1
            self.task_name = "text reranking and semantic search" if one else "text pair classification"


def card_data_class(kind: str) -> type[BaseModelCardData]:
    """The class for a kind of model."""
    return CrossEncoderModelCardData if kind == "CrossEncoder" else SentenceTransformerModelCardData


def _kind_of(data: BaseModelCardData) -> str:
    return type(data).__name__.removesuffix("ModelCardData")


def _named(record: Any) -> dict[str, str]:
    return {"name": record.name, **({"id": record.hub_name} if record.hub_name else {})}


def generate_model_card(model: Any) -> str:
    """The text of a model's card, as :meth:`save` writes it."""
    from vicinal.folder.card import render
    from vicinal.folder.card_records import title_of

    facts, _ = model._said_facts(title_of(model.name_or_path or "model"))
    return render(facts, model.training_record)


def get_versions() -> dict[str, str]:
    """Package -> version, of the packages that matter here."""
    return versions()
