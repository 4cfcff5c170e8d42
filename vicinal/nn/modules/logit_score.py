"""A score read off the logits of a language model's next token."""

from __future__ import annotations

from vicinal.core.inputs import as_count
from vicinal.nn.modules.base import Features, Module, read_feature


class LogitScore(Module):
    """The relevance of a pair, from what a language model would say next: the logit of one token, such as that of
    "yes", or its difference to that of another, "no".

    Texts must be padded on the left, so that the last position is the text's end.

    Args:
        true_token_id: id of the token that says yes.
        false_token_id: id of the token that says no; None takes the first one's logit alone.
        module_input_name: the key that is read: (n, length, vocabulary) logits.

    The key that is written is ``"scores"``, (n, 1).
    """

    config_keys = ("true_token_id", "false_token_id", "module_input_name")

    def __init__(
        self,
        true_token_id: int,
        false_token_id: int | None = None,
        module_input_name: str = "causal_logits",
    ) -> None:
        super().__init__()
        self.true_token_id = as_count(true_token_id, "true_token_id", smallest=0)
        self.false_token_id = (
            None if false_token_id is None else as_count(false_token_id, "false_token_id", smallest=0)
        )
        self.module_input_name = module_input_name

    def forward(self, features: Features) -> Features:
        """Add the scores."""
        last = read_feature(features, self.module_input_name, self)[:, -1]
        scores = last[:, self.true_token_id]
        if self.false_token_id is not None:
            scores = scores - last[:, self.false_token_id]
        features["scores"] = scores.unsqueeze(1)
        return features
