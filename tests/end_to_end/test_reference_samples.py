"""The code samples of the reference page, cut out of its text and run as scripts.

Only the name of the package is replaced. Samples that the page does not call, or that need
something that an earlier sample defines, run a second time with that added. Where a sample as
printed is wrong, what must happen then is tested too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scripts import Ran, run_text, running_text

PAGE = (Path(__file__).parent.parent / "data" / "reference.txt").read_text(encoding="utf-8")

#: Where each sample is: the sentence before it, and its last line.
PLACES = {
    "elevator": (
        "For example, you can use ConcurrentTaskRunner to allow tasks to switch when they",
        "        stop_at_floor.submit(floor)",
    ),
    "glass tower": ("In the example, the flow glass_tower runs the task", "glass_tower()"),
    "two runners": (
        "you could create a subflow (such as dask_subflow) to run those tasks",
        "    sequential_flow()",
    ),
    "type of a future": ("and then we print the type of the variable:", "hello_world()"),
    "future as input": ("Take a look at how this works in the following example", "hello_world()"),
    "result": ("you can get the return value of the task run with .result():", "my_flow()"),
    "raise_on_failure": (
        "You may disable this behavior with the raise_on_failure option:",
        "        ...",
    ),
    "get_state": ("associated with the PrefectFuture using .get_state():", "get_state()"),
    "wait": ("You can also wait for a task to complete by using the .wait() method:", "e.wait()"),
    "wait with a timeout": (
        "You can include a timeout in the wait call",
        "        ... # Task action if the task is still running",
    ),
    "wait_for": ("You may also use the wait_for=[] parameter", "    d = task_d(wait_for=[c])"),
    "only tasks": ("Using only tasks:", "hello_world()"),
    "only functions": ("Using only Python functions:", "hello_world()"),
    "mixed": ("Mixing tasks and Python functions:", "hello_world()"),
    "blocking": ("Calling .result() is blocking", "hello_world()"),
}

IMPORTS = "from flowdeck import flow, task\n\n"
MY_TASK = "@task\ndef my_task():\n    return 42\n\n"


def sample(name: str) -> str:
    """Return a sample as it is printed, with the package's name replaced."""
    before, last = PLACES[name]
    assert PAGE.count(before) == 1, f"the page has not exactly one {before!r}"
    rest = PAGE[PAGE.index(before) :].splitlines()[1:]
    first = next(i for i, line in enumerate(rest) if re.match(r"(from|import|@)", line))
    # The samples that end inside a function have the same line in one of their branches.
    ends = [i for i, line in enumerate(rest) if i >= first and line.endswith(last)]
    end = ends[1] if name == "raise_on_failure" else ends[0]
    return "\n".join(rest[first : end + 1]).replace("prefect", "flowdeck") + "\n"


RunSample = Callable[[str], Ran]


@pytest.fixture
def run(tmp_path: Path, home: Path) -> RunSample:
    def run_it(text: str) -> Ran:
        return run_text(text, folder=tmp_path, home=home)

    return run_it


@pytest.fixture(scope="module", autouse=True)
def elevators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Ran]]:
    """What waits for the elevators: they take ten seconds, in which the other samples run."""
    folder = tmp_path_factory.mktemp("elevators")
    text = sample("elevator") + "elevator()\n"
    with running_text(text, folder=folder, home=folder / "home") as end:
        yield end


def states(ran: Ran) -> list[str]:
    return [task.state for task in ran.tasks]


def test_every_sample_is_cut_out_whole() -> None:
    for name in PLACES:
        if name != "blocking":  # it is a syntax error as printed
            compile(sample(name), name, "exec")


