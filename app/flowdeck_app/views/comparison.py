"""Two runs beside each other: what differs between them, as data and as lines. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from textual.content import Content, Span

from flowdeck_app.drawing.cells import clean, cut, fit
from flowdeck_app.drawing.signs import SIGNS, kind_of, word_of
from flowdeck_app.drawing.times import duration, moment
from flowdeck_store.explain.differences import MOST
from flowdeck_store.read.runs import json_object
from flowdeck_store.states import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_store.explain.changes import Change, CodeChange
    from flowdeck_store.explain.differences import RunDifference
    from flowdeck_store.read.records import FlowRunRecord, TaskRunRecord
    from flowdeck_store.read.summaries import TaskGroup

_LABEL: Final = 16
#: Lines of one function's difference, and task runs, that are shown.
_LINES: Final = 60
_CALLS: Final = 40
#: Styles of the lines of a unified diff, by what they begin with.
_DIFF: Final = {"+": "$fd-completed", "-": "$fd-failed", "@": "$fd-accent"}


@dataclass(frozen=True, slots=True)
class ComparisonLine:
    """One fact about both; ``differs`` marks it."""

    label: str
    left: str
    right: str
    differs: bool
    left_style: str = ""
    right_style: str = ""


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line of a unified diff, or one that explains; it goes over both columns."""

    text: str
    differs: bool = True


#: A heading and its lines.
Section: TypeAlias = "tuple[str, list[ComparisonLine | DiffLine]]"


def compare(found: RunDifference, look: Look) -> list[Section]:
    """Return what ``flowdeck diff`` says of two runs, and what is the same in both, in sections."""
    by_kind: dict[str, list[ComparisonLine | DiffLine]] = {}
    for change in found.changed:
        if change.kind not in {"parameter", "runner"}:
            group = "Packages" if change.kind == "package" else "Ran as"
            by_kind.setdefault(group, []).append(_change(change))
    return [
        ("Run", [*_facts(found, look)]),
        ("Parameters", [*_parameters(found.before, found.now)]),
        ("Ran as", [*by_kind.get("Ran as", []), *_same(found)]),
        ("Packages", by_kind.get("Packages", [])),
        *((_code_title(code), _code(code, found, look)) for code in found.code),
        ("Tasks", [*_tasks(found, look)]),
        ("Task runs that ended or returned something else", _task_runs(found, look)),
        ("First difference", [*_first(found)]),
    ]


def _facts(found: RunDifference, look: Look) -> list[ComparisonLine]:
    one, two = found.before, found.now

    def state(run: FlowRunRecord) -> str:
        return f"{look.symbols.of(kind_of(run.code, run.named))} {word_of(run.code, run.named)}"

    return [
        _line("Flow", one.flow, two.flow),
        ComparisonLine(
            "State",
            state(one),
            state(two),
            one.code != two.code,
            SIGNS[kind_of(one.code, one.named)].style,
            SIGNS[kind_of(two.code, two.named)].style,
        ),
        _line("Time", look.duration_of(one), look.duration_of(two)),
        ComparisonLine(
            "Started",
            moment(one.started_us or one.created_us, look.now_us, look.times, look.zone),
            moment(two.started_us or two.created_us, look.now_us, look.times, look.zone),
            False,
        ),
        _line("Runner", one.runner or "", two.runner or ""),
        _line("Tags", " ".join(one.tags), " ".join(two.tags)),
    ]


#: Facts of a run that are shown where they are the same, too: what a change of it is called, the
#: name in what the run says of itself, and the label.
_OF_RUN: Final = (
    ("version", "version", "Code version"), ("python", "python", "Python"), ("folder", "cwd", "Folder"),
)  # fmt: skip
_LABELS: Final = {kind: name for kind, _, name in _OF_RUN}


