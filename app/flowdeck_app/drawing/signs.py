"""What stands for a state and for every drawn sign: one glyph, one word, one colour name.

A state is always shown by glyph and word; the colour only repeats it. Every glyph is one cell
wide, has no emoji presentation, and has an ASCII stand-in (``--ascii``). Symbols are injected
into views as a :class:`Symbols`, so a test can ask for either set.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing.cells import clean
from flowdeck_store import states
from flowdeck_store.states import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Sequence


class Kind(enum.Enum):
    """How a state is shown: finer than its type, coarser than its name."""

    SCHEDULED = "scheduled"
    LATE = "late"
    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    PAUSED = "paused"
    COMPLETED = "completed"
    CACHED = "cached"
    FAILED = "failed"
    CRASHED = "crashed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Sign:
    """The glyph of a kind of state, its ASCII stand-in and the style that repeats it."""

    glyph: str
    ascii: str
    style: str


#: ``$fd-…`` are theme variables, see :mod:`flowdeck_app.drawing.theme`.
SIGNS: Final[dict[Kind, Sign]] = {
    Kind.SCHEDULED: Sign("◷", "@", "$fd-waiting"),
    Kind.LATE: Sign("◷", "@", "$fd-retrying"),
    Kind.PENDING: Sign("◌", ".", "$fd-waiting"),
    Kind.RUNNING: Sign("▸", ">", "$fd-running"),
    Kind.RETRYING: Sign("↻", "r", "$fd-retrying"),
    Kind.PAUSED: Sign("‖", "=", "$fd-retrying"),
    Kind.COMPLETED: Sign("✓", "+", "$fd-completed"),
    Kind.CACHED: Sign("✦", "*", "$fd-cached"),
    Kind.FAILED: Sign("✗", "x", "$fd-failed"),
    Kind.CRASHED: Sign("!", "!", "$fd-crashed"),
    Kind.CANCELLING: Sign("⊖", "-", "$fd-cancelled"),
    Kind.CANCELLED: Sign("⊘", "-", "$fd-cancelled"),
    Kind.SKIPPED: Sign("↷", "_", "$fd-waiting"),
}

_OF_TYPE: Final[tuple[Kind, ...]] = (
    Kind.SCHEDULED,
    Kind.PENDING,
    Kind.RUNNING,
    Kind.COMPLETED,
    Kind.FAILED,
    Kind.CRASHED,
    Kind.CANCELLING,
    Kind.CANCELLED,
    Kind.PAUSED,
)
#: State names that change how the type is shown.
_OF_NAME: Final[dict[tuple[int, str], Kind]] = {
    (states.SCHEDULED, "Late"): Kind.LATE,
    (states.SCHEDULED, "AwaitingRetry"): Kind.RETRYING,
    (states.RUNNING, "Retrying"): Kind.RETRYING,
    (states.PENDING, states.NOT_READY): Kind.SKIPPED,
    (states.COMPLETED, states.CACHED): Kind.CACHED,
}
#: What a count per bucket (``states.BUCKETS``) is shown as.
BUCKET_KINDS: Final[tuple[Kind, ...]] = (
    Kind.SCHEDULED,
    Kind.PENDING,
    Kind.RUNNING,
    Kind.COMPLETED,
    Kind.FAILED,
    Kind.CRASHED,
    Kind.CANCELLED,
    Kind.CACHED,
    Kind.SKIPPED,
)
#: Kinds that ask for somebody's attention.
PROBLEMS: Final[frozenset[Kind]] = frozenset(
    {Kind.FAILED, Kind.CRASHED, Kind.RETRYING, Kind.SKIPPED, Kind.LATE}
)
#: Kinds in which time goes on, so that a shown duration grows.
ACTIVE: Final[frozenset[Kind]] = frozenset({Kind.RUNNING, Kind.RETRYING, Kind.CANCELLING})


def kind_of(code: int, name: str | None = None) -> Kind:
    """Return how a state is shown.

    Args:
        code: state code of ``flowdeck_store.states``.
        name: the state's name when it differs from the type's default.
    """
    if name is not None:
        found = _OF_NAME.get((code, name))
        if found is not None:
            return found
    return _OF_TYPE[code]


#: The first that a group of task runs has any of is what the group is.
_WORST: Final = (
    "failed", "crashed", "running", "cancelled", "not_ready", "pending", "scheduled", "completed",
    "cached",
)  # fmt: skip


def worst_of(counts: Sequence[int]) -> str | None:
    """Return the bucket that says what a group of task runs is; ``None`` for an empty one."""
    return next((bucket for bucket in _WORST if counts[BUCKETS.index(bucket)]), None)


#: Characters of a state's name that are drawn.
_LONGEST_WORD: Final = 60


def word_of(code: int, name: str | None = None) -> str:
    """Return the state as users read it: ``"completed"``, ``"timed out"``, ``"retrying"``."""
    kind = kind_of(code, name)
    if name is None or (code, name) in _OF_NAME:
        return kind.value
    return _spaced(name)


def _spaced(name: str) -> str:
    """Turn ``TimedOut`` into ``timed out``; a name of the user's own stays readable too."""
    name = clean(name, _LONGEST_WORD)  # anything may be in it
    out: list[str] = []
    for index, char in enumerate(name):
        if index and char.isupper() and name[index - 1].islower():
            out.append(" ")
        out.append(char.lower())
    return "".join(out)


