"""Hints that are given once: texts in a script that a model never saw."""

from __future__ import annotations

import copy
import pickle
import warnings
from pathlib import Path

import pytest

from vicinal import SentenceTransformer
from vicinal.errors import UnknownScriptWarning
from vicinal.models.hints import lost_share

TEXTS = ["the cat sat", "hello world", "a query", "the dog", "search on the mat"]


@pytest.fixture
def model(plain_path: Path) -> SentenceTransformer:
    return SentenceTransformer(str(plain_path), dtype="float32")


# scripts


FOREIGN = {
    "Russian": "Сегодня мы гуляли в парке, погода была прекрасной",
    "Greek": "Σήμερα περπατήσαμε στο πάρκο και ο καιρός ήταν καλός",
    "Arabic": "ذهبنا اليوم في نزهة في الحديقة",
    "Hebrew": "היום טיילנו בפארק ומזג האוויר היה נפלא",
    "Hindi": "आज हम पार्क में टहलने गए",
    "Bengali": "আজ আমরা পার্কে হাঁটতে গিয়েছিলাম",
    "Tamil": "இன்று நாங்கள் பூங்காவில் நடந்தோம்",
    "Thai": "วันนี้เราไปเดินเล่นในสวนสาธารณะ",
    "Chinese": "我们今天去公园散步,天气非常好",
    "Japanese": "私たちは今日公園を散歩しました",
    "Korean": "우리는 오늘 공원에서 산책을 했습니다",
    "Georgian": "დღეს პარკში ვისეირნეთ",
    "Amharic": "ዛሬ በፓርኩ ውስጥ ተጓዝን",
}
KNOWN = [
    "We went for a walk in the park.",
    "Der größte Bär aß süße Äpfel über Öl.",
    "Crème brûlée à la française, déjà vu.",
    "Tiếng Việt có nhiều dấu thanh điệu.",
    "E = mc², α ≈ 1/137",
    "to Рим",  # too little to judge by
    "",
]


@pytest.fixture(scope="module")
def english() -> SentenceTransformer:
    return SentenceTransformer("vicinal-mini")


@pytest.mark.parametrize("script", FOREIGN)
def test_a_script_without_words(english: SentenceTransformer, script: str) -> None:
    model = copy.copy(english)
    model.__dict__.pop("hints", None)
    with pytest.warns(UnknownScriptWarning, match="not to have learnt this script.*multilingual") as caught:
        model.encode(FOREIGN[script])
    assert caught[0].filename == __file__
    model.encode(list(FOREIGN.values()))  # once a model


@pytest.mark.parametrize("text", KNOWN)
def test_texts_that_get_no_hint(english: SentenceTransformer, text: str) -> None:
    model = copy.copy(english)
    model.__dict__.pop("hints", None)
    model.encode(text)
    model.encode([text, text])
    model.encode([text, "plain", FOREIGN["Russian"], "plain", "plain"])  # a foreign text among many


def test_iterators_and_cross_encoders(english: SentenceTransformer, shared_dir: Path) -> None:
    from vicinal import CrossEncoder

    model = copy.copy(english)
    model.__dict__.pop("hints", None)
    with pytest.warns(UnknownScriptWarning):
        assert len(list(model.encode_iter([FOREIGN["Greek"]] * 3))) == 3
    scorer = CrossEncoder(str(shared_dir / "models" / "cross-encoder-stsb"))
    with pytest.warns(UnknownScriptWarning):
        scorer.predict([(FOREIGN["Korean"], FOREIGN["Korean"])])


def test_a_vocabulary_that_has_the_words() -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    from vicinal.tokens.text import TextTokenizer

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    texts = [*FOREIGN.values()] * 3
    tokenizer.train_from_iterator(
        texts, trainers.WordPieceTrainer(vocab_size=2000, special_tokens=["[UNK]"], show_progress=False)
    )
    ours = TextTokenizer(tokenizer, max_length=64)
    for text in FOREIGN.values():
        assert lost_share([text], ours) < 0.1, text


def test_the_number_of_looks_is_bounded(
    english: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, looks = copy.copy(english), []
    model.__dict__.pop("hints", None)

    def none_lost(texts: object, tokenizer: object) -> float:
        looks.append(texts)
        return 0.0

    monkeypatch.setattr("vicinal.models.hints.lost_share", none_lost)
    for _ in range(40):
        model.encode("the " + FOREIGN["Greek"])  # not of unknown tokens alone, which is told at once
    assert len(looks) == 16


def test_hints_survive_pickling(model: SentenceTransformer) -> None:
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        model.encode(FOREIGN["Russian"])
    again = pickle.loads(pickle.dumps(model))
    assert not again.hints.script_looks
