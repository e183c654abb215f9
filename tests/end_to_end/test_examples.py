"""Every example runs as its first lines say, and does what they promise."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from scripts import Ran, run_python

EXAMPLES = Path(__file__).parent.parent.parent / "examples"

LOCAL = {"stdlib_census", "retries", "async_flow", "subflows", "caching", "limits"}
CLUSTERS = {"dask_flow", "ray_flow"}


def run_example(name: str, home: Path, **variables: str) -> Ran:
    ran = run_python(EXAMPLES / f"{name}.py", home=home, **variables)
    assert ran.code == 0, ran.err
    return ran


def flowdeck(*arguments: str, home: Path) -> Ran:
    return run_python("-m", "flowdeck_app", *arguments, home=home)


def needs_runner(name: str) -> pytest.MarkDecorator:
    """Skip where the runner or the extra that it needs is not installed."""
    extra = {"dask": "distributed", "ray": "ray"}[name]
    found = importlib.util.find_spec(f"flowdeck.task_runners.{name}")
    missing = found is None or importlib.util.find_spec(extra) is None
    return pytest.mark.skipif(missing, reason=f"the {name} runner is not installed")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
class TestEach:
    def test_it_says_what_it_shows_and_how_to_run_it(self, path: Path) -> None:
        doc = ast.get_docstring(ast.parse(path.read_text())) or ""
        assert len(doc.splitlines()) > 3
        assert f"python examples/{path.name}" in doc

    def test_its_flows_are_found_without_importing_it(self, path: Path, home: Path) -> None:
        ran = flowdeck("flows", str(path), "--json", home=home)
        assert ran.code == 0
        found = [json.loads(line) for line in ran.lines]
        assert found
        assert all(flow["file"] == str(path) and flow["doc"] for flow in found)
        assert ran.err == ""


class TestCensus:
    def test_as_a_script_it_counts_the_library(self, home: Path) -> None:
        ran = run_example("stdlib_census", home)
        summary = ast.literal_eval(ran.out)
        assert summary["files"] > 300
        assert summary["lines"] > summary["functions"] > summary["classes"] > 100
        assert len(summary["longest"]) == 5

    def test_files_that_do_not_parse_are_failed_task_runs_of_a_completed_flow(
        self, home: Path
    ) -> None:
        ran = flowdeck(
            "run", f"{EXAMPLES}/stdlib_census.py:census", "-p", "limit=20", "--json", home=home
        )
        assert ran.code == 0, ran.err
        census, summarise = ran.runs
        assert (census.flow, census.state) == ("census", "Completed")
        assert (summarise.flow, summarise.runner) == ("summarise", "sequential")
        failed = [task for task in ran.tasks if task.state == "Failed"]
        assert failed
        assert all("SyntaxError" in (task.message or "") for task in failed)
        unread = [task for task in failed if task.task == "read"]
        not_ready = [task for task in ran.tasks if task.state == "NotReady"]
        assert len(not_ready) == len(unread), "what could not be read is never measured"

    def test_a_failed_task_run_is_shown_with_its_source_and_variables(self, home: Path) -> None:
        flowdeck("run", f"{EXAMPLES}/stdlib_census.py:census", "-p", "limit=2", "-q", home=home)
        ran = flowdeck("tasks", "@last", "state:failed", "task:measure", "--json", home=home)
        (first, *_) = re.findall(r'"id": "(\d+\.\d+)"', ran.out)
        shown = flowdeck("task", first, home=home)
        assert shown.code == 0
        assert "tree = ast.parse(source, name)" in shown.out
        assert re.search(r"source\s+str =", shown.out)

    def test_its_parameters_choose_a_package(self, home: Path) -> None:
        target = f"{EXAMPLES}/stdlib_census.py:census"
        ran = flowdeck("run", target, "-p", "package=json", "-p", "top=1", "-q", home=home)
        assert ran.code == 0, ran.err
        names = {task.name for task in ran.tasks if task.task == "read"}
        assert "read json/decoder.py" in names
        assert all(name.startswith("read json/") for name in names)

    def test_a_package_that_is_no_choice_is_refused(self, home: Path) -> None:
        target = f"{EXAMPLES}/stdlib_census.py:census"
        ran = flowdeck("run", target, "-p", "package=jsonn", home=home)
        assert ran.code == 2
        assert "'json'" in ran.err
        assert "package" in ran.err


def test_retries_stop_at_success_or_when_the_condition_says_so(home: Path) -> None:
    ran = run_example("retries", home)
    assert ran.lines == ["page /a, request 3", "page /b, request 3", "HTTP Error 404: Not Found"]
    assert [(task.attempt, task.state) for task in ran.tasks] == [
        (3, "Completed"),
        (3, "Completed"),
        (1, "Failed"),
    ]
    retried = Counter(ran.states_of(ran.tasks[0]))
    assert retried["AwaitingRetry"] == 2


def test_async_tasks_wait_together(home: Path) -> None:
    ran = run_example("async_flow", home)
    assert len(ran.lines) == 21
    assert [task.state for task in ran.tasks] == ["Completed"] * 20
    duration = ran.run.duration
    assert duration is not None
    assert duration < 20 * 0.2


def test_subflows_have_runners_of_their_own(home: Path) -> None:
    ran = run_example("subflows", home)
    parent, *children = ran.runs
    assert (parent.flow, parent.runner) == ("inventory", "sequential")
    assert [(child.flow, child.runner) for child in children] == [
        ("hash-files", "concurrent"),
        ("report", "sequential"),
    ] * 3
    assert all(child.parent_task and child.parent_task >> 24 == parent.id for child in children)
    assert ran.lines[-1] == f"{sum('.py' in line for line in ran.lines)} files"


def test_the_second_process_finds_everything_in_the_cache(home: Path) -> None:
    first = ast.literal_eval(run_example("caching", home).out)
    ran = run_example("caching", home)
    second = ast.literal_eval(ran.out)
    assert first["from_cache"] == 0
    assert second["from_cache"] == second["files"] == first["files"] > 0
    assert second["words"] == first["words"]
    assert {task.state for task in ran.tasks if task.run_id == 2} == {"Cached"}


def test_a_limit_holds_and_its_absence_does_not(home: Path) -> None:
    flowdeck("config", "limit", "disk", "2", home=home)
    assert run_example("limits", home).lines[-1] == "at most 2 at once"
    flowdeck("config", "limit", "disk", "none", home=home)
    match = re.fullmatch(r"at most (\d+) at once", run_example("limits", home).lines[-1])
    assert match is not None
    assert int(match[1]) > 2


@pytest.mark.slow
@pytest.mark.dask
@needs_runner("dask")
@pytest.mark.timeout(120)
def test_dask_gives_the_same_figures_as_threads(home: Path) -> None:
    ran = run_example("dask_flow", home)
    assert (ran.run.runner, ran.run.state) == ("dask", "Completed")
    assert len({task.worker for task in ran.tasks}) == 2
    local = flowdeck(
        "run", f"{EXAMPLES}/dask_flow.py:word_lengths", "--runner", "concurrent", home=home
    )
    assert local.code == 0, local.err
    assert [run.runner for run in local.runs] == ["dask", "concurrent"]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.long  # 12 s; tests/end_to_end/test_ray_sample.py is a script with a Ray of its own too
@needs_runner("ray")
@pytest.mark.timeout(180)
def test_ray_counts_the_primes(home: Path) -> None:
    ran = run_python(EXAMPLES / "ray_flow.py", home=home, timeout=150)
    assert ran.code == 0, ran.err
    assert ran.lines[-1] == "17984 primes"
    assert (ran.run.runner, ran.run.state) == ("ray", "Completed")


def test_every_example_is_tested_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*LOCAL, *CLUSTERS}
