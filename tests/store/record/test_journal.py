"""The journal: what was written can be read again, and nothing else."""

from __future__ import annotations

import marshal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowdeck_store.journal import chain
from flowdeck_store.journal import segment as seg
from flowdeck_store.record.intake import Intake

if TYPE_CHECKING:
    from pathlib import Path

UID = "5" * 32
SMALL = 8192


def make(folder: Path, segment_bytes: int = SMALL) -> tuple[chain.Journal, Intake]:
    folder.mkdir(exist_ok=True)
    journal = chain.Journal(folder, UID, {"uid": UID, "pid": 1}, segment_bytes)
    intake = Intake(
        journal, wake=lambda: None, on_cache=lambda event: None, queue_cap=10**6, quota=10**9
    )
    return journal, intake


def event(number: int, size: int = 10) -> tuple[int, int, str]:
    return (5, number, "x" * size)


def left(folder: Path) -> list[tuple[int, int]]:
    """Return (number, number in the event) of all records that a dead session left."""
    found = []
    for part in chain.find_left([folder], UID):
        for number, (lost, data) in enumerate(part.read(), part.first):
            assert lost == 0
            found.append((number, marshal.loads(data)[1]))
    return found


def test_what_was_written_is_read_in_order_by_another_process(tmp_path: Path) -> None:
    _, intake = make(tmp_path / "j")
    for number in range(1000):
        intake.append(event(number))
    assert left(tmp_path / "j") == [(n, n) for n in range(1000)]


def test_files_are_private_and_carry_the_identity(tmp_path: Path) -> None:
    make(tmp_path / "j")
    (file,) = (tmp_path / "j").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.stat().st_blocks * 512 >= SMALL  # allocated, not sparse
    (part,) = chain.find_left([tmp_path / "j"], UID)
    assert part.info == {"uid": UID, "pid": 1}


def test_a_used_again_segment_shows_no_record_of_its_former_use(tmp_path: Path) -> None:
    journal, intake = make(tmp_path / "j")
    number = 0
    while len(list((tmp_path / "j").iterdir())) < 3:
        intake.append(event(number))
        number += 1
    journal.free(intake.emitted)
    for _ in range(300):  # goes on in a segment that is full of old records of the same sizes
        intake.append(event(number))
        number += 1
    found = left(tmp_path / "j")
    assert found == [(n, n) for n in range(found[0][0], number)]
    assert found[0][0] > 0
    assert len(list((tmp_path / "j").iterdir())) == 3


