"""Kept results in archives: by choice, bounded, and never more than bytes where they come to lie."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.archive.export import export_run, import_run
from flowdeck_store.archive.kept import KeptFiles
from flowdeck_store.errors import BadArchive, StoreError
from flowdeck_store.file import kept
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.read.reader import Reader
from flowdeck_store.upkeep.retention import delete_runs
from store_builder import T0, StoreBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flowdeck_store.read.records import ResultRecord

SMALL, BIG = b'"small"', b'"' + b"x" * 5000 + b'"'


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[StoreBuilder]:
    """A run with three results in two files, and one that was not kept."""
    found = StoreBuilder(tmp_path / "here")
    found.db.execute("UPDATE sessions SET ended_us = ?", (T0,))
    run = found.run("calm-owl")
    small = keep(found, SMALL)
    for no, location in ((1, small), (2, keep(found, BIG)), (3, small), (4, None)):
        found.task(run, no)
        found.result(run, no, location=location)
    yield found
    found.close()


def keep(builder: StoreBuilder, data: bytes, serializer: str = "json") -> str:
    location = kept.new_location()
    kept.write(builder.paths.results, location, kept.header_line(serializer, data, None), data)
    return location


def imported_results(home: Path, path: Path) -> dict[int, ResultRecord]:
    number = import_run(home, path).root
    with Reader.open(home) as reader:
        return {no: result for no in range(1, 5) if (result := reader.result(number, no))}


def test_values_stay_behind_unless_they_are_asked_for(
    builder: StoreBuilder, tmp_path: Path
) -> None:
    assert export_run(builder.paths.home, 1, tmp_path / "a").kept == KeptFiles()
    assert b"small" not in (tmp_path / "a").read_bytes()


def test_values_come_along_and_lie_where_nothing_is_unpickled(
    builder: StoreBuilder, tmp_path: Path
) -> None:
    done = export_run(builder.paths.home, 1, tmp_path / "a", results_bytes=10**6)
    assert (done.kept.count, done.kept.too_big, done.kept.gone) == (2, 0, 0)
    found = imported_results(tmp_path / "there", tmp_path / "a")
    results = StorePaths(tmp_path / "there").results
    assert found[1].location == found[3].location
    assert found[4].location is None
    for no, data in ((1, SMALL), (2, BIG)):
        location = found[no].location
        assert location is not None
        assert kept.is_imported(location)
        assert kept.checked((results / location).read_bytes())[1] == data
        assert found[no].size == len(data)
        assert (results / location).stat().st_mode & 0o777 == 0o600
    assert results.stat().st_mode & 0o777 == 0o700


def test_what_was_imported_can_be_exported_and_deleted_like_any_other(
    builder: StoreBuilder, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    export_run(builder.paths.home, 1, tmp_path / "a", results_bytes=10**6)
    import_run(there, tmp_path / "a")
    assert export_run(there, 1, tmp_path / "b", results_bytes=10**6).kept.count == 2
    delete_runs(there, [1])
    assert [path for path in StorePaths(there).results.rglob("*") if path.is_file()] == []
    assert import_run(tmp_path / "third", tmp_path / "b").kept.count == 2


def test_the_small_ones_come_first_and_what_does_not_fit_is_counted(
    builder: StoreBuilder, tmp_path: Path
) -> None:
    done = export_run(builder.paths.home, 1, tmp_path / "a", results_bytes=1000)
    assert (done.kept.count, done.kept.too_big) == (1, 1)
    assert done.kept.bytes < 1000
    found = imported_results(tmp_path / "there", tmp_path / "a")
    assert [no for no, result in found.items() if result.location] == [1, 3]


def test_files_that_are_gone_or_damaged_are_counted(builder: StoreBuilder, tmp_path: Path) -> None:
    with Reader.open(builder.paths.home) as reader:
        small, big = reader.result(1, 1), reader.result(1, 2)
    assert small is not None
    assert big is not None
    (builder.paths.results / str(small.location)).unlink()
    (builder.paths.results / str(big.location)).write_bytes(b"flowdeck-result 1 json 00000000\ncut")
    done = export_run(builder.paths.home, 1, tmp_path / "a", results_bytes=10**6)
    assert done.kept == KeptFiles(gone=2)


def test_a_redacted_archive_holds_no_values(builder: StoreBuilder, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="redacted"):
        export_run(builder.paths.home, 1, tmp_path / "a", redacted=True, results_bytes=1)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("sql", "message"),
    {
        "changed": ("UPDATE kept_files SET data = x'00'", "missing or damaged"),
        "loose": ("UPDATE kept_results SET file = 77", "missing or damaged"),
        "computed": (
            "DROP TABLE kept_files; CREATE TABLE kept_files(id INTEGER, data BLOB AS (zeroblob(9)))",
            "other columns",
        ),
    }.values(),
)
def test_a_tampered_value_is_refused_and_leaves_no_file(
    builder: StoreBuilder, tmp_path: Path, sql: str, message: str
) -> None:
    export_run(builder.paths.home, 1, tmp_path / "a", results_bytes=10**6)
    with closing(sqlite3.connect(tmp_path / "a")) as db:
        db.executescript(sql)
    with pytest.raises(BadArchive, match=message):
        import_run(tmp_path / "there", tmp_path / "a")
    results = StorePaths(tmp_path / "there").results
    assert [path for path in results.rglob("*") if path.is_file()] == []
    with Reader.open(tmp_path / "there") as reader:
        assert reader.runs() == []


def test_values_that_cannot_be_written_leave_the_record_as_it_was(
    builder: StoreBuilder, tmp_path: Path
) -> None:
    export_run(builder.paths.home, 1, tmp_path / "a", results_bytes=10**6)
    there = tmp_path / "there"
    there.mkdir()
    StorePaths(there).results.write_text("no folder")
    with pytest.raises(StoreError, match=r"kept results in .* cannot be written"):
        import_run(there, tmp_path / "a")
    with Reader.open(there) as reader:
        assert reader.runs() == []
