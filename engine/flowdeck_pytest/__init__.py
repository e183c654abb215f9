"""The pytest plugin: a fixture ``flowdeck_home``.

pytest imports this at its start, in every project whose environment has flowdeck: so it is a package
of its own that imports nothing of flowdeck before a test asks for the fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def flowdeck_home(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A record of the test's own: an empty folder as FLOWDECK_HOME, without the user's settings.

    Flows that the test runs are recorded there, in processes that it starts, too. What is recorded is
    in the folder when the flow's call returns (``flowdeck_store.read.reader.Reader.open(flowdeck_home)``).
    """
    folder = tmp_path_factory.mktemp("flowdeck")
    config = folder / "config.toml"
    config.touch()
    with monkeypatch.context() as patch:
        patch.setenv("FLOWDECK_HOME", str(folder / "home"))
        patch.setenv("FLOWDECK_CONFIG", str(config))
        from flowdeck import settings
        from flowdeck.runs import recorder as recording

        settings.reload()
        yield folder / "home"
        recording.close_all()
    settings.reload()
