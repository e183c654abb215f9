"""A short torture of the record, and that its checks find what is wrong."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from invariants import broken
from run_torture import torture

from flowdeck import flow, task
from flowdeck.runs import recorder


@pytest.mark.slow
def test_a_record_that_is_tortured_for_some_seconds_stays_whole() -> None:
    found, did = torture(seed=20, seconds=5)
    assert found == []
    assert did["facts checked"] > 0


@task(task_run_name="{name}", log_prints=True)
def say(name: str) -> None:
    for line in range(3):
        print(f"{name} says {line}")


@pytest.fixture
def good(home: Path) -> Path:
    @flow
    def work() -> None:
        say.map(["a", "b"])

    work()
    recorder.close_all()
    return home


def test_nothing_is_wrong_with_a_record_that_is_left_alone(good: Path) -> None:
    with closing(sqlite3.connect(good / "flowdeck.db")) as conn:
        ((uid,),) = conn.execute("SELECT uid FROM flow_runs")
    assert broken(good, {(uid, "a"), (uid, "b")}) == []
    assert broken(good, {(uid, "c")}) == [f"c of {uid} was seen completed, and is not"]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("UPDATE flow_runs SET ended_us = NULL", "has not ended"),
        ("UPDATE flow_runs SET n_completed = 7", "counts"),
        ("DELETE FROM logs WHERE seq = (SELECT max(seq) FROM logs)", "log lines"),
        ("DELETE FROM states WHERE seq = (SELECT max(seq) FROM states)", "its history ends with"),
        ("INSERT INTO states(run_id, task_no, state, us) SELECT 1, 1, 2, 0", "follows the final"),
        ("DELETE FROM task_runs WHERE id = (SELECT max(id) FROM task_runs)", "is not there"),
        ("UPDATE sessions SET ended_us = NULL", "is open"),
        ("UPDATE logs SET msg = 'a says 1' WHERE msg = 'a says 2'", "its lines are"),
    ],
)
def test_what_is_wrong_is_found(good: Path, damage: str, says: str) -> None:
    with closing(sqlite3.connect(good / "flowdeck.db")) as conn:
        conn.execute(damage)
        conn.commit()
    assert any(says in sentence for sentence in broken(good, set())), broken(good, set())
