"""The group ``flowdeck``: verbs are imported only when they are used.

A shell that completes a word, a script that waits for a run, a person at a prompt: each start of
``flowdeck`` counts, and most of what some verb needs (Rich, Textual, discovery, the engine itself)
no other does. So a verb is a module that is named here and imported when it is called, its help
line stands here as well, and inside the verbs imports stand where they are needed.

``--json`` is looked for before anything is parsed: errors are JSON where output is, and words that
cannot be parsed are an error, too. ``--home`` and ``--color`` may stand before the verb and after it.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import Any, Final

import click

from flowdeck_app.cli.errors import Trouble, explained

#: Every verb by its folder in :mod:`flowdeck_app.cli.verbs`, with what it does in a few words (shown
#: without importing its module, which has the verb's name).
SECTIONS: Final[dict[str, dict[str, str]]] = {
    "acting": {
        "ui": "Open the terminal app (as `flowdeck` alone does).",
        "flows": "List the flows found in files, without importing them.",
        "run": "Run a flow.",
        "init": "Write a small flow to start from.",
        "demo": "Run a flow that comes with flowdeck, to have something to look at.",
        "retry": "Run a flow again with the parameters of an earlier run.",
        "debug": "Run one task again, alone, in the debugger.",
        "cancel": "Cancel a flow run or task run.",
        "schedule": "Start flows by the clock; list, pause and remove what does.",
        "answer": "Answer what a flow run asks, or list what is asked.",
    },
    "seeing": {
        "runs": "List flow runs, newest first.",
        "show": "Show one flow run.",
        "tasks": "List the task runs of a flow run.",
        "task": "Show one task run: states, inputs, traceback, logs.",
        "result": "Show, load or save what a run returned.",
        "artifacts": "List what runs wanted shown: tables, texts, pictures.",
        "why": "Say why a flow run or task run went as it did.",
        "errors": "Show what failed, the same error as one group.",
        "search": "Find words in the log lines and failures of all runs.",
        "diff": "Show what differs between two flow runs.",
        "timeline": "Show when task runs waited and ran, and the critical path.",
        "graph": "Show which tasks took something from which.",
        "logs": "Show the log lines of a flow run or task run.",
        "forecast": "Say how long a flow would take on each task runner.",
        "workers": "List the workers of a flow run, what they use and run.",
        "sweep": "Show the runs of a sweep: parameters, states, numbers.",
        "top": "Show the flow runs that go on now, and what they use.",
        "watch": "Watch a flow run until it ends.",
        "wait": "Wait for a flow run to end and exit with its code.",
    },
    "keeping": {
        "tag": "Add tags to flow runs afterwards, or take them away.",
        "note": "Write a note on a flow run, or show its notes.",
        "delete": "Delete flow runs from the record.",
        "prune": "Delete old flow runs from the record.",
        "export": "Write one flow run to a file.",
        "import": "Read flow runs from an exported file into the record.",
        "backup": "Copy the whole record into a file, also while flows run.",
        "doctor": "Check the installation and the record.",
        "config": "Show settings, set concurrency limits.",
        "mcp": "Serve the record to an agent (Model Context Protocol).",
        "completion": "Print the script that makes your shell complete.",
    },
}
_TITLES: Final = {
    "acting": "Run and repair",
    "seeing": "See what happened",
    "keeping": "Keep the record",
}
VERBS: Final[dict[str, str]] = {
    verb: text for section in SECTIONS.values() for verb, text in section.items()
}


_AS_JSON: Final = "flowdeck.as_json"
_GIVEN: Final = "flowdeck.given"  # general options before the verb, for another machine


class LazyGroup(click.Group):
    """A group that knows its verbs by name and imports a verb's module when it is called."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except BaseException:
            ctx.close()  # or what --home has set would stay in force
            raise

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = _command_of(cmd_name)
        _take_general_options(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        widest = max(map(len, VERBS))
        for section, verbs in SECTIONS.items():
            with formatter.section(_TITLES[section]):
                formatter.write_dl([(f"{verb:{widest}}", text) for verb, text in verbs.items()])

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        from click.shell_completion import CompletionItem

        verbs = [
            CompletionItem(verb, help=text)
            for verb, text in VERBS.items()
            if verb.startswith(incomplete)
        ]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not ctx.resilient_parsing:
            from flowdeck_app.cli.words import hint_for

            raise Trouble(f"there is no verb {args[0]!r}.", hint_for(args[0], VERBS))
        return super().resolve_command(ctx, args)

    def make_context(
        self, info_name: str | None, args: list[str], *rest: Any, **extra: Any
    ) -> click.Context:
        # Known before anything is parsed: what cannot be parsed is an error as well.
        as_json = "--json" in (args[: args.index("--")] if "--" in args else args)
        with explained(as_json=as_json):
            ctx = super().make_context(info_name, args, *rest, **extra)
        ctx.meta[_AS_JSON] = as_json
        return ctx

    def invoke(self, ctx: click.Context) -> Any:
        with explained(ctx, as_json=ctx.meta[_AS_JSON]):
            if ctx.params.get("host"):
                ctx.exit(_elsewhere(ctx, [*ctx._protected_args, *ctx.args]))
            return super().invoke(ctx)


def _named_host(ctx: click.Context, _: click.Parameter, value: str | None) -> str | None:
    """An empty variable must not mean this machine: `flowdeck --host "$HOST" delete ...`."""
    if value is not None and not value.strip():
        raise Trouble("--host names no machine: what is given is empty.")
    return value


def _complete_host(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[click.shell_completion.CompletionItem]:
    from click.shell_completion import CompletionItem

    from flowdeck.settings import get_settings

    with contextlib.suppress(Exception):  # a bad setting is no reason to disturb somebody's shell
        return [
            CompletionItem(name) for name in get_settings().hosts if name.startswith(incomplete)
        ]
    return []


def _elsewhere(ctx: click.Context, words: list[str]) -> int:
    """Run a verb on another machine; what stood before it goes there, too."""
    from flowdeck_app.cli.away.ssh import run_there

    general = [word for option in ctx.meta.get(_GIVEN, ()) for word in option]
    return run_there(ctx.params["host"], [*general, *words])


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        if ctx.params.get("host"):
            ctx.exit(_elsewhere(ctx, ["--version"]))
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
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
              help="Show the version.")  # fmt: skip
@click.option(
    "--host", metavar="H", is_eager=True, shell_complete=_complete_host, callback=_named_host,
    help="The machine to do it on, by ssh: user@machine, or a name in the setting hosts.",
)  # fmt: skip
@click.pass_context
def flowdeck(ctx: click.Context, host: str | None) -> None:
    """Run, watch and repair Python flows.

    Without a verb this opens the terminal app.

    \b
    Example:
      flowdeck run flows/etl.py:etl -p day=2026-11-22
      flowdeck logs @last -f

    RUN is a run's number, name, uid or unique prefix of it, @last or @last-failed.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(_command_of("ui"))


def _use_home(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if not value or ctx.resilient_parsing or _is_for_there(ctx, "--home", value):
        return
    from flowdeck.settings import home_named

    # A variable: what this process starts must find the same record. Of the outermost context: Click
    # never closes that of a verb whose words it cannot parse.
    ctx.find_root().with_resource(_variable("FLOWDECK_HOME", str(home_named(value))))


def _use_color(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value and not ctx.resilient_parsing and not _is_for_there(ctx, "--color", value):
        from flowdeck.settings import using

        ctx.find_root().with_resource(using(color=value))


def _is_for_there(ctx: click.Context, option: str, value: str) -> bool:
    """Keep a general option for the machine that ``--host`` names; ``False``: it names none."""
    if not ctx.params.get("host"):
        return False
    ctx.meta.setdefault(_GIVEN, []).append((option, value))
    return True


def _general_options() -> list[click.Option]:
    """Options that may stand before the verb and after it."""
    return [
        click.Option(
            ["--home"],
            type=click.Path(file_okay=False),
            expose_value=False,
            callback=_use_home,
            help="The folder that holds the record, or its name in the setting homes (default: "
            "FLOWDECK_HOME or the user's data folder).",
        ),
        click.Option(
            ["--color"],
            type=click.Choice(["auto", "always", "never"]),
            expose_value=False,
            callback=_use_color,
            help="When to use colours (NO_COLOR and FORCE_COLOR are honoured).",
        ),
    ]


def _take_general_options(command: click.Command) -> None:
    """Let a verb (and what is below it) take them too."""
    known = {name for parameter in command.params for name in parameter.opts}
    if "--host" not in known:
        command.params.append(
            click.Option(["--host"], hidden=True, expose_value=False, callback=_misplaced_host)
        )
    for option in _general_options():
        if known.isdisjoint(option.opts):
            option.hidden = True  # the help of `flowdeck` has them
            command.params.append(option)
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _take_general_options(below)


def _misplaced_host(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None and not ctx.resilient_parsing:
        verb = ctx.command_path.partition(" ")[2]
        raise Trouble("--host goes before the verb.", f"`flowdeck --host {value} {verb} ...`")


flowdeck.params[:0] = _general_options()


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


def _command_of(verb: str) -> click.Command:
    """Import a verb's module, which has the verb's name (``import`` cannot be one)."""
    section = next(folder for folder, verbs in SECTIONS.items() if verb in verbs)
    place = f"flowdeck_app.cli.verbs.{section}.{'import_' if verb == 'import' else verb}"
    command: click.Command = importlib.import_module(place).command
    return command
