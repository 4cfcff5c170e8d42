"""Documents with their vectors, all of one state."""

from __future__ import annotations

import numpy as np

from vicinal.index import Index
from vicinal.index.survey import revision, survey

from .fakes import FakeModel


def test_all_documents_come_with_the_sum_of_their_chunks(path) -> None:
    texts = ["one two three", "a b c d e f g h i j k l m n o p. " * 12, "four five"]
    with Index(path, FakeModel(), chunk_tokens=20, chunk_overlap=0, storage="float32") as index:
        index.add(["to be deleted"], ids=["old"])
        index.add(texts, ids=["x", "y", "z"], metadatas=[{"n": 1}, None, {"n": 3}])
        index.delete(["old"])
        found = survey(index, 100)
        assert index.info().chunks > 3
        with index._store.reader(ranking=True) as reader:
            spans = [reader.chunks(number) for number in reader.living().tolist()]
    assert [document.id for document in found.documents] == ["x", "y", "z"]
    assert found.documents[2].metadata == {"n": 3} and found.total == 3
    for document, vector, cuts in zip(found.documents, found.vectors, spans, strict=True):
        pieces = [document.text[a:b] for a, b in cuts]
        assert np.allclose(vector, FakeModel().encode(pieces).sum(axis=0), atol=1e-6)


def test_of_many_documents_some_are_drawn_the_same_each_time(index) -> None:
    index.add([f"text {i}" for i in range(50)], ids=[str(i) for i in range(50)])
    first, again, other = survey(index, 10), survey(index, 10), survey(index, 10, seed=1)
    ids = [document.id for document in first.documents]
    assert len(ids) == 10 and first.total == 50 and first.vectors.shape == (10, 16)
    assert (
        ids == [document.id for document in again.documents] != [document.id for document in other.documents]
    )
    assert [int(id) for id in ids] == sorted(int(id) for id in ids)


def test_every_change_is_another_revision(index) -> None:
    seen = [revision(index)]
    index.add(["a"], ids=["a"])
    seen.append(revision(index))
    assert revision(index) == seen[-1] == survey(index, 5).revision
    index.upsert(["b"], ids=["a"])
    seen.append(revision(index))
    index.delete(["a"])
    seen.append(revision(index))
    index.compact()
    seen.append(revision(index))
    assert len(set(seen)) == 5


def test_an_empty_index_has_nothing_to_show(index) -> None:
    assert survey(index, 5).documents == () and survey(index, 5).total == 0
    index.add(["a"], ids=["a"])
    index.delete(["a"])
    assert survey(index, 5).documents == () and len(survey(index, 5).vectors) == 0


def test_only_the_beginnings_of_long_texts_are_kept_where_that_is_asked_for(index) -> None:
    index.add(["abcdefghij", "xyz"], ids=["long", "short"])
    assert [document.text for document in survey(index, 5, characters=4).documents] == ["abcd", "xyz"]


def test_more_documents_than_are_read_at_a_time_come_in_order(index) -> None:
    texts = [f"word{i}" for i in range(2300)]
    index.add(texts, ids=[str(i) for i in range(2300)])
    found = survey(index, 10_000)
    assert [document.text for document in found.documents] == texts
    assert np.allclose(found.vectors, FakeModel().encode(texts), atol=1e-4)
