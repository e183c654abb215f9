"""What ``flowdeck retry RUN --failed`` would do, told from the record before anything starts.

What the flow would call this time nobody knows. So this is what holds if it makes the same calls with
the same arguments. Of the code only what changed in it is looked at, where somebody has imported it. With other parameters than then it is only a
bound: whatever gets another value runs again too.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flowdeck.exceptions import MissingResult
from flowdeck.reuse import earlier_run
from flowdeck.reuse.code_changes import changes_by_key, is_asked_for
from flowdeck.reuse.code_changes import said as named
from flowdeck.reuse.subflows import can_be_compared
from flowdeck_store.read.provenance import code_key
from flowdeck_store.states import CACHED, CANCELLED, CRASHED, FAILED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flowdeck.runs.results import ResultStore
    from flowdeck_store.read.provenance import CodeRecord
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.reuse import EarlierCall, EarlierInputs

__all__ = ["Again", "Preview", "Reused", "Why", "Wishes", "preview"]

_PAGE: Final = 512
#: What the keys of flows begin with in the record of code.
FLOW: Final = "flow "
_DEPTH: Final = 20  # of subflows in subflows


class Why(enum.Enum):
    """Why a task run is executed again; the value follows a number of them."""

    FAILED = "failed"
    CRASHED = "crashed"
    CANCELLED = "cancelled"
    NOT_STARTED = "had not started"
    NOT_KEPT = "completed, but the result was not kept"
    DEPENDS = "completed, but depend on one that runs again"
    UNKNOWN_INPUTS = "completed, but what they were given cannot be compared"
    CODE_CHANGED = "completed, but the code changed"
    ASKED_FOR = "completed, but asked for"


#: Those that would be reused if results were kept.
FOR_WANT_OF_RESULTS: Final = frozenset({Why.NOT_KEPT, Why.UNKNOWN_INPUTS})


@dataclass(frozen=True, slots=True)
class Again:
    """A task run that is executed again."""

    run_id: int
    no: int
    name: str
    label: str
    why: Why
    detail: str = ""  # what changed, which upstream, which argument


@dataclass(frozen=True, slots=True)
class Reused:
    """A task run whose result is taken over."""

    run_id: int
    no: int
    name: str
    label: str


@dataclass(frozen=True, slots=True)
class Wishes:
    """What somebody wants to be done otherwise.

    Attributes:
        code: the tasks' code as it is now, by key; ``None``: not looked at.
        force: names of tasks or task runs that are to run again.
    """

    code: Mapping[str, Sequence[CodeRecord]] | None = None
    force: frozenset[str] = frozenset()


@dataclass(slots=True)
class Preview:
    """What would be reused and what would run again, subflow runs included.

    With ``changed`` parameters, or other code of the flow itself, that many are reused at most and
    these run again at least.
    """

    reused: int = 0
    again: list[Again] = field(default_factory=list)
    changed: tuple[str, ...] = ()
    taken: list[Reused] = field(default_factory=list)
    #: What changed in the code of flows themselves: which calls they make now is not known.
    flow_code: tuple[str, ...] = ()
    #: Names in ``force`` that no task run of the earlier run has.
    unmatched: frozenset[str] = frozenset()

    @property
    def is_exact(self) -> bool:
        """Whether it is known what is reused: nothing is, or the flow gets the same parameters and
        does the same with them."""
        return not (self.changed or self.flow_code) or not self.reused

    @property
    def reasons(self) -> dict[Why, int]:
        """How many run again, by reason."""
        counts = Counter(item.why for item in self.again)
        return {why: counts[why] for why in Why if counts[why]}

    @property
    def summary(self) -> str:
        """One sentence, or two: ``3 reused, 5 run again: 2 failed, 3 had not started.``"""
        verb = "run" if len(self.again) != 1 else "runs"
        if self.is_exact:
            start = f"{self.reused:,} reused, {len(self.again):,} {verb} again"
        else:
            start = f"at most {self.reused:,} reused, at least {len(self.again):,} {verb} again"
        said = ": ".join(filter(None, (start, self.why))) + "."
        if self.is_exact:
            return said
        if self.changed:
            names = ", ".join(self.changed)
            said += f" What depends on {names} runs again too: the value is another than then."
        if self.flow_code:
            said += (
                f" The flow's own code changed ({named(self.flow_code)}): what it calls now, and with "
                "what, is not known before it runs."
            )
        return said

    @property
    def why(self) -> str:
        """The reasons with their numbers: ``2 failed, 3 had not started``."""
        return ", ".join(f"{count:,} {why.value}" for why, count in self.reasons.items())

    @property
    def hint(self) -> str:
        """What would make more be reused next time, ``""`` if nothing would."""
        if not FOR_WANT_OF_RESULTS & self.reasons.keys():
            return ""
        return (
            "Results are kept with persist_result=True (task or flow), or for all flows with the "
            "setting persist_results = true (FLOWDECK_PERSIST_RESULTS=1)."
        )


def preview(
    reader: Reader,
    run_id: int,
    store: ResultStore,
    changed: Iterable[str] = (),
    wishes: Wishes = Wishes(),
) -> Preview:
    """Return what running only what failed would do.

    Args:
        reader: of the record.
        run_id: the earlier run.
        store: where kept results are.
        changed: names of the flow's parameters that get another value than then.
        wishes: what is to be done otherwise.
    """
    found = Preview(changed=tuple(changed), unmatched=wishes.force)
    _Judge(reader, store, wishes, found).judge(run_id, _DEPTH)
    return found


class _Judge:
    """Judges the calls of a run and of its subflow runs, one by one."""

    def __init__(self, reader: Reader, store: ResultStore, wishes: Wishes, found: Preview) -> None:
        self._reader, self._store, self._wishes, self._found = reader, store, wishes, found

    def judge(self, run_id: int, depth: int, cut_off: str | None = None) -> bool:
        """Enter what becomes of each task run of a run; say whether all are taken over.

        Args:
            run_id: the run.
            depth: of subflow runs that are looked into.
            cut_off: what runs again because it was asked for, and was given to this subflow run.
        """
        code = self._wishes.code
        changes = {} if code is None else changes_by_key(code, self._reader.code(run_id))
        self._of_flows(changes)
        before = len(self._found.again)
        calls = self._reader.earlier_calls(run_id)
        labels = {call.no: call.label for call in calls}
        reused: set[int] = set()
        for start in range(0, len(calls), _PAGE):
            page = calls[start : start + _PAGE]
            details = self._reader.earlier_inputs(run_id, [call.no for call in page])
            for call in page:
                if call.child_run is not None:
                    if depth and self._is_same(
                        call, details[call.no], reused, labels, depth, cut_off
                    ):
                        reused.add(call.no)
                    continue
                why = self._wished(call, changes) or _why(
                    call, details[call.no], run_id, self._store, reused, labels
                )
                if why is None and cut_off is not None:
                    why = Why.DEPENDS, cut_off
                if why is None:
                    reused.add(call.no)
                    self._found.reused += 1
                    self._found.taken.append(Reused(run_id, call.no, call.name, call.label))
                else:
                    self._found.again.append(Again(run_id, call.no, call.name, call.label, *why))
        return len(self._found.again) == before

    def _of_flows(self, changes: Mapping[str, Sequence[str]]) -> None:
        code = self._wishes.code or {}
        tasks = {  # which are compared for themselves, with all that they use
            name
            for key, records in code.items()
            if not key.startswith(FLOW)
            for name in (key, *(part for one in records for part in one.parts))
        }
        parts = [
            part
            for key, found in changes.items()
            if key.startswith(FLOW)
            for part in found
            if part not in tasks
        ]
        self._found.flow_code = tuple(dict.fromkeys((*self._found.flow_code, *parts)))

    def _is_same(
        self,
        call: EarlierCall,
        known: EarlierInputs,
        reused: set[int],
        labels: Mapping[int, str],
        depth: int,
        cut_off: str | None,
    ) -> bool:
        """Judge a subflow run; say whether what takes its result can be taken over."""
        assert call.child_run is not None
        if self._wishes.force:
            for _, _, no in sorted(known.edges):
                if no not in reused:
                    cut_off = cut_off or labels.get(no, "")
        is_whole = self.judge(call.child_run, depth - 1, cut_off)
        result = self._reader.result(call.child_run)
        return is_whole and call.is_completed and can_be_compared(result, self._store)

    def _wished(
        self, call: EarlierCall, changes: Mapping[str, Sequence[str]]
    ) -> tuple[Why, str] | None:
        own = (call.definition, call.name, call.label)
        names = {name for name in self._wishes.force if is_asked_for([name], *own)}
        self._found.unmatched -= names
        if not call.is_completed:
            return None  # it runs anyway, for a better reason
        if names:
            return Why.ASKED_FOR, ""
        parts = changes.get(code_key(call.definition))
        return (Why.CODE_CHANGED, named(parts)) if parts else None


def _why(
    call: EarlierCall,
    known: EarlierInputs,
    run_id: int,
    store: ResultStore,
    reused: set[int],
    labels: Mapping[int, str],
) -> tuple[Why, str] | None:
    if not call.is_completed:
        return _ENDS.get(call.code, Why.NOT_STARTED), ""
    try:
        mark = earlier_run.check(known.result, store)
    except MissingResult:
        return Why.NOT_KEPT, ""
    for _, run, no in sorted(known.edges):
        if run != run_id:
            return Why.DEPENDS, "of another flow run"
        if no not in reused:
            return Why.DEPENDS, labels.get(no, "")
    if mark is None and known.params is None and call.named == CACHED:
        return Why.UNKNOWN_INPUTS, ""
    single = Counter(param for param, _, _ in known.edges)
    if mark is None:
        for name, text in (known.params or {}).items():
            if single[name] != 1 and not earlier_run.is_whole(text):
                return Why.UNKNOWN_INPUTS, name
    return None


_ENDS: Final = {FAILED: Why.FAILED, CRASHED: Why.CRASHED, CANCELLED: Why.CANCELLED}
