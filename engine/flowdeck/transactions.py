"""Transactions: task runs that hold together, or are undone together.

>>> from flowdeck.transactions import transaction
>>> with transaction():  # doctest: +SKIP
...     write_file(path)
...     check_file(path)  # if it fails, the hooks of `@write_file.on_rollback` are called
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowdeck.exceptions import MissingContextError
from flowdeck.lifecycle.drive import Driver
from flowdeck.lifecycle.transaction_parts import (
    Transaction,
    TransactionBlock,
    TransactionState,
    current_block,
)
from flowdeck.lifecycle.transactions import settle, was_committed
from flowdeck.runs import waiting
from flowdeck.threads import active
from flowdeck.threads.undisturbed import undisturbed

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType

    from flowdeck.lifecycle.steps import Step
    from flowdeck.runs.flow_run import FlowRun

__all__ = ["Transaction", "TransactionState", "get_transaction", "transaction"]


class transaction:  # noqa: N801 - it is used as a function is
    """Make the task runs of a block a transaction: ``with transaction() as txn:`` in sync code,
    ``async with transaction() as txn:`` in async flows and tasks.

    At the end of the block all of them have ended. If the block raised, or one of them did not
    complete, those that did are rolled back: the hooks of ``@task.on_rollback`` are called, the last
    one first. Otherwise the transaction is committed, with the hooks of ``@task.on_commit``. A
    transaction inside of another is committed and rolled back with that one.

    Args:
        key: under this text it is remembered in the record that the transaction was committed: with
            the same key, ``txn.is_committed()`` is true from the beginning.
        overwrite: do not look whether it was.
    """

    def __init__(self, key: str | None = None, *, overwrite: bool = False) -> None:
        if key is not None and not isinstance(key, str):
            raise TypeError(f"The key of a transaction is a text, got {type(key).__name__}.")
        self._key = key or None
        self._overwrite = overwrite
        self._block: TransactionBlock | None = None

    def __enter__(self) -> Transaction:
        if active.caller_is_async():
            raise TypeError(
                "`with transaction()` in an async flow or task: write `async with transaction()`, "
                "because its end waits for the tasks that were submitted in it."
            )
        return self._begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        block = self._leave(error)
        if block is None:
            return
        with _Unless(block):
            while runs := block.open_runs:
                waiting.wait(runs)
            Driver(block.flow_run, _steps_of(block)).run_here()

    async def __aenter__(self) -> Transaction:
        return self._begin()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        block = self._leave(error)
        if block is None:
            return
        with _Unless(block):
            while runs := block.open_runs:
                await waiting.wait_async(runs)
            await Driver(block.flow_run, _steps_of(block)).run_async()

    def _begin(self) -> TransactionBlock:
        run: FlowRun | None = active.current_flow_run.get()
        if run is None:
            where = "on a worker" if active.current_task_run.get() else "outside of a flow run"
            raise MissingContextError(
                f"`transaction()` was opened {where}, where there is nothing that it could hold "
                "together. Open it in the function of a flow, around the calls of its tasks."
            )
        if self._block is not None:
            raise RuntimeError("A transaction has one block: call `transaction()` for each.")
        block = self._block = TransactionBlock(run, get_transaction(), self._key)
        if not self._overwrite and undisturbed(was_committed, block):
            block.decide(TransactionState.COMMITTED)
        run.submissions.in_transactions = True
        self._before = active.current_transaction.get()
        active.current_transaction.set(block)
        return block

    def _leave(self, error: BaseException | None) -> TransactionBlock | None:
        """Leave the block; return the transaction if it is to be settled now."""
        block = self._block
        assert block is not None
        active.current_transaction.set(self._before)
        if block.is_committed():
            return None
        if error is not None:
            block.fail(_why(error))
            if not isinstance(error, Exception):
                # Whoever stops the flow stops its tasks, too, but not before its function is over.
                block.put_off()
                return None
        return block


class _Unless:
    """Around the end of a block: if that is struck, the flow run's own end has it done."""

    def __init__(self, block: TransactionBlock) -> None:
        self._block = block

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            self._block.fail(_why(error))
            self._block.put_off()


def _steps_of(block: TransactionBlock) -> Any:
    def steps(run: Any) -> Generator[Step, Any, None]:
        return settle(block)

    return steps


def _why(error: BaseException) -> str:
    from flowdeck.states.transitions import is_cancellation, text_of

    if is_cancellation(error):
        return "its flow run was asked to stop"
    text = text_of(error)
    return f"its block raised {type(error).__name__}" + (f": {text}" if text else "")


def get_transaction() -> Transaction | None:
    """Return the transaction that the current code is inside of, ``None`` if it is in none: in the
    function of a task its own part of it, whose values its hooks see and no other task.

    Raises:
        MissingContextError: the caller is a task on a worker, another process than the flow's.
    """
    block, run = current_block(), active.current_task_run.get()
    if block is None:
        if run is not None and run.owner is None and run.info.uid:
            raise MissingContextError(
                "`get_transaction()` was called on a worker, another process than that of the flow "
                "run, where the transaction is. Return what the hooks are to know: they find it as "
                "`transaction.task_run.state.result()`."
            )
        return None
    part = None if run is None else block.part_of(run)
    return block if part is None else part
