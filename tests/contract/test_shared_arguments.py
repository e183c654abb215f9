"""Big arguments and values, on every runner: they go to a cluster once, are what they were when they
were submitted, and whoever gets one may write on it."""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from clusters import until
from flowdeck import flow, task, unmapped
from flowdeck.remote.shares import Share
from flowdeck.runs import recorder as recording
from flowdeck.stopping import cancellation
from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(120)

SIZE = 1_000_000
LOCAL = {"sequential", "concurrent"}


class Block:
    """Pickles as arrays do: what is big stays outside of the pickle."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Block, (pickle.PickleBuffer(self.data),)


def block(first: int = 1, size: int = SIZE) -> Block:
    data = bytearray(size)
    data[0] = first
    return Block(data)


def passes(gate: str) -> None:
    """Wait until a test has submitted all that shares an argument: it is kept no longer than that."""
    if gate:
        until(lambda: os.path.exists(gate))


@task
def first_of(big: Block, i: int = 0, gate: str = "") -> int:
    passes(gate)
    return int(big.data[0])


@task
def writes(big: Block, i: int) -> tuple[int, int]:
    """Writes on a place of its own; says what was there, and how many others wrote."""
    before = big.data[0]
    big.data[i + 1] = 1
    return int(before), sum(big.data[1:100])


@task
def texts(big: Any, gate: str) -> int:
    passes(gate)
    return len(big)


@task
def make(first: int) -> Block:
    return block(first)


class Sent:
    """What was put on a cluster to be shared."""

    def __init__(self) -> None:
        self.shares: list[weakref.ref[Share]] = []
        self.names: list[Any] = []

    def note(self, share: Share, handle: Any) -> None:
        self.shares.append(weakref.ref(share))
        name = getattr(handle, "key", None) or getattr(handle, "number", None)
        self.names.append(handle.hex() if name is None and hasattr(handle, "hex") else name)

    @property
    def on_the_cluster(self) -> list[Any]:
        """Those that the engine has, as far as it can be asked."""
        (run,) = cancellation.live.values()
        session = getattr(run.runner, f"_{run.runner.name}_run", None)
        if any(ref() is not None for ref in self.shares):
            return self.names
        if run.runner.name == "dask":
            names = self.names  # the function is of this file, which a scheduler has not got
            known = session._client.run_on_scheduler(
                lambda dask_scheduler: [name for name in names if name in dask_scheduler.tasks]
            )
            return list(known)
        if run.runner.name == "ray" and session._connection.is_client:
            return [no for no in self.names if _agent_has(session, run.info.uid, no)]
        if run.runner.name == "ray":
            import ray

            worker = ray._private.worker.global_worker.core_worker
            return [name for name in self.names if name in worker.get_all_reference_counts()]
        return []


def _agent_has(session: Any, uid: str, number: int) -> bool:
    import ray

    return bool(ray.get(session._connection.channel.actor.value.remote(uid, number)))


@contextlib.contextmanager
def opened_at_the_end(runner: Any, gate: Path) -> Iterator[str]:
    """Give the name of a gate for tasks, which opens when the block ends.

    Where nothing is sent it is open: there ``submit`` may be what executes the task.
    """
    if runner.name in LOCAL:
        gate.touch()
    yield str(gate)
    gate.touch()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """What the flow runs of this test put on clusters."""
    found = Sent()

    class Noted(Share):
        def __init__(self, handle: Any, *rest: Any, **more: Any) -> None:
            super().__init__(handle, *rest, **more)
            found.note(self, handle)

    monkeypatch.setattr("flowdeck.remote.shares.Share", Noted)
    return found


def test_an_argument_of_all_children_goes_to_a_cluster_once_and_is_freed(
    runner: Any, sent: Sent
) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        futures = first_of.map(unmapped(block(7)), range(20))
        found = {future.result() for future in futures}
        until(lambda: not sent.on_the_cluster)  # while the flow goes on
        return found

    assert f() == {7}
    assert len(sent.names) == (0 if runner.name in LOCAL else 1)


def test_what_is_submitted_again_is_sent_again_only_if_it_has_changed(
    runner: Any, sent: Sent, tmp_path: Path
) -> None:
    gates = [tmp_path / "1", tmp_path / "2"]

    @flow(task_runner=runner)
    def f() -> Any:
        big, found = block(), []
        for first, gate in enumerate(gates, start=1):
            big.data[0] = first
            with opened_at_the_end(runner, gate) as name:
                futures = [first_of.submit(big, gate=name) for _ in range(5)]
            found.append([future.result() for future in futures])
        return found

    assert f() == [[1] * 5, [2] * 5]
    # The first travels with its task: nobody knows that it comes again.
    assert len(sent.names) == (0 if runner.name in LOCAL else 2)


def test_big_texts_lists_and_what_is_in_small_containers_are_shared_too(
    runner: Any, sent: Sent, tmp_path: Path
) -> None:
    text, rows, inner = "x" * SIZE, [str(i) for i in range(100_000)], block(3)

    @flow(task_runner=runner)
    def f() -> Any:
        with opened_at_the_end(runner, tmp_path / "gate") as name:
            submitted = [
                [texts.submit(text, name) for _ in range(4)],
                [texts.submit(rows, name) for _ in range(4)],
                [first_in.submit({"k": [inner, i]}, name) for i in range(4)],
            ]
        return [{future.result() for future in futures} for futures in submitted]

    assert f() == [{SIZE}, {100_000}, {3}]
    assert len(sent.names) == (0 if runner.name in LOCAL else 3)


@task
def first_in(nested: Any, gate: str) -> int:
    passes(gate)
    return int(nested["k"][0].data[0])


@pytest.mark.parametrize("size", [SIZE, 3 * SIZE])  # a copy each, pages as they are written on
def test_each_task_may_write_on_what_it_shares_with_others(runner: Any, size: int) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        return [f.result() for f in writes.map(unmapped(block(5, size)), range(12))]

    found = f()
    assert {before for before, _ in found} == {5}
    if runner.name not in LOCAL:  # there they are the same object, as in any Python program
        assert {written for _, written in found} == {1}


def images_of(pid: int) -> int:
    """Return what a process has of shared arguments, as open files and in its memory."""
    found = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        with open(f"/proc/{pid}/maps") as maps:
            found = maps.read().count("flowdeck-image")
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                found += "flowdeck-image" in os.readlink(f"/proc/{pid}/fd/{name}")
    return found


@task
def held(big: Block, i: int) -> tuple[int, int]:
    return os.getpid(), images_of(os.getpid())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each task gets a copy")
def test_workers_hold_a_shared_argument_while_tasks_ask_for_it_and_no_longer(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        found = [f.result() for f in held.map(unmapped(block(size=3 * SIZE)), range(12))]
        until(lambda: not any(images_of(pid) for pid, _ in found))  # while the flow goes on
        return any(images for _, images in found)

    assert f() == (runner.name not in LOCAL)


def test_task_and_flow_may_write_on_the_value_of_another_task(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        future = make.submit(4)
        changed = writes.submit(future, 0).result()
        mine = make.submit(6).result()
        mine.data[0] = 9
        return changed, mine.data[0]

    assert f() == ((4, 1), 9)


def test_an_argument_that_is_sent_again_and_again_is_named(runner: Any, home: Any) -> None:
    if runner.name in LOCAL:
        pytest.skip("nothing is sent")

    @flow(task_runner=runner)
    def f() -> None:
        first_of.map([block(size=10_500_000) for _ in range(4)], 5)

    f()
    recording.close_all()
    with Reader.open(home) as reader:
        (run,) = reader.runs()
        said = [row.message for row in reader.logs(run.id) if "was sent" in row.message]
    assert len(said) == 1, said
    assert said[0].startswith("Argument 'big' of task 'first_of' was sent to the cluster 3 times")
    assert "pass the future of the task that makes it, or a path" in said[0]
