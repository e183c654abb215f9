"""Does a cluster's address answer? Only a connection is tried, nothing is started there."""

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
    """Try to connect to a Dask scheduler (``tcp://host:8786``) or Ray head (``ray://host:10001``).

    Args:
        address: the address.
        seconds: how long to wait for an answer.
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
    missing = find_spec({"dask": "distributed", "ray": "ray"}[extra]) is None
    advice = f"pip install 'flowdeck[{extra}]' is needed to use it." if missing else ""
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
    return Check(name, "note" if missing else "ok", f"{host}:{number} answers", advice)
