"""``flowdeck forecast``: what a flow would take on each task runner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli_builder import objects

if TYPE_CHECKING:
    from cli_builder import Record


def four_at_once(
    record: Record, name: str, *, flow: str = "etl", runner: str = "concurrent"
) -> None:
    """A run of four task runs of two seconds each, all at the same time."""
    uid = record.run(name, flow=flow, seconds=2.5, runner=runner)
    for no in range(1, 5):
        record.task(uid, no, f"fetch-{no}", seconds=2.0, at=no / 1000)


def test_each_runner_has_a_line_with_its_bounds_and_how_sure_that_is(
    cli: Any, record: Record
) -> None:
    for name in ("one-a", "two-b", "three-c"):
        four_at_once(record, name)
    result = cli("forecast", "etl")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "etl: from 3 completed runs of 4 task runs"
    found = {words[0]: words for line in lines[3:8] if (words := line.split())}
    assert found.keys() == {"sequential", "concurrent", "process", "dask", "ray"}
    assert "on it" in " ".join(found["concurrent"])
    assert "a guess" in " ".join(found["dask"])
    never = (
        "sequential, process, dask, ray: never ran there, the durations are those on concurrent."
    )
    assert never in result.stdout
    assert "At least 2" in result.stdout


def test_the_number_of_workers_can_be_given_and_all_of_it_as_json(cli: Any, record: Record) -> None:
    four_at_once(record, "one-a")
    found = objects(
        cli(
            "forecast", "@last", "--runner", "process", "--workers", "1", "--workers", "2", "--json"
        )
    )
    assert [(one["workers"], round(one["seconds"])) for one in found] == [(1, 8), (2, 4)]
    assert found[0].keys() == {
        "flow", "runner", "workers", "seconds", "low_seconds", "high_seconds", "sureness", "runs",
        "recorded_on_it", "notes",
    }  # fmt: skip
    assert found[0]["sureness"] == "a guess"


def test_runs_on_the_same_runner_count_more_than_runs_played_again(
    cli: Any, record: Record
) -> None:
    four_at_once(record, "one-a")
    four_at_once(record, "two-b", runner="dask")
    (dask,) = objects(cli("forecast", "etl", "--runner", "dask", "--json"))
    assert (dask["recorded_on_it"], dask["runs"], dask["seconds"]) == (True, 1, 2.5)


def test_a_run_on_the_sequential_runner_is_a_lower_bound_for_others(
    cli: Any, record: Record
) -> None:
    four_at_once(record, "one-a", runner="sequential")
    (process,) = objects(cli("forecast", "etl", "--runner", "process", "--json"))
    assert process["sureness"] == "a guess"
    assert any("may take longer" in note for note in process["notes"])


def test_without_a_run_to_go_by_it_says_what_to_do(cli: Any, record: Record) -> None:
    from flowdeck_store import states as st

    record.run("bad", flow="load", code=st.FAILED)
    result = cli("forecast", "load")
    assert result.exit_code != 0
    assert "no completed run to go by" in result.stderr
    assert "run it once" in result.stderr
    assert cli("forecast", "nothing-like-it").exit_code != 0
    bad = cli("forecast", "load", "--runner", "dusk")
    assert "no task runner 'dusk'" in bad.stderr


def test_a_word_that_is_neither_a_flow_nor_a_run(cli: Any, record: Record) -> None:
    four_at_once(record, "one-a")
    result = cli("forecast", "elt")
    assert result.exit_code == 2
    assert "There is no run 'elt'" in result.stderr
    assert "no flow of that name has run" in result.stderr
