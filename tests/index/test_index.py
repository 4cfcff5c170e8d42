from __future__ import annotations

import datetime
import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from vicinal.errors import InputError, InputTypeError, StoreError
from vicinal.index import Document, Index

from .fakes import FakeModel, LengthRanker, PairScorer


def test_add_get_count_contains_and_order(index):
    ids = index.add(
        ["one", "two", "three"], ["1", "2", "3"], [{"n": 1}, None, {"deep": {"list": [1, "x", None]}}]
    )
    assert ids == ["1", "2", "3"]
    assert index.count() == len(index) == 3
    assert index.get(["3", "nope", "1"]) == [
        Document("3", "three", {"deep": {"list": [1, "x", None]}}),
        None,
        Document("1", "one", {"n": 1}),
    ]
    assert "2" in index and "nope" not in index and 5 not in index


def test_one_text_alone_and_made_up_ids(index):
    (one,) = index.add("a single text", metadatas={"k": "v"})
    (two,) = index.add("another")
    assert one != two
    assert index.get(one)[0].metadata == {"k": "v"}
    assert index.add([]) == [] and index.get([]) == []
    assert index.add((f"text {i}" for i in range(3)), iter("abc")) == ["a", "b", "c"]


def test_add_refuses_a_taken_id_and_changes_nothing(index):
    index.add(["old"], ["x"])
    encoded = index._encoder._model.encoded
    with pytest.raises(InputError, match=r"texts\.db.*'x'.*upsert"):
        index.add(["fresh", "new"], ["y", "x"])
    assert index._encoder._model.encoded == encoded, "refused before the work of encoding"
    assert index.count() == 1 and index.get("x")[0].text == "old"


def test_upsert_replaces_text_metadata_words_and_vector(index):
    index.add(["cats purr", "dogs bark"], ["c", "d"], [{"k": 1}, {"k": 2}])
    index.upsert(["birds sing"], ["c"], [{"other": True}])
    assert index.get("c")[0] == Document("c", "birds sing", {"other": True})
    assert index.search("cats purr", mode="lexical") == []
    assert index.search("birds", mode="lexical")[0].id == "c"
    assert index.search("birds sing", top_k=1)[0].score == pytest.approx(1, abs=1e-4)
    assert [hit.id for hit in index.search("x", filter={"k": {"$exists": True}})] == ["d"]
    assert index.verify()


def test_delete_by_id_and_filter(index):
    index.add(list("abcdef"), list("abcdef"), [{"n": i} for i in range(6)])
    assert index.delete(["a", "zzz", "a"]) == 1
    assert index.delete("b") == 1
    assert index.delete(filter={"n": {"$gte": 4}}) == 2
    assert index.delete(filter={"n": 77}) == 0
    assert index.count() == 2
    assert index.delete(filter={}) == 2
    assert index.count() == 0 and index.search("a") == [] and index.search("a", mode="lexical") == []
    assert index.add(["back"], ["a"]) == ["a"]


def test_reopening_needs_no_settings_and_keeps_everything(path):
    model = FakeModel(dimension=6, window=20)
    with Index(path, model, storage="float32", tokenizer="unicode61", chunk_overlap=5) as index:
        index.add(["the same again", "word " * 50], ["s", "long"], [{"k": 1}, None])
        before = index.info()
        hits = index.search("same", mode="hybrid")
    assert [file.name for file in path.parent.iterdir()] == ["texts.db"], "one file once it is closed"
    with Index(path, model) as index:
        assert replace(index.info(), file_bytes=0) == replace(before, file_bytes=0)
        assert index.search("same", mode="hybrid") == hits
        assert before.storage == "float32" and before.tokenizer == "unicode61" and before.chunk_overlap == 5
        assert before.dimension == 6 and before.fingerprint == "fake-1" and before.chunk_tokens == 20
        assert before.documents == 2 and before.chunks > 3 and before.fields == ("k",)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (FakeModel(fingerprint="other", name="second"), "fingerprint"),
        (FakeModel(dimension=8, name="second"), "dimension"),
        (FakeModel(prompts={"query": "q: "}, name="second"), "prompts"),
    ],
)
def test_another_model_is_refused_and_both_are_named(path, other, what):
    with Index(path, FakeModel(name="first")) as index:
        index.add(["text"], ["1"])
    with pytest.raises(InputError, match=rf"'first' \({what}.*'second' \({what}"):
        Index(path, other)
    with Index(path, FakeModel(name="renamed, but the same")) as index:
        assert index.count() == 1


