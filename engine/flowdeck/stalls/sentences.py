"""What is said of task runs that wait: pure, from facts to sentences.

A cause is something that task runs wait for and that is no other task run: a slot, the time of another
try, a worker. Ten thousand that wait for one slot have one cause, and are one sentence; those that wait
for them are a number at its end, with one of them as an example of who waits for whom.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from flowdeck import budgets
from flowdeck_store.safe import one_line

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

UPSTREAM: Final = "upstream"
SLOT: Final = "slot"
RETRY: Final = "retry"
ENGINE: Final = "engine"  # the engine itself said why
WORKER: Final = "worker"
THREAD: Final = "thread"
LOOP: Final = "loop"
START: Final = "start"

#: Names of task runs, busy threads and holders of slots that are told.
_TOLD: Final = 3
_BUSY: Final = 8
#: Busy threads that are looked at.
MOST_BUSY: Final = 64
#: Links of the chain that shows who waits for whom.
_LINKS: Final = 4


@dataclass(frozen=True, slots=True)
class Waiter:
    """A task run that waits.

    Attributes:
        uid: of the task run.
        name: of the task run.
        kind: what it waits for, one of the above.
        detail: more of that: the full tags of SLOT, the µs of RETRY, the sentence of ENGINE.
        upstreams: the uids of those that it waits for, of UPSTREAM.
        count: how many there are, where one stands for several (without a name).
    """

    uid: str
    name: str
    kind: str
    detail: Any = None
    upstreams: tuple[str, ...] = ()
    count: int = 1


@dataclass(frozen=True, slots=True)
class Busy:
    """What executes.

    Attributes:
        name: of the task run or flow run.
        place: ``fetch at etl.py:12``; ``""`` where that is not known.
        since_us: since when it is there.
        is_blocked: it waits for another thread of this process.
    """

    name: str
    place: str
    since_us: int
    is_blocked: bool = False


@dataclass(frozen=True, slots=True)
class HeldBy:
    """Who holds a slot of a limited tag.

    Attributes:
        tag: the tag.
        most: how many slots it has.
        uid: of the task run.
        who: what it is called: ``query-0 (12.1)``.
        where: of which run and process, ``""`` for the run that waits.
    """

    tag: str
    most: int
    uid: str
    who: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class StallFacts:
    """What is known of a flow run, and the subflow runs below it, in which task runs wait.

    Attributes:
        waiters: those task runs.
        names: of task runs by uid that are waited for and do not wait for such a thing themselves.
        waits_for: uid of a task run, whose function waits in its code, to the one that it waits for.
        holders: of the slots of the tags that are waited for.
        busy: what holds threads.
        limit: how many threads there can be, ``None`` for as many as are of use.
        engine: what the runner's engine is called.
        loop: what blocks the event loop.
        beside: something executes that is not among ``busy``.
    """

    waiters: Sequence[Waiter] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    waits_for: Mapping[str, str] = field(default_factory=dict)
    holders: Sequence[HeldBy] = ()
    busy: Sequence[Busy] = ()
    limit: int | None = None
    engine: str = ""
    loop: Busy | None = None
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Something that task runs wait for.

    Attributes:
        kind: one of the above.
        key: the same for as long as it is the same cause.
        count: how many task runs wait for just that.
        text: a sentence without its full stop.
        more: what may be said behind it: what threads do, which changes with each look.
    """

    kind: str
    key: Hashable
    count: int
    text: str
    more: str = ""


def causes_of(facts: StallFacts) -> list[Hindrance]:
    """Return what the task runs wait for; what most of them wait for comes first."""
    groups: dict[tuple[str, Any], list[Waiter]] = {}
    following: list[Waiter] = []
    for waiter in facts.waiters:
        if waiter.kind == UPSTREAM:
            following.append(waiter)
        else:
            detail = None if waiter.kind == RETRY else waiter.detail
            groups.setdefault((waiter.kind, detail), []).append(waiter)
    causes = [_cause(kind, detail, group, facts) for (kind, detail), group in groups.items()]
    causes.sort(key=lambda cause: -cause.count)
    if following:
        causes = _with_following(causes, following, facts)
    return causes


def _cause(kind: str, detail: Any, group: list[Waiter], facts: StallFacts) -> Hindrance:
    count = sum(waiter.count for waiter in group)
    who, waits = told(group), "waits" if count == 1 else "wait"
    key: Hashable = (kind, detail)
    more = ""
    if kind == SLOT:
        told_holders, holder_key = _holders(detail, facts)
        key = (kind, detail, holder_key)
        text = f"{who} {waits} for {_slots(detail)}{told_holders}"
    elif kind == RETRY:
        first = min(waiter.detail for waiter in group if waiter.detail is not None)
        begin = "is tried again at" if count == 1 else "are tried again, the first at"
        text = f"{who} {begin} {clock_time(first)}"
    elif kind == ENGINE:
        text = f"{who}: {str(detail).rstrip('.')}"
    elif kind == THREAD:
        what, more = _threads(facts)
        text = f"{who} {waits} for a thread{what}"
    elif kind == LOOP:
        text = f"{who} {waits} for {_loop(facts)}"
    elif kind == WORKER:
        text = (
            f"{who} {waits} for a worker: {facts.engine or 'the engine'} has them and has not "
            "started any"
        )
    else:
        text = f"{who} {waits} to be started"
    return Hindrance(kind, key, count, text, more)


def _slots(names: tuple[str, ...]) -> str:
    tags = [repr(one_line(name, 80)) for name in names if not name.startswith(budgets.PREFIX)]
    resources = [one_line(name, 80) for name in names if name.startswith(budgets.PREFIX)]
    of_tags = [f"a slot of tag {' and '.join(tags)}"] if tags else []
    return " and ".join([*of_tags, *resources])


