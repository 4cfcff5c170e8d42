"""Lexical search in many scripts and forms: the right document comes first, and its words are marked."""

from __future__ import annotations

import unicodedata

import pytest

from vicinal.index import Index

from .fakes import FakeModel

# language: (documents; a query; the document it is about, by number; a word that must be marked in it)
CASES = {
    "Chinese": (
        [
            "今天北京的天气很好，我们去公园散步。",
            "上海的交通非常拥挤，地铁里人很多。",
            "这本书介绍了中国古代的历史。",
        ],
        "上海地铁",
        1,
        "地铁",
    ),
    "Japanese": (
        [
            "東京都庁の展望室からの眺めは素晴らしい。",
            "大阪城の歴史について学ぶ。",
            "パソコンの設定を変更する方法。",
        ],
        "展望室の眺め",
        0,
        "展望室",
    ),
    "Korean": (
        ["학교에서 친구를 만났습니다.", "도서관에서 책을 읽었습니다.", "시장에서 사과를 샀습니다."],
        "도서관",
        1,
        "도서관",
    ),
    "Thai": (
        ["วันนี้อากาศดีมากเราไปเดินเล่นที่สวน", "รถไฟฟ้าในกรุงเทพมีคนเยอะมาก", "หนังสือเล่มนี้เล่าเรื่องประวัติศาสตร์"],
        "ประวัติศาสตร์",
        2,
        "ประวัติศาสตร์",
    ),
    "Lao": (
        ["ຂ້ອຍກິນເຂົ້າຢູ່ເຮືອນ", "ລົດເມຈະມາໃນຕອນເຊົ້າ", "ປຶ້ມຫົວນີ້ເວົ້າກ່ຽວກັບປະຫວັດສາດ"],
        "ປະຫວັດສາດ",
        2,
        "ປະຫວັດສາດ",
    ),
    "Khmer": (
        ["ខ្ញុំញ៉ាំបាយនៅផ្ទះ", "រថយន្តក្រុងមកដល់ពេលព្រឹក", "សៀវភៅនេះនិយាយអំពីប្រវត្តិសាស្ត្រ"],
        "ប្រវត្តិសាស្ត្រ",
        2,
        "ប្រវត្តិសាស្ត្រ",
    ),
    "Burmese": (
        ["ကျွန်တော်အိမ်မှာထမင်းစားတယ်", "ဘတ်စ်ကားမနက်ပိုင်းရောက်လာတယ်", "ဒီစာအုပ်ကသမိုင်းအကြောင်းပြောပြတယ်"],
        "သမိုင်း",
        2,
        "သမိုင်း",
    ),
    "Hindi": (
        ["आज मौसम बहुत अच्छा है", "यह पुस्तक इतिहास के बारे में है", "बाजार में बहुत भीड़ थी"],
        "इतिहास की पुस्तक",
        1,
        "पुस्तक",
    ),
    "Vietnamese": (
        ["Hôm nay trời đẹp", "Quyển sách này nói về lịch sử", "Xe buýt đến vào buổi sáng"],
        "lịch sử",
        1,
        "lịch",
    ),
    "Arabic": (
        ["الطقس جميل اليوم", "هذا الكِتَاب عن التاريخ", "وصلت الحافلة في الصباح"],
        "الكتاب",
        1,
        "الكِتَاب",
    ),
    "Hebrew": (["מזג האוויר יפה היום", "שָׁלוֹם לכל העולם", "האוטובוס הגיע בבוקר"], "שלום", 1, "שָׁלוֹם"),
    "Greek": (
        ["Ο καιρός είναι καλός", "Το βιβλίο της ιστορίας", "Το λεωφορείο ήρθε"],
        "ΙΣΤΟΡΊΑΣ",
        1,
        "ιστορίας",
    ),
    "Russian": (
        ["Сегодня хорошая погода", "Новый йогурт в магазине", "Автобус пришёл утром"],
        "ЙОГУРТ",
        1,
        "йогурт",
    ),
    "German": (["Das Wetter ist schön", "Die Straße ist gesperrt", "Der Bus kommt"], "STRASSE", 1, "Straße"),
}
FORMS = ["NFC", "NFD", "NFKC", "NFKD"]