@dataclass(frozen=True, slots=True)
class Symbols:
    """The drawn signs other than states. Strings of equal length stay of equal length."""

    ascii: bool
    bar: str  # cursor, left edge
    bar_end: str  # cursor, right edge
    mark: str
    separator: str  # of breadcrumbs
    ellipsis: str
    dash: str  # no value
    levels: str  # 8 heights, low to high
    done: str  # progress
    tip: str  # progress: half a cell
    rest: str
    line: str
    wait: str  # timeline: waiting or between attempts
    run: str
    left: str
    right: str
    up: str
    down: str
    newline: str
    tab: str
    live: str
    stale: str
    archived: str
    arrow: str
    branch: str
    branch_last: str
    branch_line: str
    more: str  # the line goes on to the right
    dot: str
    times: str
    spinner: str
    group: str  # thousands separator

    def of(self, kind: Kind) -> str:
        """Return the one-cell glyph of a kind of state."""
        sign = SIGNS[kind]
        return sign.ascii if self.ascii else sign.glyph


UNICODE: Final = Symbols(
    ascii=False,
    bar="▌",
    bar_end="▐",
    mark="•",
    separator="›",
    ellipsis="…",
    dash="–",
    levels="▁▂▃▄▅▆▇█",
    done="━",
    tip="╺",
    rest="─",
    line="─",
    wait="╌",
    run="━",
    left="‹",
    right="›",
    up="▴",
    down="▾",
    newline="⏎",
    tab="→",
    live="◉",
    stale="◌",
    archived="■",
    arrow="─▸",
    branch="├╴",
    branch_last="└╴",
    branch_line="│ ",
    more="›",
    dot="·",
    times="×",
    spinner="⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏",
    group="\u202f",
)

ASCII: Final = Symbols(
    ascii=True,
    bar=">",
    bar_end="<",
    mark="*",
    separator=">",
    ellipsis="~",
    dash="-",
    levels="__..--==",
    done="=",
    tip=">",
    rest="-",
    line="-",
    wait=".",
    run="=",
    left="<",
    right=">",
    up="^",
    down="v",
    newline="|",
    tab=">",
    live="*",
    stale="?",
    archived="#",
    arrow="->",
    branch="|-",
    branch_last="`-",
    branch_line="| ",
    more=">",
    dot=".",
    times="x",
    spinner="|/-\\",
    group=" ",
)


def symbols(ascii_only: bool) -> Symbols:
    """Return the set of signs to draw with."""
    return ASCII if ascii_only else UNICODE
