"""What each filter of the query language means in SQL.

Every function here returns a condition made of constant text with ``?`` for each value: text that a
user typed only ever travels as a parameter. The conditions use the aliases ``r`` (flow_runs), ``t``
(task_runs) and ``l`` (logs) and look other tables up in subselects, so that a count or an index of
keys needs no join.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from flowdeck_store.ids import sql_id, sql_number, sql_run
from flowdeck_store.labels import escaped, meanings
from flowdeck_store.notes import NOTE
from flowdeck_store.query import values
from flowdeck_store.query.own_lines import OWN_LINES_SQL
from flowdeck_store.states import TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

Subject: TypeAlias = Literal["runs", "tasks", "logs"]
Parameter: TypeAlias = str | int
Condition: TypeAlias = tuple[str, tuple[Parameter, ...]]

SUBJECTS: Final[tuple[Subject, ...]] = ("runs", "tasks", "logs")
ALIAS: Final[dict[Subject, str]] = {"runs": "r", "tasks": "t", "logs": "l"}
RETRYING_SQL: Final = "({a}.state IN (0, 2) AND {a}.state_name IN ('AwaitingRetry', 'Retrying'))"


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a filter: its text, whether it was quoted (then ``*`` is a plain star)."""

    text: str
    quoted: bool
    position: int


@dataclass(frozen=True, slots=True)
class FilterField:
    """One filter: what it is for, and how a value becomes SQL for each subject."""

    name: str
    subjects: tuple[Subject, ...]
    help: str
    compile: Callable[[Value, Subject, int], Condition]


def like(value: Value) -> str:
    """Return the LIKE pattern (ESCAPE ``\\``) of a value: whole text, ``*`` stands for anything."""
    text = escaped(value.text)
    return text if value.quoted else text.replace("*", "%")


def contains(text: str) -> str:
    """Return the LIKE pattern (ESCAPE ``\\``) that finds ``text`` anywhere."""
    return f"%{escaped(text)}%"


_LIKE: Final = "LIKE ? ESCAPE '\\'"
#: The packed id that stands for a flow run itself.
_ITSELF: Final = f"({sql_id('r.id', '0')})"

# ---- states ---------------------------------------------------------------------------------

#: Words of ``state:`` -> condition on the columns state and state_name. The first nine are the
#: counters of a flow run (``states.BUCKETS``), so a count on the screen and its filter agree.
STATE_WORDS: Final[dict[str, str]] = {
    "scheduled": "{a}.state IN (0, 8)",
    "pending": "({a}.state = 1 AND {a}.state_name IS NOT 'NotReady')",
    "running": "{a}.state IN (2, 6)",
    "completed": "({a}.state = 3 AND {a}.state_name IS NOT 'Cached')",
    "failed": "{a}.state = 4",
    "crashed": "{a}.state = 5",
    "cancelled": "{a}.state = 7",
    "cached": "({a}.state = 3 AND {a}.state_name IS 'Cached')",
    "notready": "({a}.state = 1 AND {a}.state_name IS 'NotReady')",
    "cancelling": "{a}.state = 6",
    "paused": "{a}.state = 8",
    "retrying": RETRYING_SQL,
    "awaitingretry": "({a}.state = 0 AND {a}.state_name IS 'AwaitingRetry')",
    "awaitingconcurrencyslot": "({a}.state = 0 AND {a}.state_name IS 'AwaitingConcurrencySlot')",
    "timedout": "({a}.state = 4 AND {a}.state_name IS 'TimedOut')",
    "late": "({a}.state = 0 AND {a}.state_name IS 'Late')",
    "problem": "({a}.state IN (4, 5) OR " + RETRYING_SQL + ")",
    "ok": "{a}.state = 3",
    "final": "({a}.state IN (3, 4, 5, 7) OR ({a}.state = 1 AND {a}.state_name IS 'NotReady'))",
    "live": "({a}.state NOT IN (3, 4, 5, 7) AND ({a}.state <> 1 OR {a}.state_name IS NOT 'NotReady'))",
}


