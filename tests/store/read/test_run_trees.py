"""A run with the subflow runs below it: one list of task runs, one log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flowdeck_store.read.reader import Reader
from flowdeck_store.read.tree.runs import woven
from flowdeck_store.states import FAILED
from store_builder import SECOND, T0, StoreBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def id_(run: int, no: int) -> int:
    return run << 24 | no


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Run 1 has a, sub, z; ``sub`` stands for run 2 with b, deep, x; ``deep`` for run 3 with c."""
    builder = StoreBuilder(tmp_path)
    builder.run("top")
    for no, name in enumerate(("a", "sub", "z"), 1):
        builder.task(1, no, name=name, started=T0 + (9 - no) * SECOND)
    builder.run("middle", flow="m", parent_task=id_(1, 2))
    for no, name in enumerate(("b", "deep", "x"), 1):
        builder.task(2, no, name=name)
    builder.run("bottom", flow="d", parent_task=id_(2, 2))
    builder.task(3, 1, name="c", state=FAILED)
    builder.run("other")
    builder.task(4, 1, name="elsewhere")
    for run, no in ((1, 1), (2, 1), (3, 1), (4, 1), (1, 0)):
        builder.log(run, no, f"line of {run}.{no}", level=30 if run == 3 else 20)
    builder.close()
    with Reader.open(tmp_path) as found:
        yield found


def labels(reader: Reader, ids: object) -> list[str]:
    return [task.name for task in reader.tasks_by_ids(ids)]  # type: ignore[arg-type]


def test_task_runs_of_subflows_stand_below_what_stands_for_them(reader: Reader) -> None:
    tree = reader.task_tree(1)
    assert labels(reader, tree.index.ids) == ["a", "sub", "b", "deep", "c", "x", "z"]
    assert tree.stems == {
        id_(2, 1): (True,), id_(2, 2): (True,), id_(3, 1): (True, False), id_(2, 3): (False,),
    }  # fmt: skip
    assert tree.runs[3].path == ("sub", "deep")
    assert tree.children == {id_(1, 2): 2, id_(2, 2): 3}


def test_each_run_keeps_the_order_that_is_asked_for(reader: Reader) -> None:
    tree = reader.task_tree(1, order="start")
    assert labels(reader, tree.index.ids) == ["z", "sub", "b", "deep", "c", "x", "a"]


def test_a_filter_leaves_the_way_to_what_it_lets_through(reader: Reader) -> None:
    tree = reader.task_tree(1, "state:failed")
    assert labels(reader, tree.index.ids) == ["sub", "deep", "c"]
    assert tree.stems[id_(3, 1)] == (False, False)
    assert labels(reader, reader.task_tree(1, "name:nothing").index.ids) == []


def test_folded_runs_hide_all_that_is_below_them(reader: Reader) -> None:
    tree = reader.task_tree(1, folded={2})
    assert labels(reader, tree.index.ids) == ["a", "sub", "z"]
    assert labels(reader, reader.task_tree(1, "state:failed", folded={3}).index.ids) == [
        "sub", "deep",
    ]  # fmt: skip


def test_the_logs_of_a_tree_are_one_log(reader: Reader) -> None:
    runs = [*reader.run_tree(1)]
    lines = reader.tree_logs(runs)
    assert [line.message for line in lines] == [
        "line of 1.1", "line of 2.1", "line of 3.1", "line of 1.0",
    ]  # fmt: skip
    assert [*reader.tree_log_index(runs).ids] == [line.seq for line in lines]
    assert [line.run_id for line in reader.tree_logs(runs, min_level=30)] == [3]
    assert [line.seq for line in reader.tree_logs(runs, after_seq=lines[1].seq, limit=1)] == [
        lines[2].seq
    ]
    assert [line.message for line in reader.tree_logs(runs, limit=1, tail=True)] == ["line of 1.0"]
    assert [line.run_id for line in reader.tree_logs(runs, text="OF 2")] == [2]


def test_whether_there_are_subflows_is_known(reader: Reader) -> None:
    assert reader.has_subflows(1)
    assert not reader.has_subflows(4)


def test_runs_that_lead_round_in_a_circle_are_shown_once() -> None:
    ids, stems = woven(1, {1: [11], 2: [21]}, {11: 2, 21: 1})
    assert list(ids) == [11, 21]
    assert stems == {21: (False,)}


def test_a_run_alone_is_no_tree(reader: Reader) -> None:
    tree = reader.task_tree(4)
    assert labels(reader, tree.index.ids) == ["elsewhere"]
    assert tree.index.rising
    assert not tree.stems
