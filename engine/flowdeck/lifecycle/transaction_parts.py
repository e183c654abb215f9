"""What a transaction knows: the task runs that belong to it, what became of them, and what was set.

A task run belongs to the innermost block in which it was called or submitted, wherever it executes:
the block is a context variable of the flow's process, and :mod:`flowdeck.runs.submission` asks for
it. The order in which the runs ended is the order in which that is told here: clocks of workers may
differ. But the news of a cluster overtake each other, so a run always comes behind those that it was
given something of. :mod:`flowdeck.lifecycle.transactions` says what follows.
"""

from __future__ import annotations

import enum
import threading
from typing import TYPE_CHECKING, Any, Final

from flowdeck.runs import waiting
from flowdeck.runs.results import ROLLED_BACK, WITHDRAWN
from flowdeck.states import LazyValue, State
from flowdeck.threads import active
from flowdeck.values.previews import preview, type_name
from flowdeck.values.statics import is_a
from flowdeck_store import events
from flowdeck_store.events import now_us
from flowdeck_store.states import CACHED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flowdeck.runs.task_run import TaskRun
    from flowdeck.runs.upstreams import Edge

_MISSING: Final[Any] = object()


class TransactionState(enum.Enum):
    """Where a transaction stands."""

    ACTIVE = "active"
    #: Its block is over without a failure, and the block around it decides.
    STAGED = "staged"
    COMMITTED = "committed"
    ROLLED_BACK = "rolled back"


class Transaction:
    """A transaction as its block, its tasks and its hooks see it.

    Attributes:
        key: under which a commit is remembered, if the block has one.
        parent: the transaction around it; that of a task run is the one of its block.
        task_run: the task run whose hook is called, or whose function asks; ``None`` in the block.
    """

    __module__ = "flowdeck.transactions"  # where users have it from
    key: str | None = None
    task_run: TaskRun | None = None

    def __init__(self, parent: Transaction | None) -> None:
        self.parent = parent
        self._values: dict[str, Any] = {}

    @property
    def state(self) -> TransactionState:
        """Where it stands; of a task run, where its block does."""
        assert self.parent is not None
        return self.parent.state

    def set(self, name: str, value: Any) -> None:
        """Keep a value for those inside of this transaction, its hooks included.

        Args:
            name: any text.
            value: anything; it stays in this process.
        """
        self._values[name] = value

    def get(self, name: str, default: Any = _MISSING) -> Any:
        """Return what was set under a name, here or in a transaction around this one.

        Args:
            name: as it was set.
            default: returned if nothing was.

        Raises:
            ValueError: nothing was set under this name, and there is no default.
        """
        known: Transaction | None = self
        while known is not None:
            if name in known._values:
                return known._values[name]
            known = known.parent
        if default is _MISSING:
            raise ValueError(
                f"Nothing was set under {name!r} in this transaction. Set it in the block, "
                f"`txn.set({name!r}, value)`, before the task is called that needs it."
            )
        return default

    def is_active(self) -> bool:
        """Say whether its block goes on."""
        return self.state is TransactionState.ACTIVE

    def is_staged(self) -> bool:
        """Say whether its block is over, and the one around it has not decided yet."""
        return self.state is TransactionState.STAGED

    def is_committed(self) -> bool:
        """Say whether it holds; at the beginning of the block: whether its key was committed before."""
        return self.state is TransactionState.COMMITTED

    def is_rolled_back(self) -> bool:
        """Say whether it was, or is being, undone."""
        return self.state is TransactionState.ROLLED_BACK

    def __repr__(self) -> str:
        of = "" if self.task_run is None else f" of {self.task_run.name!r}"
        key = "" if self.key is None else f" {self.key!r}"
        return f"<Transaction{key}{of}: {self.state.value}>"


class Participation(Transaction):
    """The part of a transaction that one task run is."""

    def __init__(self, block: TransactionBlock, run: TaskRun, edges: Iterable[Edge] | None) -> None:
        super().__init__(block)
        self.key = block.key
        self.task_run: TaskRun = run
        self.after = [(uid or run.info.uid, no) for _, uid, no in edges or ()]
        #: Where its result is kept, if it is.
        self.location: str | None = None
        #: Offers the result to later runs: not before the commit.
        self.offer: Callable[[], object] | None = None