class TestGlassTower:
    def test_floors_follow_in_order(self, run: RunSample) -> None:
        ran = run(sample("glass tower"))
        assert ran.code == 0
        told = [re.fullmatch(r"elevator stops on (\d+) which is (.*)", line) for line in ran.lines]
        assert [int(match[1]) for match in told if match] == list(range(1, 39))
        assert {match[2] for match in told if match} <= {"on fire", "clear"}

    def test_it_is_recorded_under_its_own_name_with_38_numbered_task_runs(
        self, run: RunSample
    ) -> None:
        ran = run(sample("glass tower"))
        assert ran.run.flow == "towering-infernflow"
        assert (ran.run.state, ran.run.message) == ("Completed", "All states completed.")
        assert ran.run.runner == "sequential"
        assert states(ran) == ["Completed"] * 38
        names = [re.fullmatch(r"stop_at_floor-([0-9a-f]{8})-(\d+)", t.name) for t in ran.tasks]
        assert [int(match[2]) for match in names if match] == list(range(38))
        assert len({match[1] for match in names if match}) == 1


def local(text: str) -> str:
    """Let the sample with two runners use one that needs no cluster for its subflow."""
    return text.replace(
        "from flowdeck_dask.task_runners import DaskTaskRunner",
        "from flowdeck.task_runners import ConcurrentTaskRunner as DaskTaskRunner",
    )


class TestTwoRunners:
    def test_the_subflow_blocks_its_parent(self, run: RunSample) -> None:
        ran = run(local(sample("two runners")))
        assert ran.code == 0
        assert ran.lines == ["Hello!", "Hello from Dask!", "Hello!"]
        parent, child = ran.runs
        assert (parent.flow, child.flow) == ("sequential-flow", "dask-subflow")
        assert (parent.runner, child.runner) == ("sequential", "concurrent")
        assert (parent.state, parent.message) == ("Completed", "All states completed.")
        assert parent.n_tasks == 3, "two task runs and the one that stands for the subflow"
        assert child.parent_task is not None
        assert child.parent_task >> 24 == parent.id

    def test_the_console_says_what_the_page_shows(self, run: RunSample) -> None:
        ran = run(local(sample("two runners")))
        assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3} \| ", line) for line in ran.err.splitlines())
        parent, child = ran.runs
        shown = [
            re.sub(r"-[0-9a-f]{8}-", "-HASH-", line)
            .replace(parent.name, "PARENT")
            .replace(child.name, "CHILD")
            for line in ran.log
            if "Starting 'ConcurrentTaskRunner'" not in line  # the page shows the parent's only
        ]
        up, sub = "INFO    | Flow run 'PARENT' - ", "INFO    | Flow run 'CHILD' - "
        assert shown == [
            "INFO    | flowdeck.engine - Created flow run 'PARENT' for flow 'sequential-flow'",
            up + "Starting 'SequentialTaskRunner'; submitted tasks will be run sequentially...",
            up + "Created task run 'hello_local-HASH-0' for task 'hello_local'",
            up + "Executing 'hello_local-HASH-0' immediately...",
            "INFO    | Task run 'hello_local-HASH-0' - Finished in state Completed()",
            up + "Created subflow run 'CHILD' for flow 'dask-subflow'",
            sub + "Created task run 'hello_dask-HASH-0' for task 'hello_dask'",
            sub + "Submitted task run 'hello_dask-HASH-0' for execution.",
            "INFO    | Task run 'hello_dask-HASH-0' - Finished in state Completed()",
            sub + "Finished in state Completed('All states completed.')",
            up + "Created task run 'hello_local-HASH-1' for task 'hello_local'",
            up + "Executing 'hello_local-HASH-1' immediately...",
            "INFO    | Task run 'hello_local-HASH-1' - Finished in state Completed()",
            up + "Finished in state Completed('All states completed.')",
        ]


