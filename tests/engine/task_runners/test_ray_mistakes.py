"""Mistakes in the options of a Ray runner: told when it is made, in words that say what to do."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

ray = pytest.importorskip("ray")

from flowdeck.task_runners import RayTaskRunner  # noqa: E402
from flowdeck.task_runners import ray as module  # noqa: E402


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"address": 5}, "`address` must be a text such as 'ray://host:10001', not 5"),
        ({"address": ""}, "`address` is empty"),
        ({"init_kwargs": [1]}, "`init_kwargs` must be a dict of arguments, not [1]"),
        ({"init_kwargs": {1: 2}}, "by name, but has 1"),
        ({"init_kwargs": {"num_cpu": 2}}, "has no argument 'num_cpu'. Did you mean 'num_cpus'?"),
        ({"init_kwargs": {"num_cpus": "2"}}, "`num_cpus` in `init_kwargs` must be a number"),
        ({"init_kwargs": {"num_gpus": True}}, "`num_gpus` in `init_kwargs` must be a number"),
    ],
)
def test_what_cannot_be_meant_is_told_when_the_runner_is_made(
    options: dict[str, Any], told: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(told)):
        RayTaskRunner(**options)


def test_arguments_that_ray_takes_are_known() -> None:
    taken = set(inspect.signature(ray.init).parameters) - {"address", "kwargs"}
    assert taken <= module._INIT_ARGUMENTS
    private = (
        "_temp_dir",
        "_node_ip_address",
        "_system_config",
        "_memory",
        "_tracing_startup_hook",
    )
    RayTaskRunner(init_kwargs=dict.fromkeys(private))
