"""What forms and the command line learn from a signature, and texts turned into arguments."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import pathlib
from typing import Annotated, Any, Literal, TypedDict

import pydantic
import pytest

from flowdeck.exceptions import ParameterBindError, ParameterTypeError
from flowdeck.parameters import ParameterInfo, describe, docstrings, from_texts


class Color(enum.Enum):
    RED = "red"
    DEEP = 2


class Shape(enum.Enum):
    ROUND = (1, 2)


class Model(pydantic.BaseModel):
    a: int
    b: str = "b"


class Options(TypedDict):
    deep: bool


def one(annotation: Any, *default: Any) -> ParameterInfo:
    def f(x: Any) -> None: ...

    f.__annotations__ = {"x": annotation}
    f.__defaults__ = default or None
    return describe(f)[0]


@pytest.mark.parametrize(
    ("annotation", "widget", "choices"),
    [
        (str, "text", None),
        (int, "int", None),
        (float, "float", None),
        (bool, "bool", None),
        ("int", "int", None),
        (int | None, "int", None),
        (Annotated[int | None, "x"], "int", None),
        (Color, "choice", ("red", 2)),
        (Shape, "choice", ("ROUND",)),
        (Literal["a", 1, None], "choice", ("a", 1, None)),  # noqa: PYI061 - it means the same
        (Literal["a"] | None, "choice", ("a",)),
        (dt.date, "date", None),
        (dt.datetime, "datetime", None),
        (dt.timedelta, "text", None),
        (decimal.Decimal, "text", None),
        (pathlib.Path, "path", None),
        (list[int], "list", None),
        (list, "list", None),
        (tuple[int, ...], "list", None),
        (set[str], "list", None),
        (dict[str, int], "json", None),
        (Model, "json", None),
        (Options, "json", None),
        (int | str, "json", None),
        (Any, "text", None),
    ],
    ids=str,
)
def test_each_annotation_has_its_widget(annotation: Any, widget: str, choices: Any) -> None:
    info = one(annotation)
    assert info.widget == widget
    assert info.choices == choices
    json.dumps(info.schema)


def test_whether_none_is_allowed_is_known() -> None:
    assert one(int | None).nullable
    assert not one(int).nullable


@pytest.mark.parametrize(
    ("default", "widget"), [(True, "bool"), (3, "int"), (1.5, "float"), ("s", "text")]
)
def test_without_annotation_the_default_decides(default: Any, widget: str) -> None:
    def f(x=default): ...  # type: ignore[no-untyped-def]

    info = describe(f)[0]
    assert (info.widget, info.annotation, info.schema) == (widget, "", {"default": default})


@pytest.mark.parametrize(
    ("default", "as_json"),
    [
        (5, "5"),
        (None, "null"),
        ("é", '"é"'),
        (dt.date(2024, 1, 2), '"2024-01-02"'),
        (Color.RED, '"red"'),
        (Model(a=1), '{"a":1,"b":"b"}'),
        (object, None),
        ([object()], None),
    ],
    ids=lambda value: str(value).partition(" object at ")[0],
)
def test_defaults_are_offered_as_json_where_json_can_hold_them(default: Any, as_json: str) -> None:
    info = one(Any, default)
    assert info.default_json == as_json
    assert info.default_repr
    assert not info.required


def test_a_parameter_without_default_is_required() -> None:
    info = one(int)
    assert (info.required, info.default_json, info.default_repr) == (True, None, None)
    assert "default" not in info.schema


def test_all_kinds_are_described_in_order() -> None:
    def f(a: int, /, b: int, *c: int, d: int, **e: int) -> None: ...

    assert [(info.name, info.kind, info.required) for info in describe(f)] == [
        ("a", "positional_only", True),
        ("b", "positional_or_keyword", True),
        ("c", "var_positional", False),
        ("d", "keyword_only", True),
        ("e", "var_keyword", False),
    ]


def test_a_models_schema_names_its_fields() -> None:
    assert set(one(Model).schema["properties"]) == {"a", "b"}


def test_an_arbitrary_class_has_no_schema_and_no_error() -> None:
    class Connection:
        pass

    assert one(Connection).schema == {}
    assert one(Connection).widget == "json"


def test_the_annotation_is_shown_as_it_was_written() -> None:
    assert one("int | None").annotation == "int | None"
    assert one(list[int]).annotation == "list[int]"


def test_descriptions_come_from_annotation_or_docstring() -> None:
    def f(x: Annotated[int, pydantic.Field(description="from the field")], y: int) -> None:
        """Do it.

        Args:
            x: from the docstring
            y: how many
                of them
        """

    infos = describe(f)
    assert [info.doc for info in infos] == ["from the field", "how many of them"]
    assert infos[1].schema["description"] == "how many of them"


GOOGLE = """Title.

Args:
    x: the first.
    y (int, optional): the second,
        on two lines.
    *rest: others

    **more: named: others

Returns:
    z: nothing
"""
NUMPY = """Title.

Parameters
----------
x : int
    the first.
