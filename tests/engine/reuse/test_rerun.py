"""Running a flow again without what completed before: what is taken over, and what is not."""

from __future__ import annotations

import asyncio
import datetime
import math
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck import flow, tags, task, unmapped
from flowdeck.annotations import allow_failure
from flowdeck.provenance.code import tasks_below
from flowdeck.reuse.forecast import Why, Wishes, preview
from flowdeck.runs import recorder as recording
from flowdeck.runs.launch_spec import LaunchSpec, requested
from flowdeck.runs.results import ResultStore
from flowdeck.settings import using
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.transactions import transaction
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.read.provenance import CodeRecord, ProvenancePart
from flowdeck_store.read.reader import Reader
from loopback import LoopbackRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flowdeck.reuse.forecast import Preview
    from flowdeck_store.read.records import FlowRunRecord

RUNNERS: dict[str, Callable[[], Any]] = {
    "sequential": SequentialTaskRunner,
    "concurrent": ConcurrentTaskRunner,
    "transport": LoopbackRunner,
}


class Bench:
    """Runs flows into a store of its own, counts calls, and breaks things on request. Copies of it
    count together: a runner may send one to where it executes."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.broken: set[str] = set()
        self._calls = home.parent / "calls"

    def __getstate__(self) -> dict[str, Any]:
        return {"broken": self.broken, "_calls": self._calls}

    @property
    def calls(self) -> Counter[str]:
        return Counter(self._calls.read_text().splitlines() if self._calls.exists() else [])

    def does(self, what: object) -> None:
        """Count a call, and fail if that is asked for."""
        with self._calls.open("a") as file:
            file.write(f"{what}\n")
        if str(what) in self.broken:
            raise ValueError(f"{what} is broken")

    def run(self, fn: Any, *args: Any, **options: Any) -> FlowRunRecord:
        """Run a flow to its end; return what the record says."""
        state = fn(*args, return_state=True, **options)
        if asyncio.iscoroutine(state):
            state = asyncio.run(state)
        recording.recorder().flush()
        with Reader.open(self.home) as reader:
            found = reader.run_by_uid(state.state_details.flow_run_id)
        assert found is not None
        self.last = state
        return found

    def again(self, earlier: FlowRunRecord, fn: Any, *args: Any, **options: Any) -> FlowRunRecord:
        """Repeat a run, taking over what completed; forget the calls of before."""
        self._calls.unlink(missing_ok=True)
        with requested(LaunchSpec(rerun_of=earlier.uid, reuse=True)):
            return self.run(fn, *args, **options)

    def plan(self, run: FlowRunRecord) -> Preview:
        with Reader.open(self.home) as reader:
            return preview(reader, run.id, self.results)

    @property
    def results(self) -> ResultStore:
        return ResultStore(StorePaths(self.home).results)

    def states(self, run: FlowRunRecord) -> list[str]:
        with Reader.open(self.home) as reader:
            return [t.state for t in reader.tasks(run.id)]

    def logs(self, run: FlowRunRecord) -> str:
        with Reader.open(self.home) as reader:
            return "\n".join(line.message for line in reader.logs(run.id, limit=5_000))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with using(home=tmp_path / "home", console=False):
        yield Bench(tmp_path / "home")
    assert recording.close_all()


def chain_of(bench: Bench, runner: Any = None) -> Any:
    @task
    def size(word: str) -> int:
        bench.does(word)
        return len(word)

    @task
    def more(number: int) -> int:
        bench.does(f"more {number}")
        return number + 1

    @task
    def total(numbers: list[int]) -> int:
        bench.does("total")
        return sum(numbers)

    @flow(task_runner=runner)
    def chain(words: list[str]) -> int:
        sizes = [size.submit(word) for word in words]
        return total.submit([*sizes, *[more.submit(n) for n in sizes]]).result()  # type: ignore[no-any-return]

    return chain


@pytest.mark.parametrize("runner", RUNNERS.values(), ids=RUNNERS)
def test_only_what_did_not_complete_runs_again(bench: Bench, runner: Any) -> None:
    chain = chain_of(bench, runner())
    bench.broken = {"more 3"}
    first = bench.run(chain, ["a", "two", "four!"])
    assert first.state == "Failed"
    plan = bench.plan(first)
    assert plan.summary == "5 reused, 2 run again: 1 failed, 1 had not started."
    bench.broken.clear()
    second = bench.again(first, chain, ["a", "two", "four!"])
    assert second.state == "Completed"
    assert bench.calls == {"more 3": 1, "total": 1}
    assert bench.last.result() == 1 + 3 + 5 + 2 + 4 + 6
    assert Counter(bench.states(second)) == {"Cached": 5, "Completed": 2}
    assert second.rerun_of == first.uid
    assert f"Reused from {first.name} (task run {first.id}.1)." in bench.logs(second)


@pytest.mark.parametrize("runner", RUNNERS.values(), ids=RUNNERS)
def test_other_arguments_run_again_and_so_does_what_depends_on_them(
    bench: Bench, runner: Any
) -> None:
    chain = chain_of(bench, runner())
    first = bench.run(chain, ["a", "two"])
    second = bench.again(first, chain, ["a", "ten"])
    assert bench.calls == {"ten": 1, "more 3": 1, "total": 1}
    assert second.state == "Completed"
    logs = bench.logs(second)
    assert "but runs again: word is another value than then" in logs
    assert "but runs again: it depends on a task that ran again." in logs


def test_a_run_of_a_run_takes_over_from_both(bench: Bench) -> None:
    chain = chain_of(bench)
    bench.broken = {"more 1", "total"}
    first = bench.run(chain, ["a", "two"])
    bench.broken = {"total"}
    second = bench.again(first, chain, ["a", "two"])
    assert bench.calls == {"more 1": 1, "total": 1}
    bench.broken = set()
    assert bench.plan(second).reused == 4
    third = bench.again(second, chain, ["a", "two"])
    assert bench.calls == {"total": 1}
    assert third.state == "Completed"


class Thing:
    """Comparable only by its pickle."""

    def __init__(self, *items: int) -> None:
        self.items = items


def things_of(bench: Bench) -> Any:
    @task
    def make(number: int) -> Thing:
        bench.does(f"make {number}")
        return Thing(*range(number))

    @task
    def measure(thing: Thing) -> int:
        bench.does("measure")
        return len(thing.items)

    @task
    def finish(number: int) -> int:
        bench.does("finish")
        return number

    @flow
    def things() -> int:
        made = make.submit(4).result()
        return finish.submit(measure.submit(made)).result()  # type: ignore[no-any-return]

    return things


def test_results_that_are_kept_are_taken_over_whatever_they_are(bench: Bench) -> None:
    things = things_of(bench)
    bench.broken = {"finish"}
    with using(persist_results=True):
        first = bench.run(things)
        assert bench.plan(first).summary == "2 reused, 1 runs again: 1 failed."
        bench.broken = set()
        bench.again(first, things)
    assert bench.calls == {"finish": 1}
    assert bench.last.result() == 4


def test_a_result_that_was_not_kept_is_computed_again_and_the_plan_says_so(bench: Bench) -> None:
    things = things_of(bench)
    bench.broken = {"finish"}
    with using(keep_on_failure=0):
        first = bench.run(things)
    plan = bench.plan(first)
    assert plan.reasons == {Why.FAILED: 1, Why.NOT_KEPT: 1, Why.DEPENDS: 1}
    assert "persist_results = true" in plan.hint
    bench.broken = set()
    second = bench.again(first, things)
    assert bench.calls == {"make 4": 1, "measure": 1, "finish": 1}
    assert "but runs again: The result, " in bench.logs(second)


def test_a_run_that_fails_keeps_what_its_tasks_returned(bench: Bench) -> None:
    things = things_of(bench)
    bench.broken = {"measure"}
    first = bench.run(things)
    assert "results (0.0 MB) for a re-run" in bench.logs(first)
    assert bench.plan(first).summary == "1 reused, 2 run again: 1 failed, 1 had not started."
    bench.broken = set()
    second = bench.again(first, things)
    assert bench.calls == {"measure": 1, "finish": 1}
    assert bench.last.result() == 4
    bench.again(second, things)  # whose file is that of the first
    assert "make 4" not in bench.calls
    assert not list(StorePaths(bench.home).results.rglob("*.tmp"))


def test_what_was_taken_over_is_not_written_again_when_that_run_fails_too(bench: Bench) -> None:
    things = things_of(bench)
    bench.broken = {"measure"}
    run = bench.run(things)
    for _ in range(2):
        run = bench.again(run, things)
        assert bench.states(run) == ["Cached", "Failed", "NotReady"]
    files = [path for path in StorePaths(bench.home).results.rglob("*") if path.is_file()]
    assert len(files) == 1


def test_only_so_much_is_kept_of_a_run_that_fails(bench: Bench) -> None:
    @task
    def give(size: int) -> bytes:
        bench.does(size)
        return bytes(size)

    @task
    def lock() -> Any:
        return threading.Lock()

    @task(persist_result=False)
    def private() -> list[int]:
        return [1]

    @flow
    def gives() -> None:
        give.map([700_000, 600_000, 290_000])
        lock.submit()
        private.submit()
        raise ValueError("in the end")

    with using(keep_on_failure=1):
        first = bench.run(gives)
    assert "Kept 2 results (1.0 MB) for a re-run; 2 do not fit, or cannot be" in bench.logs(first)
    files = [path for path in StorePaths(bench.home).results.rglob("*") if path.is_file()]
    assert sorted(path.stat().st_size // 100_000 for path in files) == [2, 7]
    assert bench.plan(first).reasons == {Why.NOT_KEPT: 3}
    with using(keep_on_failure=0):
        bench.again(first, gives)
    assert bench.calls == {"600000": 1}


def test_a_run_that_completes_writes_no_results(bench: Bench) -> None:
    things = things_of(bench)
    bench.run(things)
    assert not StorePaths(bench.home).results.exists()


@pytest.mark.parametrize("how", ["gone", "cut", "changed"])
def test_a_kept_result_that_is_no_more_is_computed_again(bench: Bench, how: str) -> None:
    things = things_of(bench)
    bench.broken = {"finish"}
    with using(persist_results=True):
        first = bench.run(things)
        with Reader.open(bench.home) as reader:
            result = reader.result(first.id, 1)
        assert result is not None
        path = StorePaths(bench.home).results / str(result.location)
        data = path.read_bytes()
        if how == "gone":
            path.unlink()
        else:
            path.write_bytes(data[:-3] if how == "cut" else data[:-3] + b"???")
        bench.broken = set()
        bench.again(first, things)
    assert bench.calls["make 4"] == 1
    assert bench.last.result() == 4


VALUES = [
    0, -1, 10**30, True, 1.5, math.inf, -0.0, "", "it's\n\"so\"…", "…", "x" * 1_900, b"\x00a", None,
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:12])
def test_plain_results_come_back_from_the_record_as_they_were(bench: Bench, value: Any) -> None:
    @task
    def give() -> Any:
        bench.does("give")
        return value

    @task
    def check(given: Any) -> None:
        bench.does("check")
        assert (type(given), repr(given)) == (type(value), repr(value))

    @flow
    def plain() -> None:
        check.submit(give.submit())

    bench.broken = {"check"}
    with using(keep_on_failure=0):
        first = bench.run(plain)
    bench.broken = set()
    assert bench.again(first, plain).state == "Completed"
    assert bench.calls == {"check": 1}


class Id(int):
    """A number that is more than a number."""


@pytest.mark.parametrize(
    "value",
    ["x" * 5_000, 10**60, Id(3), [1, 2], object()],
    ids=["long-text", "big-number", "subclass", "list", "object"],
)
def test_what_the_record_does_not_say_all_of_is_never_made_up(bench: Bench, value: Any) -> None:
    @task
    def give() -> Any:
        bench.does("give")
        return value

    @flow
    def plain() -> None:
        give.submit()

    with using(keep_on_failure=0):
        first = bench.run(plain)
    assert bench.plan(first).reused == 0
    bench.again(first, plain)
    assert bench.calls == {"give": 1}


ARGUMENTS = [
    ([1, 2], True), ({"b": [1], "a": {2}}, True), ({"a", "b", "c"}, True), ((1, "x"), True),
    (Path("/a"), True), (datetime.date(2026, 1, 2), True), (list(range(1_000)), False),
    ("x" * 1_000, False), (Thing(1), False), ({"password": "abc"}, False),
]  # fmt: skip


@pytest.mark.parametrize(("value", "known"), ARGUMENTS, ids=range(len(ARGUMENTS)))
@pytest.mark.parametrize("kept", [False, True], ids=["not-kept", "kept"])
def test_arguments_are_compared_by_all_that_is_known_of_them(
    bench: Bench, value: Any, known: bool, kept: bool
) -> None:
    @task
    def use(given: Any) -> int:
        bench.does("use")
        return 1

    @flow
    def uses(given: Any) -> None:
        use.submit(given)

    uses.should_validate_parameters = False
    with using(persist_results=kept, keep_on_failure=0):
        first = bench.run(uses, value)
        assert bench.plan(first).reused == int(known or kept)
        bench.again(first, uses, value)
    assert bench.calls["use"] == (0 if known or kept else 1)


def test_secrets_are_compared_only_where_results_are_kept(bench: Bench) -> None:
    @task
    def log_in(password: str) -> int:
        bench.does("log in")
        return 1

    @flow
    def logs_in(password: str) -> None:
        log_in.submit(password)

    first = bench.run(logs_in, "abc")
    bench.again(first, logs_in, "abc")
    assert bench.calls == {"log in": 1}
    with using(persist_results=True):
        first = bench.run(logs_in, "abc")
        bench.again(first, logs_in, "abc")
        assert not bench.calls
        bench.again(first, logs_in, "abd")
    assert bench.calls == {"log in": 1}


def test_what_waited_for_a_task_that_runs_again_runs_again(bench: Bench) -> None:
    @task
    def table() -> object:
        bench.does("table")
        return object()

    @task
    def load() -> int:
        bench.does("load")
        return 1

    @task
    def clean(error: Any) -> str:
        bench.does("clean")
        return "cleaned"

    @flow
    def loads() -> None:
        made = table.submit()
        loaded = load.submit(wait_for=[made])
        clean.submit(allow_failure(loaded))

    with using(keep_on_failure=0):
        first = bench.run(loads)
        assert bench.plan(first).reasons == {Why.NOT_KEPT: 1, Why.DEPENDS: 2}
        bench.again(first, loads)
        assert bench.calls == {"table": 1, "load": 1, "clean": 1}
        bench.broken = {"load"}
        failed = bench.run(loads)
        bench.broken = set()
        bench.again(failed, loads)
    assert bench.calls["clean"] == 1


def test_swapped_futures_are_other_inputs(bench: Bench) -> None:
    swapped = False

    @task
    def give(number: int) -> int:
        return number

    @task
    def first_of(pair: list[int]) -> int:
        bench.does("first of")
        return pair[0]

    @flow
    def pairs() -> int:
        pair = [give.submit(1), give.submit(2)]
        return first_of.submit(pair[::-1] if swapped else pair).result()  # type: ignore[no-any-return]

    for kept in (False, True):
        with using(persist_results=kept):
            swapped = False
            first = bench.run(pairs)
            bench.again(first, pairs)
            assert not bench.calls
            swapped = True
            bench.again(first, pairs)
            assert bench.calls == {"first of": 1}
            assert bench.last.result() == 2


def test_calls_with_names_of_their_own_are_counted(bench: Bench) -> None:
    @task(task_run_name="load {day}")
    def load(day: int) -> int:
        bench.does(day)
        return day

    @flow
    def days() -> None:
        load.map([1, 2, 3])

    bench.broken = {"2"}
    first = bench.run(days)
    bench.broken = set()
    second = bench.again(first, days)
    assert bench.calls == {"2": 1}
    with Reader.open(bench.home) as reader:
        assert [t.name for t in reader.tasks(second.id)] == ["load 1", "load 2", "load 3"]


def test_mapped_children_are_taken_over_one_by_one(bench: Bench) -> None:
    @task(persist_result=True)
    def numbers() -> list[int]:
        return [5, 6, 7]

    @task
    def double(number: int, factor: int) -> int:
        bench.does(number)
        return number * factor

    @flow
    def maps() -> list[int]:
        return [f.result() for f in double.map(numbers.submit(), unmapped(2))]

    bench.broken = {"6"}
    first = bench.run(maps)
    bench.broken = set()
    bench.again(first, maps)
    assert bench.calls == {"6": 1}
    assert bench.last.result() == [10, 12, 14]


def test_subflows_are_entered_again_and_their_tasks_taken_over(bench: Bench) -> None:
    @task
    def work(name: str) -> int:
        bench.does(name)
        return len(name)

    @flow
    def inner(name: str) -> int:
        return work.submit(f"{name} one").result() + work.submit(f"{name} two").result()  # type: ignore[no-any-return]

    @flow
    def outer() -> int:
        return inner("a") + inner("b")

    bench.broken = {"b two"}
    first = bench.run(outer)
    assert bench.plan(first).summary == "3 reused, 1 runs again: 1 failed."
    bench.broken = set()
    second = bench.again(first, outer)
    assert bench.calls == {"b two": 1}
    assert bench.last.result() == 20
    with Reader.open(bench.home) as reader:
        children = [reader.run(t.child_run or 0) for t in reader.tasks(second.id)]
        before = [reader.run(t.child_run or 0) for t in reader.tasks(first.id)]
    assert [c.rerun_of for c in children if c] == [c.uid for c in before if c]


def _around_a_subflow(bench: Bench, *, persist: bool = False) -> Any:
    """A flow whose last task takes what a subflow returned, with a task before and one that fails."""

    @task
    def rows(day: int) -> list[int]:
        bench.does("rows")
        return [day, day + 1]

    @task
    def work(number: int) -> int:
        bench.does(f"work {number}")
        return number * 10

    @task
    def price(found: Any) -> int:
        bench.does("price")
        return len(found)

    @task
    def last(n: int) -> int:
        bench.does("last")
        return n

    @flow(persist_result=persist)
    def inner(numbers: list[int]) -> Any:
        found = [work(number) for number in numbers]
        return dict.fromkeys(found, "x" * 300) if persist else found

    @flow
    def outer(day: int = 1) -> int:
        return last.submit(price(inner(rows(day)))).result()  # type: ignore[no-any-return]

    return outer


@pytest.mark.parametrize("persist", [False, True], ids=["in the record", "kept"])
def test_what_takes_the_result_of_a_subflow_is_taken_over_if_that_came_to_the_same(
    bench: Bench, persist: bool
) -> None:
    outer = _around_a_subflow(bench, persist=persist)
    bench.broken = {"last"}
    first = bench.run(outer)
    assert first.state == "Failed"
    assert bench.plan(first).summary == "4 reused, 1 runs again: 1 failed."
    bench.broken = set()
    second = bench.again(first, outer)
    assert second.state == "Completed"
    assert bench.calls == {"last": 1}


def test_what_takes_the_result_of_a_subflow_in_which_something_ran_again_runs_again(
    bench: Bench,
) -> None:
    outer = _around_a_subflow(bench)
    bench.broken = {"work 2"}
    first = bench.run(outer)
    assert bench.plan(first).reused == 2
    bench.broken = set()
    bench.again(first, outer)
    assert bench.calls == {"work 2": 1, "price": 1, "last": 1}


@pytest.mark.parametrize(
    ("named", "calls"),
    [
        ("rows", {"rows": 1, "work 1": 1, "work 2": 1, "price": 1, "last": 1}),
        ("work-1", {"work 2": 1, "price": 1, "last": 1}),
        ("price", {"price": 1, "last": 1}),
    ],
)
def test_what_is_asked_for_reaches_into_subflows_and_out_of_them(
    bench: Bench, named: str, calls: dict[str, int]
) -> None:
    outer = _around_a_subflow(bench)
    bench.broken = {"last"}
    first = bench.run(outer)
    bench.broken = set()
    bench._calls.unlink()
    asked = LaunchSpec(rerun_of=first.uid, reuse=True, force=(named,))
    with Reader.open(bench.home) as reader:
        plan = preview(reader, first.id, bench.results, wishes=Wishes(force=frozenset({named})))
    assert len(plan.again) == sum(calls.values())
    with requested(asked):
        assert bench.run(outer).state == "Completed"
    assert bench.calls == calls


def test_a_subflow_with_another_result_is_another_input(bench: Bench) -> None:
    """Its tasks are all taken over, but its own code makes something else of it."""
    word = ["a"]

    @task
    def work() -> int:
        bench.does("work")
        return 1

    @task
    def price(found: Any) -> int:
        bench.does("price")
        return len(found)

    @flow
    def inner() -> Any:
        return [work(), *word]

    @flow
    def outer() -> int:
        return price(inner())  # type: ignore[no-any-return]

    first = bench.run(outer)
    word.append("b")
    bench.again(first, outer)
    assert bench.calls == {"price": 1}


def test_with_other_code_of_the_flow_the_forecast_says_what_it_cannot_know(bench: Bench) -> None:
    chain = chain_of(bench)
    bench.broken = {"total"}
    first = bench.run(chain, ["a", "two"])
    now = tasks_below(chain.fn)
    (key,) = [key for key in now if key.startswith("flow ")]
    (own,) = now[key]
    with Reader.open(bench.home) as reader:
        same = preview(reader, first.id, bench.results, wishes=Wishes(now))
        name = next(iter(own.parts))
        parts = {**own.parts, name: ProvenancePart(name, "0" * 16)}
        other = {**now, key: (CodeRecord(own.key, own.python, parts),)}
        plan = preview(reader, first.id, bench.results, wishes=Wishes(other))
    assert same.is_exact
    assert not same.flow_code
    assert not plan.is_exact
    assert plan.flow_code == (name,)
    assert plan.summary.startswith("at most 4 reused, at least 1 runs again: 1 failed. ")
    assert "The flow's own code changed" in plan.summary
    assert "is not known before it runs." in plan.summary


def test_direct_calls_and_async_flows_take_over_too(bench: Bench) -> None:
    @task
    async def fetch(number: int) -> int:
        bench.does(f"fetch {number}")
        return number

    @task
    def add(one: int, other: int) -> int:
        bench.does("add")
        return one + other

    @flow
    async def asynchronous() -> int:
        one = await fetch(1)
        future = await fetch.submit(2)
        return add(one, await future.result())  # type: ignore[no-any-return]

    bench.broken = {"add"}
    first = bench.run(asynchronous)
    bench.broken = set()
    bench.again(first, asynchronous)
    assert bench.calls == {"add": 1}
    assert bench.last.value() == 3


def test_hooks_and_limits_do_not_see_what_is_taken_over(bench: Bench) -> None:
    seen: list[str] = []

    @task(on_completion=[lambda task, task_run, state: seen.append(state.name)])
    def hooked() -> int:
        return 1

    @flow
    def hooks() -> None:
        with tags("few"):
            hooked.submit()

    first = bench.run(hooks)
    assert seen == ["Completed"]
    bench.again(first, hooks)
    assert seen == ["Completed"]


def test_a_flow_that_was_tried_several_times_gives_all_that_completed(bench: Bench) -> None:
    @task
    def step(number: int) -> int:
        bench.does(number)
        return number

    @flow(retries=1)
    def tried() -> None:
        for number in range(4):
            step.submit(number).result()

    bench.broken = {"1"}
    first = bench.run(tried)
    assert first.attempt == 2
    assert bench.calls == {"0": 1, "1": 2}
    bench.broken = {"3"}
    second = bench.again(first, tried)
    assert bench.calls == {"1": 1, "2": 1, "3": 2}
    bench.broken = set()
    bench.again(second, tried)
    assert bench.calls == {"3": 1}


def test_a_cached_result_of_the_earlier_run_is_taken_over(bench: Bench) -> None:
    @task(cache_key_fn=lambda context, arguments: f"key {arguments['number']}")
    def cached(number: int) -> int:
        bench.does("cached")
        return number

    @task
    def use(number: int) -> int:
        bench.does("use")
        return number

    @task
    def fail(number: int) -> int:
        bench.does("fail")
        return number

    @flow
    def caches() -> None:
        fail.submit(use.submit(cached.submit(3)))

    bench.run(caches)
    bench.broken = {"fail"}
    second = bench.run(caches)
    assert bench.states(second)[0] == "Cached"
    bench.broken = set()
    third = bench.again(second, caches)
    assert bench.calls == {"fail": 1}
    assert bench.states(third) == ["Cached", "Cached", "Completed"]


def test_a_long_chain_below_a_task_that_ends_late_is_taken_over_without_recursion(
    bench: Bench,
) -> None:
    @task
    def first() -> object:
        bench.does("first")
        return 1

    @task
    def link(number: int) -> int:
        bench.does("link")
        return number

    @flow
    def long() -> None:
        number: Any = first.submit()
        loose: Any = link.submit(0)
        for _ in range(1_500):
            loose = link.submit(loose, wait_for=[loose])
        first.submit(wait_for=[number])

    run = bench.run(long)
    bench.again(run, long)
    assert not bench.calls


def test_a_run_that_is_not_in_the_record_is_no_help_and_no_harm(bench: Bench) -> None:
    chain = chain_of(bench)
    with requested(LaunchSpec(rerun_of="0" * 32, reuse=True)):
        run = bench.run(chain, ["a"])
    assert run.state == "Completed"
    assert bench.calls["a"] == 1


class Quiet(Thing):
    """Looks the same whatever it holds."""

    def __init__(self, *items: int) -> None:
        self.items: Any = list(items)

    def append(self, item: int) -> None:
        self.items.append(item)

    def __iter__(self) -> Iterator[int]:
        return iter(self.items)

    def __repr__(self) -> str:
        return "Quiet()"


WAYS = [(task_changes, runner) for task_changes in (False, True) for runner in RUNNERS]


def changing(bench: Bench, kind: Any, options: dict[str, Any], *, task_changes: bool) -> Any:
    @task
    def extract() -> Any:
        bench.does("extract")
        return kind((1, 2, 3)) if kind is list else kind(1, 2, 3)

    @task
    def push(values: Any) -> Any:
        values.append(10)
        return values

    @task
    def use(values: Any) -> int:
        bench.does("use")
        return sum(values)

    ends: list[int] = []

    @flow(**options)
    def changes() -> int:
        values = extract.submit().result()
        if task_changes:
            values = push.submit(values).result()
        else:
            values.append(10)
        total = use.submit(values).result()
        ends.append(total)
        if len(ends) == 1:
            raise ValueError("not yet")
        return total  # type: ignore[no-any-return]

    return changes


@pytest.mark.parametrize(("task_changes", "runner"), WAYS)
@pytest.mark.parametrize("kind", [list, Quiet])
def test_a_result_that_was_changed_in_place_is_not_kept(
    bench: Bench, kind: Any, task_changes: bool, runner: str
) -> None:
    options = {"task_runner": RUNNERS[runner]()}
    changes = changing(bench, kind, options, task_changes=task_changes)
    first = bench.run(changes)
    assert first.state == "Failed"
    bench.again(first, changes)
    assert bench.last.result() == 16
    if not task_changes:
        assert bench.calls["extract"] == 1


@pytest.mark.parametrize(("task_changes", "runner"), WAYS)
@pytest.mark.parametrize("kind", [list, Quiet])
def test_an_attempt_does_not_get_a_result_that_one_before_changed_in_place(
    bench: Bench, kind: Any, task_changes: bool, runner: str
) -> None:
    options = {"task_runner": RUNNERS[runner](), "retries": 1}
    changes = changing(bench, kind, options, task_changes=task_changes)
    assert bench.run(changes).attempt == 2
    assert bench.last.result() == 16
    if not task_changes:
        assert bench.calls["extract"] == 2


def test_an_attempt_does_not_get_what_a_subflow_returned_and_was_changed_since(
    bench: Bench,
) -> None:
    tries: list[int] = []

    @flow
    def below() -> list[int]:
        return [1, 2, 3]

    @flow(retries=1)
    def above() -> int:
        values = below()
        values.append(10)
        tries.append(sum(values))
        if len(tries) == 1:
            raise ValueError("not yet")
        return tries[-1]

    bench.run(above)
    assert tries == [16, 16]


TURNED: list[tuple[Any, Any]] = [
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ([{"a": 1, "b": 2}], [{"b": 2, "a": 1}]),
]


@pytest.mark.parametrize(("before", "now"), TURNED, ids=["dict", "nested"])
@pytest.mark.parametrize("kept", [False, True], ids=["not-kept", "kept"])
def test_a_dict_in_another_order_is_another_argument(
    bench: Bench, kept: bool, before: Any, now: Any
) -> None:
    @task
    def use(given: Any) -> str:
        bench.does("use")
        return repr(given)

    @flow
    def uses(given: Any) -> Any:
        return use(given)

    with using(persist_results=kept):
        first = bench.run(uses, before)
        bench.again(first, uses, now)
        assert bench.last.result() == repr(now)
        bench.again(first, uses, before)
        assert not bench.calls


def test_an_attempt_sees_that_a_dict_is_in_another_order(bench: Bench) -> None:
    orders = [{"a": 1, "b": 2}, {"b": 2, "a": 1}]

    @task
    def use(given: dict[str, int]) -> str:
        return next(iter(given))

    @flow(retries=1)
    def uses() -> str:
        found = use(orders.pop(0))
        if orders:
            raise ValueError("not yet")
        return found

    bench.run(uses)
    assert bench.last.result() == "b"


def scaler(bench: Bench, factor: int) -> Any:
    @task
    def scale(number: int) -> int:
        bench.does(f"times {factor}")
        return number * factor

    return scale


@pytest.mark.parametrize(
    ("before", "now", "again"),
    [
        ([3, 2], [2, 3], {"times 2": 1, "times 3": 1}),
        ([3], [2, 3], {"times 2": 1, "times 3": 1}),
        ([3], [3, 2], {"times 2": 1}),
        ([3, 3], [3, 3], {}),
    ],
    ids=["turned", "one-more-before", "one-more-after", "alike"],
)
def test_tasks_of_a_factory_are_only_taken_over_if_it_is_certain_which_one_it_was(
    bench: Bench, before: list[int], now: list[int], again: dict[str, int]
) -> None:
    factors = before

    @flow
    def scales() -> list[int]:
        return [scaler(bench, factor)(10) for factor in factors]

    first = bench.run(scales)
    factors = now
    bench.again(first, scales)
    assert bench.last.result() == [10 * factor for factor in now]
    assert bench.calls == again


def test_a_task_that_fills_in_an_argument_runs_again(bench: Bench) -> None:
    @task
    def rows() -> list[dict[str, int]]:
        return [{"v": 0}, {"v": 0}]

    @task
    def enrich(row: dict[str, int]) -> dict[str, int]:
        row["v"] = 1
        return row

    @flow
    def below(found: list[dict[str, int]]) -> list[dict[str, int]]:
        for row in found:
            enrich(row)
        return found

    below.should_validate_parameters = False

    @flow
    def above() -> int:
        found = rows()
        below(found)
        made = {"v": 0}
        enrich(made)
        bench.does("end")
        return sum(row["v"] for row in [*found, made])

    bench.broken = {"end"}
    first = bench.run(above)
    bench.broken = set()
    bench.again(first, above)
    assert bench.last.result() == 3


def test_a_task_that_hands_a_result_on_is_taken_over(bench: Bench) -> None:
    @task
    def rows() -> list[int]:
        bench.does("rows")
        return [1, 2]

    @task
    def check(found: list[int]) -> list[int]:
        bench.does("check")
        return found

    @flow
    def checks() -> int:
        found = check(rows())
        bench.does("end")
        return sum(found)

    bench.broken = {"end"}
    first = bench.run(checks)
    bench.broken = set()
    bench.again(first, checks)
    assert bench.calls == {"end": 1}
    assert bench.last.result() == 3


def test_what_was_rolled_back_runs_again_and_what_was_committed_is_taken_over(bench: Bench) -> None:
    @task
    def step(name: str) -> Any:
        bench.does(name)
        return None if name == "none" else name

    kept = step.with_options(persist_result=True)

    @flow(task_runner=SequentialTaskRunner())
    def f() -> None:
        with transaction():
            step("held")
        with transaction():
            step("none")
            step("undone")
            kept("kept")
            step.submit("bad")

    bench.broken = {"bad"}
    first = bench.run(f)
    results = bench.home / "results"
    assert [file for file in results.rglob("*") if file.is_file()] == []
    plan = bench.plan(first)
    assert (plan.reused, len(plan.again)) == (1, 4)
    bench.broken = set()
    again = bench.again(first, f)
    assert bench.calls == {"none": 1, "undone": 1, "kept": 1, "bad": 1}
    assert "runs again: It was rolled back with its transaction." in bench.logs(again)


def test_a_subflow_whose_task_runs_were_rolled_back_runs_them_again(bench: Bench) -> None:
    @task
    def step(name: str) -> str:
        bench.does(name)
        return name

    @flow
    def inner() -> str:
        return step("inner")

    @flow
    def f() -> None:
        with transaction():
            inner()
            step("bad")

    bench.broken = {"bad"}
    first = bench.run(f)
    bench.broken = set()
    bench.again(first, f)
    assert bench.calls == {"inner": 1, "bad": 1}
