"""``flowdeck completion``: the script for the shell, and how bash's words are read."""

from __future__ import annotations

import os
import re
from typing import Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

#: Bash splits words at ``:``, ``=`` and ``@`` as well and replaces only what is behind, so its whole
#: line is read, and what it gets is what it shall put behind the last of these characters.
_BASH: Final = """\
%(complete_func)s() {
    local response type value

    response=$(env COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" \
COMP_WORDBREAKS="$COMP_WORDBREAKS" %(complete_var)s=bash_complete "$1")

    while IFS=',' read -r type value; do
        if [[ $type == 'dir' ]]; then
            COMPREPLY=()
            compopt -o dirnames
        elif [[ $type == 'file' ]]; then
            COMPREPLY=()
            compopt -o default
        elif [[ $type == 'plain' ]]; then
            COMPREPLY+=("$value")
        fi
    done <<< "$response"

    return 0
}

%(complete_func)s_setup() {
    complete -o nosort -F %(complete_func)s %(prog_name)s
}

%(complete_func)s_setup;
"""
_NEEDS_QUOTES: Final = re.compile(r"([^\w@%+=:,./<>-])")


class BashWords(BashComplete):
    """Completion for bash, with words as the command will get them."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the cursor, and the one that it is in."""
        line = os.environ.get("COMP_LINE")
        if line is None:  # a script of an earlier version
            return super().get_completion_args()
        line = line[: int(os.environ.get("COMP_POINT") or len(line))]
        words = split_arg_string(line)[1:]
        incomplete = words.pop() if words and not line[-1:].isspace() else ""
        return words, incomplete

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Return what bash shall put in place of the part of the word that it replaces."""
        value = str(item.value)
        typed = self.get_completion_args()[1]
        breaks = os.environ.get("COMP_WORDBREAKS", "")
        stays = 0
        for place, char in enumerate(typed):
            if char in breaks and char not in "\"' \t\n":
                stays = place if char in "@$" else place + 1  # with these a part begins
        if value.startswith(typed[:stays]):
            value = value[stays:]
        quoted = _NEEDS_QUOTES.sub(r"\\\1", value)
        return f"{item.type},{quoted}"


def take_over() -> None:
    """Let this answer bash."""
    add_completion_class(BashWords, "bash")


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that makes a shell complete verbs, options, runs and flows.

    \b
    Example:
      eval "$(flowdeck completion bash)"     in ~/.bashrc
      eval "$(flowdeck completion zsh)"      in ~/.zshrc, below compinit
      flowdeck completion fish > ~/.config/fish/completions/flowdeck.fish
    """
    from flowdeck_app.cli.root import flowdeck

    take_over()
    kind = get_completion_class(shell)
    assert kind is not None, "the choices are what click knows"
    # source_template, not source(): the latter starts a bash to learn its version.
    script = kind(flowdeck, {}, "flowdeck", "_FLOWDECK_COMPLETE")
    click.echo(script.source_template % script.source_vars())
