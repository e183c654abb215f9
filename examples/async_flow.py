"""Async tasks: twenty questions to a slow server in the time of one.

A server on this machine tells which file holds a module, after thinking for a fifth of a second. The tasks are coroutines on one event loop, so twenty of them wait together; no
thread is held.

    python examples/async_flow.py
    flowdeck show @last
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import time

from flowdeck import flow, task

MODULES = [name for name in sorted(sys.stdlib_module_names) if not name.startswith("_")][:20]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one question: the name of a module, a line."""
    name = (await reader.readline()).decode().strip()
    spec = importlib.util.find_spec(name)
    await asyncio.sleep(0.2)
    writer.write(f"{name} is in {spec.origin if spec else 'no file'}\n".encode())
    await writer.drain()
    writer.close()


@task(retries=2, timeout_seconds=5)
async def ask(port: int, name: str) -> str:
    """Ask the server about one module."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{name}\n".encode())
    line = await reader.readline()
    writer.close()
    return line.decode().strip()


@flow
async def async_flow() -> list[str]:
    """Ask about twenty modules at once."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        asked = [await ask.submit(port, name) for name in MODULES]
        return [await future.result() for future in asked]


if __name__ == "__main__":
    began = time.perf_counter()
    told = asyncio.run(async_flow())
    print(*told, sep="\n")
    print(f"{len(told)} answers of 0.2 s each in {time.perf_counter() - began:.1f} s")
