"""Labelled batches beside a problem's own rows: ids, types, and the fifth that is held back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.batch_files import batch_file
from core.data.held_back import BATCH_ROW_IDS, FRACTION, held_back
from core.data.ingest import ingest
from core.data.labelled import LabelledBatch, read_labelled, with_batches
from core.data.labels import GIVEN_SCHEMA, LabelLog, labels_folder
from core.data.tables import file_md5, write_table
from core.data.validation import validate
from core.errors import NotFoundError
from tests.unit.core_fakes import PROBLEM

CONTRACT = PROBLEM.contract
FIRST_HELD_BACK = [2, 4, 6, 7, 11, 18, 22, 23]


def batch(batch_id: str, rows: int, labels: list[float | None] | None = None) -> LabelledBatch:
    """A batch as it is stored: numbers as float64, categories as text."""
    table = pa.table(
        {
            "row_id": pa.array(range(rows), pa.int64()),
            "weight": pa.array([20.5 + i for i in range(rows)], pa.float64()),
            "stones": pa.array([None if i % 3 else 2.0 for i in range(rows)], pa.float64()),
            "colour": pa.array(["blue" if i % 2 else "yellow" for i in range(rows)]),
            "label": pa.array(labels or [float(i % 2) for i in range(rows)], pa.float64()),
        }
    )
    return LabelledBatch(batch_id, table)


def _source(kind: str) -> pa.Table:
    """The same rows as a program, as another one, and as a CSV gives them."""
    taste = ["sweet", "sour", "sweet"]
    weights: dict[str, pa.Array] = {
        "floats": pa.array([40.0, 50.25, 60.0]),
        "integers": pa.array([40, 50, 60]),
        "texts": pa.array(["40.0", "50.25", "60"]),
    }
    stones = pa.array([1, None, 0]) if kind != "texts" else pa.array(["1", None, "0"])
    columns = {"weight": weights[kind], "stones": stones, "colour": pa.array(["blue"] * 3)}
    return pa.table({**columns, "taste": taste})


class TestHeldBack:
    @given(st.text(min_size=1, max_size=12))
    def test_about_a_fifth_is_held_back(self, batch_id: str) -> None:
        share = held_back(batch_id, np.arange(20_000)).mean()
        assert share == pytest.approx(FRACTION, abs=0.02)

    def test_a_row_is_decided_by_itself_and_for_good(self) -> None:
        rows = np.arange(1000)
        shuffled = np.random.default_rng(3).permutation(rows)
        of_all = held_back("b1", rows)
        assert (held_back("b1", shuffled) == of_all[shuffled]).all()
        assert (held_back("b1", rows[500:510]) == of_all[500:510]).all()
        # Another number here means that models have learned from rows that judge them.
        assert np.flatnonzero(of_all)[:8].tolist() == FIRST_HELD_BACK

    def test_batches_hold_back_different_rows(self) -> None:
        one, other = (held_back(name, np.arange(10_000)) for name in ("b1", "b2"))
        assert (one & other).mean() == pytest.approx(FRACTION**2, abs=0.01)


class TestJoined:
    @pytest.mark.parametrize("kind", ["floats", "integers", "texts"])
    def test_own_rows_stay_what_they_were(self, kind: str, tmp_path: Path) -> None:
        source = _source(kind)
        providers = {"file": lambda _: source}
        ingest(PROBLEM, providers, tmp_path / "alone.parquet")
        rows = ingest(
            PROBLEM, providers, tmp_path / "more.parquet", [batch("b1", 100), batch("b2", 50)]
        )
        alone = validate(pq.read_table(tmp_path / "alone.parquet"), CONTRACT).table
        more = validate(pq.read_table(tmp_path / "more.parquet"), CONTRACT).table
        assert more.slice(0, 3).equals(alone)
        assert (
            rows
            == more.num_rows
            == 3 + sum(b.trainable.num_rows for b in (batch("b1", 100), batch("b2", 50)))
        )
        assert file_md5(tmp_path / "more.parquet") != file_md5(tmp_path / "alone.parquet")

    def test_without_batches_the_bytes_are_the_same_as_ever(self, tmp_path: Path) -> None:
        source = _source("integers")
        assert with_batches(source, CONTRACT, []) is source

    def test_rows_of_batches_come_with_their_values_and_labels(self, tmp_path: Path) -> None:
        ingest(PROBLEM, {"file": lambda _: _source("texts")}, tmp_path / "r", [batch("b1", 60)])
        added = validate(pq.read_table(tmp_path / "r"), CONTRACT).table.slice(3)
        given = batch("b1", 60).trainable
        for name in (*CONTRACT.names, "label"):
            assert added.column(name).to_pylist() == given.column(name).to_pylist()
        assert added.column("row_id").to_pylist() == [
            BATCH_ROW_IDS + row_id for row_id in given.column("row_id").to_pylist()
        ]

    def test_no_held_back_row_is_learned_from(self) -> None:
        joined = with_batches(_numbered(), CONTRACT, [batch("b1", 500), batch("b2", 500)])
        ids = joined.column("row_id").to_numpy()
        assert len(set(ids.tolist())) == ids.size
        for order, name in enumerate(("b1", "b2")):
            begin = (order + 1) * BATCH_ROW_IDS
            own = ids[(ids >= begin) & (ids < begin + BATCH_ROW_IDS)] - begin
            kept = held_back(name, np.arange(500))
            assert sorted(own.tolist()) == np.flatnonzero(~kept).tolist()


def _numbered() -> pa.Table:
    source = _source("floats")
    return source.add_column(0, "row_id", pa.array(range(3), pa.int64()))


class TestRead:
    def test_labels_count_that_came_with_the_batch_or_later(self, tmp_path: Path) -> None:
        given: list[float | None] = [1.0, None, 0.0, None]
        write_table(batch("b1", 4, given).table, batch_file(tmp_path, "plums", "b1"))
        labels = LabelLog(labels_folder(tmp_path))
        found = read_labelled(tmp_path, labels, "plums", "b1")
        assert found.id == "b1"
        assert found.table.column("row_id").to_pylist() == [0, 2]
        late = pa.table(
            {"source": ["b1", "b2"], "row_id": [3, 1], "label": [1.0, 1.0]}, schema=GIVEN_SCHEMA
        )
        labels.append("plums", late, by="ann")
        found = read_labelled(tmp_path, labels, "plums", "b1")
        assert found.table.column("row_id").to_pylist() == [0, 2, 3]
        assert found.table.column("label").to_pylist() == [1.0, 0.0, 1.0]
        labels.close()

    def test_a_batch_that_is_not_there_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError):
            read_labelled(tmp_path, LabelLog(labels_folder(tmp_path)), "plums", "b1")


def test_times_of_batches_go_on_where_the_contract_has_them(tmp_path: Path) -> None:
    timed = replace(PROBLEM, contract=replace(CONTRACT, timestamp="when"))
    moments = [datetime(2026, 2, day, tzinfo=UTC) for day in (1, 2, 3)]
    source = _source("floats").append_column("when", pa.array(moments))
    added = batch("b1", 30)
    stamped = added.table.append_column(
        "at", pa.array([moments[2]] * 30, pa.timestamp("us", "UTC"))
    )
    ingest(timed, {"file": lambda _: source}, tmp_path / "r", [LabelledBatch("b1", stamped)])
    at = validate(pq.read_table(tmp_path / "r"), timed.contract).table.column("at").to_pylist()
    assert at[:3] == moments
    assert set(at[3:]) == {moments[2]}
