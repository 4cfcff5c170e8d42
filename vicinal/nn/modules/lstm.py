"""LSTM: a recurrent layer over the token vectors."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from vicinal.core.inputs import check_positive
from vicinal.errors import InputTypeError
from vicinal.nn.modules.base import Features, Module


class LSTM(Module):
    """Token vectors become the states of an LSTM (Hochreiter and Schmidhuber 1997) that reads them.

    Args:
        embedding_dimension: width of a token's vector; ``word_embedding_dimension`` is its old name.
        hidden_dim: width of a state.
        num_layers: layers upon each other, default 1.
        dropout: share of the states that is set to 0 between layers while training, default 0.
        bidirectional: also read backwards (default); both states stand side by side.

    Replaces ``token_embeddings`` ``(n, length, width)`` by ``(n, length, hidden_dim * directions)``; padding
    is not read.
    """

    config_keys = ("embedding_dimension", "hidden_dim", "num_layers", "dropout", "bidirectional")
    config_file_name = "lstm_config.json"

    def __init__(
        self,
        embedding_dimension: int | None = None,
        hidden_dim: int | None = None,
        num_layers: int = 1,
        dropout: float = 0,
        bidirectional: bool = True,
        *,
        word_embedding_dimension: int | None = None,
    ) -> None:
        super().__init__()
        width = embedding_dimension if embedding_dimension is not None else word_embedding_dimension
        if width is None or hidden_dim is None:
            raise InputTypeError(
                "embedding_dimension and hidden_dim: give the widths of a token's vector and of a state"
            )
        for name, value in (
            ("embedding_dimension", width),
            ("hidden_dim", hidden_dim),
            ("num_layers", num_layers),
        ):
            check_positive(value, name)
        self.embedding_dimension = width
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.dropout = dropout
        self.bidirectional = bidirectional
        self.encoder = nn.LSTM(
            width, hidden_dim, num_layers, dropout=dropout, bidirectional=bidirectional, batch_first=True
        )

    def get_embedding_dimension(self) -> int:
        """Width of the token vectors that leave."""
        return self.hidden_dim * (2 if self.bidirectional else 1)

    get_word_embedding_dimension = get_embedding_dimension

    def forward(self, features: Features) -> Features:
        """Replace ``token_embeddings``."""
        tokens = features["token_embeddings"]
        # A text without tokens reads one of padding; pooling leaves it out again.
        lengths = features["attention_mask"].sum(1).clamp(min=1).cpu()
        packed = pack_padded_sequence(tokens, lengths, batch_first=True, enforce_sorted=False)
        states, _ = self.encoder(packed)
        features["token_embeddings"], _ = pad_packed_sequence(
            states, batch_first=True, total_length=tokens.shape[1]
        )
        return features
