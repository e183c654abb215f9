"""How far a run says it is, drawn: bars that fit, figures, time left, and texts that mean harm."""

from __future__ import annotations

import pytest
from app_data import NOW, SECOND, run, task_row

from flowdeck_app.drawing import own_progress
from flowdeck_app.drawing.columns import lay_out, row_content
from flowdeck_app.drawing.look import Look
from flowdeck_app.drawing.signs import ASCII
from flowdeck_app.reports.tasks import task_facts, task_table
from flowdeck_app.views.run_header import estimate
from flowdeck_app.views.tasks import TASK_COLUMNS
from flowdeck_store import states
from flowdeck_store.read.records import FlowRunRecord, ProgressRecord

LOOK = Look(now_us=NOW)
HALF = ProgressRecord(NOW, 25, 50, "pages \x1b[31m[b]x[/b]\n2")


@pytest.mark.parametrize("look", [LOOK, Look(now_us=NOW, symbols=ASCII)])
@pytest.mark.parametrize("cells", [0, 1, 5, 12, 20, 40, 120])
@pytest.mark.parametrize(
    "record", [HALF, ProgressRecord(NOW, 7, None, None), ProgressRecord(NOW, 99, 1e12, "日本" * 40)]
)
def test_a_bar_takes_no_more_room_than_there_is(
    record: ProgressRecord, cells: int, look: Look
) -> None:
    drawn = own_progress.row_content(record, NOW - 10 * SECOND, look, cells)
    assert drawn.cell_length <= cells
    assert "\x1b" not in drawn.plain
    assert "\n" not in drawn.plain


def test_a_running_task_shows_its_bar_in_its_row_and_an_ended_one_its_message() -> None:
    layout = lay_out(TASK_COLUMNS, 180)
    going = row_content(layout, task_row(1, code=states.RUNNING, progress=HALF), LOOK).plain
    assert " 50%  25/50" in going
    assert "left  pages" in going
    assert "━" in going
    over = row_content(
        layout, task_row(1, code=states.FAILED, progress=HALF, message="no"), LOOK
    ).plain
    assert "25/50" not in over


def test_the_command_line_shows_it_in_the_list_and_among_the_facts() -> None:
    going = task_row(1, code=states.RUNNING, progress=HALF).record
    over = task_row(1, code=states.FAILED, progress=HALF).record
    assert "50%  25/50  pages" in task_table([going], LOOK)[1]
    assert "25/50" not in task_table([over], LOOK)[1]
    assert any("50%  25/50  pages" in line for line in task_facts(over, LOOK))


def test_what_a_flow_says_of_itself_goes_before_history_and_pace() -> None:
    going = _run(n_done=0, n=4)
    own = ProgressRecord((going.started_us or 0) + 30 * SECOND, 1, 4, None)
    found = estimate([], going, 30.0, own)
    assert found is not None
    assert (found.seconds, found.word) == (120.0, "by its progress")


def test_what_running_tasks_say_counts_for_the_pace() -> None:
    going = _run(n_done=1, n=4)
    assert estimate([], going, 30.0) is None  # one of four is not enough
    found = estimate([], going, 30.0, None, 1.0)
    assert found is not None
    assert (found.seconds, found.word) == (60.0, "by pace")


def _run(n_done: int, n: int) -> FlowRunRecord:
    counts = [0] * len(states.BUCKETS)
    counts[states.BUCKETS.index("completed")] = n_done
    counts[states.BUCKETS.index("running")] = n - n_done
    return run(1234, code=states.RUNNING, counts=tuple(counts))
