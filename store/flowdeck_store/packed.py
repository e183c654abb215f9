"""Long texts that many runs have in common: packed, and named by what they are.

The name is the digest of the packed bytes, not of the text: so that an archive's can be checked without
unpacking what a stranger packed, and so that the writer, which meets the same text in every run, does
not pack it again.
"""

from __future__ import annotations

import zlib
from hashlib import blake2b
from typing import Final

#: A text unpacks to no more than this (bytes); more is an attack on our memory.
MOST: Final = 4 << 20


def packed(text: str) -> bytes:
    """Return a text as the record keeps it."""
    return zlib.compress(text.encode("utf-8", "backslashreplace"))


def digest_of(data: bytes) -> bytes:
    """Return the 16 bytes that name a packed text.

    Raises:
        TypeError: it is not bytes.
    """
    return blake2b(data, digest_size=16).digest()


def unpacked(data: bytes) -> str:
    """Return the text again.

    Raises:
        ValueError: it is damaged, or larger than any that flowdeck packs.
    """
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(data, MOST)
    except zlib.error as error:
        raise ValueError(f"it cannot be unpacked: {error}") from error
    if not unpacking.eof:
        raise ValueError("it is cut off, or too large")
    return text.decode("utf-8", "replace")
