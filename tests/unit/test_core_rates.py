"""Both models on the same rows: shared holdouts, rates by class and slice, calibration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from core.domain import Verdict
from core.monitoring.calibration import calibration_error, calibration_error_by_chance
from core.params import load_params
from core.problems.contract import Label
from core.promotion.evidence import Judged, RowSet
from core.promotion.paired import Pair, compare_rows, joined, resampled_sums, shared_rows
from core.promotion.rates import MIN_RATE_ROWS, Thresholds, judge_rows
from core.settings import CODE_ROOT
from core.training.comparison import Incomparable, Resampling, compare_auc
from core.training.predictions import HoldoutPredictions
from core.training.resampling import draw_weights

HOW = Resampling(samples=400, confidence=0.95, seed=7)
POLICY = load_params(CODE_ROOT / "params.yaml").promotion
LABEL = Label("taste", "sweet", "sour", "sweet", "sour")
ROWS = 400


def said(noise: float, rows: int = ROWS, seed: int = 0) -> HoldoutPredictions:
    """A model that knows the label up to noise; rows and labels are the same for all."""
    random = np.random.default_rng(1)
    label = (random.random(rows) < 0.4).astype(float)
    wrong = np.random.default_rng(seed).normal(0, noise, rows) if noise else np.zeros(rows)
    return HoldoutPredictions(
        row_id=np.arange(rows),
        label=label,
        probability=1 / (1 + np.exp(-(2 * label - 1 + wrong))),
        columns={
            "colour": random.choice(["blue", "yellow"], rows).astype(object),
            "weight": random.normal(50, 10, rows),
        },
    )


def judge(candidate: HoldoutPredictions, incumbent: HoldoutPredictions) -> Judged:
    thresholds = Thresholds(0.5, 0.4)
    return judge_rows(RowSet.BOTH, Pair(candidate, incumbent), thresholds, LABEL, POLICY, HOW)


class TestSharedRows:
    def test_equal_holdouts_are_shared_whole(self) -> None:
        pair = shared_rows(said(1), said(2))
        assert isinstance(pair, Pair)
        assert pair.candidate.rows == pair.incumbent.rows == ROWS
        assert pair.positives == int(said(1).label.sum())

    def test_of_others_only_rows_that_both_kept_back_count(self) -> None:
        mine, other = said(1), said(2)
        shifted = HoldoutPredictions(
            other.row_id[100:][::-1],
            other.label[100:][::-1],
            other.probability[100:][::-1],
            {name: values[100:][::-1] for name, values in other.columns.items()},
        )
        pair = shared_rows(mine, shifted)
        assert isinstance(pair, Pair)
        assert pair.candidate.row_id.tolist() == list(range(100, ROWS))
        assert (pair.incumbent.probability == other.probability[100:]).all()
        assert (pair.candidate.columns["weight"] == pair.incumbent.columns["weight"]).all()

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"row_id": np.arange(ROWS) + ROWS}, "no row in common"),
            ({"label": 1 - said(1).label}, "labels"),
            ({"columns": {"weight": np.zeros(ROWS)}}, "other values"),
        ],
    )
    def test_other_rows_under_the_same_numbers_are_not_compared(
        self, change: dict[str, np.ndarray], reason: str
    ) -> None:
        found = shared_rows(said(1), replace(said(2), **change))  # type: ignore[arg-type]
        assert isinstance(found, Incomparable)
        assert reason in found.reason

    def test_missing_values_are_the_same_value(self) -> None:
        mine, other = said(1), said(2)
        gaps = mine.columns["weight"].astype(float).copy()
        gaps[::7] = np.nan
        pair = shared_rows(
            replace(mine, columns={**mine.columns, "weight": gaps}),
            replace(other, columns={**other.columns, "weight": gaps.copy()}),
        )
        assert isinstance(pair, Pair)

    def test_pairs_are_joined_row_by_row(self) -> None:
        one, other = Pair(said(1), said(2)), Pair(said(1, 50), said(2, 50))
        both = joined([one, other])
        assert both.candidate.rows == ROWS + 50
        assert both.incumbent.probability[ROWS:].tolist() == other.incumbent.probability.tolist()
        assert both.candidate.columns["colour"].size == ROWS + 50


class TestAuc:
    def test_it_is_the_comparison_of_runs_with_the_margin(self) -> None:
        mine, other = said(1.5), said(2.5, seed=3)
        found = compare_rows(RowSet.HOLDOUT, Pair(mine, other), 0.01, HOW)
        wanted = compare_auc(other, mine, HOW)
        assert not isinstance(wanted, Incomparable)
        difference = found.difference
        assert difference is not None
        assert (difference.value, difference.low, difference.high) == (
            wanted.difference,
            wanted.low,
            wanted.high,
        )
        assert difference.probability_better == wanted.probability_better
        assert difference.probability_by_margin <= difference.probability_better
        assert found.candidate_auc == pytest.approx(roc_auc_score(mine.label, mine.probability))
        assert found.incumbent_auc == pytest.approx(roc_auc_score(other.label, other.probability))
        assert (found.rows, found.available_rows) == (ROWS, ROWS)

    @pytest.mark.parametrize(("margin", "share"), [(0.0, 1.0), (1e-6, 0.0), (-0.1, 1.0)])
    def test_equal_models_lead_by_nothing(self, margin: float, share: float) -> None:
        found = compare_rows(RowSet.BOTH, Pair(said(1), said(1)), margin, HOW).difference
        assert found is not None
        assert (found.value, found.probability_better) == (0.0, 0.5)
        assert found.probability_by_margin == share

    def test_one_class_has_no_auc(self) -> None:
        one = replace(said(1), label=np.ones(ROWS))
        found = compare_rows(RowSet.HELD_BACK, Pair(one, one), 0.0, HOW)
        assert found.difference is found.candidate_auc is found.incumbent_auc is None
        assert "one class" in found.note


def test_sums_are_those_of_the_drawn_rows() -> None:
    label = said(1).label
    columns = np.random.default_rng(0).normal(size=(ROWS, 3))
    weights = draw_weights(label, HOW.samples, np.random.default_rng(HOW.seed))
    assert np.allclose(resampled_sums(label, columns, HOW), weights @ columns)


class TestRates:
    def test_rates_are_scikit_learns(self) -> None:
        mine, other = said(1.5), said(2.5, seed=3)
        found = judge(mine, other)
        for one in found.classes:
            for rates, model, threshold in (
                (one.candidate, mine, 0.5),
                (one.incumbent, other, 0.4),
            ):
                called = model.probability >= threshold
                of = (mine.label, called) if one.positive else (1 - mine.label, ~called)
                assert rates.precision == pytest.approx(precision_score(*of))
                assert rates.recall == pytest.approx(recall_score(*of))
        assert [(one.label, one.positive) for one in found.classes] == [
            ("sweet", True),
            ("sour", False),
        ]
        assert sum(one.rows for one in found.classes) == ROWS

    def test_slices_look_at_their_rows_alone(self) -> None:
        mine, other = said(1.5), said(2.5, seed=3)
        blue = mine.columns["colour"] == "blue"
        (found,) = [one for one in judge(mine, other).slices if one.value == "blue"]
        called = mine.probability[blue] >= 0.5
        assert found.rows == int(blue.sum())
        assert found.positives == int(mine.label[blue].sum())
        assert found.candidate.recall == pytest.approx(recall_score(mine.label[blue], called))

    def test_equal_models_lose_nothing_anywhere(self) -> None:
        same = said(2)
        found = judge_rows(RowSet.BOTH, Pair(same, same), Thresholds(0.5, 0.5), LABEL, POLICY, HOW)
        for one in (*found.classes, *found.slices):
            assert one.verdict is Verdict.PASS
            assert one.recall_difference is not None
            assert (one.recall_difference.low, one.recall_difference.high) == (0.0, 0.0)
        assert found.calibration.difference.value == 0.0

    def test_a_slice_that_got_worse_fails_and_comes_first(self) -> None:
        good = said(0.5)
        blue = good.columns["colour"] == "blue"
        blind = replace(good, probability=np.where(blue, 0.1, good.probability))
        found = judge(blind, good)
        worst = found.slices[0]
        assert (worst.column, worst.value, worst.verdict) == ("colour", "blue", Verdict.FAIL)
        # A model that calls nothing positive has no precision, and its recall says enough.
        assert worst.candidate.precision is worst.precision_difference is None
        assert worst.recall_difference is not None
        assert worst.recall_difference.high < -0.5
        (yellow,) = [one for one in found.slices if one.value == "yellow"]
        assert yellow.verdict is Verdict.PASS

    def test_rare_categories_are_too_small_and_come_last(self) -> None:
        mine = said(1)
        colour = mine.columns["colour"].copy()
        colour[:MIN_RATE_ROWS] = "green"
        mine = replace(mine, columns={"colour": colour})
        last = judge(mine, mine).slices[-1]
        assert (last.value, last.rows, last.too_small) == ("green", MIN_RATE_ROWS, True)
        assert last.verdict is Verdict.CANNOT_TELL

    def test_a_rate_of_few_rows_is_not_held_against_a_candidate(self) -> None:
        # One row called positive, rightly by one and wrongly by the other: a bootstrap of
        # single rows would call the difference certain.
        base = said(1)
        first, last = np.zeros(ROWS), np.zeros(ROWS)
        first[np.flatnonzero(base.label == 1)[0]] = 1.0
        last[np.flatnonzero(base.label == 0)[0]] = 1.0
        found = judge(replace(base, probability=last), replace(base, probability=first))
        (positive,) = [one for one in found.classes if one.positive]
        assert (positive.candidate.precision, positive.incumbent.precision) == (0.0, 1.0)
        assert positive.precision_difference is None
        assert positive.verdict is Verdict.PASS

    def test_a_class_with_few_rows_cannot_tell(self) -> None:
        base = said(1)
        label = np.zeros(ROWS)
        label[: POLICY.minimum_class_rows - 1] = 1.0
        found = judge(replace(base, label=label), replace(base, label=label))
        assert [one.verdict for one in found.classes] == [Verdict.CANNOT_TELL, Verdict.PASS]


class TestCalibration:
    def test_errors_are_those_of_the_monitor(self) -> None:
        mine, other = said(1), said(3, seed=2)
        found = judge(mine, other).calibration
        assert found.candidate == calibration_error(mine.label, mine.probability)
        assert found.incumbent == calibration_error(other.label, other.probability)
        assert found.difference.value == found.candidate - found.incumbent
        assert found.difference.low <= found.difference.value <= found.difference.high

    def test_overconfidence_is_more_than_chance(self) -> None:
        random = np.random.default_rng(2)
        probability = random.uniform(0.05, 0.95, 2000)
        label = (random.random(2000) < probability).astype(float)
        honest = replace(said(1, 2000), label=label, probability=probability)
        sure = replace(honest, probability=np.round(probability) * 0.98 + 0.01)
        found = judge(sure, honest).calibration
        assert found.difference.low > 0.1
        assert found.by_chance == calibration_error_by_chance(sure.probability)
        assert found.incumbent < 3 * calibration_error_by_chance(probability)
