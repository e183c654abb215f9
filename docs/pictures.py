"""What the pictures of the docs have in common: they load nothing from elsewhere, and are small."""

from __future__ import annotations

import re
from collections import Counter

#: What an offline reader cannot load: web fonts, a link in a comment.
FROM_ELSEWHERE = re.compile(r"@font-face \{.*?\}|<!--.*?-->", re.DOTALL)
_LINE_CLIP = re.compile(r'<clipPath id="[^"]*-line-\d+">.*?</clipPath>\s*', re.DOTALL)
_USE_OF_CLIP = re.compile(r' clip-path="url\(#[^"]*-line-\d+\)"')
_CELL = re.compile(
    r'<rect fill="(?P<fill>[^"]+)" x="[\d.]+" y="[\d.]+" width="[\d.]+" height="24\.65" '
    r'shape-rendering="crispEdges"/>'
)
_BLANK = re.compile(r'<text class="[^"]*-r\d+"[^>]*>(?:&#160;|\s)*</text>')
_CANVAS = re.compile(
    r'(<clipPath id="[^"]*-clip-terminal">\s*<rect x="0" y="0" (?P<size>width="[\d.]+" '
    r'height="[\d.]+") />.*?<g transform="translate\(9, 41\)"[^>]*>)',
    re.DOTALL,
)
_CLASSES = re.compile(r"(?<=[\"\s.])terminal-[\w-]+?-(?=(?:r\d+|matrix|title)\b)")


def slim(picture: str) -> str:
    """Return a picture of a terminal as Textual draws it in a third of the characters, looking the same.

    Each cell has a rectangle of its own there, most of one colour, and each line something to be cut to:
    here is one rectangle of that colour behind everything.

    Args:
        picture: the SVG.
    """
    found = FROM_ELSEWHERE.sub("", picture)
    found = _USE_OF_CLIP.sub("", _LINE_CLIP.sub("", found))
    colours = Counter(cell["fill"] for cell in _CELL.finditer(found))
    if colours:
        ground = colours.most_common(1)[0][0]
        found = _CELL.sub(lambda cell: "" if cell["fill"] == ground else cell[0], found)
        found = _CANVAS.sub(rf'\1<rect fill="{ground}" \g<size>/>', found, count=1)
        found = found.replace(' shape-rendering="crispEdges"', "")
    found = _BLANK.sub("", found)
    found = _CLASSES.sub("t-", found)
    return re.sub(r"\n\s*\n+", "\n", found)


_TEXT = re.compile(r"(<text [^>]*>)([^<]*)(</text>)")
_ELSEWHERE = "/usr/lib"


def without_place(picture: str, place: str) -> str:
    """Return a picture that does not tell where Python is installed on the machine that drew it.

    Args:
        picture: the SVG.
        place: the folder, which stands there as ``/usr/lib``; also where it is cut.
    """

    def replaced(found: re.Match[str]) -> str:
        text = found[2].replace("&#160;", "\xa0")
        at = text.find(place[: place.index("/", 1) + 4])
        if at < 0:
            return found[0]
        end = at
        while end < len(text) and end - at < len(place) and text[end] == place[end - at]:
            end += 1
        new = (text[:at] + _ELSEWHERE + text[end:]).ljust(len(text), "\xa0")
        return found[1] + new.replace("\xa0", "&#160;") + found[3]

    return _TEXT.sub(replaced, picture)
