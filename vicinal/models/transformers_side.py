"""What transformers has to say of a model that is a torch module: its tokenizer, its configuration."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from vicinal.folder.specs import TransformerSpec
from vicinal.models.base import Model


class TransformersSide(Model):
    """Base of the models that are torch modules; it makes their modules where these are asked for."""

    @property
    def _tokenizes_by_module(self) -> bool:  # type: ignore[override]
        return find_spec("transformers") is not None

    @property
    def tokenizer(self) -> Any:
        """The first module's tokenizer, which texts are split by; it may be changed, and another one assigned.

        That of transformers, where the model begins with one of its networks. Where transformers is not installed, a
        copy of the ``tokenizers.Tokenizer``.
        """
        if self._module is None and not self._tokenizes_by_module and self._is_transformer:
            return Model.tokenizer.fget(self)  # type: ignore[attr-defined]
        return getattr(self.module[0], "tokenizer", None)

    @tokenizer.setter
    def tokenizer(self, value: Any) -> None:
        Model.tokenizer.fset(self, value)  # type: ignore[attr-defined]

    @property
    def config(self) -> Any:
        """The configuration of the network of transformers; None where there is none.

        Without transformers, the content of ``config.json``, whose keys are attributes too.
        """
        if self._module is None and (not self._tokenizes_by_module or not self._is_transformer):
            return super().config
        return getattr(self.transformers_model, "config", None)

    @config.setter
    def config(self, value: Any) -> None:
        network = self.transformers_model
        if network is not None:
            network.config = value

    @property
    def _is_transformer(self) -> bool:
        return isinstance(self._spec.source, TransformerSpec)

    def smart_batching_collate(self, batch: list[Any]) -> Any:
        """Features and labels of a batch of ``InputExample``, for a ``DataLoader``.

        Returns:
            For a model that gives vectors, features per column, and labels; for one that scores pairs, one of each.
        """
        from vicinal.nn.fit.collation import collated_columns, collated_pairs

        if hasattr(self, "predict"):
            return collated_pairs(self, batch)
        return collated_columns(self, batch)

    def smart_batching_collate_text_only(self, batch: list[Any]) -> Any:
        """Features of a batch of pairs of texts, for a ``DataLoader``; for models that score pairs."""
        from vicinal.nn.fit.collation import pair_features

        return pair_features(self, batch)
