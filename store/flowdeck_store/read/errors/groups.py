"""Which failures are the same error: one type of exception, raised at one place. Pure.

The place is the innermost frame of the user's own code: a connection that breaks breaks in a
hundred places of a library, and in one line of the flow. Tracebacks are stored once for all
failures that share them, so grouping looks at a few structures, not at each failure.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from flowdeck_store.states import COMPLETED, CRASHED, FAILED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class ErrorPlace(NamedTuple):
    """Where an exception left the user's code (without such a frame: where it was raised)."""

    file: str = ""  # "": the record does not say
    line: int = 0
    function: str = ""

    @property
    def short(self) -> str:
        """``etl.py:12``; empty when it is not known."""
        return f"{os.path.basename(self.file)}:{self.line}" if self.file else ""


class ErrorKind(NamedTuple):
    """What makes failures the same error, and the tracebacks (hashes) that say it."""

    exc_type: str
    place: ErrorPlace
    tracebacks: tuple[bytes, ...] = ()  # none: failures without a traceback


class Tally(NamedTuple):
    """What one run has of one kind of error."""

    kind: int | None  # index of its :class:`ErrorKind`; None: failures without a traceback
    exc_type: str
    run_id: int
    tasks: int  # task runs, without those that stand for subflow runs that failed
    attempts: (
        int  # their failures, also those that were retried; where there are none, the flow's own
    )
    first_us: int
    last_us: int
    newest: int  # id of the newest failure
    is_own: bool = False  # the flow function raised it, rather than let it through


class StartedRun(NamedTuple):
    """What grouping needs to know of a run that somebody started (no subflow run)."""

    id: int
    uid: str
    flow: str
    code: int
    rerun_of: str | None


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """All failures of one type at one place.

    Runs are those that were started: what fails in a subflow counts for the run above it.
    """

    id: str  # eight hexadecimal digits, the same as long as type and place are
    exc_type: str
    place: ErrorPlace
    tasks: int  # task runs
    attempts: int  # failures, with those that were retried; what a flow lets through is none more
    runs: tuple[int, ...]  # newest first
    open_runs: tuple[int, ...]  # those that failed and that no re-run has made good since
    repaired_runs: tuple[int, ...]  # those that failed and that a re-run has made good
    flows: tuple[str, ...]  # names, by how recently
    first_us: int
    last_us: int
    newest: int  # id of the newest failure
    members: tuple[int, ...]  # the runs (also subflow runs) that have the failures
    own: tuple[int, ...]  # those of them whose flow function raised it itself
    tracebacks: tuple[bytes, ...]  # hashes; none: failures without a traceback
    when: tuple[tuple[int, int], ...]  # microseconds and attempts, oldest first: for a picture

    @property
    def is_open(self) -> bool:
        """Whether a run that failed with it waits to be repaired."""
        return bool(self.open_runs)

    @property
    def title(self) -> str:
        """``ConnectionError at etl.py:12``."""
        return f"{self.exc_type} at {self.place.short}" if self.place.file else self.exc_type

    @property
    def count(self) -> int:
        """How many task runs, or runs where only flow functions failed with it."""
        return self.tasks or len(self.runs)


def place_of(structure: Mapping[str, Any]) -> ErrorPlace:
    """Return where an exception belongs, from its recorded structure (which may be anything)."""
    frames = structure.get("frames")
    known = [f for f in frames if isinstance(f, dict)] if isinstance(frames, list) else []
    own = [frame for frame in known if frame.get("is_user")] or known
    if not own:
        return ErrorPlace()
    file, line, function = (own[-1].get(key) for key in ("file", "lineno", "func"))
    return ErrorPlace(
        file if isinstance(file, str) else "",
        line if isinstance(line, int) else 0,
        function if isinstance(function, str) else "",
    )


def group_id(exc_type: str, place: ErrorPlace) -> str:
    """Return the name of a group: the same in every record and every process."""
    said = f"{exc_type}\0{place.file}\0{place.line}".encode("utf-8", "backslashreplace")
    return blake2b(said, digest_size=4).hexdigest()


def kinds_of(errors: Mapping[bytes, tuple[str, ErrorPlace]]) -> list[ErrorKind]:
    """Put tracebacks together that say the same error: one type at one line of one file.

    Args:
        errors: type and place, by hash of the traceback.
    """
    found: defaultdict[tuple[str, str, int], list[bytes]] = defaultdict(list)
    for digest, (exc_type, place) in errors.items():
        found[exc_type, place.file, place.line].append(digest)
    return [
        ErrorKind(exc_type, errors[digests[0]][1], tuple(sorted(digests)))
        for (exc_type, _, _), digests in found.items()
    ]


