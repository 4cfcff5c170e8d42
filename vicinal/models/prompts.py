"""Prompts: named texts that go before each input, as ``config_sentence_transformers.json`` keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from vicinal.core.inputs import as_prompts, shown
from vicinal.errors import InputError, InputTypeError
from vicinal.folder.specs import ModelSpec


class Prompted:
    """Base of the models.

    Attributes:
        prompts: name -> text; may be changed at any time.
        default_prompt_name: the prompt for calls that name none; None for no prompt.
    """

    #: what a model has where neither folder nor caller say something else
    _default_prompts: ClassVar[Mapping[str, str]] = {}
    prompts: dict[str, str]
    default_prompt_name: str | None

    def _set_prompts(
        self, spec: ModelSpec, prompts: Mapping[str, str] | None, default_prompt_name: str | None
    ) -> None:
        """Take the folder's prompts, and those of the caller on top.

        Raises:
            InputTypeError: ``prompts`` is not a mapping of names to texts.
            InputError: there is no prompt of the default's name.
        """
        self.prompts = {**self._default_prompts, **spec.prompts, **as_prompts(prompts)}
        self.default_prompt_name = default_prompt_name or spec.default_prompt_name
        if self.default_prompt_name is not None:
            self._prompt(None, self.default_prompt_name)

    def _prompt(self, prompt: str | None, prompt_name: str | None) -> str:
        """The text to put before each input: ``prompt``, else the one named, else the default, else ``""``.

        Raises:
            InputTypeError: one of them is not a text.
            InputError: there is no prompt of this name.
        """
        if prompt is not None:
            if not isinstance(prompt, str):
                raise InputTypeError(f"prompt={shown(prompt)} is {type(prompt).__name__}, not a text")
            return prompt
        name = prompt_name if prompt_name is not None else self.default_prompt_name
        if name is None:
            return ""
        if not isinstance(name, str):
            raise InputTypeError(f"prompt_name={shown(name)} is {type(name).__name__}, not a name")
        if name not in self.prompts:
            raise InputError(
                f"prompt_name={name!r}: the model has no prompt of this name; "
                f"it has {', '.join(map(repr, self.prompts)) or 'none'}. prompt= takes the text itself"
            )
        return self.prompts[name]

    def _role(self, names: Sequence[str], prompt_name: str | None, prompt: str | None) -> str | None:
        """The prompt's name for a role such as a query: what the caller said, else the first of ``names``."""
        if prompt_name is not None or prompt is not None:
            return prompt_name
        known = [name for name in names if name in self.prompts]
        # A folder's empty "document" must not hide its "passage".
        return next((name for name in known if self.prompts[name]), known[0] if known else None)
