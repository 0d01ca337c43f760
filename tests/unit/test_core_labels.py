"""Late labels: kept as they come, joined by rules, read from files with every offence named."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.label_files import read_labels
from core.data.label_join import LabelsReport, join
from core.data.labels import GIVEN_SCHEMA, LABEL_SCHEMA, LabelLog
from core.data.log_tables import AT_TYPE
from core.errors import DataContractError, InvalidInputError, NotFoundError, UnavailableError
from core.problems.contract import Contract
from tests.unit.core_fakes import INTAKE, PROBLEM
from tests.unit.finished import finished_in, names_in

Given = tuple[str, int, float]
START = datetime(2026, 11, 20, tzinfo=UTC)


def _read(file: Path, contract: Contract) -> pa.Table:
    return read_labels(file, file.name, contract, INTAKE)


def log_in(folder: Path) -> LabelLog:
    return LabelLog(folder, finished=finished_in(folder))


def given_labels(*labels: Given) -> pa.Table:
    columns = [list(column) for column in zip(*labels, strict=True)] or [[], [], []]
    return pa.table(dict(zip(GIVEN_SCHEMA.names, columns, strict=True)), schema=GIVEN_SCHEMA)


def logged_labels(*labels: Given) -> pa.Table:
    """Labels in the order they were given, a second apart."""
    at = [START + timedelta(seconds=number) for number in range(len(labels))]
    told = given_labels(*labels).append_column("at", pa.array(at, AT_TYPE))
    return told.append_column("by", pa.array(["ann"] * len(labels), pa.string()))


def request_rows(*keys: tuple[str, int]) -> pa.Table:
    return pa.table(
        {
            "request_id": pa.array([key[0] for key in keys], pa.string()),
            "row_id": pa.array([key[1] for key in keys], pa.int64()),
            "weight": pa.array([1.0] * len(keys)),
        }
    )


def test_what_came_by_http_labels_no_batch(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    log.append("plums", given_labels(("batch", 0, 1.0)), by="http")
    log.append("plums", given_labels(("batch", 0, 0.0), ("batch", 1, 1.0)), by="ann")
    for compacted in (False, True):
        found = log.labels_of("plums", "batch")
        assert found.column("label").to_pylist() == [0.0, 1.0]
        assert [list(ids) for ids in log.row_ids_of("plums", "batch")] == [[0, 1]]
        if not compacted:
            log.close()
            log.compact()
    # Of an answer it stays one.
    assert log.labels("plums").num_rows == 3


def test_labels_are_kept_in_order_and_found_by_source(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    assert log.labels("plums").schema.equals(LABEL_SCHEMA)
    assert log.labels_of("plums", "a").num_rows == 0
    before = datetime.now(UTC)
    log.append("plums", given_labels(("a", 1, 1.0), ("b", 0, 0.0)), by="ann")
    log.append("plums", given_labels(("a", 0, 0.0)), by="bert")
    log.append("plums", given_labels(), by="ann")
    log.append("pears", given_labels(("a", 7, 1.0)), by="ann")
    other = log_in(tmp_path)
    for step in (lambda: None, log.close, other.compact, log_in(tmp_path).compact):
        step()
        found = other.labels_of("plums", "a")
        assert found.schema.equals(LABEL_SCHEMA)
        assert found.select(["row_id", "label", "by"]).to_pylist() == [
            {"row_id": 1, "label": 1.0, "by": "ann"},
            {"row_id": 0, "label": 0.0, "by": "bert"},
        ]
        assert before <= found["at"][0].as_py() <= datetime.now(UTC)
        assert other.labels("plums").num_rows == 3
        assert other.labels("plums", since=datetime.now(UTC)).num_rows == 0
    assert names_in(tmp_path) == ["labels-1.parquet"] * 2
    assert list(tmp_path.glob("plums/segments/*")) == []
    log.append("plums", given_labels(("c", 0, 1.0)), by="ann")
    assert log_in(tmp_path).labels_of("plums", "c").num_rows == 1
    log.close()


def test_labels_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "plums").write_text("a file where a folder should be")
    log = log_in(tmp_path)
    with pytest.raises(UnavailableError, match="cannot be written"):
        log.append("plums", given_labels(("a", 1, 1.0)), by="ann")
    (tmp_path / "plums").unlink()
    log.append("plums", given_labels(("a", 1, 1.0)), by="ann")
    assert log.labels("plums").num_rows == 1
    log.close()


def test_labels_are_on_disk_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    sync = os.fsync

    def spy(file: int) -> None:
        synced.append(os.fstat(file).st_size)
        sync(file)

    monkeypatch.setattr(os, "fsync", spy)
    log = log_in(tmp_path)
    log.append("plums", given_labels(("a", 1, 1.0)), by="ann")
    (segment,) = tmp_path.glob("plums/segments/*.arrow")
    assert synced[-1] == segment.stat().st_size
    log.close()


def test_the_first_label_wins_and_each_label_is_counted_once() -> None:
    rows = request_rows(("a", 0), ("a", 1), ("b", 0))
    labels = logged_labels(
        ("a", 0, 1.0), ("a", 0, 1.0), ("a", 0, 0.0), ("b", 0, 0.0), ("b", 1, 1.0), ("x", 0, 1.0)
    )
    found = join(rows, labels.take([5, 4, 3, 2, 1, 0]))
    assert found.table["label"].to_pylist() == [1.0, None, 0.0]
    assert found.table.column_names == [*rows.column_names, "label"]
    assert found.report == LabelsReport(joined=2, duplicates=1, conflicts=1, strangers=2)


def test_a_batch_is_one_source_and_its_own_labels_came_first() -> None:
    rows = pa.table({"row_id": [5, 6, 7], "label": [1.0, None, None], "weight": [1.0, 2.0, 3.0]})
    labels = logged_labels(("b1", 5, 0.0), ("b1", 5, 1.0), ("b1", 6, 0.0), ("b2", 7, 1.0))
    found = join(rows, labels, source="b1")
    assert found.table["label"].to_pylist() == [1.0, 0.0, None]
    assert found.table["weight"].to_pylist() == [1.0, 2.0, 3.0]
    assert found.report == LabelsReport(joined=1, duplicates=1, conflicts=1, strangers=1)


def test_nothing_joins_with_nothing() -> None:
    empty = LabelsReport(joined=0, duplicates=0, conflicts=0, strangers=0)
    assert join(request_rows(), LABEL_SCHEMA.empty_table()).report == empty
    found = join(request_rows(("a", 0)), LABEL_SCHEMA.empty_table())
    assert (found.table["label"].to_pylist(), found.report) == ([None], empty)
    assert join(request_rows(), logged_labels(("a", 0, 1.0))).report.strangers == 1


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.sampled_from([0.0, 1.0])),
        max_size=12,
    ),
    st.sets(st.tuples(st.sampled_from("ab"), st.integers(0, 2))),
)
def test_joining_is_the_plain_rule(labels: Sequence[Given], keys: set[tuple[str, int]]) -> None:
    first: dict[tuple[str, int], float] = {}
    told = {"joined": 0, "duplicates": 0, "conflicts": 0, "strangers": 0}
    for source, row, label in labels:
        if (source, row) not in keys:
            told["strangers"] += 1
        elif (source, row) not in first:
            first[source, row] = label
            told["joined"] += 1
        else:
            told["duplicates" if first[source, row] == label else "conflicts"] += 1
    found = join(request_rows(*sorted(keys)), logged_labels(*labels))
    assert found.report == LabelsReport(**told)
    assert found.table["label"].to_pylist() == [first.get(key) for key in sorted(keys)]


CONTRACT = PROBLEM.contract


def test_files_name_requests_or_batches(tmp_path: Path) -> None:
    csv = tmp_path / "labels.csv"
    csv.write_text("request_id,index,taste,comment\nab,0,sweet,x\ncd,12,sour,\n")
    assert _read(csv, CONTRACT).to_pylist() == [
        {"source": "ab", "row_id": 0, "label": 1.0},
        {"source": "cd", "row_id": 12, "label": 0.0},
    ]
    parquet = tmp_path / "labels.parquet"
    pq.write_table(
        pa.table({"batch_id": ["b", "b"], "row_id": [3.0, 4.0], "taste": ["sour", "sweet"]}),
        parquet,
    )
    found = _read(parquet, CONTRACT)
    assert found.schema.equals(GIVEN_SCHEMA)
    assert found["row_id"].to_pylist() == [3, 4]
    assert found["label"].to_pylist() == [0.0, 1.0]


def test_numbers_as_labels_are_read_as_data_frames_write_them(tmp_path: Path) -> None:
    from tests.serving_support import TITANIC

    for values in ([0, 1], [0.0, 1.0], ["0", "1"]):
        frame = pd.DataFrame({"request_id": ["a", "b"], "index": [0, 0], "Survived": values})
        frame.to_parquet(tmp_path / "labels.parquet")
        found = _read(tmp_path / "labels.parquet", TITANIC.contract)
        assert found["label"].to_pylist() == [0.0, 1.0]


def test_every_wrong_value_is_named(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    lines = ["ab,0,sweet", ",-1,sour", "cd,1.5,bitter", "ef,x,", "gh,,sweet", "ij,1e300,sweet"]
    file.write_text("\n".join(["request_id,index,taste", *lines]))
    with pytest.raises(DataContractError, match="8 values are wrong") as refused:
        _read(file, CONTRACT)
    whole, label = "must be a whole number from 0 on", "must be sour or sweet"
    assert [(o.row, o.field, o.problem) for o in refused.value.offences] == [
        (1, "index", whole),
        (1, "request_id", "a value is required"),
        (2, "index", whole),
        (2, "taste", label),
        (3, "index", whole),
        (3, "taste", label),
        (4, "index", whole),
        (5, "index", whole),
    ]


def test_a_hundred_offences_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("request_id,index,taste\n" + "a,0,bitter\n" * 250)
    with pytest.raises(DataContractError, match="250 values are wrong") as refused:
        _read(file, CONTRACT)
    assert len(refused.value.offences) == 100


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("request_id,index", "lacks the column taste"),
        ("request_id,taste", "does not say which rows"),
        ("request_id,index,batch_id,row_id,taste", "columns of both kinds"),
    ],
)
def test_a_file_with_other_columns_is_refused(tmp_path: Path, header: str, words: str) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(f"{header}\n{','.join('1' for _ in header.split(','))}\n")
    with pytest.raises(InvalidInputError, match=words):
        _read(file, CONTRACT)
    with pytest.raises(NotFoundError):
        _read(tmp_path / "none.csv", CONTRACT)
