"""What hooks and contexts see of runs: the attributes of the peer's, and what notifications need."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from flowdeck import flow, task
from flowdeck.context import FlowRunContext
from flowdeck.runs import recorder as recording
from flowdeck.testing import run_in_memory
from flowdeck_store.read.reader import Reader

pytestmark = pytest.mark.timeout(60)


@task
def fetch(page: int) -> int:
    if page == 7:
        raise ConnectionError("502 for page 7")
    return page


def test_a_hook_learns_the_run_s_number_and_what_it_failed_of(home: Any) -> None:
    seen: list[Any] = []

    def hook(flow: Any, flow_run: Any, state: Any) -> None:
        seen.append(
            (flow_run.number, flow_run.first_failure, flow_run.state_name, flow_run.state is state)
        )

    @flow(on_running=[hook], on_failure=[hook], on_completion=[hook])
    def f(pages: list[int]) -> Any:
        return [future.wait() for future in fetch.map(pages)]

    f([1], return_state=True)
    f([6, 7], return_state=True)
    assert seen == [
        (1, None, "Running", True),
        (1, None, "Completed", True),
        (2, None, "Running", True),
        (2, "fetch[1] ConnectionError: 502 for page 7", "Failed", True),
    ]
    recording.close_all()
    with Reader.open(home) as reader:
        assert [run.id for run in reader.runs()] == [2, 1]


def test_what_is_not_in_a_record_has_no_number() -> None:
    seen: list[Any] = []

    @flow(on_failure=[lambda flow, flow_run, state: seen.append(flow_run)])
    def f() -> None:
        fetch(7)

    with run_in_memory():
        f(return_state=True)
    (run,) = seen
    assert (run.number, run.first_failure, run.state_name) == (None, None, "Failed")
    assert (run.flow_name, run.run_count, run.state_type.value) == ("f", 1, "FAILED")
    assert run.end_time >= run.start_time
    assert run == run
    assert pickle.loads(pickle.dumps(run)).name == run.name
    with pytest.raises(AttributeError, match="'FlowRunInfo' object has no attribute 'nothing'"):
        run.nothing


def test_task_runs_say_whose_they_are_and_how_far() -> None:
    seen: list[Any] = []

    def hook(task: Any, task_run: Any, state: Any) -> None:
        seen.append((task_run.flow_run_id, task_run.state_name, task_run.state_type.value))
        assert task_run.end_time is not None
        assert task_run.end_time >= task_run.start_time

    @task(on_completion=[hook])
    def t() -> Any:
        context = FlowRunContext.get()
        assert context is not None
        return context.flow_run.id, context.flow_run.state.name, context.flow_run.end_time

    @flow
    def f() -> Any:
        return t()

    with run_in_memory():
        uid, name, end = f()
    assert (name, end) == ("Running", None)
    assert seen == [(uid, "Completed", "COMPLETED")]
