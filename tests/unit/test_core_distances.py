"""Bins, counts and the distances between them, against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from scipy.spatial import distance

from core.monitoring.distances import jensen_shannon, psi, psi_by_chance
from core.monitoring.histograms import (
    Bins,
    Histogram,
    bin_limit,
    category_bins,
    count_categories,
    count_numbers,
    numeric_bins,
    told_bins,
)


def _column(*values: str | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.string())])


class TestPsi:
    def test_by_hand(self) -> None:
        # Shares 0.5, 0.3, 0.2 then and 0.4, 0.3, 0.3 now.
        expected = (0.4 - 0.5) * math.log(0.4 / 0.5) + (0.3 - 0.2) * math.log(0.3 / 0.2)
        assert psi([50, 30, 20], [40, 30, 30]) == pytest.approx(expected)
        assert expected == pytest.approx(0.0629, abs=5e-5)

    def test_shares_count_and_not_rows(self) -> None:
        assert psi([50, 50], [500, 500]) == 0.0
        assert psi([1, 3], [30, 10]) == pytest.approx(psi([10, 30], [3, 1]) or -1)

    def test_an_empty_bin_counts_as_half_a_row_on_its_side(self) -> None:
        expected = (0.5 - 0.005) * math.log(0.5 / 0.005) + (0.5 - 1.0) * math.log(0.5 / 1.0)
        assert psi([0, 100], [50, 50]) == pytest.approx(expected)

    def test_a_bin_that_is_empty_on_both_sides_does_not_count(self) -> None:
        assert psi([50, 0, 50], [40, 0, 60]) == psi([50, 50], [40, 60])

    def test_a_side_without_rows_has_no_psi(self) -> None:
        assert psi([0, 0], [1, 2]) is None
        assert psi([1, 2], [0, 0]) is None

    def test_different_bins_are_not_compared(self) -> None:
        with pytest.raises(ValueError, match="3 bins cannot be compared with 2"):
            psi([1, 2, 3], [1, 2])

    def test_chance_passes_its_bound_as_seldom_as_it_says(self) -> None:
        random = np.random.default_rng(5)
        shares = np.full(10, 0.1)
        then = random.multinomial(2000, shares, size=4000)
        now = random.multinomial(500, shares, size=4000)
        pairs = zip(then.tolist(), now.tolist(), strict=True)
        passed = [(psi(a, b) or 0) > (psi_by_chance(a, b) or 0) for a, b in pairs]
        assert np.mean(passed) == pytest.approx(0.001, abs=0.0015)

    @pytest.mark.parametrize("bins", [2, 3, 10, 50])
    def test_the_bound_is_scipys_quantile(self, bins: int) -> None:
        exact = (1 / (10 * bins) + 1 / (20 * bins)) * stats.chi2.ppf(0.999, bins - 1)
        assert psi_by_chance([10] * bins, [20] * bins) == pytest.approx(exact, rel=0.035)


class TestJensenShannon:
    @pytest.mark.parametrize(
        ("then", "now"),
        [([50, 30, 20], [40, 30, 30]), ([0, 100, 7], [50, 50, 0]), ([5, 0], [0, 5])],
    )
    def test_as_scipy_has_it(self, then: list[int], now: list[int]) -> None:
        assert jensen_shannon(then, now) == pytest.approx(distance.jensenshannon(then, now, base=2))

    def test_ends(self) -> None:
        assert jensen_shannon([3, 4], [3, 4]) == 0.0
        assert jensen_shannon([3, 0], [0, 9]) == pytest.approx(1.0)
        assert jensen_shannon([0, 0], [1, 1]) is None


class TestBins:
    def test_numbers_fill_their_bins_about_equally(self) -> None:
        values = np.random.default_rng(1).normal(size=10_000)
        bins = numeric_bins(values, 10)
        counts = count_numbers(values, bins).counts
        assert (len(bins.edges), counts[-1]) == (9, 0)
        assert min(counts[:-1]) == max(counts[:-1]) == 1000

    def test_few_values_have_a_bin_each_and_new_ones_show(self) -> None:
        bins = numeric_bins(np.array([1.0, 2.0, 2.0, 3.0]), 10)
        counted = count_numbers(np.array([0.0, 1.0, 2.0, 3.0, 3.0, 4.0, np.nan]), bins)
        assert counted.counts == (1, 1, 1, 2, 1, 1)

    def test_a_constant_that_moves_shows(self) -> None:
        bins = numeric_bins(np.full(50, 7.0), 10)
        then = count_numbers(np.full(50, 7.0), bins)
        now = count_numbers(np.full(50, 7.5), bins)
        assert (then.counts, now.counts) == ((0, 50, 0, 0), (0, 0, 50, 0))
        assert (psi(then.counts, now.counts) or 0) > 3

    def test_ties_stay_together(self) -> None:
        values = np.array([0.0] * 90 + list(range(1, 11)), dtype=float)
        bins = numeric_bins(values, 4)
        assert bins.edges == (0.0,)
        assert count_numbers(values, bins).counts == (90, 10, 0)

    def test_nothing_known_is_one_bin(self) -> None:
        bins = numeric_bins(np.array([np.nan, np.nan]), 10)
        assert count_numbers(np.array([1.0, np.nan]), bins).counts == (1, 1)

    def test_rare_and_unseen_categories_are_other(self) -> None:
        bins = category_bins(_column("a", "a", "b", "b", "b", "c", None), 2)
        assert bins.categories == ("b", "a")
        assert count_categories(_column("a", "z", "c", None, None), bins).counts == (0, 1, 2, 2)

    def test_equally_frequent_categories_have_one_order(self) -> None:
        assert category_bins(_column("z", "b", "a"), 2).categories == ("a", "b")

    @pytest.mark.parametrize(
        ("then", "now", "bins"), [(100_000, 5_000, 10), (713, 418, 10), (713, 50, 3), (713, 2, 2)]
    )
    def test_fewer_rows_get_fewer_bins(self, then: int, now: int, bins: int) -> None:
        assert bin_limit(10, then, now) == bins

    def test_both_sides_are_told_together(self) -> None:
        bins = Bins(is_numeric=True, edges=(1.0, 5.0))
        told = told_bins(Histogram(bins, (2, 2, 0, 0)), Histogram(bins, (1, 0, 0, 3)))
        assert [one.label for one in told] == ["up to 1", "1 to 5", "missing"]
        assert [(one.reference_share, one.analysis_share) for one in told] == [
            (0.5, 0.25),
            (0.5, 0.0),
            (0.0, 0.75),
        ]
        assert (told[0].low, told[0].high, told[2].kind) == (None, 1.0, "missing")

    def test_other_bins_are_refused(self) -> None:
        one, other = Bins(is_numeric=True, edges=(1.0,)), Bins(is_numeric=True, edges=(2.0,))
        with pytest.raises(ValueError, match="different bins"):
            told_bins(Histogram(one, (1, 1, 0)), Histogram(other, (1, 1, 0)))
