"""What runs want shown is bounded, plain and without secrets; what is none is refused where it is made."""

from __future__ import annotations

import datetime
import json
import math
import struct
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from flowdeck import artifact, flow, task
from flowdeck.record import Record
from flowdeck.reporting import artifact_contents
from flowdeck.reporting.pictures import checked
from flowdeck.reporting.tables import table_of
from flowdeck.runs import recorder as recording
from flowdeck.runs.recorder import MemoryRecorder, recorded_by
from flowdeck.settings import using
from flowdeck_store import events
from flowdeck_store.file.paths import StorePaths

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def png(width: int = 2, height: int = 1) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + b"\x40\x80\xff" * width for _ in range(height)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def made(work: Callable[[], Any]) -> list[tuple[str, str | None, dict[str, Any], Any]]:
    """Return kind, key, data and file of what a flow's function made."""
    memory = MemoryRecorder()
    with recorded_by(memory):
        flow(work)()
    return [
        (event[4], event[5], json.loads(event[6]), event[7])
        for event in memory.events
        if event[events.KIND] == events.ARTIFACT
    ]


def test_outside_of_runs_nothing_happens() -> None:
    artifact.table(object())
    artifact.image(b"no picture")


def test_each_kind_is_recorded_with_key_and_description() -> None:
    def work() -> None:
        artifact.table([{"a": 1}], key="t", description="rows")
        artifact.markdown("# Hi", key="m")
        artifact.link("https://example.org", "here")
        artifact.json({"a": [1, None]})
        artifact.number(True + 0.5, key="n")
        artifact.image(png(), key="i")

    table, text, link, value, number, picture = made(work)
    assert table[:2] == ("table", "t")
    assert table[2]["inline"] == {"columns": ["a"], "rows": [[1]]}
    assert table[2]["description"] == "rows"
    assert text[2]["inline"] == "# Hi"
    assert link[2]["inline"] == {"url": "https://example.org", "text": "here"}
    assert value[2]["inline"] == {"a": [1, None]}
    assert number[2]["inline"] == 1.5
    assert picture[2]["about"] == {"format": "png", "width": 2, "height": 1}
    assert picture[3] == (picture[2]["file"], png())


