"""Looking, while flow runs go on, whether anything does; and saying why not.

A run that stands still looks like one that works: the terminal is quiet, the counters stay. Why it
stands is known, but in pieces: who waits for whom in the scheduler, who holds a slot in the store, of
what there is no worker in the engine, where a thread hangs in its stack. One thread puts them together
while flow runs go on in this process, twice a second:

* It costs a task run nothing. Its look at a run in which something has ended or begun since the last
  one is a comparison of two numbers. Only where nothing has, it looks through the task runs that have
  not ended; and after a look it sleeps fifty times as long as that had the processor, so 100,000 of
  them cost two per cent of one at most. (The time that a look takes would not do: where it is kept
  waiting, on a busy machine, it would rest for many seconds, just when people ask why nothing goes on.)
* Nothing is a stall in which a function is executed, however long that takes. Where tasks queue behind
  functions that go on, the record is told what those do, for ``flowdeck why``; the log is not.
* It is said once, and again when it is another cause: a cause is what is waited for and who holds it,
  not how many wait.

What is found lies in the record as long as it is so, with the run and all that called it. A note in the
record rather than a state: no task run changes because somebody looked at it.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from flowdeck.logging import WARNING, line
from flowdeck.stalls import sentences
from flowdeck.stalls.activity import Activity, activity_of, waiters
from flowdeck.stopping import cancellation
from flowdeck.values.redaction import concealed
from flowdeck_store import clock, events
from flowdeck_store.events import now_us

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.stalls.facts import Places

#: Seconds between two looks, at most and at least.
_PERIOD: Final = 0.5
_SHORTEST: Final = 0.02
#: Seconds for which the thread stays when no flow run goes on.
_LINGER: Final = 2.0
#: One part in so many is what looks may take of a processor.
_SHARE: Final = 50
#: Seconds after which what is known of busy threads is recorded anew.
_RENEW: Final = 5.0


@dataclass(slots=True)
class _Stands:
    """What is remembered of a flow run between looks."""

    progress: Hashable = None
    since: float = 0.0
    since_us: int = 0
    said: Hashable = None
    recorded: str = ""
    recorded_at: float = 0.0


@dataclass(slots=True)
class _Watch:
    """The thread's state; one a process."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    wake: threading.Event = field(default_factory=threading.Event)
    is_running: bool = False
    #: By uid of the flow run.
    standing: dict[str, _Stands] = field(default_factory=dict)
    places: Places | None = None


_watch = _Watch()


