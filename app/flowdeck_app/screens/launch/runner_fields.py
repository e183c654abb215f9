"""The options of task runners as fields: what people set has one, one JSON object takes the rest. Pure.

A cluster's options are dicts of arguments for somebody else (``cluster_kwargs``, ``init_kwargs``).
Its usual arguments are fields here, under the words that people use, and are put back where they
belong when the runner's options are passed on.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck_app.screens.launch.specs import Field, text_of
from flowdeck_app.screens.launch.type_words import type_word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The field for all arguments that have none of their own.
REST: Final = "more"


@dataclass(frozen=True, slots=True)
class _Usual:
    """An argument that has a field: its label, where it goes, how it is edited, what it is for."""

    label: str
    path: tuple[str, ...]
    widget: str
    doc: str
    least: int = 0
    as_bytes: bool = False  # a size is passed on as a number of bytes


_USUAL: Final[dict[str, tuple[_Usual, ...]]] = {
    "dask": (
        _Usual("address", ("address",), "text", "of a scheduler, tcp://host:8786; else one is made"),
        _Usual("workers", ("cluster_kwargs", "n_workers"), "int", "processes of the cluster", 1),
        _Usual("threads", ("cluster_kwargs", "threads_per_worker"), "int", "tasks at once in each", 1),
        _Usual("memory", ("cluster_kwargs", "memory_limit"), "size", "of each worker: 4GB, auto, 0"),
        _Usual("at least", ("adapt_kwargs", "minimum"), "int", "workers, if their number adapts"),
        _Usual("at most", ("adapt_kwargs", "maximum"), "int", "workers, if their number adapts"),
    ),
    "ray": (
        _Usual("address", ("address",), "text", "auto, host:6379, ray://host:10001; else local"),
        _Usual("cpus", ("init_kwargs", "num_cpus"), "int", "how many tasks of one CPU at once", 1),
        _Usual("gpus", ("init_kwargs", "num_gpus"), "int", "graphics cards that tasks may ask for"),
        _Usual(
            "memory", ("init_kwargs", "object_store_memory"), "size",
            "for values that tasks share: 2GB", as_bytes=True,
        ),
    ),
    "process": (_Usual("workers", ("max_workers",), "int", "processes; else one a processor", 1),),
    "concurrent": (_Usual("workers", ("max_workers",), "int", "threads at most; else 250", 1),),
}  # fmt: skip
#: Options that are objects: a form cannot give them.
_OBJECTS: Final = frozenset({"cluster"})
_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}
_BYTES: Final = re.compile(r"(?i)(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?)b?")


def runner_fields(
    runner: str, options: Sequence[Mapping[str, str]], in_code: Mapping[str, str]
) -> list[Field]:
    """Return the fields of a runner's options.

    Args:
        runner: its name.
        options: what it takes, see ``task_runners.runner_options``.
        in_code: options as they are in the flow's code, by name, as Python shows them; they are
            what the fields begin with. Empty if the code has another runner.
    """
    known = {option["name"] for option in options} - _OBJECTS
    usual = [one for one in _USUAL.get(runner, ()) if one.path[0] in known]
    own = {name: value for name, text in in_code.items() if (value := _read(text)) is not None}
    fields = [
        Field(
            ".".join(one.path), "size" if one.widget == "size" else type_word(_WORDS[one.widget]),
            one.widget, False, _shown(own, one.path), doc=one.doc, label=one.label,
            schema={"minimum": one.least} if one.widget == "int" else {},
        )
        for one in usual
    ]  # fmt: skip
    shown = {one.path for one in usual}
    others = {option["name"]: option for option in options if option["name"] in known}
    simple = [name for name in others if (name,) not in shown and not _takes_dict(others[name])]
    if runner not in _USUAL:
        fields += [_plain(others[name], own) for name in simple]
        simple = []
    rest = [name for name in others if _takes_dict(others[name])] + simple
    if rest:
        doc = f"as JSON: {', '.join(rest)}"
        left = {name: _without(own[name], name, shown) for name in rest if name in own}
        text = json.dumps({name: value for name, value in left.items() if value}) if left else ""
        default = "" if text == "{}" else text
        fields.append(
            Field(REST, "json", "json", False, default, doc=doc, schema={"type": "object"})
        )
    return fields


_WORDS: Final = {"int": "int", "text": "str", "size": "size"}


def _takes_dict(option: Mapping[str, str]) -> bool:
    return "Mapping" in option["annotation"] or "dict" in option["annotation"]


def _plain(option: Mapping[str, str], own: Mapping[str, Any]) -> Field:
    annotation = option["annotation"]
    widget = "int" if annotation.startswith("int") else "text"
    word = type_word(annotation).removesuffix("?")
    text = _shown(own, (option["name"],))
    return Field(option["name"], word, widget, False, text, doc=option["doc"].replace("``", ""))


def _read(text: str) -> Any:
    """Return the value of a Python literal; ``None`` for anything else: then nobody can show it."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _shown(own: Mapping[str, Any], path: Sequence[str]) -> str:
    value: Any = own
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return "" if value is None else text_of(value)


