"""Counting and sampling in pieces give what they give of the whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.data.batch_files import batch_file
from core.data.batch_pieces import Piece, cut_pieces, read_piece
from core.data.labelled import read_labelled
from core.data.labels import GIVEN_SCHEMA, LabelLog
from core.data.tables import write_table
from core.errors import NotFoundError
from core.monitoring.arrivals import LateLabels, batch_rows
from core.monitoring.columns import (
    ColumnPlan,
    compare_columns,
    merge_tallies,
    plan_columns,
    tally,
)
from core.monitoring.histograms import Bins, Histogram
from core.monitoring.sampling import choose, draw, span
from core.monitoring.stored_batch import StoredBatch, open_batch
from tests.unit.check_values import POLICY
from tests.unit.core_fakes import PROBLEM

CONTRACT = PROBLEM.contract
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
FLOATS = st.none() | st.sampled_from([0.0, -0.0, 1.0, 40.0]) | st.floats(allow_nan=False, width=32)
ROW = st.tuples(
    FLOATS,
    st.none() | st.integers(-3, 9).map(float),
    st.none() | st.sampled_from(["blue", "yellow", "", "grün"]),
    st.floats(0, 1),
)
ROWS = st.lists(ROW, min_size=1, max_size=60)
#: However busy the machine is.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _table(rows: list[tuple[float | None, float | None, str | None, float]]) -> pa.Table:
    weight, stones, colour, probability = (list(column) for column in zip(*rows, strict=True))
    return pa.table(
        {
            "weight": pa.array(weight, pa.float64()),
            "stones": pa.array(stones, pa.float64()),
            "colour": pa.array(colour, pa.string()),
            "probability": pa.array(probability, pa.float64()),
        }
    )


def _plans(reference: pa.Table) -> tuple[ColumnPlan, ...]:
    # As for many rows: few would get two bins, and two bins hide mistakes.
    many = pa.concat_tables([reference] * (1 + 2000 // reference.num_rows))
    return plan_columns(CONTRACT, many, 100_000, POLICY.drift)


class TestMerge:
    @UNTIMED
    @given(ROWS, ROWS, st.lists(st.integers(0, 60), max_size=6), st.randoms(use_true_random=False))
    def test_parts_of_any_split_in_any_order_are_the_whole(
        self, then: list[tuple], now: list[tuple], cuts: list[int], random: Random
    ) -> None:
        reference, arrived = _table(then), _table(now)
        plans = _plans(reference)
        ends = [0, *sorted(min(cut, arrived.num_rows) for cut in cuts), arrived.num_rows]
        parts = [tally(arrived.slice(begin, end - begin), plans) for begin, end in pairwise(ends)]
        random.shuffle(parts)
        whole, merged = tally(arrived, plans), reduce(merge_tallies, parts)
        assert merged == whole
        base = tally(reference, plans)
        told = [compare_columns(plans, base, one, {}, POLICY.drift) for one in (whole, merged)]
        assert told[0] == told[1]

    @UNTIMED
    @given(ROWS, ROWS, ROWS)
    def test_it_is_associative_and_commutative(
        self, first: list[tuple], second: list[tuple], third: list[tuple]
    ) -> None:
        plans = _plans(_table(first))
        a, b, c = (tally(_table(rows), plans) for rows in (first, second, third))
        for column in a:
            one, two, three = a[column], b[column], c[column]
            assert one.merge(two) == two.merge(one)
            assert one.merge(two).merge(three) == one.merge(two.merge(three))
        nothing = tally(_table(first).slice(0, 0), plans)
        assert merge_tallies(a, nothing) == merge_tallies(nothing, a) == a

    def test_what_was_counted_otherwise_is_not_merged(self) -> None:
        one = Histogram(Bins(is_numeric=True, edges=(1.0,)), (1, 2, 0))
        other = Histogram(Bins(is_numeric=True, edges=(2.0,)), (1, 2, 0))
        with pytest.raises(ValueError, match="different bins"):
            one.merge(other)
        with pytest.raises(ValueError, match="different columns"):
            merge_tallies(
                {}, tally(_table([(1.0, 1.0, "a", 0.5)]), _plans(_table([(1, 1, "a", 0)])))
            )


class TestChoice:
    @UNTIMED
    @given(
        st.sets(st.integers(0, 2**40), min_size=1, max_size=200),
        st.integers(1, 220),
        st.lists(st.integers(0, 200), max_size=5),
    )
    def test_parts_choose_what_the_whole_chooses(
        self, ids: set[int], most: int, cuts: list[int]
    ) -> None:
        keys = np.array(list(ids), np.int64)
        parts = np.split(keys, sorted(min(cut, keys.size) for cut in cuts))
        choice = choose(parts, most, 7)
        assert choice == choose([keys], most, 7)
        assert choice.holds(keys).sum() == min(most, keys.size)

    def test_the_rows_stay_the_same_in_another_order(self) -> None:
        table = pa.table({"row_id": np.arange(5000), "x": np.arange(5000) * 2.0})
        shuffled = table.take(pa.array(np.random.default_rng(1).permutation(5000)))
        one, other = draw(table, 300, 7), draw(shuffled, 300, 7)
        assert one.num_rows == 300
        assert one.equals(other.sort_by("row_id"))
        assert set(draw(table, 200, 7)["x"].to_pylist()) < set(one["x"].to_pylist())

    def test_it_is_spread_evenly(self) -> None:
        keys = np.arange(100_000)
        chosen = keys[choose([keys], 10_000, 7).holds(keys)]
        counts, _ = np.histogram(chosen, 10)
        assert counts.sum() == 10_000
        # Six standard deviations of a tenth.
        assert abs(counts - 1000).max() < 6 * 30

    def test_rows_of_many_requests_are_told_apart_by_their_place(self) -> None:
        table = pa.table({"row_id": [0] * 1000, "request_id": [str(i) for i in range(1000)]})
        assert draw(table, 100, 7).num_rows == 100


def _batch_table(rows: int, seed: int = 1) -> pa.Table:
    """Rows out of order in time, some with a label."""
    random = np.random.default_rng(seed)
    at = [BEGIN + timedelta(minutes=int(m)) for m in random.integers(0, rows // 2, rows)]
    label = [None if i % 3 else float(i % 2) for i in range(rows)]
    return pa.table(
        {
            "row_id": pa.array(range(rows), pa.int64()),
            "weight": random.normal(50, 12, rows),
            "stones": pa.array([None if i % 7 == 0 else 2.0 for i in range(rows)], pa.float64()),
            "colour": random.choice(["blue", "yellow"], rows).tolist(),
            "label": pa.array(label, pa.float64()),
            "at": pa.array(at, pa.timestamp("us", tz="UTC")),
        }
    )


def _write(home: Path, table: pa.Table, group_rows: int) -> Path:
    path = batch_file(home, "plums", "b1")
    path.parent.mkdir(parents=True)
    pq.write_table(table, path, row_group_size=group_rows)
    return path


def _labels(home: Path, *given: tuple[str, int, float]) -> LateLabels:
    log = LabelLog(home / "labels")
    for part in (given[::2], given[1::2]):
        columns = [list(column) for column in zip(*part, strict=True)]
        told = dict(zip(GIVEN_SCHEMA.names, columns, strict=True))
        log.append("plums", pa.table(told, schema=GIVEN_SCHEMA), by="ann")
        log.close()
    return LateLabels(LabelLog(home / "labels"))


LATE = (
    *(("b1", row, float(row % 2)) for row in range(0, 500, 2)),
    ("b1", 4, 1.0),  # against what was said before
    ("b1", 3, 1.0),  # the batch came with another
    ("b1", 5000, 1.0),  # of nobody
    ("b1", -1, 1.0),
    ("b2", 1, 1.0),
)


class TestPieces:
    @pytest.mark.parametrize(
        ("group_rows", "most", "sizes"),
        [(30, 95, [90, 10]), (30, 60, [60, 40]), (30, 1, [30, 30, 30, 10]), (100, 500, [100])],
    )
    def test_row_groups_are_put_together(
        self, tmp_path: Path, group_rows: int, most: int, sizes: list[int]
    ) -> None:
        path, table = _write(tmp_path, _batch_table(100), group_rows), _batch_table(100)
        pieces = cut_pieces(path, most)
        assert [piece.rows for piece in pieces] == sizes
        assert pa.concat_tables(read_piece(path, piece) for piece in pieces).equals(table)

    def test_a_name_with_a_dot_is_one_column(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.parquet"
        pq.write_table(pa.table({"a.b": [1], "a": [2]}), path)
        assert read_piece(path, Piece(0, 1, 1), ["a.b"]).column_names == ["a.b"]


class TestStoredBatch:
    def _open(self, home: Path, table: pa.Table, *late: tuple[str, int, float]) -> StoredBatch:
        path = _write(home, table, 64)
        return StoredBatch(path, "plums", "b1", _labels(home, *late), cut_pieces(path, 200))

    @pytest.mark.parametrize("most", [1, 100, 999, 1000, 5000])
    def test_its_sample_is_that_of_the_whole(self, tmp_path: Path, most: int) -> None:
        batch = self._open(tmp_path, _batch_table(1000), *LATE)
        assert len(batch.pieces) > 4
        whole = batch_rows(tmp_path, "plums", "b1", batch.labels)
        expected = draw(whole, most, 7)
        assert batch.sample(most, 7).combine_chunks().equals(expected.combine_chunks())

    def test_labels_are_known_of_the_same_rows(self, tmp_path: Path) -> None:
        batch = self._open(tmp_path, _batch_table(1000), *LATE)
        whole = batch_rows(tmp_path, "plums", "b1", batch.labels)
        labelled = whole.filter(whole["label"].is_valid())
        assert batch.is_labelled.sum() == labelled.num_rows == 500
        sample = batch.labelled_sample(2000, 7)
        assert sample.combine_chunks().equals(labelled.combine_chunks())
        few = batch.labelled_sample(50, 7)
        assert few.combine_chunks().equals(draw(labelled, 50, 7).combine_chunks())

    def test_what_may_be_learned_from_is_counted_as_it_is_read(self, tmp_path: Path) -> None:
        batch = self._open(tmp_path, _batch_table(1000), *LATE)
        read = read_labelled(tmp_path, LabelLog(tmp_path / "labels"), "plums", "b1")
        assert batch.trainable_rows == read.trainable.num_rows
        assert 0 < batch.trainable_rows < read.table.num_rows

    def test_its_span_is_that_of_the_whole(self, tmp_path: Path) -> None:
        table = _batch_table(1000)
        assert self._open(tmp_path / "a", table, *LATE).span == span(table)
        unknown = table.set_column(
            5, "at", pa.array([None, *table["at"].to_pylist()[1:]], table["at"].type)
        )
        assert self._open(tmp_path / "b", unknown, *LATE).span is None
        assert self._open(tmp_path / "c", table.drop_columns(["at"]), *LATE).span is None

    def test_one_without_late_labels(self, tmp_path: Path) -> None:
        path = batch_file(tmp_path, "plums", "b1")
        write_table(_batch_table(10), path)
        batch = open_batch(tmp_path, "plums", "b1", LateLabels(LabelLog(tmp_path / "labels")))
        assert batch.labelled_sample(5, 7).num_rows == 4
        assert batch.labelled_sample(1, 7).num_rows == 1

    def test_one_that_is_gone_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="rows of batch b1"):
            open_batch(tmp_path, "plums", "b1", LateLabels(LabelLog(tmp_path / "labels")))