def _state(value: Value, subject: Subject, now_us: int) -> Condition:
    alias = ALIAS[subject]
    if value.quoted or "*" in value.text:
        type_name = " ".join(f"WHEN {code} THEN '{t.capitalize()}'" for code, t in enumerate(TYPES))
        named = f"coalesce({alias}.state_name, CASE {alias}.state {type_name} END)"
        return f"{named} {_LIKE}", (like(value),)
    condition = STATE_WORDS.get(values.plain(value.text))
    if condition is None:
        hint = values.near(values.plain(value.text), STATE_WORDS)
        own = 'put the name of a state of your own in quotes: state:"Name"'
        raise ValueError(f"{values.shown(value.text)} is no state{hint} ({own})")
    return condition.format(a=alias), ()


def _type(value: Value, subject: Subject, now_us: int) -> Condition:
    words = {t.value.casefold(): code for code, t in enumerate(TYPES)}
    code = words.get(value.text.casefold())
    if code is None:
        hint = values.near(value.text, words)
        raise ValueError(f"{values.shown(value.text)} is no type of states{hint}")
    return f"{ALIAS[subject]}.state = ?", (code,)


# ---- names and texts ------------------------------------------------------------------------

_FLOW_OF_RUN: Final = (
    "{run} IN (SELECT id FROM flow_runs WHERE flow_id IN "
    f"(SELECT id FROM flows WHERE name {_LIKE}))"
)
_TASK_OF_LOG: Final = (
    "EXISTS (SELECT 1 FROM task_runs t WHERE "
    f"t.id = ({sql_id('l.run_id', 'l.task_no')}) AND {{condition}})"
)
_TASK_NAMED: Final = f"(t.name {_LIKE} OR t.task_id IN (SELECT id FROM tasks WHERE name {_LIKE}))"


def _flow(value: Value, subject: Subject, now_us: int) -> Condition:
    if subject == "runs":
        return f"r.flow_id IN (SELECT id FROM flows WHERE name {_LIKE})", (like(value),)
    run = sql_run("t.id") if subject == "tasks" else "l.run_id"
    return _FLOW_OF_RUN.format(run=run), (like(value),)


def _name(value: Value, subject: Subject, now_us: int) -> Condition:
    condition = f"{ALIAS[subject]}.name {_LIKE}", (like(value),)
    return _or_labelled(condition, value.text) if subject == "tasks" else condition


def _task(value: Value, subject: Subject, now_us: int) -> Condition:
    condition, parameters = _or_labelled((_TASK_NAMED, (like(value),) * 2), value.text)
    if subject == "tasks":
        return condition, parameters
    return _TASK_OF_LOG.format(condition=condition), parameters


def _or_labelled(condition: Condition, text: str) -> Condition:
    """Return a condition that lets through the task runs with this label, too."""
    ways = [condition, *meanings(text)]
    every = " OR ".join(f"({way})" for way, _ in ways)
    return f"({every})", tuple(value for _, values_ in ways for value in values_)


def _runner(value: Value, subject: Subject, now_us: int) -> Condition:
    return f"r.runner {_LIKE}", (like(value),)


def _worker(value: Value, subject: Subject, now_us: int) -> Condition:
    return f"t.worker {_LIKE}", (like(value),)


def _logger(value: Value, subject: Subject, now_us: int) -> Condition:
    return f"l.src IN (SELECT id FROM log_sources WHERE name {_LIKE})", (like(value),)


def _tag(value: Value, subject: Subject, now_us: int) -> Condition:
    one = "EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid({c}) THEN {c} END) WHERE value "
    if subject == "runs":
        return f"{one.format(c='r.tags')}{_LIKE})", (like(value),)
    own = f"EXISTS (SELECT 1 FROM task_tags g WHERE g.task = t.id AND {one.format(c='g.tags')}"
    # What was recorded before task runs had tags has those of its definition.
    inner = f"{one.format(c='k.tags')}{_LIKE})"
    old = f"t.task_id IN (SELECT k.id FROM tasks k WHERE {inner})"
    none = "NOT EXISTS (SELECT 1 FROM task_tags g WHERE g.task = t.id)"
    return f"({own}{_LIKE})) OR ({none} AND {old}))", (like(value), like(value))


