"""Who holds a slot: which task run, in which process, and whether that one lives."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from flowdeck_store import events
from flowdeck_store.events import now_us
from flowdeck_store.file.connection import connect_rw
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.record.limits import set_limit
from flowdeck_store.upkeep.slot_holders import slot_holders
from store_writing import recording

if TYPE_CHECKING:
    from pathlib import Path

UID = "c" * 32


def change_session(home: Path, **columns: object) -> None:
    with closing(connect_rw(StorePaths(home))) as conn:
        for name, value in columns.items():
            conn.execute(f"UPDATE sessions SET {name}=?", (value,))


def test_a_holder_is_known_by_its_names_and_its_process(home: Path) -> None:
    set_limit(home, "db", 2)
    set_limit(home, "api", 1)
    assert slot_holders(home, ["db"]) == []
    with recording(home) as session:
        us = now_us()
        session.emit(events.run(UID, us, flow_key="f", flow_name="f", name="calm-owl"))
        session.emit(events.task_def("t", "query", None, None, 0))
        session.emit(events.task(UID, 1, us, "t", "query-0", None, None))
        session.flush()
        session.acquire_slots(["db", "api"], UID, 1)
        session.acquire_slots(["db"], "d" * 32, 7)  # of a run that is not recorded yet
        first, second = slot_holders(home, ["db"])
        assert (first.tag, first.limit, first.run_id, first.no) == ("db", 2, 1, 1)
        assert (first.run_name, first.task_run, first.is_alive) == ("calm-owl", "query-0", True)
        assert (second.run_id, second.run_name, second.no) == (None, None, 7)
        assert [holder.tag for holder in slot_holders(home, ["api", "db", "none"])] == [
            "api", "db", "db",
        ]  # fmt: skip


def test_of_another_machine_nobody_knows_whether_it_lives_and_of_an_ended_process_all(
    home: Path,
) -> None:
    set_limit(home, "db", 1)
    with recording(home) as session:
        session.acquire_slots(["db"], UID, 1)
        change_session(home, boot_id="another", host="far")
        (holder,) = slot_holders(home, ["db"])
        assert (holder.is_here, holder.is_alive, holder.host) == (False, None, "far")
        change_session(home, ended_us=now_us())
        (holder,) = slot_holders(home, ["db"])
        assert holder.is_alive is False


def test_without_a_store_nobody_holds_anything(home: Path) -> None:
    assert slot_holders(home / "none", ["db"]) == []
