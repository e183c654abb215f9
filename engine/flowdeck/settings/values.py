"""Turning what files and variables say into settings, with errors that teach."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flowdeck.settings.amounts import amounts

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck.exceptions import ConfigurationError

LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
DURABILITY: Final = ("process", "power")
COLORS: Final = ("auto", "always", "never")
IMAGES: Final = ("auto", "kitty", "sixel", "blocks", "none")
#: What only the user's own file and variables may say: a project that somebody else wrote must not
#: decide what is called on another machine, which programs start here while its record is looked at,
#: or who is told of runs.
USER_ONLY: Final = frozenset({"hosts", "editor", "notify"})
HOST_KEYS: Final = ("address", "command", "home", "folder")

#: Names of variables and parameters whose values are never recorded (shell patterns, any case).
#: The default stands for what :func:`flowdeck_store.secrets.names.is_secret` knows, which is more, and
#: tells ``max_tokens`` and ``secret_name`` from secrets.
REDACT: Final[tuple[str, ...]] = (
    "*password*",
    "*passwd*",
    "*passphrase*",
    "*passcode*",
    "*pwd*",
    "*_pass",
    "*secret*",
    "*token*",
    "*bearer*",
    "*jwt*",
    "*api_key*",
    "*apikey*",
    "*private_key*",
    "*access_key*",
    "*signing_key*",
    "*encryption_key*",
    "*ssh_key*",
    "*account_key*",
    "*credential*",
    "*authorization*",
    "*auth",
    "*cookie*",
    "*otp",
    "pin",
    "*_pin",
)

_YES: Final = frozenset({"1", "true", "yes", "on"})
_NO: Final = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Raw:
    """A value as it was found: by whom, under which key, and what relative paths start from."""

    value: Any
    where: str
    key: str
    base: Path
    is_text: bool = False  # from the environment, where everything is text

    def refuse(self, allowed: str) -> ConfigurationError:
        return bad_setting(self.where, self.key, self.value, allowed)


def bad_setting(where: str, key: str, value: object, allowed: str) -> ConfigurationError:
    """Build the error for a value that does not fit."""
    from flowdeck.exceptions import ConfigurationError

    place = key if where == key else f"{key} in {where}"
    shown = repr(value)
    shown = shown if len(shown) <= 80 else shown[:79] + "…"
    return ConfigurationError(f"{place} is {shown}, but must be {allowed}.")


def unknown_setting(key: str, where: str) -> ConfigurationError:
    """Build the error for a key that does not exist, with the nearest one that does."""
    import difflib

    from flowdeck.exceptions import ConfigurationError

    near = difflib.get_close_matches(key, FIELD_KINDS, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"settings are {', '.join(FIELD_KINDS)}."
    return ConfigurationError(f"{where} has no setting {key!r}: {hint}")


def not_of_projects(key: str, where: str) -> ConfigurationError:
    """Build the error for a key that a project's file may not have."""
    from platformdirs import user_config_path

    from flowdeck.exceptions import ConfigurationError

    own = os.environ.get("FLOWDECK_CONFIG")
    if not own:
        try:
            own = str(user_config_path("flowdeck", appauthor=False) / "config.toml")
        except RuntimeError:  # this user has no home directory
            own = "that FLOWDECK_CONFIG names"
    return ConfigurationError(
        f"{where} sets {key!r}, which only your own file may ({own}), or the variable "
        f"FLOWDECK_{key.upper()}: a project does not decide what is called on your machines, or who is "
        "told of your runs. Remove it there."
    )


def convert(name: str, raw: Raw) -> Any:
    """Return the value that setting ``name`` gets.

    Raises:
        ConfigurationError: it is not what the setting needs.
    """
    return FIELD_KINDS[name](raw)


def _home(raw: Raw) -> Path:
    if not isinstance(raw.value, (str, Path)) or not str(raw.value).strip():
        raise raw.refuse("the path of a folder")
    try:
        path = Path(raw.value).expanduser()
    except RuntimeError:  # ~ without a home directory
        raise raw.refuse(
            "a path that can be resolved (there is no home directory for '~')"
        ) from None
    return Path(os.path.normpath(raw.base / path))


