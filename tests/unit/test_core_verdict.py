"""What measurements come to, by the policy of params.yaml."""

from __future__ import annotations

from typing import Any

import pytest

from core.domain_watching import Level
from core.monitoring.alerting import CHECKED
from core.monitoring.report import PROBABILITY, CheckVerdict, Multivariate, Topic
from core.monitoring.verdict import Measured, judge, psi_level
from core.monitoring.verdict_performance import assess_estimator
from tests.unit.check_values import (
    CALIBRATED,
    POLICY,
    drift_of,
    error_of,
    estimator_of,
    method_of,
    performance_of,
    quality_of,
)

OK, WARNING, CRITICAL = Level.OK, Level.WARNING, Level.CRITICAL


def _judged(rows: int = 5000, **given: Any) -> CheckVerdict:
    measured: dict[str, Any] = {
        "features": (drift_of(),),
        "quality": (quality_of(),),
        "performance": (performance_of(),),
        "estimator": estimator_of(),
        **given,
    }
    return judge(Measured(rows=rows, reference_rows=40_000, **measured), POLICY)


class TestPsi:
    @pytest.mark.parametrize(
        ("psi", "by_chance", "before", "level"),
        [
            (None, None, (), OK),
            (0.2, 0.0, (), OK),
            (0.21, 0.0, (), WARNING),
            (0.3, 0.0, (), WARNING),
            (0.31, 0.0, (), CRITICAL),
            (0.21, 0.0, (0.21,), CRITICAL),
            (0.21, 0.0, (0.2,), WARNING),
            (0.2, 0.0, (0.9, 0.9), OK),
            (0.21, 0.0, (0.1, 0.9), WARNING),
            (0.9, 0.95, (0.9,), OK),
        ],
    )
    def test_levels(
        self, psi: float | None, by_chance: float | None, before: tuple[float, ...], level: Level
    ) -> None:
        assert psi_level(psi, by_chance, before, POLICY.drift) is level

    def test_more_checks_running_may_be_asked_for(self) -> None:
        patient = POLICY.drift.model_copy(update={"psi_checks": 3})
        assert psi_level(0.25, 0.0, (0.25,), patient) is WARNING
        assert psi_level(0.25, 0.0, (0.25, 0.25), patient) is CRITICAL

    def test_the_reason_names_column_value_and_limit(self) -> None:
        verdict = _judged(features=(drift_of("fare", 0.31, level=CRITICAL), drift_of("age", 0.1)))
        assert verdict.level is CRITICAL
        assert verdict.summary == "fare drifted: PSI 0.31 is above 0.3."
        (reason, *_) = verdict.reasons
        assert (reason.topic, reason.subject) == (Topic.DRIFT, "fare")
        assert (reason.measured, reason.limit) == (0.31, 0.3)

    def test_a_repeated_warning_says_that_it_is_one(self) -> None:
        verdict = _judged(features=(drift_of("fare", 0.25, level=CRITICAL),))
        assert verdict.summary == "fare drifted: PSI 0.25 is above 0.2 in 2 checks."

    def test_chance_is_said_and_minds_nobody(self) -> None:
        verdict = _judged(features=(drift_of("fare", 0.25, psi_by_chance=0.4),))
        assert verdict.level is OK
        assert "within chance" in verdict.summary

    def test_the_prediction_is_looked_at_too(self) -> None:
        verdict = _judged(prediction=drift_of(PROBABILITY, 0.25, level=WARNING))
        assert verdict.level is WARNING
        assert verdict.summary == "the prediction drifted: PSI 0.25 is above 0.2."


