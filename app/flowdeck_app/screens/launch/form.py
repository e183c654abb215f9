"""What the launch dialog holds: fields, values, problems, and the command that does the same. Pure."""

from __future__ import annotations

import datetime
import difflib
import json
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from flowdeck.runs.launch_spec import LaunchSpec
from flowdeck.values.redaction import concealed, has_hidden, is_hidden, names_in_force
from flowdeck_app.control.recorded import has_stand_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Schema types that a JSON value has, by Python type.
_TYPES: Final = {"array": list, "object": dict, "string": str, "boolean": bool}


@dataclass(frozen=True, slots=True)
class Field:
    """One value to fill in: a parameter of the flow, or an option of a runner."""

    name: str
    annotation: str
    widget: str  # text int float bool choice date datetime path list json
    required: bool
    default: str  # as text; "" if there is none
    choices: tuple[str, ...] = ()
    doc: str = ""
    nullable: bool = False
    schema: Mapping[str, Any] = field(default_factory=dict)


def text_of(value: Any) -> str:
    """Return a JSON value as a field shows it: texts as they are, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def fields_of(parameters: Sequence[Mapping[str, Any]]) -> list[Field]:
    """Return the fields of a flow's form (see ``parameters.describe``)."""
    fields = []
    for info in parameters:
        if info["kind"] in {"var_positional", "positional_only"}:
            continue
        default = info["default_json"]
        text = "" if default is None else text_of(json.loads(default))
        choices = tuple(text_of(choice) for choice in info["choices"] or ())
        fields.append(
            Field(
                info["name"],
                info["annotation"],
                info["widget"],
                bool(info["required"]),
                text,
                choices,
                info["doc"],
                bool(info["nullable"]),
                info["schema"] or {},
            )
        )
    return fields


def option_fields(options: Sequence[Mapping[str, str]]) -> list[Field]:
    """Return the fields of a runner's options; empty ones are not passed on."""
    fields = []
    for option in options:
        annotation = option["annotation"]
        widget = "json" if "Mapping" in annotation or "dict" in annotation else "text"
        if annotation.startswith("int"):
            widget = "int"
        doc = option["doc"].replace("``", "")
        fields.append(Field(option["name"], annotation, widget, False, "", doc=doc))
    return fields


def problem(spec: Field, text: str) -> str | None:
    """Say what is wrong with a text, ``None`` if nothing is."""
    if has_hidden(text):
        return "hidden in the record: give it again"
    if text == "":
        if spec.required and spec.widget not in {"text", "path"}:
            return "needs a value"
        return None
    if spec.nullable and text == "null":
        return None
    checker = _CHECKS.get(spec.widget)
    return None if checker is None else checker(spec, text)


def _check_int(spec: Field, text: str) -> str | None:
    try:
        number = int(text)
    except ValueError:
        return f"not a whole number: {text!r}"
    return _bounds(spec, number)


def _check_float(spec: Field, text: str) -> str | None:
    try:
        number = float(text)
    except ValueError:
        return f"not a number: {text!r}"
    return _bounds(spec, number)


def _bounds(spec: Field, number: float) -> str | None:
    low, high = spec.schema.get("minimum"), spec.schema.get("maximum")
    if low is not None and number < low:
        return f"less than {low}"
    return f"more than {high}" if high is not None and number > high else None


def _check_bool(spec: Field, text: str) -> str | None:
    return None if text in {"true", "false"} else f"neither true nor false: {text!r}"


def _check_choice(spec: Field, text: str) -> str | None:
    if text in spec.choices:
        return None
    close = difflib.get_close_matches(text, spec.choices, 1)
    return f"not one of them; did you mean {close[0]!r}?" if close else "not one of the choices"


def _check_date(spec: Field, text: str) -> str | None:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return f"not a date such as 2026-11-22: {text!r}"
    return None


def _check_datetime(spec: Field, text: str) -> str | None:
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        return f"not a time such as 2026-11-22T08:30: {text!r}"
    return None


def _check_json(spec: Field, text: str) -> str | None:
    try:
        value = json.loads(text)
    except ValueError as error:
        return f"not JSON: {error}"
    wanted = _TYPES.get(str(spec.schema.get("type")))
    if wanted is not None and not isinstance(value, wanted):
        return f"not a JSON {spec.schema['type']}"
    return None


_CHECKS: Final = {
    "int": _check_int,
    "float": _check_float,
    "bool": _check_bool,
    "choice": _check_choice,
    "date": _check_date,
    "datetime": _check_datetime,
    "list": _check_json,
    "json": _check_json,
}


