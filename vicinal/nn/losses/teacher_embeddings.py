"""Losses that learn a teacher's embeddings: EmbedDistillLoss, MSELoss."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from vicinal.core.inputs import check_choice, check_positive
from vicinal.errors import InputError
from vicinal.folder.write import write_bytes
from vicinal.nn.losses.base import Loss

Metric: TypeAlias = Literal["mse", "l2", "cosine"]


class EmbedDistillLoss(Loss):
    """Embeddings shall be near the teacher's: the mean over all rows of the distance of ``u`` from the label.

    Inputs: one text or several (each of a row's texts learns the row's label); the teacher's embedding each, a list
    of numbers, or one for each text of the row, (n, texts, dim) in all.

    Args:
        model: the model to train.
        distance_metric: ``"cosine"``, 1 - cosine, for a teacher whose vectors' lengths mean nothing; ``"l2"``, the
            Euclidean distance; ``"mse"``, the mean of the squared differences.
        projection_dim: the teacher's dimension where it differs from the model's: embeddings then go through a
            linear layer, which belongs to the loss; :meth:`save_projection` keeps it for a later run.

    Relation to the others: MSELoss is this one with ``"mse"``; MarginMSELoss and DistillKLDivLoss learn a teacher's
    scores instead of its vectors.

    Reference: Kim et al., 2023, "EmbedDistill: A Geometric Knowledge Distillation for Information Retrieval",
    arXiv:2301.12005.

    Example::

        teacher_vectors = teacher.encode(texts)
        examples = [InputExample(texts=[t], label=v.tolist()) for t, v in zip(texts, teacher_vectors)]
        model.fit([(DataLoader(examples, batch_size=32, shuffle=True), losses.EmbedDistillLoss(model))])

    Raises:
        InputError: an unknown ``distance_metric``.
    """

    columns = (1, None)
    labels = "embedding"
    citation = """@misc{kim2023embeddistill, title={EmbedDistill: A Geometric Knowledge Distillation for Information
Retrieval}, author={Seungyeon Kim and Ankit Singh Rawat and Manzil Zaheer and Sadeep Jayasumana and
Veeranjaneyulu Sadhanala and Wittawat Jitkrittum and Aditya Krishna Menon and Rob Fergus and Sanjiv Kumar}, year={2023},
eprint={2301.12005}, archivePrefix={arXiv}}"""

    def __init__(
        self, model: Any, distance_metric: Metric = "cosine", projection_dim: int | None = None
    ) -> None:
        super().__init__(model)
        check_choice(distance_metric, ("mse", "l2", "cosine"), "distance_metric")
        check_positive(projection_dim, "projection_dim")
        self.distance_metric = distance_metric
        self.projection_dim = projection_dim
        self.projection: nn.Linear | None = None
        if projection_dim is not None:
            self.projection = self._new_projection(projection_dim)

    def _new_projection(self, width: int) -> nn.Linear:
        layer = nn.Linear(self.model.get_sentence_embedding_dimension(), width)
        device = getattr(self.model, "device", None)
        return layer if device is None else layer.to(str(device))

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        assert labels is not None
        if self.projection is not None:
            embeddings = [self.projection(each.to(self.projection.weight.dtype)) for each in embeddings]
        width = embeddings[0].shape[1]
        if labels.ndim not in (2, 3) or labels.shape[-1] != width:
            raise InputError(
                f"{self.name} got labels of shape {tuple(labels.shape)} for embeddings of dimension {width}: give the "
                "teacher's vectors of that dimension, or set projection_dim to theirs"
            )
        if labels.ndim == 3 and labels.shape[1] != len(embeddings):
            raise InputError(_count_message(self.name, labels.shape, len(embeddings)))
        targets = labels.to(embeddings[0].dtype)
        each_target = targets.unbind(1) if labels.ndim == 3 else [targets] * len(embeddings)
        parts = [self._distances(u, v) for u, v in zip(embeddings, each_target, strict=True)]
        return torch.stack(parts).mean()

    def _distances(self, u: Tensor, v: Tensor) -> Tensor:
        """(n,) distances of the rows."""
        if self.distance_metric == "cosine":
            return 1 - cosine_similarity(u, v, dim=-1)
        if self.distance_metric == "mse":
            return (u - v).square().mean(dim=-1)
        return (u - v).norm(dim=-1)

    def _check_shape(self, values: Any, columns: int | None, name: str) -> None:
        if values.ndim != 3:
            super()._check_shape(values, columns, name)
        elif columns is not None and values.shape[1] != columns:
            raise InputError(_count_message(f"{name}: {self.name}", values.shape, columns))

    def save_projection(self, path: str | os.PathLike[str]) -> None:
        """Write the linear layer to a safetensors file: the trained model's folder does not hold it.

        Raises:
            InputError: the loss has none.
        """
        if self.projection is None:
            raise InputError(f"{self.name} has no projection to save: it was made without projection_dim")
        state = {
            key: value.detach().cpu().contiguous() for key, value in self.projection.state_dict().items()
        }
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(target, save(state))

    def load_projection(self, path: str | os.PathLike[str]) -> None:
        """Take over a linear layer that :meth:`save_projection` wrote; a loss without one gets it.

        Raises:
            InputError: it is of another width than the model, or than the loss's own.
        """
        state = load_file(str(path))
        if set(state) != {"weight", "bias"} or state["weight"].ndim != 2:
            raise InputError(f"{path} holds {sorted(state)}, not the weight and bias of a projection")
        width, own = state["weight"].shape
        fitting = self._new_projection(width) if self.projection is None else self.projection
        if fitting.weight.shape != state["weight"].shape:
            raise InputError(
                f"{path} projects {own} dimensions to {width}, but this loss needs {fitting.in_features} to "
                f"{fitting.out_features}: give the file of a loss like this one"
            )
        fitting.load_state_dict(state)
        self.projection, self.projection_dim = fitting, width

    def get_config_dict(self) -> dict[str, Any]:
        return {"distance_metric": self.distance_metric, "projection_dim": self.projection_dim}


class MSELoss(EmbedDistillLoss):
    """Embeddings shall equal the teacher's: ``mean((u - label)^2)`` over all rows and dimensions.

    Inputs: one text (or several: each of a row's texts learns the row's label, as translations do); the
    teacher's embedding each, a list of numbers, or one for each text of the row, (n, texts, dim) in all.

    Args:
        model: the model to train.
        projection_dim: the teacher's dimension where it differs from the model's: embeddings then go through a
            linear layer, which belongs to the loss and is dropped after training.

    Relation to the others: EmbedDistillLoss with ``distance_metric="mse"``. MarginMSELoss and DistillKLDivLoss learn
    a teacher's scores instead of its vectors.

    Reference: Reimers and Gurevych, 2020, "Making Monolingual Sentence Embeddings Multilingual", arXiv:2004.09813.

    Example::

        teacher_vectors = teacher.encode(texts)
        examples = [InputExample(texts=[t], label=v.tolist()) for t, v in zip(texts, teacher_vectors)]
        model.fit([(DataLoader(examples, batch_size=32, shuffle=True), losses.MSELoss(model))])
    """

    citation = """@inproceedings{reimers-2020-multilingual-sentence-bert, title={Making Monolingual Sentence Embeddings
Multilingual using Knowledge Distillation}, author={Reimers, Nils and Gurevych, Iryna}, booktitle={EMNLP}, year={2020},
url={https://arxiv.org/abs/2004.09813}}"""

    def __init__(self, model: Any, projection_dim: int | None = None) -> None:
        super().__init__(model, "mse", projection_dim)

    def get_config_dict(self) -> dict[str, Any]:
        return {"projection_dim": self.projection_dim}


def _count_message(who: str, shape: Any, columns: int) -> str:
    return (
        f"{who} got labels of shape {tuple(shape)} for {columns} text columns: give one vector per row, "
        f"or {columns}, one for each column"
    )