@given(cut=st.integers(min_value=seg.HEADER_SIZE, max_value=SMALL - 1), junk=st.binary(max_size=40))
@settings(max_examples=60, deadline=None)
def test_a_torn_tail_ends_the_journal_and_spoils_nothing_before_it(
    tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    _, intake = make(folder, segment_bytes=SMALL)
    ends = []
    for number in range(60):
        intake.append(event(number, size=number))
        ends.append(intake._pos)
    (file,) = folder.iterdir()
    data = file.read_bytes()
    file.write_bytes((data[:cut] + junk).ljust(SMALL, b"\0"))
    whole = sum(1 for end in ends if end <= cut)
    found = left(folder)
    # Junk that happens to continue the record correctly cannot be told from it.
    assert found[:whole] == [(n, n) for n in range(whole)]
    assert found == [(n, n) for n in range(len(found))]


def test_a_record_with_a_flipped_bit_is_not_believed(tmp_path: Path) -> None:
    _, intake = make(tmp_path / "j")
    places = []
    for number in range(10):
        places.append(intake._pos)
        intake.append(event(number))
    (file,) = (tmp_path / "j").iterdir()
    data = bytearray(file.read_bytes())
    data[places[7] + seg.RECORD.size + 3] ^= 1
    file.write_bytes(data)
    (part,) = chain.find_left([tmp_path / "j"], UID)
    found = [(lost, marshal.loads(data)[1]) for lost, data in part.read()]
    assert found == [*((0, n) for n in range(7)), (1, 8), (0, 9)]
    assert part.is_damaged


def test_files_of_others_and_unused_segments_are_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "j"
    make(folder)
    (folder / f"{UID}-9.jrn").write_bytes(b"\0" * SMALL)
    (folder / f"{'6' * 32}-1.jrn").write_bytes(b"other")
    (folder / "notes.txt").write_text("mine")
    assert [part.first for part in chain.find_left([folder], UID)] == [0]
    chain.delete_left([folder], UID)
    assert sorted(f.name for f in folder.iterdir()) == [f"{'6' * 32}-1.jrn", "notes.txt"]


def test_a_header_with_a_wrong_checksum_is_damage(tmp_path: Path) -> None:
    _, intake = make(tmp_path / "j")
    intake.append(event(0))
    (file,) = (tmp_path / "j").iterdir()
    data = bytearray(file.read_bytes())
    data[14] ^= 1  # the number of the first record
    for content in (bytes(data), b"short"):
        file.write_bytes(content)
        (found,) = chain.find_left([tmp_path / "j"], UID)
        assert (found.is_readable, found.is_damaged) == (False, True)


def test_a_header_whose_writing_was_interrupted_is_an_unused_segment(tmp_path: Path) -> None:
    make(tmp_path / "j")
    (file,) = (tmp_path / "j").iterdir()
    data = bytearray(file.read_bytes())
    data[40:60] = bytes(20)
    file.write_bytes(data)
    assert chain.find_left([tmp_path / "j"], UID) == []


def test_an_event_larger_than_a_segment_gets_one_of_its_own(tmp_path: Path) -> None:
    journal, intake = make(tmp_path / "j")
    intake.append(event(0))
    intake.append(event(1, size=5 * SMALL))
    intake.append(event(2))
    assert left(tmp_path / "j") == [(0, 0), (1, 1), (2, 2)]
    assert [len(e[2]) for e in journal.read(journal.cursor(0), 3, 10)] == [10, 5 * SMALL, 10]


def test_reading_can_begin_at_any_record_and_crosses_segments(tmp_path: Path) -> None:
    journal, intake = make(tmp_path / "j")
    for number in range(900):
        intake.append(event(number))
    for begin in (0, 1, 449, 898, 899):
        cursor, found = journal.cursor(begin), []
        while part := journal.read(cursor, 900, 100):
            found += [e[1] for e in part]
        assert found == list(range(begin, 900))
    assert journal.read(journal.cursor(900), 900, 10) == []


def test_a_reader_goes_on_when_the_segment_that_it_finished_is_freed(tmp_path: Path) -> None:
    journal, intake = make(tmp_path / "j")
    for number in range(900):
        intake.append(event(number))
    end_of_first = journal._chain[1].first
    cursor = journal.cursor(0)
    assert len(journal.read(cursor, end_of_first, 10**6)) == end_of_first
    journal.free(end_of_first)
    assert [e[1] for e in journal.read(cursor, 900, 10**6)] == list(range(end_of_first, 900))


def test_freeing_keeps_what_is_not_applied(tmp_path: Path) -> None:
    journal, intake = make(tmp_path / "j")
    for number in range(900):
        intake.append(event(number))
    journal.free(500)
    assert 0 < journal.first <= 500
    assert left(tmp_path / "j")[-1] == (899, 899)
    assert left(tmp_path / "j")[0][0] == journal.first
    journal.free(900)
    assert journal.current.first == journal.first  # the one being written stays


def test_without_a_folder_the_journal_is_in_memory_and_says_why(tmp_path: Path) -> None:
    journal = chain.Journal(tmp_path / "gone", UID, {}, SMALL)
    intake = Intake(
        journal, wake=lambda: None, on_cache=lambda e: None, queue_cap=10**6, quota=10**9
    )
    for number in range(300):
        intake.append(event(number))
    assert journal.place is None
    assert isinstance(journal.error, FileNotFoundError)
    assert [e[1] for e in journal.read(journal.cursor(0), 300, 999)] == list(range(300))


def test_a_second_folder_is_used_when_the_first_cannot_be_written(tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    journal = chain.Journal(tmp_path / "gone", UID, {}, SMALL, fallback=lambda: second)
    journal.roll(0, 10)
    assert journal.place == second


def test_closing_deletes_the_files_only_when_told_that_all_is_stored(tmp_path: Path) -> None:
    journal, intake = make(tmp_path / "j")
    intake.append(event(0))
    journal.prepare()
    journal.close(delete=False)
    assert left(tmp_path / "j") == [(0, 0)]
    journal, _ = make(tmp_path / "k")
    journal.close(delete=True)
    assert list((tmp_path / "k").iterdir()) == []


def test_a_huge_identity_is_refused() -> None:
    with pytest.raises(ValueError, match="identity"):
        seg.encode_info({"uid": "x" * 5000})


def test_checksums_depend_on_the_use_of_the_segment(tmp_path: Path) -> None:
    journal, intake = make(tmp_path / "j")
    first_seed = journal.current.seed
    assert intake.emitted == 0
    assert journal.roll(0, 10).seed != first_seed
    data = marshal.dumps((1,))
    assert seg.checksum(data) ^ first_seed != seg.checksum(data) ^ journal.current.seed