@dataclass(slots=True)
class Form:
    """The dialog's contents.

    Attributes:
        target: what ``flowdeck run`` takes.
        fields: of the flow.
        texts: what is filled in, by field.
        runner: chosen runner; ``""``: the one in the code.
        options: fields of the chosen runner.
        option_texts: what is filled in for them.
        name, tags: of the run; ``""``: generated, none.
        rerun_of: uid of the run that this one repeats.
        failed_of: number of that run if only what did not complete there is to run.
        recorded: what was filled in from that run, by field.
    """

    target: str
    fields: list[Field]
    texts: dict[str, str] = field(default_factory=dict)
    runner: str = ""
    options: list[Field] = field(default_factory=list)
    option_texts: dict[str, str] = field(default_factory=dict)
    name: str = ""
    tags: str = ""
    rerun_of: str | None = None
    failed_of: int | None = None
    recorded: dict[str, str] = field(default_factory=dict)

    def fill(self, values: Mapping[str, Any]) -> None:
        """Take values (JSON) over where the flow still has such a parameter."""
        known = {spec.name for spec in self.fields}
        self.texts |= {name: text_of(v) for name, v in values.items() if name in known}

    def text(self, spec: Field) -> str:
        """Return what a field shows."""
        return self.texts.get(spec.name, spec.default)

    def memorable(self) -> dict[str, str]:
        """Return what is filled in, without what is secret: that is kept nowhere."""
        hides = names_in_force()
        return {
            name: text
            for name, text in self.texts.items()
            if not is_hidden(name, text, hides) and not has_hidden(text) and concealed(text) == text
        }

    def problems(self) -> dict[str, str]:
        """Return what is wrong, by field name (options as ``runner.NAME``)."""
        found = {}
        for spec in self.fields:
            text = self.text(spec)
            wrong = problem(spec, text)
            as_recorded = text == self.recorded.get(spec.name) and text != spec.default
            if wrong is None and as_recorded and has_stand_in(text):
                wrong = "not in the record, only what stands for it: give it anew"
            if wrong:
                found[spec.name] = wrong
        for spec in self.options:
            wrong = problem(spec, self.option_texts.get(spec.name, ""))
            if wrong:
                found[f"runner.{spec.name}"] = wrong
        return found

    def given(self) -> dict[str, str]:
        """Return the parameters to pass: required ones, and those that differ from the default."""
        given = {}
        for spec in self.fields:
            text = self.text(spec)
            if text == "" and spec.widget not in {"text", "path"}:
                continue  # an emptied number or choice is the default again
            if text != spec.default or spec.required:
                given[spec.name] = text
        return given

    def given_options(self) -> dict[str, str]:
        """Return the runner's options to pass."""
        return {name: text for name, text in self.option_texts.items() if text}

    def tag_list(self) -> list[str]:
        """Return the tags: words apart by spaces or commas."""
        return self.tags.replace(",", " ").split()

    def changed(self) -> list[str]:
        """Return the names of parameters that are others than those of the recorded run."""
        return [name for name, text in self.texts.items() if text != self.recorded.get(name)]

    def spec(self) -> LaunchSpec:
        """Return what is to be run."""
        return LaunchSpec(
            target=self.target,
            texts=self.given(),
            runner=self.runner or None,
            runner_options=self.given_options(),
            name=self.name or None,
            tags=tuple(self.tag_list()),
            rerun_of=self.rerun_of,
            reuse=self.failed_of is not None,
        )

    def command(self) -> list[str]:
        """Return the words of the command that does the same."""
        spec = self.spec()
        words = ["flowdeck", "run", spec.target]
        given = spec.texts
        if self.failed_of is not None:
            words = ["flowdeck", "retry", str(self.failed_of), "--failed"]
            given = {n: self.texts[n] for n in self.changed()}
        for name, text in given.items():
            words += ["-p", f"{name}={text}"]
        if spec.runner:
            words += ["--runner", spec.runner]
        for name, text in spec.runner_options.items():
            words += ["--runner-opt", f"{name}={text}"]
        if spec.name:
            words += ["--name", spec.name]
        if not spec.reuse:  # the run's own are taken over
            for tag in spec.tags:
                words += ["--tag", tag]
        return [*words, "--detach"]

    def command_line(self) -> str:
        """Return the command as typed into a shell."""
        return shlex.join(self.command())
