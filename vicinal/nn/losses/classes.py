"""SoftmaxLoss: a classifier on top of the embeddings of two texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vicinal.core.inputs import check_positive
from vicinal.errors import InputError, InputTypeError
from vicinal.nn.losses.base import Loss
from vicinal.nn.losses.embed import Features


class SoftmaxLoss(Loss):
    """The class of a pair is read off its two embeddings: the cross-entropy of a linear classifier of
    ``[u, v, |u - v|, u * v]`` (the parts are chosen below).

    Inputs: (text, text) pairs; the number of a class each, 0 to ``num_labels - 1`` (natural language inference,
    for instance). The classifier's weights belong to the loss: train and save them with it.

    Args:
        model: the model to train.
        embedding_dimension: the dimension of its embeddings; ``sentence_embedding_dimension`` is its old name.
        num_labels: number of classes.
        concatenation_sent_rep: the classifier sees both embeddings.
        concatenation_sent_difference: it sees the absolute difference.
        concatenation_sent_multiplication: it sees the products of the elements.
        loss_fct: (n, num_labels) logits, (n,) classes -> scalar; the cross-entropy if None.

    Relation to the others: kept for old recipes; from NLI data MultipleNegativesRankingLoss, with the
    entailed text as positive and the contradiction as negative, learns much better embeddings.

    Reference: Reimers and Gurevych, 2019, "Sentence-BERT", arXiv:1908.10084 (section 3, classification).

    Example::

        loss = losses.SoftmaxLoss(model, model.get_sentence_embedding_dimension(), num_labels=3)
        examples = [InputExample(texts=["A man plays.", "A person plays."], label=1)]
        model.fit([(DataLoader(examples, batch_size=16, shuffle=True), loss)])

    Raises:
        InputError: the classifier would see nothing, or a count is not positive.
    """

    labels = "class"
    citation = """@inproceedings{reimers-2019-sentence-bert, title={Sentence-BERT: Sentence Embeddings using Siamese
BERT-Networks}, author={Reimers, Nils and Gurevych, Iryna}, booktitle={EMNLP}, year={2019},
url={https://arxiv.org/abs/1908.10084}}"""

    def __init__(
        self,
        model: Any,
        embedding_dimension: int | None = None,
        num_labels: int | None = None,
        concatenation_sent_rep: bool = True,
        concatenation_sent_difference: bool = True,
        concatenation_sent_multiplication: bool = False,
        loss_fct: Callable[[Tensor, Tensor], Tensor] | None = None,
        *,
        sentence_embedding_dimension: int | None = None,
    ) -> None:
        super().__init__(model)
        embedding_dimension = (
            sentence_embedding_dimension if embedding_dimension is None else embedding_dimension
        )
        if embedding_dimension is None or num_labels is None:
            raise InputTypeError("SoftmaxLoss needs embedding_dimension and num_labels, both whole numbers")
        check_positive(embedding_dimension, "embedding_dimension")
        check_positive(num_labels, "num_labels")
        parts = 2 * concatenation_sent_rep + concatenation_sent_difference + concatenation_sent_multiplication
        if not parts:
            raise InputError(
                "SoftmaxLoss with all three concatenation_sent_... off sees nothing: set one to True"
            )
        self.num_labels = num_labels
        self.concatenation_sent_rep = concatenation_sent_rep
        self.concatenation_sent_difference = concatenation_sent_difference
        self.concatenation_sent_multiplication = concatenation_sent_multiplication
        self.classifier = nn.Linear(parts * embedding_dimension, num_labels)
        device = getattr(model, "device", None)
        if device is not None:
            self.classifier.to(str(device))
        self.loss_fct = nn.CrossEntropyLoss() if loss_fct is None else loss_fct

    @classmethod
    def for_labels(cls, model: Any, labels: Sequence[Any]) -> SoftmaxLoss:
        """As in the base: a class for each number up to the largest label, two at the minimum."""
        return cls(model, model.get_embedding_dimension(), max(2, int(max(labels)) + 1))

    def logits(self, sentence_features: Iterable[Features]) -> Tensor:
        """(n, num_labels) logits of the classes of pairs; the greatest is the prediction."""
        return self._logits(self.embed(sentence_features))

    def forward(self, sentence_features: Iterable[Features], labels: Tensor | None = None) -> Any:
        """The loss; without labels, to predict, the vectors of each column and the logits of the pairs."""
        if labels is None:
            embeddings = self.embed(sentence_features)
            return embeddings, self._logits(embeddings)
        return super().forward(sentence_features, labels)

    def _logits(self, embeddings: list[Tensor]) -> Tensor:
        u, v = embeddings
        parts = [u, v] if self.concatenation_sent_rep else []
        if self.concatenation_sent_difference:
            parts.append((u - v).abs())
        if self.concatenation_sent_multiplication:
            parts.append(u * v)
        logits: Tensor = self.classifier(torch.cat(parts, dim=1).to(self.classifier.weight.dtype))
        return logits

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        assert labels is not None
        return self.loss_fct(self._logits(embeddings), labels.long())

    def get_config_dict(self) -> dict[str, Any]:
        return {
            "num_labels": self.num_labels,
            "concatenation_sent_rep": self.concatenation_sent_rep,
            "concatenation_sent_difference": self.concatenation_sent_difference,
            "concatenation_sent_multiplication": self.concatenation_sent_multiplication,
        }
