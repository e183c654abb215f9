"""The tools that an agent gets: what they are called, take and say. Names and texts are its manual."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck_app.agents.verbs import Verbs

Run = Annotated[
    str, Field(description="Number, name or uid of a flow run, @last or @last-failed", min_length=1)
]
TaskRun = Annotated[
    str,
    Field(description="1234.17 (number of the flow run, dot, task run), or RUN/NAME", min_length=1),
]
Query = Annotated[
    str,
    Field(description="Filters such as 'state:failed flow:etl* since:7d tag:prod'; empty: all"),
]
Limit = Annotated[int, Field(ge=1, le=200)]

#: Seconds that a wait may take.
LONGEST_WAIT: Final = 600
_ENDED: Final = (0, 1, 130)
_TIME_IS_UP: Final = 124


def reading(verbs: Verbs) -> list[Callable[..., dict[str, Any]]]:
    """Return the tools that change nothing."""
    return [*_listing(verbs), *_explaining(verbs)]


def _listing(verbs: Verbs) -> list[Callable[..., dict[str, Any]]]:
    """Return those that say what there is."""

    def list_flows() -> dict[str, Any]:
        """List the flows found in the project's files, without importing them: name, target,
        parameters, description."""
        return verbs.objects("flows")

    def list_runs(query: Query = "", limit: Limit = 20) -> dict[str, Any]:
        """List flow runs, newest first."""
        return verbs.objects("runs", [f"--limit={limit}"], query.split())

    def show_run(run: Run) -> dict[str, Any]:
        """Show one flow run: state, parameters, counts of its tasks, cause, what it ran as."""
        return verbs.objects("show", words=[run])

    def list_task_runs(run: Run, query: Query = "", limit: Limit = 50) -> dict[str, Any]:
        """List the task runs of a flow run; a query such as 'state:failed' or 'task:load'."""
        return verbs.objects("tasks", [f"--limit={limit}"], [run, *query.split()])

    def list_errors(query: Query = "", limit: Limit = 20) -> dict[str, Any]:
        """List what failed, the same exception at the same place as one group."""
        return verbs.objects("errors", [f"--limit={limit}"], query.split())

    def list_questions(
        run: Annotated[str, Field(description="As of show_run; empty: all")] = "",
    ) -> dict[str, Any]:
        """List the questions that runs ask people and that wait for an answer."""
        return verbs.objects("answer", words=[run] if run else [])

    return [list_flows, list_runs, show_run, list_task_runs, list_errors, list_questions]


def _explaining(verbs: Verbs) -> list[Callable[..., dict[str, Any]]]:
    """Return those that say why, in what words, and until when."""

    def explain(run: Run) -> dict[str, Any]:
        """Say why a flow run or task run (1234.17) went as it did, or what it waits for."""
        return verbs.objects("why", words=[run])

    def read_failure(task_run: TaskRun) -> dict[str, Any]:
        """Read one failed task run: inputs, attempts, traceback with source lines and variables."""
        if verbs.redact:
            return verbs.objects("task", words=[task_run])
        return {"text": verbs.text("task", ["--color=never", "--logs=20"], [task_run])}

    def read_logs(
        run: Run,
        level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR|CRITICAL)$")] = "INFO",
        search: Annotated[str, Field(description="Text that lines must contain")] = "",
        limit: Limit = 100,
    ) -> dict[str, Any]:
        """Read the last log lines of a flow run or task run (1234.17)."""
        options = [f"--level={level}", f"--tail={limit}"]
        return verbs.objects("logs", options + ([f"--search={search}"] if search else []), [run])

    def compare_runs(run: Run, with_run: str = "") -> dict[str, Any]:
        """Say what differs between a flow run and another one; by default the last good one."""
        return verbs.objects("diff", words=[run, *([with_run] if with_run else [])])

    def wait_for_run(
        run: Run, timeout_seconds: Annotated[int, Field(ge=1, le=LONGEST_WAIT)] = 60
    ) -> dict[str, Any]:
        """Watch a flow run until it ends. If it has not by then, `ended` is false: call it again."""
        ok = (*_ENDED, _TIME_IS_UP)
        options = [f"--timeout={timeout_seconds}"]
        found = verbs.objects("wait", options, [run], seconds=timeout_seconds, ok=ok)
        ended = found["exit_code"] != _TIME_IS_UP
        return {"ended": ended, **(found if ended else verbs.objects("show", words=[run]))}

    return [explain, read_failure, read_logs, compare_runs, wait_for_run]


def acting(verbs: Verbs) -> list[Callable[..., dict[str, Any]]]:
    """Return the tools that start, stop and answer runs."""

    def run_flow(
        target: Annotated[
            str, Field(description="path/file.py:flow, see list_flows", min_length=1)
        ],
        parameters: Annotated[dict[str, Any] | None, Field(description="By name")] = None,
        name: str = "",
        runner: str = "",
    ) -> dict[str, Any]:
        """Start a flow in a process of its own and return its run at once; wait_for_run waits."""
        options = ["--detach", f"--params={json.dumps(parameters or {})}"]
        options += [f"--name={name}"] if name else []
        options += [f"--runner={runner}"] if runner else []
        return verbs.objects("run", options, [target])

    def retry_run(run: Run, only_failed: bool = True) -> dict[str, Any]:
        """Run a flow again with the parameters of an earlier run; with `only_failed` what completed
        is taken over."""
        return verbs.objects("retry", ["--detach", *(["--failed"] if only_failed else [])], [run])

    def cancel_run(run: Run) -> dict[str, Any]:
        """Ask a flow run or task run (1234.17) to cancel."""
        return verbs.objects("cancel", words=[run])

    def answer_question(
        run: Run,
        value: str,
        key: Annotated[str, Field(description="Needed where several questions are open")] = "",
    ) -> dict[str, Any]:
        """Answer a question that a flow run or task run asks a person. Only do so when the person
        you work for has told you the answer."""
        return verbs.objects("answer", words=[run, *([key] if key else []), value])

    return [run_flow, retry_run, cancel_run, answer_question]
