"""Pruning any store: nothing that must stay goes, whole families go, no row is left behind."""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowdeck_store.events import now_us
from flowdeck_store.states import COMPLETED, CRASHED, FAILED, RUNNING
from flowdeck_store.upkeep import retention
from store_builder import SECOND, T0, StoreBuilder

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400 * SECOND


class Planned(NamedTuple):
    """A run to be made; ``parent`` is the index of an earlier one."""

    parent: int | None
    state: int
    pinned: bool
    flow: str
    age: int


RUNS = st.lists(
    st.builds(
        Planned,
        st.none() | st.integers(0, 11),
        st.sampled_from([COMPLETED, COMPLETED, FAILED, CRASHED, RUNNING]),
        st.sampled_from([False, False, False, True]),
        st.sampled_from(["a", "b"]),
        st.integers(0, 60),
    ),
    max_size=12,
)
RULES = st.fixed_dictionaries(
    {"keep_failed": st.booleans()},
    optional={"keep_days": st.integers(0, 60), "keep_last": st.integers(0, 4)},
).filter(lambda rules: len(rules) > 1)
REFERENCES = {
    "task_runs": "id >> 24", "states": "run_id", "logs": "run_id", "failures": "run_id",
    "results": "task >> 24", "task_inputs": "task >> 24", "artifacts": "task >> 24",
    "cache": "task >> 24", "control": "run_id",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stores")


def fill(builder: StoreBuilder, runs: list[Planned]) -> list[int]:
    builder.db.execute("BEGIN")
    builder.paths.results.mkdir()
    ids: list[int] = []
    for index, run in enumerate(runs):
        parent = None if run.parent is None or run.parent >= index else ids[run.parent]
        end = T0 - run.age * DAY
        id_ = builder.run(
            state=run.state, flow=run.flow, pinned=int(run.pinned), started=end, seconds=0,
            parent_task=None if parent is None else parent << 24 | 1,
        )  # fmt: skip
        builder.task(id_, 1)
        builder.state(id_, 1)
        builder.log(id_, 1)
        builder.failure(id_, 1)
        builder.edge(id_, 1, 1)
        builder.result(id_, 1, location=str(id_))
        (builder.paths.results / str(id_)).touch()
        builder._insert("artifacts", task=id_ << 24 | 1, us=T0, kind="table", data="[]")
        builder._insert("cache", key=str(id_), task=id_ << 24 | 1, us=T0, location=str(id_))
        builder._insert("control", run_id=id_, verb="cancel", us=T0)
        ids.append(id_)
    builder.db.execute("COMMIT")
    return ids


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=40,
    deadline=None,
)
@given(runs=RUNS, rules=RULES)
def test_pruning_takes_whole_families_and_nothing_that_must_stay(
    folder: Path, runs: list[Planned], rules: dict[str, int]
) -> None:
    home = folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    with closing(StoreBuilder(home)) as builder:
        # The live runs' process beats on another machine, so that nobody ends them here.
        builder.db.execute("UPDATE sessions SET host = 'elsewhere', boot_id = 'x', beat_us = ?",
                           (now_us(),))  # fmt: skip
        ids = fill(builder, runs)
        report = retention.prune(home, now_us=T0 + 1, **rules)  # type: ignore[arg-type]
        gone = set(report.run_ids)
        left = {row[0] for row in builder.db.execute("SELECT id FROM flow_runs").fetchall()}
        assert left == set(ids) - gone
        roots = {}
        for index, (id_, run) in enumerate(zip(ids, runs, strict=True)):
            parent = None if run.parent is None or run.parent >= index else ids[run.parent]
            if parent is None:
                roots.setdefault(run.flow, []).append(id_)
            else:
                assert (id_ in gone) == (parent in gone), "a family goes together"
            if id_ in gone:
                assert run.state != RUNNING
                assert not run.pinned
                if parent is None:
                    assert run.age >= rules.get("keep_days", 0)
                    assert not (rules["keep_failed"] and run.state in {FAILED, CRASHED})
        for of_flow in roots.values():
            newest = sorted(of_flow, reverse=True)[: rules.get("keep_last", 0)]
            assert not gone & set(newest)
        for table, owner in REFERENCES.items():
            rows = builder.db.execute(f"SELECT {owner} FROM {table}").fetchall()
            assert sorted(row[0] for row in rows) == sorted(left), table
        assert {file.name for file in builder.paths.results.iterdir()} == {str(id_) for id_ in left}
        assert retention.prune(home, now_us=T0 + 1, **rules).run_ids == ()  # type: ignore[arg-type]