def test_another_model_while_the_file_is_still_empty(path):
    with (
        Index(path, FakeModel(name="first")) as one,
        Index(path, FakeModel(fingerprint="x", name="second")) as two,
    ):
        one.add(["text"], ["1"])
        with pytest.raises(InputError, match=r"'first'.*'second'"):
            two.add(["text"], ["2"])
        with pytest.raises(InputError, match=r"'first'.*'second'"):
            two.search("text")
        assert one.count() == 1


def test_a_name_is_loaded_only_when_vectors_are_needed(path, monkeypatch):
    from vicinal.models import sentence_transformer

    loaded = []

    def load(name):
        loaded.append(name)
        return FakeModel(name=name)

    monkeypatch.setattr(sentence_transformer, "SentenceTransformer", load)
    with Index(path, "some-model") as index:
        assert index.count() == 0 and index.search("x") == []
        assert loaded == []
        index.add(["text"], ["1"])
        assert loaded == ["some-model"]
    with Index(path) as index:  # the stored name
        assert index.search("text", mode="lexical")[0].id == "1"
        index.delete("nothing")
        assert loaded == ["some-model"]
        index.search("text")
        assert loaded == ["some-model"] * 2
    with Index(path.with_name("new.db")) as index:
        index.add(["x"])
        assert loaded[-1] == "vicinal-mini"


def test_a_nameless_model_object_must_be_given_again(path):
    with Index(path, FakeModel(name="")) as index:
        index.add(["text"], ["1"])
    with Index(path) as index:
        assert index.search("text", mode="lexical")[0].id == "1"
        with pytest.raises(InputError, match=r"<FakeModel>.*model=that_object"):
            index.search("text")


def test_long_documents_are_found_by_their_best_chunk_once(index):
    filler = [f"Filler sentence number {i} about nothing." for i in range(60)]
    filler[40] = "Penguins waddle over antarctic ice."
    text = " ".join(filler)
    index.add([text, "Something short about ice."], ["long", "short"])
    assert index.info().chunks > 5
    for mode in ("dense", "lexical", "hybrid"):
        hits = index.search("penguins waddle antarctic", mode=mode)
        assert hits[0].id == "long" and len({hit.id for hit in hits}) == len(hits)
        passage = hits[0].passage
        assert text[passage.start : passage.end] == passage.text and "Penguins" in passage.text
        assert len(passage.text) < len(text) / 3
        assert [text[a:b] for a, b in passage.matches] == ["Penguins", "waddle", "antarctic"]
        assert "[Penguins] [waddle] over [antarctic] ice." in passage.marked()


def test_highlighting_keeps_offsets_of_the_original(index):
    text = "Ünïcode \x02 and 𝄞 CAFÉS, naïve\x03 running-shoes; \ue000 <b>runs</b>"
    index.add([text], ["u"])
    for mode in ("dense", "lexical", "hybrid"):
        (hit,) = index.search('the cafe "run" AND* naive unicode', mode=mode)
        assert [text[a:b] for a, b in hit.passage.matches] == ["Ünïcode", "CAFÉS", "naïve", "running", "runs"]


@pytest.mark.parametrize(
    "query", ["", " ", '"', "* OR NOT (", "a:b -c ^d", "NEAR(x y)", "\x00", "𝄞", "'; DROP"]
)
@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid"])
def test_any_query_text_is_only_text(index, query, mode):
    index.add(["nothing special", "a b c d x y near or not"], ["1", "2"])
    hits = index.search(query, mode=mode)
    assert {hit.id for hit in hits} <= {"1", "2"}
    assert query.strip() or not hits


def test_scores_of_the_legs_are_shown(index):
    index.add(["red apple", "green pear", "red wine"], ["a", "b", "c"])
    for hit in index.search("red", mode="dense"):
        assert (
            hit.dense == hit.score and hit.lexical is None and hit.dense_rank is None
        ) or hit.dense_rank >= 1
    hits = index.search("red", mode="hybrid")
    by_id = {hit.id: hit for hit in hits}
    assert by_id["b"].lexical is None and by_id["b"].lexical_rank is None
    assert by_id["a"].lexical > 0 and by_id["a"].rerank is None
    row = by_id["a"].to_dict()
    assert row["scores"] == {"dense": by_id["a"].dense, "lexical": by_id["a"].lexical, "rerank": None}
    assert row["passage"]["matches"] == [[0, 3]]


