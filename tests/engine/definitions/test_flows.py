"""`@flow`: its options, what a flow object is, and how it is called."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import threading
from typing import Any

import anyio
import pytest

from flowdeck import Flow, flow, runtime, task
from flowdeck.exceptions import (
    ConfigurationError,
    InvalidNameError,
    ParameterBindError,
    ParameterTypeError,
    ReservedArgumentError,
    UnfinishedRun,
)
from flowdeck.states import Cancelled, Completed, Crashed, Failed, State
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.testing import Record
from flowdeck_store import events

pytestmark = pytest.mark.usefixtures("record")


@task
def add(x: Any, y: Any = 1) -> Any:
    return x + y


@task
def fail(text: str = "boom") -> None:
    raise ValueError(text)


# -- the object -----------------------------------------------------------------------------------


def test_the_decorator_works_bare_and_with_options() -> None:
    @flow
    def bare() -> int:
        """What it does.

        More.
        """
        return 1

    @flow(name="named", retries=2)
    def with_options() -> int:
        return 2

    assert isinstance(bare, Flow)
    assert (bare(), with_options()) == (1, 2)
    assert bare.__name__ == "bare"
    assert bare.__doc__ is not None
    assert bare.__wrapped__ is bare.fn  # type: ignore[attr-defined]
    assert bare.description == "What it does.\n\nMore."
    assert (bare.name, with_options.name, with_options.retries) == ("bare", "named", 2)


def test_a_flow_tells_its_options() -> None:
    @flow
    def my_etl_flow(x: int, y: str = "a") -> None: ...

    assert my_etl_flow.name == "my-etl-flow"
    assert my_etl_flow.version is not None
    assert len(my_etl_flow.version) == 32
    assert my_etl_flow.task_runner == ConcurrentTaskRunner()
    assert my_etl_flow.timeout_seconds is None
    assert (my_etl_flow.retries, my_etl_flow.retry_delay_seconds) == (0, 0.0)
    assert not my_etl_flow.isasync
    assert list(my_etl_flow.parameters) == ["x", "y"]
    assert my_etl_flow.log_prints is None
    assert my_etl_flow.should_validate_parameters


def test_a_function_without_a_source_file_has_no_version() -> None:
    namespace: dict[str, Any] = {}
    exec("def made(): return 1", namespace)
    made = flow(namespace["made"])
    assert made.version is None
    assert made() == 1
    assert flow(version="v7")(namespace["made"]).version == "v7"


def test_any_callable_can_be_a_flow() -> None:
    class Greeter:
        def __init__(self, greeting: str) -> None:
            self.greeting = greeting

        def __call__(self, name: str) -> str:
            return f"{self.greeting} {name}"

        def method(self, name: str) -> str:
            return f"{name} {self.greeting}"

    def base(a: int, b: int) -> int:
        return a - b

    greeter = Greeter("hi")
    assert flow(greeter)("Ann") == "hi Ann"
    assert flow(greeter).name == "Greeter"
    assert flow(greeter.method)("Ann") == "Ann hi"
    assert flow(functools.partial(base, 5))(b=2) == 3
    assert flow(lambda: 4)() == 4


def test_a_name_must_be_text() -> None:
    with pytest.raises(
        TypeError, match="Expected string for flow parameter 'name'; got int instead"
    ):
        flow(name=1)(lambda: None)  # type: ignore[call-overload]

    def forgotten_call() -> None: ...

    with pytest.raises(TypeError, match=r"got function instead\..*call the decorator"):
        flow(name=forgotten_call)(lambda: None)  # type: ignore[call-overload]


@pytest.mark.parametrize("name", ["a/b", "100%", "a&b", "<a", "a>"])
def test_names_that_would_break_references_are_refused(name: str) -> None:
    with pytest.raises(InvalidNameError, match="invalid character"):
        flow(name=name)(lambda: None)


@pytest.mark.parametrize("name", ["[bold]x[/bold]".replace("/", ""), "a\nb", "☃ é", "n" * 10_000])
def test_any_other_name_runs(name: str, record: Record) -> None:
    @flow(name=name, flow_run_name=name + " run")
    def f() -> Any:
        return add.with_options(name=name, task_run_name=name + "{x}").submit(1).result()

    assert f() == 2
    (run,) = record.of_kind(events.RUN)
    assert run["flow_name"] == name
    assert [e["name"] for e in record.of_kind(events.RENAME)] == [name + " run"]
    assert [e["name"] for e in record.of_kind(events.TASK)] == [name + "1"]


@pytest.mark.parametrize("name", ["wait_for", "return_state"])
def test_reserved_parameter_names_are_refused(name: str) -> None:
    namespace: dict[str, Any] = {}
    exec(f"def f({name}): pass", namespace)
    for decorate in (flow, task):
        with pytest.raises(
            ReservedArgumentError, match=f"'{name}' is a reserved argument name"
        ) as caught:
            decorate(namespace["f"])
        assert isinstance(caught.value, TypeError)


def test_only_callables_can_be_flows_or_tasks() -> None:
    for decorate in (flow, task):
        with pytest.raises(TypeError, match="'fn' must be callable"):
            decorate("name")  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="'fn' must be callable"):
            decorate()(3)


def test_parameters_that_cannot_be_fields_are_refused_unless_validation_is_off() -> None:
    def hidden(_x: int) -> int:
        return _x

    with pytest.raises(
        ValueError,
        match=r"Flow function is not compatible with `validate_parameters`\. "
        "Disable validation or change the argument names.",
    ):
        flow(hidden)
    assert flow(validate_parameters=False)(hidden)("as given") == "as given"


def test_the_run_name_option_must_be_text_or_callable() -> None:
    with pytest.raises(
        TypeError, match=r"Expected string or callable for 'flow_run_name'; got int instead\."
    ):
        flow(flow_run_name=1)(lambda: None)  # type: ignore[call-overload]


def test_a_runner_may_be_a_class_an_instance_or_none() -> None:
    by_class = flow(task_runner=SequentialTaskRunner)(lambda: None)
    runner = ConcurrentTaskRunner(max_workers=3)
    by_instance = flow(task_runner=runner)(lambda: None)
    assert by_class.task_runner == SequentialTaskRunner()
    assert by_instance.task_runner is runner
    assert flow(task_runner=None)(lambda: None).task_runner == ConcurrentTaskRunner()
    with pytest.raises(TypeError, match="Expected a task runner for 'task_runner'; got str"):
        flow(task_runner="sequential")(lambda: None)  # type: ignore[call-overload]


def test_the_runner_on_a_flow_is_never_started_itself() -> None:
    runner = ConcurrentTaskRunner()
    seen = []

    @flow(task_runner=runner)
    def f() -> int:
        from flowdeck.context import FlowRunContext

        context = FlowRunContext.get()
        assert context is not None
        seen.append(context.task_runner)
        return 1

    f()
    f()
    assert seen[0] is not runner
    assert seen[0] is not seen[1]
    runner.start(None)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="The task runner is already started!"):
        runner.start(None)  # type: ignore[arg-type]
    runner.stop()


def test_an_unknown_serializer_is_refused_at_the_definition() -> None:
    for decorate in (flow, task):
        with pytest.raises(ConfigurationError, match=r"no result serializer 'pickel'.*'pickle'"):
            decorate(result_serializer="pickel")(lambda: None)


def test_what_runners_have_in_common_is_no_runner() -> None:
    from flowdeck.task_runners import BaseTaskRunner

    class Unfinished(BaseTaskRunner): ...

    for given in (BaseTaskRunner, BaseTaskRunner(), Unfinished):
        with pytest.raises(TypeError, match=r"is no task runner but what task runners have in"):
            flow(task_runner=given)(lambda: None)
    with pytest.raises(TypeError, match="Expected a task runner for 'task_runner'; got int"):
        flow(task_runner=int)(lambda: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["result_storage", "result_storage_key"])
def test_options_that_would_put_results_elsewhere_are_refused(option: str) -> None:
    for decorate in (flow, task) if option == "result_storage" else (task,):
        message = f"{option} is not supported: kept results are in the folder 'results'"
        with pytest.raises(ValueError, match=message):
            decorate(**{option: "here"})(lambda: None)  # type: ignore[operator]
        decorate(**{option: None})(lambda: None)  # type: ignore[operator]


# -- options of a copy ------------------------------------------------------------------------------


def _options(call: Any) -> set[str]:
    return set(inspect.signature(call).parameters) - {"self", "fn"}


def test_with_options_takes_the_same_keywords_as_the_decorator() -> None:
    from flowdeck import Task

    assert _options(Flow.with_options) == _options(Flow.__init__)
    assert _options(Task.with_options) == _options(Task.__init__)


def test_signatures_of_the_decorators_show_the_options() -> None:
    from flowdeck import Task, task

    assert _options(flow) == _options(Flow.__init__)
    assert _options(task) == _options(Task.__init__)
    assert inspect.signature(task).parameters["retries"].default == 0
    with pytest.raises(TypeError, match="unexpected keyword argument 'retrys'"):
        flow(lambda: None).with_options(retrys=1)  # type: ignore[call-arg]


def test_docstrings_of_the_decorators_say_what_each_option_does() -> None:
    from flowdeck import Task, task

    for decorator, kind in ((flow, Flow), (task, Task)):
        text = decorator.__doc__ or ""
        assert [o for o in _options(kind.__init__) if f"\n    {o}: " not in text] == []
        assert "Raises:" in text


def test_validate_parameters_returns_them_as_a_run_gets_them() -> None:
    @flow
    def f(n: int, unchecked: object = None) -> None: ...

    assert f.validate_parameters({"n": "3", "unchecked": "3"}) == {"n": 3, "unchecked": "3"}
    with pytest.raises(ParameterTypeError, match="n: Input should be a valid integer"):
        f.validate_parameters({"n": "three"})


def test_with_options_changes_only_what_is_given() -> None:
    def hook(flow: Any, flow_run: Any, state: Any) -> None: ...

    @flow(
        name="first", retries=3, retry_delay_seconds=2, timeout_seconds=5, log_prints=True,
        persist_result=True, result_serializer="json", task_runner=SequentialTaskRunner(),
        on_failure=[hook], description="why", version="1", flow_run_name="run-{x}",
        validate_parameters=False, cache_result_in_memory=False,
    )  # fmt: skip
    def f(x: int = 1) -> int:
        return x

    same = f.with_options()
    assert same.should_validate_parameters is False
    for option in _options(Flow.__init__) - {"validate_parameters"}:
        assert getattr(same, option) == getattr(f, option), option
    assert same is not f
    other = f.with_options(name="second", retries=1)
    assert (other.name, other.retries, other.timeout_seconds) == ("second", 1, 5.0)
    assert f.name == "first"


def test_zero_switches_off_and_none_inherits_again() -> None:
    def hook(flow: Any, flow_run: Any, state: Any) -> None: ...

    f = flow(
        retries=3, retry_delay_seconds=2, timeout_seconds=5, log_prints=True, persist_result=True,
        result_serializer="json", on_completion=[hook], name="kept",
    )(lambda: None)  # fmt: skip
    off = f.with_options(retries=0, retry_delay_seconds=0, timeout_seconds=0)
    assert (off.retries, off.retry_delay_seconds, off.timeout_seconds) == (0, 0.0, None)
    inherits = f.with_options(log_prints=None, persist_result=None, result_serializer=None)
    assert (inherits.log_prints, inherits.persist_result) == (None, None)
    assert inherits.result_serializer is None
    kept = f.with_options(
        name="", on_completion=[], task_runner=None, timeout_seconds=None, retries=None
    )
    assert (kept.name, kept.on_completion) == ("kept", [hook])
    assert (kept.timeout_seconds, kept.retries) == (5.0, 3)
    quiet = f.with_options(log_prints=False, persist_result=False)
    assert (quiet.log_prints, quiet.persist_result) == (False, False)


# -- calling ----------------------------------------------------------------------------------------


def test_a_call_returns_the_value_or_raises_the_exception(record: Record) -> None:
    @flow
    def good(x: int) -> int:
        return x * 2

    @flow
    def bad() -> None:
        raise KeyError("own")

    assert good(2) == 4
    with pytest.raises(KeyError, match="own"):
        bad()
    assert record.state_names("good") == ["Pending", "Running", "Completed"]
    assert record.state_names("bad") == ["Pending", "Running", "Failed"]


def test_return_state_gives_the_final_state_and_does_not_raise() -> None:
    @flow
    def good() -> int:
        return 3

    @flow
    def bad() -> None:
        raise KeyError("own")

    state = good(return_state=True)
    assert isinstance(state, State)
    assert (state.name, state.result()) == ("Completed", 3)
    failed = bad(return_state=True)
    assert failed.message == "Flow run encountered an exception. KeyError: 'own'"
    assert isinstance(failed.result(raise_on_failure=False), KeyError)


@pytest.mark.parametrize("kind", [Crashed, Cancelled, Failed])
def test_a_returned_state_is_the_state_whatever_it_is(kind: Any) -> None:
    @flow
    def returns() -> Any:
        return kind(message="said so", data=None)

    @flow
    async def returns_async() -> Any:
        return kind(message="said so", data=ValueError("inside"))

    @flow
    def calls() -> Any:
        state = returns(return_state=True)
        return state.name, state.message

    state = returns(return_state=True)
    assert (state.type, state.message) == (kind().type, "said so")
    state = asyncio.run(returns_async(return_state=True))
    assert (state.type, state.message) == (kind().type, "said so")
    assert calls() == (kind().name, "said so")
    with pytest.raises(Exception, match="said so"):
        returns()


def test_a_crash_is_raised_also_where_the_state_is_asked_for() -> None:
    @flow
    def crashes() -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crashes(return_state=True)


def test_wait_for_is_only_for_subflows(record: Record) -> None:
    with pytest.raises(ValueError, match=r"Only flows run as subflows can wait for dependencies\."):
        flow(lambda: None)(wait_for=[Completed()])
    assert record.events == []


@pytest.mark.parametrize(
    ("args", "kwargs", "problem"),
    [
        ((), {}, "missing a required argument: 'x'"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((1,), {"z": 2}, "got an unexpected keyword argument 'z'"),
        ((1,), {"x": 2}, "multiple values for argument 'x'"),
    ],
)
@pytest.mark.parametrize("decorate", [flow, task])
def test_arguments_that_do_not_bind_raise_before_any_run_exists(
    record: Record, decorate: Any, args: Any, kwargs: Any, problem: str
) -> None:
    @decorate
    def f(x: int, y: int = 1) -> None: ...

    with pytest.raises(ParameterBindError) as caught:
        f(*args, **kwargs)
    assert isinstance(caught.value, TypeError)
    text = str(caught.value)
    assert text.startswith(f"Error binding parameters for function 'f': {problem}.\n")
    assert "Function 'f' has signature 'x: " in text
    assert f"but received args: {args} and kwargs: {list(kwargs)}." in text.replace(",)", ",)")
    assert record.events == []


def test_defaults_and_star_arguments_are_parameters() -> None:
    seen: dict[str, Any] = {}

    @flow
    def f(a: int, *rest: int, b: int = 2, **more: int) -> Any:
        seen.update(runtime.flow_run.parameters)
        return a, rest, b, more

    assert f(1, 5, 6, z=9) == (1, (5, 6), 2, {"z": 9})
    assert seen == {"a": 1, "rest": (5, 6), "b": 2, "more": {"z": 9}}


def test_the_function_of_a_sync_flow_runs_on_the_calling_thread() -> None:
    @flow
    def f() -> int:
        return threading.get_ident()

    assert f() == threading.get_ident()
    found = []
    context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: found.append(context.run(f) == threading.get_ident()))
    thread.start()
    thread.join()
    assert found == [True]


def test_one_flow_serves_several_threads_at_once(record: Record) -> None:
    barrier = threading.Barrier(5)

    @flow
    def f(x: int) -> Any:
        barrier.wait(20)
        return add.submit(x).result()

    results: list[Any] = []

    def call(x: int) -> None:
        results.append(f(x))

    threads = [
        threading.Thread(target=contextvars.copy_context().run, args=[call, x]) for x in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [1, 2, 3, 4, 5]
    assert len({e["uid"] for e in record.of_kind(events.RUN)}) == 5


# -- validation ---------------------------------------------------------------------------------------


def test_arguments_are_coerced_by_annotation() -> None:
    @flow
    def f(x: int, ratio: float, day: Any, untouched: str = "a") -> Any:
        return x, ratio, day

    assert f("5", 1, "2024-01-01") == (5, 1.0, "2024-01-01")


def test_invalid_parameters_make_a_failed_run(record: Record) -> None:
    called = []

    @flow(on_failure=[lambda flow, flow_run, state: called.append(state.message)])
    def f(x: int) -> int:
        return x

    state = f("five", return_state=True)
    assert (state.type.value, state.name) == ("FAILED", "Failed")
    assert state.message == (
        "Validation of flow parameters failed with error: ParameterTypeError: Flow run received "
        "invalid parameters:\n - x: Input should be a valid integer, unable to parse string as an "
        "integer"
    )
    assert called == [state.message]
    with pytest.raises(ParameterTypeError, match="Flow run received invalid parameters"):
        f("five")
    assert record.state_names("f") == ["Pending", "Failed"]
    logs = [(e["level"], e["logger"], e["msg"]) for e in record.of_kind(events.LOG)]
    assert (40, "flowdeck.flow_runs", state.message) in logs
    (name,) = {e["name"] for e in record.of_kind(events.RUN)[:1]}
    assert (
        20,
        "flowdeck.engine",
        f"Flow run {name!r} received invalid parameters and is marked as failed.",
    ) in logs


def test_invalid_parameters_start_no_runner_and_are_not_tried_again(record: Record) -> None:
    class Counting(SequentialTaskRunner):
        started = 0

        def _start(self, flow_run: Any) -> None:
            type(self).started += 1

    @flow(task_runner=Counting(), retries=3)
    def f(x: int) -> int:
        return x

    assert f("five", return_state=True).is_failed()
    assert Counting.started == 0
    assert record.state_names("f") == ["Pending", "Failed"]
    assert f("5") == 5
    assert Counting.started == 1


def test_no_validation_leaves_values_alone() -> None:
    @flow(validate_parameters=False)
    def f(x: int) -> Any:
        return x

    assert f("five") == "five"


def test_parameters_need_not_be_serialisable(record: Record) -> None:
    class Opaque: ...

    it = Opaque()

    @flow
    def f(x: Any, lock: Any) -> Any:
        return x is it

    assert f(it, threading.Lock())
    (run,) = record.of_kind(events.RUN)
    assert '"<Opaque>"' in run["params"]
    assert '"<lock>"' in run["params"]


def test_an_argument_whose_repr_raises_or_is_endless_is_fine(record: Record) -> None:
    class Bad:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    class Endless(dict[Any, Any]):
        def __repr__(self) -> str:
            return "x" * 50_000_000

    loop: list[Any] = []
    loop.append(loop)

    @flow
    def f(a: Any, b: Any, c: Any) -> Any:
        return [add.with_options(name="same").submit(1, y=1).result(), Bad(), Endless()]

    assert f(Bad(), Endless(), loop)[0] == 2
    for event in record.of_kind(events.RESULT):
        assert len(event["preview"] or "") < 10_000


# -- names of runs --------------------------------------------------------------------------------------


def test_run_names_are_two_words_unless_asked_otherwise(record: Record) -> None:
    import re

    flow(lambda: 1)()
    (run,) = record.of_kind(events.RUN)
    assert re.fullmatch("[a-z]+-[a-z]+", run["name"])


def test_run_names_are_templates_over_parameters_with_defaults(record: Record) -> None:
    class Day:
        number = 7

    @flow(flow_run_name="etl-{day.number}-{mode}")
    def f(day: Any, mode: str = "full") -> Any:
        return runtime.flow_run.name

    assert f(Day()) == "etl-7-full"


def test_run_names_may_be_computed_once_inside_the_run(record: Record) -> None:
    calls = []

    def name() -> str:
        calls.append(dict(runtime.flow_run.parameters))
        return f"day-{runtime.flow_run.parameters['x']}"

    @flow(flow_run_name=name, retries=2)
    def f(x: int) -> Any:
        if runtime.flow_run.run_count < 3:
            raise ValueError
        return runtime.flow_run.name

    assert f("3") == "day-3"
    assert calls == [{"x": 3}]


def test_a_name_that_is_no_text_fails_the_run_with_a_traceback(record: Record) -> None:
    @flow(flow_run_name=lambda: 5)  # type: ignore[arg-type, return-value]
    def f() -> None: ...

    state = f(return_state=True)
    assert state.is_failed()
    assert "returned type int but a string is required" in str(state.message)
    assert any("Encountered exception during execution:" in text for text in record.logs)
    assert flow(flow_run_name="{missing}")(f.fn)(return_state=True).is_failed()


def test_the_new_name_is_in_every_line_after_the_renaming(capsys: Any) -> None:
    from flowdeck.testing import run_in_memory

    @task(task_run_name="load {x}")
    def load(x: int) -> int:
        return x

    @flow(flow_run_name="day {x}")
    def f(x: int) -> None:
        load.submit(x)

    with run_in_memory(console=True):
        f(3)
    lines = capsys.readouterr().err.splitlines()
    created, *rest = [line.split(" | ", 2)[2] for line in lines]
    assert created.startswith("flowdeck.engine - Created flow run '")
    of_flow = [line for line in rest if line.startswith("Flow run")]
    assert of_flow
    assert all(line.startswith("Flow run 'day 3' - ") for line in of_flow)
    assert "Task run 'load 3' - Finished in state Completed()" in rest
    assert rest[-1] == "Flow run 'day 3' - Finished in state Completed('All states completed.')"


# -- async ------------------------------------------------------------------------------------------------


def test_async_flows_run_under_asyncio_and_anyio(record: Record) -> None:
    @flow
    async def f(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    assert f.isasync
    assert asyncio.run(f(1)) == 2
    assert anyio.run(f, 2) == 3


@pytest.mark.anyio
async def test_an_async_flow_runs_on_the_running_loop() -> None:
    @flow
    async def f() -> Any:
        return asyncio.get_running_loop(), threading.get_ident()

    loop, thread = await f()
    assert loop is asyncio.get_running_loop()
    assert thread == threading.get_ident()
    state = await f(return_state=True)
    assert state.is_completed()
    assert (await state.result())[0] is loop


@pytest.mark.anyio
async def test_arguments_of_an_async_flow_are_bound_at_the_call() -> None:
    @flow
    async def f(x: int) -> int:
        return x

    with pytest.raises(ParameterBindError):
        f()
    with pytest.raises(ValueError, match="Only flows run as subflows"):
        f(1, wait_for=[])


@pytest.mark.anyio
async def test_a_sync_flow_may_be_called_where_a_loop_runs() -> None:
    @flow
    def f() -> Any:
        state = add.submit(1).wait()
        return add.submit(1).result(), add(2), state.result(), threading.get_ident()

    assert f() == (2, 3, 2, threading.get_ident())


@pytest.mark.anyio
async def test_the_flow_object_of_an_async_function_tells_so() -> None:
    class Async:
        async def __call__(self, x: int) -> int:
            return x

    async def base(a: int, b: int) -> int:
        return a - b

    assert flow(Async()).isasync
    assert await flow(Async())(3) == 3
    partial = flow(functools.partial(base, 5))
    assert partial.isasync
    assert await partial(b=1) == 4


# -- futures of finished flows ----------------------------------------------------------------------------


def test_states_and_futures_of_earlier_runs_are_resolved_in_arguments() -> None:
    @flow
    def first() -> Any:
        return add.submit(1)

    @flow
    def second(x: Any, nested: Any) -> Any:
        return x, nested

    state = first(return_state=True)
    inner = state.result()
    assert second(inner, [inner]) == (2, [2])
    with pytest.raises(UnfinishedRun):
        flow(lambda: add(fail.submit()))()


def test_flow_runs_that_never_start_have_the_name_of_their_template(record: Record) -> None:
    @flow(flow_run_name="load {day} of {x}")
    def load(day: int, x: str = "y") -> None: ...

    @flow
    def parent() -> Any:
        bad = task(name="bad")(lambda: 1 / 0).submit()
        load(1, wait_for=[bad], return_state=True)
        return "done"

    assert parent() == "done"
    load("monday", return_state=True)  # type: ignore[arg-type]
    names = [e["name"] for e in record.of_kind(events.RENAME)]
    assert names == ["load 1 of y", "load monday of y"]