class TestFutures:
    def test_submit_returns_a_future(self, run: RunSample) -> None:
        ran = run(sample("type of a future"))
        (line,) = ran.lines
        name = r"<class 'flowdeck\.futures\.\w*Future'>"
        assert re.fullmatch(rf"variable 'future' is type {name}", line)
        assert states(ran) == ["Completed"]

    def test_a_future_as_input_arrives_as_its_value(self, run: RunSample) -> None:
        ran = run(sample("future as input"))
        assert ran.lines == ["<class 'str'>", "Hello Marvin!"]
        assert ran.run.flow == "hello-flow"
        say_hello, print_result = ran.tasks
        assert ran.upstream_of(print_result) == [say_hello.name]
        assert states(ran) == ["Completed", "Completed"]

    def test_result_waits_and_returns_the_value(self, run: RunSample) -> None:
        ran = run(sample("result"))
        assert ran.lines == ["42"]
        assert (ran.run.state, ran.run.message) == ("Completed", "All states completed.")

    def test_get_state_does_not_wait(self, run: RunSample) -> None:
        ran = run(IMPORTS + MY_TASK + sample("get_state") + "    print(state.type)\n\nmy_flow()\n")
        assert ran.code == 0
        assert ran.lines[0] in {"PENDING", "RUNNING", "COMPLETED"}
        assert ran.run.state == "Completed"

    def test_wait_returns_the_final_state(self, run: RunSample) -> None:
        ran = run(IMPORTS + MY_TASK + sample("wait") + "    print(final_state.name)\n\nmy_flow()\n")
        assert ran.lines == ["Completed"]

    def test_wait_with_a_timeout_returns_the_state_of_a_task_that_is_done(
        self, run: RunSample
    ) -> None:
        ran = run(
            IMPORTS
            + MY_TASK
            + sample("wait with a timeout")
            + "    print(bool(final_state), result)\n\nmy_flow()\n"
        )
        assert ran.lines == ["True 42"]

    def test_wait_with_a_timeout_returns_none_and_the_task_goes_on(self, run: RunSample) -> None:
        slow = MY_TASK.replace("    return", "    import time\n    time.sleep(1.5)\n    return")
        ran = run(
            IMPORTS + slow + sample("wait with a timeout") + "    print(final_state)\n\nmy_flow()\n"
        )
        assert ran.lines == ["None"]
        assert states(ran) == ["Completed"], "the flow waits for what it submitted"
        assert ran.run.state == "Completed"

    def test_wait_for_orders_tasks_that_share_no_data(self, run: RunSample) -> None:
        ran = run(IMPORTS + sample("wait_for") + "\nmy_flow()\n")
        assert ran.code == 0
        a, b, c, d = ran.tasks
        assert [task.task for task in ran.tasks] == ["task_a", "task_b", "task_c", "task_d"]
        assert sorted(map(str, ran.upstream_of(c))) == sorted([a.name, b.name])
        assert ran.upstream_of(d) == [c.name]
        for first, then in [(a, c), (b, c), (c, d)]:
            assert first.ended_us is not None
            assert then.started_us is not None
            assert first.ended_us <= then.started_us
        assert (ran.run.state, ran.run.message) == ("Completed", "All states completed.")


class TestRaiseOnFailure:
    """As printed the sample calls the task without its argument and without ``.submit()``."""

    def test_as_printed_it_only_defines_the_flow(self, run: RunSample) -> None:
        ran = run(sample("raise_on_failure"))
        assert (ran.code, ran.out, ran.err, ran.runs) == (0, "", "", [])

    def test_called_as_printed_the_missing_argument_is_named(self, run: RunSample) -> None:
        ran = run(sample("raise_on_failure") + "\nmy_flow()\n")
        assert ran.code == 1
        assert "ParameterBindError" in ran.err
        assert "missing a required argument: 'name'" in ran.err
        assert ran.run.state == "Failed"
        assert ran.tasks == []

    def test_called_without_submit_a_value_has_no_result_method(self, run: RunSample) -> None:
        text = sample("raise_on_failure").replace("my_task()\n", "my_task('Ford')\n")
        ran = run(text + "\nmy_flow()\n")
        assert ran.code == 1
        assert "AttributeError: 'str' object has no attribute 'result'" in ran.err
        assert ran.run.state == "Failed"
        assert states(ran) == ["Completed"]

    def corrected(self) -> str:
        text = sample("raise_on_failure").replace("my_task()\n", "my_task.submit('Ford')\n")
        failed, _, completed = text.rpartition("        ...")
        head, _, rest = failed.rpartition("        ...")
        return (
            f"{head}        print('failed', type(result).__name__, result){rest}"
            f"        print('completed', result){completed}\nmy_flow()\n"
        )

    def test_corrected_a_completed_task_gives_its_value(self, run: RunSample) -> None:
        ran = run(self.corrected())
        assert ran.lines == ["completed I'm a task!"]

    def test_corrected_a_failed_task_gives_its_exception(self, run: RunSample) -> None:
        raising = self.corrected().replace('return "I\'m a task!"', "raise KeyError(name)")
        ran = run(raising)
        assert ran.lines == ["failed KeyError 'Ford'"]
        assert states(ran) == ["Failed"]
        assert (ran.run.state, ran.run.message) == ("Failed", "1/1 states failed.")
        assert ran.code == 1


