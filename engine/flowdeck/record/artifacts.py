"""Artifacts as recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowdeck.exceptions import MissingResult
from flowdeck.record.pieces import time_of

if TYPE_CHECKING:
    from datetime import datetime

    from flowdeck.record.access import Access
    from flowdeck_store.read.artifacts.reads import ShownArtifact


class RecordedArtifact:
    """Something that a run wanted shown. Loading it executes nothing."""

    def __init__(self, access: Access, record: ShownArtifact) -> None:
        self._access, self._record = access, record

    @property
    def kind(self) -> str:
        """``table``, ``markdown``, ``link``, ``image``, ``json`` or ``number``."""
        return self._record.kind

    @property
    def key(self) -> str | None:
        """Under which artifacts of several runs belong together."""
        return self._record.key

    @property
    def description(self) -> str | None:
        """What it is."""
        return self._record.description

    @property
    def run(self) -> str:
        """Whose it is: ``1234``, or ``1234.17`` of a task run."""
        return self._record.ref

    @property
    def made(self) -> datetime:
        """When it was made."""
        return time_of(self._record.us)

    @property
    def size(self) -> int:
        """Bytes of what was given, about."""
        return self._record.size

    @property
    def cut(self) -> str | None:
        """A sentence about what is not kept; ``None``: all is."""
        return self._record.cut

    def load(self) -> Any:
        """Return the content: of a table a list with a dict for each row, of Markdown a text, of a
        link a dict with ``url`` and ``text``, of a picture bytes, of the others the value.

        Raises:
            MissingResult: it was not kept, or its run was deleted.
        """
        record = self._record
        with self._access as reader:
            value = reader.artifact_value(record)
        if value is None and (record.file is not None or record.cut is not None):
            raise MissingResult(
                f"The artifact {record.seq} has no content: {record.cut or 'it is gone'}."
            )
        if record.kind == "table" and isinstance(value, dict):
            columns = value.get("columns") or []
            return [dict(zip(columns, row, strict=False)) for row in value.get("rows") or []]
        return value

    def __repr__(self) -> str:
        key = f" {self.key!r}" if self.key else ""
        return f"<artifact {self.kind}{key} of {self.run}>"
