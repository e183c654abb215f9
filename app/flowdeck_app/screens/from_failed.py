"""``F`` on a run: the launch dialog, with what would be reused and what would run again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck.results import ResultStore
from flowdeck_app.screens.base import FlowdeckScreen
from flowdeck_app.views.text import clean
from flowdeck_store.states import COMPLETED

if TYPE_CHECKING:
    from flowdeck.rerun_preview import Preview
    from flowdeck_store.reader import Reader
    from flowdeck_store.records import FlowRunRecord

#: Task runs named in the dialog.
_NAMED: Final = 4


class FromFailed(FlowdeckScreen):
    """Base of the screens that have a run under the cursor, or are about one."""

    @property
    def failed_run(self) -> FlowRunRecord | None:
        """The run to be repeated."""
        raise NotImplementedError

    @property
    def can_rerun_failed(self) -> bool | None:
        """Whether it has ended, and not well."""
        run = self.failed_run
        return run is not None and run.is_final and run.code != COMPLETED

    def action_run_from_failed(self) -> None:
        """Open the launch dialog for running only what did not complete."""
        run = self.failed_run
        if run is not None and self.can_rerun_failed:
            self.app.open_launch(run.flow_key, rerun=run, from_failed=True)


def plan_of(reader: Reader, run: FlowRunRecord) -> Preview:
    """Return what would be reused; runs on a lane's thread."""
    from flowdeck.rerun_preview import preview

    return preview(reader, run.id, ResultStore(reader.paths.results))


def plan_lines(plan: Preview) -> list[str]:
    """Return what the dialog says about it."""
    lines = [plan.summary]
    if plan.again:
        named = ", ".join(f"{clean(item.name, 40)}" for item in plan.again[:_NAMED])
        more = f" and {len(plan.again) - _NAMED:,} more" if len(plan.again) > _NAMED else ""
        lines.append(f"Runs again: {named}{more}")
    if plan.hint:
        lines.append(plan.hint)
    return lines
