"""From what users give to what is recorded of an artifact: bounded, plain, without secrets.

What is short is in the record itself, so that it travels and vanishes with its run; pictures and
what is longer are files beside it. Bounds never fail a task: what is too long is cut, and a sentence
says so. What cannot be an artifact at all (a broken picture) raises where it was made.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from flowdeck.logging import WARNING, engine_line
from flowdeck.reporting.pictures import picture_of
from flowdeck.reporting.tables import Table, table_of
from flowdeck.settings import get_settings
from flowdeck.values.jsonable import dump_object
from flowdeck.values.redaction import names_in_force, without_secrets
from flowdeck_store import events
from flowdeck_store.events import now_us
from flowdeck_store.file import artifact_files
from flowdeck_store.text import clip

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes of a content that is kept in the record itself.
_INLINE: Final = 32_768
_KEY, _DESCRIPTION, _URL = 200, 2_000, 4_000
#: Artifacts of one task run (or flow function); a loop gone wild must not fill the disk.
MOST_OF_A_RUN: Final = 1_000
_counts: dict[tuple[str, int], int] = {}
_MOST_COUNTED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Content:
    """What is kept of an artifact.

    Attributes:
        value: what JSON can hold; ``None`` where ``data`` is the content.
        data: bytes of a file.
        ending: of the file's name.
        size: bytes of all that was given.
        cut: a sentence about what is not kept.
        about: facts to be shown without the content.
    """

    value: Any = None
    data: bytes | None = None
    ending: str = "json"
    size: int = 0
    cut: str | None = None
    about: dict[str, Any] = field(default_factory=dict)


def _most() -> int:
    return get_settings().artifact_megabytes * 1_000_000


def _table(rows: Any) -> Content:
    settings = get_settings()
    made: Table = table_of(rows, settings.artifact_rows, _most(), names_in_force())
    value = {"columns": made.columns, "rows": made.rows}
    about = {"columns": len(made.columns), "rows": made.total}
    return Content(value, size=made.size, cut=made.cut, about=about)


def _markdown(text: Any) -> Content:
    if not isinstance(text, str):
        raise TypeError(f"artifact.markdown() needs a text, not a {type(text).__name__}.")
    size = len(text.encode("utf-8", "backslashreplace"))
    hides = names_in_force()
    whole = without_secrets(text, hides) if hides else text
    kept = clip(whole, max(_most(), 1_000))
    cut = None if size <= max(_most(), 1_000) else f"of {size:,} bytes the beginning is kept"
    return Content(kept, ending="md", size=size, cut=cut)


def _link(given: tuple[Any, Any]) -> Content:
    url, text = given
    for name, part in (("url", url), ("text", text)):
        if not isinstance(part, str) and not (name == "text" and part is None):
            raise TypeError(f"artifact.link(): {name} must be a text, not {type(part).__name__}.")
    hides = names_in_force()
    shown = [
        None if part is None else clip(without_secrets(part, hides) if hides else part, _URL)
        for part in (url, text)
    ]
    return Content({"url": shown[0], "text": shown[1]}, size=len(url))


def _image(given: Any) -> Content:
    picture = picture_of(given)
    about = {"format": picture.format, "width": picture.width, "height": picture.height}
    size = len(picture.data)
    if size > _most():
        limit = get_settings().artifact_megabytes
        cut = f"the picture has {size:,} bytes, more than the {limit} MB of artifact_megabytes: it is not kept"
        return Content(size=size, cut=cut, about=about)
    ending = "jpg" if picture.format == "jpeg" else picture.format
    return Content(data=picture.data, ending=ending, size=size, about=about)


def _json(value: Any) -> Content:
    most = _most()
    text = dump_object({"value": value}, most, names_in_force())
    held = json.loads(text)["value"]
    is_whole = not isinstance(held, str) or isinstance(value, str)
    cut = None if is_whole else f"the value is too large, or nothing that JSON can hold: {held}"
    return Content(held, size=len(text), cut=cut)


def _number(value: Any) -> Content:
    try:
        found = value if type(value) is int and abs(value) < 2**53 else float(value)
    except (TypeError, ValueError, OverflowError):
        name = type(value).__name__
        raise TypeError(f"artifact.number() needs a number, not a {name}.") from None
    if not math.isfinite(found):
        raise ValueError(f"artifact.number() needs a finite number, not {found}.")
    return Content(found, size=8)


#: What makes a content of what was given, by kind.
MAKERS: Final[dict[str, Callable[[Any], Content]]] = {
    "table": _table,
    "markdown": _markdown,
    "link": _link,
    "image": _image,
    "json": _json,
    "number": _number,
}


def record(run: Any, kind: str, key: str | None, description: str | None, content: Content) -> None:
    """Record an artifact of a run, and keep its file.

    Args:
        run: the task run or flow run.
        kind: one of :data:`MAKERS`.
        key: under which artifacts belong together.
        description: what it is.
        content: what is kept.
    """
    if not _may_have_more(run):
        return
    data: dict[str, Any] = {"size": content.size}
    if description is not None:
        data["description"] = clip(str(without_secrets(description)), _DESCRIPTION)
    content = _in_a_file(content, kind)
    file = None
    if content.data is not None:
        file = artifact_files.new_name(content.ending), content.data
        data["file"] = file[0]
    elif kind != "image":
        data["inline"] = content.value
    if content.cut:
        data["cut"] = content.cut
    if content.about:
        data["about"] = content.about
    event = events.artifact(
        run.info.uid, run.no, now_us(), kind, None if key is None else clip(key, _KEY),
        json.dumps(data, ensure_ascii=False), file,
    )  # fmt: skip
    try:
        run.recorder.emit_artifact(event)
    except OSError as error:
        reason = error.strerror or os.fspath(error.filename or "") or str(error)
        engine_line(run, WARNING, f"The {kind} cannot be kept: {reason}.")


def _in_a_file(content: Content, kind: str) -> Content:
    """Have a content that is too long for the record in a file."""
    if content.data is not None or content.value is None:
        return content
    text = content.value if kind == "markdown" else json.dumps(content.value, ensure_ascii=False)
    data = text.encode("utf-8", "backslashreplace")
    return content if len(data) <= _INLINE else replace(content, value=None, data=data)


def _may_have_more(run: Any) -> bool:
    key = run.info.uid, run.no
    count = _counts[key] = _counts.get(key, 0) + 1
    if len(_counts) > _MOST_COUNTED:
        del _counts[next(iter(_counts))]
    if count == MOST_OF_A_RUN + 1:
        engine_line(
            run, WARNING,
            f"{run.title} has made {MOST_OF_A_RUN:,} artifacts: more of it are not recorded.",
        )  # fmt: skip
    return count <= MOST_OF_A_RUN
