"""What a flow run that fails on Dask keeps of results whose size only their workers can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flowdeck import flow, keeping, task
from flowdeck.settings import using
from flowdeck.task_runners import DaskTaskRunner
from flowdeck_store.reader import Reader

pytest.importorskip("distributed")

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.dask, pytest.mark.timeout(180)]


@task
def rows(count: int) -> list[dict[str, int]]:
    return [{"number": number} for number in range(count)]


@task
def fail(_: Any) -> None:
    raise ValueError


@pytest.mark.parametrize(("room", "kept"), [(200, [True, True]), (8, [False, True])])
def test_values_of_many_small_parts_are_weighed_where_they_are(
    monkeypatch: pytest.MonkeyPatch, home: Path, room: int, kept: list[bool]
) -> None:
    monkeypatch.setattr(keeping, "PATIENCE", 60.0)

    @flow(task_runner=DaskTaskRunner(cluster_kwargs={"n_workers": 1, "processes": False}))
    def f() -> None:
        fail.submit([rows.submit(1_000_000), rows.submit(500_000)]).result()

    with using(keep_on_failure=room):
        assert f(return_state=True).is_failed()
    with Reader.open(home) as reader:
        run = reader.resolve_run("@last")
        results = [reader.result(run.id, no) for no in (1, 2)]
    assert [result is not None and result.location is not None for result in results] == kept
