from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from core.training.bands import curve_bands
from core.training.comparison import (
    MAX_CATEGORIES,
    MISSING,
    OTHER,
    AucComparison,
    Incomparable,
    Resampling,
    compare_auc,
    compare_slices,
    slices_of,
)
from core.training.evaluation import calibration, metrics_with_intervals, roc
from core.training.predictions import HoldoutPredictions
from core.training.resampling import MAX_CELLS, chunks_of, draw_weights, weighted_auc

HOW = Resampling(samples=1000, confidence=0.95, seed=7)
ROWS = 178


def predictions(noise: float, seed: int = 0, rows: int = ROWS) -> HoldoutPredictions:
    """A model that knows the label up to noise; the same rows and labels for every noise."""
    random = np.random.default_rng(1)
    label = (random.random(rows) < 0.4).astype(float)
    sex = np.where(random.random(rows) < 0.5, "male", "female").astype(object)
    age = random.normal(30, 12, rows).round(1)
    age[::9] = np.nan
    wrong = np.random.default_rng(seed).normal(0, noise, rows) if noise else np.zeros(rows)
    return HoldoutPredictions(
        row_id=np.arange(rows),
        label=label,
        probability=1 / (1 + np.exp(-(2 * label - 1 + wrong))),
        columns={"Sex": sex, "Age": age, "Pclass": random.integers(1, 4, rows).astype(float)},
    )


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 5), st.integers(1, 3)), min_size=2, max_size=40
    )
)
@settings(max_examples=60, deadline=None)
def test_weighted_auc_is_that_of_the_repeated_rows(drawn: list[tuple[bool, int, int]]) -> None:
    label, probability, weight = (np.array(one, dtype=float) for one in zip(*drawn, strict=True))
    found = weighted_auc(label, probability, weight[np.newaxis])[0]
    repeated = np.repeat(label, weight.astype(int))
    if np.unique(repeated).size < 2:
        assert np.isnan(found)
    else:
        wanted = roc_auc_score(repeated, np.repeat(probability, weight.astype(int)))
        assert found == pytest.approx(wanted)


def test_resamples_keep_the_number_of_rows_of_each_class() -> None:
    label = predictions(1).label
    weights = draw_weights(label, 50, np.random.default_rng(0))
    assert weights.shape == (50, ROWS)
    assert set((weights * label).sum(axis=1)) == {label.sum()}
    assert set(weights.sum(axis=1)) == {float(ROWS)}


def test_large_holdouts_are_resampled_in_parts() -> None:
    assert chunks_of(1000, 178) == [1000]
    parts = chunks_of(1000, 10_000)
    assert sum(parts) == 1000
    assert max(parts) * 10_000 <= MAX_CELLS
    assert chunks_of(3, MAX_CELLS * 2) == [1, 1, 1]


def test_better_model_is_better_with_near_certainty_and_the_mirror_agrees() -> None:
    good, poor = predictions(0.8), predictions(4)
    forth = compare_auc(poor, good, HOW)
    back = compare_auc(good, poor, HOW)
    assert isinstance(forth, AucComparison)
    assert isinstance(back, AucComparison)
    assert forth.probability_better > 0.99
    assert 0 < forth.low < forth.difference < forth.high
    assert back.difference == pytest.approx(-forth.difference)
    assert back.probability_better == pytest.approx(1 - forth.probability_better)
    assert (forth.rows, forth.samples, forth.confidence) == (ROWS, 1000, 0.95)


def test_equal_rankings_are_a_tie() -> None:
    base = predictions(1)
    squeezed = replace(base, probability=base.probability / 3)
    found = compare_auc(base, squeezed, HOW)
    assert isinstance(found, AucComparison)
    assert found.probability_better == 0.5
    assert found.difference == pytest.approx(0, abs=1e-12)


def test_pairing_sees_what_separate_intervals_cannot() -> None:
    base = predictions(2)
    # A little better on every row: their intervals overlap nearly wholly.
    better = replace(base, probability=np.clip(base.probability + 0.05 * base.label, 0, 1))
    found = compare_auc(base, better, HOW)
    assert isinstance(found, AucComparison)
    alone = [
        metrics_with_intervals(
            one.label, one.probability, 0.5, samples=200, confidence=0.95, seed=1
        )["auc"]
        for one in (base, better)
    ]
    assert alone[1].low < alone[0].high
    assert found.low > 0
    assert found.high - found.low < (alone[0].high - alone[0].low) / 2


def test_a_seed_gives_the_same_answer() -> None:
    pair = predictions(2), predictions(2, seed=5)
    assert compare_auc(*pair, HOW) == compare_auc(*pair, HOW)


def test_other_rows_or_labels_cannot_be_compared() -> None:
    base = predictions(1)
    shifted = replace(base, row_id=base.row_id + 10)
    found = compare_auc(base, shifted, HOW)
    assert isinstance(found, Incomparable)
    assert "different rows: 178 and 178, of which 168 are the same" in found.reason
    flipped = compare_auc(base, replace(base, label=1 - base.label), HOW)
    assert isinstance(flipped, Incomparable)
    assert "labels" in flipped.reason
    alike = replace(base, label=np.ones(ROWS))
    only = compare_auc(alike, alike, HOW)
    assert isinstance(only, Incomparable)
    assert "one class" in only.reason


def test_a_thousand_resamples_take_well_under_a_second() -> None:
    started = time.perf_counter()
    compare_auc(predictions(2), predictions(2, seed=5), HOW)
    assert time.perf_counter() - started < 1


