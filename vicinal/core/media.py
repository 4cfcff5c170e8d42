"""What is no text: images, sound, video and chats are refused by name, here alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vicinal.errors import InputTypeError, UnsupportedModelError

_INSTEAD = (
    "Vicinal reads text only. For images, sound, video and chats use sentence-transformers itself with a model that "
    "was trained on them, such as 'clip-ViT-B-32' for images"
)
# Key of a dictionary -> what it holds.
_KEYS = {
    "image": "an image",
    "images": "images",
    "image_url": "an image",
    "pixel_values": "the pixels of an image",
    "audio": "sound",
    "sampling_rate": "sound",
    "video": "a video",
    "video_metadata": "a video",
}
# Class of an object, beside those of PIL -> what it is.
_CLASSES = {"AudioDecoder": "sound", "VideoDecoder": "a video", "VideoReader": "a video"}

# Architectures, and a module, that read images or sound.
_MODELS = frozenset(
    {
        "CLIPModel",
        "align",
        "altclip",
        "audio-spectrogram-transformer",
        "blip",
        "blip-2",
        "chinese_clip",
        "clap",
        "clip",
        "clipseg",
        "flava",
        "groupvit",
        "siglip",
        "siglip2",
        "vilt",
        "vit",
        "wav2vec2",
        "whisper",
    }
)


def media_of(value: Any) -> str | None:
    """What an input is that is no text: ``"an image"``, ...; None for a text, and for what is something else."""
    if isinstance(value, str) or value is None:
        return None
    if isinstance(value, Mapping):
        if "role" in value and "content" in value:
            return "a message of a chat"
        return next((what for key, what in _KEYS.items() if key in value), None)
    if isinstance(value, (list, tuple)):
        found = media_of(value[0]) if value else None
        return "a chat" if found == "a message of a chat" else None
    classes = type(value).__mro__
    if any(each.__module__.partition(".")[0] == "PIL" for each in classes):
        return "an image"
    if any(each.__name__ in _CLASSES for each in classes):
        return next(_CLASSES[each.__name__] for each in classes if each.__name__ in _CLASSES)
    shape, kind = getattr(value, "shape", None), getattr(getattr(value, "dtype", None), "kind", "f")
    if shape is not None and hasattr(value, "dtype") and not hasattr(value, "columns") and kind in "fiub":
        return (
            f"an array of numbers {tuple(shape)} (an image's pixels, sound, or a vector)"
            if len(shape)
            else None
        )
    return None


def refuse_media(value: Any, name: str) -> None:
    """Refuse images, sound, video and chats.

    Args:
        value: one input.
        name: what it is called in the error, ``"sentences[3]"``.

    Raises:
        InputTypeError: it is such.
    """
    what = media_of(value)
    if what is None:
        return
    message = value[0] if isinstance(value, (list, tuple)) else value
    chat = what in ("a chat", "a message of a chat") and isinstance(message, Mapping)
    remedy = ". Of a chat, give the text: message['content']" if chat else ""
    raise InputTypeError(f"{name} is {what}. {_INSTEAD}{remedy}")


def refuse_media_model(folder: Any, kind: object) -> None:
    """Refuse the folders of models that read images or sound.

    Args:
        folder: it, for the message.
        kind: the architecture, or the class of a module.

    Raises:
        UnsupportedModelError: it is such a model.
    """
    if kind in _MODELS:
        raise UnsupportedModelError(f"{folder} is a model of images or sound ({kind}). {_INSTEAD}")
