"""``flowdeck flows``: what could be run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.options import json_option
from flowdeck_app.cli.output import echo, echo_json, say, stream_look

if TYPE_CHECKING:
    from flowdeck.launch.discovery import FoundFlow, FoundParameter, Problem
    from flowdeck_app.drawing.tables import Row


@click.command("flows")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path())
@json_option
def command(paths: tuple[str, ...], as_json: bool) -> None:
    """List the flows found in files and folders, without importing them.

    Without PATH the setting flow_paths says where to look (default: the working directory).

    \b
    Example:
      flowdeck flows examples/
    """
    from flowdeck.launch.discovery import FlowFinder
    from flowdeck.settings import get_settings

    where = paths or get_settings().flow_paths
    scan = FlowFinder().scan(where)
    if as_json:
        echo_json(_json(flow) for flow in scan.flows)
    elif scan.flows:
        echo(_table(scan.flows))
    missing = {path for path in paths if not os.path.lexists(path)}
    for problem in scan.problems:
        if str(problem.file) not in missing:
            say(f"flowdeck: {_problem(problem)}")
    if scan.truncated:
        say(f"flowdeck: stopped after {scan.files} files; name a folder to look into.")
    if missing:
        raise Trouble(f"there is no file or folder {', '.join(sorted(missing))}.")
    if not scan.flows:
        say(
            f"flowdeck: no flows in {', '.join(where)} ({scan.files} Python files). "
            "Decorate a function with @flow (from flowdeck import flow)."
        )


def _table(flows: tuple[FoundFlow, ...]) -> list[str]:
    from flowdeck_app.drawing.tables import TextColumn, table

    columns = [
        TextColumn("Flow", least=12),
        TextColumn("Target", least=24, middle=True),
        TextColumn("Runner"),
        TextColumn("Parameters", least=10),
        TextColumn("About", least=8),
    ]
    rows: list[Row] = [
        [
            (flow.name, "bold"),
            flow.target,
            flow.runner or "?",
            ", ".join(_signature(parameter) for parameter in flow.parameters),
            (flow.doc or "").partition("\n")[0],
        ]
        for flow in flows
    ]
    return table(columns, rows, stream_look())


def _signature(parameter: FoundParameter) -> str:
    star = {"var_positional": "*", "var_keyword": "**"}.get(parameter.kind, "")
    default = f"={parameter.default}" if parameter.default is not None else ""
    return f"{star}{parameter.name}{default}"


def _problem(problem: Problem) -> str:
    from flowdeck_store.safe import one_line

    line = f":{problem.line}" if problem.line else ""
    return f"{one_line(str(problem.file))}{line}: {one_line(problem.message)}"


def _json(flow: FoundFlow) -> dict[str, Any]:
    return {
        "name": flow.name,
        "target": flow.target,
        "file": str(flow.file),
        "line": flow.line,
        "function": flow.function,
        "async": flow.is_async,
        "runner": flow.runner,
        "parameters": [
            {
                "name": parameter.name,
                "annotation": parameter.annotation,
                "default": parameter.default,
                "required": parameter.required,
            }
            for parameter in flow.parameters
        ],
        "tags": list(flow.tags),
        "doc": flow.doc,
    }
