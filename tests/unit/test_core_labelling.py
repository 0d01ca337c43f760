from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.adapters.database_batches import BatchRecords
from core.adapters.database_checks import CheckRecords
from core.data.label_files import read_labels
from core.data.label_join import LabelsReport, labels_sentence
from core.domain import Batch, RunStatus
from core.domain_watching import Check
from core.errors import DataContractError, NotFoundError
from core.problems.contract import Contract
from tests.unit.core_fakes import INTAKE, PROBLEM, World, make_world

LABEL = PROBLEM.contract.label


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    made.close()


@pytest.fixture
def batch(world: World, tmp_path: Path) -> Batch:
    """Three rows without labels."""
    record = {field.name: field.example for field in PROBLEM.contract.fields}
    lines = [",".join(record), *[",".join(map(str, record.values()))] * 3]
    file = tmp_path / "rows.csv"
    file.write_text("\n".join(lines) + "\n")
    added = world.pilothouse.batches.add(PROBLEM.name, file, name=file.name, actor="ann")
    return added.batch


def _labels(folder: Path, *rows: tuple[str, int, object]) -> Path:
    file = folder / "labels.csv"
    body = "".join(f"{source},{index},{value}\n" for source, index, value in rows)
    file.write_text(f"batch_id,row_id,{LABEL.name}\n{body}")
    return file


def _read(file: Path, contract: Contract) -> pa.Table:
    return read_labels(file, file.name, contract, INTAKE)


def _check_of(batch: Batch, at: datetime) -> Check:
    return Check(
        id=f"check-{at.timestamp()}",
        problem=batch.problem,
        status=RunStatus.FINISHED,
        version=1,
        started_by="arrival",
        started_at=at,
        batch_id=batch.id,
    )


class TestLabels:
    def test_each_label_is_in_one_number_of_the_report(
        self, world: World, batch: Batch, tmp_path: Path
    ) -> None:
        yes, no = LABEL.positive, LABEL.negative
        file = _labels(tmp_path, (batch.id, 0, yes), (batch.id, 1, no), ("nobody", 0, yes))
        report = world.pilothouse.labels.add(PROBLEM.name, file, actor="ann")
        assert report == LabelsReport(joined=2, duplicates=0, conflicts=0, strangers=1)
        file = _labels(tmp_path, (batch.id, 0, yes), (batch.id, 1, yes), (batch.id, 2, no))
        report = world.pilothouse.labels.add(PROBLEM.name, file, actor="ann")
        assert report == LabelsReport(joined=1, duplicates=1, conflicts=1, strangers=0)

    def test_wrong_values_take_nothing(self, world: World, batch: Batch, tmp_path: Path) -> None:
        file = _labels(tmp_path, (batch.id, 0, LABEL.positive), (batch.id, -1, "perhaps"))
        with pytest.raises(DataContractError) as refused:
            world.pilothouse.labels.add(PROBLEM.name, file, actor="ann")
        assert {one.field for one in refused.value.offences} == {"row_id", LABEL.name}
        good = _labels(tmp_path, (batch.id, 0, LABEL.positive))
        assert world.pilothouse.labels.add(PROBLEM.name, good, actor="ann").joined == 1

    def test_an_unknown_problem_is_not_found(self, world: World, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError):
            world.pilothouse.labels.add("pears", tmp_path / "labels.csv", actor="ann")

    def test_the_report_in_words(self) -> None:
        assert labels_sentence(LabelsReport(1, 0, 0, 0)) == "1 label joined."
        said = labels_sentence(LabelsReport(1_200, 2, 3, 4))
        assert said.startswith("1,200 labels joined, 2 known already, 3 against a label")


class TestUnchecked:
    def test_a_batch_waits_until_a_check_has_begun(self, world: World, batch: Batch) -> None:
        database = world.pilothouse.database
        batches, checks = BatchRecords(database), CheckRecords(database)
        assert [one.id for one in batches.unchecked(PROBLEM.name)] == [batch.id]
        assert batches.unchecked("pears") == ()
        checks.add(_check_of(batch, datetime.now(UTC)))
        assert batches.unchecked(PROBLEM.name) == ()

    def test_labels_make_it_wait_again(self, world: World, batch: Batch, tmp_path: Path) -> None:
        database = world.pilothouse.database
        batches, checks = BatchRecords(database), CheckRecords(database)
        checks.add(_check_of(batch, datetime.now(UTC)))
        file = _labels(tmp_path, (batch.id, 0, LABEL.positive))
        world.pilothouse.labels.add(PROBLEM.name, file, actor="ann")
        assert [one.id for one in batches.unchecked(PROBLEM.name)] == [batch.id]
        checks.add(_check_of(batch, datetime.now(UTC) + timedelta(seconds=1)))
        assert batches.unchecked(PROBLEM.name) == ()


class TestArrivals:
    def test_a_new_batch_is_checked_once_there_is_a_version(
        self, world: World, batch: Batch
    ) -> None:
        core = world.pilothouse
        core.watch.check_arrivals([PROBLEM.name])
        assert core.monitoring.list(PROBLEM.name) == ()
        world.put_into_production()
        core.watch.check_arrivals([PROBLEM.name])
        core.watch.check_arrivals([PROBLEM.name])
        (check,) = core.monitoring.list(PROBLEM.name)
        assert (check.batch_id, check.started_by) == (batch.id, "arrival")


#: What a file may hold for a label of 1 and 0, and how it is read; ``None`` is refused.
SPELLED: tuple[tuple[object, float | None], ...] = (
    (1, 1.0),
    (0, 0.0),
    (1.0, 1.0),
    ("1", 1.0),
    ("1.0", 1.0),
    ("0.0", 0.0),
    ("01", None),
    ("1.5", None),
    (1.5, None),
    ("yes", None),
    ("", None),
    (None, None),
    ("nan", None),
    (2, None),
)


@pytest.mark.parametrize(("given", "read"), SPELLED, ids=repr)
def test_a_label_in_a_file_is_read_as_the_contract_reads_it(
    tmp_path: Path, given: object, read: float | None
) -> None:
    contract = replace(PROBLEM.contract, label=replace(LABEL, positive=1, negative=0))
    assert contract.label.read(given) == read
    parquet = tmp_path / "labels.parquet"
    columns = {"batch_id": ["b", "b"], "row_id": [0, 1], LABEL.name: [given, None]}
    pq.write_table(pa.table(columns).slice(0, 1), parquet)
    # In a CSV every value is a text.
    for file in (parquet, _labels(tmp_path, ("b", 0, given))):
        if read is None:
            with pytest.raises(DataContractError, match="must be 0 or 1"):
                _read(file, contract)
        else:
            assert _read(file, contract)["label"].to_pylist() == [read]
