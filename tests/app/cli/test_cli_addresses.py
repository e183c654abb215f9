"""``flowdeck doctor --address``: what is there, and what is wrong with it."""

from __future__ import annotations

import json
import platform
import re
import shlex
import time
from typing import TYPE_CHECKING, Any

import pytest

from clusters import ANSWERS, closed_port, impostor, machine
from flowdeck.task_runners import make_runner
from flowdeck_app.cli.addresses import try_address

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(120)


def address_of(cli: Any, *words: str) -> dict[str, Any]:
    """Return what ``doctor`` says of an address; it must say so within 15 seconds."""
    began = time.monotonic()
    result = cli("doctor", "--json", "--address", *words)
    assert time.monotonic() - began < 15
    lines = map(json.loads, result.stdout.splitlines())
    (found,) = [each for each in lines if each["name"] == "address"]
    assert result.exit_code == (2 if found["verdict"] == "bad" else 0)
    return dict(found)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://dask.example", "http://dask.example is not an address of Dask or Ray"),
        ("tcp://", "is not an address"),
        ("tcp://host:99999", "there is no port 99999"),
        ("tcp://no-such-host.invalid:8786", "there is no host no-such-host.invalid"),
    ],
)
def test_an_address_that_cannot_be_right_says_why(address: str, message: str) -> None:
    check = try_address(address, 5)
    assert check.verdict == "bad"
    assert message in check.found
    assert check.advice


@pytest.mark.parametrize("scheme", ["tcp://", "ray://", ""])
def test_an_address_where_nobody_listens_is_exit_code_2(cli: Any, scheme: str) -> None:
    port = closed_port()
    found = address_of(cli, f"{scheme}127.0.0.1:{port}")
    assert found["verdict"] == "bad"
    assert f"127.0.0.1:{port} refuses the connection" in found["found"]


@pytest.mark.parametrize(
    ("scheme", "says", "answer"),
    [
        pytest.param(scheme, says, ANSWERS[name], id=f"{scheme}-{name}", marks=marks)
        for scheme, name, says, *marks in [
            ("tcp", "http", "does not talk like a Dask scheduler", pytest.mark.dask),
            ("tcp", "silent", "does not talk like a Dask scheduler", pytest.mark.dask),
            ("ray", "http", "is not Ray", pytest.mark.ray),
            # It waits for 8 seconds; so do flows, of which tests/faults/test_ray_faults.py is.
            (
                "ray",
                "silent",
                "no Ray answered within 8 seconds",
                pytest.mark.ray,
                pytest.mark.long,
            ),
        ]
    ],
)
def test_something_else_that_answers_is_bad(
    cli: Any, scheme: str, says: str, answer: bytes
) -> None:
    pytest.importorskip({"tcp": "distributed", "ray": "ray"}[scheme])
    with impostor(answer) as there:
        found = address_of(cli, f"{scheme}://{there}")
    assert found["verdict"] == "bad"
    assert re.search(says, found["found"])
    assert found["advice"] or scheme == "ray"


@pytest.mark.dask
def test_a_dask_scheduler_is_asked_for_its_workers(cli: Any, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    from dask_programs import Programs

    with Programs(tmp_path, threads=2) as programs:
        found = address_of(cli, programs.address)
        assert found["verdict"] == "ok"
        import distributed

        assert found["found"] == (
            f"{programs.address}: a Dask scheduler with 2 workers and 4 threads: "
            f"Dask {distributed.__version__} with Python {platform.python_version()}, which fits"
        )


@pytest.mark.dask
def test_a_dask_that_could_not_run_a_flow_is_bad(cli: Any, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    from dask_programs import Programs

    shadow = tmp_path / "shadow" / "flowdeck"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'flowdeck'\")")
    environment = {"PYTHONPATH": str(shadow.parent)}
    with Programs(tmp_path, workers=1, environment=environment) as programs:
        found = address_of(cli, programs.address)
    assert found["verdict"] == "bad"
    assert "cannot import flowdeck" in found["found"]
    assert found["advice"].startswith("Install flowdeck")


@pytest.mark.ray
@pytest.mark.parametrize("client", [False, True], ids=["native", "client"])
def test_a_ray_lets_in_who_has_its_token(ray_head: Any, client: bool) -> None:
    address = ray_head.client_address if client else ray_head.address
    words = ("-m", "flowdeck_app", "doctor", "--address", address)
    with machine() as there:
        refused = there.launch(*words)
        out, _ = refused.communicate(timeout=60)
        assert refused.returncode == 2
        assert "it refuses us" in out
        assert "RAY_AUTH_TOKEN_PATH" in out
        accepted = there.launch(*words, **ray_head.environment)
        out, err = accepted.communicate(timeout=60)
        assert accepted.returncode == 0, out
        import ray

        runs = f"lets us in: Ray {ray.__version__} with Python {platform.python_version()}"
        assert f"{runs}, which fits" in out
        assert err == ""


OLD_RAY = """
import runpy, sys
import ray
ray.__version__ = "2.1.0"
runpy.run_module("flowdeck_app", run_name="__main__")
"""


@pytest.mark.ray
@pytest.mark.parametrize("client", [False, True], ids=["native", "client"])
def test_a_ray_of_another_version_is_bad(ray_head: Any, client: bool) -> None:
    address = ray_head.client_address if client else ray_head.address
    with machine() as there:
        words = ("-c", OLD_RAY, "doctor", "--address", address)
        asked = there.launch(*words, **ray_head.environment)
        out, err = asked.communicate(timeout=60)
    assert asked.returncode == 2
    assert f"✗ address        Cannot use Ray at {address}: it runs Ray " in out
    assert "this process Ray 2.1.0 with Python" in out
    assert err == ""


def test_the_options_in_the_help_of_run_are_options_of_their_runner(cli: Any) -> None:
    lines = [line for line in cli("run", "--help").stdout.splitlines() if "--runner-opt '" in line]
    assert lines
    for line in lines:
        words = shlex.split(line)
        option, _, text = words[words.index("--runner-opt") + 1].partition("=")
        assert make_runner(words[words.index("--runner") + 1], {option: json.loads(text)})
