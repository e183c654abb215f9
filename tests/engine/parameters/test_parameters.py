"""Parameters: binding with exact errors, validation as pydantic does it, compatibility."""

from __future__ import annotations

import datetime as dt
import enum
import functools
import itertools
import subprocess
import sys
import typing
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import pydantic
import pytest

from flowdeck.exceptions import (
    ParameterBindError,
    ParameterTypeError,
    ReservedArgumentError,
    SignatureMismatchError,
)
from flowdeck.parameters import Binder, bind, check_compatible, validate
from flowdeck.parameters.binding import signature_of

if TYPE_CHECKING:
    from decimal import Decimal


class Model(pydantic.BaseModel):
    a: int
    b: str = "b"


class Arbitrary:
    pass


class Color(enum.Enum):
    RED = "red"


def everything(a: Any, /, b: Any, c: Any = 3, *rest: Any, d: Any, e: Any = 5, **more: Any) -> None:
    """Have one parameter of each kind."""


def plain(x: Any, y: Any = 2, *, z: Any = 3) -> None:
    """Have plain parameters only."""


def nothing() -> None:
    """Take nothing."""


CALLS: list[tuple[Any, tuple[Any, ...], dict[str, Any], dict[str, Any]]] = [
    (nothing, (), {}, {}),
    (plain, (1,), {}, {"x": 1, "y": 2, "z": 3}),
    (plain, (1, 5), {}, {"x": 1, "y": 5, "z": 3}),
    (plain, (), {"z": 7, "x": 1}, {"x": 1, "y": 2, "z": 7}),
    (everything, (1, 2), {"d": 4},
     {"a": 1, "b": 2, "c": 3, "rest": (), "d": 4, "e": 5, "more": {}}),
    (everything, (1, 2, 3, 9, 9), {"d": 4, "f": 6},
     {"a": 1, "b": 2, "c": 3, "rest": (9, 9), "d": 4, "e": 5, "more": {"f": 6}}),
]  # fmt: skip


@pytest.mark.parametrize(("fn", "args", "kwargs", "parameters"), CALLS)
def test_a_call_becomes_parameters_in_the_order_of_the_signature(
    fn: Any, args: Any, kwargs: Any, parameters: dict[str, Any]
) -> None:
    bound = Binder(fn).bind(args, kwargs)
    assert bound == parameters
    assert list(bound) == list(parameters)
    assert bind(fn, signature_of(fn), args, kwargs) == parameters


