"""``flowdeck retry RUN --failed``: what it says first, what it runs, and what refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cli_builder import objects, runs, write

from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from cli_builder import Shell

FLOW = """
    from pathlib import Path
    from flowdeck import flow, task

    @task
    def fetch(number):
        with open("calls.txt", "a") as file:
            file.write(f"fetch {number}\\n")
        return [number]

    @task
    def load(numbers):
        return numbers[0] + int(Path("needed.txt").read_text())

    @task
    def publish(numbers):
        with open("calls.txt", "a") as file:
            file.write("publish\\n")
        return sum(numbers)

    @flow
    def etl(count: int = 4, fail: bool = False):
        fetched = [fetch.submit(number) for number in range(count)]
        return publish.submit([load.submit(one) for one in fetched[:2]])
"""

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def failed(shell: Shell) -> Path:
    """A flow that has failed once: six tasks ran, two of them failed, one never started."""
    write("etl.py", FLOW)
    assert shell("run", "etl.py:etl", "-q", "--tag", "t").returncode == 1
    Path("calls.txt").unlink()
    Path("needed.txt").write_text("1")
    return Path("calls.txt")


def states(home: Path, run_id: int) -> list[str]:
    with Reader.open(home) as reader:
        return [task.state for task in reader.tasks(run_id)]


def labels(home: Path) -> list[str]:
    with Reader.open(home) as reader:
        return [task.label for task in reader.tasks(1)]


def test_it_says_what_is_reused_and_runs_the_rest(shell: Shell, home: Path, failed: Path) -> None:
    told = shell("retry", "@last", "--failed", "-q")
    assert told.returncode == 0, told.stderr
    assert "4 reused, 3 run again: 2 failed, 1 had not started." in told.stderr
    assert failed.read_text() == "publish\n"
    newest, first = runs(home)
    assert newest.rerun_of == first.uid
    assert newest.tags == ("t",)
    assert states(home, 2) == ["Cached"] * 4 + ["Completed"] * 3
    shown = shell("show", "2").stdout
    assert f"rerun of   #1 {first.name}  ✗ Failed" in shown
    assert f"run again  #2 {newest.name}  ✓ Completed" in shell("show", "1").stdout
    assert f"Reused from {first.name} (task run 1.1)." in shell("tasks", "2").stdout


def test_a_dry_run_only_says_it(shell: Shell, home: Path, failed: Path) -> None:
    told = shell("retry", "1", "--failed", "--dry-run")
    assert told.returncode == 0
    first, *rest = told.stdout.splitlines()
    assert first == "4 reused, 3 run again: 2 failed, 1 had not started."
    assert [line.split()[0] for line in rest[:3]] == ["1.5", "1.6", "1.7"]
    assert [line.split() for line in rest[3:]] == [
        [f"1.{no}", label, "reused"] for no, label in enumerate(labels(home)[:4], 1)
    ]
    [found] = objects(shell("retry", "1", "--failed", "-n", "--json"))
    assert found["reused"] == 4
    assert [item["why"] for item in found["again"]] == ["failed", "failed", "not_started"]
    assert len(runs(home)) == 1
    assert not failed.exists()


def test_a_dry_run_with_other_parameters_says_what_it_cannot_know(
    shell: Shell, home: Path, failed: Path
) -> None:
    told = shell("retry", "1", "--failed", "-n", "-p", "count=5", "--runner", "sequential")
    assert told.returncode == 0
    assert told.stdout.splitlines()[0] == (
        "at most 4 reused, at least 3 run again: 2 failed, 1 had not started. "
        "What depends on count runs again too: the value is another than then."
    )
    [found] = objects(shell("retry", "1", "--failed", "-n", "-p", "count=5", "--json"))
    assert (found["exact"], found["changed"]) == (False, ["count"])
    told = shell("retry", "1", "--failed", "-p", "count=5", "-q")
    assert "at most 4 reused" in told.stderr


def test_the_same_value_given_again_changes_nothing(shell: Shell, home: Path, failed: Path) -> None:
    [found] = objects(shell("retry", "1", "--failed", "-n", "-p", "count=4", "--json"))
    assert (found["reused"], found["exact"], found["changed"]) == (4, True, [])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-p", "coutn=5"), "did you mean count?"),
        (("--runner", "dusk"), "dusk"),
        (("-p", "count"), "-p needs name=value"),
    ],
)
def test_a_dry_run_refuses_what_the_run_would_refuse(
    shell: Shell, failed: Path, options: tuple[str, ...], said: str
) -> None:
    told = shell("retry", "1", "--failed", "-n", *options)
    assert told.returncode == 2
    assert said in told.stderr


def test_a_dry_run_says_that_the_code_is_gone(shell: Shell, failed: Path) -> None:
    Path("etl.py").unlink()
    told = shell("retry", "1", "--failed", "-n")
    assert told.returncode == 0
    assert "4 reused" in told.stdout
    assert "it cannot start as it is" in told.stderr


def test_detached_and_with_other_parameters_and_another_runner(
    shell: Shell, home: Path, failed: Path
) -> None:
    options = ("-p", "count=5", "--runner", "sequential", "--name", "second", "-d")
    assert shell("retry", "1", "--failed", *options).returncode == 0
    assert shell("wait", "second").returncode == 0
    newest, _ = runs(home)
    assert (newest.runner, json.loads(newest.params or "")["count"]) == ("sequential", 5)
    assert states(home, 2).count("Cached") == 4
    assert failed.read_text().split("\n")[:2] == ["fetch 4", "publish"]


def test_without_kept_results_it_says_what_would_have_helped(
    shell: Shell, home: Path, failed: Path
) -> None:
    for path in (home / "results").rglob("*"):
        if path.is_file():
            path.unlink()
    told = shell("retry", "1", "--failed", "-q")
    assert (
        "0 reused, 7 run again: 2 failed, 1 had not started, "
        "4 completed, but the result was not kept." in told.stderr
    )
    assert "persist_results = true (FLOWDECK_PERSIST_RESULTS=1)" in told.stderr
    assert told.returncode == 0


def test_what_was_retried_can_be_retried(shell: Shell, home: Path, failed: Path) -> None:
    Path("needed.txt").write_text("?")
    assert shell("retry", "1", "--failed", "-q").returncode == 1
    Path("needed.txt").write_text("1")
    assert shell("retry", "@last-failed", "--failed", "-q").returncode == 0
    assert failed.read_text() == "publish\n"
    assert states(home, 3).count("Cached") == 4


def test_a_run_that_goes_on_is_refused(shell: Shell, home: Path) -> None:
    write(
        "slow.py",
        """
        import time
        from pathlib import Path
        from flowdeck import flow
        @flow
        def slow():
            while not Path("end").exists():
                time.sleep(0.02)
        """,
    )
    assert shell("run", "slow.py:slow", "-d").returncode == 0
    told = shell("retry", "1", "--failed")
    assert told.returncode != 0
    assert "goes on" in told.stderr
    assert "flowdeck wait 1" in told.stderr
    Path("end").touch()
    assert shell("wait", "1").returncode == 0


def test_a_dry_run_of_everything_makes_no_sense(shell: Shell) -> None:
    told = shell("retry", "1", "--dry-run")
    assert told.returncode == 2
    assert "--dry-run goes with --failed" in told.stderr


def test_a_run_that_was_killed_is_taken_up_where_it_was(shell: Shell, home: Path) -> None:
    write(
        "dies.py",
        """
        import os, signal
        from pathlib import Path
        from flowdeck import flow, task
        @task
        def step(number):
            with open("calls.txt", "a") as file:
                file.write(f"{number}\\n")
            if number == 3 and not Path("strong").exists():
                os.kill(os.getpid(), signal.SIGKILL)
            return number
        @flow
        def dies():
            return sum(step.submit(number).result() for number in range(5))
        """,
    )
    assert shell("run", "dies.py:dies", "-q").returncode == -9
    assert "Crashed" in shell("show", "@last").stdout.splitlines()[0]
    Path("strong").touch()
    told = shell("retry", "@last", "--failed", "-q")
    assert told.returncode == 0
    assert "3 reused, 1 runs again: 1 crashed." in told.stderr
    assert Path("calls.txt").read_text().split() == ["0", "1", "2", "3", "3", "4"]
