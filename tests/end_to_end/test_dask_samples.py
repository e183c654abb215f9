"""The Dask samples of the reference page on real clusters, as printed but for the import root."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts import Ran

pytest.importorskip("distributed")

pytestmark = [pytest.mark.dask, pytest.mark.timeout(180)]

PAGE = (Path(__file__).parent.parent / "data" / "reference.txt").read_text(encoding="utf-8")

#: The first and the last line of each sample, and the sentence before it.
PLACES = {
    "two runners": ("you could create a subflow (such as dask_subflow)", "    sequential_flow()"),
    "existing cluster": ("configured to access an existing Dask cluster at", "    ..."),
    "priority": ("we can set the priority of tasks in the Dask scheduler:", "# high priority task"),
    "resources": ("Another common use case is resource annotations:", "    my_flow()"),
}


def sample(name: str) -> str:
    """Return a sample as it is printed, with the import root replaced."""
    before, last = PLACES[name]
    assert PAGE.count(before) == 1, f"the page has not exactly one {before!r}"
    rest = PAGE[PAGE.index(before) :].splitlines()[1:]
    first = next(i for i, line in enumerate(rest) if re.match(r"(from|import) ", line))
    end = next(i for i, line in enumerate(rest) if i >= first and line.endswith(last))
    text = "\n".join(rest[first : end + 1]) + "\n"
    return text.replace("prefect_dask.task_runners", "flowdeck.task_runners").replace(
        "prefect", "flowdeck"
    )


@pytest.fixture
def run(tmp_path: Path, home: Path) -> Callable[[str], Ran]:
    from scripts import run_text

    return lambda text: run_text(text, folder=tmp_path, home=home)


def test_a_sequential_flow_with_a_subflow_on_dask(run: Callable[[str], Ran]) -> None:
    ran = run(sample("two runners"))
    assert ran.code == 0, ran.err
    assert ran.lines == ["Hello!", "Hello from Dask!", "Hello!"]
    parent, child = ran.runs
    assert (parent.runner, child.runner) == ("sequential", "dask")
    assert (parent.state, parent.message) == ("Completed", "All states completed.")
    log = [re.sub(r"-[0-9a-f]{8}-", "-HASH-", line) for line in ran.log]
    log = [line.replace(parent.name, "PARENT").replace(child.name, "CHILD") for line in log]
    up, sub = "INFO    | Flow run 'PARENT' - ", "INFO    | Flow run 'CHILD' - "
    dask = "INFO    | flowdeck.task_runner.dask - "
    assert re.fullmatch(
        re.escape(dask + "The Dask dashboard is available at http://127.0.0.1:")
        + r"\d+"
        + re.escape("/status"),
        log.pop(7),
    )
    assert log == [
        "INFO    | flowdeck.engine - Created flow run 'PARENT' for flow 'sequential-flow'",
        up + "Starting 'SequentialTaskRunner'; submitted tasks will be run sequentially...",
        up + "Created task run 'hello_local-HASH-0' for task 'hello_local'",
        up + "Executing 'hello_local-HASH-0' immediately...",
        "INFO    | Task run 'hello_local-HASH-0' - Finished in state Completed()",
        up + "Created subflow run 'CHILD' for flow 'dask-subflow'",
        dask + "Creating a new Dask cluster with `distributed.deploy.local.LocalCluster`",
        sub + "Created task run 'hello_dask-HASH-0' for task 'hello_dask'",
        sub + "Submitted task run 'hello_dask-HASH-0' for execution.",
        "INFO    | Task run 'hello_dask-HASH-0' - Finished in state Completed()",
        sub + "Finished in state Completed('All states completed.')",
        up + "Created task run 'hello_local-HASH-1' for task 'hello_local'",
        up + "Executing 'hello_local-HASH-1' immediately...",
        "INFO    | Task run 'hello_local-HASH-1' - Finished in state Completed()",
        up + "Finished in state Completed('All states completed.')",
    ]


def test_naming_an_existing_cluster_contacts_nothing(run: Callable[[str], Ran]) -> None:
    ran = run(sample("existing cluster"))
    assert (ran.code, ran.out, ran.err, ran.runs) == (0, "", "", [])


def test_calling_it_crashes_with_what_is_wrong_with_the_address(run: Callable[[str], Ran]) -> None:
    ran = run(sample("existing cluster") + "\nmy_flow()\n")
    assert ran.code == 1
    assert ran.run.state == "Crashed"
    assert "write tcp://" in (ran.run.message or "")


def test_priorities(run: Callable[[str], Ran]) -> None:
    assert run(sample("priority")).runs == []
    ran = run(sample("priority") + "\nmy_flow()\n")
    assert ran.code == 0, ran.err
    assert sorted(ran.lines) == ["1", "2"]
    assert ran.run.state == "Completed"


def test_resources_as_printed_never_run(run: Callable[[str], Ran]) -> None:
    ran = run(sample("resources"))
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_resources_called_directly_run_in_order_in_the_flows_process(
    run: Callable[[str], Ran],
) -> None:
    ran = run(sample("resources").replace('"main"', '"__main__"'))
    assert ran.code == 0, ran.err
    assert ran.lines == ["0", "1", "2", "3"]


def test_resources_submitted_run_on_the_worker(run: Callable[[str], Ran]) -> None:
    text = sample("resources").replace('"main"', '"__main__"')
    ran = run(re.sub(r"future = show\(", "future = show.submit(", text))
    assert ran.code == 0, ran.err
    assert sorted(ran.lines) == ["0", "1", "2", "3"]
    assert ran.run.message == "All states completed."
