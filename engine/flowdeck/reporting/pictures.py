"""Pictures as bytes of a format that can be shown, looked over before they are kept.

Nothing is decoded here: header, size and (of PNG) checksums must be right, so that a file that was
cut off or is something else is refused where it was made, and not on the screen of whoever looks.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_LARGEST: Final = 100_000  # cells of a side
_MOST_FILE: Final = 500_000_000


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture: ``png``, ``jpeg``, ``gif``, ``webp`` or ``bmp``."""

    data: bytes
    format: str
    width: int
    height: int


def picture_of(given: Any) -> Picture:
    """Return what was given as a picture.

    Args:
        given: bytes, a path, a figure of matplotlib, an image of Pillow.

    Raises:
        TypeError: it is nothing of that.
        ValueError: it is broken, or of another format.
        OSError: the file cannot be read.
    """
    if isinstance(given, (bytes, bytearray, memoryview)):
        return checked(bytes(given))
    if isinstance(given, (str, os.PathLike)):
        path = Path(given)
        if path.stat().st_size > _MOST_FILE or not path.is_file():
            raise ValueError(
                f"artifact.image(): {path} is no file, or far too large for a picture."
            )
        return checked(path.read_bytes())
    buffer = io.BytesIO()
    if hasattr(given, "savefig"):
        given.savefig(buffer, format="png")
    elif hasattr(given, "save") and hasattr(given, "tobytes"):
        given.save(buffer, format="PNG")
    else:
        raise TypeError(
            "artifact.image() needs bytes, the path of a file, a figure of matplotlib or an image "
            f"of Pillow, not a {type(given).__name__}."
        )
    return checked(buffer.getvalue())


def checked(data: bytes) -> Picture:
    """Return bytes as a picture.

    Raises:
        ValueError: they are none that can be shown.
    """
    try:
        form, width, height = _measured(data)
    except (struct.error, IndexError, zlib.error):
        raise ValueError("artifact.image(): the picture is broken: it ends too early.") from None
    if not 0 < width <= _LARGEST or not 0 < height <= _LARGEST:
        raise ValueError(
            f"artifact.image(): the picture is broken: it has {width} × {height} pixels."
        )
    return Picture(data, form, width, height)


def _measured(data: bytes) -> tuple[str, int, int]:
    if data.startswith(_PNG):
        _check_chunks(data)
        return ("png", *struct.unpack(">II", data[16:24]))
    if data.startswith(b"\xff\xd8"):
        return ("jpeg", *_of_jpeg(data))
    if data[:6] in {b"GIF87a", b"GIF89a"}:
        return ("gif", *struct.unpack("<HH", data[6:10]))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        if len(data) < 8 + struct.unpack("<I", data[4:8])[0]:
            raise IndexError
        return ("webp", *_of_webp(data))
    if data[:2] == b"BM":
        width, height = struct.unpack("<ii", data[18:26])
        return "bmp", width, abs(height)
    kind = "an SVG" if data.lstrip()[:5] in {b"<svg ", b"<?xml"} else "none of these"
    raise ValueError(f"artifact.image() takes PNG, JPEG, GIF, WebP and BMP; this is {kind}.")


def _check_chunks(data: bytes) -> None:
    place = len(_PNG)
    while True:
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        end = place + 8 + length
        (crc,) = struct.unpack(">I", data[end : end + 4])
        if zlib.crc32(data[place + 4 : end]) != crc:
            raise ValueError("artifact.image(): the picture is broken: a checksum is wrong.")
        if kind == b"IEND":
            return
        place = end + 4


def _of_jpeg(data: bytes) -> tuple[int, int]:
    place = 2
    while True:
        if data[place] != 0xFF:
            raise IndexError
        mark = data[place + 1]
        if 0xC0 <= mark <= 0xCF and mark not in {0xC4, 0xC8, 0xCC}:
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return width, height
        place += 2 + struct.unpack(">H", data[place + 2 : place + 4])[0]


def _of_webp(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        return width, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack("<HH", data[26:30])
    return width & 0x3FFF, height & 0x3FFF