def begin() -> None:
    """See that somebody looks: called when a flow run begins to go on."""
    watch = _watch
    if watch.is_running:
        return
    with watch.lock:
        if watch.is_running:
            return
        watch.is_running = True
    thread = threading.Thread(target=_run, args=(watch,), name="flowdeck-stalls", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no thread to be had: it is no more than advice
        watch.is_running = False


def _run(watch: _Watch) -> None:
    idle_since = clock.monotonic()
    pause = _PERIOD
    while True:
        watch.wake.wait(pause)
        going: list[Any] = list(cancellation.live.values())
        live = [run for run in going if run.stall_seconds]
        now = clock.monotonic()
        if live:
            idle_since = now
        elif now - idle_since > _LINGER:
            with watch.lock:
                if not cancellation.live:
                    watch.is_running = False
                    watch.standing.clear()
                    return
        period = min([_PERIOD, *(run.stall_seconds / 4 for run in live)])
        used = time.thread_time()
        with contextlib.suppress(Exception):  # no run may suffer because somebody looks at it
            _look(watch, live, now, period)
        used = time.thread_time() - used
        pause = max(period, _SHORTEST, _SHARE * used)


def _look(watch: _Watch, live: list[FlowRun], now: float, period: float) -> None:
    uids = {run.info.uid for run in live}
    for uid in [uid for uid in watch.standing if uid not in uids]:
        del watch.standing[uid]
    known: dict[str, Activity] = {}
    for run in live:
        seen = watch.standing.setdefault(run.info.uid, _Stands())
        tree = list(_tree(run))
        counts = tuple(
            (len(one.submissions.counted), len(one.submissions.open), len(one.children))
            for one in tree
        )
        quick = seen.progress[0] if isinstance(seen.progress, tuple) else None
        if counts != quick:
            _goes_on(run, seen, (counts, None), now)
            continue
        activities = []
        for one in tree:
            if one.info.uid not in known:
                known[one.info.uid] = activity_of(one)
            activities.append(known[one.info.uid])
        tries = sum(activity.tries for activity in activities)
        assert isinstance(seen.progress, tuple)
        if seen.progress[1] != tries:
            first = seen.progress[1] is None
            if not first:
                _goes_on(run, seen, (counts, tries), now)
                continue
            seen.progress = (counts, tries)
        _judge(watch, run, seen, activities, now, period)


def _tree(run: FlowRun) -> Iterator[FlowRun]:
    yield run
    for child in run.live_children():
        yield from _tree(child)


def _goes_on(run: FlowRun, seen: _Stands, progress: Hashable, now: float) -> None:
    seen.progress, seen.since, seen.since_us = progress, now, now_us()
    seen.said = None
    _record(run, seen, "", now)


def _judge(
    watch: _Watch,
    run: FlowRun,
    seen: _Stands,
    activities: list[Activity],
    now: float,
    period: float,
) -> None:
    """Say what a run that stands still waits for, if it does so for long enough."""
    if now - seen.since < run.stall_seconds - period or run.is_stopping():
        return
    waiting = waiters(activities)
    if not waiting:
        _record(run, seen, "", now)
        return
    from flowdeck.stalls.facts import Places, facts_of  # a few milliseconds, for what is rare

    if watch.places is None:
        watch.places = Places()
    facts = facts_of(run, activities, waiting, watch.places)
    executes = any(activity.executes for activity in activities)
    causes = sentences.causes_of(facts)
    stalls = sentences.is_a_stall(facts, executes=executes)
    # Before the line: news of a line is what makes a screen read.
    _record(run, seen, _as_json(facts, causes, stalls, seen.since_us), now)
    if stalls:
        _say(run, seen, activities, causes)


def _say(
    run: FlowRun, seen: _Stands, activities: list[Activity], causes: list[sentences.Hindrance]
) -> None:
    """Write it into the log, once for each set of causes, of the run whose task runs wait."""
    key = frozenset(cause.key for cause in causes)
    if seen.said == key:
        return
    seen.said = key
    if not activities[0].waiting:  # the line of the subflow run says it
        return
    if all(cause.kind == sentences.ENGINE for cause in causes):
        return  # its runner has said so
    text = ". ".join(f"{cause.text}{cause.more}" for cause in causes)
    line(run, WARNING, f"Nothing has gone on for {run.stall_seconds:g} s. {text}.")


def _as_json(
    facts: sentences.StallFacts, causes: list[sentences.Hindrance], stalls: bool, since_us: int
) -> str:
    return json.dumps(
        {
            "stall": stalls,
            "since_us": since_us,
            "causes": [
                {"kind": cause.kind, "count": cause.count, "text": concealed(cause.text)}
                for cause in causes
            ],
            "busy": [
                {"name": busy.name, "place": busy.place, "since_us": busy.since_us}
                for busy in facts.busy
            ],
        }
    )


def _record(run: FlowRun, seen: _Stands, data: str, now: float) -> None:
    """Note in the record what is so now; ``""``: nothing any more."""
    if data == seen.recorded:
        return
    if seen.recorded and data and now - seen.recorded_at < min(_RENEW, run.stall_seconds):
        return
    seen.recorded, seen.recorded_at = data, now
    run.recorder.emit(events.provenance(run.info.uid, now_us(), "stall", "", data or "{}"))


def _after_fork_in_child() -> None:
    global _watch
    _watch = _Watch()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
