"""Does a cluster answer at an address, and could flows run there?"""

from __future__ import annotations

import re
import socket
from importlib.util import find_spec
from typing import Final

from flowdeck_app.cli.checks import Check

#: Scheme of an address: the extra it needs and the port where there is none.
_SCHEMES: Final[dict[str, tuple[str, int]]] = {
    "tcp": ("dask", 8786),
    "tls": ("dask", 8786),
    "ws": ("dask", 8786),
    "wss": ("dask", 8786),
    "ray": ("ray", 10001),
    "": ("ray", 6379),  # host:port is how Ray names a head node
}
_PATTERN: Final = re.compile(
    r"(?:(?P<scheme>[a-z]+)://)?(?P<host>\[[^\]]+\]|[^:/\s]+)(?::(?P<port>\d+))?/?"
)


def try_address(address: str, seconds: float) -> Check:
    """Ask a Dask scheduler (``tcp://host:8786``), a Ray client server (``ray://host:10001``) or a
    Ray head node (``host:6379``) whether it is one, and whether it lets us in.

    Args:
        address: the address.
        seconds: how long to wait for a connection, and again for an answer.
    """
    name = "address"
    parts = _PATTERN.fullmatch(address.strip())
    scheme = (parts["scheme"] or "") if parts else ""
    if parts is None or scheme not in _SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in _SCHEMES if scheme)
        advice = f"Dask: tcp://host:8786, Ray: ray://host:10001 (schemes: {known})."
        return Check(name, "bad", f"{address} is not an address of Dask or Ray", advice)
    extra, port = _SCHEMES[scheme]
    host, number = parts["host"].strip("[]"), int(parts["port"] or port)
    if number > 65535:
        return Check(name, "bad", f"{address}: there is no port {number}", "ports end at 65535.")
    try:
        socket.create_connection((host, number), timeout=seconds).close()
    except socket.gaierror:
        return Check(name, "bad", f"there is no host {host}", "check the name and this network.")
    except TimeoutError:
        why = f"{host}:{number} did not answer in {seconds:g} s"
        return Check(name, "bad", why, "is it behind a firewall, or is the host down?")
    except OSError as error:
        why = f"{host}:{number} refuses the connection: {error.strerror or error}"
        return Check(name, "bad", why, f"is the {extra} cluster running there?")
    if find_spec({"dask": "distributed", "ray": "ray"}[extra]) is None:
        advice = f"pip install 'flowdeck[{extra}]' is needed to use it."
        return Check(name, "note", f"{host}:{number} answers", advice)
    whole = f"{scheme}://" * bool(scheme) + f"{parts['host']}:{number}"
    try:
        found = _ask_dask(whole, seconds) if extra == "dask" else _ask_ray(whole)
    except (OSError, RuntimeError, ImportError, ValueError) as error:
        what, _, advice = str(error).partition(". ")
        return Check(name, "bad", what, advice)
    return Check(name, "ok", f"{whole}: {found}")


def _ask_dask(address: str, seconds: float) -> str:
    from flowdeck.task_runners.dask import describe_cluster

    return describe_cluster(address, seconds)


def _ask_ray(address: str) -> str:
    from flowdeck.task_runners.ray import describe_cluster

    return describe_cluster(address)
