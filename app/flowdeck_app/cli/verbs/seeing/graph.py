"""``flowdeck graph``: which tasks of a run took something from which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.options import complete_run, json_option
from flowdeck_app.cli.output import echo, echo_json, stream_look
from flowdeck_app.cli.record import reading

if TYPE_CHECKING:
    from flowdeck_app.drawing.look import Look
    from flowdeck_store.read.summaries import TaskGraph

#: Cells where nothing limits the width (a pipe, a file).
_WIDE = 160


@click.command("graph")
@click.argument("ref", metavar="RUN", shell_complete=complete_run)
@click.option("--mermaid", "form", flag_value="mermaid", help="As a Mermaid flowchart.")
@click.option("--dot", "form", flag_value="dot", help="In Graphviz's DOT language.")
@json_option
def command(ref: str, form: str | None, as_json: bool) -> None:
    """Show which tasks of a flow run took something from which: one node for each task.

    \b
    Example:
      flowdeck graph @last
      flowdeck graph @last --dot | dot -Tsvg > run.svg
    """
    from flowdeck_app.reports import graph as text

    with reading() as reader:
        graph = reader.graph(reader.resolve_run(ref).id)
    if as_json:
        echo_json([text.as_json(graph)])
    elif form is not None:
        echo(text.mermaid(graph) if form == "mermaid" else text.dot(graph))
    else:
        echo(_drawn(graph, stream_look()))


def _drawn(graph: TaskGraph, look: Look) -> list[str]:
    from flowdeck_app.reports.contents import as_text
    from flowdeck_app.views.graph.draw import draw_graph

    if not graph.groups:
        return ["No task has run."]
    return [as_text(line, look) for line in draw_graph(graph, look, look.width or _WIDE).lines]