y, w : int, optional
    the second,
    on two lines.

Returns
-------
z : int
    nothing
"""
SPHINX = """Title.

:param x: the first.
:param int y: the second,
    on two lines.
:type y: int
:returns: nothing
"""


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_the_usual_docstring_styles_are_read(text: str) -> None:
    found = docstrings.parameters(text)
    assert found["x"] == "the first."
    assert found["y"] == "the second, on two lines."
    assert "z" not in found


def test_star_parameters_and_lists_are_found_in_docstrings() -> None:
    assert docstrings.parameters(GOOGLE)["rest"] == "others"
    assert docstrings.parameters(GOOGLE)["more"] == "named: others"
    assert docstrings.parameters(NUMPY)["w"] == docstrings.parameters(NUMPY)["y"]


@pytest.mark.parametrize(
    "text", ["", "Args:", "Parameters\n---", "just words: and more", "Args:\nx: 1"]
)
def test_docstrings_without_parameters_give_none(text: str) -> None:
    assert docstrings.parameters(text) == {}


# -- texts ------------------------------------------------------------------------------------


def flow_function(
    n: int,
    s: str = "s",
    when: dt.date | None = None,
    path: pathlib.Path = pathlib.Path(),
    color: Color = Color.RED,
    mode: Literal["a", 1] = "a",
    items: list[int] = [],  # noqa: B006
    model: Model | None = None,
    flag: bool = False,
    maybe: str | None = None,
    either: int | str = 0,
    price: decimal.Decimal = decimal.Decimal(0),
    free=None,  # type: ignore[no-untyped-def]
) -> None: ...


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("n", "5", 5),
        ("s", "5", "5"),
        ("s", '"quoted"', '"quoted"'),
        ("s", "null", "null"),
        ("when", "2024-01-02", dt.date(2024, 1, 2)),
        ("when", "null", None),
        ("path", "12", pathlib.Path("12")),
        ("color", "red", Color.RED),
        ("color", "RED", Color.RED),
        ("color", "2", Color.DEEP),
        ("mode", "1", 1),
        ("mode", "a", "a"),
        ("items", "[1, 2]", [1, 2]),
        ("model", '{"a": 1}', Model(a=1)),
        ("flag", "true", True),
        ("flag", "no", False),
        ("maybe", "null", None),
        ("maybe", "x", "x"),
        ("either", "5", 5),
        ("either", "five", "five"),
        ("price", "1.10", decimal.Decimal("1.10")),
        ("free", '{"a": [1]}', {"a": [1]}),
        ("free", "a b", "a b"),
        ("free", "null", None),
        ("s", "", ""),
    ],
)
def test_texts_become_what_the_annotation_wants(name: str, text: str, value: Any) -> None:
    found = from_texts(flow_function, {"n": "1", name: text})[name]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("n", "abc", "n: Input should be a valid integer"),
        ("n", "1.5", "n: Input should be a valid integer"),
        ("when", "soon", "when: Input should be a valid date"),
        ("color", "blue", "color: Input should be 'red' or 2"),
        ("items", "1", "items: Input should be a valid list"),
        ("model", '{"a": "x"}', "model.a: Input should be a valid integer"),
    ],
)
def test_texts_that_do_not_fit_are_refused_by_name(name: str, text: str, problem: str) -> None:
    with pytest.raises(ParameterTypeError) as refused:
        from_texts(flow_function, {"n": "1", name: text})
    assert f" - {problem}" in str(refused.value)


def test_a_missing_parameter_is_named_with_how_to_give_it() -> None:
    with pytest.raises(ParameterBindError) as refused:
        from_texts(flow_function, {})
    assert str(refused.value) == "'flow_function' needs the parameter 'n': give -p n=VALUE."


def test_what_is_given_elsewhere_is_not_missing() -> None:
    assert from_texts(flow_function, {"s": "x"}, given={"n": 1}) == {"s": "x"}


def test_an_unknown_parameter_is_named_with_a_near_match() -> None:
    with pytest.raises(ParameterBindError) as refused:
        from_texts(flow_function, {"n": "1", "colour": "red"})
    assert "has no parameter 'colour'. Did you mean 'color'?" in str(refused.value)


def test_without_parameters_that_is_said() -> None:
    def f() -> None: ...

    with pytest.raises(ParameterBindError, match=r"'f' has no parameter 'x'\. It has none\."):
        from_texts(f, {"x": "1"})


def test_extra_names_go_to_the_functions_keyword_arguments() -> None:
    def f(x: int, **more: float) -> None: ...

    assert from_texts(f, {"x": "1", "y": "2", "more": "3"}) == {"x": 1, "y": 2.0, "more": 3.0}


def test_positional_parameters_cannot_be_given_by_name() -> None:
    def f(a: int, /, *rest: int) -> None: ...

    for name in ("a", "rest"):
        with pytest.raises(ParameterBindError, match=f"{name!r} .* cannot be given by name"):
            from_texts(f, {name: "1"})
