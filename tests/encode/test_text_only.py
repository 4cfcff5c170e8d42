"""Images, sound, video and chats are refused by name, wherever texts are taken, and so are their models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tinyfolder import make_folder

from vicinal import CrossEncoder, SentenceTransformer
from vicinal.errors import InputTypeError, UnsupportedModelError

MESSAGE = {"role": "user", "content": "a text"}
PIXELS = np.zeros((4, 4, 3), dtype=np.uint8)


class Picture:
    """Looks like an image of PIL."""


Picture.__module__ = "PIL.Image"

CASES = [
    (Picture(), "an image"),
    ({"image": "cat.jpg"}, "an image"),
    ({"text": "a cat", "image": Picture()}, "an image"),
    ({"array": [0.0], "sampling_rate": 16000}, "sound"),
    ({"video": "cat.mp4"}, "a video"),
    (MESSAGE, "a message of a chat"),
    (PIXELS, r"an array of numbers \(4, 4, 3\)"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SentenceTransformer:
    return SentenceTransformer(make_folder(tmp_path_factory.mktemp("text-only")))


@pytest.fixture(scope="module")
def scorer(shared_dir: Path) -> CrossEncoder:
    return CrossEncoder(shared_dir / "models" / "cross-encoder-stsb")


@pytest.mark.parametrize(("value", "what"), CASES)
def test_encode(model: SentenceTransformer, value: Any, what: str) -> None:
    with pytest.raises(
        InputTypeError, match=rf"^sentences is {what}.*Vicinal reads text only.*use sentence-tr"
    ):
        model.encode(value)
    with pytest.raises(InputTypeError, match=rf"^sentences\[1\] is {what}"):
        model.encode(["a text", value])
    with pytest.raises(InputTypeError, match=rf"^sentences\[1\] is {what}"):
        list(model.encode_iter(iter(["a text", value])))


@pytest.mark.parametrize(("value", "what"), CASES)
def test_predict_and_rank(scorer: CrossEncoder, value: Any, what: str) -> None:
    with pytest.raises(InputTypeError, match=rf"^sentences\[0\]\[1\] is {what}"):
        scorer.predict([("a text", value)])
    with pytest.raises(InputTypeError, match=rf"^query is {what}"):
        scorer.rank(value, ["a text"])
    with pytest.raises(InputTypeError, match=rf"^documents\[0\] is {what}"):
        scorer.rank("a text", [value])


def test_chats_say_what_to_give(model: SentenceTransformer) -> None:
    for chat in ([MESSAGE], [[MESSAGE]]):
        with pytest.raises(InputTypeError, match=r"a chat.*give the text: message\['content'\]"):
            model.encode(chat)


def test_a_path_in_a_dictionary_is_no_text(model: SentenceTransformer) -> None:
    with pytest.raises(InputTypeError, match=r"^texts\[0\] is an image"):
        model.tokenize([{"image": "cat.jpg"}])
    assert np.asarray(model.tokenize([{"text": "the cat"}])["input_ids"]).shape == (1, 4)


def test_arrays_of_texts_are_texts(model: SentenceTransformer) -> None:
    for make in (np.array, lambda texts: np.array(texts, dtype=object)):
        texts: Any = make(["the cat", "a dog"])
        np.testing.assert_array_equal(model.encode(texts), model.encode(["the cat", "a dog"]))


def _by_modules(folder: Path) -> None:
    kind = "sentence_transformers.models.CLIPModel"
    (folder / "0_CLIPModel").mkdir()
    (folder / "modules.json").write_text(
        json.dumps([{"idx": 0, "name": "0", "path": "0_CLIPModel", "type": kind}])
    )


def _bare(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "clip", "text_config": {}}))


@pytest.mark.parametrize("write", [_by_modules, _bare])
def test_models_of_images(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path)
    with pytest.raises(
        UnsupportedModelError, match=r"is a model of images or sound .*use sentence-transformers"
    ):
        SentenceTransformer(tmp_path)