def _without(value: Any, name: str, shown: set[tuple[str, ...]]) -> Any:
    if not isinstance(value, dict):
        return value
    left = {key: one for key, one in value.items() if (name, key) not in shown}
    if left.get("namespace") == "flowdeck":  # Ray's, from the runner itself
        del left["namespace"]
    return left


def runner_texts(runner: str, fields: Sequence[Field], texts: Mapping[str, str]) -> dict[str, str]:
    """Return the options to pass on, as texts by name: those in which something was changed.

    Args:
        runner: its name.
        fields: its fields.
        texts: what stands in them, by name; others are as they were.
    """
    given: dict[str, Any] = {}
    changed: set[str] = set()
    rest = next((field for field in fields if field.name == REST), None)
    if rest is not None:
        more, before = _object(texts.get(REST, rest.default)), _object(rest.default)
        given.update({k: dict(v) if isinstance(v, dict) else v for k, v in more.items()})
        changed |= {name for name in more.keys() | before if more.get(name) != before.get(name)}
    sizes = {".".join(one.path) for one in _USUAL.get(runner, ()) if one.as_bytes}
    for field in fields:
        text = texts.get(field.name, field.default).strip()
        if field.name == REST or text == "" == field.default.strip():
            continue
        head, _, key = field.name.partition(".")
        if text != field.default:
            changed.add(head)
        if text:
            value = _value(field, text, as_bytes=field.name in sizes)
            if not key:
                given[head] = value
            else:
                inside = given.setdefault(head, {})
                if isinstance(inside, dict):
                    inside[key] = value
    return {name: text_of(given.get(name)) for name in sorted(changed)}


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _value(field: Field, text: str, *, as_bytes: bool) -> Any:
    if field.widget == "int" and text.lstrip("-").isdecimal():
        return int(text)
    if field.widget == "size":
        size = _BYTES.fullmatch(text)
        if as_bytes and size is not None:
            step = 1024 if size[3] else 1000
            power = (*_UNITS,).index(size[2].lower())
            return int(float(size[1]) * step**power)
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return json.loads(text)
    return text


def conflicts(runner: str, fields: Sequence[Field], texts: Mapping[str, str]) -> dict[str, str]:
    """Return what cannot be given together, by field name."""
    names = {field.name for field in fields if texts.get(field.name, field.default).strip()}
    if "address" not in names:
        return {}
    making = {"dask": ("cluster_kwargs.", "adapt_kwargs."), "ray": ("init_kwargs.",)}
    labels = [
        field.label for field in fields
        if field.name in names and field.name.startswith(making.get(runner, ("\0",)))
    ]  # fmt: skip
    if not labels:
        return {}
    return {"address": f"a cluster that runs already has its own {', '.join(labels)}"}
