"""Running again only what failed, under every task runner."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck import flow, keeping, recording, task
from flowdeck.request import RunRequest, requested
from flowdeck.settings import using
from flowdeck_store.reader import Reader

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
    with requested(RunRequest(rerun_of=uid, reuse=True)):
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
    with requested(RunRequest(rerun_of=failed.state_details.flow_run_id, reuse=True)):
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
    with requested(RunRequest(rerun_of=failed.state_details.flow_run_id, reuse=True)):
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
