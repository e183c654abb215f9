"""``flowdeck completion``: the script for the shell."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that makes a shell complete verbs, options, runs and flows.

    \b
    Example:
      flowdeck completion bash > ~/.local/share/bash-completion/completions/flowdeck
    """
    from click.shell_completion import get_completion_class

    from flowdeck_app.cli.root import flowdeck

    kind = get_completion_class(shell)
    assert kind is not None, "the choices are what click knows"
    # source_template, not source(): the latter starts a bash to learn its version.
    script = kind(flowdeck, {}, "flowdeck", "_FLOWDECK_COMPLETE")
    click.echo(script.source_template % script.source_vars())
