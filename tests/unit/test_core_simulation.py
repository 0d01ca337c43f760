from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from core.adapters.nannyml import load_later
from core.problems.contract import Arrivals, DatasetSource
from core.problems.titanic import PROBLEM
from core.simulation.days import days_of

SOURCE = DatasetSource("nannyml", "titanic")


@pytest.fixture(scope="module")
def later() -> pa.Table:
    return load_later("titanic")


def test_rows_and_labels_of_the_bundled_data_belong_together(later: pa.Table) -> None:
    assert later.num_rows == 418
    assert later.column_names[-1] == "Survived"
    assert set(later.column("Survived").to_pylist()) == {0, 1}
    women = later.filter(pc.equal(later.column("Sex"), "female"))
    assert pc.mean(women.column("Survived")).as_py() > 0.5


def test_dealt_days_hold_every_row_once_in_order(later: pa.Table) -> None:
    days = days_of(later, PROBLEM.contract, Arrivals(SOURCE), days=4, seed=1)
    assert [day.number for day in days] == [1, 2, 3, 4]
    ids = [value for day in days for value in day.rows.column("PassengerId").to_pylist()]
    assert ids == later.column("PassengerId").to_pylist()
    labels = [value for day in days for value in day.labels.to_pylist()]
    assert labels == later.column("Survived").to_pylist()
    assert all("Survived" not in day.rows.column_names for day in days)


def test_replayed_days_are_seeded_draws_that_inflate_late(later: pa.Table) -> None:
    arrivals = Arrivals(SOURCE, replayed=True, inflation={"Fare": 2.0})
    days = days_of(later, PROBLEM.contract, arrivals, days=4, seed=1)
    again = days_of(later, PROBLEM.contract, arrivals, days=4, seed=1)
    assert [day.rows.num_rows for day in days] == [418] * 4
    assert all(one.rows.equals(other.rows) for one, other in zip(days, again, strict=True))
    assert not days[0].rows.equals(days[1].rows)
    fare_by_id = dict(
        zip(later.column("PassengerId").to_pylist(), later.column("Fare").to_pylist(), strict=True)
    )
    for day, factor in zip(days, (1.0, 1.0, 2.0, 2.0), strict=True):
        for identifier, fare in zip(
            day.rows.column("PassengerId").to_pylist(),
            day.rows.column("Fare").to_pylist(),
            strict=True,
        ):
            known = fare_by_id[identifier]
            assert fare == (None if known is None else pytest.approx(known * factor))


def test_titanic_says_how_it_arrives() -> None:
    assert PROBLEM.arrivals is not None
    assert PROBLEM.arrivals.source == SOURCE
