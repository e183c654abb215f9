"""A dead process's journal that is not whole: what is missing is said, what is damaged is kept."""

from __future__ import annotations

import random
import signal
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck_store.file.paths import StorePaths
from flowdeck_store.journal import segment as seg
from flowdeck_store.journal.chain import DAMAGED
from flowdeck_store.states import COMPLETED, CRASHED
from flowdeck_store.upkeep.liveness import recover
from store_writing import one, rows, start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Three segments of log lines that are in the journal only, the run, its start and lines 0-9 in
#: the store.
DIES = """
import os, sys; from pathlib import Path; from store_writing import *; from dataclasses import replace
tuning = replace(QUICK, segment_bytes=16384)
session = RecordingSession.open(Path(sys.argv[1]), version='t', on_warning=print, tuning=tuning)
run = Recorded(session.emit).run('doomed')
for number in range(10): run.log(str(number))
session.flush()
held = session._store_file.write_lock.hold(); held.__enter__()
for number in range(10, 500): run.log(str(number))
if sys.argv[2] == 'end': run.end()
os.kill(os.getpid(), 9)
"""


def dead(home: Path, end: str = "") -> list[Path]:
    """Let a process die; return its segments, oldest first."""
    process = start(DIES, home, end)
    process.communicate(timeout=50)
    assert process.returncode == -signal.SIGKILL
    found = [(seg.read_file(path), path) for path in StorePaths(home).journal.iterdir()]
    used = sorted((part.first, path) for part, path in found if part is not None)
    assert len(used) >= 3
    return [path for _, path in used]


def records(path: Path) -> list[tuple[int, int]]:
    """Where the records of a segment begin and end."""
    found = seg.read_file(path)
    assert found is not None
    places, at = [], seg.HEADER_SIZE
    for _, data in found.records():
        end = at + seg.RECORD.size + len(data)
        places.append((at, end))
        at = end
    return places


def overwrite(path: Path, start: int, end: int, content: bytes | None = None) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(random.Random(1).randbytes(end - start) if content is None else content)


def lines(home: Path) -> list[int]:
    query = "SELECT msg FROM logs ORDER BY seq"
    return [int(msg) for (msg,) in rows(home, query) if msg.isdigit()]


def said(home: Path) -> list[str]:
    return [m for (m,) in rows(home, "SELECT msg FROM logs WHERE level=40 ORDER BY seq")]


def garble_one_message(paths: list[Path]) -> Any:
    begin, end = records(paths[1])[20]
    overwrite(paths[1], begin + seg.RECORD.size + 4, end)
    return 1, True, [paths[1]]


def zero_a_stretch_in_the_middle(paths: list[Path]) -> Any:
    places = records(paths[1])
    overwrite(paths[1], places[20][0] + 3, places[40][0] + 3, bytes(places[40][0] - places[20][0]))
    return 21, True, [paths[1]]


def zero_a_stretch_at_the_end(paths: list[Path]) -> Any:
    places = records(paths[-1])
    overwrite(paths[-1], places[5][0], places[9][0], bytes(places[9][0] - places[5][0]))
    return 1, False, [paths[-1]]


def garble_a_header(paths: list[Path]) -> Any:
    number = len(records(paths[1]))
    overwrite(paths[1], 0, 64)
    return number, True, [paths[1]]


def garble_the_last_header(paths: list[Path]) -> Any:
    overwrite(paths[-1], 0, 64)
    return 1, False, [paths[-1]]


def lose_a_segment(paths: list[Path]) -> Any:
    number = len(records(paths[1]))
    paths[1].unlink()
    return number, True, []


def cut_a_segment_short(paths: list[Path]) -> Any:
    places = records(paths[1])
    with paths[1].open("r+b") as file:
        file.truncate(places[30][0] + 2)
    return len(places) - 30, True, []


DAMAGES = [
    garble_one_message, zero_a_stretch_in_the_middle, zero_a_stretch_at_the_end, garble_a_header,
    garble_the_last_header, lose_a_segment, cut_a_segment_short,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_missing_is_said_on_the_run_and_in_its_log(
    home: Path, damage: Callable[[list[Path]], Any]
) -> None:
    paths = dead(home)
    number, is_exact, kept = damage(paths)
    contents = [path.read_bytes() for path in kept]
    (recovered,) = recover(home)
    missing = recovered.missing
    assert (missing.events, missing.is_exact, missing.kept) == (number, is_exact, kept)
    found = lines(home)
    assert found == sorted(set(found))  # in order, nothing twice
    if is_exact:
        assert len(found) == 500 - number
    least = "" if is_exact else "at least "
    text = f"{least}{number} event{' is' if number == 1 else 's are'} missing"
    assert [line[: len(text)] for line in said(home)] == [text]
    ((state, message),) = rows(home, "SELECT state,state_msg FROM flow_runs")
    assert state == CRASHED
    assert message.endswith(f" {text}.")
    aside = [path.with_name(path.name + DAMAGED) for path in kept]
    assert [path.read_bytes() for path in aside] == contents
    assert sorted(StorePaths(home).journal.iterdir()) == sorted(aside)
    assert recover(home) == []


def test_a_journal_that_a_kill_tore_misses_nothing(home: Path) -> None:
    paths = dead(home)
    begin, end = records(paths[-1])[-1]
    overwrite(paths[-1], begin + 6, end)  # the last record was being written
    (recovered,) = recover(home)
    assert recovered.missing.events == 0
    assert lines(home) == list(range(499))
    assert said(home) == []
    assert list(StorePaths(home).journal.iterdir()) == []


def test_a_run_that_ended_says_it_too(home: Path) -> None:
    paths = dead(home, "end")
    number, _, _ = garble_one_message(paths)
    assert number == 1
    recover(home)
    assert rows(home, "SELECT state,state_msg FROM flow_runs") == [
        (COMPLETED, "1 event is missing.")
    ]
    assert len(said(home)) == 1


def test_damage_in_what_the_store_has_already_costs_nothing(home: Path) -> None:
    paths = dead(home)
    begin, end = records(paths[0])[4]
    overwrite(paths[0], begin + seg.RECORD.size + 4, end)
    (recovered,) = recover(home)
    assert recovered.missing.events == 0
    assert lines(home) == list(range(500))


def test_a_run_whose_beginning_is_missing_is_counted(home: Path) -> None:
    hold = "held = session._store_file.write_lock.hold(); held.__enter__()\n"
    code = DIES.replace("session.flush()\n", "").replace(hold, "")
    code = code.replace("run = Recorded", f"session.flush(); {hold}run = Recorded")
    process = start(code, home, "")
    process.communicate(timeout=50)
    found = [(seg.read_file(path), path) for path in StorePaths(home).journal.iterdir()]
    first = min((part.first, path) for part, path in found if part is not None)[1]
    number = len(records(first))
    first.unlink()
    (recovered,) = recover(home)
    assert one(home, "SELECT count(*) FROM flow_runs") == 0
    assert recovered.missing.events == one(home, "SELECT applied FROM sessions")
    assert recovered.missing.events > number