class TransactionBlock(Transaction):
    """A transaction from the beginning of its block until all its hooks were called."""

    def __init__(self, flow_run: Any, parent: Transaction | None, key: str | None) -> None:
        super().__init__(parent)
        #: The ``FlowRun`` in which it was opened.
        self.flow_run = flow_run
        self.key = key
        self._state = TransactionState.ACTIVE
        #: Why it is to be rolled back, as the end of a sentence; ``None`` as long as it is not.
        self.why: str | None = None
        self._lock = threading.Lock()
        self._open: dict[TaskRun, Participation] = {}
        #: What has completed, in this order: task runs, and blocks inside of this one.
        self._done: list[Participation | TransactionBlock] = []
        #: Which hooks are still to be called, once it is decided.
        self.hooks_left: Iterator[Any] | None = None

    @property
    def state(self) -> TransactionState:
        return self._state

    @state.setter
    def state(self, state: TransactionState) -> None:
        self._state = state

    @property
    def name(self) -> str:
        """What the log calls it."""
        return "a transaction" if self.key is None else f"transaction {self.key!r}"

    @property
    def block_around(self) -> TransactionBlock | None:
        """The block that this one is inside of, if that one goes on."""
        above = self.parent.parent if isinstance(self.parent, Participation) else self.parent
        return above if isinstance(above, TransactionBlock) and above.is_active() else None

    @property
    def open_runs(self) -> list[TaskRun]:
        """The task runs of it that have not ended, those of blocks that were left in haste too."""
        inside = [part.open_runs for part in list(self._done) if isinstance(part, TransactionBlock)]
        return [*self._open, *(run for runs in inside for run in runs)]

    def note(self, run: TaskRun, edges: Iterable[Edge] | None) -> None:
        """Take in a task run that was entered, with the edges from what it was given."""
        with self._lock:
            if not self.is_active():
                return
            self._open[run] = Participation(self, run, edges)
        if not waiting.on_end(run, self._ended):
            self._ended(run)

    def part_of(self, run: TaskRun) -> Participation | None:
        """Return what a task run that has not ended is in this transaction."""
        return self._open.get(run)

    def _ended(self, run: TaskRun) -> None:
        with self._lock:
            part = self._open.pop(run, None)
            if part is None:
                return  # told twice
            if run.state.is_completed():
                if run.state.name != CACHED:  # else it did nothing here that could be undone
                    self._done.append(part)
                return
        self.fail(f"task run {run.name!r} ended in {run.state}")

    def fail(self, why: str) -> None:
        """Have it rolled back at its end, of the first reason that there is, and the one around it
        as well."""
        if self.why is not None:
            return
        self.why = why
        around = self.block_around
        if around is not None:
            around.fail(f"{self.name} inside of it is rolled back, because {why}")

    def take_in(self, inner: TransactionBlock) -> None:
        """Decide for a block inside of this one whose end went well."""
        with self._lock:
            self._done.append(inner)

    def put_off(self) -> None:
        """Have it settled later: its block was struck, and the tasks have not been stopped yet."""
        around = self.block_around
        if around is not None and self.is_active() and around.flow_run is self.flow_run:
            around.take_in(self)  # which is rolled back, too: last things first
        else:
            self.flow_run.unsettled.append(self)

    def decide(self, state: TransactionState) -> None:
        """Enter a state, and the blocks inside with it; from now on nothing is taken in."""
        with self._lock:
            self._state = state
        for part in self._done:
            if isinstance(part, TransactionBlock):
                part.decide(state)

    def parts(self) -> list[Participation]:
        """Return the task runs that completed, those of the blocks inside too, in this order."""
        return _in_order(self._completed())

    def _completed(self) -> list[Participation]:
        found: list[Participation] = []
        for part in self._done:
            found += part._completed() if isinstance(part, TransactionBlock) else [part]
        return found

    def blocks(self) -> list[TransactionBlock]:
        """Return this block and those inside of it that it decides for."""
        found = [self]
        for part in self._done:
            found += part.blocks() if isinstance(part, TransactionBlock) else []
        return found


def _in_order(parts: list[Participation]) -> list[Participation]:
    """Return parts in their order, but each behind those that it was given something of."""
    known = {(part.task_run.info.uid, part.task_run.no): part for part in parts}
    ordered: dict[Participation, None] = {}
    for part in parts:
        todo = [part]
        while todo:
            missing = [known[key] for key in todo[-1].after if key in known]
            missing = [each for each in missing if each not in ordered]
            if missing:
                todo += reversed(missing)  # what a run was given has no way back to it
            else:
                ordered[todo.pop()] = None
    return list(ordered)


def current_block(run: TaskRun | None = None) -> TransactionBlock | None:
    """Return the block that the current code, or a task run that has not ended, belongs to."""
    block: TransactionBlock | None = (
        active.current_transaction.get() if run is None else active.transaction_of(run.context)
    )
    return block


def part_of(run: TaskRun) -> Participation | None:
    """Return what a task run that has not ended is in a transaction, ``None`` if it is in none."""
    if run.owner is None or not run.owner.submissions.in_transactions:
        return None
    block = current_block(run)
    return None if block is None else block.part_of(run)


def forget_result(part: Participation) -> None:
    """Take back what a rolled-back task run left for others: nobody may take its result over, neither
    another attempt of the flow nor a re-run nor the cache."""
    run = part.task_run
    run.returned = None
    flow_run = run.owner
    while flow_run is not None and flow_run.submissions.in_transactions:
        flow_run.returned = None
        flow_run = flow_run.parent
    before, value = run.state, run.state.data
    lazy = is_a(value, LazyValue)
    kind, text = ("?", "") if lazy else (type_name(value), f": {preview(value)}")
    if not lazy and part.location is not None:
        run.recorder.results.discard(part.location)
    run.emit(events.result(run.info.uid, run.no, now_us(), kind, None, f"{WITHDRAWN}{text}", None))
    run.state = State(before.type, ROLLED_BACK, "Rolled back with its transaction.", value)
    run.state.belong(run.info, run.no)
