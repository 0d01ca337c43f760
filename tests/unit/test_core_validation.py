"""Rows against a contract: hard rules refuse and name the cell, soft rules count."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.data.validation import MAX_OFFENCES, validate
from core.domain import SoftFinding
from core.errors import DataContractError
from tests.unit.core_fakes import PROBLEM

# pandera imports pyspark where it finds it, and pyspark asks distutils for versions.

Row = dict[str, Any]
GOOD: Row = {"weight": 40.0, "stones": 1, "colour": "blue", "taste": "sweet"}
#: What one cell may hold that a hard rule forbids, as a CSV spells it, and what is said of it.
BROKEN: list[tuple[str, str | None, str]] = [
    ("weight", None, "a value is required"),
    ("weight", "heavy", "'heavy' is not a number"),
    ("weight", "0.5", "0.5 is not at least 1"),
    ("weight", "inf", "inf is not finite"),
    ("weight", "1e999", "inf is not finite"),
    ("stones", "4", "4.0 is not at most 3"),
    ("stones", "-1", "-1.0 is not at least 0"),
    ("stones", "0.5", "0.5 is not a whole number"),
    ("stones", "two", "'two' is not a number"),
    ("colour", None, "a value is required"),
    ("taste", "bitter", "'bitter' is no label"),
    ("taste", None, "a label is required"),
]


def table_of(rows: list[Row]) -> pa.Table:
    """Rows as a CSV gives them: all text."""
    columns = {
        name: pa.array([None if row[name] is None else str(row[name]) for row in rows], pa.string())
        for name in GOOD
    }
    return pa.table({"row_id": pa.array(range(len(rows)), pa.int64()), **columns})


def test_rows_come_back_typed() -> None:
    rows = [GOOD, {**GOOD, "stones": None, "colour": "yellow", "taste": "sour"}]
    checked = validate(table_of(rows), PROBLEM.contract)
    assert checked.findings == ()
    assert checked.table.schema.types == [
        pa.int64(),
        pa.float64(),
        pa.float64(),
        pa.string(),
        pa.float64(),
    ]
    assert checked.table.to_pydict() == {
        "row_id": [0, 1],
        "weight": [40.0, 40.0],
        "stones": [1.0, None],
        "colour": ["blue", "yellow"],
        "label": [1.0, 0.0],
    }


def test_a_typed_table_is_taken_like_text() -> None:
    typed = pa.table({"row_id": [0], **{name: [value] for name, value in GOOD.items()}})
    assert validate(typed, PROBLEM.contract).table.equals(
        validate(table_of([GOOD]), PROBLEM.contract).table
    )


@pytest.mark.parametrize(("column", "cell", "said"), BROKEN)
def test_a_broken_cell_is_named_with_its_row_and_rule(
    column: str, cell: str | None, said: str
) -> None:
    with pytest.raises(DataContractError) as refused:
        validate(table_of([GOOD, {**GOOD, column: cell}, GOOD]), PROBLEM.contract)
    (offence,) = refused.value.offences
    assert (offence.field, offence.row, offence.problem) == (column, 1, said)
    assert f"{column} in row 1: {said}" in refused.value.message


def test_the_edges_of_a_range_are_inside() -> None:
    rows = [{**GOOD, "weight": 1, "stones": 0}, {**GOOD, "stones": 3}]
    assert validate(table_of(rows), PROBLEM.contract).table.num_rows == 2


def test_soft_rules_accept_and_count() -> None:
    rows = [
        {**GOOD, "weight": 95, "colour": "pink"},
        {**GOOD, "weight": 19.5, "colour": "Blue"},
        {**GOOD, "weight": 90, "stones": None},
    ]
    checked = validate(table_of(rows), PROBLEM.contract)
    assert checked.table.num_rows == 3
    assert checked.findings == (
        SoftFinding("weight", "outside the usual range 20 to 90", 2),
        SoftFinding("colour", "unknown category", 2),
    )


def test_all_offences_are_counted_and_the_first_ones_carried() -> None:
    rows = [{**GOOD, "weight": 0, "taste": "?"} for _ in range(MAX_OFFENCES)]
    with pytest.raises(DataContractError, match=f"^{2 * MAX_OFFENCES} values") as refused:
        validate(table_of(rows), PROBLEM.contract)
    assert len(refused.value.offences) == MAX_OFFENCES
    assert [offence.row for offence in refused.value.offences[:4]] == [0, 0, 1, 1]


GOOD_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "weight": st.floats(1, 1e9),
            "stones": st.none() | st.integers(0, 3),
            "colour": st.sampled_from(["blue", "yellow", "pink", "", "ärlig ☃", "NaN", "1"]),
            "taste": st.sampled_from(["sweet", "sour"]),
        }
    ),
    min_size=1,
    max_size=12,
)
#: A validation takes 20 ms: fewer examples than Hypothesis would like, and no clock.
FEW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FEW
@given(rows=GOOD_ROWS)
def test_rows_that_keep_the_rules_pass(rows: list[Row]) -> None:
    table = validate(table_of(rows), PROBLEM.contract).table
    assert table.column("weight").to_pylist() == [row["weight"] for row in rows]
    assert table.column("stones").to_pylist() == [row["stones"] for row in rows]
    assert table.column("colour").to_pylist() == [row["colour"] for row in rows]
    assert table.column("label").to_pylist() == [float(row["taste"] == "sweet") for row in rows]


@FEW
@given(rows=GOOD_ROWS, data=st.data())
def test_a_broken_cell_is_always_named(rows: list[Row], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(rows) - 1))
    column, cell, said = data.draw(st.sampled_from(BROKEN))
    rows[index] = {**rows[index], column: cell}
    with pytest.raises(DataContractError) as refused:
        validate(table_of(rows), PROBLEM.contract)
    (offence,) = refused.value.offences
    assert (offence.field, offence.row, offence.problem) == (column, index, said)
