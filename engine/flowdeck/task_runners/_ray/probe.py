"""Is there a Ray at this address, and does it let us in? Asked before Ray itself connects.

Ray answers every kind of trouble (nothing there, something else there, no token) with the same
silence of 20 to 120 seconds and lines of its own on stderr. One gRPC call tells them apart within
seconds.
"""

from __future__ import annotations

import os
import socket
from typing import Any, Final

from flowdeck.task_runners._ray import versions

CLIENT: Final = "ray://"
#: Seconds for the TCP connection, and for the answer to one call.
CONNECT_TIMEOUT: Final = 5.0
ANSWER_TIMEOUT: Final = 8.0


def is_client(address: str) -> bool:
    """Say whether the address is one of the Ray client server (``ray://``)."""
    return address.startswith(CLIENT)


def check(address: str) -> versions.Versions | None:
    """Make sure that a Ray answers at the address and accepts us.

    Args:
        address: ``host:port`` of a head node, or ``ray://host:port`` of its client server.

    Returns:
        What a head node runs, if it says so. A client server says so to those who have joined.

    Raises:
        ConnectionError: it does not; says why and what to do. After 13 seconds at the latest.
        ValueError: that is no address.
        ImportError: ``ray://`` needs a package that is not installed.
    """
    host, port = host_and_port(address)
    _check_reachable(address, host, port)
    try:
        import grpc
        from ray._private.grpc_utils import init_grpc_channel
    except ImportError as error:
        if is_client(address):
            raise ImportError(
                f"Addresses with {CLIENT} need packages that are not installed ({error}): "
                "run `pip install 'flowdeck[ray]'`."
            ) from None
        return None  # a Ray of another age or without gRPC for Python: it will say itself what is wrong
    channel = init_grpc_channel(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    try:
        there = _ask(channel, is_client(address))
    except grpc.RpcError as error:
        raise ConnectionError(_explain(address, error)) from None
    finally:
        channel.close()
    if there is not None and not there.fits(versions.here(), client=False):
        raise ConnectionError(versions.misfit(address, there))
    return there


def host_and_port(address: str) -> tuple[str, int]:
    """Take an address apart.

    Raises:
        ValueError: that is no address.
    """
    rest = address.removeprefix(CLIENT)
    host, colon, port = rest.rpartition(":")
    if "://" in rest or not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(
            f"{address!r} is no address of a Ray: write 'ray://HOST:10001' for its client server, "
            "'HOST:6379' for its head node, or 'auto' for the one that runs on this machine."
        )
    return host.strip("[]"), int(port)


def _check_reachable(address: str, host: str, port: int) -> None:
    try:
        socket.create_connection((host, port), CONNECT_TIMEOUT).close()
    except OSError as error:
        why = "it did not answer in time" if isinstance(error, TimeoutError) else str(error)
        what = "--ray-client-server-port" if is_client(address) else "--port"
        raise ConnectionError(
            f"Cannot connect to Ray at {address}: {why}. Check host and port (`ray start --head "
            f"{what}=...` opens it), or leave the address out for a temporary local instance."
        ) from error


def _ask(channel: Any, client: bool) -> versions.Versions | None:
    """Make the cheapest call that needs permission."""
    if client:
        from ray.core.generated import ray_client_pb2, ray_client_pb2_grpc

        ping = ray_client_pb2.ClusterInfoRequest(type=ray_client_pb2.ClusterInfoType.PING)
        stub = ray_client_pb2_grpc.RayletDriverStub(channel)
        stub.ClusterInfo(ping, timeout=ANSWER_TIMEOUT)
        return None
    return versions.of_head(channel, ANSWER_TIMEOUT)


def _explain(address: str, error: Any) -> str:
    """Return the sentences for a call that failed at an address that is reachable."""
    code = error.code().name
    details = " ".join(str(error.details()).split())
    start = f"Cannot connect to Ray at {address}: "
    if code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        given = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
        return (
            f"{start}it refuses us ({details}). It wants {'another' if given else 'an'} "
            "authentication token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to a file with "
            "the token of the head node (there it is in ~/.ray/auth_token unless set otherwise) "
            "before Python starts."
        )
    if code == "UNIMPLEMENTED":
        if is_client(address):
            return f"{start}that port is not a Ray client server; its default port is 10001."
        return (
            f"{start}that port is not the head node's; its default port is 6379. "
            f"For a client server write {CLIENT}{address}."
        )
    if code == "DEADLINE_EXCEEDED":
        return (
            f"{start}the port is open, but no Ray answered within {ANSWER_TIMEOUT:g} seconds. "
            "Check that it is Ray's port; `ray status` on the head node shows whether Ray is well."
        )
    said = "HTTP" if "http1" in details else f"{code}: {details[:200]}"
    return (
        f"{start}what answers there is not Ray, or speaks another protocol ({said}). Check host "
        "and port."
    )
