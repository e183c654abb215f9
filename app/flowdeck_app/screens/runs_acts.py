"""What can be done to runs of the history: run again, cancel, delete, compare, export, copy."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from textual import work

from flowdeck_app.screens.compare import CompareScreen
from flowdeck_app.screens.from_failed import FromFailed
from flowdeck_app.widgets.run_table import RunTable
from flowdeck_store import control, retention
from flowdeck_store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from textual.timer import Timer

    from flowdeck_app.rows import RunRow
    from flowdeck_store.reader import Reader
    from flowdeck_store.records import FlowRunRecord

#: Seconds in which a deletion can be undone.
_UNDO: Final = 10.0
#: Seconds in which a second cancel kills.
_KILL: Final = 5.0


class RunsActs(FromFailed):
    """Base of the history screen: its actions. The screen says which rows there are."""

    _leaving: tuple[int, ...] = ()
    _undo_timer: Timer | None = None
    _cancelled: tuple[tuple[int, ...], float] = ((), 0.0)

    def renew_rows(self) -> None:
        """Show the rows of the present filter and order."""
        raise NotImplementedError

    @property
    def current_row(self) -> RunRow | None:
        """The run under the cursor."""
        raise NotImplementedError

    @property
    def hidden_query(self) -> str:
        """The part of the filter that hides runs whose deletion can still be undone."""
        return f"-id:{','.join(map(str, self._leaving))}" if self._leaving else ""

    def chosen_ids(self) -> tuple[int, ...]:
        """Return the marked runs, else the one under the cursor."""
        table: RunTable = self.query_one("#runs", RunTable)
        marks = tuple(sorted(key for key in table.marks if isinstance(key, int)))
        if marks:
            return marks
        row = self.current_row
        return () if row is None else (row.record.id,)

    def _named(self, ids: Sequence[int]) -> str:
        row = self.current_row
        if len(ids) == 1 and row is not None and row.record.id == ids[0]:
            return f"run {row.record.name} (#{ids[0]})"
        return f"run #{ids[0]}" if len(ids) == 1 else f"{len(ids)} runs"

    # -- guards ----------------------------------------------------------------------------

    @property
    def can_open(self) -> bool | None:
        return True if self.current_row is not None else None

    can_rerun = can_open
    can_delete = can_open

    @property
    def can_cancel(self) -> bool | None:
        row = self.current_row
        marked = len(self.chosen_ids()) > 1
        return True if marked or (row is not None and not row.record.is_final) else None

    @property
    def can_compare(self) -> bool | None:
        return True if len(self.query_one("#runs", RunTable).marks) == 2 else None

    @property
    def can_undo(self) -> bool | None:
        return bool(self._leaving)

    @property
    def failed_run(self) -> FlowRunRecord | None:
        """The run under the cursor."""
        return None if self.current_row is None else self.current_row.record

    # -- acts ------------------------------------------------------------------------------

    def action_run_again(self) -> None:
        """Open the launch dialog with the run's values."""
        row = self.current_row
        if row is not None:
            self.app.open_launch(None, rerun=row.record)

    def action_mark_compare(self) -> None:
        """Compare the two marked runs."""
        marks = sorted(k for k in self.query_one("#runs", RunTable).marks if isinstance(k, int))
        if len(marks) == 2:
            self.app.push_screen(CompareScreen(*marks))
        else:
            self.app.say("Mark two runs with space, then compare them.")

    def action_run_cancel(self) -> None:
        """Ask, then cancel; again within five seconds kills."""
        ids = self.chosen_ids()
        if not ids:
            return
        before, at = self._cancelled
        if before == ids and time.monotonic() - at < _KILL:
            self._request(ids, "kill")
            return

        def act() -> None:
            self._cancelled = (ids, time.monotonic())
            self._request(ids, "cancel")

        self.app.confirm(
            f"Cancel {self._named(ids)}?",
            act,
            detail="Queued tasks are dropped, running ones are asked to stop. "
            "c again within 5 s kills.",
            yes="Cancel run",
            danger=True,
        )

    @work(exclusive=False, exit_on_error=False, group="control")
    async def _request(self, ids: tuple[int, ...], verb: str) -> None:
        def ask() -> None:
            for run_id in ids:
                control.request(self.app.home, run_id, verb)

        try:
            await asyncio.to_thread(ask)
        except StoreError as error:
            self.app.show_error("The run cannot be cancelled", error)
            return
        self.app.expect_change()
        self.app.say(f"Asked to {verb}: {self._named(ids)}")

    def action_run_delete(self) -> None:
        """Ask, hide the runs, and delete them when the time to undo is over."""
        ids = self.chosen_ids()
        if not ids:
            return
        self.app.confirm(
            f"Delete {self._named(ids)} from the record?",
            lambda: self._hide(ids),
            detail="Their subflow runs and kept results go too. u undoes within 10 s.",
            yes="Delete",
            danger=True,
        )

    def _hide(self, ids: tuple[int, ...]) -> None:
        if self._leaving:
            self._delete_now()
        self._leaving = ids
        self.query_one("#runs", RunTable).set_marks(set())
        self.renew_rows()
        self.refresh_bindings()
        self._undo_timer = self.set_timer(_UNDO, self._delete_now)
        self.app.say(f"Deleted {self._named(ids)}; u undoes", seconds=_UNDO)

    def action_run_undo(self) -> None:
        """Take the last deletion back."""
        if self._undo_timer is not None:
            self._undo_timer.stop()
        ids, self._leaving = self._leaving, ()
        self.renew_rows()
        self.refresh_bindings()
        if ids:
            self.app.say(f"Not deleted: {len(ids)} run{'s' if len(ids) > 1 else ''} as before")

    def _delete_now(self) -> None:
        ids, self._leaving = self._leaving, ()
        if ids:
            self._delete(ids)

    def on_unmount(self) -> None:
        """The app ends: what was to be deleted is deleted now."""
        if self._leaving:
            ids, self._leaving = self._leaving, ()
            retention.delete_runs(self.app.home, ids)

    @work(exclusive=False, exit_on_error=False, group="delete")
    async def _delete(self, ids: tuple[int, ...]) -> None:
        try:
            await asyncio.to_thread(retention.delete_runs, self.app.home, ids)
        except StoreError as error:
            self.app.show_error("Nothing was deleted", error)
        self.renew_rows()
        self.refresh_bindings()

    def copy_focused(self) -> None:
        """Copy the names of the chosen runs."""
        ids = self.chosen_ids()
        row = self.current_row
        if len(ids) == 1 and row is not None:
            self.app.copy(row.record.name, "the run's name")
        elif ids:
            self.app.copy("\n".join(map(str, ids)), f"{len(ids)} run numbers")

    def action_take_export(self) -> None:
        """Write the chosen runs as JSON lines."""
        ids = self.chosen_ids()
        if ids:
            self._export(ids)

    @work(exclusive=False, exit_on_error=False, group="export")
    async def _export(self, ids: tuple[int, ...]) -> None:
        path = _free_name(self.app.folder, ids)

        def write(reader: Reader) -> None:
            from flowdeck_store.dump import dump

            with path.open("w", encoding="utf-8") as file:
                for run_id in ids:
                    file.writelines(dump(reader, run_id, "jsonl"))

        try:
            await self.app.access.ask(write, "slow")
        except (OSError, StoreError) as error:
            self.app.show_error("The export was not written", error)
            return
        self.app.say(f"Wrote {path.name}")


def _free_name(folder: Path, ids: Sequence[int]) -> Path:
    stem = f"flowdeck-run-{ids[0]}" if len(ids) == 1 else f"flowdeck-{len(ids)}-runs"
    path = folder / f"{stem}.jsonl"
    n = 2
    while path.exists():
        path = folder / f"{stem}-{n}.jsonl"
        n += 1
    return path
