"""`runtime`, contexts and tags: what running code may know about its runs."""

from __future__ import annotations

import datetime
import threading
from typing import Any

import pytest

from flowdeck import flow, runtime, tags, task
from flowdeck.context import FlowRunContext, TaskRunContext, get_run_context
from flowdeck.exceptions import MissingContextError
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.testing import Record
from flowdeck_store import events

pytestmark = [pytest.mark.usefixtures("record"), pytest.mark.timeout(60)]


def test_outside_of_runs_everything_is_empty() -> None:
    for name in ("id", "name", "flow_name", "flow_version", "parent_flow_run_id"):
        assert getattr(runtime.flow_run, name) is None
    assert runtime.flow_run.scheduled_start_time is None
    for name in ("id", "name", "task_name"):
        assert getattr(runtime.task_run, name) is None
    for part in (runtime.flow_run, runtime.task_run):
        assert part.tags == []
        assert part.parameters == {}
        assert part.run_count == 0


@pytest.mark.parametrize("part", [runtime.flow_run, runtime.task_run])
def test_unknown_facts_are_attribute_errors(part: Any) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'; it has: id, name"):
        part.nonsense
    assert "parameters" in dir(part)


@pytest.mark.parametrize("runner", [SequentialTaskRunner(), ConcurrentTaskRunner()])
def test_a_run_knows_itself(runner: Any, record: Record) -> None:
    def facts() -> dict[str, Any]:
        return {
            "flow": {n: getattr(runtime.flow_run, n) for n in dir(runtime.flow_run)},
            "task": {n: getattr(runtime.task_run, n) for n in dir(runtime.task_run)},
        }

    @task(tags=["own"])
    def t(x: int, y: int = 2) -> Any:
        return facts()

    @flow(task_runner=runner, version="v1", flow_run_name="run-{a}")
    def f(a: int) -> Any:
        return facts(), t.submit(5).result()

    with tags("blue"):
        of_flow, of_task = f("7")
    (run,) = record.of_kind(events.RUN)
    assert of_flow["task"]["id"] is None
    assert of_flow["flow"] == of_task["flow"]
    facts_of_flow = of_flow["flow"]
    assert isinstance(facts_of_flow.pop("scheduled_start_time"), datetime.datetime)
    assert facts_of_flow == {
        "id": run["uid"], "name": "run-7", "flow_name": "f", "flow_version": "v1",
        "parameters": {"a": 7}, "tags": ["blue"], "run_count": 1, "parent_flow_run_id": None,
    }  # fmt: skip
    assert of_task["task"] == {
        "id": f"{run['uid']}.1", "name": f"t-{t.short_hash}-0", "task_name": "t",
        "tags": ["blue", "own"], "parameters": {"x": 5, "y": 2}, "run_count": 1,
    }  # fmt: skip


def test_facts_are_read_when_asked_for_and_cannot_be_changed_by_accident() -> None:
    @flow(retries=1)
    def f(x: int = 1) -> Any:
        runtime.flow_run.parameters["x"] = 99
        runtime.flow_run.tags.append("no")
        if runtime.flow_run.run_count == 1:
            raise ValueError
        return runtime.flow_run.run_count, runtime.flow_run.parameters, runtime.flow_run.tags, x

    assert f() == (2, {"x": 1}, [], 1)


def test_contexts_give_runs_and_definitions() -> None:
    @task
    def t(x: int) -> Any:
        context = get_run_context()
        assert isinstance(context, TaskRunContext)
        assert context.task.name == "t"
        assert context.task_run.name == runtime.task_run.name
        assert dict(context.parameters) == {"x": 1}
        assert context.start_time.tzinfo is datetime.UTC
        outer = FlowRunContext.get()
        assert outer is not None
        return outer.flow.name

    @flow
    def f() -> Any:
        context = get_run_context()
        assert isinstance(context, FlowRunContext)
        assert TaskRunContext.get() is None
        assert context.flow.name == "f"
        assert context.flow_run.name == runtime.flow_run.name
        assert dict(context.parameters) == {}
        assert context.start_time.tzinfo is datetime.UTC
        return t(1), t.submit(1).result()

    assert f() == ("f", "f")
    assert FlowRunContext.get() is None
    assert TaskRunContext.get() is None
    with pytest.raises(MissingContextError, match="No run context available"):
        get_run_context()


def test_tags_are_a_union_of_blocks_and_end_with_them(record: Record) -> None:
    @task
    def look() -> Any:
        return runtime.task_run.tags

    @flow
    def f() -> Any:
        found = [look()]
        with tags("a") as in_force:
            assert "a" in in_force
            found.append(look())
            with tags("b", "a"):
                found.append(look.submit().result())
            found.append(look())
        found.append(look())
        return found

    assert f() == [[], ["a"], ["a", "b"], ["a"], []]
    with tags("x", "y"):
        assert f()[:2] == [["x", "y"], ["a", "x", "y"]]
    assert '["x", "y"]' in [e["tags"] for e in record.of_kind(events.RUN)]


def test_a_context_ends_even_if_the_run_fails() -> None:
    @flow
    def f() -> None:
        raise ValueError

    with pytest.raises(ValueError):
        f()
    assert FlowRunContext.get() is None
    assert runtime.flow_run.id is None


def test_a_thread_without_context_knows_no_run() -> None:
    import contextvars

    found: list[Any] = []

    @flow
    def f() -> None:
        thread = threading.Thread(
            target=contextvars.Context().run, args=[lambda: found.append(runtime.flow_run.id)]
        )
        thread.start()
        thread.join()
        with_context = threading.Thread(
            target=contextvars.copy_context().run,
            args=[lambda: found.append(runtime.flow_run.id)],
        )
        with_context.start()
        with_context.join()

    f()
    assert found[0] is None
    assert found[1] is not None
