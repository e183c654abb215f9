"""Running again only what failed, under every task runner."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck import flow, task
from flowdeck.provenance import background
from flowdeck.reuse import keep_on_failure as keeping
from flowdeck.runs import recorder as recording
from flowdeck.runs.launch_spec import LaunchSpec, requested
from flowdeck.settings import using
from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck.states import State


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with using(home=tmp_path / "home", console=False):
        yield tmp_path / "home"
    recording.close_all()


def called(calls: str, what: str) -> None:
    with open(calls, "a") as file:
        file.write(f"{what}\n")


@task
def fetch(calls: str, number: int) -> int:
    called(calls, f"fetch {number}")
    return number


@task(persist_result=True)
def expand(calls: str, number: int) -> bytes:
    called(calls, "expand")
    return bytes(number * 2_000_000)


@task
def measure(calls: str, data: bytes, needed: str) -> int:
    called(calls, "measure")
    return len(data) + int(Path(needed).read_text())


@task
async def total(calls: str, numbers: list[int]) -> int:
    called(calls, "total")
    return sum(numbers)


@task
def rows(calls: str, number: int) -> list[str]:
    called(calls, "rows")
    return [f"row {row}" for row in range(number)]


@task
def longest(calls: str, lines: list[str]) -> list[str]:
    called(calls, "longest")
    return sorted(lines, key=len)[-100:]


@task
def write(calls: str, lines: list[str], needed: str) -> int:
    called(calls, "write")
    return len(lines) + int(Path(needed).read_text())


def retried(f: Any, failed: State[Any]) -> State[Any]:
    with requested(LaunchSpec(rerun_of=failed.state_details.flow_run_id, reuse=True)):
        again: State[Any] = f(return_state=True)
    return again


@pytest.mark.parametrize("style", ["called", "awaited", "inside"])
def test_what_was_given_values_is_taken_over_as_what_was_given_futures(
    runner: Any, home: Path, tmp_path: Path, style: str
) -> None:
    """The values are larger than what the record shows of them: only whose they are can be told."""
    calls, needed = str(tmp_path / "calls"), str(tmp_path / "needed")

    @flow(task_runner=runner)
    def f() -> Any:
        if style == "called":
            return write(calls, longest(calls, rows(calls, 5000)), needed)
        made = rows.submit(calls, 5000).result()
        chosen = longest.submit(calls, made).result()
        return write.submit(calls, chosen if style == "awaited" else [*chosen], needed).result()

    failed: State[Any] = f(return_state=True)
    assert failed.name == "Failed"
    Path(needed).write_text("1")
    Path(calls).unlink()
    state = retried(f, failed)
    assert state.result() == 101
    assert Path(calls).read_text().splitlines() == ["write"]


def test_a_value_that_the_flow_changed_by_another_parameter_is_another_one(
    home: Path, tmp_path: Path
) -> None:
    """What the record shows of it is the same: its first items."""
    calls, needed = str(tmp_path / "calls"), str(tmp_path / "needed")

    @flow
    def f(last: str) -> Any:
        lines = rows(calls, 5000)
        lines[4000] = last
        return write(calls, longest(calls, lines), needed)

    failed: State[Any] = f("x" * 99, return_state=True)
    Path(needed).write_text("1")
    Path(calls).unlink()
    with requested(LaunchSpec(rerun_of=failed.state_details.flow_run_id, reuse=True)):
        again = f("x" * 98, return_state=True)
    assert again.result() == 101
    assert Path(calls).read_text().splitlines()[-2:] == ["longest", "write"]


@task
def halve(calls: str, lines: list[str], needed: str) -> list[str]:
    called(calls, "halve")
    return lines[: len(lines) // int(Path(needed).read_text())]


def test_of_three_calls_of_which_the_second_failed_two_run_again(
    runner: Any, home: Path, tmp_path: Path
) -> None:
    calls, needed = str(tmp_path / "calls"), str(tmp_path / "needed")

    @flow(task_runner=runner)
    def f() -> Any:
        return longest(calls, halve(calls, rows(calls, 5000), needed))

    failed: State[Any] = f(return_state=True)
    Path(needed).write_text("2")
    Path(calls).unlink()
    assert len(retried(f, failed).result()) == 100
    assert Path(calls).read_text().splitlines() == ["halve", "longest"]


#: What a task reads of its file: another value is another code.
SHORTEST = 3


@task
def choose(calls: str, lines: list[str]) -> list[str]:
    called(calls, "choose")
    return [line for line in lines if len(line) >= SHORTEST]


@pytest.mark.parametrize("style", ["called", "submitted"])
def test_a_call_whose_code_was_changed_runs_again_with_what_depends_on_it(
    runner: Any, home: Path, tmp_path: Path, style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, needed = str(tmp_path / "calls"), str(tmp_path / "needed")

    @flow(task_runner=runner)
    def f() -> Any:
        if style == "called":
            return halve(calls, choose(calls, rows(calls, 5000)), needed)
        return halve.submit(calls, choose.submit(calls, rows.submit(calls, 5000)), needed).result()

    failed: State[Any] = f(return_state=True)
    assert failed.name == "Failed"
    Path(needed).write_text("2")
    Path(calls).unlink()
    assert background.wait(20)  # code is looked at beside the run, nobody edits it that soon
    monkeypatch.setattr(sys.modules[__name__], "SHORTEST", 1)
    retried(f, failed)
    assert Path(calls).read_text().splitlines() == ["choose", "halve"]


def test_completed_calls_are_taken_over_and_their_values_reach_what_runs(
    runner: Any, home: Path, tmp_path: Path
) -> None:
    calls, needed = str(tmp_path / "calls"), str(tmp_path / "needed")

    @flow(task_runner=runner)
    def f() -> Any:
        fetched = [fetch.submit(calls, number) for number in range(3)]
        measured = measure.submit(calls, expand.submit(calls, fetched[1]), needed)
        return total.submit(calls, [*fetched, measured])

    failed: State[Any] = f(return_state=True)
    assert failed.name == "Failed"
    Path(needed).write_text("10")
    Path(calls).unlink()
    uid = failed.state_details.flow_run_id
    with requested(LaunchSpec(rerun_of=uid, reuse=True)):
        state = f(return_state=True)
    assert state.result().result() == 2_000_013
    assert Path(calls).read_text().splitlines() == ["measure", "total"]
    recording.recorder().flush()
    with Reader.open(home) as reader:
        run = reader.resolve_run("@last")
        states = [found.state for found in reader.tasks(run.id)]
    assert states == ["Cached"] * 4 + ["Completed"] * 2


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the time for keeping results suffice on a busy machine too."""
    monkeypatch.setattr(keeping, "PATIENCE", 60.0)


