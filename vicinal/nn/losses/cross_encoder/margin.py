"""MarginMSELoss: differences of scores are distilled."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from vicinal.errors import InputError
from vicinal.nn.losses.base import LabelKind
from vicinal.nn.losses.cross_encoder.base import CrossEncoderLoss, Pair


class MarginMSELoss(CrossEncoderLoss):
    """The margin between the scores of the positive and of each negative shall be the teacher's: the mean of the
    squared differences.

    Inputs: (query, positive, negative, ...) tuples. The label is the margin ``score(positive) - score(negative)``
    of each negative, or the scores of the positive and of each negative.

    Args:
        model: the ``CrossEncoder`` to train, with one label.
        activation_fn: what raw scores go through first; default nothing.

    Relation to the others: unlike with MSELoss, the student is free to place its scores where it likes.

    Reference: Hofstätter, Althammer, Schröder, Sertkan and Hanbury, 2020, "Improving Efficient Neural Ranking Models
    with Cross-Architecture Knowledge Distillation", arXiv:2010.02666.

    Example::

        loss = losses.MarginMSELoss(model)
        texts = ["How to boil eggs?", "Cook the eggs for 8 minutes.", "Eggs come from hens."]
        examples = [InputExample(texts=texts, label=4.5)]
        model.fit(DataLoader(examples, batch_size=16, shuffle=True), loss_fct=loss)
    """

    columns = (3, None)
    labels: LabelKind = "margin"
    citation = """@misc{hofstatter2020improving, title={Improving Efficient Neural Ranking Models with
Cross-Architecture Knowledge Distillation}, author={Sebastian Hofst{\\"a}tter and Sophia Althammer and Michael
Schr{\\"o}der and Mete Sertkan and Allan Hanbury}, year={2020}, eprint={2010.02666}, archivePrefix={arXiv}}"""

    def _pairs(self, columns: list[list[str]]) -> list[Pair]:
        return [(query, text) for query, *texts in zip(*columns, strict=True) for text in texts]

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        assert labels is not None
        scores = embeddings[0]  # (rows, 1 + negatives)
        rows = len(scores)
        margins = scores[:, :1] - scores[:, 1:]
        wanted = labels.to(scores.dtype).reshape(rows, -1)
        if wanted.shape[1] == scores.shape[1]:
            wanted = wanted[:, :1] - wanted[:, 1:]
        if wanted.shape != margins.shape:
            count = margins.shape[1]
            raise InputError(
                f"{self.name} got labels of shape {tuple(labels.shape)} for {rows} rows with {count} negative"
                f"{'s' * (count > 1)}: give each row {count} margins, or {count + 1} scores, the positive's first"
            )
        return functional.mse_loss(margins, wanted)