def _holders(tags: tuple[str, ...], facts: StallFacts) -> tuple[str, Hashable]:
    """Return who holds the slots of some tags, as the end of a sentence, and a key of that."""
    holders = [holder for holder in facts.holders if holder.tag in tags]
    if not holders:
        return "", None
    waiting = {waiter.uid for waiter in facts.waiters}
    shown = [f"{one_line(holder.who, 120)}{holder.where}" for holder in holders[:_TOLD]]
    more = len(holders) - len(shown)
    limit = " and ".join(
        f"{holder.most:,}" for holder in {holder.tag: holder for holder in holders}.values()
    )
    text = f" (limit {limit}), held by {listed(shown, more)}"
    circle = [h for h in holders if _leads_to(h.uid, waiting, facts)]
    if circle and len(circle) == len(holders):
        target = facts.waits_for[circle[0].uid]
        name = next((w.name for w in facts.waiters if w.uid == target), facts.names.get(target, ""))
        text += f", which waits for {one_line(name, 80)} meanwhile: neither can go on"
    return text, frozenset(holder.uid for holder in holders[:_TOLD])


def _leads_to(uid: str, waiting: set[str], facts: StallFacts) -> bool:
    seen: set[str] = set()
    while uid in facts.waits_for and uid not in seen:
        seen.add(uid)
        uid = facts.waits_for[uid]
        if uid in waiting:
            return True
    return False


def _threads(facts: StallFacts) -> tuple[str, str]:
    """Return how the threads are, and what each does."""
    if not facts.busy:
        return "", ""
    blocked = all(busy.is_blocked for busy in facts.busy)
    count = facts.limit or len(facts.busy)
    what = "the only one is" if count == 1 else f"all {count:,} are"
    does = "blocked in a wait for another thread" if blocked else "busy"
    shown = [_busy(busy) for busy in facts.busy[:_BUSY]]
    return f": {what} {does}", f": {listed(shown, len(facts.busy) - len(shown))}"


def _busy(busy: Busy) -> str:
    name = one_line(busy.name, 80)
    return f"{name} in {busy.place}" if busy.place else name


def _loop(facts: StallFacts) -> str:
    if facts.loop is not None:
        return f"the event loop, which is blocked by {_busy(facts.loop)}"
    if facts.limit is not None and len(facts.busy) >= facts.limit:
        places = "the only place" if facts.limit == 1 else f"one of the {facts.limit:,} places"
        return f"{places} on the event loop"
    return "the event loop"


def _with_following(
    causes: list[Hindrance], following: list[Waiter], facts: StallFacts
) -> list[Hindrance]:
    """Add those that wait for others: at the end of the first cause, or as one of its own."""
    example = _chain(following[0], facts)
    count = sum(waiter.count for waiter in following)
    if not causes:
        who = told(following)
        return [Hindrance(UPSTREAM, (UPSTREAM,), count, f"{who} cannot start: {example}")]
    first, *rest = causes
    waits = "waits for them" if count == 1 else "wait for them"
    if first.count == 1 and not rest:
        waits = waits.replace("them", "it")
    text = f"{first.text}; {count:,} more {waits}: {example}"
    return [Hindrance(first.kind, first.key, first.count, text, first.more), *rest]


def _chain(waiter: Waiter, facts: StallFacts) -> str:
    """Return who waits for whom, from one that waits on."""
    by_uid = {one.uid: one for one in facts.waiters}
    text, seen = f"{one_line(waiter.name, 80)} waits for ", {waiter.uid}
    uid = waiter.upstreams[0] if waiter.upstreams else None
    for link in range(_LINKS):
        if uid is None:
            return f"{text}a run of another flow run" if not link else text
        following = by_uid.get(uid)
        name = facts.names.get(uid, uid) if following is None else following.name
        text += f"{', that for ' if link else ''}{one_line(name, 80)}"
        if uid in seen:
            return f"{text}: in a circle, so none of them ever starts"
        seen.add(uid)
        if following is not None and following.kind == UPSTREAM:
            uid = following.upstreams[0] if following.upstreams else None
        else:
            uid = facts.waits_for.get(uid)
        if uid is None:
            return text
    return f"{text}, and so on"


def told(group: Sequence[Waiter]) -> str:
    """Return ``fetch-1``, ``fetch-1 and fetch-2``, ``fetch-1 and 9,999 more``."""
    count = sum(waiter.count for waiter in group)
    if count <= 2:
        return " and ".join(one_line(waiter.name, 80) for waiter in group)
    return f"{one_line(group[0].name, 80)} and {count - 1:,} more"


def listed(shown: Sequence[str], more: int) -> str:
    """Return texts with what is left out: ``a, b and 3 more``."""
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def clock_time(us: int) -> str:
    """Return a time of day here, ``08:03:48``."""
    return time.strftime("%H:%M:%S", time.localtime(us / 1e6))


def is_a_stall(facts: StallFacts, *, executes: bool) -> bool:
    """Say whether it is worth saying unasked: nothing executes, or what does can only wait.

    Args:
        facts: of the run.
        executes: some function of the run is being executed.
    """
    if not facts.waiters:
        return False
    kinds = Counter(waiter.kind for waiter in facts.waiters)
    if facts.loop is not None and kinds[LOOP]:
        return True
    if not executes:
        return True
    # Not if something else goes on beside those threads: it may be what they wait for.
    all_busy = len(facts.busy) >= min(facts.limit or MOST_BUSY, MOST_BUSY)
    blocked = all(busy.is_blocked for busy in facts.busy)
    return bool(kinds[THREAD]) and all_busy and blocked and not facts.beside