def _change(change: Change) -> ComparisonLine:
    name = _LABELS.get(change.kind) or (
        change.kind.capitalize() if change.name == change.kind else change.name
    )
    absent = "(none)" if change.kind in {"package", "variable"} else "(not known)"
    before, now = (absent if text is None else text for text in (change.before, change.now))
    return ComparisonLine(name, before, now, True)


def _same(found: RunDifference) -> list[ComparisonLine]:
    """Return the facts that did not change."""
    changed = {change.kind for change in found.changed}
    lines = [
        ComparisonLine(name, _info(found.before, key), _info(found.now, key), False)
        for kind, key, name in _OF_RUN
        if kind not in changed
    ]
    return [line for line in lines if line.left or line.right]


def _code_title(code: CodeChange) -> str:
    return f"Code of {code.name}, used by {', '.join(code.used_by)}"


def _code(code: CodeChange, found: RunDifference, look: Look) -> list[ComparisonLine | DiffLine]:
    if code.before is None and code.now is None:
        return [DiffLine("Its text is not recorded.")]
    lines = code.unified(f"run {found.before.id}", f"run {found.now.id}")
    shown: list[ComparisonLine | DiffLine] = [DiffLine(line) for line in lines[:_LINES]]
    if len(lines) > _LINES:
        shown.append(DiffLine(f"{look.ellipsis} {len(lines) - _LINES} more lines"))
    return shown


def _info(run: FlowRunRecord, key: str) -> str:
    value = run.info.get(key)
    return "" if value is None else str(value)


def _line(label: str, left: str, right: str) -> ComparisonLine:
    return ComparisonLine(label, left, right, left != right)


def parameters_of(run: FlowRunRecord) -> dict[str, Any]:
    """Return a run's parameters as they may be shown; a record that cannot be read has none."""
    return json_object(run.params)


def given_parameters(run: FlowRunRecord) -> dict[str, Any]:
    """Return a run's parameters as they were given, to run its flow with them again."""
    return json_object(run.given)


def _parameters(one: FlowRunRecord, two: FlowRunRecord) -> list[ComparisonLine]:
    left, right = parameters_of(one), parameters_of(two)
    names = [*left, *(name for name in right if name not in left)]
    return [
        ComparisonLine(
            name,
            json.dumps(left[name]) if name in left else "(not given)",
            json.dumps(right[name]) if name in right else "(not given)",
            left.get(name) != right.get(name) or (name in left) != (name in right),
        )
        for name in names
    ]


def _tasks(found: RunDifference, look: Look) -> list[ComparisonLine]:
    lines = []
    for task in found.tasks:
        a, b = task.before, task.now
        times = factor(a, b)
        right = _group(b, look) + (f", {times}" if times else "")
        differs = a is None or b is None or a.counts != b.counts or bool(times)
        lines.append(ComparisonLine(task.task, _group(a, look), right, differs))
    return lines


def factor(before: TaskGroup | None, now: TaskGroup | None) -> str:
    """Return how many times as long a task takes: ``2.0x``; ``""``: about as long, or not known."""
    if before is None or now is None or not before.p50 or now.p50 is None:
        return ""
    times = now.p50 / before.p50
    return f"{times:.1f}x" if max(before.p50, now.p50) >= 0.01 and not 0.9 < times < 1.1 else ""


def _group(group: TaskGroup | None, look: Look) -> str:
    if group is None:
        return "(none)"
    total = sum(group.counts)
    wrong = sum(
        count
        for name, count in zip(BUCKETS, group.counts, strict=True)
        if name in {"failed", "crashed", "not_ready"}
    )
    median = duration(group.p50, look.dash)
    runs = f"{total} run{'' if total == 1 else 's'}"
    return f"{runs}, {wrong} wrong, p50 {median}" if wrong else f"{runs}, p50 {median}"