def test_rerankers_of_both_kinds(index):
    index.add(["red a much longer text", "red b", "red middle one", "nothing here"], list("abcd"))
    hits = index.search("red", top_k=2, reranker=LengthRanker(), mode="lexical")
    assert [hit.id for hit in hits] == ["b", "c"]
    assert [hit.score for hit in hits] == [hit.rerank for hit in hits] == [-5.0, -14.0]
    hits = index.search("red", reranker=PairScorer(), mode="hybrid", candidates=4)
    assert [hit.score for hit in hits] == sorted((hit.rerank for hit in hits), reverse=True)
    assert all(hit.dense is not None for hit in hits)
    assert len(index.search("red", top_k=1, reranker=LengthRanker(), candidates=2)) == 1


class Lazy:
    def rank(self, query, documents, *, top_k=None):
        return [{"corpus_id": 0, "score": 1.0}]


class Mute:
    def predict(self, pairs):
        return [1.0]


class Ranks:
    def __init__(self, rows):
        self.rows = rows

    def rank(self, query, documents, top_k=None):
        return self.rows


class Predicts:
    def predict(self, pairs):
        return [["a"]] * len(pairs)


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (None, "Ranks gave None"),
        ([1], "Ranks gave .*1"),
        ([{"id": 0}], "corpus_id"),
        ([{"corpus_id": 0, "score": "high"}], "'high'"),
        ([{"corpus_id": 0.5, "score": 1.0}], "0.5"),
        ([{"corpus_id": 99, "score": 1.0}], "ranked document 99 of"),
        ([{"corpus_id": -1, "score": 1.0}], "ranked document -1 of"),
        ([{"corpus_id": 0, "score": 1.0}] * 2, "twice"),
    ],
)
def test_rerankers_that_give_no_ranking(index, rows, match):
    index.add(["a b", "a c"])
    with pytest.raises((InputError, InputTypeError), match=match):
        index.search("a", reranker=Ranks(rows))
    with pytest.raises(InputTypeError, match="one number for each pair"):
        index.search("a", reranker=Predicts())


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("mine"),
        OverflowError("mine"),
        sqlite3.OperationalError("mine is locked"),
        KeyError("mine"),
    ],
)
@pytest.mark.parametrize("way", ["rank", "predict"])
def test_what_a_reranker_raises_is_not_taken_for_damage(index, error, way):
    class Fails:
        pass

    def fail(self, *_, **__):
        raise error

    setattr(Fails, way, fail)
    index.add(["a b", "a c"])
    for mode in ("dense", "best"):
        with pytest.raises(type(error), match="mine") as caught:
            index.search("a", mode=mode, reranker=Fails())
        assert caught.value is error
    assert index.verify()


@pytest.mark.parametrize(
    "scores", [lambda n: [10**400] * n, lambda n: (1.0 for _ in range(n)), lambda n: None]
)
def test_scores_that_are_no_numbers(index, scores):
    class Odd:
        def predict(self, pairs):
            return scores(len(pairs))

    index.add(["a b", "a c"])
    with pytest.raises((InputError, InputTypeError), match="reranker Odd"):
        index.search("a", reranker=Odd())


def test_scores_may_be_a_tensor_of_any_kind(index):
    torch = pytest.importorskip("torch")

    class Tensors:
        def predict(self, pairs):
            return torch.arange(len(pairs), dtype=torch.bfloat16, requires_grad=True)

    index.add(["a b", "a c", "a d"])
    assert [hit.score for hit in index.search("a", reranker=Tensors())] == [2, 1, 0]


def test_arguments_that_would_mean_something_else(index):
    with pytest.raises(InputTypeError, match="merge_duplicates"):
        index.search("a", merge_duplicates="no")
    for prefix in (None, 5):
        with pytest.raises(InputTypeError, match="prefix must be a string"):
            index.ids(prefix)


