"""docs/params.md, params.yaml and the code say the same of every parameter."""

from __future__ import annotations

import ast
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from core.params import Params, Profile
from core.params_rollout import SloParams
from core.settings import CODE_ROOT

PAGE = CODE_ROOT / "docs" / "params.md"
DATA: dict[str, Any] = yaml.safe_load((CODE_ROOT / "params.yaml").read_text(encoding="utf-8"))
ROW = re.compile(
    r"^\| `(?P<key>[^`]+)` \| `(?P<default>[^`]+)` \| (?P<takes>.*) \| (?P<meaning>.*) \|$"
)
#: Maps from names that people choose to models.
NAMED: dict[str, type[BaseModel]] = {"profiles": Profile, "rollout.slo": SloParams}
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


@dataclass(frozen=True)
class Parameter:
    """One leaf of params.yaml."""

    default: object
    field: FieldInfo

    @property
    def takes(self) -> str:
        """The rule of its values in words, from its declaration."""
        limits = [
            f"{SIGNS[name]} {value:g}"
            for rule in self.field.metadata
            for name, value in ((name, getattr(rule, name, None)) for name in SIGNS)
            if value is not None
        ]
        return ", ".join([_kind(self.field.annotation), *limits])


def _kind(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return "one of " + ", ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        return f"list of {_kind(arguments[0]).removeprefix('one of ')}"
    if origin in (types.UnionType, typing.Union):
        return " or ".join("null" if one is type(None) else _kind(one) for one in arguments)
    if origin is dict:
        return f"map of names to {_kind(arguments[1])}"
    if origin is typing.Annotated:
        return _kind(arguments[0])
    return {bool: "true or false", int: "whole number", float: "number", str: "text"}[annotation]


def _parameters(
    model: type[BaseModel], data: Any, prefix: str = ""
) -> Iterator[tuple[str, Parameter]]:
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        inner = field.annotation
        if key in NAMED:
            yield from _of_each_name(key, NAMED[key], data[name])
        elif isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _parameters(inner, data[name], f"{key}.")
        else:
            yield key, Parameter(data[name], field)


def _of_each_name(
    key: str, model: type[BaseModel], data: dict[str, Any]
) -> Iterator[tuple[str, Parameter]]:
    """Of a map from names to models: the default is a value a name."""
    for name, field in model.model_fields.items():
        if name != "name":
            values = {each: given[name] for each, given in data.items()}
            yield f"{key}.<name>.{name}", Parameter(values, field)


@cache
def _documented() -> dict[str, re.Match[str]]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [match for match in map(ROW.match, lines) if match]
    keys = [row["key"] for row in rows]
    assert len(keys) == len(set(keys)), "a parameter is documented twice"
    return {row["key"]: row for row in rows}


PARAMETERS: dict[str, Parameter] = dict(_parameters(Params, DATA))


def test_every_parameter_is_documented_and_nothing_else() -> None:
    assert list(_documented()) == list(PARAMETERS)


@pytest.mark.parametrize("key", PARAMETERS)
def test_the_page_says_what_the_declaration_says(key: str) -> None:
    row, parameter = _documented()[key], PARAMETERS[key]
    assert row["meaning"] == parameter.field.description
    assert row["takes"] == parameter.takes


@pytest.mark.parametrize("key", PARAMETERS)
def test_the_page_shows_the_default_of_params_yaml(key: str) -> None:
    assert yaml.safe_load(_documented()[key]["default"]) == PARAMETERS[key].default


@cache
def _attributes_read() -> frozenset[str]:
    """Names that the product's code reads of an object, the declarations apart."""
    return frozenset(
        node.attr
        for package in ("app", "core", "serve")
        for path in (CODE_ROOT / package).rglob("*.py")
        if path != CODE_ROOT / "core/params.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    )


@pytest.mark.parametrize("key", PARAMETERS)
def test_every_parameter_is_read_somewhere(key: str) -> None:
    assert key.rsplit(".", 1)[-1] in _attributes_read()
