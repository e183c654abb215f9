"""Reading what a run ran as: interpreter, packages, git, and the code of its tasks."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from flowdeck_store.packed import unpacked
from flowdeck_store.read.base import ReaderBase, Row
from flowdeck_store.read.runs import json_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ENTRIES: Final = (
    "SELECT p.topic, p.name, p.data, x.data FROM provenance p "
    "LEFT JOIN texts x ON x.hash = p.text WHERE p.run_id = ? "
)
_NOTE: Final = "SELECT us, data FROM provenance WHERE run_id = ? AND topic = ? AND name = ''"


@dataclass(frozen=True, slots=True)
class ProvenancePart:
    """One function, class or constant that a task or flow uses, itself included.

    Attributes:
        name: ``<file's stem or module>.<qualified name>``.
        digest: 16 hex digits; of another version of it they are others.
        source: its text, ``None`` for constants and where it was too long or could not be had.
        line: ``file:line`` of it, if that is known.
    """

    name: str
    digest: str
    source: str | None = None
    line: str | None = None


@dataclass(frozen=True, slots=True)
class CodeRecord:
    """What a task or flow did when a run used it.

    Attributes:
        key: of the task or flow: ``<file's stem or module>.<qualified name>``; of flows
            ``flow `` stands before it.
        python: the version of the interpreter whose bytecode the digests are of: ``3.12``.
        parts: what it is made of, by name, its own function first.
    """

    key: str
    python: str
    parts: Mapping[str, ProvenancePart]


@dataclass(frozen=True, slots=True)
class ProvenanceRecord:
    """What a run ran as. What was not recorded (an older flowdeck, the setting, no repository, a
    run that was over sooner) is ``None`` or empty.

    Attributes:
        process: ``executable``, ``python`` (version), ``platform``, ``argv``, ``cwd``, ``host``,
            ``user``, ``env`` (values of chosen variables), ``env_names`` (of the others).
        packages: version of each installed package, by name.
        packages_id: 16 hex digits that stand for the set, ``None`` if it is not known.
        git: ``root``, ``commit``, ``branch``, ``dirty`` (``None``: not known in time), ``files``.
        diff: the changes of tracked files against the commit; ``None``: none, or left out.
        source: the flow's file: ``file`` and ``sha256``.
    """

    process: Mapping[str, Any] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    packages_id: str | None = None
    git: Mapping[str, Any] = field(default_factory=dict)
    diff: str | None = None
    source: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.process or self.packages or self.git or self.source)

    def facts(self) -> list[tuple[str, str, str]]:
        """Return what is worth a line: its name, a short text, and the whole of it (``""``: that is
        all). As recorded: whoever shows it must clean it."""
        process, git = self.process, self.git
        where = " ".join(str(process[key]) for key in ("python", "platform") if process.get(key))
        who = "@".join(str(process[key]) for key in ("user", "host") if process.get(key))
        argv, env = process.get("argv"), process.get("env")
        listed = "\n".join(f"{name}=={version}" for name, version in self.packages.items())
        variables = [f"{k}={v}" for k, v in env.items()] if isinstance(env, dict) else []
        found = [
            ("python", where, ""),
            ("executable", str(process.get("executable") or ""), ""),
            ("user", who, ""),
            ("folder", str(process.get("cwd") or ""), ""),
            ("command", " ".join(map(str, argv)) if isinstance(argv, list) else "", ""),
            ("packages", f"{len(self.packages)} ({self.packages_id})" if listed else "", listed),
            ("git", _of_git(git), ""),
            ("changes", _of_changes(git, self.diff), self.diff or ""),
            ("file", str(self.source.get("file") or ""), str(self.source.get("sha256") or "")),
            (
                "variables",
                f"{len(variables)} with values" if variables else "",
                "\n".join(variables),
            ),
        ]
        return [fact for fact in found if fact[1]]


def _of_git(git: Mapping[str, Any]) -> str:
    if not git.get("commit"):
        return ""
    dirty = git.get("dirty")
    state = "changed since" if dirty is True else "clean" if dirty is False else "changes not known"
    return f"{str(git['commit'])[:12]} {git.get('branch') or '(detached)'}, {state}"


def _of_changes(git: Mapping[str, Any], diff: str | None) -> str:
    files = git.get("files")
    if not isinstance(files, list) or not files:
        return ""
    added = sum(1 for line in (diff or "").splitlines() if line[:1] == "+" and line[:3] != "+++")
    removed = sum(1 for line in (diff or "").splitlines() if line[:1] == "-" and line[:3] != "---")
    lines = f" (+{added} -{removed})" if diff else ""
    return f"{', '.join(map(str, files[:5]))}{', ...' if len(files) > 5 else ''}{lines}"


def code_key(definition: str) -> str:
    """Return the :attr:`CodeRecord.key` in the key of a task's definition, ``file:key|name|retries``."""
    return definition.rpartition("|")[0].rpartition("|")[0].rpartition(":")[2]


class ProvenanceReads(ReaderBase):
    """The reads of provenance; part of :class:`flowdeck_store.read.reader.Reader`."""

    def provenance(self, run_id: int) -> ProvenanceRecord:
        """Return what a run ran as; an empty record where nothing was recorded."""
        rows = self._rows(f"{_ENTRIES} AND p.topic <> 'code'", (run_id,))
        data = {topic: json_object(text) for topic, _, text, _ in rows}
        texts = {topic: _text(packed) for topic, _, _, packed in rows}
        packages = data.get("packages", {})
        found = packages.get("id")
        return ProvenanceRecord(
            data.get("process", {}),
            _versions(texts.get("packages")),
            found if isinstance(found, str) else None,
            data.get("git", {}),
            texts.get("git"),
            data.get("source", {}),
        )

    def noted(self, run_id: int, topic: str) -> tuple[int, dict[str, Any]] | None:
        """Return what a run's process noted last of a topic, and when (µs)."""
        for us, text in self._rows(_NOTE, (run_id, topic)):
            return us, json_object(text)
        return None

    def code(self, run_id: int) -> dict[str, tuple[CodeRecord, ...]]:
        """Return what is known of the code of a run's tasks and flow, by their keys: more than one
        for functions that a factory made, which have one name."""
        found: dict[str, tuple[CodeRecord, ...]] = {}
        for row in self._rows(f"{_ENTRIES} AND p.topic = 'code'", (run_id,)):
            record = _code(row)
            if record is not None:
                found[record.key] = (*found.get(record.key, ()), record)
        return found


def _text(packed: bytes | None) -> str | None:
    try:
        return None if packed is None else unpacked(packed)
    except (ValueError, zlib.error):
        return None  # a damaged row


def _versions(text: str | None) -> dict[str, str]:
    """Return the packages of lines ``name==version``."""
    pairs = (line.partition("==") for line in (text or "").splitlines())
    return {name: version for name, _, version in pairs if name}


def _code(row: Row) -> CodeRecord | None:
    _, name, data, packed = row
    about = json_object(data)
    parts = json_object(_text(packed)).get("parts")
    if not isinstance(parts, list):
        return None
    key = about.get("key")
    if not isinstance(key, str):
        key = str(name).partition("|")[0]
    return CodeRecord(key, str(about.get("python", "")), dict(_parts(parts)))


def _parts(found: Iterable[Any]) -> Iterable[tuple[str, ProvenancePart]]:
    for item in found:
        if isinstance(item, list) and len(item) == 4 and all(map(_is_text, item)):
            if item[0] is not None and item[1] is not None:
                yield item[0], ProvenancePart(*item)


def _is_text(value: Any) -> bool:
    return value is None or isinstance(value, str)
