"""What ``flowdeck retry RUN --failed`` says before it starts: what is reused, what runs, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck_app.cli.common import echo, echo_json, home, say
from flowdeck_app.cli.errors import Trouble

if TYPE_CHECKING:
    from flowdeck.rerun_preview import Preview
    from flowdeck_store.reader import Reader
    from flowdeck_store.records import FlowRunRecord

#: Names of task runs in a list for people; all are in the JSON.
_LISTED: Final = 50


def plan_of(reader: Reader, run: FlowRunRecord) -> Preview:
    """Return what would be reused of a run that has ended.

    Raises:
        Trouble: it goes on.
    """
    from flowdeck.rerun_preview import preview
    from flowdeck.results import ResultStore
    from flowdeck_store.paths import StorePaths

    if not run.is_final:
        raise Trouble(
            f"{run.name} (#{run.id}) goes on, in state {run.state}.",
            f"`flowdeck wait {run.id}` waits for its end, `flowdeck cancel {run.id}` ends it.",
        )
    return preview(reader, run.id, ResultStore(StorePaths(home()).results))


def say_plan(plan: Preview) -> None:
    """Say it in one line (and what would make it better in another), apart from the output."""
    say(f"flowdeck: {plan.summary}")
    if plan.hint:
        say(f"flowdeck: {plan.hint}")


def show_plan(plan: Preview, *, as_json: bool) -> None:
    """Write it as the output of ``--dry-run``."""
    if as_json:
        again = [
            {"ref": f"{item.run_id}.{item.no}", "name": item.name, "why": item.why.name.lower()}
            for item in plan.again
        ]
        echo_json([{"reused": plan.reused, "again": again}])
        return
    echo([plan.summary])
    echo(
        [
            f"  {item.run_id}.{item.no}  {item.name}  {item.why.value}"
            for item in plan.again[:_LISTED]
        ]
    )
    if len(plan.again) > _LISTED:
        echo([f"  ... and {len(plan.again) - _LISTED:,} more"])
    if plan.hint:
        say(f"flowdeck: {plan.hint}")
