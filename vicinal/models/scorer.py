"""A cross-encoder for work that scores at once: what has no trained head is refused."""

from __future__ import annotations

import os
import warnings

from vicinal.engine.opening import read_spec
from vicinal.errors import ModelFormatError, NewHeadWarning
from vicinal.folder.specs import TransformerSpec
from vicinal.models.cross_encoder import CrossEncoder


def load_scorer(name_or_path: str | os.PathLike[str], dtype: str = "auto") -> CrossEncoder:
    """A cross-encoder that is to score at once, and so must have been trained.

    Raises:
        ModelFormatError: the folder holds no classification head, as a model for vectors does not.
    """
    spec = read_spec(name_or_path)
    scorer = None
    if isinstance(spec.source, TransformerSpec):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NewHeadWarning)
            scorer = CrossEncoder(name_or_path, dtype=dtype)
    if scorer is None or scorer.head_is_new:
        raise ModelFormatError(
            f"{os.fspath(name_or_path)} is a model for vectors (a bi-encoder): it has no classification head, so it "
            "scores no pairs. Give a cross-encoder such as cross-encoder/ms-marco-MiniLM-L6-v2, or train one with "
            "CrossEncoder(...).fit(...)"
        )
    return scorer
