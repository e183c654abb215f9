"""A Dask cluster as users run one, a scheduler and workers, each a program of its own; and a
temporary one that lasts longer than one flow run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self

from clusters import with_group

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TIMEOUT = 60.0


class Programs:
    """A scheduler and some workers; ends what it started.

    Args:
        folder: for the scheduler's file and the workers' scratch space.
        workers: how many.
        threads: of each worker.
        environment: more variables for the workers.
        options: more arguments for the workers.
    """

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 2,
        threads: int = 1,
        environment: dict[str, str] | None = None,
        options: tuple[str, ...] = (),
    ) -> None:
        self._folder = folder
        self._count = workers
        self._threads = threads
        self._environment = environment or {}
        self._options = options
        self._file = folder / "scheduler.json"
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []
        self.address = ""

    def __enter__(self) -> Self:
        try:
            self.scheduler = self._run(
                "distributed.cli.dask_scheduler",
                *("--host", "127.0.0.1", "--port", "0", "--no-dashboard"),
                *("--scheduler-file", str(self._file)),
            )
            self.address = self._wait_for_address()
            for _ in range(self._count):
                self.add_worker()
            if self._count:
                self._wait_for_workers(self._count)
        except BaseException:
            self.__exit__()
            raise
        return self

    def add_worker(self) -> None:
        """Start one more worker; does not wait for it."""
        worker = self._run(
            "distributed.cli.dask_worker",
            *(self.address, "--host", "127.0.0.1", "--no-dashboard"),
            *("--nthreads", str(self._threads), "--local-directory", str(self._folder)),
            *self._options,
            more=self._environment,
        )
        self.workers.append(worker)

    def _run(
        self, module: str, *arguments: str, more: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        log = open(self._folder / "programs.log", "ab")  # noqa: SIM115 - the child has it then
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=self._folder,  # not ours: workers cannot import the tests
                env={**os.environ, **(more or {})},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def _wait_for_address(self) -> str:
        deadline = time.monotonic() + _TIMEOUT
        while time.monotonic() < deadline:
            try:
                found: str = json.loads(self._file.read_text())["address"]
                return found
            except (OSError, ValueError, KeyError):
                time.sleep(0.05)
        raise TimeoutError("the scheduler did not start:\n" + self.log())

    def _wait_for_workers(self, count: int) -> None:
        from distributed import Client

        with Client(self.address, set_as_default=False, timeout=_TIMEOUT) as client:
            client.wait_for_workers(count, timeout=_TIMEOUT)

    def log(self) -> str:
        """Return what the programs wrote."""
        return (self._folder / "programs.log").read_text(errors="replace")

    def __exit__(self, *_: object) -> None:
        # The workers first: one whose scheduler has gone waits for seconds before it ends.
        for programs in (self.workers, [self.scheduler] if self.scheduler else []):
            for process in programs:
                process.terminate()
            for process in programs:
                # Kindly at first: who is killed leaves semaphores behind in /dev/shm.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
            for process in programs:
                # The nanny's child is in the session that we started.
                with_group(process, signal.SIGKILL)
                process.wait(10)


_lasting: list[Any] = []


@contextlib.contextmanager
def lasting(folder: Path) -> Iterator[Any]:
    """Yield a class whose only object is made by the first flow run that needs it, as temporary
    clusters are made, and that ends with the block.

    Args:
        folder: for what its workers keep on disk.
    """
    from distributed import LocalCluster

    # Looked up by name: whoever sends the class to a worker must not send the cluster with it.
    _lasting.clear()

    class Lasting(LocalCluster):  # type: ignore[misc,unused-ignore]
        def __new__(cls, **_: Any) -> Any:
            made = sys.modules["dask_programs"]._lasting
            return made[0] if made else super().__new__(cls)

        def __init__(self, **arguments: Any) -> None:
            made = sys.modules["dask_programs"]._lasting
            if not made:
                made.append(self)
                super().__init__(**{**arguments, "local_directory": str(folder)})

        def close(self, timeout: float | None = None) -> None:
            """Leave it alone: its flow run is over, others come."""

    try:
        yield Lasting
    finally:
        for cluster in _lasting:
            LocalCluster.close(cluster, timeout=10)
