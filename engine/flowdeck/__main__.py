"""``python -m flowdeck`` is the command line, where that is installed."""

from __future__ import annotations

if __name__ == "__main__":  # spawned workers import this module again
    import runpy

    # By name: the engine knows nothing of the application.
    runpy.run_module("flowdeck_app", run_name="__main__", alter_sys=True)
