"""What a task run is called where people look, and that it is found by what it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flowdeck_store.errors import Ambiguous
from flowdeck_store.labels import label_of
from flowdeck_store.read import json_shape
from flowdeck_store.read.reader import Reader
from store_builder import StoreBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[StoreBuilder]:
    found = StoreBuilder(tmp_path)
    yield found
    found.close()


@pytest.fixture
def reader(builder: StoreBuilder, tmp_path: Path) -> Iterator[Reader]:
    with Reader.open(tmp_path) as found:
        yield found


@pytest.mark.parametrize(
    ("name", "task", "map_index", "label"),
    [
        ("fetch-7633879f-3", "fetch", None, "fetch-3"),
        ("fetch-7633879f-12", "fetch", 7, "fetch[7]"),
        ("my task-7633879f-0", "my task", 0, "my task[0]"),
        ("page 7", "fetch", 7, "page 7"),  # task_run_name
        ("fetch-7", "fetch", 7, "fetch-7"),
        ("fetch-763387-7", "fetch", 7, "fetch-763387-7"),
        ("other-7633879f-3", "fetch", None, "other-7633879f-3"),
        ("fetch-7633879f-3", "", None, "fetch-7633879f-3"),  # its task is not known
        ("load-0", "load", None, "load-0"),  # stands for a subflow
        ("fetch-7633879f-3\n", "fetch", None, "fetch-7633879f-3\n"),
    ],
)
def test_only_the_name_that_was_not_given_is_shortened(
    name: str, task: str, map_index: int | None, label: str
) -> None:
    assert label_of(name, task, map_index) == label


def test_a_task_run_is_found_by_its_label_and_by_its_name(
    builder: StoreBuilder, reader: Reader
) -> None:
    run = builder.run()
    builder.task(run, 1, name="fetch-7633879f-0", map_index=0)
    builder.task(run, 2, name="fetch-7633879f-1", map_index=1)
    builder.task(run, 3, task="load", name="load-0badcafe-0")
    for ref, no in (("fetch[1]", 2), ("fetch-7633879f-1", 2), ("load-0", 3), ("fetch-1", 2)):
        assert reader.resolve_task(f"@last/{ref}").no == no
    shown = json_shape.task_run(reader.resolve_task("@last/fetch[1]"))
    assert (shown["name"], shown["label"]) == ("fetch-7633879f-1", "fetch[1]")


def test_a_task_run_that_was_given_the_name_goes_before_one_with_the_label(
    builder: StoreBuilder, reader: Reader
) -> None:
    run = builder.run()
    builder.task(run, 1, name="fetch-7633879f-0", map_index=0)
    builder.task(run, 2, name="fetch[0]")
    assert reader.resolve_task("@last/fetch[0]").no == 2


def test_the_same_label_in_two_maps_is_told_with_names_and_numbers(
    builder: StoreBuilder, reader: Reader
) -> None:
    run = builder.run()
    builder.task(run, 1, name="fetch-7633879f-0", map_index=0)
    builder.task(run, 2, name="fetch-7633879f-1", map_index=0)
    with pytest.raises(Ambiguous, match=rf"fetch-7633879f-0 \({run}\.1\).*Give its number"):
        reader.resolve_task(f"{run}/fetch[0]")


@pytest.mark.parametrize("query", ["fetch[1]", "task:fetch[1]", "name:fetch[1]", "task:fetch-1"])
def test_filters_find_labels(builder: StoreBuilder, reader: Reader, query: str) -> None:
    run = builder.run()
    for no in (1, 2):
        builder.task(run, no, name=f"fetch-7633879f-{no - 1}", map_index=no - 1)
    assert [task.no for task in reader.tasks(run, query)] == [2]


def test_labels_hold_no_wildcards(builder: StoreBuilder, reader: Reader) -> None:
    run = builder.run()
    builder.task(run, 1, task="a_b", name="a_b-7633879f-0")
    builder.task(run, 2, task="axb", name="axb-7633879f-0")
    assert [task.no for task in reader.tasks(run, "task:a_b-0")] == [1]


def test_upstreams_and_timelines_say_labels(builder: StoreBuilder, reader: Reader) -> None:
    run = builder.run()
    first = builder.task(run, 1, name="fetch-7633879f-0", map_index=0)
    second = builder.task(run, 2, task="load", name="load-0badcafe-0")
    builder.db.execute("INSERT INTO task_inputs VALUES(?, ?, 'page')", (second, first))
    (edge,) = reader.upstreams(run, [2])[2]
    assert (edge.name, edge.label) == ("fetch-7633879f-0", "fetch[0]")
    assert [row.label for row in reader.timeline(run, [1, 2])] == ["fetch[0]", "load-0"]
