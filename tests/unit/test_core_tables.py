"""Tables in and out: what is read, what is refused, and the same bytes for the same rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.data.ingest import ingest, read_file_source
from core.data.tables import (
    check_rows,
    contract_columns,
    file_md5,
    read_table,
    write_table,
)
from core.errors import InvalidInputError, NotFoundError, RowCountError
from tests.unit.core_fakes import PROBLEM

TABLE = pa.table({"weight": [40.0, None], "colour": ["blue", "yellow"]})


def test_a_csvs_values_stay_text_and_empty_cells_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "plums.csv"
    path.write_bytes('\ufeffweight,colour\n007,\nNA,"a, b"\n1e3,ärlig\n'.encode())
    table = read_table(path)
    assert table.to_pydict() == {
        "weight": ["007", None, "1e3"],
        "colour": [None, "a, b", "ärlig"],
    }


def test_parquet_is_known_by_its_content_and_keeps_its_types(tmp_path: Path) -> None:
    path = tmp_path / "plums.csv"
    pq.write_table(TABLE, path)
    assert read_table(path).equals(TABLE)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"\n\n", "neither CSV nor Parquet"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "neither CSV nor Parquet"),
        (bytes(range(256)) * 40, "neither CSV nor Parquet"),
        (b"PAR1 and nothing else", "neither CSV nor Parquet"),
        ("weight,colour\n1,ärlig\n".encode("latin-1"), "is not in UTF-8"),
        ("weight,größe\n1,2\n".encode("latin-1"), "is not in UTF-8"),
        (b"weight,colour\n1,blue\n2\n", "another number of values than its header in 1 row"),
        (b"weight,colour\n", "has no rows"),
        (b"weight,weight\n1,2\n", "weight"),
    ],
    ids=[
        "empty",
        "blank lines",
        "picture",
        "binary",
        "false Parquet",
        "latin-1 cells",
        "latin-1 header",
        "ragged",
        "header only",
        "column twice",
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "plums.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=what):
        read_table(path)


def test_a_parquet_file_without_rows_is_refused(tmp_path: Path) -> None:
    pq.write_table(TABLE.slice(0, 0), tmp_path / "plums.parquet")
    with pytest.raises(InvalidInputError, match="has no rows"):
        read_table(tmp_path / "plums.parquet")


def test_a_missing_file_is_not_found_and_a_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_table(tmp_path / "plums.csv")
    with pytest.raises(InvalidInputError):
        read_table(tmp_path)


def test_equal_tables_give_equal_bytes(tmp_path: Path) -> None:
    write_table(TABLE, tmp_path / "deep" / "a.parquet")
    # What pandas leaves in a schema tells of its version.
    write_table(TABLE.replace_schema_metadata({"pandas": "3"}), tmp_path / "b.parquet")
    assert file_md5(tmp_path / "deep" / "a.parquet") == file_md5(tmp_path / "b.parquet")
    write_table(TABLE.slice(0, 1), tmp_path / "b.parquet")
    assert file_md5(tmp_path / "deep" / "a.parquet") != file_md5(tmp_path / "b.parquet")


def test_md5_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"plums")
    assert file_md5(tmp_path / "a") == "4142323fbb076aaebb7626bb4fcf0010"


def test_lost_rows_are_noticed_in_a_file_and_in_a_folder(tmp_path: Path) -> None:
    write_table(TABLE, tmp_path / "part-0.parquet")
    write_table(TABLE, tmp_path / "part-1.parquet")
    check_rows(tmp_path, 4)
    check_rows(tmp_path / "part-0.parquet", 2)
    for path, expected in ((tmp_path, 5), (tmp_path / "part-0.parquet", 1)):
        with pytest.raises(RowCountError):
            check_rows(path, expected)


def test_columns_are_floats_and_objects(tmp_path: Path) -> None:
    table = pa.table(
        {"weight": [40.0, 41.5], "stones": [1.0, None], "colour": pa.array(["blue", None])}
    )
    columns = contract_columns(table, PROBLEM.contract)
    assert columns["weight"].tolist() == [40.0, 41.5]
    assert columns["stones"].dtype == "float64"
    assert str(columns["stones"][1]) == "nan"
    assert columns["colour"].tolist() == ["blue", None]


def test_ingest_keeps_the_contract_and_numbers_the_rows(tmp_path: Path) -> None:
    source = tmp_path / "plums.csv"
    source.write_text("tree,taste,colour,weight,stones\nT1,sweet,blue,40,1\nT2,sour,,30,\n")
    problem = PROBLEM
    rows = ingest(problem, {"file": lambda _: read_file_source(str(source))}, tmp_path / "raw")
    assert rows == 2
    assert pq.read_table(tmp_path / "raw").to_pydict() == {
        "row_id": [0, 1],
        "weight": ["40", "30"],
        "stones": ["1", None],
        "colour": ["blue", None],
        "taste": ["sweet", "sour"],
    }


def test_ingest_names_every_missing_column(tmp_path: Path) -> None:
    source = pa.table({"colour": ["blue"], "stones": [1]})
    with pytest.raises(InvalidInputError) as refused:
        ingest(PROBLEM, {"file": lambda _: source}, tmp_path / "raw")
    assert [offence.field for offence in refused.value.offences] == ["weight", "taste"]
    assert not (tmp_path / "raw").exists()
