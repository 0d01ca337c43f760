"""Quality counts, chunks along time, calibration and samples: the parts of a check."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from core.monitoring.calibration import calibration_error, calibration_error_by_chance
from core.monitoring.chunks import (
    Cut,
    cut_analysis,
    cut_reference,
    told_chunks,
    whole,
)
from core.monitoring.quality import ColumnCounts, column_quality, count_outside, usual_range
from core.monitoring.sampling import draw, times
from core.monitoring.scatter import auc_standard_error
from core.params_monitoring import ChunkParams

BY_NUMBER = ChunkParams(number=10, period=None, minimum_rows=50)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def _at(*hours: float) -> np.ndarray:
    moments = [BEGIN.replace(tzinfo=None) + timedelta(hours=hour) for hour in hours]
    return np.array(moments, dtype="datetime64[us]")


class TestQuality:
    def test_shares_are_of_each_sides_rows(self) -> None:
        found = column_quality("age", ColumnCounts(200, 10), ColumnCounts(50, 20), (0, 80))
        assert (found.missing_share_reference, found.missing_share_analysis) == (0.05, 0.4)
        assert (found.usual_low, found.usual_high) == (0, 80)

    def test_unseen_categories_are_counted_and_named(self) -> None:
        then = ColumnCounts(10, 0, {"a": 9, "b": 1})
        now = ColumnCounts(20, 1, {"a": 10, "y": 3, "z": 6})
        found = column_quality("colour", then, now)
        assert (found.unseen_rows, found.unseen_share) == (9, 0.45)
        assert [(one.value, one.rows) for one in found.unseen] == [("z", 6), ("y", 3)]

    def test_without_rows_there_are_no_shares(self) -> None:
        found = column_quality("age", ColumnCounts(10, 0), ColumnCounts(0, 0))
        assert (found.missing_share_analysis, found.unseen_share) == (0.0, 0.0)

    def test_the_contracts_range_comes_before_the_references(self) -> None:
        values = np.array([1.0, np.nan, 9.0])
        assert usual_range((0, 5), values) == (0, 5)
        assert usual_range(None, values) == (1.0, 9.0)
        assert usual_range(None, np.array([np.nan])) is None

    def test_the_ends_of_the_range_are_usual_and_missing_is_not_outside(self) -> None:
        assert count_outside(np.array([0.0, 5.0, 5.1, -1.0, np.nan]), (0, 5)) == 2
        assert count_outside(np.array([1.0]), None) == 0


class TestChunks:
    def test_equal_parts(self) -> None:
        spans = tuple((begin, begin + 500) for begin in range(0, 5000, 500))
        assert cut_analysis(5000, None, BY_NUMBER) == Cut(5000, spans)

    @pytest.mark.parametrize(("rows", "size"), [(418, 8), (99, 1), (50, 1), (3, 1)])
    def test_chunks_have_rows_enough(self, rows: int, size: int) -> None:
        assert cut_analysis(rows, None, BY_NUMBER).size == size

    def test_the_references_chunks_are_as_large(self) -> None:
        cut = cut_reference(40_000, cut_analysis(5000, None, BY_NUMBER))
        assert (cut.size, cut.rows) == (20, 40_000)
        assert {end - begin for begin, end in cut.spans} == {500}
        assert (cut.spans[0][0], cut.spans[-1][1]) == (0, 40_000)

    def test_a_small_reference_has_smaller_ones(self) -> None:
        assert cut_reference(700, whole(600)).size == 5
        assert cut_reference(3, whole(600)).spans == ((0, 1), (1, 2), (2, 3))

    def test_by_time_a_small_chunk_goes_with_its_neighbour(self) -> None:
        daily = ChunkParams(number=10, period="1d", minimum_rows=3)
        at = _at(1, 2, 3, 25, 26, 27, 49, 73, 74, 75, 97)
        assert cut_analysis(at.size, at, daily).spans == ((0, 3), (3, 6), (6, 11))

    def test_a_period_without_times_cuts_by_number(self) -> None:
        daily = ChunkParams(number=2, period="1d", minimum_rows=2)
        assert cut_analysis(10, None, daily).spans == ((0, 5), (5, 10))

    def test_chunks_tell_when_and_which_rows(self) -> None:
        at = _at(0, 5, 30)
        first, second = told_chunks(Cut(3, ((0, 2), (2, 3))), at, "analysis")
        assert (first.label, first.rows, first.last_row) == ("2026-01-01 00:00", 2, 1)
        assert first.end_at == BEGIN + timedelta(hours=5)
        assert (second.start_at, second.end_at) == (BEGIN + timedelta(hours=30),) * 2
        assert told_chunks(whole(2), None, "reference")[0].label == "1 to 2"

    @pytest.mark.parametrize("period", ["1 day", "0d", "D", "-1h"])
    def test_a_period_is_written_one_way(self, period: str) -> None:
        with pytest.raises(ValueError, match="a period is written like"):
            ChunkParams(number=10, period=period, minimum_rows=50)


class TestCalibration:
    def test_by_hand(self) -> None:
        # Ten bins of ten: five of them predict 0.2 and see none, five 0.8 and see all.
        probability = np.repeat([0.2, 0.8], 50)
        label = np.repeat([0.0, 1.0], 50)
        assert calibration_error(label, probability) == pytest.approx(0.2)

    def test_chance_is_what_perfect_probabilities_show(self) -> None:
        random = np.random.default_rng(3)
        probability = random.uniform(size=2000)
        shown = [
            calibration_error((random.uniform(size=2000) < probability).astype(float), probability)
            for _ in range(200)
        ]
        assert calibration_error_by_chance(probability) == pytest.approx(np.mean(shown), rel=0.05)


class TestScatter:
    def test_an_auc_scatters_as_it_is_said(self) -> None:
        random = np.random.default_rng(4)
        drawn = []
        for _ in range(400):
            ranks = np.concatenate([random.normal(1, 1, 150), random.normal(0, 1, 250)])
            order = ranks.argsort().argsort()[:150]
            drawn.append((order.sum() - 150 * 149 / 2) / (150 * 250))
        said = auc_standard_error(float(np.mean(drawn)), 150, 250)
        assert said == pytest.approx(np.std(drawn), rel=0.12)

    def test_one_class_has_no_auc(self) -> None:
        assert auc_standard_error(0.9, 0, 10) is None
        assert auc_standard_error(0.9, 10, 0) is None
        assert auc_standard_error(1.0, 10, 10) == 0.0


class TestSample:
    def test_the_same_seed_draws_the_same_rows_in_order(self) -> None:
        table = pa.table({"x": list(range(1000))})
        one, other = draw(table, 100, 7), draw(table, 100, 7)
        assert one.equals(other)
        assert one.column("x").to_pylist() == sorted(one.column("x").to_pylist())
        assert not one.equals(draw(table, 100, 8))
        assert draw(table, 1000, 7) is table

    def test_a_time_that_is_not_known_of_all_is_not_known(self) -> None:
        moments = pa.array([BEGIN, None], pa.timestamp("us", "UTC"))
        assert times(pa.table({"at": moments})) is None
        assert times(pa.table({"x": [1]})) is None
        assert times(pa.table({"at": moments.drop_null()})) == _at(0)
