"""``flowdeck schedule``: start flows by the clock, without a server."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import click

from flowdeck_app.cli.errors import RUN_FAILED, Trouble
from flowdeck_app.cli.options import json_option, python_option, runner_opt_option
from flowdeck_app.cli.output import echo, echo_json, say, stream_look
from flowdeck_app.cli.record import home, reading
from flowdeck_app.cli.verbs.acting.run import RUNNERS, complete_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck.runs.launch_spec import LaunchSpec
    from flowdeck_app.schedules.definition import Schedule
    from flowdeck_app.schedules.keeping import Schedules
    from flowdeck_app.schedules.overview import ScheduleView

_OVERLAPS = ("skip", "queue", "cancel")


class _ScheduleGroup(click.Group):
    """The verb: a first word that is no subverb is a TARGET, to be scheduled; none lists."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of a new schedule too: `add` is a word that nobody has to type."""
        add = self.commands["add"]
        options = (one for one in add.params if isinstance(one, click.Option))
        shown = [record for one in options if (record := one.get_help_record(ctx))]
        with formatter.section("Options of a new schedule"):
            formatter.write_dl(shown)
        super().format_options(ctx, formatter)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args == ["--json"]:
            args = ["list", *args]
        elif args[0] not in {*self.commands, "--help", "-h"}:
            args = ["add", *args]
        return super().parse_args(ctx, args)


@click.group("schedule", cls=_ScheduleGroup, subcommand_metavar="TARGET|COMMAND [ARGS]...")
def command() -> None:
    """Start flows by the clock: flowdeck schedule TARGET --cron '0 6 * * *' | --every 10m.

    What starts them is systemd's user timers, or cron where there is no systemd: no process of
    flowdeck waits for the time. Record, working folder, Python and parameters are kept as they are
    now. `flowdeck schedule` alone lists what there is.

    \b
    Example:
      flowdeck schedule flows/etl.py:etl --cron '0 6 * * mon-fri' -p day=today
      flowdeck schedule flows/poll.py:poll --every 10m --overlap queue
      flowdeck schedule pause etl
    """


