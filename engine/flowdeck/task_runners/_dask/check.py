"""Finding out what is wrong with a Dask cluster before anything is sent to it."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import socket
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import distributed
from dask.utils import parse_timedelta as _parse_timedelta
from distributed.comm.core import connect as _connect
from distributed.comm.registry import get_backend

from flowdeck.task_runners._dask import quiet, worker
from flowdeck.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds to wait for an existing cluster.
TIMEOUT: Final = 10.0
_WITH_PORT: Final = ("tcp", "tls", "ws", "wss")
_WEB: Final = ("http", "https")
_NO_SCHEDULER: Final = ("Worker", "Nanny")
connect: Final[Any] = _connect
parse_timedelta: Final[Any] = _parse_timedelta
security_class: Final[Any] = distributed.Security
_make_client: Final[Any] = distributed.Client


def check_address(address: str, client_kwargs: dict[str, Any]) -> None:
    """See whether a Dask scheduler answers.

    Dask's own client takes longer to find out, says less, and leaves threads behind.

    Args:
        address: of the scheduler.
        client_kwargs: for the client: ``timeout`` and ``security`` are heeded here too.

    Raises:
        ConnectionError: nothing answers, or something else.
        ValueError: Dask knows no such kind of address, or it has no port.
    """
    seconds = float(parse_timedelta(client_kwargs.get("timeout") or TIMEOUT))
    kind, mark, rest = address.partition("://")
    if mark and kind.lower() in _WEB:
        raise ValueError(
            f"{address!r} is the address of a web page, such as Dask's dashboard, not of a Dask "
            f"scheduler: write tcp://{rest.partition(':')[0].partition('/')[0]}:PORT, with the "
            "port that the scheduler says when it starts (8786 unless told otherwise)."
        )
    if mark:
        get_backend(address.partition("://")[0])
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme in _WITH_PORT:
        try:
            port = parts.port
        except ValueError:
            port = None
        if not parts.hostname or not port:
            raise ValueError(f"{address!r} has no port: write it as in tcp://host:8786.")
        _check_port(address, parts.hostname, port, seconds)
    with ThreadPoolExecutor(1, "flowdeck-dask-check") as pool:  # there may be a loop in this thread
        pool.submit(asyncio.run, _greet(address, seconds, client_kwargs.get("security"))).result()


def _check_port(address: str, host: str, port: int, seconds: float) -> None:
    try:
        socket.create_connection((host, port), timeout=seconds).close()
    except OSError as error:
        why = error.strerror or str(error) or type(error).__name__
        raise ConnectionError(
            f"There is no Dask scheduler at {address}: {why}. Check the address, and that the "
            "scheduler runs there and can be reached from here."
        ) from error


async def _greet(address: str, seconds: float, security: Any) -> None:
    if isinstance(security, dict):
        security = security_class(**security)
    arguments = (security or security_class()).get_connection_args("client")
    try:
        async with asyncio.timeout(seconds):
            comm = await connect(address, timeout=seconds, **arguments)
            await comm.write({"op": "identity", "reply": True})
            kind = (await comm.read())["type"]
    except (Exception, MemoryError) as error:  # the answer of something else may say anything
        raise ConnectionError(
            f"What answers at {address} does not talk like a Dask scheduler: "
            f"{type(error).__name__}: {error}. Check host and port, and whether it wants TLS."
        ) from error
    comm.abort()
    if kind in _NO_SCHEDULER:
        raise ConnectionError(
            f"What answers at {address} is a Dask {kind.lower()}, not a scheduler. Workers say in "
            "their log which scheduler they belong to."
        )


def describe(address: str, client_kwargs: dict[str, Any]) -> str:
    """Say what is at an address, after a look at whether flows could run there.

    Args:
        address: of a scheduler.
        client_kwargs: for the client.

    Raises:
        OSError: no scheduler answers there.
        RuntimeError: the cluster runs something that does not fit.
    """
    check_address(address, client_kwargs)
    with quiet.quiet():
        client: Any = _make_client(address, **{"set_as_default": False, **client_kwargs})
        try:
            check_versions(client)
            workers = client.scheduler_info(n_workers=-1)["workers"].values()
            packages = client.get_versions()["scheduler"]["packages"]
        finally:
            client.close(timeout=3)
    threads = sum(worker["nthreads"] for worker in workers)
    what = [
        f"{n} {word}{'s' * (n != 1)}" for n, word in ((len(workers), "worker"), (threads, "thread"))
    ]
    python = ".".join(packages["python"].split(".")[:3])
    there, here = packages["distributed"], version("distributed")
    fit = "which fits" if there == here else f"but {here} here; Dask wants both to be equal"
    return f"a Dask scheduler with {' and '.join(what)}: Dask {there} with Python {python}, {fit}"


# -- versions --------------------------------------------------------------------------------------------


def check_versions(client: Any) -> None:
    """Refuse a cluster whose processes could not read what they are sent.

    Workers would die of it, one after the other.

    Raises:
        RuntimeError: says which process runs what, and what to do.
    """
    for where, found in _versions_there(client):
        problem = misfit(found)
        if problem is not None:
            raise RuntimeError(f"The Dask {where} {problem}")


def _versions_there(client: Any) -> Iterator[tuple[str, Any]]:
    scheduler = client.scheduler.address
    try:
        yield f"scheduler at {scheduler}", client.run_on_scheduler(worker.versions)
    except Exception as error:
        yield f"scheduler at {scheduler}", error
    found: dict[str, Any] = {}
    with contextlib.suppress(TimeoutError):  # workers that are too busy to answer: not known
        found = client.run(worker.versions, on_error="return", callback_timeout=TIMEOUT)
    for address, answer in found.items():
        yield f"worker at {address}", answer


def misfit(found: Any) -> str | None:
    """Say in what a process of the cluster does not fit this one; ``None`` if it does.

    Args:
        found: what :func:`flowdeck.task_runners._dask.worker.versions` gave there, or raised.
    """
    wanted = f"flowdeck {__version__}"
    if isinstance(found, BaseException):
        # What cannot even unpickle its answer has its exception's text only.
        if isinstance(found, ImportError) or "ModuleNotFoundError" in str(found):
            return f"cannot import flowdeck ({found}). Install {wanted} there."
        return f"does not answer as it should: {type(found).__name__}: {found}"
    version, protocol, python = found
    if protocol != worker.PROTOCOL:
        return f"has flowdeck {version}, which does not fit. Install {wanted} there."
    here = platform.python_version()
    if python.split(".")[:2] != here.split(".")[:2]:
        return (
            f"runs Python {python}, this flow Python {here}. Functions travel between equal minor "
            "versions of Python only."
        )
    return None
