"""What is another than in another run of the same flow: what it was given, and what it ran as."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_store.read.runs import json_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flowdeck_store.read.provenance import CodeRecord, ProvenancePart, ProvenanceRecord
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord

#: Facts of the process and the repository that are compared, with what they are called.
_PROCESS: Final = (
    ("python", "python"),
    ("executable", "interpreter"),
    ("platform", "platform"),
    ("cwd", "folder"),
    ("host", "host"),
    ("user", "user"),
)
_GIT: Final = (("commit", "commit"), ("branch", "branch"))
#: What a flow's version is if nobody gives it one.
_FILE_HASH: Final = re.compile("[0-9a-f]{32}")
#: Hex digits of a commit that are shown.
_COMMIT: Final = 12


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is another than then.

    Attributes:
        kind: ``parameter``, ``runner``, ``version`` (the flow's), ``python``, ``interpreter``,
            ``platform``, ``folder``, ``host``, ``user``, ``package``, ``variable`` (of the
            environment), ``commit``, ``branch``, ``edits`` (uncommitted ones) or ``code``.
        name: of the parameter, package, variable or function; else as ``kind``.
        before: short text; ``None``: it was not there, or is not known.
        now: the same.
    """

    kind: str
    name: str
    before: str | None
    now: str | None


@dataclass(frozen=True, slots=True)
class CodeChange:
    """A function, class or constant that a task or flow uses, and how it changed.

    Attributes:
        name: ``<file's stem or module>.<qualified name>``.
        used_by: the tasks (and the flow) that use it.
        before: its source then; ``None``: it was not used, or is not recorded.
        now: its source now; the same.
    """

    name: str
    used_by: tuple[str, ...]
    before: str | None
    now: str | None

    def unified(self, before: str, now: str) -> list[str]:
        """Return the difference as lines of a unified diff.

        Args:
            before: what to call the one version.
            now: what to call the other.
        """
        lines = difflib.unified_diff(
            (self.before or "").splitlines(),
            (self.now or "").splitlines(),
            before,
            now,
            lineterm="",
        )
        return list(lines)


def changes_between(
    reader: Reader, before: FlowRunRecord, run: FlowRunRecord
) -> tuple[list[Change], list[CodeChange]]:
    """Return what is another in a run than in an earlier one, and which code changed.

    What one of the two runs did not record does not count as changed.

    Args:
        reader: of the record.
        before: the earlier run.
        run: the later run.
    """
    then, now = reader.provenance(before.id), reader.provenance(run.id)
    code = code_changes(reader.code(before.id), reader.code(run.id))
    found = [
        *_given(before, run),
        *_of_process(before, run, then, now),
        *_packages(then, now),
        *_variables(then, now),
        *_repository(then, now),
    ]
    return found, code


def _given(before: FlowRunRecord, run: FlowRunRecord) -> Iterator[Change]:
    then, now = _texts(json_object(before.params)), _texts(json_object(run.params))
    yield from _differing("parameter", then, now)
    if before.runner != run.runner:
        yield Change("runner", "runner", before.runner, run.runner)
    old, new = _version(before), _version(run)
    if old != new:
        yield Change("version", "version", old, new)


def _version(run: FlowRunRecord) -> str | None:
    """Return the version that the user gave the flow; its file's hash says less than the code."""
    version = run.info.get("version")
    if not isinstance(version, str) or _FILE_HASH.fullmatch(version):
        return None
    return version


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}


def _differing(kind: str, then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Change]:
    for name in dict.fromkeys([*now, *then]):
        if then.get(name) != now.get(name):
            yield Change(kind, name, then.get(name), now.get(name))


def _of_process(
    before: FlowRunRecord, run: FlowRunRecord, then: ProvenanceRecord, now: ProvenanceRecord
) -> Iterator[Change]:
    # Runs of a version that kept no provenance have some of it elsewhere.
    old = {**before.info, "host": before.host, **then.process}
    new = {**run.info, "host": run.host, **now.process}
    for key, name in _PROCESS:
        one, two = old.get(key), new.get(key)
        if isinstance(one, str) and isinstance(two, str) and one != two:
            yield Change(name, name, one, two)


def _packages(then: ProvenanceRecord, now: ProvenanceRecord) -> Iterator[Change]:
    if then.packages and now.packages and then.packages_id != now.packages_id:
        yield from _differing("package", then.packages, now.packages)


def _variables(then: ProvenanceRecord, now: ProvenanceRecord) -> Iterator[Change]:
    old, new = then.process.get("env"), now.process.get("env")
    if isinstance(old, dict) and isinstance(new, dict):
        one = {str(name): str(value) for name, value in old.items()}
        two = {str(name): str(value) for name, value in new.items()}
        yield from _differing("variable", one, two)


def _repository(then: ProvenanceRecord, now: ProvenanceRecord) -> Iterator[Change]:
    if not then.git or not now.git:
        return
    for key, name in _GIT:
        one, two = then.git.get(key), now.git.get(key)
        if isinstance(one, str) and isinstance(two, str) and one != two:
            cut = _COMMIT if key == "commit" else None
            yield Change(name, name, one[:cut], two[:cut])
    if then.diff != now.diff:
        yield Change("edits", "edits", _edits(then), _edits(now))


def _edits(record: ProvenanceRecord) -> str:
    if record.diff is None:
        return "none" if record.git.get("dirty") is False else "unknown"
    files = sum(line.startswith("+++ ") for line in record.diff.splitlines())
    return f"{files} changed file{'' if files == 1 else 's'}"


def code_changes(
    then: Mapping[str, tuple[CodeRecord, ...]], now: Mapping[str, tuple[CodeRecord, ...]]
) -> list[CodeChange]:
    """Return which functions, classes and constants changed of the tasks that both runs used.

    Digests of two Python versions say nothing about each other, so such tasks are left out.
    """
    users: dict[str, list[str]] = {}
    texts: dict[str, tuple[str | None, str | None]] = {}
    for key in now.keys() & then.keys():
        old, new = _parts(then[key]), _parts(now[key])
        if {record.python for record in (*then[key], *now[key])} == {now[key][0].python}:
            for name in dict.fromkeys([*new, *old]):
                one, two = old.get(name, ()), new.get(name, ())
                if {part.digest for part in one} != {part.digest for part in two}:
                    users.setdefault(name, []).append(key)
                    texts[name] = _source(one), _source(two)
    return [CodeChange(name, tuple(sorted(users[name])), *texts[name]) for name in sorted(users)]


def _parts(records: Iterable[CodeRecord]) -> dict[str, list[ProvenancePart]]:
    found: dict[str, list[ProvenancePart]] = {}
    for record in records:
        for name, part in record.parts.items():
            found.setdefault(name, []).append(part)
    return found


def _source(parts: Iterable[ProvenancePart]) -> str | None:
    return next((part.source for part in parts if part.source is not None), None)
