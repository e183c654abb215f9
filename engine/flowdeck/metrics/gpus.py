"""What a process uses of NVIDIA's GPUs, if ``pynvml`` is installed and finds any.

Looked for once a process, on the sampler's thread: loading the driver's library takes a while.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any


@cache
def _nvml() -> tuple[Any, list[Any]]:
    """Return the library and the GPUs; ``None`` and none if there are none."""
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
        handles = [
            nvml.nvmlDeviceGetHandleByIndex(number) for number in range(nvml.nvmlDeviceGetCount())
        ]
    except Exception:  # not installed, no driver, no permission: of its own classes
        return None, []
    return nvml, handles


def used_by(pid: int) -> tuple[float | None, int | None]:
    """Return how busy the GPUs are that a process is on, in percent of one, and how many bytes it
    has on them; ``None`` where it is on none or nobody can tell."""
    nvml, handles = _nvml()
    busy, size, found = 0.0, 0, False
    for handle in handles:
        try:
            own = [p for p in nvml.nvmlDeviceGetComputeRunningProcesses(handle) if p.pid == pid]
            if not own:
                continue
            found = True
            size += sum(process.usedGpuMemory or 0 for process in own)
            busy += nvml.nvmlDeviceGetUtilizationRates(handle).gpu
        except Exception:  # a GPU that does not say
            continue
    return (busy, size) if found else (None, None)
