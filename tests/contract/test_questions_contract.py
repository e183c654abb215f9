"""A task asks a person and gets the answer under every task runner, wherever it executes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from answerer import Answerer
from flowdeck import ask, flow, task
from flowdeck.record import Record
from flowdeck.settings import using

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck.task_runners import BaseTaskRunner

pytestmark = pytest.mark.timeout(120)


@task
def ask_number() -> int:
    return ask("How many?", int)


def test_a_task_asks_and_gets_the_answer(runner: BaseTaskRunner, tmp_path: Path) -> None:
    @flow(task_runner=runner)
    def work() -> int:
        return ask_number.submit().result()

    with using(home=tmp_path, console=False):
        with Answerer(tmp_path, {"how-many": ["lots", "12"]}) as answerer:
            assert work() == 12
        with Record(tmp_path) as record:
            states = [state.name for state in record.run().tasks()[0].states]
    assert states == ["Pending", "Running", "Paused", "Running", "Completed"]
    assert len(answerer.refused) == 1
