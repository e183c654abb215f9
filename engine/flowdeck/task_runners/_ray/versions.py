"""Which Ray and which Python are on the other side, and do they fit ours?"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How Ray's own error says it: first what the cluster has, then what we have.
_SAID: Final = re.compile(r"Ray: *(\S+)\s+Python: *(\S+)")
#: How much of Python's version must be equal: Ray's setting, and what it takes without.
_LEVEL: Final = "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL"


@dataclass(frozen=True)
class Versions:
    """What a process runs."""

    ray: str
    python: str

    def __str__(self) -> str:
        return f"Ray {self.ray} with Python {self.python}"

    def fits(self, other: Versions, *, client: bool) -> bool:
        """Say whether Ray lets two processes with these talk to each other.

        Args:
            other: of the other process.
            client: whether they talk through a Ray client server, which is less strict.
        """
        minor = client or os.environ.get(_LEVEL) == "minor"
        mine, others = (v.split(".")[: 2 if minor else 3] for v in (self.python, other.python))
        return self.ray == other.ray and mine == others


def import_ray() -> Any:
    """Return the module ``ray``.

    Raises:
        ImportError: it is not installed; says how to.
    """
    try:
        import ray
        import ray.util.client
    except ImportError:
        from flowdeck.task_runners import missing_extra

        raise ImportError(missing_extra("ray", "ray")) from None
    return ray


def here() -> Versions:
    """Return ours."""
    import ray

    return Versions(ray.__version__, platform.python_version())


def misfit(address: str, there: Versions) -> str:
    """Return the sentences for versions that do not fit."""
    return (
        f"Cannot use Ray at {address}: it runs {there}, this process {here()}, and Ray needs both "
        "to be equal. Install the versions of the cluster here, or start it with those of here."
    )


def versions_in(error: BaseException) -> Versions | None:
    """Return the versions of the other side that an error of Ray's names."""
    found = _SAID.search(str(error))
    return Versions(*found.groups()) if found else None


def of_head(channel: Any, timeout: float) -> Versions | None:
    """Ask a head node what it runs; ``None`` if it does not say.

    Args:
        channel: for gRPC, to its port.
        timeout: seconds for the answer.

    Raises:
        grpc.RpcError: it does not answer.
    """
    from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

    stub = gcs_service_pb2_grpc.InternalKVGcsServiceStub(channel)
    request = gcs_service_pb2.InternalKVGetRequest(key=b"CLUSTER_METADATA", namespace=b"cluster")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        found = json.loads(stub.InternalKVGet(request, timeout=timeout).value)
        return Versions(str(found["ray_version"]), str(found["python_version"]))
    return None


@contextlib.contextmanager
def translated(address: str) -> Iterator[None]:
    """Make one sentence of what Ray raises inside the block about versions.

    Raises:
        ConnectionError: the other side runs something that does not fit.
    """
    try:
        yield
    except RuntimeError as error:
        there = versions_in(error)
        if there is None:
            raise
        raise ConnectionError(misfit(address, there)) from None
