"""When the policy wants a retrain, and that it says every reason for and against."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain_watching import Level
from core.monitoring.report import Topic
from core.monitoring.retraining import Seen, Situation, Speaks, decide, seen_by
from core.params import load_params
from core.params_alerts import RetrainingParams
from core.settings import CODE_ROOT
from tests.unit.alert_values import CANNOT_TELL, CRITICAL, NOW, OK, WARNING, report_of

DEFAULT = load_params(CODE_ROOT / "params.yaml").retraining
POLICY = RetrainingParams(
    critical_drift=True,
    estimated_loss=0.03,
    realized_loss=0.05,
    new_labelled_rows=1000,
    cron="0 3 * * *",
    min_rows=200,
    min_labelled_rows=100,
    cooldown_hours=24,
)
CALM = Seen("c1", 1, 500, OK, "roc_auc", 0.0, True, 0.0, OK)
#: Nothing speaks for a retrain and nothing against.
QUIET = Situation(
    now=NOW,
    version=1,
    version_since=NOW - timedelta(hours=1),
    seen=CALM,
    new_labelled_rows=500,
    active_run=None,
    last_retrain_at=None,
)
DRIFTED = replace(CALM, drift=CRITICAL)
AGO = timedelta(hours=1)


def _case(seen: Seen | None = CALM, **changes: Any) -> Situation:
    return replace(QUIET, seen=seen, **changes)


@pytest.mark.parametrize(
    ("situation", "why_for", "why_against"),
    [
        (QUIET, [], []),
        (_case(DRIFTED), ["critical_drift"], []),
        (_case(replace(CALM, drift=WARNING)), [], []),
        (_case(replace(CALM, drift=CANNOT_TELL)), [], []),
        (_case(replace(CALM, estimated_loss=0.031)), ["estimated_loss"], []),
        (_case(replace(CALM, estimated_loss=0.03)), [], []),
        (_case(replace(CALM, estimated_loss=None)), [], []),
        # An estimate that is not to be trusted starts nothing.
        (_case(replace(CALM, estimated_loss=0.2, estimate_trusted=False)), [], []),
        (
            _case(replace(CALM, realized_loss=0.06, realized_level=WARNING)),
            ["realized_loss"],
            [],
        ),
        # Few labels show as much by chance.
        (_case(replace(CALM, realized_loss=0.06)), [], []),
        (_case(replace(CALM, realized_loss=None)), [], []),
        (_case(new_labelled_rows=1000), ["new_labelled_rows"], []),
        (_case(new_labelled_rows=999), [], []),
        (_case(version_since=NOW - timedelta(hours=4)), ["cron"], []),
        (_case(version_since=NOW - timedelta(hours=2)), [], []),
        # Findings of too few rows, or about a version that serves no more, do not count.
        (_case(replace(DRIFTED, rows=199, realized_loss=0.5)), [], []),
        (_case(replace(DRIFTED, rows=200)), ["critical_drift"], []),
        (_case(DRIFTED, version=2), [], []),
        (_case(None), [], []),
        (_case(None, new_labelled_rows=5000), ["new_labelled_rows"], []),
        # What stands against it.
        (_case(DRIFTED, active_run="r9"), ["critical_drift"], ["active run"]),
        (_case(DRIFTED, last_retrain_at=NOW - AGO), ["critical_drift"], ["cooldown_hours"]),
        (_case(DRIFTED, last_retrain_at=NOW - 24 * AGO), ["critical_drift", "cron"], []),
        (_case(DRIFTED, new_labelled_rows=99), ["critical_drift"], ["min_labelled_rows"]),
        (_case(DRIFTED, new_labelled_rows=100), ["critical_drift"], []),
        (_case(None, version=None, version_since=None), [], ["production"]),
        (
            _case(
                replace(DRIFTED, realized_loss=0.3, realized_level=CRITICAL),
                active_run="r9",
                new_labelled_rows=0,
                last_retrain_at=NOW - AGO,
            ),
            ["critical_drift", "realized_loss"],
            ["active run", "cooldown_hours", "min_labelled_rows"],
        ),
    ],
)
def test_what_is_decided(situation: Situation, why_for: list[str], why_against: list[str]) -> None:
    if situation.last_retrain_at == NOW - 24 * AGO:
        situation = replace(situation, version_since=NOW - 48 * AGO)
    decision = decide(POLICY, situation)
    assert [reason.about for reason in decision.of(Speaks.FOR)] == why_for
    assert [reason.about for reason in decision.of(Speaks.AGAINST)] == why_against
    assert decision.retrain is (bool(why_for) and not why_against)


def test_what_the_policy_leaves_out_has_no_say() -> None:
    silent = RetrainingParams(
        critical_drift=False,
        estimated_loss=None,
        realized_loss=None,
        new_labelled_rows=None,
        cron=None,
        min_rows=1,
        min_labelled_rows=0,
        cooldown_hours=0,
    )
    worst = _case(replace(DRIFTED, realized_loss=0.5, estimated_loss=0.5), new_labelled_rows=10**6)
    assert decide(silent, worst).of(Speaks.FOR) == ()


def test_labels_that_nobody_counted_have_no_say() -> None:
    decision = decide(POLICY, _case(DRIFTED, new_labelled_rows=None))
    assert decision.retrain
    assert not [reason for reason in decision.reasons if "labelled" in reason.about]


def test_as_delivered_drift_retrains_once_there_are_labels() -> None:
    assert not decide(DEFAULT, _case(DRIFTED, new_labelled_rows=0)).retrain
    assert decide(DEFAULT, _case(DRIFTED, new_labelled_rows=DEFAULT.min_labelled_rows)).retrain
    assert not decide(DEFAULT, _case(new_labelled_rows=10**6)).retrain


def test_reasons_are_told_in_words() -> None:
    situation = _case(
        replace(DRIFTED, realized_loss=0.061, realized_level=WARNING), last_retrain_at=NOW - AGO
    )
    assert [reason.text for reason in decide(POLICY, situation).reasons] == [
        "Drift is critical by check c1.",
        "The estimated roc_auc is 0.000 below the reference; more than 0.03 below is too much.",
        "The realized roc_auc is 0.061 below the reference; more than 0.05 below is too much.",
        "500 labelled rows are new; 1,000 bring about a retrain.",
        "The schedule '0 3 * * *' is not due.",
        "The last retrain began 2026-02-10 05:00 UTC; the next may from 2026-02-11 05:00 UTC on.",
        "500 labelled rows are new; a retrain needs 100.",
    ]


SEEN = st.none() | st.builds(
    Seen,
    check_id=st.just("c1"),
    version=st.integers(1, 2),
    rows=st.integers(0, 400),
    drift=st.sampled_from(Level),
    metric=st.just("roc_auc"),
    estimated_loss=st.none() | st.floats(-0.1, 0.1),
    estimate_trusted=st.booleans(),
    realized_loss=st.none() | st.floats(-0.1, 0.1),
)
SITUATIONS = st.builds(
    Situation,
    now=st.just(NOW),
    version=st.none() | st.just(1),
    version_since=st.just(NOW - timedelta(days=3)),
    seen=SEEN,
    new_labelled_rows=st.integers(0, 2000),
    active_run=st.none() | st.just("r9"),
    last_retrain_at=st.none() | st.integers(0, 100).map(lambda hours: NOW - hours * AGO),
)


@given(SITUATIONS)
def test_no_situation_breaks_the_conditions(situation: Situation) -> None:
    decision = decide(POLICY, situation)
    if decision.retrain:
        assert situation.version is not None
        assert situation.active_run is None
        assert situation.new_labelled_rows is not None
        assert situation.new_labelled_rows >= POLICY.min_labelled_rows
        last = situation.last_retrain_at
        assert last is None or NOW - last >= timedelta(hours=POLICY.cooldown_hours)
        assert decision.of(Speaks.FOR)
    else:
        assert not decision.of(Speaks.FOR) or decision.of(Speaks.AGAINST)


class TestSeen:
    def test_a_report_tells_drift_and_losses(self) -> None:
        report = report_of({Topic.DRIFT: CRITICAL}, estimated_loss=0.1, realized_loss=0.2)
        seen = seen_by("c7", report)
        assert (seen.check_id, seen.version, seen.rows, seen.drift) == ("c7", 1, 500, CRITICAL)
        assert seen.estimated_loss == pytest.approx(0.1)
        assert seen.realized_loss == pytest.approx(0.2)

    def test_without_enough_rows_it_tells_nothing(self) -> None:
        seen = seen_by("c7", report_of({Topic.DRIFT: CRITICAL}, realized_loss=1, level=CANNOT_TELL))
        assert (seen.drift, seen.realized_loss) == (CANNOT_TELL, None)
