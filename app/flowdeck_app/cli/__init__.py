"""The command line. ``flowdeck`` is :func:`main`; every verb has a module of its own here."""

from __future__ import annotations


def main() -> None:
    """Run the command line of this process and exit with its code."""
    from flowdeck_app.cli.root import flowdeck

    flowdeck(prog_name="flowdeck")
