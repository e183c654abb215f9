"""The graph of a run for other programs: Mermaid, DOT, JSON. Pure.

Names come from anywhere, so each is quoted by the rules of its language; the nodes themselves are
called ``n1``, ``n2``...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowdeck_app.drawing.signs import worst_of
from flowdeck_store.safe import one_line
from flowdeck_store.states import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck_store.read.summaries import TaskGraph, TaskGroup

#: Fill and line of a node, by the worst state among its task runs.
_COLORS: Final = {
    "failed": ("#fdd", "#c33"),
    "crashed": ("#fdd", "#c33"),
    "running": ("#def", "#36c"),
    "cancelled": ("#eee", "#888"),
    "not_ready": ("#eee", "#888"),
    "completed": ("#dfd", "#393"),
    "cached": ("#dff", "#399"),
}
#: Characters that end or open something in a Mermaid label, as its entity codes.
_MERMAID: Final = str.maketrans(
    {char: f"#{ord(char)};" for char in '#"&<>`[](){}|\\*_~;'}
)  # fmt: skip


def _label(group: TaskGroup) -> str:
    name = one_line(group.task, 80)
    return f"{name} ×{group.n}" if group.n > 1 else name


def _numbered(graph: TaskGraph) -> dict[str, str]:
    return {group.task_key: f"n{number}" for number, group in enumerate(graph.groups, 1)}


def mermaid(graph: TaskGraph) -> Iterator[str]:
    """Yield a Mermaid flowchart, line by line."""
    names = _numbered(graph)
    yield "flowchart LR"
    for group in graph.groups:
        worst = worst_of(group.counts)
        style = f":::{worst}" if worst in _COLORS else ""
        yield f'  {names[group.task_key]}["{_label(group).translate(_MERMAID)}"]{style}'
    for edge in graph.edges:
        label = f"|{edge.count}|" if edge.count > 1 else ""
        yield f"  {names[edge.source]} -->{label} {names[edge.target]}"
    for name in dict.fromkeys(worst_of(group.counts) for group in graph.groups):
        if name in _COLORS:
            fill, line = _COLORS[name]
            yield f"  classDef {name} fill:{fill},stroke:{line}"


def dot(graph: TaskGraph) -> Iterator[str]:
    """Yield a graph in Graphviz's DOT language, line by line."""
    names = _numbered(graph)
    yield "digraph run {"
    yield "  rankdir=LR; node [shape=box, style=filled, fillcolor=white];"
    for group in graph.groups:
        fill, line = _COLORS.get(worst_of(group.counts) or "", ("#fff", "#000"))
        label = _label(group).replace("\\", "\\\\").replace('"', '\\"')
        yield f'  {names[group.task_key]} [label="{label}", fillcolor="{fill}", color="{line}"];'
    for edge in graph.edges:
        label = f' [label="{edge.count}"]' if edge.count > 1 else ""
        yield f"  {names[edge.source]} -> {names[edge.target]}{label};"
    yield "}"


def as_json(graph: TaskGraph) -> dict[str, Any]:
    """Return the graph as JSON: nodes are tasks, edges count the task runs that they lead to."""
    names = _numbered(graph)
    return {
        "tasks": [
            {
                "id": names[group.task_key],
                "task": group.task,
                "task_runs": dict(zip(BUCKETS, group.counts, strict=True)),
                "p50": group.p50,
                "longest": group.longest,
            }
            for group in graph.groups
        ],
        "edges": [
            {"from": names[edge.source], "to": names[edge.target], "count": edge.count}
            for edge in graph.edges
        ],
    }
