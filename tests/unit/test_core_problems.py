"""Problems are found by name; a contract says each column once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import NotFoundError
from core.problems import load_problem
from core.problems.contract import RESERVED, Contract, Field, FieldType, Label
from tests.unit.core_fakes import PROBLEM

PACKAGES = ("core.problems", "tests.problems")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty package ``ownproblems`` on the path."""
    folder = tmp_path / "ownproblems"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "ownproblems"]:
        del sys.modules[name]


def test_a_problem_is_found_in_any_package_in_order() -> None:
    assert load_problem("titanic", PACKAGES).name == "titanic"
    assert load_problem("orchard", PACKAGES).name == "orchard"


@pytest.mark.parametrize("name", ["nobody", "contract", "", "os.path", "../titanic", "no-name"])
def test_an_unknown_problem_is_not_found(name: str) -> None:
    with pytest.raises(NotFoundError) as missing:
        load_problem(name, PACKAGES)
    assert "core.problems, tests.problems" in missing.value.fix


def test_a_package_that_is_not_there_holds_nothing() -> None:
    assert load_problem("titanic", ["nowhere.at.all", "core.problems"]).name == "titanic"
    with pytest.raises(NotFoundError):
        load_problem("titanic", ["nowhere.at.all"])


def test_a_modules_own_missing_import_is_not_hidden(package: Path) -> None:
    (package / "pears.py").write_text("import nowhere_to_be_found\n")
    with pytest.raises(ModuleNotFoundError, match="nowhere_to_be_found"):
        load_problem("pears", ["ownproblems"])


def test_a_module_without_a_problem_is_not_one(package: Path) -> None:
    (package / "pears.py").write_text("PROBLEM = 'pears'\n")
    with pytest.raises(NotFoundError):
        load_problem("pears", ["ownproblems"])


@pytest.mark.parametrize(
    "changed",
    [
        {"identifiers": ("weight",)},
        {"leaky": ("taste",)},
        {"identifiers": ("tree",), "leaky": ("tree",)},
        {"fields": (*PROBLEM.contract.fields, PROBLEM.contract.fields[0])},
        {"label": Label("colour", 1, 0, "yes", "no")},
    ],
)
def test_a_column_is_declared_once(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="declared more than once"):
        replace(PROBLEM.contract, **changed)


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_an_input_may_not_be_called_what_stages_add(name: str) -> None:
    field = replace(PROBLEM.contract.fields[0], name=name)
    with pytest.raises(ValueError, match=name):
        replace(PROBLEM.contract, fields=(field,))


def test_a_fingerprint_follows_the_contract() -> None:
    same = Contract(PROBLEM.contract.fields, PROBLEM.contract.label)
    assert same.fingerprint() == PROBLEM.contract.fingerprint()
    heavier = replace(PROBLEM.contract.fields[0], maximum=500.0)
    changed = replace(PROBLEM.contract, fields=(heavier, *PROBLEM.contract.fields[1:]))
    assert changed.fingerprint() != PROBLEM.contract.fingerprint()


def test_features_are_the_fields_and_then_what_is_derived() -> None:
    orchard = load_problem("orchard", PACKAGES)
    assert orchard.numeric_features == ("weight", "sugar.brix", "days", "diameter", "density")
    assert orchard.categorical_features == ("soil type", "cultivar", "root.stock", "sweetness")
    columns = {
        "weight": np.array([150.0]),
        "sugar.brix": np.array([np.nan]),
        "diameter": np.array([70.0]),
    }
    derived = orchard.with_derived(columns)
    assert derived["density"] == pytest.approx(150 / (np.pi / 6 * 343))
    assert derived["sweetness"].tolist() == [None]
    assert set(columns) == {"weight", "sugar.brix", "diameter"}


def test_a_field_may_be_there_for_derived_features_alone() -> None:
    titanic = load_problem("titanic", PACKAGES)
    assert {"Title", "Deck"} <= set(titanic.contract.names)
    assert titanic.categorical_features == ("Sex", "Embarked", "PersonKind", "CabinDeck")


def test_every_problem_of_this_repository_keeps_its_own_contract() -> None:
    for name in ("titanic", "orchard"):
        problem = load_problem(name, PACKAGES)
        for field in problem.contract.fields:
            assert _is_usual(field), f"{name}: the example of {field.name}"
        computed = {feature.name for feature in problem.derived}
        assert not computed & {*problem.contract.names, problem.contract.label.name}


def _is_usual(field: Field) -> bool:
    if field.type is FieldType.CATEGORY:
        return field.example in field.categories
    value = float(field.example)
    low, high = field.usual or (field.minimum or -np.inf, field.maximum or np.inf)
    return bool(low <= value <= high)