@pytest.mark.parametrize(("fn", "args", "kwargs", "parameters"), CALLS)
def test_parameters_become_a_call_again(
    fn: Any, args: Any, kwargs: Any, parameters: dict[str, Any]
) -> None:
    binder = Binder(fn)
    again_args, again_kwargs = binder.call_args(parameters)
    assert binder.bind(again_args, again_kwargs) == parameters
    fn(*again_args, **again_kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs", "reason"),
    [
        ((), {}, "missing a required argument: 'x'"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((1,), {"x": 2}, "multiple values for argument 'x'"),
        ((1,), {"w": 2}, "got an unexpected keyword argument 'w'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(args: Any, kwargs: Any, reason: str) -> None:
    with pytest.raises(ParameterBindError) as refused:
        Binder(plain).bind(args, kwargs)
    assert str(refused.value) == (
        f"Error binding parameters for function 'plain': {reason}.\n"
        "Function 'plain' has signature 'x: 'Any', y: 'Any' = 2, *, z: 'Any' = 3' "
        f"but received args: {args} and kwargs: {list(kwargs)}."
    )


def test_a_bind_error_survives_an_argument_that_cannot_be_shown() -> None:
    class Bad:
        def __repr__(self) -> str:
            raise ValueError("no")

    with pytest.raises(ParameterBindError, match="repr failed"):
        Binder(nothing).bind((Bad(),), {})


def test_defaults_that_are_arrays_do_not_confuse_binding() -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise AssertionError("compared")

        __hash__ = None  # type: ignore[assignment]

    odd = Odd()

    def f(x: Any, y: Any = odd) -> None: ...

    assert Binder(f).bind((odd,), {})["y"] is odd


def test_parameters_of_another_signature_are_refused() -> None:
    binder = Binder(plain)
    for wrong in ({"x": 1}, {"x": 1, "y": 2, "z": 3, "old": 4}):
        with pytest.raises(SignatureMismatchError) as refused:
            binder.call_args(wrong)
        assert "['x', 'y', 'z']" in str(refused.value)


def test_built_ins_partials_and_callable_objects_can_be_bound() -> None:
    class Adder:
        def __call__(self, x: int, y: int = 1) -> int:
            return x + y

    assert Binder(Adder()).bind((1,), {}) == {"x": 1, "y": 1}
    assert Binder(functools.partial(plain, 1)).bind((5,), {}) == {"y": 5, "z": 3}
    assert Binder(dict).bind((), {"a": 1}) == {"args": (), "kwargs": {"a": 1}}


@pytest.mark.parametrize("name", ["wait_for", "return_state"])
def test_reserved_names_are_refused(name: str) -> None:
    namespace: dict[str, Any] = {}
    exec(f"def f(x, {name}=None): ...", namespace)
    for refuse in (Binder, check_compatible):
        with pytest.raises(ReservedArgumentError, match=f"'{name}' is a reserved argument name"):
            refuse(namespace["f"])


def test_names_that_cannot_be_validated_are_refused_with_what_to_do() -> None:
    def f(_x: int) -> None: ...

    with pytest.raises(ValueError) as refused:
        check_compatible(f)
    assert str(refused.value) == (
        "Flow function is not compatible with `validate_parameters`. "
        "Disable validation or change the argument names."
    )
    check_compatible(plain)


# -- validation -------------------------------------------------------------------------------


def takes(annotation: Any) -> Callable[..., None]:
    def f(x: Any) -> None: ...

    f.__annotations__ = {"x": annotation}
    return f


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (int, 5, 5),
        (int, "5", 5),
        ("int", "5", 5),
        (int, True, 1),
        (float, 1, 1.0),
        (bool, "yes", True),
        (str, "5", "5"),
        (int | None, None, None),
        (Optional[int], "7", 7),  # noqa: UP045 - the old spelling too
        (list[int], ["1", 2], [1, 2]),
        (dt.date, "2024-01-02", dt.date(2024, 1, 2)),
        (Model, {"a": "1"}, Model(a=1)),
        ("Model", {"a": "1"}, Model(a=1)),
        (list["Model"], [{"a": 1}], [Model(a=1)]),
        (Color, "red", Color.RED),
        (Literal["a", "b"], "b", "b"),
        (Annotated[int, pydantic.Field(gt=3)], "4", 4),
        (Any, "5", "5"),
        (None, None, None),
    ],
    ids=str,
)
def test_values_are_coerced_by_annotation(annotation: Any, value: Any, expected: Any) -> None:
    found = validate(takes(annotation), {"x": value})
    assert found == {"x": expected}
    assert type(found["x"]) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "value", "problem"),
    [
        (int, "abc",
         "x: Input should be a valid integer, unable to parse string as an integer"),
        (str, 5, "x: Input should be a valid string"),
        (Model, {"a": "x"},
         "x.a: Input should be a valid integer, unable to parse string as an integer"),
        (list[int], [1, "b"],
         "x.1: Input should be a valid integer, unable to parse string as an integer"),
        (Annotated[int, pydantic.Field(gt=3)], 3, "x: Input should be greater than 3"),
        (Arbitrary, 5, "x: Input should be an instance of Arbitrary"),
    ],
    ids=str,
)  # fmt: skip
def test_values_that_do_not_fit_are_refused_by_name(
    annotation: Any, value: Any, problem: str
) -> None:
    with pytest.raises(ParameterTypeError) as refused:
        validate(takes(annotation), {"x": value})
    assert str(refused.value) == f"Flow run received invalid parameters:\n - {problem}"


def test_every_bad_parameter_is_listed() -> None:
    def f(x: int, y: int, z: int) -> None: ...

    with pytest.raises(ParameterTypeError) as refused:
        validate(f, {"x": "a", "y": 2, "z": "c"})
    assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == [
        "Flow run received invalid parameters",
        " - x",
        " - z",
    ]


def test_objects_of_any_class_go_through_as_they_are() -> None:
    thing = Arbitrary()
    assert validate(takes(Arbitrary), {"x": thing})["x"] is thing
    model = Model(a=1)
    assert validate(takes(Model), {"x": model})["x"] is model


