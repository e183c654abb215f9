"""The history in groups: by flow, or by day. Pure."""

from __future__ import annotations

import zlib
from array import array
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing.amounts import number
from flowdeck_app.drawing.cells import clean
from flowdeck_app.drawing.pieces import Piece, joined
from flowdeck_app.drawing.times import local
from flowdeck_app.views.chips import chips
from flowdeck_store.states import BUCKETS, bucket

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import tzinfo

    from textual.content import Content

    from flowdeck_app.drawing.look import Look
    from flowdeck_store.read.runs import RunPlace

#: What the runs are grouped by, in the order of ``b``; the first: they are not.
GROUPINGS: Final = ("", "flow", "day")
#: Cells of a heading's name.
_NAME: Final = 28


@dataclass(frozen=True, slots=True)
class RunHeading:
    """The heading of a group of runs.

    Attributes:
        key: less than 0; numbers of runs are more.
        label: what the runs have in common.
        counts: how many there are of each state, in the order of ``states.BUCKETS``.
        first: number of the first run of the group.
        folded: they are not shown.
    """

    key: int
    label: str
    counts: tuple[int, ...]
    first: int
    folded: bool


def grouped(
    places: Iterable[RunPlace],
    by: str,
    folded: Collection[int],
    now_us: int,
    zone: tzinfo | None = None,
) -> tuple[array[int], dict[int, RunHeading]]:
    """Put headings before groups of runs.

    The groups come in the order of their first runs; in each, the runs keep theirs.

    Args:
        places: the runs, in the order shown.
        by: ``flow`` or ``day``.
        folded: keys of the headings whose runs are not shown.
        now_us: what today is.
        zone: in which days begin.

    Returns:
        Keys of headings and numbers of runs in the order shown, and the headings by key.
    """
    groups: dict[str, list[RunPlace]] = {}
    for place in places:
        label = place.flow if by == "flow" else day_of(place.us, now_us, zone)
        groups.setdefault(label, []).append(place)
    ids: array[int] = array("q")
    headings: dict[int, RunHeading] = {}
    for label, runs in groups.items():
        counts = [0] * len(BUCKETS)
        for run in runs:
            counts[bucket(run.code, run.named)] += 1
        key = -1 - zlib.crc32(f"{by} {label}".encode("utf-8", "replace"))
        headings[key] = RunHeading(key, label, tuple(counts), runs[0].id, key in folded)
        ids.append(key)
        if key not in folded:
            ids.extend([run.id for run in runs])
    return ids, headings


def day_of(us: int, now_us: int, zone: tzinfo | None = None) -> str:
    """Return the day of a time: ``Today``, ``Yesterday``, ``Sat 28 Nov``, with the year if it is another."""
    when, today = local(us, zone), local(now_us, zone)
    if when.date() == today.date():
        return "Today"
    if when.date() == today.date() - timedelta(days=1):
        return "Yesterday"
    year = f" {when.year}" if when.year != today.year else ""
    return f"{when:%a} {when.day} {when:%b}{year}"


def heading_line(heading: RunHeading, look: Look, cells: int, *, folds: bool = True) -> Content:
    """Return a heading: whether it is folded (where it ``folds``), what the runs have in common, how
    many there are of which state."""
    signs = look.symbols
    total = sum(heading.counts)
    label = clean(heading.label, 300, ascii_only=signs.ascii) or look.dash
    sign = [Piece("[+] " if heading.folded else "[-] ", "$fd-accent")] if folds else []
    pieces = [
        *sign,
        Piece(f"{label:<{_NAME}}", "bold $fd-strong"),
        Piece(f" {number(total, signs.group):>6} run{' ' if total == 1 else 's'}  ", "$fd-muted"),
        *chips(heading.counts, look),
    ]
    return joined(pieces, cells, look.ellipsis)
