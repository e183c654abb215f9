"""What is said of a call whose arguments do not fit: the function's signature and what was given,
without what is secret in either."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowdeck.exceptions import ParameterBindError
from flowdeck.values.previews import params_reprs
from flowdeck.values.redaction import concealed, is_hidden, names_in_force
from flowdeck.values.statics import is_a, type_name

if TYPE_CHECKING:
    import inspect
    from collections.abc import Mapping


def bind_error(
    name: str,
    signature: inspect.Signature,
    error: TypeError,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> ParameterBindError:
    """Describe a failed :meth:`inspect.Signature.bind` of the function called ``name``."""
    shown = _shown_signature(signature)
    return ParameterBindError(
        f"Error binding parameters for function '{name}': {error}.\n"
        f"Function '{name}' has signature '{shown}' "
        f"but received args: {_shown_args(signature, args)} and kwargs: {list(kwargs)}."
    )


class _HiddenDefault:
    def __repr__(self) -> str:
        return "<hidden>"


def _shown_signature(signature: inspect.Signature) -> str:
    """Return the text of a signature without the defaults that must not be shown."""
    hides = names_in_force()
    parameters = [
        parameter.replace(default=_HiddenDefault())
        if parameter.default is not parameter.empty
        and is_hidden(parameter.name, parameter.default, hides)
        else parameter
        for parameter in signature.parameters.values()
    ]
    shown = signature.replace(parameters=parameters, return_annotation=signature.empty)
    return concealed(str(shown)[1:-1])


def _shown_args(signature: inspect.Signature, args: tuple[Any, ...]) -> str:
    """Return positional arguments as text. Of a function that takes a secret only their types are
    shown, as of a text that has no parameter: in a call that does not fit nobody knows which of
    them is the secret."""
    # An argument may be huge or have a repr that raises: an error message must survive both.
    hides = names_in_force()
    known = len(signature.parameters)
    if hides is not None and any(map(hides, signature.parameters)):
        shown = [f"<{type_name(value)}>" for value in args]
    else:
        shown = [
            f"<{type_name(value)}>"
            if hides is not None and index >= known and is_a(value, (str, bytes))
            else params_reprs({"": value})[""]
            for index, value in enumerate(args)
        ]
    inner = ", ".join(shown)
    return f"({inner},)" if len(args) == 1 else f"({inner})"