class TestMethods:
    @pytest.mark.parametrize(("alerts", "level"), [(0, OK), (1, OK), (2, WARNING), (3, WARNING)])
    def test_more_than_half_have_to_agree(self, alerts: int, level: Level) -> None:
        methods = tuple(method_of(f"method_{n}", alert=n < alerts) for n in range(3))
        assert _judged(features=(drift_of(methods=methods),)).level is level

    def test_a_method_without_a_value_has_no_voice(self) -> None:
        silent = method_of("chi2").model_copy(update={"value": None})
        methods = (method_of(alert=True), silent)
        assert _judged(features=(drift_of(methods=methods),)).level is WARNING

    @pytest.mark.parametrize(("value", "alert", "level"), [(1.2, False, OK), (1.5, True, WARNING)])
    @pytest.mark.parametrize("which", ["reconstruction", "domain_classifier"])
    def test_all_columns_together(
        self, value: float, alert: bool, level: Level, which: str
    ) -> None:
        found = Multivariate(value=value, lower_threshold=1.0, upper_threshold=1.3, alert=alert)
        verdict = _judged(**{which: found})
        assert verdict.level is level
        (reason,) = [one for one in verdict.reasons if one.measured == value]
        assert (reason.topic, reason.limit) == (Topic.DRIFT, 1.3)


class TestQuality:
    @pytest.mark.parametrize(
        ("then", "now", "rows", "level"),
        [
            (0.0, 0.05, 5000, OK),
            (0.0, 0.06, 5000, WARNING),
            (0.2, 0.3, 5000, WARNING),
            (0.2, 0.41, 5000, CRITICAL),
            (0.3, 0.1, 5000, OK),
            # One in five of 50 rows may miss by chance where one in eight did.
            (0.12, 0.2, 50, OK),
        ],
    )
    def test_missing_values(self, then: float, now: float, rows: int, level: Level) -> None:
        found = quality_of(missing_share_reference=then, missing_share_analysis=now)
        assert _judged(rows, quality=(found,)).level is level

    @pytest.mark.parametrize(("share", "level"), [(0.01, OK), (0.02, WARNING), (0.11, CRITICAL)])
    def test_unseen_categories(self, share: float, level: Level) -> None:
        verdict = _judged(quality=(quality_of(unseen_share=share),))
        assert verdict.level is level

    @pytest.mark.parametrize(
        ("then", "now", "level"), [(0.0, 0.02, OK), (0.05, 0.1, WARNING), (0.0, 0.2, CRITICAL)]
    )
    def test_unusual_values(self, then: float, now: float, level: Level) -> None:
        found = quality_of(out_of_range_share_reference=then, out_of_range_share=now)
        assert _judged(quality=(found,)).level is level

    def test_the_reason_says_both_shares(self) -> None:
        verdict = _judged(quality=(quality_of("age", missing_share_analysis=0.3),))
        assert verdict.summary == "30.0% of age are missing, 0.0% in the reference."

    def test_sound_data_is_said_to_be_sound(self) -> None:
        (reason,) = _judged().of(Topic.QUALITY)
        assert reason.level is OK


