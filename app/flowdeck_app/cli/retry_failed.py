"""What ``flowdeck retry RUN --failed`` says before it starts: what is reused, what runs, and why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.output import echo, echo_json, say
from flowdeck_app.cli.record import reading
from flowdeck_store.read.runs import json_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowdeck.flows import Flow
    from flowdeck.reuse.forecast import Preview
    from flowdeck_app.control.launch import Code
    from flowdeck_store.read.records import FlowRunRecord

#: Names of task runs in a list for people; all are in the JSON.
_LISTED: Final = 50


def check_ended(run: FlowRunRecord) -> None:
    """Refuse a run that goes on.

    Raises:
        Trouble: it does.
    """
    if not run.is_final:
        raise Trouble(
            f"{run.name} (#{run.id}) goes on, in state {run.state}.",
            f"`flowdeck wait {run.id}` waits for its end, `flowdeck cancel {run.id}` ends it.",
        )


@dataclass(frozen=True, slots=True)
class RetryPlanning:
    """How a run is to be repeated.

    Attributes:
        run: the run.
        replaced: texts of parameters that are given instead of the recorded ones.
        force: names of tasks or task runs that run again.
        ignore_code: code is not compared.
    """

    run: FlowRunRecord
    replaced: Mapping[str, str]
    force: tuple[str, ...]
    ignore_code: bool

    def plan(self, flow: Flow[..., Any] | None = None) -> Preview:
        """Return what would be reused, and what runs again and why.

        Args:
            flow: as it was imported here; ``None``: a child process imports it, if need be.

        Raises:
            Trouble: no task run of the run has one of the names.
        """
        from flowdeck_app.control.launch import forecast

        with reading() as reader:
            code = None
            if not self.ignore_code and reader.code(self.run.id):
                code = self._code(flow)
            changed = _changed(self.run, self.replaced)
            plan = forecast(reader, self.run, changed, code=code, force=self.force)
        if plan.unmatched:
            name = min(plan.unmatched)
            raise Trouble(
                f"no task of {self.run.name} (#{self.run.id}) is called {name!r}.",
                f"`flowdeck tasks {self.run.id}` lists them.",
            )
        return plan

    def _code(self, flow: Flow[..., Any] | None) -> Code | None:
        from flowdeck_app.control.launch import code_now

        if flow is None:
            return code_now(self.run)
        from flowdeck.provenance.code import tasks_below

        return tasks_below(flow.fn)


def _changed(run: FlowRunRecord, replaced: Mapping[str, str]) -> list[str]:
    """Return the names of parameters whose new text is not the recorded value."""
    recorded = json_object(run.given)
    return [
        name
        for name, text in replaced.items()
        if name not in recorded or not _says(text, recorded[name])
    ]


def _says(text: str, value: Any) -> bool:
    if isinstance(value, str):
        return text == value
    try:
        given = json.loads(text)
    except ValueError:
        return False
    return type(given) is type(value) and given == value


def say_plan(plan: Preview) -> None:
    """Say it in one line (and what would make it better in another), apart from the output."""
    say(f"flowdeck: {plan.summary}")
    if plan.hint:
        say(f"flowdeck: {plan.hint}")


def show_plan(plan: Preview, *, as_json: bool) -> None:
    """Write it as the output of ``--dry-run``."""
    from flowdeck_store.safe import one_line

    if as_json:
        again = [
            {
                "ref": f"{item.run_id}.{item.no}",
                "name": item.name,
                "label": item.label,
                "why": item.why.name.lower(),
                "detail": item.detail or None,
            }
            for item in plan.again
        ]
        taken = [
            {"ref": f"{item.run_id}.{item.no}", "name": item.name, "label": item.label}
            for item in plan.taken
        ]
        echo_json(
            [
                {
                    "reused": plan.reused,
                    "again": again,
                    "taken": taken,
                    "exact": plan.is_exact,
                    "changed": list(plan.changed),
                    "flow_code": list(plan.flow_code),
                }
            ]
        )
        return
    echo([plan.summary])
    lines = [
        f"  {item.run_id}.{item.no}  {one_line(item.label)}  {item.why.value}"
        + (f": {one_line(item.detail)}" if item.detail else "")
        for item in plan.again
    ]
    lines += [f"  {item.run_id}.{item.no}  {one_line(item.label)}  reused" for item in plan.taken]
    echo(lines[:_LISTED])
    if len(lines) > _LISTED:
        echo([f"  ... and {len(lines) - _LISTED:,} more"])
    if plan.hint:
        say(f"flowdeck: {plan.hint}")
