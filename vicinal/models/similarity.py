"""How a model compares its vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vicinal.core.inputs import check_choice

if TYPE_CHECKING:
    from vicinal.vectors.similarity import SimilarityFunction


class Similarity:
    """Base of models that give one vector per text."""

    #: names that ``similarity_fn_name`` takes
    SUPPORTED_SIMILARITY_FN_NAMES: ClassVar[tuple[str, ...]] = ("cosine", "dot", "euclidean", "manhattan")

    _similarity_fn_name: str | None = None

    @property
    def similarity_fn_name(self) -> str:
        """Name of the function behind :meth:`similarity`; ``"cosine"`` where nobody chose one."""
        return self._similarity_fn_name or "cosine"

    @similarity_fn_name.setter
    def similarity_fn_name(self, value: str | SimilarityFunction | None) -> None:
        from vicinal.vectors.similarity import SimilarityFunction

        if value is not None and not isinstance(value, SimilarityFunction):
            check_choice(value, [*SimilarityFunction.possible_values(), "dot_product"], "similarity_fn_name")
            value = "dot" if value == "dot_product" else value
        self._similarity_fn_name = None if value is None else str(SimilarityFunction(value).value)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """``(n, m)`` similarities of all pairs; numpy in, numpy out; torch in, torch out."""
        from vicinal.vectors.similarity import all_pairs_function

        return all_pairs_function(self.similarity_fn_name)(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """``(n,)`` similarities of each row with its counterpart."""
        from vicinal.vectors.similarity import pairwise_function

        return pairwise_function(self.similarity_fn_name)(embeddings1, embeddings2)
