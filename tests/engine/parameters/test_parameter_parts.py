"""``-p cfg.retries=3``: a part of a parameter typed as text, the rest as it is else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from flowdeck.exceptions import ParameterBindError, ParameterTypeError
from flowdeck.parameters import from_texts


class Inner(BaseModel):
    name: str = "x"
    port: int = 1


class Config(BaseModel):
    flaky: float = 0.5
    key: SecretStr = SecretStr("s3cret")
    inner: Inner = Inner()


@dataclass
class Plain:
    a: int = 1
    names: list[str] = field(default_factory=list)


def flow(
    cfg: Config = Config(),  # noqa: B008
    plain: Plain = Plain(),  # noqa: B008
    raw: dict[str, Any] = {"a": [1, {"b": 2}]},  # noqa: B006
    anything: Any = None,
    needed: Inner | None = None,
) -> None:
    pass


def given(base: dict[str, Any] | None = None, /, **texts: str) -> dict[str, Any]:
    return from_texts(flow, {name.replace("__", "."): t for name, t in texts.items()}, given=base)


def test_a_part_of_a_models_default_is_set_and_the_rest_stays_secrets_too() -> None:
    cfg = given(cfg__flaky="0", cfg__inner__name="007")["cfg"]
    assert isinstance(cfg, Config)
    assert (cfg.flaky, cfg.inner) == (0.0, Inner(name="007"))
    assert cfg.key.get_secret_value() == "s3cret"


def test_parts_of_dataclasses_dicts_lists_and_of_nothing() -> None:
    assert given(plain__a="5")["plain"] == Plain(5)
    assert given(raw__a__1__b="9", raw__new="x")["raw"] == {"a": [1, {"b": 9}], "new": "x"}
    assert given(anything__x__y="1")["anything"] == {"x": {"y": 1}}
    assert given(needed__port="8")["needed"] == Inner(port=8)
    assert flow.__defaults__ is not None
    assert flow.__defaults__[2] == {"a": [1, {"b": 2}]}


def test_a_part_goes_on_top_of_what_is_given_whole() -> None:
    base = {"cfg": {"flaky": 0.25}}
    assert given(base, cfg__inner__port="5")["cfg"] == Config(flaky=0.25, inner=Inner(port=5))
    assert base == {"cfg": {"flaky": 0.25}}
    both = given(cfg='{"flaky": 0.1}', cfg__inner__port="6")["cfg"]
    assert (both.flaky, both.inner.port) == (0.1, 6)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cfg__flakey", "cfg has no 'flakey'. Did you mean 'flaky'?"),
        ("cfg__inner__nme", "cfg.inner has no 'nme'. Did you mean 'name'?"),
        ("plain__b", "plain has no 'b'"),
        ("raw__a__7", "raw.a has 2 items"),
        ("raw__a__x", "there is no 'x'"),
        ("other__x", "has no parameter 'other.x'"),
    ],
)
def test_a_part_that_does_not_exist_is_named(name: str, said: str) -> None:
    with pytest.raises(ParameterBindError) as caught:
        given(**{name: "1"})
    assert said in str(caught.value)


def test_a_part_that_does_not_fit_is_named() -> None:
    with pytest.raises(ParameterTypeError, match=r"cfg\.flaky"):
        given(cfg__flaky="much")
