"""Every test has a home folder of its own, and no test sees the user's settings.

Clusters that tests only use are started once for all files that a worker gets.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as of_hypothesis

for _name in [n for n in os.environ if n.startswith("FLOWDECK_")]:
    del os.environ[_name]
for _name in ("VIRTUAL_ENV", "CONDA_PREFIX"):  # flows would run in whatever is active
    os.environ.pop(_name, None)
if (
    "PYTEST_XDIST_WORKER" in os.environ
):  # what this run was told is not for pytests that tests start
    os.environ.pop("PYTEST_ADDOPTS", None)

# Shells have what they start in the background ignore Ctrl-C, and nohup a hang-up; processes of tests
# inherit it.
for _signal, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, _handler)

# How long an example takes says how busy the machine is, nothing about what is tested.
of_hypothesis.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
of_hypothesis.load_profile("busy")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home folder of this test; recorders that were opened are closed at its end."""
    folder = tmp_path / "home"
    monkeypatch.setenv("FLOWDECK_HOME", str(folder))
    config = tmp_path / "config.toml"
    config.touch()
    monkeypatch.setenv("FLOWDECK_CONFIG", str(config))
    from flowdeck import settings

    settings.use_from_here(settings.Overrides({}))  # whatever an earlier test left in force
    settings.reload()
    yield folder
    from flowdeck.runs import recorder as recording

    recording.close_all()
    settings.reload()


@pytest.fixture
def loggers_as_before() -> Iterator[None]:
    """For a test that configures logging: which disables every logger that it does not name."""
    root = logging.root
    known = [
        one
        for name, one in root.manager.loggerDict.items()
        if isinstance(one, logging.Logger) and not name.startswith("flowdeck")  # they see to that
    ]
    before = [(one, one.disabled, one.level, one.propagate) for one in known]
    level, handlers = root.level, list(root.handlers)
    yield
    for one, disabled, of_one, propagate in before:
        one.disabled, one.propagate = disabled, propagate
        one.setLevel(of_one)
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


# -- clusters ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dask_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running cluster."""
    pytest.importorskip("distributed")
    from dask_programs import Programs

    with Programs(tmp_path_factory.mktemp("dask")) as programs:
        yield programs.address


@pytest.fixture(scope="module")
def lasting_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A class of temporary clusters that all are the same one, which outlives its flow runs."""
    pytest.importorskip("distributed")
    from dask_programs import lasting

    with lasting(tmp_path_factory.mktemp("dask-local")) as made:
        yield made


@pytest.fixture(scope="session")
def ray_head() -> Iterator[Any]:
    """A Ray that runs as programs of its own."""
    pytest.importorskip("ray")
    from ray_programs import RayHead

    with RayHead() as head:
        yield head


@pytest.fixture(scope="module")
def ray_token(ray_head: Any) -> Iterator[Any]:
    """That Ray, while this process has its token: not longer, other tests have Rays of theirs."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ray_head.environment.items():
            patch.setenv(name, value)
        yield ray_head


@pytest.fixture(scope="module")
def ray_connected(ray_token: Any) -> Iterator[str]:
    """Its address, while the process holds the connection that flow runs then share."""
    from ray_programs import connected

    with connected(ray_token.address):
        yield ray_token.address


# -- order ---------------------------------------------------------------------------------------------


#: Marks and folders of tests that take long, the longest first.
LONG = ("ray", "dask", "slow", "end_to_end", "app")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that the workers are done at the same time.

    Those are the ones with clusters, then other slow ones, then those with the most tests.
    """
    tests: Counter[Path] = Counter()
    rank: dict[Path, int] = {}
    for item in items:
        folders = item.nodeid.partition("::")[0].split("/")
        kinds = {mark.name for mark in item.iter_markers()}.union(folders)
        found = next((n for n, name in enumerate(LONG) if name in kinds), len(LONG))
        rank[item.path] = min(found, rank.get(item.path, found))
        tests[item.path] += 1
    items.sort(key=lambda item: (rank[item.path], -tests[item.path], str(item.path)))


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was imported: half a million objects that stay anyway, which
    it would look through dozens of times."""
    gc.collect()
    gc.freeze()


# -- reports -------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Let reports travel between processes: what tests log on purpose may be no valid text."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report
