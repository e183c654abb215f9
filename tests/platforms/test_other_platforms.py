"""What differs on macOS, as far as Linux can show it, and the one sentence of Windows.

``struct flock`` is compared with the layout of macOS's header; flows run in a Python without what only
Linux has (:mod:`without_linux`). The kernel of macOS itself is not here.
"""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

import pytest

from flowdeck import platforms
from flowdeck.metrics import kernel
from flowdeck.notifying import channels
from flowdeck.threads import process_table
from flowdeck_app.cli import checks
from flowdeck_store.file import file_locks, identity, without_proc
from flowdeck_store.journal import durability, segment

FLOWS = """
import os, subprocess
from pathlib import Path
from flowdeck import flow, task

@task
def work(n):
    return sum(range(n))

@task
def sleeps():
    subprocess.run(["sleep", "600"])

@flow
def etl(slow: bool = False):
    work.map([10, 1000]).result()
    if slow:
        Path("ready").write_text(str(os.getpid()))
        sleeps.submit().result()

if __name__ == "__main__":
    etl()
"""


@pytest.fixture
def there(tmp_path: Path) -> Any:
    """``there("runs")``: the command line in a Python without Linux."""
    (tmp_path / "etl.py").write_text(FLOWS)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        f"import sys\nsys.path.append({str(Path(__file__).parent)!r})\n"
        "import without_linux\nwithout_linux.install()\n"
    )
    environ = dict(os.environ, PYTHONPATH=str(tmp_path / "site"))

    def call(*words: str, program: tuple[str, ...] = ("-m", "flowdeck_app")) -> Any:
        return subprocess.run(
            [sys.executable, *program, *words], env=environ,
            cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False,
        )  # fmt: skip

    return call


# -- the lock structure --------------------------------------------------------------------------


def test_the_lock_structure_of_macos_is_that_of_its_header() -> None:
    # off_t l_start, off_t l_len, pid_t l_pid, short l_type, short l_whence; F_WRLCK is 3 there
    asked = file_locks.packed(3, (0x40000002, 510), "darwin")
    assert asked == struct.pack("<qqihh", 0x40000002, 510, 0, 3, os.SEEK_SET)
    assert len(asked) == 24
    answer = struct.pack("qqihh", 0, 0, 4711, 2, 0)
    assert file_locks.unpacked(answer, "darwin") == (2, 4711)
    assert file_locks.packed(1, (1, 2), "freebsd14") == struct.pack("qqihhi", 1, 2, 0, 1, 0, 0)


def test_the_lock_structure_of_this_system_is_understood_by_its_kernel(tmp_path: Path) -> None:
    with open(tmp_path / "locked", "w+b") as file:
        answer = fcntl.fcntl(file, fcntl.F_GETLK, file_locks.packed(fcntl.F_WRLCK, (0, 0)))
        assert file_locks.unpacked(answer) == (fcntl.F_UNLCK, 0)


# -- processes -----------------------------------------------------------------------------------