@pytest.fixture(scope="module", params=CASES)
def collection(request, tmp_path_factory):
    """The documents of one language, each in every normal form, among those of all others."""
    path = tmp_path_factory.mktemp("scripts") / "texts.db"
    with Index(path, FakeModel(dimension=4)) as index:
        texts, ids = [], []
        for name, (documents, *_) in CASES.items():
            for form in FORMS if name == request.param else ["NFC"]:
                texts += [unicodedata.normalize(form, text) for text in documents]
                ids += [f"{name}/{i}/{form}" for i in range(len(documents))]
        index.add(texts, ids)
        yield request.param, index
        assert index.verify(), index.verify().problems


@pytest.mark.parametrize("form", FORMS)
def test_the_right_document_is_first_in_every_normal_form(collection, form):
    name, index = collection
    _, query, right, word = CASES[name]
    hits = index.search(unicodedata.normalize(form, query), mode="lexical", merge_duplicates=False)
    assert {hit.id for hit in hits[: len(FORMS)]} == {f"{name}/{right}/{form}" for form in FORMS}
    for hit in hits[: len(FORMS)]:
        marked = [unicodedata.normalize("NFC", hit.text[a:b]) for a, b in hit.passage.matches]
        assert any(unicodedata.normalize("NFC", word) in piece for piece in marked), (hit.text, marked)


@pytest.mark.parametrize(
    ("document", "query", "marked"),
    [
        ("the ﬁnal oﬃce ﬂoor", "office", "oﬃce"),
        ("the final office floor", "oﬃce", "office"),
        ("a hy\u00adphen\u00adated word", "hyphenated", "hy\u00adphen\u00adated"),
        ("zero\u200bwidth and \ufeffjoined", "zerowidth", "zero\u200bwidth"),
        ("zero\u200bwidth and \ufeffjoined", "joined", "joined"),
        ("Ｆｕｌｌ ｗｉｄｔｈ ｔｅｘｔ", "width", "ｗｉｄｔｈ"),
        ("full width text", "ｗｉｄｔｈ", "width"),
        ("re\u0301sume\u0301.pdf", "résumé", "re\u0301sume\u0301"),
        ("résumé.pdf", "re\u0301sume\u0301", "résumé"),
        ("résumé.pdf", "resume", "résumé"),
        ("ﾊﾟｿｺﾝを買う", "パソコン", "ﾊﾟｿｺﾝ"),
        ("Vicinal™ is here", "vicinal", "Vicinal"),
        ("drink water 水を飲む", "水", "水"),
    ],
)
def test_what_looks_the_same_is_found_and_marked_in_the_original(path, document, query, marked):
    with Index(path, FakeModel()) as index:
        index.add([document, "something else", "別のもの"], ["a", "b", "c"])
        hit = index.search(query, mode="lexical")[0]
        assert hit.id == "a" and [hit.text[a:b].strip("\ufeff") for a, b in hit.passage.matches] == [marked]
        assert index.delete("a") == 1 and index.search(query, mode="lexical") == []
        assert index.verify()


def test_pairs_that_overlap_are_marked_as_one(path):
    with Index(path, FakeModel()) as index:
        index.add(["東京都庁の展望室。展望台は別にある。"], ["a"])
        (hit,) = index.search("展望室", mode="lexical", merge_duplicates=False)
        assert hit.passage.marked() == "東京都庁の[展望室]。[展望]台は別にある。"


def test_a_text_and_its_upsert_and_compaction_agree(path):
    texts = [f"文書{i} Tie\u0302\u0301ng {i} oﬃce" for i in range(40)]
    with Index(path, FakeModel()) as index:
        index.add(texts, [str(i) for i in range(40)])
        index.upsert([text + "。更新" for text in texts[:20]], [str(i) for i in range(20)])
        index.delete([str(i) for i in range(10, 30)])
        assert index.verify()
        index.compact()
        assert index.verify()
        found = {hit.id for hit in index.search("更新", top_k=100, mode="lexical")}
        assert found == {str(i) for i in range(10)}
