"""On which records the export is compared with Spark: those that will judge it among them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from core.data.labelled import LabelledBatch
from core.params import load_params
from core.settings import CODE_ROOT
from core.training.parity_rows import keep_held_back, parity_columns
from core.training.workspace import Workspace
from tests.unit.core_fakes import PROBLEM, holdout_of_plums

TRAINING = load_params(CODE_ROOT / "params.yaml").training
GENERATED = 50
PARAMS = TRAINING.model_copy(
    update={"evaluation": TRAINING.evaluation.model_copy(update={"parity_records": GENERATED})}
)
HOLDOUT = holdout_of_plums(20)


def _batch(name: str, rows: int, weight: float) -> LabelledBatch:
    table = holdout_of_plums(rows)
    place = table.schema.get_field_index("weight")
    return LabelledBatch(name, table.set_column(place, "weight", pa.array([weight] * rows)))


def test_without_batches_it_is_the_holdout_and_generated_records(tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    keep_held_back(PROBLEM, (), ws)
    assert not ws.held_back.exists()
    columns = parity_columns(PROBLEM, PARAMS, HOLDOUT, ws)
    assert {len(values) for values in columns.values()} == {20 + GENERATED}
    assert columns["weight"][:20].tolist() == HOLDOUT.column("weight").to_pylist()


def test_held_back_rows_of_every_batch_are_compared(tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    batches = [_batch("b1", 40, 91.0), _batch("b2", 60, 92.0)]
    keep_held_back(PROBLEM, batches, ws)
    weights = parity_columns(PROBLEM, PARAMS, HOLDOUT, ws)["weight"][20 + GENERATED :].tolist()
    kept = [batch.held_back.num_rows for batch in batches]
    assert weights == [91.0] * kept[0] + [92.0] * kept[1]
    assert min(kept) > 0


def test_of_many_rows_it_is_a_seeded_choice(tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    keep_held_back(PROBLEM, [_batch("b1", 1_000, 91.0)], ws)
    first, again = (parity_columns(PROBLEM, PARAMS, HOLDOUT, ws) for _ in range(2))
    assert {len(values) for values in first.values()} == {20 + 2 * GENERATED}
    assert all(np.array_equal(first[n], again[n]) for n in ("weight", "colour"))


def test_batches_of_an_earlier_contract_are_compared_as_far_as_they_fit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def with_column(batch: LabelledBatch, name: str, values: list[object]) -> LabelledBatch:
        place = batch.table.schema.get_field_index(name)
        return LabelledBatch(batch.id, batch.table.set_column(place, name, pa.array(values)))

    ws = Workspace(tmp_path)
    as_text = with_column(_batch("b2", 40, 0.0), "weight", ["92"] * 40)
    as_number = with_column(_batch("b3", 40, 93.0), "colour", [4.0] * 40)
    strange = with_column(_batch("b4", 40, 0.0), "weight", ["heavy"] * 40)
    keep_held_back(PROBLEM, [_batch("b1", 40, 91.0), as_text, as_number, strange], ws)
    columns = parity_columns(PROBLEM, PARAMS, HOLDOUT, ws)
    added = slice(20 + GENERATED, None)
    assert set(columns["weight"][added]) == {91.0, 92.0, 93.0}
    assert set(columns["colour"][added][columns["weight"][added] == 93.0]) == {"4.0"}
    assert "the export is not compared on batch b4" in caplog.text
