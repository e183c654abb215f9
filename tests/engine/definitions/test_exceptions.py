"""The errors: families that except-clauses rely on, exact texts, travel between processes."""

from __future__ import annotations

import inspect
import pickle

import pytest

from flowdeck import exceptions
from flowdeck.exceptions import FlowdeckError, ParameterTypeError
from flowdeck.parameters.bind_errors import bind_error

ORDINARY = [
    error
    for error in vars(exceptions).values()
    if isinstance(error, type) and issubclass(error, FlowdeckError)
]
NOT_FOR_USERS = [
    exceptions.Abort,
    exceptions.Pause,
    exceptions.TaskCancelled,
    exceptions.FlowCancelled,
    exceptions.TerminationSignal,
]


@pytest.mark.parametrize(
    ("error", "also"),
    [
        (exceptions.MissingContextError, RuntimeError),
        (exceptions.ParameterBindError, TypeError),
        (exceptions.SignatureMismatchError, TypeError),
        (exceptions.ReservedArgumentError, TypeError),
        (exceptions.InvalidNameError, ValueError),
    ],
)
def test_errors_are_caught_by_the_builtin_that_users_expect(
    error: type[Exception], also: type[Exception]
) -> None:
    assert issubclass(error, also)
    assert issubclass(error, FlowdeckError)


@pytest.mark.parametrize("error", NOT_FOR_USERS)
def test_except_exception_does_not_swallow_what_stops_a_run(error: type[BaseException]) -> None:
    assert not issubclass(error, Exception)


@pytest.mark.parametrize("error", ORDINARY)
def test_every_error_survives_pickling(error: type[FlowdeckError]) -> None:
    copy = pickle.loads(pickle.dumps(error("what happened")))
    assert type(copy) is error
    assert copy.args == ("what happened",)


def test_a_termination_signal_keeps_its_number_through_pickling() -> None:
    copy = pickle.loads(pickle.dumps(exceptions.TerminationSignal(signal=15)))
    assert copy.signal == 15
    assert "15" in str(copy)


def test_a_bind_error_names_function_signature_and_arguments() -> None:
    def f(x: int, y: int = 2) -> int:
        return x + y

    signature = inspect.signature(f, eval_str=True)
    with pytest.raises(TypeError) as failed:
        signature.bind(y=1)
    error = bind_error("f", signature, failed.value, (), {"y": 1})
    assert str(error) == (
        "Error binding parameters for function 'f': missing a required argument: 'x'.\n"
        "Function 'f' has signature 'x: int, y: int = 2' but received args: () and kwargs: ['y']."
    )


def test_a_type_error_lists_each_bad_parameter_on_its_own_line() -> None:
    error = ParameterTypeError.from_problems([("x", "no integer"), ("m.name", "missing")])
    assert str(error) == (
        "Flow run received invalid parameters:\n - x: no integer\n - m.name: missing"
    )


def test_a_signature_mismatch_names_both_sides() -> None:
    error = exceptions.SignatureMismatchError.from_bad_params(["a"], ["b", "c"])
    assert str(error) == (
        "Function expects parameters ['a'] but was provided with parameters ['b', 'c']"
    )
