"""What changed between two runs of a flow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from flowdeck_store import events
from flowdeck_store.explain.changes import Change, changes_between, code_changes
from flowdeck_store.packed import packed
from flowdeck_store.read.provenance import CodeRecord, ProvenancePart
from flowdeck_store.read.reader import Reader
from flowdeck_store.session import RecordingSession

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def code(python: str = "3.12", **parts: str) -> tuple[CodeRecord, ...]:
    return (
        CodeRecord("etl.clean", python, {
            f"etl.{name}": ProvenancePart(f"etl.{name}", digest, f"def {name}(): {digest}")
            for name, digest in parts.items()
        }),
    )  # fmt: skip


def test_the_function_that_changed_is_named_with_the_tasks_that_use_it() -> None:
    then = {"etl.clean": code(clean="a", helper="b"), "etl.load": code(load="c", helper="b")}
    now = {"etl.clean": code(clean="a", helper="x"), "etl.load": code(load="c", helper="x")}
    (found,) = code_changes(then, now)
    assert (found.name, found.used_by) == ("etl.helper", ("etl.clean", "etl.load"))
    assert found.unified("1", "2")[-2:] == ["-def helper(): b", "+def helper(): x"]


def test_what_a_task_uses_newly_or_no_more_changed_too() -> None:
    (gone, new) = code_changes(
        {"etl.clean": code(clean="a", old="b")}, {"etl.clean": code(clean="a", fresh="b")}
    )
    assert (gone.name, gone.before) == ("etl.fresh", None)
    assert (new.name, new.now) == ("etl.old", None)


def test_tasks_of_one_run_only_and_digests_of_other_pythons_say_nothing() -> None:
    assert code_changes({}, {"etl.clean": code(clean="a")}) == []
    assert (
        code_changes({"etl.clean": code(clean="a")}, {"etl.clean": code(python="3.13", clean="b")})
        == []
    )


class Runs:
    """Two runs, of which provenance is recorded."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.session = RecordingSession.open(home, version="1", on_warning=print)
        self.count = 0

    def run(self, params: object = None, **topics: tuple[object, str | None]) -> None:
        self.count += 1
        uid = f"{self.count:032x}"
        self.session.emit(
            events.run(
                uid, 1_000_000 * self.count, flow_key="f", flow_name="f", name=f"run{self.count}",
                params=json.dumps(params or {}), runner="concurrent",
            )
        )  # fmt: skip
        for topic, (data, text) in topics.items():
            long = None if text is None else packed(text)
            self.session.emit(events.provenance(uid, 1, topic, "", json.dumps(data), long))
        assert self.session.flush()

    def changes(self) -> list[Change]:
        with Reader.open(self.home) as reader:
            one, two = reader.run(1), reader.run(2)
            assert one is not None
            assert two is not None
            return changes_between(reader, one, two)[0]


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    found = Runs(tmp_path)
    yield found
    found.session.close()


def test_parameters_packages_and_the_repository_are_compared(runs: Runs) -> None:
    runs.run(
        {"day": 1, "old": True},
        process=({"python": "3.12.1", "env": {"TZ": "UTC"}}, None),
        packages=({"id": "a"}, "numpy==1.0\nrich==2"),
        git=({"commit": "c" * 40, "branch": "main", "dirty": False}, None),
    )
    runs.run(
        {"day": 2},
        process=({"python": "3.13.0", "env": {"TZ": "CET"}}, None),
        packages=({"id": "b"}, "numpy==2.0\nrich==2\nnew==1"),
        git=({"commit": "d" * 40, "branch": "main", "dirty": True}, "+++ b/etl.py\n+x"),
    )
    assert runs.changes() == [
        Change("parameter", "day", "1", "2"),
        Change("parameter", "old", "true", None),
        Change("python", "python", "3.12.1", "3.13.0"),
        Change("package", "numpy", "1.0", "2.0"),
        Change("package", "new", None, "1"),
        Change("variable", "TZ", "UTC", "CET"),
        Change("commit", "commit", "c" * 12, "d" * 12),
        Change("edits", "edits", "none", "1 changed file"),
    ]


def test_what_one_run_did_not_record_is_no_change(runs: Runs) -> None:
    runs.run()
    runs.run(
        process=({"python": "3.13.0"}, None),
        packages=({"id": "b"}, "numpy==2.0"),
        git=({"commit": "d" * 40}, None),
    )
    assert runs.changes() == []