def _note(value: Value, subject: Subject, now_us: int) -> Condition:
    text = "CASE WHEN json_valid(n.data) THEN json_extract(n.data, '$.text') END"
    found = f"EXISTS (SELECT 1 FROM artifacts n WHERE n.task = {_ITSELF} AND n.kind = '{NOTE}' "
    return f"{found}AND {text} {_LIKE})", (f"%{like(value)}%",)


def text_condition(text: str, subject: Subject) -> Condition:
    """Return the condition of a free word: it occurs in what the subject's rows show."""
    if not text:
        return "1", ()
    pattern = contains(text)
    if subject == "logs":
        return f"l.msg {_LIKE}", (pattern,)
    if subject == "tasks":
        named = (f"{_TASK_NAMED} OR t.state_msg {_LIKE}", (pattern,) * 3)
        return _or_labelled(named, text)
    flow = f"r.flow_id IN (SELECT id FROM flows WHERE name {_LIKE})"
    return f"(r.name {_LIKE} OR r.state_msg {_LIKE} OR {flow})", (pattern,) * 3


# ---- numbers and times ----------------------------------------------------------------------

_TIME: Final[dict[Subject, str]] = {
    "runs": "r.created_us",
    "tasks": "coalesce(t.started_us, t.created_us)",
    "logs": "l.us",
}


def _since(value: Value, subject: Subject, now_us: int) -> Condition:
    return f"{_TIME[subject]} >= ?", (values.time_us(value.text, now_us),)


def _until(value: Value, subject: Subject, now_us: int) -> Condition:
    return f"{_TIME[subject]} < ?", (values.time_us(value.text, now_us, end=True),)


def _duration(value: Value, subject: Subject, now_us: int) -> Condition:
    alias = ALIAS[subject]
    took = f"coalesce({alias}.ended_us, ?) - {alias}.started_us"
    if ".." in value.text:
        low, _, high = value.text.partition("..")
        bounds = (values.duration_us(low), values.duration_us(high))
        return f"{took} BETWEEN ? AND ?", (now_us, *bounds)
    operator, rest = values.compared(value.text)
    if operator in {"", "="}:
        raise ValueError("say longer or shorter: duration:>5s, duration:<2m or duration:5s..10s")
    return f"{took} {operator} ?", (now_us, values.duration_us(rest))


_USED: Final = "(SELECT u.{column} FROM task_usage u WHERE u.task = t.id) {operator} ?"


def _used(column: str, measure: Callable[[str], int], example: str, text: str) -> Condition:
    operator, rest = values.compared(text)
    if operator in {"", "="}:
        raise ValueError(f"say more or less: {example}")
    return _USED.format(column=column, operator=operator), (measure(rest),)


def _cpu(value: Value, subject: Subject, now_us: int) -> Condition:
    return _used("cpu_us", values.duration_us, "cpu:>3s, cpu:<=500ms", value.text)


def _memory(value: Value, subject: Subject, now_us: int) -> Condition:
    return _used("peak", values.size_bytes, "memory:>500MB, memory:<1.5GB", value.text)


def _id(value: Value, subject: Subject, now_us: int) -> Condition:
    if subject == "runs":
        low, high = values.number_range(value.text)
        return "r.id BETWEEN ? AND ?", (low, high)
    number = sql_number("t.id") if subject == "tasks" else "l.task_no"
    run, dot, no = value.text.partition(".")
    if dot and no and not no.startswith("."):
        of_run = sql_run("t.id") if subject == "tasks" else "l.run_id"
        return f"({of_run} = ? AND {number} = ?)", (
            values.whole_number(run),
            values.whole_number(no),
        )
    low, high = values.number_range(value.text)
    return f"{number} BETWEEN ? AND ?", (low, high)


