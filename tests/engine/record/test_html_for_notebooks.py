"""What notebooks show of states, futures, runs and lists of them: all texts escaped, sizes bounded."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from flowdeck import flow, task
from flowdeck.record import Record
from flowdeck.settings import using
from flowdeck.states import Completed, Failed

EVIL = "<script>alert('x')</script>\x1b[31m"
_ALLOWED = {"div", "span", "b", "br", "table", "thead", "tbody", "tr", "th", "td"}


class _Checked(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _ALLOWED
        assert [name for name, _ in attrs] in ([], ["style"])
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def shown(value: Any) -> str:
    """Return the text of what a notebook shows; tags that are not ours fail the test."""
    parser = _Checked()
    html = value._repr_html_()
    assert "\x1b" not in html
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser.text


class Evil:
    def __repr__(self) -> str:
        return EVIL


@task
def fails(x: str) -> None:
    raise ValueError(EVIL)


@pytest.mark.parametrize(
    "state", [Completed(data=Evil()), Failed(message=EVIL, name="<i>"), Completed(data="x" * 9_999)]
)
def test_states(state: Any) -> None:
    text = shown(state)
    assert state.name in text
    assert len(text) < 3_000


def test_futures_lists_of_them_and_recorded_runs(home: Path) -> None:
    kept: list[Any] = []

    @flow(flow_run_name=EVIL)
    def work() -> None:
        futures = fails.map([EVIL] * 25)
        futures.wait()
        kept.extend([futures, futures[0]])

    with using(console=False):
        work(return_state=True)
    assert "Failed" in shown(kept[1])
    listed = shown(kept[0])
    assert "25" in listed
    assert "and 5 more" in listed
    with Record(home) as record:
        run = record.run()
        assert "<script>" in shown(run)
        assert "failed of" in shown(run)
        assert "ValueError" in shown(run.tasks()[0]) or "<script>" in shown(run.tasks()[0])
        assert "and 5 more" in shown(run.tasks(""))
        assert "Failed" in shown(record.runs())