def _flag(raw: Raw) -> bool:
    if isinstance(raw.value, bool):
        return raw.value
    if raw.is_text:
        text = str(raw.value).strip().lower()
        if text in _YES or text in _NO:
            return text in _YES
        raise raw.refuse("1/true/yes/on or 0/false/no/off")
    raise raw.refuse("true or false")


def _choice(choices: tuple[str, ...], raw: Raw) -> str:
    if isinstance(raw.value, str):
        for choice in choices:
            if raw.value.strip().lower() == choice.lower():
                return choice
    raise raw.refuse(f"one of {', '.join(choices)}")


def _number(raw: Raw, *, whole: bool, allowed: str) -> float:
    value = raw.value
    if raw.is_text:
        try:
            value = int(value) if whole else float(value)
        except ValueError:
            raise raw.refuse(allowed) from None
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not 0 <= value < float("inf"):
        raise raw.refuse(allowed)
    return value


def _texts(raw: Raw, separator: str = ",") -> tuple[str, ...]:
    if raw.is_text:
        return tuple(part.strip() for part in raw.value.split(separator) if part.strip())
    if isinstance(raw.value, (list, tuple)) and all(isinstance(part, str) for part in raw.value):
        return tuple(raw.value)
    raise raw.refuse('a list of texts, such as ["a", "b"]')


def _paths(raw: Raw) -> tuple[str, ...]:
    """Paths of a file are relative to that file, paths of a variable to the working directory."""
    paths = _texts(raw, os.pathsep)
    if raw.is_text:
        return paths
    return tuple(os.path.normpath(raw.base / os.path.expanduser(path)) for path in paths)


def _mapping(raw: Raw) -> dict[str, str]:
    value = raw.value
    if raw.is_text:
        pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
        value = {key.strip(): text.strip() for key, _, text in pairs}
    if isinstance(value, dict) and all(
        isinstance(k, str) and isinstance(v, str) and v for k, v in value.items()
    ):
        return dict(value)
    raise raw.refuse('a table of texts, such as "run.retry" = "R"')


def _resources(raw: Raw) -> dict[str, float]:
    value = raw.value
    if raw.is_text:
        value = {name: _plain_number(text) for name, text in _mapping(raw).items()}
    try:
        return amounts(value)
    except (TypeError, ValueError):
        raise raw.refuse('a table of amounts, such as {gpu = 2, memory = "16GB"}') from None


def _plain_number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _homes(raw: Raw) -> dict[str, Path]:
    """Folders by name; as in :func:`_paths`, those of a file are relative to it."""
    from flowdeck.exceptions import ConfigurationError

    try:
        texts = _mapping(raw)
    except ConfigurationError:
        raise raw.refuse('a table of folders, such as {work = "~/work/.flowdeck"}') from None
    for name in texts:
        if not name or os.sep in name or name.startswith((".", "-")):
            raise dataclasses.replace(raw, value=name).refuse(
                "a table of folders by names without / and not beginning with . or -"
            )
    return {name: _home(dataclasses.replace(raw, value=text)) for name, text in texts.items()}


def _hosts(raw: Raw) -> dict[str, dict[str, str]]:
    """What is known of machines, by their names; of a variable as JSON."""
    value = raw.value
    if raw.is_text:
        import json

        with contextlib.suppress(ValueError):
            value = json.loads(value)
    allowed = "a table by names of machines, each a table of texts, such as "
    allowed += '{big = {address = "me@10.0.0.5", command = "~/tools/bin/flowdeck"}}'
    if not isinstance(value, dict) or not all(
        isinstance(host, dict) and all(isinstance(text, str) and text for text in host.values())
        for host in value.values()
    ):
        raise raw.refuse(allowed)
    for name, host in value.items():
        for key in host:
            if key not in HOST_KEYS:
                one = dataclasses.replace(raw, value=key, key=f"hosts.{name}")
                raise one.refuse(f"a table with any of {', '.join(HOST_KEYS)}")
    return {name: dict(host) for name, host in value.items()}


def _optional_text(raw: Raw) -> str | None:
    if raw.value is None or isinstance(raw.value, str):
        return raw.value or None
    raise raw.refuse("a text")