def _task_runs(found: RunDifference, look: Look) -> list[ComparisonLine | DiffLine]:
    lines: list[ComparisonLine | DiffLine] = [
        ComparisonLine(
            task.label,
            _call(call.before, call.result_before, look),
            _call(call.now, call.result_now, look),
            True,
        )
        for call in found.task_runs[:_CALLS]
        if (task := call.now or call.before) is not None
    ]
    left = len(found.task_runs) - _CALLS
    if left > 0:
        lines.append(DiffLine(f"{look.ellipsis} and {left:,} more: flowdeck diff --json has them"))
    elif not found.is_whole:
        lines.append(DiffLine(f"Only the first {MOST:,} of each run were compared."))
    return lines


def _call(task: TaskRunRecord | None, preview: str | None, look: Look) -> str:
    if task is None:
        return "(none)"
    state = f"{look.symbols.of(kind_of(task.code, task.named))} {word_of(task.code, task.named)}"
    return state if preview is None else f"{state} {preview}"


def _first(found: RunDifference) -> list[ComparisonLine]:
    left, right = ("it did not fail" if cause is None else cause.headline for cause in found.causes)
    return [_line("Cause", left, right)]


def compare_lines(
    sections: Sequence[Section], cells: int, look: Look, *, only: bool
) -> list[Content]:
    """Draw the comparison in two columns.

    Args:
        sections: from :func:`compare`.
        cells: width of the view.
        look: for the signs.
        only: leave out what is the same.
    """
    room = max((cells - _LABEL - 6) // 2, 8)
    lines: list[Content] = []
    for title, facts in sections:
        shown = [fact for fact in facts if fact.differs or not only]
        if not shown:
            continue
        head = clean(title, 300, newline=" ", ascii_only=look.symbols.ascii)
        head = cut(head, cells, ellipsis=look.ellipsis)
        lines.append(Content(head, [Span(0, len(head), "bold $fd-strong")]))
        lines += [
            _drawn(fact, room, look)
            if isinstance(fact, ComparisonLine)
            else _diff(fact, cells, look)
            for fact in shown
        ]
        lines.append(Content(""))
    return lines or [Content("The two runs do not differ in anything recorded.")]


def _diff(line: DiffLine, cells: int, look: Look) -> Content:
    text = cut(
        clean(line.text, 500, ascii_only=look.symbols.ascii), cells - 2, ellipsis=look.ellipsis
    )
    style = _DIFF.get(line.text[:1], "$fd-muted")
    return Content(f"  {text}", [Span(2, 2 + len(text), style)], strip_control_codes=False)


def compare_heads(found: RunDifference, cells: int, look: Look) -> Content:
    """Return the heading of the two columns: which run is which."""
    room = max((cells - _LABEL - 6) // 2, 8)
    plain, end = look.symbols.ascii, look.ellipsis

    def head(run: FlowRunRecord) -> str:
        number = f" #{run.id}"
        name = clean(run.name, 200, newline=" ", ascii_only=plain)
        return cut(name, max(room - len(number), 1), ellipsis=end) + number

    text = " " * (_LABEL + 3) + fit(head(found.before), room, ellipsis=end) + "  " + head(found.now)
    return Content(text, [Span(0, len(text), "bold $fd-strong")], strip_control_codes=False)


def _drawn(fact: ComparisonLine, room: int, look: Look) -> Content:
    plain = look.symbols.ascii
    mark = "≠" if fact.differs and not plain else "#" if fact.differs else " "
    label = fit(clean(fact.label, 200, newline=" ", ascii_only=plain), _LABEL)
    left = fit(clean(fact.left, 500, newline=" ", ascii_only=plain), room)
    right = cut(clean(fact.right, 500, newline=" ", ascii_only=plain), room)
    text = f"{mark} {label} {left}  {right}"
    start = _LABEL + 3
    spans = [
        Span(0, 1, "$fd-accent"),
        Span(2, 2 + _LABEL, "$fd-muted"),
        Span(start, start + room, fact.left_style or ("" if fact.differs else "$fd-faint")),
        Span(
            start + room + 2, len(text), fact.right_style or ("" if fact.differs else "$fd-faint")
        ),
    ]
    return Content(text, spans, strip_control_codes=False)
