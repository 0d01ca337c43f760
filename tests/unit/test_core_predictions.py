from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import InvalidInputError, NotFoundError
from core.problems.contract import Contract, Field, FieldType, Label
from core.training.predictions import read_predictions, write_predictions
from core.training.tracking import PREDICTIONS_FILE
from tests.unit.core_fakes import make_world

CONTRACT = Contract(
    fields=(
        Field("Age", FieldType.NUMBER, "Age", example=1.0, nullable=True),
        Field("Rank", FieldType.INTEGER, "Rank", example=1),
        Field("Sex", FieldType.CATEGORY, "Sex", example="a", nullable=True),
    ),
    label=Label("Survived", 1, 0, "survived", "died"),
)


def holdout(order: list[int]) -> pa.Table:
    rows = {
        "row_id": [4, 9, 11],
        "Age": [1.5, None, 3.0],
        "Rank": [1.0, 2.0, 3.0],
        "Sex": ["a", "b", None],
        "label": [0.0, 1.0, 1.0],
        "fold": [-1, -1, -1],
        "Derived": [7.0, 8.0, 9.0],
    }
    return pa.table(rows).take(order)


def test_what_is_written_is_read_back_in_order_of_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "evaluation" / "predictions.parquet"
    write_predictions(holdout([2, 0, 1]), np.array([0.9, 0.1, 0.6]), CONTRACT, path)
    found = read_predictions(path)
    assert found.rows == 3
    assert found.row_id.tolist() == [4, 9, 11]
    assert found.label.tolist() == [0.0, 1.0, 1.0]
    assert found.probability.tolist() == [0.1, 0.6, 0.9]
    assert list(found.columns) == ["Age", "Rank", "Sex"]
    assert np.isnan(found.columns["Age"][1])
    assert found.columns["Rank"].dtype == np.float64
    assert found.columns["Sex"].tolist() == ["a", "b", None]


def test_equal_rows_are_equal_bytes_whatever_their_order(tmp_path: Path) -> None:
    one, other = tmp_path / "one.parquet", tmp_path / "other.parquet"
    write_predictions(holdout([0, 1, 2]), np.array([0.1, 0.6, 0.9]), CONTRACT, one)
    parts = pa.concat_tables([holdout([2]), holdout([1, 0])])
    write_predictions(parts, np.array([0.9, 0.6, 0.1]), CONTRACT, other)
    assert one.read_bytes() == other.read_bytes()


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(holdout([0]), path)
    with pytest.raises(InvalidInputError, match="lack the columns probability"):
        read_predictions(path)


def test_service_reads_a_runs_predictions_and_says_when_there_are_none(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    tracker, service = world.tracker, world.pilothouse.experiments
    run_id = tracker.create("titanic", "first", {})
    with pytest.raises(NotFoundError):
        service.predictions(run_id)
    path = tmp_path / Path(PREDICTIONS_FILE).name
    write_predictions(holdout([0, 1, 2]), np.array([0.1, 0.6, 0.9]), CONTRACT, path)
    tracker.log_files(run_id, path, "report")
    assert service.predictions(run_id).probability.tolist() == [0.1, 0.6, 0.9]
    path.write_text("a,b\n1,2\n")
    tracker.log_files(run_id, path, "report")
    with pytest.raises(NotFoundError, match="cannot be read"):
        service.predictions(run_id)
    world.close()
