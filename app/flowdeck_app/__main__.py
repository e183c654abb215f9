"""``python -m flowdeck_app`` is ``flowdeck``."""

from __future__ import annotations

if __name__ == "__main__":  # spawned workers import this module again
    from flowdeck_app.cli import main

    main()