class TestTasksAndFunctions:
    def test_only_tasks(self, run: RunSample) -> None:
        ran = run(sample("only tasks") + "\nprint([s.name for s in hello_world()])\n")
        assert ran.lines == ["['Completed', 'Completed']"]
        first, second = ran.tasks[:2]
        assert ran.upstream_of(second) == [first.name]

    def test_only_functions_leaves_a_run_without_tasks(self, run: RunSample) -> None:
        ran = run(sample("only functions") + "\nprint(hello_world())\n")
        assert ran.lines == ["None"]
        assert [(r.state, r.message) for r in ran.runs] == [("Completed", None)] * 2
        assert ran.tasks == []

    def test_mixed(self, run: RunSample) -> None:
        ran = run(sample("mixed"))
        assert ran.lines == ["HI MARVIN! Nice to meet you :)"]
        first, second = ran.tasks
        assert ran.upstream_of(second) == [], "the function in between made a new value"
        assert ran.upstream_of(first) == []
        assert states(ran) == ["Completed", "Completed"]


class TestBlocking:
    def test_as_printed_it_is_a_syntax_error(self, run: RunSample) -> None:
        ran = run(sample("blocking"))
        assert ran.code == 1
        assert "SyntaxError" in ran.err
        assert ran.runs == []

    def test_corrected_the_second_task_starts_after_the_first(self, run: RunSample) -> None:
        line = "from flowdeck import flow, task"
        text = sample("blocking").replace(f"@task\n{line}\n\n", f"{line}\n\n@task\n")
        ran = run(text)
        assert ran.lines == ["Doing lots of important stuff!"]
        first, second = ran.tasks
        assert (first.task, second.task) == ("say_hello", "do_important_stuff")
        assert first.ended_us is not None
        assert first.ended_us <= second.created_us


def test_without_a_runner_tasks_are_submitted_to_the_concurrent_one(run: RunSample) -> None:
    ran = run(sample("result"))
    assert ran.run.runner == "concurrent"


def test_a_runner_class_stands_for_its_default_instance(run: RunSample) -> None:
    text = sample("elevator").replace("ConcurrentTaskRunner())", "ConcurrentTaskRunner)")
    ran = run(text.replace("range(10, 0, -1)", "[0]") + "elevator()\n")
    assert ran.lines == ["elevator moving to floor 0", "elevator stops on floor 0"]
    assert ran.run.runner == "concurrent"


FLOORS = list(range(1, 11))


class TestElevator:
    def test_as_printed_it_only_defines_the_flow(self, run: RunSample) -> None:
        ran = run(sample("elevator"))
        assert (ran.code, ran.out, ran.err, ran.runs) == (0, "", "", [])

    def test_all_elevators_move_at_once_and_stop_from_the_first_floor_up(
        self, elevators: Callable[[], Ran]
    ) -> None:
        ran = elevators()
        assert ran.code == 0
        # Ten threads print: a line may begin before the end of another one's.
        told = re.findall(r"elevator (moving to|stops on) floor (\d+)", ran.out)
        assert sorted(int(floor) for verb, floor in told[:10] if verb == "moving to") == FLOORS
        assert [int(floor) for verb, floor in told[10:] if verb == "stops on"] == FLOORS
        assert states(ran) == ["Completed"] * 10
        assert (ran.run.state, ran.run.message) == ("Completed", "All states completed.")
        assert ran.run.duration is not None
        assert 10 <= ran.run.duration < 15
