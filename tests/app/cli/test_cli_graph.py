"""The graph and the timeline of a run on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cli_builder import Record, objects

from flowdeck_app.drawing.look import Look
from flowdeck_app.reports import graph as text
from flowdeck_app.reports.contents import as_text
from flowdeck_store import states as st
from flowdeck_store.read.summaries import GroupEdge, TaskGraph, TaskGroup

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture
def chain(record: Record) -> str:
    """Two fetches that one load takes something from, and a task run that nobody waits for."""
    uid = record.run("calm-owl", seconds=9)
    record.task(uid, 1, "fetch-0", seconds=1)
    record.task(uid, 2, "fetch-1", seconds=4)
    record.task(uid, 3, "load-0", inputs=(("rows", None, 1), ("rows", None, 2)), at=5, seconds=3)
    record.task(uid, 4, "log-0", seconds=1)
    return uid


def test_the_graph_is_drawn_with_a_node_for_each_task(cli: Any, chain: str) -> None:
    drawn = cli("graph", "@last").stdout
    assert "fetch ✓2 /2" in drawn
    assert "▸ load ✓" in drawn


def test_the_graph_as_json_counts_what_the_edges_lead_to(cli: Any, chain: str) -> None:
    (found,) = objects(cli("graph", "@last", "--json"))
    assert [task["task"] for task in found["tasks"]] == ["fetch", "load", "log"]
    assert found["edges"] == [{"from": "n1", "to": "n2", "count": 2}]


def graph_of(names: Sequence[str]) -> TaskGraph:
    counts = tuple(int(place == st.BUCKETS.index("completed")) for place in range(len(st.BUCKETS)))
    groups = tuple(
        TaskGroup(name, str(n), counts, 0, None, None, None, None, None)
        for n, name in enumerate(names)
    )
    return TaskGraph(groups, (GroupEdge("0", "1", 1),))


HOSTILE = ['a"] --> b; click n1 "javascript:x"', "x\\", "<script>", "end", "\x1b[2Jé\n", "`&#35;"]


def test_names_cannot_leave_their_quotes_in_mermaid() -> None:
    lines = list(text.mermaid(graph_of(HOSTILE)))
    nodes = [line for line in lines if line.startswith("  n") and "-->" not in line]
    assert len(nodes) == len(HOSTILE)
    for line in nodes:
        inner = line.partition('["')[2].rpartition('"]')[0]
        assert not set(inner) & set('"<>[](){}|\\;`') - {";"}
        assert not [char for char in inner if ord(char) < 32]
    assert [line for line in lines if "-->" in line] == ["  n1 --> n2"]


def test_names_cannot_leave_their_quotes_in_dot() -> None:
    lines = list(text.dot(graph_of(HOSTILE)))
    nodes = [line for line in lines if " [label=" in line]
    assert len(nodes) == len(HOSTILE)
    for line in nodes:
        label = line.partition('label="')[2]
        plain, escaped = "", False
        for char in label:
            if char == '"' and not escaped:
                break
            escaped = char == "\\" and not escaped
            plain += char
        assert line.partition(plain + '"')[2].startswith(", fillcolor=")


def test_the_timeline_marks_the_critical_path(cli: Any, chain: str) -> None:
    lines = cli("timeline", "@last").stdout.splitlines()
    bars = {line[4:13].strip(): line for line in lines[1:5]}
    assert [line[0] for line in (bars["fetch-0"], bars["fetch-1"], bars["load-0"])] == [
        " ", "*", "*"
    ]  # fmt: skip
    assert bars["log-0"].startswith("  ✓")
    assert lines[-1].startswith("* the critical path, 2 of the task runs: running 7.0s (78%)")


def test_the_timeline_is_shown_by_task_by_worker_and_for_the_path_alone(
    cli: Any, chain: str
) -> None:
    assert "fetch ×2" in cli("timeline", "@last", "--by", "task").stdout
    assert "busy" in cli("timeline", "@last", "--by", "worker").stdout
    path = cli("timeline", "@last", "--path").stdout
    assert "fetch-1" in path
    assert "fetch-0" not in path
    short = cli("timeline", "@last", "--limit", "1").stdout
    assert "… 3 more" in short


def test_the_timeline_as_json_has_every_task_run(cli: Any, chain: str) -> None:
    rows = objects(cli("timeline", "@last", "--json"))
    assert [row["id"] for row in rows] == ["1.1", "1.2", "1.3", "1.4"]
    assert [row["on_critical_path"] for row in rows] == [False, True, True, False]
    assert {part["kind"] for row in rows for part in row["segments"]} <= {"wait", "run"}
    assert len(objects(cli("timeline", "@last", "--json", "--limit", "2"))) == 2


def test_a_run_without_task_runs_has_an_empty_graph_and_timeline(cli: Any, record: Record) -> None:
    record.run("calm-owl")
    assert cli("graph", "@last").stdout == "No task has run.\n"
    assert cli("timeline", "@last").exit_code == 0


def test_what_the_app_paints_the_command_line_paints_in_its_own_colours() -> None:
    from textual.content import Content, Span

    content = Content("ab cd  ", [Span(0, 5, "bold"), Span(3, 5, "$fd-failed"), Span(0, 1, "odd")])
    assert as_text(content, Look(0)) == "ab cd"
    assert as_text(content, Look(0, color=True)) == "\x1b[1mab \x1b[0m\x1b[31mcd\x1b[0m"


@pytest.mark.parametrize("by", ["run", "task", "worker"])
def test_a_run_without_task_runs_has_no_timeline_and_says_so(
    cli: Any, record: Record, by: str
) -> None:
    record.run("calm-owl")
    result = cli("timeline", "@last", "--by", by)
    assert result.stdout == "No task run is in it: there is nothing to draw.\n"
    assert cli("timeline", "@last", "--json").stdout == ""
