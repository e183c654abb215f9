"""What is said of a Ray that runs other versions."""

from __future__ import annotations

import pytest

from flowdeck.task_runners._ray import versions
from flowdeck.task_runners._ray.versions import Versions

pytest.importorskip("ray")
pytestmark = pytest.mark.ray

# As Ray 2.60 raised it for a cluster of Ray 2.54.
RAISED = (
    "Version mismatch: The cluster was started with:\n    Ray: 2.54.0\n    Python: 3.11.2\n"
    "This process on Ray Client was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"
)


def test_what_ray_raises_becomes_one_sentence_with_both_versions() -> None:
    with (
        pytest.raises(ConnectionError) as caught,
        versions.translated("ray://head:10001"),
    ):
        raise RuntimeError(RAISED)
    assert str(caught.value) == (
        "Cannot use Ray at ray://head:10001: it runs Ray 2.54.0 with Python 3.11.2, this process "
        f"{versions.here()}, and Ray needs both to be equal. Install the versions of the "
        "cluster here, or start it with those of here."
    )


def test_other_errors_of_ray_stay_as_they_are() -> None:
    error = RuntimeError("Perhaps you called ray.init twice: conversion failed")
    with pytest.raises(RuntimeError) as caught, versions.translated("head:6379"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("there", "native", "client"),
    [
        (Versions("2.60.0", "3.11.7"), True, True),
        (Versions("2.60.0", "3.11.9"), False, True),
        (Versions("2.60.0", "3.12.7"), False, False),
        (Versions("2.59.0", "3.11.7"), False, False),
    ],
)
def test_versions_fit_as_ray_wants_them_to(there: Versions, native: bool, client: bool) -> None:
    mine = Versions("2.60.0", "3.11.7")
    assert there.fits(mine, client=False) is native
    assert there.fits(mine, client=True) is client


def test_rays_own_setting_makes_it_less_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL", "minor")
    assert Versions("2.60.0", "3.11.9").fits(Versions("2.60.0", "3.11.7"), client=False)
