"""Runs that are stopped, killed, followed and waited for, from their terminal and from others."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_builder import runs, until, write

if TYPE_CHECKING:
    from cli_builder import Shell

SLOW = """
    import time
    from flowdeck import flow, task

    @task
    def stuck():
        for _ in range(6000):
            time.sleep(0.01)

    @flow
    def slow():
        stuck.submit()
        stuck.submit()
"""


def start_slow(shell: Shell, home: Path, *words: str) -> Any:
    write("slow.py", SLOW)
    process = shell.start("run", "slow.py:slow", *words)
    until(lambda: [r.counts[2] for r in runs(home)] == [2])
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_cancel_the_run(
    shell: Shell, home: Path, number: signal.Signals
) -> None:
    process = start_slow(shell, home)
    process.send_signal(number)
    _, said = process.communicate(timeout=50)
    assert process.returncode == 130
    assert "⊘ Cancelled" in said
    assert "Traceback" not in said
    assert [run.state for run in runs(home)] == ["Cancelled"]


def test_cancel_from_another_process_and_again_when_it_is_over(shell: Shell, home: Path) -> None:
    process = start_slow(shell, home)
    result = shell("cancel", "@last", "--wait")
    assert result.returncode == 0
    assert "(#1) is Cancelled." in result.stderr
    process.communicate(timeout=50)
    assert process.returncode == 130
    again = shell("cancel", "@last")
    assert again.returncode == 0
    assert "is over already: Cancelled" in again.stderr
    assert shell("wait", "@last").returncode == 130


def test_cancel_kill_ends_the_process(shell: Shell, home: Path) -> None:
    process = start_slow(shell, home)
    result = shell("cancel", "@last", "--kill")
    process.communicate(timeout=50)
    assert "is Crashed" in result.stderr or "is Cancelled" in result.stderr
    assert runs(home)[0].is_final


def test_a_process_that_does_not_answer_is_killed_by_the_system(shell: Shell, home: Path) -> None:
    process = start_slow(shell, home)
    process.send_signal(signal.SIGSTOP)
    result = shell("cancel", "@last", "--kill")
    assert f"killed process {process.pid}" in result.stderr
    process.communicate(timeout=50)
    assert process.returncode == -signal.SIGKILL
    assert runs(home)[0].state == "Cancelled"  # as it was asked to be


def test_after_kill_9_the_next_look_marks_the_run_crashed(shell: Shell, home: Path) -> None:
    process = start_slow(shell, home)
    process.kill()
    process.communicate(timeout=50)
    first = shell("runs", "--json")
    assert "is gone without ending run #1: marked as Crashed." in first.stderr
    assert json.loads(first.stdout)["state"] == "Crashed"
    assert shell("runs").stderr == ""
    tasks = [json.loads(line) for line in shell("tasks", "1", "--json").stdout.splitlines()]
    assert [task["state"] for task in tasks] == ["Crashed", "Crashed"]


def test_wait_notices_a_process_that_is_killed_meanwhile(shell: Shell, home: Path) -> None:
    process = start_slow(shell, home)
    waiting = shell.start("wait", "@last")
    process.kill()
    process.communicate(timeout=50)
    assert waiting.wait(timeout=50) == 1
    assert "! Crashed" in waiting.communicate()[0]


def test_logs_follow_shows_lines_while_they_are_written_and_ends_with_the_run(
    shell: Shell, home: Path
) -> None:
    write(
        "talk.py",
        """
        import pathlib, time
        from flowdeck import flow, get_run_logger
        @flow
        def talk():
            get_run_logger().info("first words")
            while not pathlib.Path("go").exists():
                time.sleep(0.01)
            get_run_logger().warning("last words")
        """,
    )
    process = shell.start("run", "talk.py", "-q")
    until(lambda: bool(runs(home)))
    following = shell.start("logs", "@last", "-f")
    assert following.stdout is not None
    lines = iter(following.stdout.readline, "")
    assert any("first words" in line for line in lines)
    Path("go").touch()
    assert any("last words" in line for line in lines)
    assert following.wait(timeout=50) == 0
    following.communicate()
    process.communicate(timeout=50)


def test_one_task_run_is_cancelled_and_the_rest_goes_on(shell: Shell, home: Path) -> None:
    process = start_slow(shell, home)
    result = shell("cancel", "1.1", "--wait")
    assert result.returncode == 0
    assert "(#1.1) is Cancelled." in result.stderr
    tasks = [json.loads(line) for line in shell("tasks", "1", "--json").stdout.splitlines()]
    assert [task["state"] for task in tasks] == ["Cancelled", "Running"]
    assert "is over already: Cancelled" in shell("cancel", "@last/stuck-0").stderr
    refused = shell("cancel", "1.2", "--kill")
    assert refused.returncode == 2
    assert "`flowdeck cancel 1 --kill` does" in refused.stderr
    assert shell("cancel", "1.2").returncode == 0
    process.communicate(timeout=50)
    assert process.returncode == 130
