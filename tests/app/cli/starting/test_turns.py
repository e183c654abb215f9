"""A launched run that comes after others: it waits for them, or until it is asked to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flowdeck.runs.launch_spec import LaunchSpec
from flowdeck_app.cli.starting import turns
from flowdeck_app.cli.starting.turns import wait_for_turn
from flowdeck_store import states as st
from flowdeck_store.read.reader import Reader
from flowdeck_store.record import control
from flowdeck_store.upkeep import launches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cli_builder import Record

OWN = "e" * 32


@pytest.fixture
def looks(
    home: Path, record: Record, monkeypatch: pytest.MonkeyPatch
) -> list[Callable[[], object]]:
    """A run that goes on, and one that waits for it; what happens at each look at the record."""
    uid = record.run(code=st.RUNNING)
    launches.create_run(
        home, flow_key="x", flow_name="x", name="later", uid=OWN, message="It waits."
    )
    acts: list[Callable[[], object]] = []

    def changes(reader: Reader) -> Iterator[bool]:
        for act in acts:
            act()
            yield True
        pytest.fail("it still waits")

    monkeypatch.setattr(turns, "changes", changes)
    assert uid == f"{1:032x}"
    return acts


SPEC = LaunchSpec(uid=OWN, after=(f"{1:032x}", "f" * 32))  # the second is not in the record


def test_it_waits_until_the_run_before_has_ended(
    looks: list[Callable[[], object]], record: Record, home: Path
) -> None:
    looks += [
        lambda: None,
        lambda: record.state(SPEC.after[0], 0, st.COMPLETED),
        record.session.flush,
    ]
    wait_for_turn(SPEC)
    with Reader.open(home) as reader:
        assert reader.runs("state:running") == []
        assert [run.message for run in reader.runs("name:later")] == ["It waits."]


def test_it_begins_at_once_when_it_is_asked_to_cancel(
    looks: list[Callable[[], object]], home: Path
) -> None:
    looks += [lambda: None, lambda: control.request(home, 2, control.CANCEL)]
    wait_for_turn(SPEC)