def test_bad_rerankers(index):
    index.add(["a b", "a c"])
    with pytest.raises(InputTypeError, match=r"reranker.*rank.*predict.*int"):
        index.search("a", reranker=3)
    with pytest.raises(InputError, match="Lazy"):
        index.search("a", reranker=Lazy())
    with pytest.raises(InputError, match=r"Mute.*\(1,\) for 2"):
        index.search("a", reranker=Mute())


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda i: i.add([1]), InputTypeError, r"texts\[0\].*int"),
        (lambda i: i.add(b"x"), InputTypeError, "texts.*bytes"),
        (lambda i: i.add(5), InputTypeError, "texts.*int"),
        (lambda i: i.add(["\ud800"]), InputError, r"texts\[0\].*surrogate"),
        (lambda i: i.add(["a"], ["x", "y"]), InputError, "ids has 2 entries for 1"),
        (lambda i: i.add(["a", "b"], ["x", "x"]), InputError, "'x' twice"),
        (lambda i: i.add(["a"], [7]), InputTypeError, r"ids\[0\].*7 \(int\)"),
        (lambda i: i.add(["a"], [""]), InputError, r"ids\[0\] is empty"),
        (lambda i: i.add(["a"], None, [{}, {}]), InputError, "metadatas has 2 entries for 1"),
        (lambda i: i.add(["a", "b"], None, {"k": 1}), InputError, "one mapping for 2"),
        (lambda i: i.add(["a"], None, ["x"]), InputTypeError, r"metadatas\[0\].*dictionary"),
        (lambda i: i.add(["a"], None, [{1: 2}]), InputTypeError, "keys are strings"),
        (lambda i: i.add(["a"], None, [{"$x": 2}]), InputError, r"'\$x'"),
        (lambda i: i.add(["a"], None, [{"k": float("nan")}]), InputError, r"\['k'\].*nan"),
        (lambda i: i.add(["a"], None, [{"k": 2**80}]), InputError, "64 bits"),
        (lambda i: i.add(["a"], None, [{"k": {"z": {1, 2}}}]), InputTypeError, r"\['k'\]\['z'\].*set"),
        (lambda i: i.add(["a"], None, [{"k": datetime.date(2020, 1, 1)}]), InputTypeError, "isoformat"),
        (lambda i: i.search(5), InputTypeError, "query.*int"),
        (lambda i: i.search("\udc00"), InputError, "query.*surrogate"),
        (lambda i: i.search("x", top_k=0), InputError, "top_k.*at least 1.*0"),
        (lambda i: i.search("x", top_k=True), InputTypeError, "top_k"),
        (lambda i: i.search("x", candidates=-1), InputError, "candidates"),
        (
            lambda i: i.search("x", mode="both"),
            InputError,
            "'dense', 'lexical', 'hybrid', 'best', got 'both'",
        ),
        (lambda i: i.search("x", filter="y"), InputTypeError, "filter must be a dictionary"),
        (lambda i: i.delete(), InputError, "either ids or filter"),
        (lambda i: i.delete("a", filter={}), InputError, "either ids or filter"),
        (lambda i: i.get([3]), InputTypeError, r"ids\[0\]"),
    ],
)
def test_bad_inputs(index, call, error, words):
    with pytest.raises(error, match=words):
        call(index)
    assert index.count() == 0


def test_numpy_and_tuples_in_metadata(index):
    index.add(["a"], ["1"], [{"i": np.int32(3), "f": np.float32(0.5), "a": np.arange(2), "t": (1, 2)}])
    assert index.get("1")[0].metadata == {"i": 3, "f": 0.5, "a": [0, 1], "t": [1, 2]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"path": ""}, "names no file"),
        ({"path": ":memory:"}, "names no file"),
        ({"storage": "int4"}, "'int16', 'float32', got 'int4'"),
        ({"timeout": -1}, "timeout"),
        ({"chunk_tokens": 3}, "chunk_tokens"),
        ({"chunk_overlap": -3}, "chunk_overlap"),
        ({"tokenizer": "klingon"}, "'klingon'.*unicode61"),
        ({"tokenizer": "x'); DROP TABLE y; --"}, "tokenizer"),
    ],
)
def test_bad_settings(path, arguments, words):
    with pytest.raises(InputError, match=words):
        Index(**{"path": path, "model": FakeModel(), **arguments})
    assert not path.exists()


def test_bad_models(path):
    with pytest.raises(InputTypeError, match=r"model must be.*fingerprint.*int"):
        Index(path, 5)
    assert not path.exists()

    class Wrong(FakeModel):
        def encode_document(self, texts):
            return np.zeros((len(texts), 3))

    class Sick(FakeModel):
        def encode_document(self, texts):
            return np.full((len(texts), self.dimension), np.nan)

    for model, words in ((Wrong(), r"shape \(1, 3\).*\(1, 16\)"), (Sick(), "NaN")):
        with Index(path, model) as index:
            with pytest.raises(InputError, match=words):
                index.add(["text"])
            assert index.count() == 0


