"""The type that the answer to a question is to have: what it looks like, and reading answers."""

from __future__ import annotations

import json
from typing import Any, Final

from flowdeck.parameters.annotations import adapter_for, check
from flowdeck.parameters.forms import choices_of, schema_of, widget_of
from flowdeck.parameters.texts import value_from_text

#: Characters of a schema that is recorded; of a larger one nothing is.
_LARGEST: Final = 20_000
_FORMS: Final = {"bool": "bool", "int": "int", "float": "float", "choice": "choice", "text": "text"}
#: The forms for which a schema says nothing more.
_PLAIN: Final = frozenset({bool, int, float, str})


class AnswerType:
    """What an answer is to be.

    Args:
        annotation: ``bool``, ``str``, ``int``, ``float``, a ``Literal``, an enum, a pydantic model or
            anything else that pydantic can check.

    Raises:
        TypeError: pydantic can make nothing of it.
    """

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation
        self._adapter = adapter_for(annotation)
        if self._adapter is None:
            raise TypeError(
                f"ask(): nothing can be checked against type={annotation!r}. Give bool, str, int, "
                "float, a Literal, an enum or a pydantic model."
            )
        choices = choices_of(annotation)
        self.choices: tuple[Any, ...] = choices or ()
        self.form: str = _FORMS.get(widget_of(annotation), "json")
        self.schema: dict[str, Any] = {}
        if annotation not in _PLAIN and not choices:
            schema = schema_of(annotation, "", None)
            if len(json.dumps(schema, default=str)) <= _LARGEST:
                self.schema = schema

    def read(self, answer: Any, *, is_text: bool) -> tuple[Any, str | None]:
        """Return the value of an answer, and what is wrong with it (``None``: nothing).

        Args:
            answer: what was typed, or a value as JSON has it.
            is_text: whether it was typed.
        """
        if is_text and self.annotation is not str:
            value, bad = value_from_text("answer", answer.strip(), self.annotation)
        else:
            value, bad = check(self._adapter, "answer", answer)
        if not bad:
            return value, None
        return None, "; ".join(
            text if path == "answer" else f"{path.removeprefix('answer.')}: {text}"
            for path, text in bad
        )
