"""What a notification says, and whether it is to be sent: read from the record once the run's last
state is in it, so that it agrees with what ``flowdeck runs`` and ``flowdeck show`` say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck.values.redaction import concealed
from flowdeck_store.query.language import Query, parse
from flowdeck_store.read.reader import Reader
from flowdeck_store.safe import one_line
from flowdeck_store.states import COMPLETED

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck_store.read.records import FlowRunRecord

#: Characters of the cause: a notification is a hint, `flowdeck show` has all of it.
_LONGEST: Final = 500
#: What a filter may ask of the end, which a run that goes on cannot answer yet.
_OF_THE_END: Final = frozenset({"state", "type", "duration"})


@dataclass(frozen=True, slots=True)
class Notice:
    """What is known of a flow run, secrets hidden. ``duration`` is seconds.

    ``event`` is ``ended`` or ``running``; ``failure`` is the first failure, as ``flowdeck runs``
    has it.
    """

    event: str
    run: int
    uid: str
    name: str
    flow: str
    state: str
    failure: str | None
    duration: float

    @property
    def title(self) -> str:
        """``etl failed``."""
        what = "is still running" if self.event == "running" else self.state.lower()
        return f"{self.flow} {what}"

    @property
    def text(self) -> str:
        """``Run 7 happy-owl, 12.3 s: fetch[7] ConnectionError: 502``."""
        text = f"Run {self.run} {self.name}, {spoken(self.duration)}"
        return f"{text}: {self.failure}" if self.failure else text

    def json(self) -> str:
        """Return all of it as a JSON object, for programs."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        # Chat services show a field `text`.
        return json.dumps({**fields, "text": f"{self.title}. {self.text}"})


def spoken(seconds: float) -> str:
    """Return a duration for people: ``1.4 s``, ``12 min``, ``3.2 h``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def filter_of(text: str, event: str) -> Query:
    """Return the filter for an event. Of a run that goes on nothing is asked that only its end can
    answer: ``state:failed flow:etl*`` lets through any run of ``etl*`` that takes too long.

    Raises:
        QueryError: the filter is wrong.
    """
    query = parse(text, "runs")
    if event == "ended":
        return query
    return Query(text, tuple(term for term in query.terms if term.field not in _OF_THE_END))


def find(home: Path, uid: str, event: str, wanted: str, now_us: int) -> Notice | None:
    """Return what is to be told of a run.

    Args:
        home: the folder of the record.
        uid: of the flow run.
        event: ``ended`` or ``running``.
        wanted: the filter that it must go through.
        now_us: the time, in microseconds since the epoch.

    Returns:
        ``None`` for one that the filter leaves out, is a subflow's, or has ended meanwhile.

    Raises:
        StoreError: the record cannot be read.
    """
    reader = Reader.open(home)
    try:
        run = reader.run_by_uid(uid)
        if run is None or run.is_final != (event == "ended"):
            return None
        query = filter_of(wanted, event)
        if not reader.runs(query, before_id=run.id + 1, after_id=run.id - 1, roots=True):
            return None
        cause = None if run.code == COMPLETED else reader.cause(run)
        failure = (cause.headline if cause else run.message) or None
        return _notice(run, event, failure if event == "ended" else None, now_us)
    finally:
        reader.close()


def _notice(run: FlowRunRecord, event: str, failure: str | None, now_us: int) -> Notice:
    began = run.started_us or run.created_us
    took = max(0, (run.ended_us or now_us) - began) / 1_000_000
    if run.code == COMPLETED:
        failure = None
    return Notice(
        event=event,
        run=run.id,
        uid=run.uid,
        name=_shown(run.name),
        flow=_shown(run.flow),
        state=run.state,
        failure=None if failure is None else _shown(failure),
        duration=took,
    )


def _shown(text: str) -> str:
    return one_line(concealed(text), _LONGEST)
