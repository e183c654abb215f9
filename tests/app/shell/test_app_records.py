"""Several records: by name on the command line, from one to the other in the app."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from app_harness import screen_text, settle

from flowdeck import settings
from flowdeck_app import opening
from flowdeck_app.app import FlowdeckApp
from flowdeck_app.control.homes import name_of, others
from flowdeck_app.palette import Palette

AppFor = Callable[..., FlowdeckApp]


@pytest.fixture
def homes(tmp_path: Path, home: Path) -> dict[str, Path]:
    """Two named records; the test's own home is the first."""
    found = {"work": home, "private": tmp_path / "private"}
    lines = "".join(f'{name} = "{path}"\n' for name, path in found.items())
    Path(os.environ["FLOWDECK_CONFIG"]).write_text(f"[homes]\n{lines}")
    settings.reload()
    return found


def test_a_home_is_named_by_its_name_or_by_its_path(homes: dict[str, Path]) -> None:
    assert settings.home_named("private") == homes["private"]
    assert settings.home_named("elsewhere") == Path.cwd() / "elsewhere"
    assert settings.home_named("./private") == Path.cwd() / "private"
    assert settings.home_named("~/x") == Path.home() / "x"


def test_records_are_told_apart(homes: dict[str, Path]) -> None:
    assert name_of(homes["private"], homes) == "private"
    assert name_of(homes["private"], homes, "big") == "private on big"
    assert name_of(Path("/elsewhere"), homes) == ""
    assert others(homes["work"], homes) == [("private", homes["private"])]


@pytest.mark.anyio
async def test_the_palette_goes_to_another_record_and_the_title_says_which(
    app_for: AppFor, homes: dict[str, Path]
) -> None:
    app = app_for(record_name="work")
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot, lambda: "flowdeck work › Home" in screen_text(app))
        await pilot.press("colon")
        await settle(pilot, lambda: isinstance(app.screen, Palette))
        await pilot.press(*"Record")
        await settle(pilot, lambda: "Record private" in screen_text(app))
        assert "Record work" not in screen_text(app)
        await pilot.press("enter")
        await settle(pilot, lambda: app.next_home is not None)
    assert app.next_home == homes["private"]


def test_the_app_goes_on_with_the_other_record(
    homes: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWDECK_HOME", str(homes["work"]))
    seen: list[tuple[Path, str, Path]] = []

    def run(self: Any) -> None:
        seen.append((self.home, self.record_name, settings.get_settings().home))
        if len(seen) == 1:
            self.next_home = homes["private"]

    monkeypatch.setattr(FlowdeckApp, "run", run)
    assert opening.run_app(homes["work"], machine="big") == 0
    assert seen == [
        (homes["work"], "work on big", homes["work"]),
        (homes["private"], "private on big", homes["private"]),
    ]
