"""What a repeated run takes over is the largest safe set, and the forecast says exactly that set."""

from __future__ import annotations

import sys
import tempfile
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowdeck.provenance.code import tasks_below
from flowdeck.reuse.forecast import Wishes, preview
from flowdeck.runs import recorder as recording
from flowdeck.runs.launch_spec import LaunchSpec, requested
from flowdeck.runs.results import ResultStore
from flowdeck.settings import using
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flowdeck_store.read.records import FlowRunRecord

HEAD = """
from types import SimpleNamespace
from flowdeck import flow, task
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner

ran = []
failing = SimpleNamespace(names=set())
"""


@dataclass(frozen=True)
class Graph:
    """Tasks, each with the earlier ones whose results it takes; and what befalls them.

    Attributes:
        upstreams: of each task.
        failing: tasks that fail in the first run.
        unkept: tasks whose results are not to be had again.
        changed: tasks whose own function was edited since.
        helped: tasks that use the function that they share.
        helper_changed: whether that was edited.
        forced: tasks that are asked for.
        direct: the flow calls tasks, instead of submitting them.
        runner: of the flow.
    """

    upstreams: tuple[tuple[int, ...], ...]
    failing: frozenset[int]
    unkept: frozenset[int]
    changed: frozenset[int]
    helped: frozenset[int]
    helper_changed: bool
    forced: frozenset[int]
    direct: bool
    runner: str
    nested: frozenset[int] = field(default=frozenset())  # take their upstreams in a list

    def source(self, later: bool) -> str:
        """Return the file, before or after the edits."""
        lines = [HEAD, f"def helper():\n    return {int(later and self.helper_changed)}\n"]
        for no, _ in enumerate(self.upstreams):
            kept = ", persist_result=False" if no in self.unkept else ""
            value = f'"".join(["result of ", "task {no}", "!" * 20])'
            lines += [
                f"@task(name='task {no}'{kept})",
                f"def n{no}(*given):",
                f"    edit = {int(later and no in self.changed)}",
                "    helper()" if no in self.helped else "    pass",
                f"    ran.append({no})",
                f"    if {no} in failing.names: raise ValueError('broken')",
                f"    return {f'[{value}]' if no in self.unkept else value}\n",
            ]
        lines += [f"@flow(task_runner={self.runner}())", "def graph():"]
        for no, ups in enumerate(self.upstreams):
            given = ", ".join(f"r{up}" for up in ups)
            given = f"[{given}]" if no in self.nested and ups else given
            call = f"n{no}({given})" if self.direct else f"n{no}.submit({given})"
            lines.append(f"    r{no} = {call}")
        waits = "" if self.direct else f"    [r.wait() for r in [{self._results()}]]\n"
        return "\n".join(lines) + f"\n{waits}    return 1 if not failing.names else None\n"

    def _results(self) -> str:
        return ", ".join(f"r{no}" for no in range(len(self.upstreams)))

    def completed(self) -> set[int]:
        """Return what completes in the first run."""
        done: set[int] = set()
        for no, ups in enumerate(self.upstreams):
            if no in self.failing:
                if self.direct:
                    break  # the flow ends there
            elif done.issuperset(ups):
                done.add(no)
        return done

    def runs_again(self) -> list[int]:
        """Return what must run again, by the definition: nothing else may."""
        again: list[int] = []
        done = self.completed()
        for no, ups in enumerate(self.upstreams):
            edited = no in self.changed or (self.helper_changed and no in self.helped)
            if (
                no not in done
                or no in self.forced
                or no in self.unkept
                or edited
                or any(up in again for up in ups)
            ):
                again.append(no)
        return again


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    size = draw(st.integers(1, 7))
    ups = tuple(
        tuple(sorted(draw(st.sets(st.integers(0, no - 1), max_size=3)))) if no else ()
        for no in range(size)
    )
    some = st.frozensets(st.integers(0, size - 1), max_size=2)
    return Graph(
        ups, draw(some), draw(some), draw(some), draw(some), draw(st.booleans()), draw(some),
        draw(st.booleans()), draw(st.sampled_from(["SequentialTaskRunner", "ConcurrentTaskRunner"])),
        draw(some),
    )  # fmt: skip


def module(source: str, folder: Path, name: str) -> Any:
    made = types.ModuleType(name)
    made.__file__ = str(folder / "graph.py")
    sys.modules[name] = made
    exec(compile(source, made.__file__, "exec", dont_inherit=True), vars(made))
    return made


def run(made: Any, home: Path) -> FlowRunRecord:
    state = made.graph(return_state=True)
    recording.recorder().flush()
    with Reader.open(home) as reader:
        found = reader.run_by_uid(state.state_details.flow_run_id)
    assert found is not None
    return found


def named(items: Iterable[Any]) -> set[int]:
    """Return the numbers of the tasks in the names of their runs."""
    return {int(item.name.split(" ")[1].partition("-")[0]) for item in items}


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        with using(home=Path(folder) / "home", console=False):
            yield Path(folder) / "home"
        assert recording.close_all()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graph=graphs())
def test_what_is_taken_over_is_the_largest_safe_set(home: Path, graph: Graph) -> None:
    folder = home.parent
    with using(home=home, console=False):
        try:
            before = module(graph.source(False), folder, "graph_before")
            before.failing.names |= graph.failing
            earlier = run(before, home)
            after = module(graph.source(True), folder, "graph_after")
            force = frozenset(f"task {no}" for no in graph.forced)
            recording.recorder().flush()
            with Reader.open(home) as reader:
                told = preview(
                    reader, earlier.id, ResultStore(StorePaths(home).results),
                    wishes=Wishes(tasks_below(after.graph.fn), force),
                )  # fmt: skip
                recorded = named(reader.tasks(earlier.id))
            spec = LaunchSpec(rerun_of=earlier.uid, reuse=True, force=tuple(force))
            with requested(spec):
                again = run(after, home)
            assert again.state == "Completed"
            assert sorted(after.ran) == graph.runs_again()
            assert named(told.again) == set(after.ran) & recorded
            assert named(told.taken) == recorded - set(after.ran)
        finally:
            for name in ("graph_before", "graph_after"):
                sys.modules.pop(name, None)
