"""Reading what was given to ``flowdeck run``: parameters, runner options, name=value pairs.

``-p`` gives a text, which the parameter's type makes a value of; ``--params`` gives values. The two
are kept apart until the flow is known: ``-p day=2026`` may be a number, a text or a date.
"""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowdeck_app.cli.errors import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flowdeck.launch.discovery import FoundFlow


def pairs(items: Iterable[str], option: str) -> dict[str, str]:
    """Split ``name=value`` texts.

    Raises:
        Trouble: there is no ``=``, no name, or a name is given twice.
    """
    found: dict[str, str] = {}
    for item in items:
        name, equals, value = item.partition("=")
        name = name.strip()
        if not equals or not name:
            raise Trouble(f"{option} needs name=value, not {item!r}.")
        if name in found:
            raise Trouble(f"{option} gives {name} twice.")
        found[name] = value
    return found


def tag_list(words: Iterable[str]) -> tuple[str, ...]:
    """Split ``--tag a,b`` into tags."""
    found = (tag.strip() for word in words for tag in word.split(","))
    return tuple(dict.fromkeys(filter(None, found)))


def json_object(text: str | None) -> dict[str, Any]:
    """Read ``--params``: a JSON object, or ``@file`` that holds one (``@-``: stdin).

    A file that is called ``.toml``, ``.yaml`` or ``.yml`` is read as that.

    Raises:
        Trouble: there is no such file, or it is not an object.
    """
    if not text:
        return {}
    where = "--params"
    if text.startswith("@"):
        from flowdeck_app.cli.value_files import READERS

        where = "stdin" if text == "@-" else text[1:]
        try:
            text = sys.stdin.read() if text == "@-" else Path(text[1:]).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise Trouble(f"--params cannot be read from {where}: {reason}.") from None
        reader = READERS.get(Path(where).suffix.lower())
        if reader is not None:
            return reader(text, where)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Trouble(f"{where} is not JSON: {error.msg} ({place}).") from None
    except RecursionError:
        raise Trouble(f"{where} is not JSON that can be read: it is nested too deeply.") from None
    if not isinstance(value, dict):
        raise Trouble(f'{where} must be a JSON object such as {{"day": "2026-11-22"}}.')
    return value


def option_values(texts: Mapping[str, str]) -> dict[str, Any]:
    """Turn the texts of ``--runner-opt`` into values: JSON where it is JSON, else the text."""
    found: dict[str, Any] = {}
    for name, text in texts.items():
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = {"True": True, "False": False, "None": None}.get(text, text)
    return found


def check_names(flow: FoundFlow, given: Iterable[str]) -> None:
    """Check parameter names against what the flow's file says, before anything is imported.

    Raises:
        Trouble: one is unknown or missing.
    """
    known = {p.name: p for p in flow.parameters if not p.kind.startswith("var_")}
    anything = any(p.kind == "var_keyword" for p in flow.parameters)
    # -p cfg.retries=3 gives a part of cfg.
    names = {head if (head := name.partition(".")[0]) in known else name for name in given}
    unknown = sorted(names - known.keys())
    if unknown and not anything:
        raise unknown_parameter(flow.name, unknown[0], list(known))
    missing = [name for name, p in known.items() if p.required and name not in names]
    if missing:
        raise missing_parameters(flow.name, missing)


def unknown_parameter(flow: str, name: str, known: list[str]) -> Trouble:
    """Say that a flow has no such parameter, and which it has."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        hint = f"did you mean {near[0]}?"
    else:
        hint = f"it has {', '.join(known)}." if known else "it takes none."
    return Trouble(f"flow {flow!r} has no parameter {name!r}.", hint)


def missing_parameters(flow: str, missing: list[str]) -> Trouble:
    """Say which parameters a flow needs."""
    some = " ".join(f"-p {name}=..." for name in missing)
    word = "parameter" if len(missing) == 1 else "parameters"
    return Trouble(f"flow {flow!r} needs the {word} {', '.join(missing)}.", f"add {some}")