@pytest.fixture
def no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own modules find no ``/proc``."""
    pytest.importorskip("psutil")
    real_open, real_read, real_list = open, Path.read_bytes, os.listdir

    def refuse(path: Any) -> None:
        if str(path).startswith("/proc"):
            raise FileNotFoundError(2, "No such file or directory", str(path))

    def opened(path: Any, *rest: Any, **options: Any) -> Any:
        refuse(path)
        return real_open(path, *rest, **options)

    def listed(path: Any = ".") -> Any:
        refuse(path)
        return real_list(path)

    def read(self: Path) -> bytes:
        refuse(self)
        return real_read(self)

    monkeypatch.setattr(without_proc, "is_needed", lambda: True)
    monkeypatch.setattr(process_table, "open", opened, raising=False)
    monkeypatch.setattr(process_table.os, "listdir", listed)
    monkeypatch.setattr(process_table.os.path, "exists", lambda path: False)
    monkeypatch.setattr(Path, "read_bytes", read)
    monkeypatch.setattr(kernel, "_SELF", "/proc/gone/")


@pytest.fixture
def child() -> Any:
    found = subprocess.Popen(["sleep", "600"])
    yield found
    found.kill()
    found.wait()


def test_processes_are_told_apart_without_proc(no_proc: None, child: Any) -> None:
    started = identity.pid_start(child.pid)
    assert started is not None
    assert identity.process_runs(child.pid, started)
    assert not identity.process_runs(child.pid, started + 1)
    line = process_table.family([os.getpid()])
    assert {os.getpid(), child.pid} <= {process.pid for process in line}
    assert next(one for one in line if one.pid == child.pid).goes_on()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
    assert not identity.process_runs(child.pid, started)
    child.wait()
    assert identity.pid_start(child.pid) is None


def test_what_this_process_uses_is_known_without_proc(no_proc: None) -> None:
    files = kernel.OpenFiles()
    used = kernel.moment(files, children=True)
    assert used is not None
    assert used.memory > 1_000_000
    assert used.cpu_ns > 0
    assert (used.read, used.written) == (None, None)
    assert kernel.resident(files)
    assert not kernel.forget_peak(files)


def test_without_psutil_less_is_known_and_nothing_fails(
    no_proc: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(without_proc, "_psutil", lambda: None)
    assert identity.pid_start(os.getpid()) is None
    assert process_table.table() == {}
    found = process_table.read_process(os.getpid())
    assert found is not None
    assert found.session == os.getsid(0)
    assert kernel.moment(kernel.OpenFiles(), children=True) is None
    assert without_proc.boot_id("linux") is None


def test_the_name_of_a_boot_is_asked_of_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(command: list[str], **_: Any) -> Any:
        assert command == ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.CompletedProcess(command, 0, "7D1B2C3E\n")

    monkeypatch.setattr(without_proc.subprocess, "run", told)
    assert without_proc.boot_id("darwin") == "7D1B2C3E"


def test_the_desktop_of_macos_is_told_by_words_that_are_no_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "osascript"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    told = types.SimpleNamespace(title='a" & (do shell script "id")', text="-e x")
    command = channels.desktop_command(told, "darwin")  # type: ignore[arg-type]
    assert command is not None
    assert command[0] == str(program)
    assert command[-2:] == [told.title, told.text]
    assert channels.desktop_command(told, "linux") is None  # type: ignore[arg-type]


def test_doctor_knows_file_systems_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [("/", "apfs"), ("/Volumes/my share", "smbfs")]
    monkeypatch.setattr(without_proc, "mounts", lambda: found)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: (_ for _ in ()).throw(OSError()))
    lines = checks._mounts()
    assert checks.file_system_of(Path("/Volumes/my share/x"), lines) == "smbfs"
    assert checks.file_system_of(Path("/Users"), lines) == "apfs"


# -- files ---------------------------------------------------------------------------------------


def test_a_journal_has_its_place_on_the_disk_without_posix_fallocate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    made = segment.create_file(tmp_path / "journal", 2_500_000)
    made.detach()
    found = (tmp_path / "journal").stat()
    assert found.st_size == 2_500_000
    assert found.st_blocks * 512 >= 2_500_000


def test_a_disk_is_forced_with_the_call_of_macos_where_it_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    asked: list[int] = []
    monkeypatch.setattr(durability.fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(durability.fcntl, "fcntl", lambda fd, command: asked.append(command))
    assert durability.sync_file(tmp_path / "file")
    assert asked == [51]


# -- whole flows ---------------------------------------------------------------------------------


def test_a_script_runs_and_is_read_without_what_only_linux_has(there: Any) -> None:
    done = there(program=("etl.py",))
    assert done.returncode == 0, done.stderr
    assert "✓ Completed" in there("runs").stdout


@pytest.mark.long  # a dozen processes, and a wait for a killed one
def test_live_cancelled_and_killed_runs_are_told_apart_without_what_only_linux_has(
    there: Any, tmp_path: Path
) -> None:
    for words in (["--name", "asked"], ["--name", "struck"], ["--name", "lost"]):
        assert there("run", "etl.py", "-p", "slow=yes", "--detach", *words).returncode == 0
        pid = _ready(tmp_path / "ready")
        name = words[1]
        assert "▸ Running" in there("runs", f"name:{name}").stdout
        if name == "lost":
            os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + 30
            while "Crashed" not in there("runs", "name:lost").stdout:
                assert time.monotonic() < deadline
        else:
            flags = ["--kill"] if name == "struck" else []
            there("cancel", name, *flags)
            there("wait", name)
            state = there("runs", f"name:{name}").stdout
            assert "Cancelled" in state or "Crashed" in state
    assert there("run", "etl.py", "--runner", "process", "--quiet").returncode == 0


def _ready(path: Path) -> int:
    deadline = time.monotonic() + 40
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pid = int(path.read_text())
    path.unlink()
    return pid


# -- Windows -------------------------------------------------------------------------------------


def test_windows_gets_one_sentence_at_the_first_import_and_command() -> None:
    assert platforms.refusal("linux") is None
    assert platforms.refusal("darwin") is None
    with pytest.raises(ImportError, match="Linux and macOS, not on Windows itself"):
        platforms.check("win32")
    code = "import sys; sys.platform = 'win32'\n"
    done = subprocess.run(
        [sys.executable, "-c", code + "from flowdeck import flow"], capture_output=True, text=True
    )
    assert (
        done.stderr.strip().splitlines()[-1].startswith("ImportError: flowdeck runs on Linux and")
    )
    code += "from flowdeck_app.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("flowdeck: flowdeck runs on Linux and macOS")
    assert "Traceback" not in done.stderr
