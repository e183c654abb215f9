"""What tasks and flows say of their progress, and want shown, is recorded under every task runner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flowdeck import artifact, flow, progress, task, track
from flowdeck.runs import recorder as recording
from flowdeck.settings import using
from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck.task_runners import BaseTaskRunner

pytestmark = pytest.mark.timeout(120)


@task
def count(number: int) -> int:
    artifact.number(number, key="rows")
    artifact.markdown("x" * 50_000, key="long")
    return sum(1 for _ in track(range(number), message="rows"))


@task
async def count_async(number: int) -> int:
    for done in range(number):
        progress(done + 1, number)
    return number


def test_the_last_that_a_task_says_is_recorded(runner: BaseTaskRunner, tmp_path: Path) -> None:
    @flow(task_runner=runner)
    def work() -> int:
        progress(1, 2, "calling")
        futures = [count.submit(300), count_async.submit(200)]
        return sum(future.result() for future in futures)

    with using(home=tmp_path, console=False):
        assert work() == 500
        recording.close_all()
        with Reader.open(tmp_path) as reader:
            first, second = reader.tasks(1)
            own = reader.progress(1)
            number, text = reader.shown_artifacts(1)
            whole = reader.artifact_value(text)
    assert (number.key, number.number, number.ref) == ("rows", 300, "1.1")
    assert text.file is not None
    assert whole == "x" * 50_000
    assert first.progress is not None
    assert (first.progress.done, first.progress.total) == (300, 300)
    assert first.progress.message == "rows"
    assert second.progress is not None
    assert second.progress.done == 200
    assert own is not None
    assert own.message == "calling"
