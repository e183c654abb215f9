"""The group ``flowdeck``: verbs are imported only when they are used."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any, Final

import click

from flowdeck_app.cli.errors import Trouble, explained

#: Every verb: its module here, and what it does in a few words (shown without importing it).
VERBS: Final[dict[str, tuple[str, str]]] = {
    "ui": ("ui", "Open the terminal app (as `flowdeck` alone does)."),
    "flows": ("flows", "List the flows found in files, without importing them."),
    "run": ("run", "Run a flow."),
    "runs": ("runs", "List flow runs, newest first."),
    "show": ("show", "Show one flow run."),
    "tasks": ("tasks", "List the task runs of a flow run."),
    "task": ("task", "Show one task run: states, inputs, traceback, logs."),
    "logs": ("logs", "Show the log lines of a flow run or task run."),
    "watch": ("watch", "Watch a flow run until it ends."),
    "wait": ("wait", "Wait for a flow run to end and exit with its code."),
    "cancel": ("cancel", "Cancel a flow run or task run."),
    "retry": ("retry", "Run a flow again with the parameters of an earlier run."),
    "delete": ("delete", "Delete flow runs from the record."),
    "prune": ("prune", "Delete old flow runs from the record."),
    "export": ("export", "Write one flow run to a file."),
    "import": ("import_", "Read flow runs from an exported file into the record."),
    "doctor": ("doctor", "Check the installation and the record."),
    "config": ("config", "Show settings, set concurrency limits."),
    "completion": ("completion", "Print the script that makes your shell complete."),
}


class LazyGroup(click.Group):
    """A group that knows its verbs by name and imports a verb's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"flowdeck_app.cli.{VERBS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, text) for verb, (_, text) in VERBS.items()])

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        from click.shell_completion import CompletionItem

        verbs = [
            CompletionItem(verb, help=text)
            for verb, (_, text) in VERBS.items()
            if verb.startswith(incomplete)
        ]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not ctx.resilient_parsing:
            import difflib

            near = difflib.get_close_matches(args[0], VERBS, n=1)
            hint = (
                f"did you mean `flowdeck {near[0]}`?" if near else "`flowdeck --help` lists them."
            )
            raise Trouble(f"there is no verb {args[0]!r}.", hint)
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with explained():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with explained(ctx):
            return super().invoke(ctx)


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"flowdeck {version('flowdeck')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Data goes to stdout, talk to stderr; --json gives one JSON object a line. "
    "Exit codes: 0 ok, 1 the run failed, 2 usage, 3 the store, 130 cancelled or interrupted.",
)
@click.option(
    "--home",
    type=click.Path(file_okay=False),
    help="The folder that holds the record (default: FLOWDECK_HOME or the user's data folder).",
)
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    help="When to use colours (NO_COLOR is honoured).",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
              help="Show the version.")  # fmt: skip
@click.pass_context
def flowdeck(ctx: click.Context, home: str | None, color: str | None) -> None:
    """Run, watch and repair Python flows.

    Without a verb this opens the terminal app.

    \b
    Example:
      flowdeck run flows/etl.py:etl -p day=2026-11-22
      flowdeck logs @last -f

    RUN is a run's number, name, uid or unique prefix of it, @last or @last-failed.
    """
    chosen = {name: value for name, value in (("home", home), ("color", color)) if value}
    if chosen:
        import os

        from flowdeck.settings import using

        ctx.with_resource(using(**chosen))
        if home:  # what this process starts must find the same record
            ctx.with_resource(_variable("FLOWDECK_HOME", os.path.abspath(home)))
    if ctx.invoked_subcommand is None:
        ctx.invoke(_verb("ui"))


@contextlib.contextmanager
def _variable(name: str, value: str) -> Any:
    import os

    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def _verb(name: str) -> click.Command:
    command: click.Command = importlib.import_module(f"flowdeck_app.cli.{VERBS[name][0]}").command
    return command