def grouped(
    tallies: Iterable[Tally],
    kinds: Sequence[ErrorKind],
    roots: Mapping[int, int],
    facts: Mapping[int, StartedRun],
    made_good: Mapping[int, int],
) -> list[ErrorGroup]:
    """Put what runs have of each error into groups, the one that was seen last first.

    Args:
        tallies: what there is.
        kinds: what the tallies refer to.
        roots: the run above, for each subflow run.
        facts: of the runs that were started, by number.
        made_good: runs that a later run has made good: that one's number.
    """
    found: dict[str, tuple[ErrorKind, list[Tally]]] = {}
    for tally in tallies:
        bare = ErrorKind(tally.exc_type, ErrorPlace())
        kind = bare if tally.kind is None else kinds[tally.kind]
        name = group_id(kind.exc_type, kind.place)
        known, members = found.setdefault(name, (kind, []))
        members.append(tally)
        if kind.tracebacks and not known.tracebacks:
            found[name] = kind, members
    groups = [
        _group(name, kind, members, roots, facts, made_good)
        for name, (kind, members) in found.items()
    ]
    return sorted(groups, key=lambda group: (-group.last_us, group.id))


def _group(
    name: str,
    kind: ErrorKind,
    tallies: list[Tally],
    roots: Mapping[int, int],
    facts: Mapping[int, StartedRun],
    made_good: Mapping[int, int],
) -> ErrorGroup:
    runs = sorted({roots.get(tally.run_id, tally.run_id) for tally in tallies}, reverse=True)
    known = [facts[run] for run in runs if run in facts]
    failed = [run for run in known if run.code in {FAILED, CRASHED}]
    counted = [tally for tally in tallies if tally.attempts] or tallies
    return ErrorGroup(
        id=name,
        exc_type=kind.exc_type,
        place=kind.place,
        tasks=sum(tally.tasks for tally in tallies),
        attempts=sum(tally.attempts for tally in tallies),
        runs=tuple(runs),
        open_runs=tuple(run.id for run in failed if run.id not in made_good),
        repaired_runs=tuple(run.id for run in failed if run.id in made_good),
        flows=tuple(dict.fromkeys(run.flow for run in known)),
        first_us=min(tally.first_us for tally in tallies),
        last_us=max(tally.last_us for tally in tallies),
        newest=max(tally.newest for tally in counted),
        members=tuple(sorted({tally.run_id for tally in tallies})),
        own=tuple(sorted({tally.run_id for tally in tallies if tally.is_own})),
        tracebacks=kind.tracebacks,
        when=tuple(sorted((tally.last_us, tally.attempts) for tally in counted)),
    )


def made_good(wrong: Iterable[StartedRun], again: Iterable[StartedRun]) -> dict[int, int]:
    """Return which runs a later run has done again and completed: that one's number.

    Whichever run of a family was repeated: the run that repairs a flow repairs all earlier attempts
    to repair it, too.

    Args:
        wrong: the runs to look for.
        again: all runs that repeat others.
    """
    repeats = list(again)
    above = {run.uid: run.rerun_of for run in repeats if run.rerun_of}
    completed: dict[str, int] = {}
    for run in repeats:
        if run.code == COMPLETED:
            first = _first(run.uid, above)
            completed[first] = max(run.id, completed.get(first, 0))
    found = ((run.id, completed.get(_first(run.uid, above), 0)) for run in wrong)
    return {run: later for run, later in found if later > run}


def _first(uid: str, above: Mapping[str, str]) -> str:
    """Return the run that a run repeats, that this one repeats, and so on."""
    way = [uid]
    seen = {uid}
    while (earlier := above.get(way[-1])) is not None:
        if (
            earlier in seen
        ):  # a record from elsewhere leads in a circle, of which all are one family
            return min(way[way.index(earlier) :])
        way.append(earlier)
        seen.add(earlier)
    return way[-1]


def to_repair(group: ErrorGroup, facts: Mapping[int, StartedRun]) -> list[int]:
    """Return the newest run of each flow that failed with an error and was not made good since."""
    newest: dict[str, int] = {}
    for run in group.open_runs:  # newest first
        if run in facts:
            newest.setdefault(facts[run].flow, run)
    return list(newest.values())
