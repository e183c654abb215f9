"""Requests reach the process of a run, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flowdeck_store.errors import NotFound
from flowdeck_store.record.control import ControlRequest, request
from store_writing import Recorded, one, recording, rows, wait_until

if TYPE_CHECKING:
    from pathlib import Path


def test_a_request_is_handed_out_once_and_marked_when_done(home: Path) -> None:
    got: list[ControlRequest] = []
    with recording(home, on_control=got.append) as session:
        run = Recorded(session.emit).run()
        session.flush()
        number = one(home, "SELECT id FROM flow_runs")
        sent = request(home, number, "cancel", task_no=3, by="pid 5")
        wait_until(lambda: got, "handed out")
        assert got == [sent]
        assert (sent.run_uid, sent.task_no, sent.verb, sent.by) == (run.uid, 3, "cancel", "pid 5")
        second = request(home, number, "kill")
        wait_until(lambda: len(got) == 2, "handed out")
        assert got == [sent, second]
        session.control_done(sent.id)
        query = "SELECT id FROM control WHERE done_us IS NOT NULL"
        wait_until(lambda: rows(home, query) == [(sent.id,)], "marked")
        run.end()


def test_requests_to_runs_of_others_or_to_ended_runs_are_not_ours(home: Path) -> None:
    mine: list[ControlRequest] = []
    theirs: list[ControlRequest] = []
    with (
        recording(home, on_control=mine.append) as me,
        recording(home, on_control=theirs.append) as other,
    ):
        ended = Recorded(me.emit).run().end()
        open_run = Recorded(me.emit).run()
        foreign = Recorded(other.emit).run()
        assert me.flush()
        assert other.flush()
        numbers = dict(rows(home, "SELECT uid,id FROM flow_runs"))
        for run in (ended, foreign, open_run):
            request(home, numbers[run.uid], "cancel")
        wait_until(lambda: mine and theirs, "handed out")
        assert [r.run_uid for r in mine] == [open_run.uid]
        assert [r.run_uid for r in theirs] == [foreign.uid]
        open_run.end()
        foreign.end()


def test_a_request_made_before_the_run_was_adopted_is_handed_out_after(home: Path) -> None:
    got: list[ControlRequest] = []
    with recording(home) as first, recording(home, on_control=got.append) as second:
        run = Recorded(first.emit).run()
        first.flush()
        sent = request(home, one(home, "SELECT id FROM flow_runs"), "cancel")
        again = Recorded(second.emit, run.uid).run()
        wait_until(lambda: got == [sent], "handed out")
        again.end()


def test_a_handler_that_fails_is_reported_and_the_recording_goes_on(home: Path) -> None:
    def fail(request: ControlRequest) -> None:
        raise RuntimeError("no way")

    warnings: list[str] = []
    with recording(home, warnings, on_control=fail) as session:
        run = Recorded(session.emit).run()
        session.flush()
        request(home, one(home, "SELECT id FROM flow_runs"), "cancel")
        wait_until(lambda: warnings, "reported")
        run.log("goes on").end()
        assert session.flush()
    assert warnings == ["A request to cancel run 1 failed: RuntimeError('no way')"]


def test_requests_for_nothing_are_refused(home: Path) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        request(home, 1, "cancel")
    with recording(home) as session:
        Recorded(session.emit).run().end()
    with pytest.raises(NotFound, match="no run 77"):
        request(home, 77, "cancel")
    with pytest.raises(ValueError, match="cancel, kill, answer, not 'explode'"):
        request(home, 1, "explode")
    assert rows(home, "SELECT * FROM control") == []
