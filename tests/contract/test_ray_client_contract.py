"""The same contract through ``ray://``: nothing but the client server's port connects the two sides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from test_runner_contract import *  # noqa: F403 - the tests are the contract
from test_shared_arguments import *  # noqa: F403

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.timeout(180), pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def ray_client(ray_token: Any) -> Iterator[str]:
    """The address of the client server, while the process holds a connection to it."""
    from ray_programs import connected

    with connected(ray_token.client_address):
        yield ray_token.client_address


@pytest.fixture
def runner(ray_client: str) -> Any:
    """A Ray runner that reaches its cluster through the client server."""
    from flowdeck.task_runners import RayTaskRunner

    return RayTaskRunner(address=ray_client)
