"""Artifacts in archives: their files come along, and names that mean harm are refused."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flowdeck_store import events as ev
from flowdeck_store.archive.export import export_run, import_run
from flowdeck_store.errors import BadArchive
from flowdeck_store.file import artifact_files
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import COMPLETED
from store_writing import Recorded, recording

if TYPE_CHECKING:
    from pathlib import Path

NAME = "0123456789abcdef.png"


@pytest.fixture
def archive(home: Path, tmp_path: Path) -> Path:
    with recording(home) as session:
        run = Recorded(session.emit)
        run.run("brave-otter")
        data = json.dumps({"size": 3, "file": NAME, "about": {"format": "png"}})
        run.emit(ev.artifact(run.uid, 0, run.us(), "image", "map", data))
        run.end(COMPLETED)
        assert session.flush()
    artifact_files.write(StorePaths(home).artifacts, run.uid, NAME, b"abc")
    export_run(home, 1, tmp_path / "a")
    return tmp_path / "a"


def test_files_come_along_and_are_left_out_of_a_redacted_archive(
    archive: Path, home: Path, tmp_path: Path
) -> None:
    import_run(tmp_path / "there", archive)
    with Reader.open(tmp_path / "there") as reader:
        (found,) = reader.shown_artifacts(1)
        assert reader.artifact_value(found) == b"abc"
        assert [one.key for one in reader.artifact_history("map")] == ["map"]
        assert reader.artifact_keys() == ["map"]
        assert reader.count_artifacts(1) == 1
    export_run(home, 1, tmp_path / "redacted", redacted=True)
    import_run(tmp_path / "other", tmp_path / "redacted")
    with Reader.open(tmp_path / "other") as reader:
        assert reader.shown_artifacts(1) == []
    assert b"abc" not in (tmp_path / "redacted").read_bytes()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE artifact_files SET name = '../../x.png'",
        "UPDATE artifact_files SET name = 'x.sh'",
        "UPDATE artifact_files SET uid = 'ffffffffffffffffffffffffffffffff'",
        "INSERT INTO artifact_files SELECT * FROM artifact_files",
        "ALTER TABLE artifact_files RENAME COLUMN data TO blob",
    ],
)
def test_files_that_are_none_are_refused_and_nothing_stays(
    archive: Path, tmp_path: Path, sql: str
) -> None:
    with closing(sqlite3.connect(archive)) as db:
        db.executescript(sql)
    with pytest.raises(BadArchive):
        import_run(tmp_path / "there", archive)
    folder = StorePaths(tmp_path / "there").artifacts
    assert not folder.exists() or not any(folder.iterdir())
    with Reader.open(tmp_path / "there") as reader:
        assert reader.count_runs() == 0


def test_names_in_the_record_lead_to_no_other_files(tmp_path: Path) -> None:
    folder, uid = tmp_path / "artifacts", "a" * 32
    (tmp_path / "secret.png").write_bytes(b"secret")
    artifact_files.write(folder, uid, NAME, b"abc")
    os.symlink(tmp_path / "secret.png", folder / uid / "1111111111111111.png")
    os.symlink(folder / uid, folder / ("b" * 32))
    for place in [
        (uid, "1111111111111111.png"), (uid, "../secret.png"), ("b" * 32, NAME), ("..", NAME)
    ]:  # fmt: skip
        assert artifact_files.read(folder, *place, 100) is None
    assert artifact_files.read(folder, uid, NAME, 2) is None
    with pytest.raises(ValueError, match="no place"):
        artifact_files.write(folder, "..", NAME, b"")
    assert artifact_files.remove(folder, "b" * 32) == (0, 0)
    assert artifact_files.remove(folder, uid)[0] == 2
    assert (tmp_path / "secret.png").exists()