@pytest.mark.parametrize(
    "annotation",
    [Iterable[int], typing.Iterable[int], Iterator[int], Generator[int, None, None], Iterable,
     Iterable[int] | None, Annotated[Iterable[int], "why"]],
)  # fmt: skip
@pytest.mark.parametrize("value", [[1, 2, 3], (1, 2), {1, 2}, range(3), deque([1]), {1: "a"}])
def test_what_is_iterated_over_stays_what_it_is(annotation: Any, value: Any) -> None:
    assert validate(takes(annotation), {"x": value})["x"] is value


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (Iterable[int], ["1", 2], [1, 2]),
        (Iterable[int], ("1", 2), (1, 2)),
        (Iterable[int], {"1"}, {1}),
        (Iterable[int], {"1": "a"}, [1]),
        (Iterable[str], "abc", "abc"),
        (dict[str, Iterable[int]], {"a": ["1"]}, {"a": [1]}),
        (list[Iterable[Iterable[float]]], [[["1"], [2.0]]], [[[1.0], [2.0]]]),
        (tuple[int, Iterable[int]], ("1", ["2"]), (1, [2])),
        (Callable[[Iterable[int]], Any], len, len),
    ],
)
def test_items_are_converted_at_once(annotation: Any, value: Any, expected: Any) -> None:
    found = validate(takes(annotation), {"x": value})["x"]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "value", "problem"),
    [
        (Iterable[int], [1, "b"], r"x\.1: Input should be a valid integer"),
        (dict[str, Iterable[int]], {"k": ["b"]}, r"x\.k\.0: Input should be a valid integer"),
        (Iterable[int], 5, r"x: Input should be a valid list"),
    ],
)
def test_a_bad_item_is_found_before_the_run(annotation: Any, value: Any, problem: str) -> None:
    with pytest.raises(ParameterTypeError, match=problem):
        validate(takes(annotation), {"x": value})


def test_iterators_and_what_has_no_end_are_not_eaten() -> None:
    class Endless:
        def __iter__(self) -> Any:
            return itertools.count()

    endless, counter = Endless(), itertools.count()
    found = validate(takes(Iterable[int]), {"x": endless})["x"]
    assert found is endless
    assert validate(takes(Iterable[int]), {"x": counter})["x"] is counter
    assert next(counter) == 0


def test_star_parameters_are_validated_item_by_item() -> None:
    def f(*args: int, **kwargs: float) -> None: ...

    assert validate(f, {"args": ("1", 2), "kwargs": {"a": "1.5"}}) == {
        "args": (1, 2),
        "kwargs": {"a": 1.5},
    }
    with pytest.raises(ParameterTypeError, match=r"kwargs\.a: "):
        validate(f, {"args": (), "kwargs": {"a": "b"}})


def test_a_default_that_does_not_fit_its_own_annotation_is_taken() -> None:
    def f(x: int = None, y: dt.date = "2024-01-02") -> None: ...  # type: ignore[assignment]  # noqa: RUF013

    found = validate(f, {"x": None, "y": "2024-01-02"})
    assert found == {"x": None, "y": dt.date(2024, 1, 2)}


def test_names_from_the_enclosing_function_are_found() -> None:
    class Local(pydantic.BaseModel):
        n: int

    def f(x: Local) -> type:
        return Local

    assert validate(f, {"x": {"n": 1}}) == {"x": Local(n=1)}


def test_an_annotation_that_cannot_be_resolved_checks_nothing() -> None:
    def f(x: Decimal, y: Any, z: Any) -> None: ...

    f.__annotations__ |= {"y": "NoSuchName", "z": "not valid python"}
    assert validate(f, {"x": 1, "y": 2, "z": 3}) == {"x": 1, "y": 2, "z": 3}


def test_an_annotation_that_is_no_type_checks_nothing() -> None:
    assert validate(takes(5), {"x": "5"}) == {"x": "5"}


def test_a_validator_that_raises_something_else_is_a_bad_parameter() -> None:
    def explode(value: Any) -> Any:
        raise RuntimeError("kaboom")

    with pytest.raises(ParameterTypeError, match="x: RuntimeError: kaboom"):
        validate(takes(Annotated[int, pydantic.BeforeValidator(explode)]), {"x": 1})


def test_methods_and_callable_objects_are_validated_too() -> None:
    class Thing:
        def __call__(self, x: int) -> None: ...

        def method(self, x: int) -> None: ...

    assert validate(Thing(), {"x": "1"}) == {"x": 1}
    assert validate(Thing().method, {"x": "1"}) == {"x": 1}
    assert validate(functools.partial(Thing().method), {"x": "1"}) == {"x": 1}


def test_the_given_mapping_is_not_changed() -> None:
    given = {"x": "5"}
    validate(takes(int), given)
    assert given == {"x": "5"}


PLAIN_CALLS = """
import sys
from flowdeck.parameters import Binder, check_compatible, validate

def bare(x, y=1): ...
def typed(n: int, s: str, f: float, b: bool, o: "int | None" = None, a: object = None): ...

for fn, args in ((bare, ("a",)), (typed, (1, "s", 1.5, True))):
    check_compatible(fn)
    validate(fn, Binder(fn).bind(args, {}))
print("pydantic" in sys.modules)
validate(typed, Binder(typed).bind(("1", "s", 1.5, True), {}))
print("pydantic" in sys.modules)
"""


def test_pydantic_is_only_imported_where_it_has_something_to_do() -> None:
    command = [sys.executable, "-c", PLAIN_CALLS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
