"""What the launch dialog holds: fields, values, problems, and the command that does the same. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowdeck.runs.launch_spec import LaunchSpec
from flowdeck.values.redaction import concealed, has_hidden, is_hidden, names_in_force
from flowdeck_app.control.recorded import has_stand_in
from flowdeck_app.screens.launch.nested import is_given, rows_of, text_of_part, with_part
from flowdeck_app.screens.launch.runner_fields import conflicts, runner_texts
from flowdeck_app.screens.launch.specs import Field, problem, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class Form:
    """The dialog's contents.

    Attributes:
        target: what ``flowdeck run`` takes.
        fields: of the flow.
        texts: what is filled in, by field.
        runner: chosen runner; ``""``: the one in the code.
        own_runner: the one in the code.
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
    own_runner: str = ""
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
        """Return the value of a parameter, or of the part of one, as text."""
        if spec.path:
            return text_of_part(spec, self.text(self._whole(spec)))
        return self.texts.get(spec.name, spec.default)

    def rows(self, spec: Field) -> list[Field]:
        """Return the rows of a parameter: itself, or its head and its parts."""
        return rows_of(spec, self.text(spec))

    def edit(self, spec: Field, text: str) -> None:
        """Take over what was typed for a parameter, or for a part of one."""
        whole = self._whole(spec)
        if spec.path:
            is_list = isinstance(spec.path[0], int)
            text = with_part(self.text(whole), spec, text, is_list=is_list)
            if text == "[]" and whole.default == "" and is_list:
                text = ""  # as before anything was typed
        elif spec.widget == "group":  # given or not
            text = "null" if text == "false" else "[]" if whole.widget == "list" else "{}"
        self.texts[spec.name] = text

    def _whole(self, spec: Field) -> Field:
        return next(one for one in self.fields if one.name == spec.name)

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
        found: dict[str, str] = {}
        for spec in self.fields:
            text = self.text(spec)
            head, *parts = self.rows(spec)
            wrong = self._of_head(head, text)
            if wrong is None and text == self.recorded.get(spec.name) and text != spec.default:
                if has_stand_in(text):
                    wrong = "not in the record, only what stands for it: give it anew"
            if wrong:
                found[spec.name] = wrong
                continue
            for part in parts:
                wrong = self._of_part(part, text)
                if wrong:
                    found[part.key] = wrong
        for spec in self.options:
            wrong = problem(spec, self.option_texts.get(spec.name, spec.default))
            if wrong:
                found[f"runner.{spec.name}"] = wrong
        crossing = conflicts(self.runner or self.own_runner, self.options, self.option_texts)
        for name, wrong in crossing.items():
            found.setdefault(f"runner.{name}", wrong)
        return found

    def _of_head(self, head: Field, text: str) -> str | None:
        if head.widget != "group" or has_hidden(text):
            return problem(head, text)
        return "needs a value" if head.required and text == "" and self._is_list(head) else None

    def _of_part(self, part: Field, whole: str) -> str | None:
        if part.adds or part.widget == "group":
            return None
        if part.required and not is_given(part, whole):
            return "needs a value"  # texts, too: an empty part is left out, not passed on
        return problem(part, self.text(part))

    def _is_list(self, spec: Field) -> bool:
        return self._whole(spec).widget == "list"

    def given(self) -> dict[str, str]:
        """Return the parameters to pass: required ones, and those that differ from the default."""
        given = {}
        for spec in self.fields:
            text = self.text(spec)
            if text == "" and spec.required and len(self.rows(spec)) > 1 and spec.widget == "json":
                text = "{}"  # a model all of whose fields have defaults
            if text == "" and spec.widget not in {"text", "path"}:
                continue  # an emptied number or choice is the default again
            if text != spec.default or spec.required:
                given[spec.name] = text
        return given

    def given_options(self) -> dict[str, str]:
        """Return the runner's options to pass."""
        return runner_texts(self.runner or self.own_runner, self.options, self.option_texts)

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