class Point(NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize(
    ("given", "columns", "rows"),
    [
        ([{"a": 1, "b": 2}, {"b": 3, "c": 4}], ["a", "b", "c"], [[1, 2, None], [None, 3, 4]]),
        ([(1, 2), (3,)], ["1", "2"], [[1, 2], [3, None]]),
        ([1, 2], ["1"], [[1], [2]]),
        ([Point(1, 2)], ["x", "y"], [[1, 2]]),
        ({"a": [1, 2], "b": "x"}, ["a", "b"], [[1, "x"], [2, None]]),
        (({"a": n} for n in range(2)), ["a"], [[0], [1]]),
        ([], [], []),
        ([{"t": datetime.date(2026, 1, 2), "n": math.nan, "l": [1]}], ["t", "n", "l"],
         [["2026-01-02", "nan", "[1]"]]),
    ],
)  # fmt: skip
def test_tables_of_anybody(given: Any, columns: list[str], rows: list[list[Any]]) -> None:
    found = table_of(given, 10, 10_000, None)
    assert (found.columns, found.rows, found.cut) == (columns, rows, None)


def test_a_dataframe_by_its_manners() -> None:
    class RangeIndex:
        name = None

    class Frame:
        columns = ("a", "b")
        index = RangeIndex()

        def __len__(self) -> int:
            return 2

        def itertuples(self, index: bool, name: None) -> Any:
            assert not index
            return iter([(1, "x"), (2, "y")])

    found = table_of(Frame(), 10, 10_000, None)
    assert (found.columns, found.rows, found.total) == (["a", "b"], [[1, "x"], [2, "y"]], 2)


def test_what_is_too_long_is_cut_and_says_so() -> None:
    rows = table_of([[n] for n in range(100)], 10, 10_000, None)
    assert len(rows.rows) == 10
    assert rows.cut == "of 100 rows the first 10 are kept"
    assert table_of(([n] for n in range(100)), 10, 10_000, None).cut is not None
    assert len(table_of([["x" * 900]] * 100, 1_000, 10_000, None).rows) < 12
    wide = table_of([range(300)], 10, 100_000, None)
    assert len(wide.columns) == 200
    assert "of 300 columns" in (wide.cut or "")

    def work() -> None:
        artifact.image(png(900, 900))
        artifact.markdown("x" * 3_000_000)
        artifact.json(list(range(1_000_000)))

    with using(artifact_megabytes=0):
        picture = made(lambda: artifact.image(png()))[0]
    assert "artifact_megabytes" in picture[2]["cut"]
    assert picture[3] is None
    with using(artifact_megabytes=1):
        _, text, value = made(work)
    assert "bytes the beginning is kept" in text[2]["cut"]
    assert len(text[3][1]) <= 1_000_000
    assert "too large" in value[2]["cut"]


def test_secrets_are_hidden_in_all_of_it() -> None:
    def work() -> None:
        artifact.table([{"password": "hunter2", "note": "password=hunter2"}])
        artifact.markdown("password=hunter2")
        artifact.json({"api_key": "hunter2"})
        artifact.link("https" + "://u:hunter2@example.org", "x", description="password=hunter2")

    assert "hunter2" not in repr(made(work))


def test_wrong_values_raise_where_they_are_given() -> None:
    for call, error, words in [
        (lambda: artifact.table(3), TypeError, "DataFrame"),
        (lambda: artifact.table("abc"), TypeError, "str"),
        (lambda: artifact.markdown(3), TypeError, "needs a text"),  # type: ignore[arg-type]
        (lambda: artifact.link(3), TypeError, "url must be a text"),  # type: ignore[arg-type]
        (lambda: artifact.number("x"), TypeError, "needs a number"),  # type: ignore[arg-type]
        (lambda: artifact.number(math.inf), ValueError, "finite"),
        (lambda: artifact.json(1, key=3), TypeError, "key must be"),  # type: ignore[arg-type]
        (lambda: artifact.image(3), TypeError, "Pillow"),
        (lambda: artifact.image(b"<svg xmlns=''>"), ValueError, "SVG"),
        (lambda: artifact.image("/nowhere.png"), OSError, "nowhere"),
    ]:
        with pytest.raises(error, match=words):
            made(call)


@pytest.mark.parametrize("cut", [1, 10, 20, 30, 50])
def test_a_picture_that_ends_too_early_is_refused(cut: int) -> None:
    with pytest.raises(ValueError, match=r"picture is broken|takes PNG"):
        checked(png()[:cut])


def test_a_picture_with_a_wrong_checksum_or_no_pixels_is_refused() -> None:
    whole = bytearray(png())
    whole[45] ^= 1
    with pytest.raises(ValueError, match="checksum"):
        checked(bytes(whole))
    with pytest.raises(ValueError, match=r"0 × 1"):
        checked(png(0, 1))


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"GIF89a" + struct.pack("<HH", 3, 4), ("gif", 3, 4)),
        (b"BM" + bytes(16) + struct.pack("<ii", 3, -4), ("bmp", 3, 4)),
        (b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x0b\x08" + struct.pack(">HH", 4, 3), ("jpeg", 3, 4)),
        (b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + bytes(8) + b"\x02\0\0\x03\0\0",
         ("webp", 3, 4)),
    ],
)  # fmt: skip
def test_formats_by_their_headers(data: bytes, size: tuple[str, int, int]) -> None:
    found = checked(data)
    assert (found.format, found.width, found.height) == size


def test_a_loop_gone_wild_is_stopped_with_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact_contents, "MOST_OF_A_RUN", 3)

    def work() -> None:
        for number in range(10):
            artifact.number(number)

    assert len(made(work)) == 3


@task
def train(depth: int) -> int:
    artifact.table([{"n": n} for n in range(depth * 3_000)], key="rows")
    artifact.number(depth, key="depth")
    artifact.image(png(), key="picture")
    return depth


def test_what_was_recorded_can_be_loaded_and_goes_with_its_run(tmp_path: Path) -> None:
    from flowdeck_store.upkeep import retention

    @flow
    def fit() -> None:
        train(1)
        train(2)
        artifact.markdown("x" * 40_000)

    with using(home=tmp_path, console=False):
        fit()
        recording.close_all()
        with Record(tmp_path) as record:
            run = record.run("@last")
            found = run.artifacts
            assert [one.kind for one in found] == ["table", "number", "image"] * 2 + ["markdown"]
            assert found[3].load()[-1] == {"n": 5_999}
            assert found[2].load() == png()
            assert found[6].load() == "x" * 40_000
            assert [one.key for one in run.task(1).artifacts] == ["rows", "depth", "picture"]
            assert "table 'rows' of 1.1" in repr(found[0])
            folder = StorePaths(tmp_path).artifacts / run.uid
            modes = {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()}
            assert modes == {"0o600"}
        retention.delete_runs(tmp_path, [1])
    assert not folder.exists()
