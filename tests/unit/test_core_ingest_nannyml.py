"""The data sets that the nannyml wheel bundles, read without importing it."""

from __future__ import annotations

import pytest

from core.adapters.nannyml import load_reference
from core.errors import NotFoundError
from core.problems import load_problem


def test_a_problems_bundled_rows_have_its_columns() -> None:
    problem = load_problem("titanic", ["core.problems"])
    table = load_reference(problem.source.name)
    assert table.num_rows == 891
    dropped = {*problem.contract.identifiers, *problem.contract.leaky}
    texts = {source.name: source.into for source in problem.contract.reduced}
    given = {*problem.contract.names} - {*texts.values()}
    assert set(table.column_names) == {*given, *texts, problem.contract.label.name, *dropped}


def test_an_unknown_data_set_is_not_found_and_the_others_are_named() -> None:
    with pytest.raises(NotFoundError) as missing:
        load_reference("plums")
    assert "titanic" in missing.value.fix
