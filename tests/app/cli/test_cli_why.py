"""Why a run, or a task run, went as it did."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cli_builder import SECOND, T0, Record, objects, write

from flowdeck_store import events
from flowdeck_store import states as st
from flowdeck_store.record.limits import set_limit

if TYPE_CHECKING:
    from flowdeck_store.events import Event


@pytest.fixture
def two_runs(record: Record) -> str:
    """A run that was good, then one with other parameters that failed, with a task run after it."""
    good = record.run("calm-owl", params=json.dumps({"day": 1, "limit": 5}))
    record.task(good, 1, "fetch-0", params={"page": "1"})
    bad = record.run(
        "odd-lynx",
        code=st.FAILED,
        message="1/2 states failed.",
        params=json.dumps({"day": 2, "limit": 5}),
        created=T0 + 60 * SECOND,
    )
    record.task(bad, 1, "fetch-0", code=st.FAILED, message="ValueError: bad page")
    record.task(bad, 2, "load-0", inputs=(("rows", None, 1),), code=st.PENDING, named="NotReady",
                message="Upstream task run '2.1' did not reach a 'COMPLETED' state.")  # fmt: skip
    return bad


def test_a_run_says_what_failed_what_followed_and_what_changed(cli: Any, two_runs: str) -> None:
    lines = cli("why", "@last").stdout.splitlines()
    assert lines[0] == "odd-lynx (#2) is Failed: fetch-0 ValueError: bad page."
    assert lines[1] == "What followed from it for other task runs: 1 not started."
    assert lines[2] == (
        "Since the last good run, calm-owl (#1), changed: parameter day from 1 to 2."
    )
    assert "fetch-0" in lines[-1]
    assert " were decided by " in lines[-1]


def test_the_same_as_json(cli: Any, two_runs: str) -> None:
    (found,) = objects(cli("why", "2", "--json"))
    assert found["cause"] == {"task_run": "2.1", "error": "ValueError: bad page"}
    assert found["followed"] == {"not_ready": 1}
    assert found["last_good_run"] == 1
    assert found["changed"] == [{"kind": "parameter", "name": "day", "before": "1", "now": "2"}]
    assert found["critical_path"]["task_runs"][0]["id"] == "2.1"
    assert found["sentences"] == cli("why", "2").stdout.splitlines()


def test_a_task_run_that_did_not_start_leads_to_the_one_that_failed(
    cli: Any, two_runs: str
) -> None:
    assert cli("why", "2.2").stdout.splitlines() == [
        "load-0 (2.2) did not start: it depends on fetch-0 (2.1).",
        "That one is Failed: ValueError: bad page.",
    ]
    (found,) = objects(cli("why", "2.2", "--json"))
    assert found["skipped_because_of"] == ["2.1"]


def test_a_task_run_says_what_its_time_was_spent_on(cli: Any, two_runs: str) -> None:
    lines = cli("why", "1.1").stdout.splitlines()
    assert lines[0] == "fetch-0 (1.1) is Completed."
    (found,) = objects(cli("why", "1.1", "--json"))
    assert found["seconds"]["total"] == pytest.approx(
        sum(value for name, value in found["seconds"].items() if name != "total")
    )


def test_a_run_that_has_no_good_one_before_says_so(cli: Any, record: Record) -> None:
    record.run("first-one")
    assert "There is no earlier run of this flow that was good" in cli("why", "@last").stdout


def test_what_took_a_result_over_and_what_came_from_the_cache_says_from_where(
    cli: Any, record: Record
) -> None:
    first = record.run("calm-owl")
    record.task(first, 1, "fetch-0")
    record.emit(events.result(first, 1, T0, "int", 4, "41", "aa/kept"))
    record.emit(events.cache(first, 1, T0, "key", None, "aa/kept"))
    second = record.run("odd-lynx", created=T0 + SECOND)
    taken: Event = events.state(
        second, 1, st.bucket(st.PENDING, None), st.COMPLETED, T0 + 2 * SECOND, st.CACHED, None, 1,
        None, json.dumps({"reused_from": f"{first}.1"}),
    )  # fmt: skip
    for event in (
        events.task_def("fetch|x", "fetch", None, None, 0),
        events.task(second, 1, T0 + SECOND, "fetch|x", "fetch-0", None, None),
        taken,
        events.task(second, 2, T0 + SECOND, "fetch|x", "fetch-1", None, None),
        events.state(
            second,
            2,
            st.bucket(st.PENDING, None),
            st.COMPLETED,
            T0 + 2 * SECOND,
            st.CACHED,
            None,
            1,
            None,
            None,
        ),
        events.result(second, 2, T0 + 2 * SECOND, "int", 4, "41", "aa/kept"),
    ):
        record.emit(event)
    assert cli("why", "2.1").stdout == (
        "fetch-0 (2.1) did not run: it took over the result of the same call in an earlier run, "
        "1.1.\n"
    )
    assert cli("why", "2.2").stdout == (
        "fetch-1 (2.2) did not run: the kept result of 1.1 has the same cache key.\n"
    )


def test_a_repeated_run_says_what_it_repeats_and_what_it_took_over(
    cli: Any, record: Record
) -> None:
    first = record.run("calm-owl", code=st.FAILED, message="1/1 states failed.")
    second = record.run("odd-lynx", rerun_of=first)
    record.task(second, 1, "fetch-0", named=st.CACHED)
    assert "It repeats calm-owl (#1) and took over 1 of its results." in cli("why", "2").stdout


def test_a_run_that_is_not_there_is_named(cli: Any, record: Record) -> None:
    result = cli("why", "77")
    assert result.exit_code == 2
    assert "77" in result.stderr


@pytest.fixture
def stalled(record: Record) -> str:
    """A live run in which two wait for a slot that its first task run holds, and one for those."""
    set_limit(record.home, "db", 1)
    uid = record.run("calm-owl", code=st.RUNNING)
    record.task(uid, 1, "query-0", code=st.RUNNING)
    record.session.acquire_slots(["db"], uid, 1)
    record.task(uid, 2, "query-1", code=st.SCHEDULED, named="AwaitingConcurrencySlot",
                message="Waiting for a free slot of tag 'db'.")  # fmt: skip
    record.emit(events.task_tags(uid, 2, '["db"]'))
    record.task(uid, 3, "load-0", code=st.PENDING, inputs=(("rows", None, 2),))
    causes = [{"kind": "slot", "count": 1, "text": "query-1 waits\n for \x1b[31ma slot"}]
    busy = [{"name": "query-0", "place": "query at etl.py:12", "since_us": T0}]
    note = {"stall": True, "since_us": T0, "causes": causes, "busy": busy}
    record.emit(events.provenance(uid, T0, "stall", "", json.dumps(note)))
    return record.flushed(uid)


def test_a_live_run_says_why_nothing_goes_on(cli: Any, stalled: str) -> None:
    state, said, meanwhile, *_ = cli("why", "@last").stdout.splitlines()
    assert state == "calm-owl (#1) is Running."
    assert said.startswith("Nothing has gone on for ")
    assert said.endswith(": query-1 waits\\n for \\x1b[31ma slot.")
    assert meanwhile.startswith("Meanwhile: query-0 in query at etl.py:12, ")


def test_a_task_run_that_waits_says_for_which_slot_and_who_has_it(cli: Any, stalled: str) -> None:
    said = cli("why", "1.2").stdout.splitlines()
    assert said[0].endswith(" is AwaitingConcurrencySlot: Waiting for a free slot of tag 'db'.")
    assert said[1].startswith("Slots are held by query-0 (1.1) of run calm-owl in process ")
    behind = cli("why", "1.3").stdout.splitlines()
    assert behind[1] == "It waits for query-1 (1.2), which is AwaitingConcurrencySlot."
    (waits,) = [line for line in behind if line.startswith("So far it waited for inputs ")]
    assert "worker" not in waits


def test_what_a_live_run_waits_for_as_json(cli: Any, stalled: str) -> None:
    (run,) = objects(cli("why", "1", "--json"))
    assert run["stall"]["nothing_executes"] is True
    assert run["stall"]["causes"][0]["kind"] == "slot"
    assert run["stall"]["busy"][0]["place"] == "query at etl.py:12"
    (waits,) = objects(cli("why", "1.3", "--json"))
    assert waits["waits_for"] == ["1.2"]
    assert waits["stall"]["causes"] == run["stall"]["causes"]


def test_an_ended_run_is_not_said_to_stand_still(cli: Any, record: Record, stalled: str) -> None:
    record.state(stalled, 0, st.COMPLETED)
    record.flushed(stalled)
    assert "Nothing has gone on" not in cli("why", "1").stdout
    (run,) = objects(cli("why", "1", "--json"))
    assert run["stall"] is None


@pytest.mark.parametrize(
    "note",
    ["[]", "{}", '{"causes": 5}', '{"causes": [7, {"kind": 1}], "busy": {}, "since_us": ""}'],
)
def test_a_note_that_is_none_does_no_harm(cli: Any, record: Record, note: str) -> None:
    uid = record.run("calm-owl", code=st.RUNNING)
    record.emit(events.provenance(uid, T0, "stall", "", note))
    record.flushed(uid)
    assert cli("why", "1").stdout.startswith("calm-owl (#1) is Running.")


def test_a_flow_run_that_waits_for_another_try_says_until_when(cli: Any, record: Record) -> None:
    uid = record.run("calm-owl", code=st.RUNNING)
    record.state(uid, 0, st.SCHEDULED, named="AwaitingRetry", data={"retry_at_us": T0})
    record.flushed(uid)
    assert cli("why", "1").stdout.splitlines()[1].startswith("It is tried again at ")
    (found,) = objects(cli("why", "1", "--json"))
    assert found["retry_at"].startswith("2026-11-22T10:00:00")


def test_of_a_run_that_goes_on_it_is_said_what_is_so_far(cli: Any, record: Record) -> None:
    uid = record.run("calm-owl", code=st.RUNNING)
    record.task(uid, 1, "fetch-0")
    record.task(uid, 2, "load-0", code=st.RUNNING)
    lines = cli("why", "1").stdout.splitlines()
    assert " so far are decided by " in lines[-1]
    assert any(line.startswith("So far it ") for line in cli("why", "1.2").stdout.splitlines())


PRICES = """
    from flowdeck import flow, task
    from flowdeck.caching import task_input_hash

    RATE = 2

    def key(context, arguments):
        return f"{task_input_hash(context, arguments)}-{RATE}"

    @task(cache_key_fn=key)
    def price(day, amount, unit="kg"):
        return RATE * amount

    @flow
    def prices(days: int = 3):
        return [price(day, day * 10) for day in range(days)]
"""


def test_a_missed_cache_names_the_call_most_like_it_and_the_code_that_changed(
    cli: Any, shell: Any
) -> None:
    write("prices.py", PRICES)
    assert shell("run", "prices.py:prices", "-q").returncode == 0
    write("prices.py", PRICES.replace("RATE = 2", "RATE = 3"))
    assert shell("run", "prices.py:prices", "-q").returncode == 0
    (found,) = objects(cli("why", "2.1", "--json"))
    assert found["missed_cache"] == {"of": "1.1", "arguments": [], "code": ["prices.RATE"]}
    assert any("the kept result of 1.1: the code of prices.RATE" in s for s in found["sentences"])
    write("prices.py", PRICES.replace("RATE = 2", "RATE = 3").replace("day * 10", "day * 20"))
    assert shell("run", "prices.py:prices", "-q").returncode == 0
    (found,) = objects(cli("why", "3.3", "--json"))
    assert found["missed_cache"]["of"] == "2.3"
    assert "the kept result of 2.3, the most like it: amount differs." in " ".join(
        found["sentences"]
    )