@task
def give(calls: str, kind: str, size: int) -> Any:
    called(calls, f"{kind} {size}")
    return bytes(size) if kind == "bytes" else [{"number": number} for number in range(size)]


@task
def weigh(calls: str, values: list[Any], needed: str) -> int:
    called(calls, "weigh")
    return sum(map(len, values)) + int(Path(needed).read_text())


@pytest.mark.usefixtures("patient")
def test_results_that_were_far_away_when_the_run_failed_are_taken_over(
    runner: Any, home: Path, tmp_path: Path
) -> None:
    calls, needed = str(tmp_path / "calls"), str(tmp_path / "needed")

    @flow(task_runner=runner)
    def f() -> Any:
        given = [
            give.submit(calls, "bytes", 5_000_000),
            give.submit(calls, "bytes", 30_000),
            give.submit(calls, "rows", 20_000),
        ]
        return weigh.submit(calls, given, needed)

    failed: State[Any] = f(return_state=True)
    assert failed.name == "Failed"
    Path(needed).write_text("1")
    Path(calls).unlink()
    with requested(LaunchSpec(rerun_of=failed.state_details.flow_run_id, reuse=True)):
        state = f(return_state=True)
    assert state.result().result() == 5_050_001
    assert Path(calls).read_text().splitlines() == ["weigh"]


@pytest.mark.usefixtures("patient")
def test_results_of_a_subflow_that_failed_are_taken_over(
    runner: Any, home: Path, tmp_path: Path
) -> None:
    calls, needed = str(tmp_path / "calls"), str(tmp_path / "needed")

    @flow(task_runner=runner)
    def child() -> Any:
        return weigh.submit(calls, [give.submit(calls, "bytes", 200_000)], needed)

    @flow
    def parent() -> Any:
        return child()

    failed: State[Any] = parent(return_state=True)
    assert failed.name == "Failed"
    Path(needed).write_text("1")
    Path(calls).unlink()
    with requested(LaunchSpec(rerun_of=failed.state_details.flow_run_id, reuse=True)):
        state = parent(return_state=True)
    assert state.name == "Completed"
    assert Path(calls).read_text().splitlines() == ["weigh"]
    files = [path for path in (home / "results").rglob("*") if path.is_file()]
    assert len(files) == 1


@pytest.mark.usefixtures("patient")
def test_no_more_is_kept_of_a_run_that_fails_than_there_is_room(
    runner: Any, home: Path, tmp_path: Path
) -> None:
    calls = str(tmp_path / "calls")

    @flow(task_runner=runner)
    def f() -> Any:
        given = [give.submit(calls, "bytes", size) for size in (600_000, 700_000, 300_000)]
        return weigh.submit(calls, given, str(tmp_path / "needed"))

    with using(keep_on_failure=1):
        assert f(return_state=True).name == "Failed"
    files = [path for path in (home / "results").rglob("*") if path.is_file()]
    assert sorted(path.stat().st_size // 100_000 for path in files) == [3, 6]
