"""Mistakes in the options of a Dask runner: each is told in words that say what to do."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from clusters import identity
from dask_programs import Programs
from flowdeck import flow
from flowdeck.task_runners import DaskTaskRunner
from flowdeck_store.read.reader import Reader

distributed = pytest.importorskip("distributed")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.dask, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    with Programs(tmp_path_factory.mktemp("dask"), workers=1) as running:
        yield running


def run(**options: Any) -> Any:
    """Call a flow with one task."""

    @flow(task_runner=DaskTaskRunner(**options))
    def f() -> Any:
        return identity.submit(1).result()

    return f()


@pytest.mark.parametrize("name", ["cluster_kwargs", "adapt_kwargs", "client_kwargs"])
@pytest.mark.parametrize("value", ["n_workers=2", True, [1, 2]])
def test_arguments_that_are_no_dict_are_refused_by_name(name: str, value: Any) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(TypeError, match=f"`{name}` must be a dict"):
        DaskTaskRunner(**options)


@pytest.mark.parametrize(
    ("name", "value"), [("address", 8786), ("cluster_class", 5)], ids=["address", "class"]
)
def test_options_of_a_wrong_type_are_refused_by_name(name: str, value: Any) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(TypeError, match=f"`{name}` must be"):
        DaskTaskRunner(**options)


async def make_later(**_: Any) -> None:
    """Nothing that can be used at once."""


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: None, "None"),
        (make_later, "a coroutine"),
        (lambda: "tcp://127.0.0.1:8786", "a str"),
    ],
    ids=["nothing", "async", "address"],
)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_what_makes_no_cluster_is_told(make: Any, what: str) -> None:
    with pytest.raises(TypeError, match=f"must return a Dask cluster.*{what}"):
        run(cluster_class=make)


def test_an_argument_that_workers_do_not_take_is_named() -> None:
    with pytest.raises(RuntimeError, match="unexpected keyword argument 'unheard_of'"):
        run(cluster_kwargs={"n_workers": 1, "unheard_of": 2})


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("cluster_kwargs", "n_wokers", "n_workers"),
        ("cluster_kwargs", "thread_per_worker", "threads_per_worker"),
        ("adapt_kwargs", "minimun", "minimum"),
        ("adapt_kwargs", "max_imum", "maximum"),
        ("client_kwargs", "time_out", "timeout"),
    ],
)
def test_a_mistyped_argument_is_told_when_the_runner_is_made(
    name: str, wrong: str, right: str
) -> None:
    options: dict[str, Any] = {name: {wrong: 1}}
    told = f"`{name}` has no argument '{wrong}'. Did you mean '{right}'"
    with pytest.raises(TypeError, match=re.escape(told)):
        DaskTaskRunner(**options)


def test_arguments_that_dask_takes_are_known() -> None:
    import inspect

    from flowdeck.task_runners import dask as module

    def taken(function: Any) -> set[str]:
        return set(inspect.signature(function).parameters) - {"self", "kwargs", "worker_kwargs"}

    adaptive = distributed.deploy.adaptive.Adaptive
    managed = {"asynchronous"}
    assert taken(distributed.LocalCluster.__init__) - managed <= module._CLUSTER_ARGUMENTS
    assert taken(distributed.Client.__init__) - managed <= module._CLIENT_ARGUMENTS
    assert taken(distributed.LocalCluster.adapt) <= module._ADAPT_ARGUMENTS
    assert taken(adaptive.__init__) - {"cluster"} <= module._ADAPT_ARGUMENTS
    # Those of workers, which travel among those of the cluster, are not taken for typos.
    for kind in (distributed.Nanny, distributed.Worker):
        DaskTaskRunner(cluster_kwargs=dict.fromkeys(taken(kind.__init__) - {"ncores"}))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"cluster_kwargs": {"n_workers": "2"}},
            "`n_workers` in `cluster_kwargs` must be a number",
        ),
        ({"adapt_kwargs": {"minimum": -1}}, "`minimum` in `adapt_kwargs` must be a number from 0"),
        ({"cluster_kwargs": {1: 2}}, "by name, but has 1"),
        ({"address": " "}, "`address` is empty"),
        ({"cluster": "tcp://x:1"}, "`cluster` must be a Dask cluster that runs"),
        ({"cluster": distributed.LocalCluster}, "`cluster` must be a Dask cluster that runs"),
    ],
)
def test_values_that_cannot_be_meant_are_told_when_the_runner_is_made(
    options: dict[str, Any], told: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(told)):
        DaskTaskRunner(**options)


def test_options_that_are_not_given_are_empty_and_not_shown() -> None:
    runner = DaskTaskRunner()
    assert (runner.cluster_kwargs, runner.adapt_kwargs, runner.client_kwargs) == ({}, {}, {})
    assert repr(runner) == "DaskTaskRunner()"
    assert DaskTaskRunner(adapt_kwargs={}) == runner


@pytest.mark.parametrize("address", ["http://127.0.0.1:8787/status", "https://localhost"])
def test_the_address_of_a_web_page_is_told_with_what_to_write(address: str) -> None:
    with pytest.raises(ValueError, match=r"a web page.*write tcp://(127\.0\.0\.1|localhost):PORT"):
        run(address=address)


def test_a_timeout_may_be_written_as_dask_writes_it(programs: Programs) -> None:
    assert run(address=programs.address, client_kwargs={"timeout": "10s"}) == 1


@pytest.mark.parametrize("address", ["tcp://127.0.0.1", "somewhere", "tcp://somewhere:port"])
def test_an_address_without_a_port_is_told(address: str) -> None:
    with pytest.raises(ValueError, match=r"has no port.*tcp://host:8786"):
        run(address=address)


def test_the_address_of_a_worker_is_told(programs: Programs) -> None:
    found = re.search(r"Start worker at: +(tcp://\S+)", programs.log())
    assert found is not None
    with pytest.raises(ConnectionError, match="is a Dask worker, not a scheduler"):
        run(address=found[1])


@pytest.mark.long
def test_tasks_that_wait_because_there_is_no_worker_are_told_of(tmp_path: Path, home: Path) -> None:
    with Programs(tmp_path, workers=0) as programs:

        @flow(task_runner=DaskTaskRunner(address=programs.address))
        def f() -> Any:
            future = identity.submit(1)
            deadline = time.monotonic() + 60
            while not warnings(home) and time.monotonic() < deadline:
                future.wait(0.1)
            programs.add_worker()
            return future.result()

        assert f() == 1
    (text,) = warnings(home)
    assert "has no workers, or none yet" in text


def warnings(home: Path) -> list[str]:
    with Reader.open(home) as reader:
        lines = reader.logs(reader.resolve_run("@last").id, 0)
    return [line.message for line in lines if line.level >= 30]
