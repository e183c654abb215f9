"""Whether the kernel killed a process for its memory, and how that is said."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from flowdeck_store import kills

if TYPE_CHECKING:
    from pathlib import Path

GB = 10**9


@pytest.mark.parametrize(
    ("memory", "limit", "certain", "text"),
    [
        (None, None, False, ""),
        (None, 8 * GB, False, ""),
        (None, None, True, " Out of memory, says the kernel."),
        (7.8 * GB, 8 * GB, False,
         " Probably out of memory: the last sample said 7.8 GB of 8.0 GB."),
        (7.8 * GB, 8 * GB, True,
         " Out of memory, says the kernel: the last sample said 7.8 GB of 8.0 GB."),
        (120_400_000, 8 * GB, False, " The last sample said 120.4 MB of 8.0 GB."),
        (512, None, False, " The last sample said 512 B."),
    ],
)  # fmt: skip
def test_what_is_known_is_said_and_no_more(
    memory: float | None, limit: int | None, certain: bool, text: str
) -> None:
    number = None if memory is None else int(memory)
    assert kills.said(number, limit, certain=certain) == text


def files(monkeypatch: pytest.MonkeyPatch, found: dict[str, str], folders: set[str]) -> None:
    monkeypatch.setattr(kills, "_read", lambda path: found.get(path, "").encode())
    monkeypatch.setattr(os.path, "isdir", lambda path: path in folders)


def test_limit_and_count_of_control_groups_of_both_versions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new = {
        "/proc/self/cgroup": "0::/user/run\n",
        "/proc/meminfo": "MemTotal:       16000000 kB\n",
        "/sys/fs/cgroup/user/memory.max": "4000000000\n",
        "/sys/fs/cgroup/user/run/memory.max": "max\n",
        "/sys/fs/cgroup/user/run/memory.events": "low 0\noom 3\noom_kill 2\n",
    }
    files(monkeypatch, new, {"/sys/fs/cgroup/user", "/sys/fs/cgroup/user/run"})
    assert (kills.memory_limit(), kills.count()) == (4_000_000_000, 2)
    folder = "/sys/fs/cgroup/memory/box"
    old = {
        "/proc/self/cgroup": "4:memory:/box\n0::/\n",
        "/proc/meminfo": "MemTotal:       1000 kB\n",
        f"{folder}/memory.limit_in_bytes": "9223372036854771712\n",
        f"{folder}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n",
    }
    files(monkeypatch, old, {folder})
    assert (kills.memory_limit(), kills.count()) == (1_024_000, 7)
    files(monkeypatch, {}, set())
    assert (kills.memory_limit(), kills.count()) == (None, None)
    assert not kills.KillCount().take()


def test_each_death_takes_one_of_the_kills_that_were_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = [5]
    monkeypatch.setattr(kills, "count", lambda: counts[0])
    watch = kills.KillCount()
    assert not watch.take()
    counts[0] = 7
    assert [watch.take() for _ in range(3)] == [True, True, False]


def test_the_kernels_messages_name_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = time.time()
    up_us = int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1e6)
    monkeypatch.setattr(kills, "_kills", lambda: [(up_us - 600 * 10**6, 41), (up_us, 42)])
    assert kills.kernel_names(42, now)
    assert not kills.kernel_names(43, now)
    assert not kills.kernel_names(41, now)  # ten minutes ago: another process
    assert kills.kernel_names(41)
    line = b"6,88,1234,-;Memory cgroup out of memory: Killed process 42 (python) total-vm:1kB"
    match = kills._KILLED.match(line)
    assert match is not None
    assert match.groups() == (b"1234", b"42")
