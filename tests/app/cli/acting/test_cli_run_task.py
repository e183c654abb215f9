"""``flowdeck run FILE:task``: one task alone, recorded as a flow run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cli_builder import objects, runs, write

from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from cli_builder import Shell

TASKS = """
    import threading
    from pathlib import Path
    from flowdeck import task, get_run_logger

    @task(name="load a page", retries=1)
    def load_page(page: int, *, size: float = 1.5):
        '''Load it.'''
        get_run_logger().info("loading %s", page)
        print(type(page).__name__, size, threading.current_thread() is threading.main_thread())
        if not Path("there").exists():
            raise LookupError(f"no page {page}")
        return page * size

    @task
    async def later(word: str = "so"):
        print(word)
        return word

    @task
    def spread(first, /, *rest, **more):
        print(first, rest, more)
"""


@pytest.fixture(autouse=True)
def tasks() -> None:
    write("pages.py", TASKS)


def test_a_task_alone_is_a_flow_run_of_one_task(shell: Shell, home: Path) -> None:
    Path("there").touch()
    told = shell("run", "pages.py:load_page", "-p", "page=2", "--tag", "try", "-q")
    assert told.returncode == 0, told.stderr
    assert told.stdout == "int 1.5 True\n"
    (run,) = runs(home)
    assert (run.flow, run.state, run.tags, run.runner) == (
        "load a page", "Completed", ("try",), "sequential",
    )  # fmt: skip
    assert json.loads(run.given or "") == {"page": 2, "size": 1.5}
    with Reader.open(home) as reader:
        (task,) = reader.tasks(run.id)
        result = reader.result(run.id)
    assert (task.task, task.state) == ("load a page", "Completed")
    assert result is not None
    assert result.preview == "3.0"
    assert "loading 2" in shell("logs", "@last").stdout


def test_one_that_fails_is_repaired_like_any_run(shell: Shell, home: Path) -> None:
    told = shell("run", "pages.py:load_page", "-p", "page=7", "-q")
    assert told.returncode == 1
    assert "LookupError: no page 7" in told.stderr
    assert objects(shell("tasks", "@last", "--json"))[0]["attempt"] == 2
    Path("there").touch()
    again = shell("retry", "@last", "-q")
    assert again.returncode == 0, again.stderr
    assert [run.state for run in runs(home)] == ["Completed", "Failed"]


@pytest.mark.parametrize("runner", ["sequential", "concurrent"])
def test_an_async_task_runs_alone_too(shell: Shell, home: Path, runner: str) -> None:
    told = shell("run", "pages.py:later", "--runner", runner, "-q")
    assert (told.returncode, told.stdout) == (0, "so\n"), told.stderr
    assert runs(home)[0].runner == runner


def test_it_runs_detached(shell: Shell, home: Path) -> None:
    assert shell("run", "pages.py:later", "--detach").returncode == 0
    assert shell("wait", "@last").returncode == 0
    assert runs(home)[0].state == "Completed"


def test_its_signature_is_the_tasks_own(shell: Shell) -> None:
    told = shell("run", "pages.py:spread", "--params", '{"first": 1, "rest": [2, 3], "x": 4}', "-q")
    assert (told.returncode, told.stdout) == (0, "1 (2, 3) {'x': 4}\n"), told.stderr
    told = shell("run", "pages.py:load_page", "-p", "page=x", "-q")
    assert told.returncode == 2
    assert "page: Input should be a valid integer" in told.stderr
    told = shell("run", "pages.py:load_page", "-q")
    assert told.returncode == 2
    assert "load_page" in told.stderr or "load a page" in told.stderr


def test_tasks_are_not_listed_as_flows(shell: Shell) -> None:
    assert "later" not in shell("flows").stdout
    told = shell("run", "pages.py")
    assert told.returncode == 2
    assert "There are no flows in pages.py" in told.stderr
