"""The command line. ``flowdeck`` is :func:`main`; every verb has a module of its own here."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line of this process and exit with its code."""
    if sys.platform in {"win32", "cygwin"}:
        try:
            import flowdeck  # which says why it does not run here
        except ImportError as error:
            print(f"flowdeck: {error}", file=sys.stderr)
            sys.exit(2)
    from flowdeck_app.cli.streams import occupy_standard_streams

    occupy_standard_streams()
    if "_FLOWDECK_COMPLETE" in os.environ:
        from flowdeck_app.cli.verbs.keeping.completion import take_over

        take_over()
    if "_FLOWDECK_CALLED_BY" in os.environ:  # by ssh, from another machine
        from flowdeck_app.cli.errors import called_from

        called_from(os.environ.pop("_FLOWDECK_CALLED_BY"))
    from flowdeck_app.cli.root import flowdeck

    flowdeck(prog_name="flowdeck")
