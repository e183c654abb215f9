"""Hooks given after the definition, by decorators: ``@my_task.on_failure``."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck import flow, task
from flowdeck.definitions.hooks import OF_FLOWS, OF_TASKS
from flowdeck.task_runners import ProcessTaskRunner

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.usefixtures("record"), pytest.mark.timeout(60)]

STATE_HOOKS = [name for name, arguments in OF_TASKS.items() if "state" in arguments]


def test_decorators_add_hooks_to_a_task_after_those_that_it_was_given() -> None:
    seen: list[str] = []

    def given(task: Any, task_run: Any, state: Any) -> None:
        seen.append("given")

    @task(on_completion=[given])
    def double(n: int) -> int:
        return 2 * n

    @double.on_completion
    def decorated(task: Any, task_run: Any, state: Any) -> None:
        seen.append(f"decorated {state.result()}")

    @double.on_running
    async def runs(task: Any, task_run: Any, state: Any) -> None:
        seen.append(state.name)

    @flow
    def f() -> int:
        return double(2)

    assert f() == 4
    assert seen == ["Running", "given", "decorated 4"]
    assert double.on_completion == [given, decorated]
    assert callable(decorated)  # what it decorates stays what it is


def test_decorators_add_hooks_to_a_flow() -> None:
    seen: list[str] = []

    @flow
    def f() -> None:
        raise ValueError("no")

    def note(flow: Any, flow_run: Any, state: Any) -> None:
        seen.append(state.name)

    for name in OF_FLOWS:
        assert getattr(f, name)(note) is note
    f(return_state=True)
    assert seen == ["Running", "Failed"]


def test_a_task_that_is_tried_again_starts_once() -> None:
    seen: list[int] = []

    @task(retries=2)
    def fails() -> None:
        raise ValueError

    @fails.on_running
    def starts(task: Any, task_run: Any, state: Any) -> None:
        seen.append(task_run.run_count)

    flow(lambda: fails(return_state=True))(return_state=True)
    assert seen == [1]


@pytest.mark.parametrize(
    ("decorate", "name"), [(flow, n) for n in OF_FLOWS] + [(task, n) for n in STATE_HOOKS]
)
def test_a_hook_that_cannot_be_called_is_refused_where_it_is_decorated(
    decorate: Any, name: str
) -> None:
    definition = decorate(lambda: None)
    with pytest.raises(TypeError, match=f"given as '{name}', is called with the keyword arguments"):
        getattr(definition, name)(lambda run, state: None)
    with pytest.raises(TypeError, match=f"Expected callables in '{name}'; got int"):
        getattr(definition, name)(3)
    assert getattr(definition, name) == []


@pytest.mark.parametrize("name", ["on_rollback", "on_commit"])
def test_hooks_of_transactions_take_one_argument_of_any_name(name: str) -> None:
    definition = task(lambda: None)
    with pytest.raises(TypeError, match=f"given as '{name}', is called with the arguments"):
        getattr(definition, name)(lambda: None)
    for good in (lambda transaction: None, lambda txn: None, lambda *args: None):
        assert getattr(definition, name)(good) is good
    assert len(getattr(task(**{name: [good]})(lambda: None), name)) == 1


def test_copies_have_the_hooks_that_were_there_and_keep_their_own() -> None:
    def hook(task: Any, task_run: Any, state: Any) -> None: ...
    def other(task: Any, task_run: Any, state: Any) -> None: ...

    original = task(lambda: None)
    original.on_failure(hook)
    copy = original.with_options(name="copy")
    assert copy.on_failure == [hook]
    copy.on_failure(other)
    original.on_running(other)
    assert (copy.on_failure, copy.on_running) == ([hook, other], [])
    assert (original.on_failure, original.on_running) == ([hook], [other])
    assert original.with_options(on_failure=[other]).on_failure == [other]


def test_hooks_of_a_method_are_those_of_its_task() -> None:
    seen: list[Any] = []

    class Model:
        @task
        def fit(self) -> int:
            return 3

        @fit.on_completion
        def told(task: Any, task_run: Any, state: Any) -> None:  # noqa: N805
            seen.append(state.result())

    assert flow(lambda: Model().fit())() == 3
    assert seen == [3]
    assert Model().fit.on_completion == [Model.told]


def test_a_pickled_task_keeps_its_hooks() -> None:
    def hook(task: Any, task_run: Any, state: Any) -> None: ...

    original = task(lambda: None)
    original.on_failure(hook)
    there = pickle.loads(pickle.dumps(original))
    assert [each.__name__ for each in there.on_failure] == ["hook"]
    with pytest.raises(TypeError, match="given as 'on_failure'"):
        there.on_failure(lambda: None)


def test_hooks_go_with_their_task_to_other_processes(tmp_path: Path) -> None:
    told = tmp_path / "told"

    @task
    def double(n: int) -> int:
        return 2 * n

    @double.on_running
    def runs(task: Any, task_run: Any, state: Any) -> None:
        told.write_text(state.name)

    @flow(task_runner=ProcessTaskRunner(max_workers=1))
    def f() -> int:
        return double.submit(2).result()

    assert f() == 4
    assert told.read_text() == "Running"
