"""The field's old readers and ParallelSentencesDataset."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from vicinal import InputExample, SentenceTransformer
from vicinal.datasets import ParallelSentencesDataset
from vicinal.errors import InputError, InputTypeError
from vicinal.readers import (
    LabelSentenceReader,
    NLIDataReader,
    PairedFilesReader,
    STSBenchmarkDataReader,
    STSDataReader,
    TripletReader,
)


def shown(examples: list[InputExample]) -> list[tuple[list[str], float]]:
    return [(list(each.texts or []), each.label) for each in examples]


def test_sts(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('one "x"\ttwo\t5\nthree\tfour\t2.5\n', encoding="utf-8")
    reader = STSDataReader(tmp_path)
    assert shown(reader.get_examples("a.tsv")) == [(['one "x"', "two"], 1.0), (["three", "four"], 0.5)]
    assert len(reader.get_examples("a.tsv", max_examples=1)) == 1
    assert STSDataReader(tmp_path, normalize_scores=False).get_examples("a.tsv")[0].label == 5
    with gzip.open(tmp_path / "b.tsv.gz", "wt", encoding="utf-8") as stream:
        stream.write("genre\tfile\tyear\tid\t4.0\tone\ttwo\n")
    assert shown(STSBenchmarkDataReader(tmp_path).get_examples("b.tsv.gz")) == [(["one", "two"], 0.8)]
    (tmp_path / "c.tsv").write_text("one\ttwo\thigh\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"c\.tsv, line 1: the score is 'high', not a number"):
        reader.get_examples("c.tsv")
    with pytest.raises(InputError, match=r"a\.tsv, line 1: there are 3 columns, not 7"):
        STSBenchmarkDataReader(tmp_path).get_examples("a.tsv")


def test_triplets_labels_pairs_and_inference(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("anchor\tpos\tneg\na\tb\tc\n", encoding="utf-8")
    assert shown(TripletReader(tmp_path, has_header=True).get_examples("t.tsv")) == [(["a", "b", "c"], 0)]
    (tmp_path / "l.tsv").write_text("cat\tone\ndog\ttwo\ncat\tthree\n", encoding="utf-8")
    found = LabelSentenceReader(tmp_path).get_examples("l.tsv")
    assert shown(found) == [(["one"], 0), (["two"], 1), (["three"], 0)]
    for name, text in (("s1", "a\nb"), ("s2", "c\nd"), ("labels", "neutral\nentailment")):
        (tmp_path / f"{name}.train").write_text(text, encoding="utf-8")
    assert shown(NLIDataReader(tmp_path).get_examples("train")) == [(["a", "c"], 2), (["b", "d"], 1)]
    (tmp_path / "labels.train").write_text("neutral", encoding="utf-8")
    with pytest.raises(InputError, match="differ in their numbers of lines"):
        NLIDataReader(tmp_path).get_examples("train")
    pairs = PairedFilesReader([tmp_path / "s1.train", tmp_path / "s2.train"]).get_examples()
    assert shown(pairs) == [(["a", "c"], 1), (["b", "d"], 1)]


class Teacher:
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: list[str], batch_size: int, show_progress_bar: bool) -> np.ndarray:
        assert len(texts) <= batch_size
        self.asked += texts
        return np.array([[len(text), ord(text[0])] for text in texts], dtype=np.float32)


ROWS = [["one", "eins", "un"], ["two", "zwei"], ["three " * 40, "drei"], ["", ""], ["four"]]


def test_every_translation_has_the_vector_of_its_original() -> None:
    teacher = Teacher()
    data = ParallelSentencesDataset(None, teacher, batch_size=2)
    data.add_dataset(ROWS)
    assert len(data) == 6  # each original too; the long row and the empty one are left out
    found = {data[place].texts[0]: data[place].label.tolist() for place in range(len(data))}
    one, two, four = [3.0, float(ord("o"))], [3.0, float(ord("t"))], [4.0, float(ord("f"))]
    assert found == {"one": one, "eins": one, "un": one, "two": two, "zwei": two, "four": four}
    assert sorted(teacher.asked) == ["four", "one", "two"]  # each once


def test_weights_decide_which_set_comes_how_often(tmp_path: Path) -> None:
    data = ParallelSentencesDataset(None, Teacher(), use_embedding_cache=False)
    data.add_dataset([[f"a{number}"] for number in range(12)], weight=300)
    (tmp_path / "b.tsv").write_text("".join(f"b{number}\n" for number in range(12)), encoding="utf-8")
    data.load_data(tmp_path / "b.tsv", weight=100)
    first = [data[place].texts[0][0] for place in range(8)]
    assert first.count("a") == 6 and first.count("b") == 2
    assert len(data) == 24


def test_wrong_arguments() -> None:
    with pytest.raises(InputTypeError, match="teacher_model is str"):
        ParallelSentencesDataset(None, "teacher")
    with pytest.raises(InputError, match="no row of parallel_sentences"):
        ParallelSentencesDataset(None, Teacher()).add_dataset([["x" * 200]])


@pytest.mark.torch
def test_a_student_comes_nearer_to_its_teacher() -> None:
    pytest.importorskip("torch")
    data_module = pytest.importorskip("torch.utils.data")
    from vicinal import losses

    teacher, student = SentenceTransformer("vicinal-mini"), SentenceTransformer("vicinal-mini")
    data = ParallelSentencesDataset(student, teacher, batch_size=4)
    data.add_dataset([["the cat", "die katze"], ["the dog", "der hund"], ["a house", "ein haus"]])
    loader = data_module.DataLoader(data, shuffle=True, batch_size=3)

    def distance() -> float:
        wanted = teacher.encode(["the cat", "the dog", "a house"])
        return float(np.square(student.encode(["die katze", "der hund", "ein haus"]) - wanted).mean())

    before = distance()
    student.fit(
        [(loader, losses.MSELoss(student))],
        epochs=15,
        warmup_steps=0,
        optimizer_params={"lr": 0.02},
        show_progress_bar=False,
    )
    assert distance() < 0.7 * before
