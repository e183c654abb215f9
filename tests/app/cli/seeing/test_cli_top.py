"""``flowdeck top``: what goes on now, and what it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli_builder import SECOND, objects

from flowdeck_app.reports.top import lately
from flowdeck_store import states as st
from flowdeck_store.events import now_us
from flowdeck_store.usage import SampleRecord, sample_event

if TYPE_CHECKING:
    from cli_builder import Record


def going(record: Record) -> None:
    now = now_us()
    record.run("ended-heron", created=now - 60 * SECOND)
    uid = record.run("busy-otter", code=st.RUNNING, created=now - 30 * SECOND)
    record.task(uid, 1, "fetch-0")
    record.emit(sample_event(uid, now - 3 * SECOND, "", cpu=90.0, memory=900))
    for worker, ago, memory in (("", 1, 100_000), ("w1", 1, 200_000), ("gone", 60, 800_000)):
        us = now - ago * SECOND
        record.emit(sample_event(uid, us, worker, cpu=12.5, memory=memory))


def test_live_runs_are_listed_with_what_their_processes_use(cli: Any, record: Record) -> None:
    going(record)
    result = cli("top")
    assert result.exit_code == 0
    heading, line = result.stdout.splitlines()
    assert heading.split()[:2] == ["Run", "Name"]
    assert "busy-otter" in line
    assert "25%" in line
    assert "300.0 kB" in line


def test_as_json_with_each_worker(cli: Any, record: Record) -> None:
    going(record)
    (found,) = objects(cli("top", "--json"))
    assert (found["name"], found["cpu_percent"], found["memory"]) == ("busy-otter", 25.0, 300_000)
    assert found["workers"] == [{"worker": "w1", "cpu_percent": 12.5, "memory": 200_000}]
    assert (found["ended_tasks"], found["tasks"]) == (1, 1)


def test_where_nothing_goes_on_it_says_so(cli: Any, record: Record) -> None:
    record.run("ended-heron")
    assert cli("top", "--once").stdout == "No flow run goes on.\n"
    assert cli("top", "--json").stdout == ""


def test_a_process_that_has_long_been_silent_does_not_count() -> None:
    fresh, old = (
        SampleRecord("w", us, 1.0, 1, None, None, None, None, None) for us in (100, -20 * SECOND)
    )
    assert lately([fresh, old], 200) == (fresh,)
