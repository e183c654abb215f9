"""Flows called by applications that run on anyio's loop and have sniffio (FastAPI, Starlette)."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from flowdeck import flow, task
from flowdeck.testing import run_in_memory

sniffio = pytest.importorskip("sniffio")


@task
async def later(x: int) -> int:
    assert sniffio.current_async_library() == "asyncio"
    await anyio.sleep(0)
    return x


@flow
async def child(x: int) -> int:
    await anyio.sleep(0)
    return await later(x) + await (await later.submit(x)).result()


@flow
def sync_parent(x: int) -> int:
    return child(x) + later.submit(x).result() + later(x)  # type: ignore[operator]


@flow
async def async_parent(x: int) -> int:
    return sync_parent(x) + await child(x)


def test_a_sync_flow_calls_an_async_subflow_on_an_applications_loop() -> None:
    async def serve() -> list[Any]:
        on_the_loop = sync_parent(1)
        in_a_worker = await anyio.to_thread.run_sync(sync_parent, 1)
        in_a_thread = await asyncio.to_thread(sync_parent, 1)
        return [on_the_loop, in_a_worker, in_a_thread, await async_parent(1)]

    with run_in_memory():
        assert anyio.run(serve) == [4, 4, 4, 6]
        with anyio.from_thread.start_blocking_portal() as portal:
            assert portal.call(serve) == [4, 4, 4, 6]
        assert asyncio.run(serve()) == [4, 4, 4, 6]
        assert sync_parent(1) == 4