def _parent(value: Value, subject: Subject, now_us: int) -> Condition:
    word = value.text.casefold()
    if word == "any":
        return "1", ()
    if word == "root":
        return "r.parent_task IS NULL", ()
    try:
        low, high = values.number_range(value.text)
    except ValueError:
        raise ValueError(
            f"{values.shown(value.text)} is neither root, any nor the number of a run"
        ) from None
    return f"{sql_run('r.parent_task')} BETWEEN ? AND ?", (low, high)


def _level(value: Value, subject: Subject, now_us: int) -> Condition:
    operator, rest = values.compared(value.text)
    number, by_name = values.level_number(rest)
    above = (number // 10 + 1) * 10 if by_name else number + 1
    if operator == ">=":
        return "l.level >= ?", (number,)
    if operator == ">":
        return "l.level >= ?", (above,)
    if operator == "<":
        return "l.level < ?", (number,)
    if operator == "<=":
        return "l.level < ?", (above,)
    return "(l.level >= ? AND l.level < ?)", (number, above)


def _by(value: Value, subject: Subject, now_us: int) -> Condition:
    word = values.plain(value.text)
    if word not in {"mine", "engine"}:
        raise ValueError(f"{values.shown(value.text)} is neither mine nor engine")
    return (OWN_LINES_SQL if word == "engine" else f"NOT {OWN_LINES_SQL}"), ()


def _attempt(value: Value, subject: Subject, now_us: int) -> Condition:
    operator, rest = values.compared(value.text)
    return f"{ALIAS[subject]}.attempt {operator or '='} ?", (values.whole_number(rest),)


_RUNS: Final[tuple[Subject, ...]] = ("runs",)
_TASKS: Final[tuple[Subject, ...]] = ("tasks",)
_LOGS: Final[tuple[Subject, ...]] = ("logs",)
_NOT_LOGS: Final[tuple[Subject, ...]] = ("runs", "tasks")

#: Every filter by its name.
FIELDS: Final[dict[str, FilterField]] = {
    field.name: field
    for field in (
        FilterField("state", _NOT_LOGS, "failed, running, retrying, problem, live...", _state),
        FilterField("type", _NOT_LOGS, "completed, failed... (cached counts as completed)", _type),
        FilterField("flow", SUBJECTS, "name of the flow, * stands for anything", _flow),
        FilterField("name", _NOT_LOGS, "name of the run", _name),
        FilterField("task", ("tasks", "logs"), "name of the task or of its run", _task),
        FilterField("runner", _RUNS, "concurrent, dask...", _runner),
        FilterField("worker", _TASKS, "where the task ran", _worker),
        FilterField("tag", _NOT_LOGS, "a tag", _tag),
        FilterField("note", _RUNS, "a text in a note, * finds runs with any", _note),
        FilterField("since", SUBJECTS, "7d, 2h, today, 2026-11-22, 2026-11-22T10:30", _since),
        FilterField("until", SUBJECTS, "2h, yesterday, 2026-11-22 (that day included)", _until),
        FilterField("duration", _NOT_LOGS, ">5s, <=1m30s, 5s..10s", _duration),
        FilterField("cpu", _TASKS, "processor time: >3s, <=500ms", _cpu),
        FilterField("memory", _TASKS, "most memory: >500MB, <1.5GB", _memory),
        FilterField("attempt", _NOT_LOGS, ">1, 3", _attempt),
        FilterField("id", SUBJECTS, "number, 100..200, 1234.17", _id),
        FilterField("parent", _RUNS, "root, any or the number of a run", _parent),
        FilterField("level", _LOGS, ">=warning, error, <20", _level),
        FilterField("logger", _LOGS, "name of the logger", _logger),
        FilterField("by", _LOGS, "mine: without what the engine says of every run; engine", _by),
    )
}
