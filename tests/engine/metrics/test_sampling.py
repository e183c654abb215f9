"""Samples of a process: from the kernel's files to events, fewer as a run grows old."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import types
from typing import Any

import pytest

from flowdeck.metrics import gpus, kernel
from flowdeck.metrics.sampler import MOST, SampledRun, Sampler
from flowdeck.metrics.task_usage import ProcessMeter, ThreadClock
from flowdeck_store import events

MB = 1_000_000


def moment(cpu_ns: int = 0) -> kernel.Used:
    return kernel.Used(cpu_ns, 5, 1, 2, 3)


def burn(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_a_thread_is_charged_for_its_own_time_alone() -> None:
    with ThreadClock() as clock:
        burn(0.05)
    assert clock.usage is not None
    cpu_us = clock.usage[0]
    assert cpu_us is not None
    assert 50_000 <= cpu_us < 500_000


def test_a_function_that_is_alone_in_its_process_is_told_its_memory() -> None:
    meter = ProcessMeter()
    begun = meter.begin()
    block = bytearray(64 * MB)
    block[::1024] = b"x" * len(range(0, len(block), 1024))
    del block
    usage = meter.end(begun)
    assert usage is not None
    cpu_us, peak, growth, _, _ = usage
    assert cpu_us is not None
    assert cpu_us > 0
    assert growth is not None
    assert growth < 32 * MB
    if peak is not None:  # the kernel lets itself be asked
        assert peak >= 64 * MB
        again = meter.begin()
        later = meter.end(again)
        assert later is not None
        assert later[1] is not None
        assert later[1] < peak  # that of the function before does not count


def test_functions_that_overlap_are_told_no_memory() -> None:
    meter = ProcessMeter()
    first = meter.begin()
    second = meter.begin()
    assert meter.end(second) is None
    assert meter.end(first) is None
    assert meter.end(meter.begin()) is not None


def test_child_processes_belong_to_it() -> None:
    files = kernel.OpenFiles()
    alone = kernel.moment(files, children=False)
    code = "b = b'x' * 60_000_000; print(flush=True); input()"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as child:
        assert child.stdout is not None
        child.stdout.readline()
        together = kernel.moment(files, children=True)
        child.communicate(b"\n")
    assert alone is not None
    assert together is not None
    assert together.memory - alone.memory > 50 * MB


def test_what_is_not_there_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "_SELF", "/nowhere/")
    files = kernel.OpenFiles()
    assert kernel.moment(files, children=False) is None
    assert kernel.resident(files) is None
    assert kernel.peak(files) is None
    assert kernel.disk_bytes(files) == (None, None)
    assert not kernel.forget_peak(files)


def test_samples_say_the_share_of_a_processor_since_the_one_before() -> None:
    run = SampledRun("w", 1.0, children=False)
    run.begin(0)
    time.sleep(0.02)
    event = run.sample("u", moment(10_000_000))
    assert event is not None
    said = events.describe(event)
    assert 0 < said["cpu"] <= 50
    assert (said["uid"], said["worker"], said["memory"], said["threads"]) == ("u", "w", 5, 3)


def test_samples_say_what_the_process_keeps_if_that_can_be_told() -> None:
    told: list[tuple[int, int] | None] = [(900, 3), None]
    run = SampledRun("w", 1.0, children=False, stored=lambda: told.pop(0))
    said = [events.describe(run.sample("u", moment()) or ()) for _ in range(2)]
    assert [(one["stored"], one["stored_count"]) for one in said] == [(900, 3), (None, None)]


def test_a_run_that_grows_old_is_sampled_less_often_and_thinned_out() -> None:
    run = SampledRun("w", 1.0, children=False)
    kept, widths = 0, []
    for _ in range(10 * MOST):
        event = run.sample("u", moment())
        if event is None:
            continue
        kept += 1
        width = events.describe(event)["width"]
        if width is not None:
            widths.append(width)
            kept = kept // 2 + 1
        assert kept <= MOST + 1
    assert widths == [2_000_000, 4_000_000, 8_000_000, 16_000_000]


def test_only_runs_that_are_watched_are_sampled() -> None:
    said: list[Any] = []
    sampler = Sampler()
    sampler.watch("a", said.append, seconds=3600)
    sampler.watch("b", said.append, worker="w", seconds=3600)
    sampler.unwatch("b", said.append)
    sampler.tick()
    assert [event[events.UID] for event in said] == ["a"]
    sampler.unwatch("a", said.append)
    sampler.tick()
    assert len(said) == 1


class FakeLibrary(types.SimpleNamespace):
    """As much of NVML as is used."""

    def __init__(self) -> None:
        own = types.SimpleNamespace(pid=os.getpid(), usedGpuMemory=7)
        other = types.SimpleNamespace(pid=1, usedGpuMemory=100)
        on = {0: [own, other], 1: [other], 2: [own]}
        super().__init__(
            nvmlInit=lambda: None,
            nvmlDeviceGetCount=lambda: len(on),
            nvmlDeviceGetHandleByIndex=lambda number: number,
            nvmlDeviceGetComputeRunningProcesses=lambda handle: on[handle],
            nvmlDeviceGetUtilizationRates=lambda handle: types.SimpleNamespace(gpu=40.0),
        )


def test_gpus_that_the_process_is_on_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeLibrary())  # type: ignore[arg-type]
    gpus._nvml.cache_clear()
    try:
        assert gpus.used_by(os.getpid()) == (80.0, 14)
        assert gpus.used_by(2) == (None, None)
    finally:
        gpus._nvml.cache_clear()


def test_without_the_library_nothing_is_said_of_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)  # type: ignore[arg-type]
    gpus._nvml.cache_clear()
    try:
        assert gpus.used_by(os.getpid()) == (None, None)
    finally:
        gpus._nvml.cache_clear()


def test_processor_time_is_that_of_a_moment_with_and_without_children() -> None:
    files = kernel.OpenFiles()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        for children in (False, True):
            before = kernel.moment(files, children=children)
            between = kernel.processor_time(children=children)
            after = kernel.moment(files, children=children)
            assert before is not None
            assert after is not None
            assert before.cpu_ns <= between <= after.cpu_ns
        child.communicate(b"\n")


def test_a_real_gpu_says_what_this_process_has_there() -> None:
    nvml = pytest.importorskip("pynvml", reason="needs nvidia-ml-py: pip install 'flowdeck[gpu]'")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        pytest.skip(f"no GPU of NVIDIA's here: {error}")
    gpus._nvml.cache_clear()
    try:
        share, size = gpus.used_by(os.getpid())
        assert (share is None) == (size is None)
    finally:
        gpus._nvml.cache_clear()
