"""The critical path in the pictures of a run: what is marked, and what the mark says."""

from __future__ import annotations

import pytest
from app_data import NOW, SECOND
from test_app_graph import graph, group
from textual.content import Content

from flowdeck_app.drawing.look import Look
from flowdeck_app.drawing.signs import ASCII
from flowdeck_app.views.critical_path import MARK_STYLE, PathMarks, legend, marks_of
from flowdeck_app.views.graph.draw import draw_graph
from flowdeck_app.views.timeline import Bar, Scale, timeline_content
from flowdeck_store import states
from flowdeck_store.explain.critical_path import CriticalPath, PathLink
from flowdeck_store.ids import task_run_id

LOOK = Look(NOW)
T0 = NOW - 100 * SECOND


def link(no: int, after: int | None, ready: float, started: float, ended: float) -> PathLink:
    times = (T0 + round(second * SECOND) for second in (ready, started, ended))
    return PathLink(no, after, after is not None, 0, *times)


PATH = CriticalPath(
    (link(1, None, 10, 10, 40), link(4, 1, 40, 50, 60), link(5, 4, 60, 60, 100)), T0, NOW
)


def accented(line: Content) -> list[str]:
    return [
        line.plain[span.start : span.end] for span in line.spans if MARK_STYLE in str(span.style)
    ]


def test_a_path_marks_its_task_runs_their_tasks_and_the_steps_between_them() -> None:
    marks = marks_of(PATH, 7, {1: "fetch", 4: "fetch", 5: "load"})
    assert marks == PathMarks(
        PATH,
        frozenset(task_run_id(7, no) for no in (1, 4, 5)),
        frozenset({"fetch", "load"}),
        frozenset({("fetch", "load")}),
    )


def test_the_legend_says_what_the_time_was_spent_on_and_gives_way_to_the_room() -> None:
    def said(cells: int) -> tuple[str, str]:
        left, right = legend(PATH, LOOK, cells)
        return "".join(text for text, _ in left), "".join(text for text, _ in right)

    told = "* critical path  80% running, 10% waiting, 10% flow code"
    assert said(96) == (told, "3 task runs")
    assert said(56) == (told, "")
    assert legend(CriticalPath((), T0, NOW), LOOK, 96) == ([], [])


@pytest.mark.parametrize("on_path", [True, False])
def test_a_bar_on_the_path_has_the_mark_before_it_and_its_name_in_accent(on_path: bool) -> None:
    bar = Bar("load", "load", states.COMPLETED, None, ())
    line = timeline_content(bar, LOOK, Scale(T0, SECOND), 14, 20, 0, on_path=on_path)
    assert line.plain.rstrip() == ("\u2713 load       *" if on_path else "\u2713 load")
    assert bool(accented(line)) is on_path


ETL = graph(
    [group("extract", completed=1), group("load", completed=1), group("audit", completed=1)],
    ("extract", "load"), ("extract", "audit"),
)  # fmt: skip
WAY = {"on_path": {"extract", "load"}, "steps": {("extract", "load")}}


def test_the_graph_marks_the_nodes_of_the_path_and_the_edges_between_them() -> None:
    lines = draw_graph(ETL, Look(NOW, ASCII), 120, **WAY).lines
    assert [line.plain.rstrip() for line in lines] == [
        "             +-> load + *",
        "extract + * -+",
        "             +-> audit +",
    ]
    assert accented(lines[0]) == ["+->", "load", " *"]
    assert accented(lines[1]) == ["extract", " *", "-+"]
    assert accented(lines[2]) == []


def test_the_tree_does_so_as_well() -> None:
    lines = draw_graph(ETL, Look(NOW, ASCII), 60, **WAY).lines
    texts = [line.plain.rstrip() for line in lines]
    assert texts[0] == "extract + *"
    assert texts[1].endswith("load + *")
    assert texts[2].endswith("audit +")
    assert len(accented(lines[1])) == 3
    assert accented(lines[2]) == []


def test_nodes_lie_where_they_are_drawn_with_the_mark_too() -> None:
    for cells in (60, 120):
        canvas = draw_graph(ETL, Look(NOW, ASCII), cells, **WAY)
        for node in canvas.nodes:
            drawn = canvas.lines[node.y].plain[node.x : node.x + node.cells]
            assert drawn.startswith(node.key)
            assert drawn.endswith("*") is (node.key in WAY["on_path"])