class Dot(FakeModel):
    similarity_fn_name = "dot"

    def encode(self, texts):
        return super().encode(texts) * np.array([[1 + len(text)] for text in texts], np.float32)


def test_dot_product_models_keep_their_lengths(path):
    with Index(path, Dot()) as index:
        index.add(["cat", "cat and something much longer"], ["short", "long"])
        assert index.info().similarity == "dot"
        assert index.search("cat")[0].score == pytest.approx(
            max(Dot().encode(["cat"])[0] @ v for v in Dot().encode(["cat", "cat and something much longer"])),
            rel=1e-4,
        )


class Euclidean(FakeModel):
    similarity_fn_name = "euclidean"


def test_other_similarities_are_refused(path):
    with Index(path, Euclidean()) as index, pytest.raises(InputError, match=r"'euclidean'.*cosine"):
        index.add(["x"])


def test_what_is_no_index(tmp_path):
    (tmp_path / "text.db").write_text("This is no database at all, only a text. " * 100)
    with pytest.raises(StoreError, match=r"text\.db"):
        Index(tmp_path / "text.db", FakeModel())
    assert (tmp_path / "text.db").read_text().startswith("This is no")
    db = sqlite3.connect(tmp_path / "other.db")
    db.execute("CREATE TABLE mine (x)")
    db.close()
    with pytest.raises(StoreError, match=r"other\.db.*something else"):
        Index(tmp_path / "other.db", FakeModel())
    with pytest.raises(StoreError, match="is a folder"):
        Index(tmp_path, FakeModel())
    with pytest.raises(StoreError, match="does not exist"):
        Index(tmp_path / "no" / "where.db", FakeModel())
    with Index(tmp_path / "new.db", FakeModel()):
        pass
    db = sqlite3.connect(tmp_path / "new.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match=r"format 99.*upgrade"):
        Index(tmp_path / "new.db", FakeModel())


def test_read_only(path):
    with pytest.raises(StoreError, match="does not exist"):
        Index(path, FakeModel(), read_only=True)
    with Index(path, FakeModel()) as index:
        index.add(["some text"], ["1"])
    with Index(path, FakeModel(), read_only=True) as index:
        assert (
            index.search("text", mode="hybrid")[0].id == "1"
            and index.verify()
            and index.info().documents == 1
        )
        for change in (lambda: index.add(["x"]), lambda: index.delete("1"), index.compact):
            with pytest.raises(StoreError, match="read_only"):
                change()


def test_closed(path):
    index = Index(path, FakeModel())
    index.add(["x"], ["1"])
    index.close()
    index.close()
    for use in (lambda: index.search("x"), lambda: index.add(["y"]), index.count, index.verify, index.info):
        with pytest.raises(StoreError, match=r"closed"):
            use()


def test_an_exception_inside_the_block_closes_too(path):
    def fail():
        with Index(path, FakeModel()) as index:
            index.add(["x"], ["1"])
            index.add([1 / 0])

    with pytest.raises(ZeroDivisionError):
        fail()
    with Index(path, FakeModel()) as index:
        assert index.count() == 1


def test_paths_with_odd_characters(tmp_path):
    folder = tmp_path / "a b%20?x=1#ü"
    folder.mkdir()
    with Index(folder / "te?xt.db", FakeModel()) as index:
        index.add(["x"], ["1"])
    assert [file.name for file in folder.iterdir()] == ["te?xt.db"]
    with Index(str(folder / "te?xt.db"), FakeModel()) as index:
        assert index.count() == 1


def test_compact_gives_space_back(index):
    index.add([f"text number {i} " * 20 for i in range(3000)], [str(i) for i in range(3000)])
    before = index.search("number 2999", top_k=5)
    size = index.info().file_bytes
    index.delete([str(i) for i in range(2900)])
    index.compact()
    info = index.info()
    assert info.file_bytes < size / 5 and info.deleted_chunks == 0 and info.documents == 100
    after = index.search("number 2999", top_k=5)
    assert [h.id for h in after][:1] == [before[0].id] and index.verify()
    index.compact()
    assert index.count() == 100 and index.verify()