def _complete_name(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[click.shell_completion.CompletionItem]:
    from click.shell_completion import CompletionItem

    from flowdeck_app.schedules.definition import ScheduleFiles

    with contextlib.suppress(Exception):
        names = ScheduleFiles(home()).names()
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return []


_name_argument = click.argument("name", shell_complete=_complete_name)


@command.command("add", hidden=True)
@click.argument("target", shell_complete=complete_target)
@click.option("--cron", metavar="EXPR", help="When: five fields as in a crontab, or @daily.")
@click.option("--every", metavar="T", help="How often: 10m, 2h, 1d, 1w.")
@click.option("-p", "--param", "texts", multiple=True, metavar="NAME=VALUE", help="A parameter.")
@click.option("--params", metavar="JSON|@FILE", help="Parameters, as for `flowdeck run`.")
@click.option("--name", metavar="N", help="The schedule's name (default: the flow's).")
@click.option("--overlap", type=click.Choice(_OVERLAPS), default="skip", show_default=True,
              help="If the run before still goes on: start none, wait for it, or cancel it.")  # fmt: skip
@click.option("--runner", metavar="R", help=f"{', '.join(RUNNERS)}: instead of that in the code.")
@runner_opt_option
@click.option("--tag", "tags", multiple=True, metavar="T", help="A tag of its runs.")
@python_option
@click.option("--with", "clockwork", type=click.Choice(["systemd", "crontab"]),
              help="Who starts it (default: systemd, where it runs for you).")  # fmt: skip
@json_option
def add(
    target: str,
    cron: str | None,
    every: str | None,
    texts: tuple[str, ...],
    params: str | None,
    name: str | None,
    overlap: str,
    runner: str | None,
    options: tuple[str, ...],
    tags: tuple[str, ...],
    python: str | None,
    clockwork: str | None,
    as_json: bool,
) -> None:
    """Start the flow TARGET by the clock. Said again, it changes the schedule of that name.

    \b
    Example:
      flowdeck schedule flows/etl.py:etl --cron '0 6 * * mon-fri'
    """
    from flowdeck.runs.launch_spec import LaunchSpec
    from flowdeck_app.cli.given import json_object, pairs, tag_list
    from flowdeck_app.cli.running import check_without_import

    spec = LaunchSpec(
        target=target,
        values=json_object(params),
        texts=pairs(texts, "-p"),
        runner=runner,
        runner_options=pairs(options, "--runner-opt"),
        name=name,
        tags=tag_list(tags),
        python=python,
    )
    when = _when(cron, every)
    check_without_import(spec)
    schedule = _schedule_of(spec, when, every=every if cron is None else None, overlap=overlap,
                            clockwork=clockwork)  # fmt: skip
    schedules = _schedules()
    how = schedules.keep(schedule)
    kept = schedules.files.load(schedule.name)
    with _views(schedules, [kept]) as (view,):
        if as_json:
            echo_json([_json(view)])
        else:
            from flowdeck_app.views.schedules import next_text

            echo([f"{kept.name}  {kept.when}  next {next_text(view, stream_look())}"])
    say(
        f"flowdeck: {how}, with {kept.clockwork}; it runs {target} in {kept.folder} with {kept.python}."
    )
    advice = schedules.timers(kept).advice()
    if advice is not None:
        say(f"flowdeck: {advice}")


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the schedules of this record.

    Of each it says when it is due next, how its last run went, and how many were missed.

    \b
    Example:
      flowdeck schedule list --json
    """
    schedules = _schedules()
    with _views(schedules, schedules.files.all()) as views:
        if as_json:
            echo_json(map(_json, views))
        elif views:
            from flowdeck_app.reports.schedules import schedule_table

            echo(schedule_table(views, stream_look()))
        else:
            say(
                "flowdeck: there are no schedules: `flowdeck schedule TARGET --every 1h` makes one."
            )


@command.command("show")
@_name_argument
@json_option
def show(name: str, as_json: bool) -> None:
    """Show one schedule: what it runs, when, and how it went.

    That is its next times, its last runs, those it missed, and what was written for systemd or cron.

    \b
    Example:
      flowdeck schedule show etl
    """
    from flowdeck_app.reports.schedules import schedule_lines
    from flowdeck_app.schedules.overview import firing_json, next_times

    schedules = _schedules()
    schedule = schedules.files.load(name)
    with reading() as reader:
        look = stream_look()
        view = _view(schedules, schedule, reader)
        coming = next_times(schedule, look.now_us, 5)
        if as_json:
            past = [firing_json(firing) for firing in view.firings]
            from flowdeck_store.times import iso

            echo_json([_json(view) | {"coming": [*map(iso, coming)], "happened": past}])
            return
        uids = [firing.run for firing in view.firings[:20] if firing.run]
        runs = {run.uid: run for uid in uids if (run := reader.run_by_uid(uid)) is not None}
        try:
            places = schedules.timers(schedule).places(schedule)
        except Exception as error:  # the crontab cannot be read: all else can be told
            places = [str(error)]
        echo(schedule_lines(view, coming, places, runs, look))


@command.command("pause")
@_name_argument
@json_option
def pause(name: str, as_json: bool) -> None:
    """Start no more runs of a schedule until it is resumed.

    Runs that are under way are left alone.

    \b
    Example:
      flowdeck schedule pause etl
    """
    _tell(_schedules().pause(name), "paused", as_json=as_json)


@command.command("resume")
@_name_argument
@json_option
def resume(name: str, as_json: bool) -> None:
    """Put a schedule in force again.

    What systemd or cron read is written anew.

    \b
    Example:
      flowdeck schedule resume etl
    """
    _tell(_schedules().resume(name), "in force", as_json=as_json)


@command.command("remove")
@_name_argument
@json_option
def remove(name: str, as_json: bool) -> None:
    """Remove a schedule; its runs stay in the record.

    What was written for systemd or cron goes with it.

    \b
    Example:
      flowdeck schedule remove etl
    """
    _schedules().remove(name)
    if as_json:
        echo_json([{"removed": name}])
    say(f"flowdeck: schedule {name} is removed.")


@command.command("run")
@_name_argument
@json_option
@click.pass_context
def run(ctx: click.Context, name: str, as_json: bool) -> None:
    """Start a run of a schedule now.

    It has the schedule's parameters, folder, Python and overlap policy.

    \b
    Example:
      flowdeck schedule run etl
    """
    ctx.exit(_fire(name, by_hand=True, as_json=as_json))


@command.command("fire", hidden=True)
@_name_argument
@json_option
@click.pass_context
def fire(ctx: click.Context, name: str, as_json: bool) -> None:
    """What systemd or cron call when a schedule is due."""
    ctx.exit(_fire(name, by_hand=False, as_json=as_json))


def _fire(name: str, *, by_hand: bool, as_json: bool) -> int:
    from flowdeck_app.schedules.firing import fire as start
    from flowdeck_app.schedules.overview import firing_json

    firing = start(home(), name, by_hand=by_hand)
    if firing.did == "failed":
        raise Trouble(f"schedule {name} was not started: {firing.said}", code=RUN_FAILED)
    if as_json:
        echo_json([firing_json(firing)])
    elif by_hand or firing.did == "skipped":
        with reading() as reader:
            found = reader.run_by_uid(firing.run) if firing.run else None
        started = f"started {found.name} (#{found.id})" if found is not None else firing.did
        why = f": {firing.said}" if firing.said else ""
        say(f"flowdeck: schedule {name} {started}{why}.")
    return 0


# -- what they share ---------------------------------------------------------------------


def _schedules() -> Schedules:
    from flowdeck_app.schedules.keeping import Schedules

    return Schedules(home())


def _when(cron: str | None, every: str | None) -> str:
    from flowdeck_app.schedules.cron import cron_of, cron_of_every

    if (cron is None) == (every is None):
        raise click.UsageError("say when: --cron '0 6 * * *' or --every 10m.")
    return cron_of(cron) if cron is not None else cron_of_every(str(every))


def _schedule_of(
    spec: LaunchSpec, cron: str, *, every: str | None, overlap: str, clockwork: str | None
) -> Schedule:
    """Return the schedule of a spec: everything that it depends on as it is here and now.

    Raises:
        ScheduleError, ConfigurationError, TargetError: something does not do.
    """
    from flowdeck.launch import interpreters, targets
    from flowdeck_app.schedules.definition import Schedule, check_name, name_like
    from flowdeck_app.schedules.keeping import choose_clockwork

    target = targets.parse(spec.target)
    found = targets.find(target)
    python = interpreters.usable(spec.target, asked=spec.python)
    name = spec.name or name_like(found.name if found is not None else target.flow or "flow")
    return Schedule(
        name=check_name(name),
        target=spec.target,
        cron=cron,
        every=every,
        clockwork=choose_clockwork(clockwork),
        folder=os.getcwd(),
        python=str(python.python),
        values=dict(spec.values),
        texts=dict(spec.texts),
        runner=spec.runner,
        runner_options=dict(spec.runner_options),
        tags=spec.tags,
        overlap=overlap,
        environment=_environment(),
    )


def _environment() -> dict[str, str]:
    """Return what the runs need of this shell's variables: where programs are, and settings."""
    names = [n for n in os.environ if n == "PATH" or n.startswith("FLOWDECK_")]
    return {name: os.environ[name] for name in sorted(names) if name != "FLOWDECK_HOME"}


def _view(schedules: Schedules, schedule: Schedule, reader: Any) -> ScheduleView:
    from flowdeck_app.schedules.overview import look_at
    from flowdeck_store.events import now_us

    return look_at(schedules, schedule, reader, now_us())


@contextlib.contextmanager
def _views(schedules: Schedules, found: list[Schedule]) -> Iterator[list[ScheduleView]]:
    with reading() as reader:
        yield [_view(schedules, schedule, reader) for schedule in found]


def _json(view: ScheduleView) -> dict[str, Any]:
    from flowdeck_app.schedules.overview import to_json

    return to_json(view)


def _tell(schedule: Schedule, how: str, *, as_json: bool) -> None:
    schedules = _schedules()
    with _views(schedules, [schedule]) as (view,):
        if as_json:
            echo_json([_json(view)])
    say(f"flowdeck: schedule {schedule.name} is {how}.")
