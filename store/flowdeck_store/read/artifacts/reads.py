"""Reading what runs wanted shown: artifacts, their contents, and the history of one key."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from flowdeck_store import ids, json_text
from flowdeck_store.file import artifact_files
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.ids import number_of, run_of, span_with_run, sql_run, task_run_id
from flowdeck_store.read.base import ReaderBase, Row, at_most
from flowdeck_store.times import iso

KINDS: Final = ("table", "markdown", "link", "image", "json", "number")
#: Bytes of a file that a reader takes into memory.
MOST_BYTES: Final = 256 << 20
_NUMBERS: Final = 10_000
_IS_SHOWN: Final = "x.kind IN ({})".format(", ".join(f"'{kind}'" for kind in KINDS))
_SHOWN: Final = (
    "SELECT x.seq, x.task, r.uid, r.name, x.us, x.kind, x.key, x.data FROM artifacts x "
    f"JOIN flow_runs r ON r.id = {sql_run('x.task')} "
)


@dataclass(frozen=True, slots=True)
class ShownArtifact:
    """Something that a run wanted shown, without its content."""

    seq: int
    run_id: int
    task_no: int  # 0: the flow function itself
    run_uid: str
    run_name: str
    us: int
    kind: str  # one of KINDS
    key: str | None
    description: str | None
    size: int  # bytes of the whole content, as it was given
    cut: str | None  # a sentence about what is not kept
    about: dict[str, Any]  # of a table: rows, columns; of an image: format, width, height
    inline: Any  # the content, unless it is in a file
    file: str | None  # its name, see flowdeck_store.file.artifact_files

    @property
    def ref(self) -> str:
        """Whose it is, as users type it: ``1234`` or ``1234.17``."""
        return ids.ref(task_run_id(self.run_id, self.task_no)) if self.task_no else str(self.run_id)

    @property
    def number(self) -> float | None:
        """What a number is, else ``None``."""
        value = self.inline
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return float(value) if self.kind == "number" and is_number else None


def artifact_of(row: Row) -> ShownArtifact | None:
    """Turn a row into an artifact; ``None``: nobody of ours wrote it."""
    seq, task, uid, name, us, kind, key, text = row
    try:
        data = json_text.loads(text)
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    about, size, file = data.get("about"), data.get("size"), data.get("file")
    return ShownArtifact(
        seq, run_of(task), number_of(task), uid, name, us, kind, key,
        _text(data.get("description")), size if isinstance(size, int) else 0,
        _text(data.get("cut")), about if isinstance(about, dict) else {}, data.get("inline"),
        file if artifact_files.is_name(file) else None,
    )  # fmt: skip


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def to_json(artifact: ShownArtifact, content: Any = None) -> dict[str, Any]:
    """Return an artifact as JSON; ``value`` is its content, ``null`` for pictures."""
    return {
        "id": artifact.seq,
        "flow_run": artifact.run_id,
        "task_run": artifact.ref if artifact.task_no else None,
        "kind": artifact.kind,
        "key": artifact.key,
        "description": artifact.description,
        "at": iso(artifact.us),
        "size": artifact.size,
        "cut": artifact.cut,
        "about": artifact.about,
        "file": artifact.file,
        "value": content,
    }


class ArtifactReads(ReaderBase):
    """The reads of artifacts; part of :class:`flowdeck_store.read.reader.Reader`."""

    def shown_artifacts(
        self, run_id: int, no: int | None = None, *, key: str | None = None, limit: int = 0
    ) -> list[ShownArtifact]:
        """Return the artifacts of a run, oldest first.

        Args:
            run_id: number of the flow run.
            no: only those of this task run (0: of the flow function itself).
            key: only those of this key.
            limit: the newest at most; 0: all.
        """
        low, high = span_with_run(run_id) if no is None else [task_run_id(run_id, no)] * 2
        rows = self._rows(
            f"{_SHOWN} WHERE x.task BETWEEN ? AND ? AND {_IS_SHOWN} AND (? IS NULL OR x.key = ?) "
            f"ORDER BY x.seq DESC LIMIT {at_most(limit)}",
            (low, high, key, key),
        )
        found = [artifact_of(row) for row in reversed(rows)]
        return [artifact for artifact in found if artifact is not None]

    def count_artifacts(self, run_id: int, no: int | None = None) -> int:
        """Return how many artifacts a run has, or one of its task runs (0: the flow function)."""
        row = self._one(
            f"SELECT count(*) FROM artifacts x WHERE x.task BETWEEN ? AND ? AND {_IS_SHOWN}",
            span_with_run(run_id) if no is None else [task_run_id(run_id, no)] * 2,
        )
        return int(row[0]) if row else 0

    def artifact_numbers(self, run_id: int, no: int | None = None) -> dict[str, float]:
        """Return the last number under each key of a run and its task runs, or of one of these."""
        low, high = span_with_run(run_id) if no is None else [task_run_id(run_id, no)] * 2
        found = self._rows(
            f"{_SHOWN} WHERE x.task BETWEEN ? AND ? AND x.kind = 'number' AND x.key IS NOT NULL "
            f"ORDER BY x.seq LIMIT {_NUMBERS}",
            (low, high),
        )
        numbers = (artifact_of(row) for row in found)
        return {
            one.key: one.number
            for one in numbers
            if one is not None and one.key is not None and one.number is not None
        }

    def artifact_history(self, key: str, limit: int = 100) -> list[ShownArtifact]:
        """Return the last artifact of each run under a key, oldest first.

        Args:
            key: of the artifacts.
            limit: how many runs at most, the newest ones; 0: all.
        """
        rows = self._rows(
            f"{_SHOWN} WHERE x.seq IN (SELECT max(x.seq) FROM artifacts x WHERE x.key = ? "
            f"AND {_IS_SHOWN} GROUP BY {sql_run('x.task')}) ORDER BY x.seq DESC "
            f"LIMIT {at_most(limit)}",
            (key,),
        )
        found = [artifact_of(row) for row in reversed(rows)]
        return [artifact for artifact in found if artifact is not None]

    def artifact_keys(self, limit: int = 1_000) -> list[str]:
        """Return the keys that there are artifacts of."""
        rows = self._rows(
            f"SELECT DISTINCT x.key FROM artifacts x WHERE x.key IS NOT NULL AND {_IS_SHOWN} "
            f"ORDER BY 1 LIMIT {at_most(limit)}"
        )
        return [key for (key,) in rows]

    def artifact_bytes(self, artifact: ShownArtifact) -> bytes | None:
        """Return an artifact's content as bytes: a picture's file, text, JSON; ``None``: it is gone."""
        if artifact.file is not None:
            folder = StorePaths(self.home).artifacts
            return artifact_files.read(folder, artifact.run_uid, artifact.file, MOST_BYTES)
        if artifact.kind == "image":
            return None
        if artifact.kind == "markdown":
            return str(artifact.inline).encode("utf-8", "backslashreplace")
        return json.dumps(artifact.inline, ensure_ascii=False).encode("utf-8", "backslashreplace")

    def artifact_value(self, artifact: ShownArtifact) -> Any:
        """Return an artifact's content: a text, a JSON value, bytes of a picture; ``None``: it is
        gone, or damaged."""
        if artifact.file is None:
            return artifact.inline
        content = self.artifact_bytes(artifact)
        if content is None or artifact.kind == "image":
            return content
        text = content.decode("utf-8", "replace")
        if artifact.kind == "markdown":
            return text
        try:
            return json_text.loads(text)
        except ValueError:
            return None
