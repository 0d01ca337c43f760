"""Two tables side by side: shares that add up, bins of the first, what is missing."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.batch_comparison import (
    BINS,
    MISSING,
    MOST_CATEGORIES,
    REST,
    ColumnComparison,
    compare_tables,
)
from tests.unit.core_fakes import PROBLEM


def table_of(
    weight: list[float | None],
    colour: list[str | None] | None = None,
    label: list[float | None] | None = None,
) -> pa.Table:
    rows = len(weight)
    return pa.table(
        {
            "row_id": pa.array(range(rows), pa.int64()),
            "weight": pa.array(weight, pa.float64()),
            "stones": pa.array([1.0] * rows, pa.float64()),
            "colour": pa.array(colour or ["blue"] * rows, pa.string()),
            "label": pa.array(label or [None] * rows, pa.float64()),
        }
    )


def compared(first: pa.Table, second: pa.Table) -> dict[str, ColumnComparison]:
    found = compare_tables(first, second, PROBLEM.contract)
    return {column.name: column for column in found.columns}


def shares(column: ColumnComparison) -> list[tuple[str, float, float]]:
    return [(one.name, one.first, one.second) for one in column.shares]


def test_facts_of_the_tables() -> None:
    first = table_of([1.0, 2.0], label=[1.0, None])
    moments = pa.array([datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)])
    found = compare_tables(first.append_column("at", moments), table_of([3.0]), PROBLEM.contract)
    assert (found.first.rows, found.first.labelled) == (2, 1)
    assert found.first.first_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert (found.second.rows, found.second.last_at) == (1, None)
    assert [one.name for one in found.columns] == ["weight", "stones", "colour", "taste"]
    assert [one.type for one in found.columns] == ["number", "integer", "category", "label"]


def test_a_table_of_an_older_contract_is_named_and_the_rest_compared() -> None:
    now = table_of([1.0, 2.0])
    older = now.drop_columns(["stones"]).append_column("shape", pa.array(["round"] * 2))
    older = older.set_column(
        older.schema.get_field_index("colour"), "colour", pa.array([3.0, 4.0], pa.float64())
    )
    found = compare_tables(older, now, PROBLEM.contract)
    assert [one.name for one in found.columns] == ["weight", "taste"]
    assert [(one.name, one.first, one.second, one.contract) for one in found.schema] == [
        ("weight", "number", "number", "number"),
        ("stones", None, "number", "number"),
        ("colour", "number", "text", "text"),
        ("shape", "text", None, None),
    ]
    assert [one.sentence("a.csv", "b.csv") for one in found.schema if one.differs] == [
        "stones: number in b.csv, number in today's contract; missing in a.csv.",
        "colour: number in a.csv, text in b.csv, text in today's contract.",
        "shape: text in a.csv; missing in b.csv and today's contract.",
    ]


def test_few_numbers_are_shown_by_value() -> None:
    column = compared(table_of([1, 1, 2, None]), table_of([2, 3]))["weight"]
    assert shares(column) == [
        ("1", 0.5, 0.0),
        ("2", 0.25, 0.5),
        ("3", 0.0, 0.5),
        (MISSING, 0.25, 0.0),
    ]
    assert (column.first_missing, column.second_missing, column.unit) == (1, 0, "g")
    assert column.distance == pytest.approx(0.75)


def test_bins_are_deciles_of_the_first_stretched_to_both() -> None:
    first = [float(value) for value in range(1_000)]
    column = compared(table_of(first), table_of([value * 2 - 500 for value in first]))["weight"]
    assert len(column.shares) == BINS
    assert [one.first for one in column.shares] == pytest.approx([0.1] * BINS, abs=0.002)
    assert column.shares[0].name.startswith("-500 to")
    assert column.shares[-1].name.endswith("to 1498")
    # Below the first decile of 0 to 999 lies what was below 300 before it was stretched.
    assert column.shares[0].second == pytest.approx(0.3, abs=0.002)
    assert column.shares[-1].second == pytest.approx(0.3, abs=0.002)


def test_edges_that_differ_late_keep_names_of_their_own() -> None:
    values = [1_000_000 + index / 1_000 for index in range(200)]
    names = [one.name for one in compared(table_of(values), table_of(values))["weight"].shares]
    assert len(set(names)) == len(names) == BINS
    assert names[0] == "1000000 to 1000000.02"


def test_many_of_one_value_make_fewer_bins() -> None:
    values = [0.0] * 900 + [float(index) for index in range(100)]
    column = compared(table_of(values), table_of(values))["weight"]
    assert len(column.shares) < BINS
    assert column.distance == 0


def test_known_categories_come_first_and_rare_strangers_together() -> None:
    strangers = [f"c{index}" for index in range(20) for _ in range(index + 1)]
    first = table_of([1.0] * 2, ["yellow", "blue"])
    second = table_of([1.0] * len(strangers), strangers)
    column = compared(first, second)["colour"]
    names = [one.name for one in column.shares]
    assert names[:3] == ["blue", "yellow", "c19"]
    assert (len(names), names[-1]) == (MOST_CATEGORIES + 1, REST)
    assert column.distance == pytest.approx(1.0)


def test_labels_are_called_by_their_meaning() -> None:
    column = compared(table_of([1.0] * 4, label=[1, 1, 0, None]), table_of([1.0]))["taste"]
    assert shares(column) == [("sweet", 0.5, 0.0), ("sour", 0.25, 0.0), (MISSING, 0.25, 1.0)]


def test_a_column_with_nothing_in_it() -> None:
    columns = compared(table_of([None, None]), table_of([5.0] * 3))
    assert shares(columns["weight"]) == [("5", 0.0, 1.0), (MISSING, 1.0, 0.0)]
    many = [float(index) for index in range(100)]
    assert compared(table_of([None]), table_of(many))["weight"].distance == pytest.approx(1.0)


VALUES = st.lists(st.none() | st.floats(-1e12, 1e12), min_size=1, max_size=60)


@settings(max_examples=100, deadline=None)
@given(first=VALUES, second=VALUES)
def test_shares_add_up_and_no_row_is_lost(
    first: list[float | None], second: list[float | None]
) -> None:
    column = compared(table_of(first), table_of(second))["weight"]
    assert np.isclose(sum(one.first for one in column.shares), 1)
    assert np.isclose(sum(one.second for one in column.shares), 1)
    assert 0 <= column.distance <= 1 + 1e-9
    same = compared(table_of(first), table_of(first))["weight"]
    assert same.distance == 0
