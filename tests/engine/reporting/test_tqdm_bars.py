"""Bars of the real tqdm tell how far their run is; skipped where it is not installed."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from flowdeck import flow
from flowdeck.runs.recorder import MemoryRecorder, recorded_by
from flowdeck_store import events

tqdm = pytest.importorskip("tqdm")


def last_said(work: Any) -> tuple[Any, ...] | None:
    memory = MemoryRecorder()
    with recorded_by(memory):
        flow(work)()
    found = [event[4:] for event in memory.events if event[events.KIND] == events.PROGRESS]
    return found[-1] if found else None


def test_the_drop_in_is_tqdms_own_class_and_tells() -> None:
    from flowdeck.tqdm import tqdm as bar
    from flowdeck.tqdm import trange

    out = io.StringIO()
    assert issubclass(bar, tqdm.tqdm)
    assert last_said(lambda: list(bar(range(30), desc="rows", file=out))) == (30.0, 30.0, "rows")
    assert last_said(lambda: list(trange(4, file=out))) == (4.0, 4.0, None)
    assert "30/30" in out.getvalue()


def test_tqdm_itself_tells_once_patched_and_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        list(tqdm.tqdm(range(30), file=io.StringIO()))

    own = tqdm.std.tqdm
    monkeypatch.setattr(own, "refresh", own.refresh)  # undone afterwards
    monkeypatch.setattr(own, "close", own.close)
    assert last_said(work) is None
    from flowdeck.tqdm import patch

    try:
        assert patch()
        assert patch()
        assert last_said(work) == (30.0, 30.0, None)
        assert last_said(lambda: list(tqdm.tqdm(range(3), disable=True))) is None
    finally:
        del own._flowdeck_tells


def test_without_tqdm_there_is_nothing_to_patch(monkeypatch: pytest.MonkeyPatch) -> None:
    from flowdeck.reporting.tqdm_bars import CountingBar, drop_in, patch

    monkeypatch.setitem(sys.modules, "tqdm.std", None)
    assert not patch()
    assert drop_in() is CountingBar
