"""The Ray sample of the reference page, as printed but for the import root; and with tasks in its
body and the address of a Ray that runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

from scripts import run_python, run_text

pytestmark = [pytest.mark.ray, pytest.mark.timeout(180)]

PAGE = (Path(__file__).parent.parent / "data" / "reference.txt").read_text(encoding="utf-8")
PRINTED = "ray://192.0.2.255:8786"


def sample() -> str:
    """Return the sample with the import root replaced."""
    rest = PAGE[PAGE.index("configured to access an existing Ray instance at") :]
    found = re.search(r"^from prefect import flow\n.*?^    \.\.\.", rest, re.DOTALL | re.MULTILINE)
    assert found is not None
    text = found.group().replace("prefect_ray.task_runners", "flowdeck.task_runners")
    return text.replace("prefect", "flowdeck") + "\n"


def test_naming_an_existing_ray_contacts_nothing(tmp_path: Path, home: Path) -> None:
    ran = run_text(sample(), folder=tmp_path, home=home)
    assert (ran.code, ran.out, ran.err, ran.runs) == (0, "", "", [])


def test_the_flow_runs_its_tasks_on_the_ray_it_names(
    ray_head: Any, tmp_path: Path, home: Path
) -> None:
    body = "    return [shout.submit(word).result() for word in ('a', 'b')]"
    text = sample().replace(PRINTED, ray_head.client_address).replace("    ...", body)
    script = tmp_path / "sample.py"
    script.write_text(
        "from flowdeck import task\n\n@task\ndef shout(word):\n    return word.upper()\n\n"
        f"{text}\nprint(my_flow())\n"
    )
    ran = run_python(script, home=home, timeout=120, **ray_head.environment)
    assert (ran.code, ran.lines) == (0, ["['A', 'B']"]), ran.err
    assert (ran.run.state, ran.run.runner) == ("Completed", "ray")
    flow = f"INFO    | Flow run '{ran.run.name}' - "
    assert f"{flow}Starting 'RayTaskRunner'; submitted tasks will be run in parallel..." in ran.log
    assert any(f"Connecting to an existing Ray instance at {ray_head.client_address}" in line
               for line in ran.log)  # fmt: skip
    assert [ran.states_of(task) for task in ran.tasks] == [["Pending", "Running", "Completed"]] * 2
