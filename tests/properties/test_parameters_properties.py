"""Binding agrees with Python's own calls, for any signature and any call."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st

from flowdeck.exceptions import ParameterBindError
from flowdeck.parameters import Binder, from_texts, validate

names = st.permutations(["a", "b", "c", "d", "e"])
counts = st.tuples(*[st.integers(0, 2)] * 3)


@st.composite
def functions(draw: st.DrawFn) -> Any:
    """Functions of all kinds of signatures that return their ``locals()``."""
    left = list(draw(names))
    only, both, keyword = ([left.pop() for _ in range(n)] for n in draw(st.tuples(
        st.integers(0, 1), st.integers(0, 2), st.integers(0, 2))))  # fmt: skip
    optional_from = draw(st.integers(0, len(only + both)))
    positional = [
        f"{name}={name!r}" if index >= optional_from else name
        for index, name in enumerate(only + both)
    ]
    parts = positional[: len(only)] + (["/"] if only else []) + positional[len(only) :]
    rest = draw(st.booleans())
    parts += ["*args"] if rest else (["*"] if keyword else [])
    parts += [f"{name}={name!r}" if draw(st.booleans()) else name for name in keyword]
    parts += ["**kwargs"] if draw(st.booleans()) else []
    namespace: dict[str, Any] = {}
    exec(f"def f({', '.join(parts)}): return dict(locals())", namespace)
    return namespace["f"]


arguments = st.lists(st.integers(), max_size=4).map(tuple)
keywords = st.dictionaries(st.sampled_from("abcdexy"), st.integers(), max_size=4)


def same_name_twice(b: Any = "b", /, **kwargs: Any) -> dict[str, Any]:
    return dict(locals())


@given(functions(), arguments, keywords)
@example(same_name_twice, (), {"a": 0, "b": 1})
def test_binding_takes_and_refuses_what_a_call_does(fn: Any, args: Any, kwargs: Any) -> None:
    try:
        expected = fn(*args, **kwargs)
    except TypeError:
        expected = None
    try:
        bound = Binder(fn).bind(args, kwargs)
    except ParameterBindError:
        bound = None
    assert bound == expected


@given(functions(), arguments, keywords)
def test_a_call_from_bound_parameters_is_the_same_call(fn: Any, args: Any, kwargs: Any) -> None:
    binder = Binder(fn)
    try:
        bound = binder.bind(args, kwargs)
    except ParameterBindError:
        assume(False)
    again_args, again_kwargs = binder.call_args(bound)
    assert fn(*again_args, **again_kwargs) == fn(*args, **kwargs)


@given(functions(), arguments, keywords)
def test_unannotated_parameters_are_never_changed(fn: Any, args: Any, kwargs: Any) -> None:
    try:
        bound = Binder(fn).bind(args, kwargs)
    except ParameterBindError:
        assume(False)
    assert validate(fn, bound) == bound


simple = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@given(simple, st.sampled_from([int, str, float, bool, None, int | None, float | str]))
def test_plain_types_are_checked_exactly_as_pydantic_does(value: Any, annotation: Any) -> None:
    from pydantic import TypeAdapter, ValidationError

    def f(x: Any) -> None: ...

    f.__annotations__ = {"x": annotation}
    try:
        expected = TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        expected = error
    try:
        found = validate(f, {"x": value})["x"]
    except Exception:
        assert isinstance(expected, ValidationError)
    else:
        assert found == expected
        assert type(found) is type(expected)


@given(st.text())
def test_text_parameters_take_any_text_as_it_is(text: str) -> None:
    def f(x: str) -> None: ...

    assert from_texts(f, {"x": text}) == {"x": text}


@given(
    st.integers()
    | st.booleans()
    | st.lists(st.integers())
    | st.dictionaries(st.text(), st.integers())
)
def test_json_of_a_value_gives_the_value_again(value: Any) -> None:
    import json

    def f(x) -> None: ...  # type: ignore[no-untyped-def]

    assert from_texts(f, {"x": json.dumps(value)}) == {"x": value}
