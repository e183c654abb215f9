"""What the tests of both cluster runners need: tasks that wait to be disturbed, servers that are no
cluster, scripts in processes of their own, and looks at what is there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowdeck import task
from flowdeck.runs import recorder as recording
from flowdeck.stopping import cancellation
from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait until something is true, and return what was found then."""
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if found := condition():
            return found
        now = time.monotonic()
        assert now < deadline, "it did not happen"
        # The pause between two looks; who looks through all processes leaves them time to end.
        time.sleep(max(0.01, 4 * (now - began)))


# -- tasks -------------------------------------------------------------------------------------------


@task
def identity(x: Any) -> Any:
    return x


@task
def length(x: Any) -> int:
    return len(x)


@task
def where() -> int:
    return os.getpid()


@task
def note_pid_and_wait(path: str) -> None:
    """Runs until the test is done with it."""
    with open(path + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(path + ".new", path)
    deadline = time.monotonic() + 120
    while os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.01)


@task
def count_call(folder: str, x: int) -> int:
    """Leaves a file for each call: nothing else tells how often it was called."""
    descriptor, _ = tempfile.mkstemp(prefix=f"{x}-", dir=folder)
    os.close(descriptor)
    time.sleep(0.002)
    return x


# -- what is there -------------------------------------------------------------------------------------


def states_of(home: Path) -> dict[int, list[str]]:
    """Return the states that each task run of the last flow run went through."""
    recording.close_all()
    with Reader.open(home) as reader:
        run = reader.resolve_run("@last")
        return {
            row.no: [state.state for state in reader.states(run.id, row.no)]
            for row in reader.tasks(run.id, limit=10_000)
        }


def is_alive(pid: int) -> bool:
    """Say whether a process is there and has not ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def processes_with(text: str) -> list[tuple[int, str]]:
    """Return pid and command line of the processes that have a text in it or in their environment,
    which what they start inherits."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and entry.name != str(os.getpid()):
            try:
                line = (entry / "cmdline").read_bytes()
                if text.encode() in line + (entry / "environ").read_bytes():
                    said = line.replace(b"\0", b" ").decode(errors="replace")
                    found.append((int(entry.name), said))
            except OSError:
                continue  # it has ended meanwhile, or is not ours
    return found


# -- disturbing ----------------------------------------------------------------------------------------


def cancel_soon() -> None:
    """Cancel the only flow run of this process, from another thread."""
    (run,) = cancellation.live.values()
    threading.Thread(target=cancellation.cancel, args=[run]).start()


def closed_port() -> int:
    """Return a port of this machine where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


#: What servers that are no cluster say: nothing at all, or something else.
ANSWERS = {"silent": b"", "http": b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10}


@contextlib.contextmanager
def impostor(answer: bytes) -> Iterator[str]:
    """Accept connections and answer each with the same; yield ``host:port``."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)

        def serve() -> None:
            connections = []
            while not stop.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                connections.append(connection)
                with contextlib.suppress(OSError):  # it was only a knock
                    connection.sendall(answer)
            for connection in connections:
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            stop.set()
            thread.join()


# -- scripts ---------------------------------------------------------------------------------------------


class Machine:
    """Runs scripts in processes of their own, with a home, a user's folder and a folder for temporary
    files of their own. A process can be connected to one Ray only, and what it leaves behind can be
    seen only when it has ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.temp = folder / "t"
        self.user = folder / "u"
        self.temp.mkdir()
        self.user.mkdir()
        self.started: list[subprocess.Popen[str]] = []

    def start(self, script: str, **environment: str) -> subprocess.Popen[str]:
        """Start a script in a session of its own."""
        file = self.folder / "the_script.py"
        file.write_text(textwrap.dedent(script))
        return self.launch(file, **environment)

    def launch(self, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
        """Start Python with arguments."""
        # Who has a token for Ray in the environment does not get one made.
        without = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=self.folder,
            env={
                **without,
                "HOME": str(self.user),
                "TMPDIR": str(self.temp),
                "FLOWDECK_HOME": str(self.home),
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_hear_ctrl_c,
        )
        self.started.append(process)
        return process

    def run(self, script: str, timeout: float = 200, **environment: str) -> tuple[Any, str]:
        """Run a script; return what its last line of output says, as JSON, and its stderr."""
        process = self.start(script, **environment)
        out, err = process.communicate(timeout=timeout)
        assert process.returncode == 0, err
        return json.loads(out.splitlines()[-1]), err

    @property
    def files(self) -> list[str]:
        """The files that are left."""
        return [str(path) for root in (self.temp, self.user) for path in root.rglob("*")]

    @property
    def processes(self) -> list[str]:
        """What its scripts started and is still there."""
        return [line for _, line in processes_with(str(self.folder))]

    @property
    def left(self) -> list[str]:
        """The files and processes that are left."""
        return self.files + self.processes

    def reader(self) -> Reader:
        """Open the record."""
        return Reader.open(self.home)


def _hear_ctrl_c() -> None:
    """Who runs tests in the background has this signal ignored, and what he starts inherits that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def machine() -> Iterator[Machine]:
    """Yield a machine whose folder is gone afterwards."""
    # Short: else Rays are made in /tmp, because the names of sockets must be.
    folder = Path(tempfile.mkdtemp(prefix="f", dir="/tmp"))
    there = Machine(folder)
    try:
        yield there
    finally:
        for process in there.started:
            if process.poll() is None:
                with_group(process, signal.SIGKILL)
                process.wait()
            for stream in (process.stdout, process.stderr):
                assert stream is not None
                stream.close()
        shutil.rmtree(folder, ignore_errors=True)


def with_group(process: subprocess.Popen[Any], number: int) -> None:
    """Send a signal to a process that we started in a session of its own, and to what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
