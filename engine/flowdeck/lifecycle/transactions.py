"""The end of a transaction: committed or rolled back, and which hooks are called for that.

:func:`settle` may be struck at any step, by a request to cancel or a time limit: it is begun again
then by the lifecycle of the flow run and goes on behind the hook that was struck.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from flowdeck.lifecycle.hooks import call_one
from flowdeck.lifecycle.steps import CallHook, CallResult
from flowdeck.lifecycle.transaction_parts import TransactionState, forget_result
from flowdeck.logging import INFO, WARNING, line
from flowdeck_store import events
from flowdeck_store.events import now_us

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from flowdeck.definitions.hooks import Hook
    from flowdeck.lifecycle.transaction_parts import Participation, TransactionBlock

_KEY: Final = "transaction "


class CallTransactionHook(CallHook):
    """Call a hook of a transaction. Even if it wants the process to end, the others are called, and
    the reason for which all this is done is what goes on."""

    __slots__ = ()

    def __init__(self, hook: Hook, part: Participation) -> None:
        super().__init__(functools.partial(hook, part), {})

    def carry_out(self, run: Any) -> CallResult:
        try:
            return super().carry_out(run)
        except SystemExit as error:
            return CallResult(None, error)

    async def carry_out_async(self, run: Any) -> CallResult:
        try:
            return await super().carry_out_async(run)
        except SystemExit as error:
            return CallResult(None, error)


def was_committed(block: TransactionBlock) -> bool:
    """Say whether a transaction with the key of this one was committed before."""
    if block.key is None:
        return False
    return block.flow_run.recorder.cached(_KEY + block.key, now_us()) is not None


def settle(block: TransactionBlock) -> Generator[CallHook, Any, None]:
    """Decide a transaction whose task runs have ended, and call the hooks; go on if that was begun.

    One inside of another that goes on is decided with that one, unless it is to be rolled back.
    """
    if block.is_active():
        if block.why is not None:
            _roll_back(block)
        elif (around := block.block_around) is not None:
            block.decide(TransactionState.STAGED)
            around.take_in(block)
        else:
            _commit(block)
    kind = "rollback hook" if block.is_rolled_back() else "commit hook"
    for part, hook in block.hooks_left or ():
        yield from call_one(part.task_run, hook, CallTransactionHook(hook, part), kind=kind)


def _roll_back(block: TransactionBlock) -> None:
    block.decide(TransactionState.ROLLED_BACK)
    parts = block.parts()
    text = f"Rolling back {block.name} ({_number(parts)}), because {block.why}"
    line(block.flow_run, WARNING, text)
    block.hooks_left = _undoing(parts)


def _undoing(parts: list[Participation]) -> Iterator[tuple[Participation, Hook]]:
    """Yield the rollback hooks, last things first; take back the result of each run before its own."""
    for part in reversed(parts):
        forget_result(part)
        for hook in reversed(part.task_run.task.on_rollback):
            yield part, hook


def _commit(block: TransactionBlock) -> None:
    block.decide(TransactionState.COMMITTED)
    parts = block.parts()
    for part in parts:
        if part.offer is not None:
            part.offer()
    for each in block.blocks():
        if each.key is not None:
            _remember(each, _KEY + each.key)
    line(block.flow_run, INFO, f"Committed {block.name} ({_number(parts)})")
    block.hooks_left = ((part, hook) for part in parts for hook in part.task_run.task.on_commit)


def _remember(block: TransactionBlock, key: str) -> None:
    """Keep under its key that a transaction was committed."""
    run = block.flow_run
    try:
        location, _ = run.recorder.results.write(None, "json")
    except OSError as error:
        line(run, WARNING, f"It is not remembered that {block.name} was committed: {error}")
        return
    run.recorder.emit(events.cache(run.info.uid, 0, now_us(), key, None, location))


def _number(parts: list[Participation]) -> str:
    return "1 task run" if len(parts) == 1 else f"{len(parts):,} task runs"
