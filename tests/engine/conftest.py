"""What tests of the engine share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flowdeck.testing import Record, run_in_memory


@pytest.fixture
def record() -> Iterator[Record]:
    """What the flows of this test do, in memory: no store, nothing on the console."""
    with run_in_memory() as found:
        yield found
