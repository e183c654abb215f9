"""The runners that must all behave alike. A new runner adds itself here and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flowdeck.task_runners import BaseTaskRunner, ConcurrentTaskRunner, SequentialTaskRunner

if TYPE_CHECKING:
    from collections.abc import Callable

RUNNERS: dict[str, Callable[[], BaseTaskRunner]] = {
    "sequential": SequentialTaskRunner,
    "concurrent": ConcurrentTaskRunner,
    "concurrent-1": lambda: ConcurrentTaskRunner(max_workers=1),
}


@pytest.fixture(params=list(RUNNERS))
def runner(request: pytest.FixtureRequest) -> Any:
    """A task runner, not started."""
    return RUNNERS[request.param]()


@pytest.fixture
def overlapping(runner: BaseTaskRunner) -> BaseTaskRunner:
    """A runner whose tasks may overlap; others are skipped."""
    if runner.name == "sequential" or getattr(runner, "max_workers", None) == 1:
        pytest.skip("its tasks do not overlap")
    return runner
