"""The car-loan problem: what its bundled data says, and how its values may be spelled."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pyarrow as pa
import pytest

from core.adapters.nannyml import load_reference
from core.data.ingest import ingest
from core.data.tables import read_table
from core.data.validation import Validated, validate
from core.problems.car_loan import PROBLEM
from core.problems.titanic import PROBLEM as TITANIC
from serve.schemas import RecordDecoder

CONTRACT = PROBLEM.contract
ROW = {field.name: field.example for field in CONTRACT.fields}


@cache
def _bundled(folder: Path) -> Validated:
    ingest(PROBLEM, {"nannyml": load_reference}, folder / "raw.parquet")
    return validate(read_table(folder / "raw.parquet"), CONTRACT)


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Validated:
    return _bundled(tmp_path_factory.mktemp("car_loan"))


def test_the_bundled_rows_keep_every_rule(bundled: Validated) -> None:
    assert bundled.table.num_rows == 50_000
    assert bundled.findings == ()
    assert bundled.table.column_names == ["row_id", *CONTRACT.names, "label", "at"]


def test_the_bundled_values_are_the_known_ones(bundled: Validated) -> None:
    for field in CONTRACT.fields:
        if not field.type.is_numeric:
            assert set(bundled.table.column(field.name).to_pylist()) <= set(field.categories)
    assert set(bundled.table.column("label").to_pylist()) == {0.0, 1.0}


def test_its_contract_holds_every_column_of_the_data() -> None:
    columns = load_reference("synthetic_car_loan").column_names
    assert set(columns) == {*CONTRACT.names, CONTRACT.label.name, *CONTRACT.ignored}


@pytest.mark.parametrize("spelled", [True, "True", "true", "TRUE"])
def test_a_boolean_is_one_value_however_it_is_spelled(spelled: object) -> None:
    row = {**ROW, "repaid_loan_on_prev_car": spelled, "repaid": 1.0, "timestamp": "2018-01-01"}
    table = pa.table({"row_id": [0], **{name: [value] for name, value in row.items()}})
    checked = validate(table, CONTRACT)
    assert checked.table.column("repaid_loan_on_prev_car").to_pylist() == ["True"]
    assert checked.findings == ()


def test_a_boolean_is_one_value_in_a_request_too() -> None:
    body = (
        '{"records": [{"car_value": 1, "salary_range": "60K+ €", "debt_to_income_ratio": 0.5,'
        ' "loan_length": 12, "repaid_loan_on_prev_car": "false", "size_of_downpayment": "0%",'
        ' "driver_tenure": 1, "timestamp": "2018-01-01", "id": 7}]}'
    )
    columns = RecordDecoder(CONTRACT, 10).columns(body.encode())
    assert columns["repaid_loan_on_prev_car"].tolist() == ["False"]
    assert columns["salary_range"].tolist() == ["60K+ €"]


def test_other_categories_are_kept_as_they_are() -> None:
    (sex,) = [field for field in TITANIC.contract.fields if field.name == "Sex"]
    assert sex.spell(["MALE", None]) == ["MALE", None]


@pytest.mark.parametrize(("value", "meaning"), [(1, 1.0), (1.0, 1.0), ("1.0", 1.0), ("0", 0.0)])
def test_a_label_may_be_written_as_a_fraction(value: object, meaning: float) -> None:
    row = {**ROW, "repaid": value, "timestamp": "2018-01-01"}
    table = pa.table({"row_id": [0], **{name: [given] for name, given in row.items()}})
    assert validate(table, CONTRACT).table.column("label").to_pylist() == [meaning]