def test_slices_name_values_bins_and_what_is_missing() -> None:
    sexes = np.array(["b", None, "a", "b"], dtype=object)
    assert named(slices_of(sexes)) == {"a": [2], "b": [0, 3], MISSING: [1]}
    few = np.array([3.0, 1.0, np.nan, 3.0])
    assert named(slices_of(few)) == {"1": [1], "3": [0, 3], MISSING: [2]}
    many = named(slices_of(np.arange(8.0)))
    assert many == {"0 – 1": [0, 1], "2 – 3": [2, 3], "4 – 5": [4, 5], "6 – 7": [6, 7]}
    # Half of the values are 0: that bin stands for three edges.
    skewed = named(slices_of(np.array([0, 0, 0, 0, 0, 0, 1, 2, 3, 9], dtype=float)))
    assert list(skewed) == ["0", "1 – 2", "3 – 9"]


def test_rare_categories_share_a_slice() -> None:
    values = np.array([f"c{index:02d}" for index in range(MAX_CATEGORIES)] * 2 + ["x", "y"], object)
    found = named(slices_of(values))
    assert len(found) == MAX_CATEGORIES + 1
    assert found[OTHER] == [2 * MAX_CATEGORIES, 2 * MAX_CATEGORIES + 1]


@given(
    st.lists(st.one_of(st.just(np.nan), st.floats(-1e6, 1e6)), min_size=1, max_size=60),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_every_row_is_in_exactly_one_slice(values: list[float], as_text: bool) -> None:
    column: npt.NDArray[np.generic] = np.array(values)
    if as_text:
        column = np.array([None if np.isnan(v) else f"{v:.0f}" for v in values], dtype=object)
    rows = np.concatenate([rows for _, rows in slices_of(column)])
    assert sorted(rows.tolist()) == list(range(len(values)))
    assert all(rows.size for _, rows in slices_of(column))


def test_the_slice_that_got_worse_comes_first() -> None:
    base = predictions(1)
    women = base.columns["Sex"] == "female"
    turned = np.where(women, 1 - base.probability, base.probability)
    found = compare_slices(base, replace(base, probability=turned), (0.5, 0.4), HOW)
    assert (found[0].column, found[0].value) == ("Sex", "female")
    assert found[0].difference is not None
    assert found[0].difference < -0.3
    assert found[0].probability_better == 0.0
    men = next(one for one in found if one.value == "male")
    assert men.difference == pytest.approx(0)
    assert men.rows + found[0].rows == ROWS
    told = [one.difference for one in found if not one.too_small and one.difference is not None]
    assert told == sorted(told)


def test_small_and_one_sided_slices_come_last_and_say_so() -> None:
    base = predictions(1)
    one_sided = np.where(base.label == 1, "all", "none").astype(object)
    one_sided[:3] = "few"
    found = compare_slices(replace(base, columns={"Only": one_sided}), base, (0.5, 0.5), HOW)
    assert [one.too_small for one in found] == [True] * 3
    assert found[0].value == "few"
    for one in found[1:]:
        assert one.difference is None
        assert one.baseline.auc is None
    none = next(one for one in found if one.value == "none")
    assert (none.positives, none.candidate.recall) == (0, None)


def test_a_slices_precision_and_recall_are_at_each_models_threshold() -> None:
    base = HoldoutPredictions(
        row_id=np.arange(4),
        label=np.array([1.0, 1.0, 0.0, 0.0]),
        probability=np.array([0.9, 0.5, 0.6, 0.1]),
        columns={"Sex": np.array(["a"] * 4, dtype=object)},
    )
    found = compare_slices(base, base, (0.5, 0.7), HOW)[0]
    assert (found.baseline.precision, found.baseline.recall) == (pytest.approx(2 / 3), 1.0)
    assert (found.candidate.precision, found.candidate.recall) == (1.0, 0.5)
    silent = compare_slices(base, base, (0.5, 0.95), HOW)[0]
    assert (silent.candidate.precision, silent.candidate.recall) == (None, 0.0)


def test_bands_hold_the_curves_they_belong_to() -> None:
    model = predictions(1.5)
    bands = curve_bands(model, HOW)
    for band in (bands.roc, bands.precision_recall, bands.calibration):
        assert len(band.x) == len(band.low) == len(band.high)
        assert all(0 <= low <= high <= 1 for low, high in zip(band.low, band.high, strict=True))
        assert list(band.x) == sorted(band.x)
    curve = roc(model.label, model.probability)
    low = np.interp(curve.x, bands.roc.x, bands.roc.low)
    high = np.interp(curve.x, bands.roc.x, bands.roc.high)
    inside = (low - 0.02 <= curve.y) & (np.array(curve.y) <= high + 0.02)
    # Vertical steps reach over a band that is drawn on a grid.
    assert inside.mean() > 0.8
    bins = calibration(model.label, model.probability)
    assert bands.calibration.x == pytest.approx([one.mean_predicted for one in bins])
    for one, low_rate, high_rate in zip(
        bins, bands.calibration.low, bands.calibration.high, strict=True
    ):
        assert low_rate <= one.observed_rate <= high_rate


def test_a_perfect_model_has_no_spread() -> None:
    bands = curve_bands(predictions(0), HOW)
    assert set(bands.roc.low) == {1.0}
    assert set(bands.precision_recall.low) == {1.0}


def test_a_bin_without_positives_is_not_certain_of_none() -> None:
    model = predictions(0)
    band = curve_bands(model, HOW).calibration
    rows = calibration(model.label, model.probability)[0].rows
    assert band.low[0] == 0.0
    # Wilson's upper end for none of n is z²/(n + z²).
    assert band.high[0] == pytest.approx(1.959964**2 / (rows + 1.959964**2), abs=1e-6)
    assert band.high[-1] == 1.0


def named(slices: list[tuple[str, npt.NDArray[np.intp]]]) -> dict[str, list[int]]:
    return {name: rows.tolist() for name, rows in slices}