def _python(raw: Raw) -> str | None:
    """A command's name stays one; a path is relative to the file that it stands in."""
    value = _optional_text(raw)
    if value is None or os.sep not in value:
        return value
    return os.path.normpath(raw.base / os.path.expanduser(value))


def _preview(raw: Raw) -> int:
    return int(_number(raw, whole=True, allowed="a whole number of characters, 0 or more"))


def _megabytes(raw: Raw) -> int:
    return int(_number(raw, whole=True, allowed="a whole number of megabytes, 0 or more"))


def _rows(raw: Raw) -> int:
    return int(_number(raw, whole=True, allowed="a whole number of rows, 0 or more"))


def _seconds(raw: Raw) -> float:
    return float(_number(raw, whole=False, allowed="a number of seconds, 0 or more"))


def _channels(raw: Raw) -> tuple[str, ...]:
    """Ways to notify people; of a wrong one only that one is shown."""
    ways = _texts(raw)
    for way in ways:
        kind, _, rest = way.partition(":")
        one = dataclasses.replace(raw, value=way)
        if kind == "webhook":
            _check_url(one, rest)
        elif kind == "command":
            _check_command(one, rest)
        elif way not in {"desktop", "bell"}:
            raise one.refuse('"desktop", "bell", "webhook:URL" or "command:PROGRAM WORDS"')
    return ways


def _check_url(raw: Raw, url: str) -> None:
    from urllib.parse import urlsplit

    allowed = "webhook: with an address of http or https, such as webhook:https://example.org/hook"
    try:
        parts = urlsplit(url)
        is_web = parts.scheme in {"http", "https"} and bool(parts.hostname)
        _ = parts.port  # raises for one that is no number
    except ValueError:
        raise raw.refuse(allowed) from None
    if not is_web or not url.isascii() or not url.isprintable() or " " in url:
        raise raw.refuse(allowed)


def _check_command(raw: Raw, words: str) -> None:
    import shlex

    try:
        if shlex.split(words):
            return
        reason = "there is none"
    except ValueError as error:
        reason = str(error)
    raise raw.refuse(f"command: with a program and its words, as a shell splits them ({reason})")


def _filter(raw: Raw) -> str:
    """A filter of flow runs, in the language of ``flowdeck runs``."""
    if not isinstance(raw.value, str):
        raise raw.refuse('a filter of runs, such as "state:failed flow:etl*"')
    if raw.value.strip():
        from flowdeck_store.errors import QueryError
        from flowdeck_store.query.language import parse

        try:
            parse(raw.value, "runs")
        except QueryError as error:
            raise raw.refuse(
                f'a filter of runs, such as "state:failed flow:etl*" ({error})'
            ) from None
    return raw.value


#: How each setting's value is read; also the list of all settings.
FIELD_KINDS: Final[dict[str, Callable[[Raw], Any]]] = {
    "home": _home,
    "log_level": lambda raw: _choice(LOG_LEVELS, raw),
    "log_prints": _flag,
    "extra_loggers": _texts,
    "persist_results": _flag,
    "keep_on_failure": _megabytes,
    "refresh_cache": _flag,
    "flow_paths": _paths,
    "python": _python,
    "result_preview": _preview,
    "input_warning_seconds": _seconds,
    "cleanup_seconds": _seconds,
    "left_behind_seconds": _seconds,
    "stall_seconds": _seconds,
    "provenance": _flag,
    "provenance_env": _texts,
    "redact": _texts,
    "artifact_megabytes": _megabytes,
    "artifact_rows": _rows,
    "tqdm": _flag,
    "metrics": _flag,
    "metrics_seconds": _seconds,
    "notify": _channels,
    "notify_filter": _filter,
    "notify_after": _seconds,
    "otel": _flag,
    "durability": lambda raw: _choice(DURABILITY, raw),
    "sync_seconds": _seconds,
    "console": _flag,
    "color": lambda raw: _choice(COLORS, raw),
    "images": lambda raw: _choice(IMAGES, raw),
    "theme": _optional_text,
    "editor": _optional_text,
    "keys": _mapping,
    "resources": _resources,
    "homes": _homes,
    "hosts": _hosts,
}
