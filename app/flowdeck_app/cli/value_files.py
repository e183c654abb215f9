"""Parameters from TOML and YAML files: the same values that JSON could hold."""

from __future__ import annotations

import datetime
import importlib
import json
import tomllib
from typing import TYPE_CHECKING, Any, Final

from flowdeck_app.cli.errors import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable


def _toml(text: str, where: str) -> dict[str, Any]:
    try:
        return _plain(tomllib.loads(text), where)
    except tomllib.TOMLDecodeError as error:
        raise Trouble(f"{where} is not TOML: {error}.") from None


def _yaml(text: str, where: str) -> dict[str, Any]:
    try:
        yaml = importlib.import_module("yaml")
    except ImportError:
        raise Trouble(
            f"{where} cannot be read: YAML needs the package PyYAML.",
            "pip install pyyaml adds it; JSON and TOML files need nothing.",
        ) from None
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        reason = getattr(error, "problem", None) or str(error)
        raise Trouble(f"{where} is not YAML: {reason}{place}.") from None
    except RecursionError:
        raise Trouble(f"{where} cannot be read: it is nested too deeply.") from None
    return _plain(value, where)


def _plain(value: object, where: str) -> dict[str, Any]:
    """Return what JSON would hold; dates become their texts, which date parameters take."""
    if not isinstance(value, dict):
        raise Trouble(f"{where} must hold parameters by name, such as day = 5.")
    try:
        found: dict[str, Any] = json.loads(json.dumps(value, default=_text))
    except (TypeError, ValueError, RecursionError) as error:
        raise Trouble(f"{where} holds what no parameter can be given as: {error}.") from None
    return found


def _text(value: object) -> str:
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__}")


#: How a file is read, by how its name ends; all others are JSON.
READERS: Final[dict[str, Callable[[str, str], dict[str, Any]]]] = {
    ".toml": _toml,
    ".yaml": _yaml,
    ".yml": _yaml,
}