class TestPerformance:
    @pytest.mark.parametrize(
        ("value", "band", "level"),
        [
            (0.9, 0.005, OK),
            (0.881, 0.005, OK),
            (0.879, 0.005, WARNING),
            (0.84, 0.005, CRITICAL),
            # The band reaches the reference: so few rows may show that by chance.
            (0.84, 0.07, OK),
            (0.95, 0.005, OK),
        ],
    )
    def test_losses(self, value: float, band: float, level: Level) -> None:
        estimated = (performance_of(value, band=band),)
        assert _judged(performance=estimated).level is level
        realized = (performance_of(0.9, value, band=band),)
        assert _judged(performance=realized).level is level

    def test_below_what_the_reference_scatters_is_a_warning(self) -> None:
        by_chance = performance_of(0.895, lower=0.898, band=0.01)
        assert _judged(performance=(by_chance,)).level is OK
        verdict = _judged(performance=(performance_of(0.895, lower=0.898, band=0.004),))
        assert verdict.level is WARNING
        assert verdict.summary == "estimated roc auc is 0.895, 0.005 below the reference."

    def test_an_estimator_that_is_not_trusted_loses_weight_and_the_reason_says_so(self) -> None:
        given = {"performance": (performance_of(0.8),), "estimator": estimator_of(trusted=False)}
        verdict = _judged(**given)
        assert verdict.level is WARNING
        (reason,) = verdict.of(Topic.ESTIMATED_LOSS)
        assert reason.text.endswith("; the estimate is not to be trusted")
        assert len(verdict.of(Topic.ESTIMATOR)) == 1

    def test_what_was_realized_keeps_its_weight(self) -> None:
        given = {
            "performance": (performance_of(0.9, 0.8),),
            "estimator": estimator_of(trusted=False),
        }
        assert _judged(**given).level is CRITICAL

    def test_late_labels_of_the_last_check_tell_as_well(self) -> None:
        verdict = _judged(estimator=estimator_of(past=(error_of(0.9, 0.8), error_of(0.9, 0.9))))
        assert verdict.level is CRITICAL
        (reason,) = verdict.of(Topic.REALIZED_LOSS)
        assert "in check eeeeeeee, whose labels came since" in reason.text

    def test_without_an_estimate_nothing_is_said_of_it(self) -> None:
        verdict = _judged(performance=(), estimator=None)
        assert verdict.of(Topic.ESTIMATED_LOSS) == verdict.of(Topic.REALIZED_LOSS) == ()


class TestEstimator:
    def test_good_calibration_and_no_past_are_trusted(self) -> None:
        found = assess_estimator(CALIBRATED, -0.004, (), POLICY.performance)
        assert found.trusted
        assert found.text == "The estimate can be trusted; it may be off by 0.004."

    @pytest.mark.parametrize(("after", "trusted"), [(0.06, True), (0.0601, False)])
    def test_calibration_beyond_chance_counts(self, after: float, trusted: bool) -> None:
        poor = CALIBRATED.model_copy(update={"error_after": after})
        found = assess_estimator(poor, 0.0, (), POLICY.performance)
        assert found.trusted is trusted
        assert ("not to be trusted" in found.text) is not trusted

    def test_calibration_that_is_not_known_is_not_trusted(self) -> None:
        assert not assess_estimator(None, None, (), POLICY.performance).trusted

    def test_large_past_errors_count_and_say_how_far_it_may_be_off(self) -> None:
        past = (error_of(0.9, 0.82), error_of(0.8, 0.84))
        found = assess_estimator(CALIBRATED, 0.001, past, POLICY.performance)
        assert not found.trusted
        assert found.mean_past_error == pytest.approx(0.06)
        assert found.may_be_off_by == pytest.approx(0.06)

    def test_the_scatter_of_few_labels_is_not_the_estimators_fault(self) -> None:
        past = (error_of(0.9, 0.84, 0.06),)
        assert assess_estimator(CALIBRATED, 0.001, past, POLICY.performance).trusted


def test_too_few_rows_are_no_verdict() -> None:
    verdict = _judged(2, features=(drift_of("fare", 9.0, level=CRITICAL),))
    assert verdict.level is Level.NOT_ENOUGH_DATA
    assert verdict.summary == "not enough data (2 of 50)."
    assert [reason.topic for reason in verdict.reasons] == [Topic.TRAFFIC]
    assert _judged(50).level is OK


def test_reasons_come_worst_first_and_the_summary_counts_the_rest() -> None:
    features = tuple(
        drift_of(name, psi, level=level)
        for name, psi, level in (("a", 0.25, WARNING), ("b", 0.5, CRITICAL), ("c", 0.4, CRITICAL))
    )
    verdict = _judged(features=features)
    levels = [reason.level for reason in verdict.reasons]
    assert levels[:3] == [CRITICAL, CRITICAL, WARNING]
    assert verdict.summary.endswith("; 1 more.")


def test_nothing_found_says_what_was_looked_at() -> None:
    verdict = _judged()
    assert verdict.summary.startswith("nothing stands out; the largest PSI is 0.05 (age)")
    assert {topic.value for topic in Topic} >= {kind.value for kind in CHECKED}
