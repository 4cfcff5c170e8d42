"""How a text lies in the file: deflated where that makes it smaller, else as it is.

Texts are the second largest part of a file after the vectors; deflate takes 40 to 60 per cent off those of a
paragraph and more, for about 10 microseconds each.
"""

from __future__ import annotations

import hashlib
import zlib

# Raw deflate: a header and a checksum would cost 6 bytes a text, and the content hash checks it anyway.
_WINDOW = -15
# Shorter texts hardly ever become smaller.
_SHORT = 64
DIGEST_BYTES = 16


def pack_text(text: str) -> str | bytes:
    """A text as it is stored: bytes if it was deflated."""
    if len(text) < _SHORT:
        return text
    raw = text.encode()
    deflate = zlib.compressobj(6, zlib.DEFLATED, _WINDOW)
    packed = deflate.compress(raw) + deflate.flush()
    return packed if len(packed) < len(raw) else text


def unpack_text(stored: str | bytes) -> str:
    """The text again.

    Raises:
        ValueError: the bytes are damaged.
    """
    if isinstance(stored, str):
        return stored
    try:
        inflate = zlib.decompressobj(_WINDOW)
        raw = inflate.decompress(stored)
    except (zlib.error, TypeError) as error:
        raise ValueError(f"a text cannot be inflated: {error}") from None
    if not inflate.eof or inflate.unused_data:
        raise ValueError("a text cannot be inflated: it has a wrong length")
    return raw.decode()


def content_digest(text: str, metadata_json: str | None) -> bytes:
    """The content hash of a document: 16 bytes of BLAKE2b over text and canonical metadata."""
    data = text.encode()
    data = len(data).to_bytes(8, "little") + data
    if metadata_json:
        data += metadata_json.encode()
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def sealed(id: str, digest: bytes) -> bytes:
    """A content hash as it is stored: with a CRC-32 over itself and the id that it belongs to.

    Rows from before there were seals hold the hash alone.
    """
    return digest + zlib.crc32(id.encode(), zlib.crc32(digest)).to_bytes(4, "little")
