"""What the comparison of two runs says: the same as ``flowdeck diff``, and what is the same."""

from __future__ import annotations

import json
from dataclasses import replace

from app_data import HOSTILE, NOW, ZONE, run, task
from hypothesis import given
from hypothesis import strategies as st

from flowdeck_app.drawing.cells import width
from flowdeck_app.drawing.look import Look
from flowdeck_app.drawing.signs import ASCII
from flowdeck_app.views.comparison import compare, compare_lines
from flowdeck_store import states
from flowdeck_store.explain.changes import Change, CodeChange
from flowdeck_store.explain.differences import RunDifference, TaskDifference, TaskRunDifference
from flowdeck_store.read.summaries import TaskGroup
from flowdeck_store.states import BUCKETS

LOOK = Look(NOW, zone=ZONE)
CELLS = 96


def group(n: int, p50: float) -> TaskGroup:
    counts = tuple(n if name == "completed" else 0 for name in BUCKETS)
    return TaskGroup("clean", "etl:clean", counts, 0, p50, None, None, None, None)


SAME = RunDifference(
    run(1, given=json.dumps({"day": 1})), run(2, given=json.dumps({"day": 1})),
    (None, None), (), (), (TaskDifference("clean", group(3, 1.0), group(3, 1.0)),), (), True,
)  # fmt: skip
OTHER = replace(
    SAME,
    changed=(
        Change("python", "python", "3.12.1", "3.12.2"),
        Change("package", "numpy", "1.26", "2.0"),
        Change("package", "left-pad", None, "1.0"),
        Change("variable", "TZ", "UTC", None),
        Change("edits", "edits", "none", "2 changed files"),
    ),
    code=(CodeChange("etl.clean", ("etl.clean", "flow etl.etl"), "return n\n", "return 2 * n\n"),),
    tasks=(TaskDifference("clean", group(3, 1.0), group(3, 2.5)),),
    task_runs=(TaskRunDifference(task(1, "clean-0"), None, "2", None),),
)


def drawn(found: RunDifference, *, only: bool = False, look: Look = LOOK) -> list[str]:
    lines = compare_lines(compare(found, look), CELLS, look, only=only)
    return [line.plain.rstrip() for line in lines]


def words(found: RunDifference, *, only: bool = False) -> list[list[str]]:
    return [line.split() for line in drawn(found, only=only)]


def test_what_the_runs_ran_as_is_compared() -> None:
    said = words(OTHER)
    for line in (
        "≠ Python 3.12.1 3.12.2",
        "≠ TZ UTC (none)",
        "≠ Edits none 2 changed files",
        "≠ numpy 1.26 2.0",
        "≠ left-pad (none) 1.0",
    ):
        assert line.split() in said


def test_code_is_a_unified_diff_over_both_columns() -> None:
    lines = drawn(OTHER)
    start = lines.index("Code of etl.clean, used by etl.clean, flow etl.etl")
    assert lines[start + 1 : start + 6] == [
        "  --- run 1",
        "  +++ run 2",
        "  @@ -1 +1 @@",
        "  -return n",
        "  +return 2 * n",
    ]


def test_a_long_difference_is_cut_and_says_so() -> None:
    text = "\n".join(f"line {n}" for n in range(100))
    code = CodeChange("etl.clean", ("etl.clean",), None, text)
    assert "  … 43 more lines" in drawn(replace(OTHER, code=(code,)))


def test_a_task_that_takes_longer_differs() -> None:
    assert [
        "≠",
        "clean",
        "3",
        "runs,",
        "p50",
        "1.0s",
        "3",
        "runs,",
        "p50",
        "2.5s,",
        "2.5x",
    ] in words(OTHER)
    assert ["clean", "3", "runs,", "p50", "1.0s", "3", "runs,", "p50", "1.0s"] in words(SAME)


def test_calls_that_ended_or_returned_something_else_stand_beside_each_other() -> None:
    assert ["≠", "clean-0", "✓", "completed", "2", "(none)"] in words(OTHER)
    many = tuple(
        TaskRunDifference(task(no), task(no, code=states.FAILED), "2", None) for no in range(50)
    )
    lines = drawn(replace(OTHER, task_runs=many))
    assert sum("✗ failed" in line for line in lines) == 40
    assert "  … and 10 more: flowdeck diff --json has them" in lines
    assert "  Only the first 5,000 of each run were compared." in drawn(
        replace(OTHER, is_whole=False)
    )


def test_differences_only_leave_out_what_is_the_same() -> None:
    assert drawn(replace(SAME, now=replace(SAME.now, id=1)), only=True) == [
        "The two runs do not differ in anything recorded."
    ]
    said = drawn(OTHER, only=True)
    assert not any(line.startswith("  Flow") for line in said)
    assert any(line.startswith("  Flow") for line in drawn(OTHER))


@given(st.sampled_from(HOSTILE), st.integers(40, 160))
def test_texts_from_anywhere_keep_to_their_line(text: str, cells: int) -> None:
    found = replace(
        OTHER,
        changed=(Change("package", text, text, text),),
        code=(CodeChange(text, (text,), text, f"{text}\n{text}"),),
        task_runs=(TaskRunDifference(task(1, text), task(1, text), text, text),),
    )
    look = Look(NOW, ASCII, zone=ZONE)
    for line in compare_lines(compare(found, look), cells, look, only=False):
        assert "\n" not in line.plain
        assert "\x1b" not in line.plain
        assert width(line.plain) <= cells + 1
